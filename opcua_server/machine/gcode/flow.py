"""Which line comes next: subprograms, macro calls, loops and jumps of both dialects.

M98 / G65 / O call  ->  push the caller, go to the program's line      (10 deep, else PS0077)
M99 / endsub        ->  pop; or once more from the top while repeats are left
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.blocks import Block
from opcua_server.machine.gcode.expressions import Code, Compiler, evaluate
from opcua_server.machine.gcode.program import Program, bare
from opcua_server.machine.gcode.saved import BRING_BACK, FORGET, KEEP_FOR_RETURN, Saved
from opcua_server.machine.gcode.variables import Frame, VariableStore

DEEPEST = 10
DEEPEST_MACRO = 5
"""Levels of local variables that G65 and G66 make."""
MACRO_CALLS = frozenset(("G65", "G66", "G66.1"))
MOST_REPEATS = 999_999_999
RETURN_VALUE, RETURNED = -1, -2
ARGUMENTS = dict(zip("ABCIJKDEFHMQRSTUVWXYZ", (1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 13, *range(17, 27)), strict=True))


@dataclass(slots=True)
class Call:
    """What to come back to, and what is running meanwhile."""

    program: Program
    index: int
    """Line to go on with in ``program``."""
    name: str
    """Program name of the caller."""
    frame: Frame
    loops: dict[str, list[int]]
    start: int
    """First line of the called program."""
    repeats: int
    kind: str
    """"M98", "G65", "G66", "G66.1" or "call"."""
    saved: Saved | None = None
    """Modal state that M70 or M73 kept on the caller's level."""


@dataclass(slots=True)
class Flow:
    program: Program
    variables: VariableStore
    resolve: Callable[[str], str | None] | None
    index: int = 0
    """The line that comes next."""
    name: str = ""
    calls: list[Call] = field(default_factory=list)
    loops: dict[str, list[int]] = field(default_factory=dict)
    """Open loops: line of the loop's head, and repeats left where it counts."""
    loaded: dict[str, Program] = field(default_factory=dict)
    saved: Saved | None = None
    """Modal state that M70 or M73 kept on this level."""

    # Values

    def number(self, code: Code) -> float:
        return evaluate(code, self.variables) or 0.0

    def integer(self, code: Code, alarm: str) -> int:
        value = self.number(code)
        if abs(value - round(value)) > 1e-6:
            raise BlockFault(alarm, f"{value:g}")
        return round(value)

    # Jumps

    def jump(self, index: int) -> None:
        if index <= self.index:
            self.program.keep = True
        self.index = index

    def goto(self, number: int, alarm: str = "PS0128") -> None:
        place = self.program.sequence_line(number, self.index - 1) if number >= 1 else None
        if place is None:
            raise BlockFault(alarm, f"N{number}")
        self.jump(place)

    # Subprograms

    def find(self, number: int) -> tuple[Program, int]:
        """Program and line of ``O number``: in this text, the main text, or from outside. Raises PS0076."""
        for program in (self.program, *(call.program for call in self.calls[:1])):
            line = program.program_line(number)
            if line is not None:
                return program, line
        program = self._load(f"O{number:04d}", "PS0076")
        line = program.program_line(number)
        return program, line if line is not None else program.leader()

    def _load(self, name: str, alarm: str) -> Program:
        if name not in self.loaded:
            text = self.resolve(name) if self.resolve is not None else None
            if text is None:
                raise BlockFault(alarm, name)
            self.loaded[name] = Program(name, text)
        return self.loaded[name]

    def call(self, number: int, repeats: int, kind: str, arguments: dict[int, float | None] | None = None) -> None:
        """Call ``O number``; ``arguments`` gives the callee local variables of its own."""
        if not 1 <= repeats <= MOST_REPEATS:
            if repeats == 0:
                return
            raise BlockFault("PS0009", "L")
        program, line = self.find(number)
        self._push(program, line, f"O{number:04d}", repeats, kind)
        if arguments is not None:
            self.variables.frame = Frame(dict(arguments))

    def _push(self, program: Program, line: int, name: str, repeats: int, kind: str) -> None:
        if len(self.calls) >= DEEPEST:
            raise BlockFault("PS0077")
        if kind in MACRO_CALLS and sum(call.kind in MACRO_CALLS for call in self.calls) >= DEEPEST_MACRO:
            raise BlockFault("PS0122")
        self.calls.append(
            Call(self.program, self.index, self.name, self.variables.frame, self.loops, line, repeats, kind, self.saved)
        )
        program.keep = True
        self.program, self.index, self.name, self.loops, self.saved = program, line + 1, name, {}, None

    def back(self, target: int | None = None) -> bool:
        """M99 and endsub: to the caller, or to the top for the next repeat. False in a main program."""
        if not self.calls:
            return False
        call = self.calls[-1]
        if call.repeats > 1 and target is None:
            call.repeats -= 1
            self.index, self.loops = call.start + 1, {}
            return True
        self.calls.pop()
        if self.saved is not None and self.saved.on_return:
            self.saved.bring_back(self.variables.state)
        self.saved = call.saved
        self.program, self.index, self.name = call.program, call.index, call.name
        self.variables.frame, self.loops = call.frame, call.loops
        if target is not None:
            place = self.program.sequence_line(target, self.index - 1)
            if place is None:
                raise BlockFault("PS0078", f"N{target}")
            self.jump(place)
        return True

    def keep(self, code: int) -> None:
        """M70 to M73."""
        state = self.variables.state
        if code == FORGET:
            self.saved = None
        elif code == BRING_BACK:
            if self.saved is None:
                raise BlockFault("PS0010", "M72 without M70 or M73")
            self.saved.bring_back(state)
        else:
            self.saved = Saved(state, on_return=code == KEEP_FOR_RETURN)

    # Macro B

    def macro(self, block: Block) -> Block | None:
        """GOTO, IF, WHILE, DO, END. Returns the block after THEN when it is to be executed."""
        here = self.index - 1
        word = block.statement
        if word == "GOTO":
            self.goto(self.integer(block.arguments[0], "PS0128"))
        elif word == "IF":
            if self.number(block.arguments[0]):
                if block.then is not None:
                    return block.then
                self.goto(self.integer(block.arguments[1], "PS0128"))
        elif word == "END":
            heads = self.loops.get(str(block.loop))
            if not heads:
                raise BlockFault("PS0124", f"END{block.loop} without DO{block.loop}")
            self.jump(heads[0])
        else:
            end = self.program.loop_end(here, block.loop)
            if end is None:
                raise BlockFault("PS0124", f"DO{block.loop}")
            if word == "WHILE" and not self.number(block.arguments[0]):
                self.loops.pop(str(block.loop), None)
                self.index = end + 1
            else:
                self.loops[str(block.loop)] = [here]
        return None

    # O-words

    def o_word(self, block: Block) -> None:
        """sub, call, return, if, while, do, repeat and their kin, of LinuxCNC's dialect."""
        here = self.index - 1
        word = block.statement
        label = block.label
        if isinstance(label, list):
            label = self.number(label)
        name = str(round(label)) if isinstance(label, float) else str(label)
        program = self.program
        if word == "sub":
            self._skip(name, here, ("endsub",))
        elif word == "call":
            self.call_sub(name, [self.number(code) for code in block.arguments])
        elif word in ("endsub", "return"):
            if block.arguments:
                self.variables.common[RETURN_VALUE] = self.number(block.arguments[0])
            self.variables.common[RETURNED] = float(bool(block.arguments))
            if not self.back():
                raise BlockFault("PS0125", f"{word} outside a subroutine")
        elif word == "if":
            self._choose(name, here, block)
        elif word in ("elseif", "else"):
            # Reached from above: the branch before it has been executed.
            self._skip(name, here, ("endif",))
        elif word == "while":
            self._while(name, here, block)
        elif word == "endwhile":
            head = program.previous_label(name, here, ("while",))
            if head is None:
                raise BlockFault("PS0125", "endwhile without while")
            self.jump(head[0])
        elif word == "repeat":
            count = round(self._argument(block))
            self.loops[name] = [here, count]
            if count <= 0:
                self._skip(name, here, ("endrepeat",))
        elif word == "endrepeat":
            loop = self.loops.get(name)
            if not loop:
                raise BlockFault("PS0125", "endrepeat without repeat")
            loop[1] -= 1
            if loop[1] > 0:
                self.jump(loop[0] + 1)
        elif word in ("break", "continue"):
            end = program.next_label(name, here, ("endwhile", "while", "endrepeat"))
            if end is None:
                raise BlockFault("PS0124", name)
            self.index = end[0] + (1 if word == "break" else 0)

    def _argument(self, block: Block) -> float:
        if len(block.arguments) != 1:
            raise BlockFault("PS0125", block.statement)
        return self.number(block.arguments[0])

    def _skip(self, name: str, here: int, keywords: tuple[str, ...]) -> None:
        """Behind the statement that closes this one; LinuxCNC reads on to the end of the file when there is none."""
        end = self.program.next_label(name, here, keywords)
        self.index = end[0] + 1 if end is not None else len(self.program.lines)

    def _choose(self, name: str, here: int, block: Block) -> None:
        """From ``if`` to the branch whose condition holds."""
        if self._argument(block):
            return
        while True:
            found = self.program.next_label(name, here, ("elseif", "else", "endif"))
            if found is None:
                raise BlockFault("PS0124", f"O{name}")
            here, word = found
            if word == "elseif" and not self.number(_condition(self.program, here)):
                continue
            self.index = here + 1
            return

    def _while(self, name: str, here: int, block: Block) -> None:
        head = self.program.previous_label(name, here, ("do",))
        used = self.program.previous_label(name, here, ("while",))
        if head is not None and (used is None or used[0] < head[0]):
            if self._argument(block):
                self.jump(head[0] + 1)
        elif not self._argument(block):
            self._skip(name, here, ("endwhile",))

    def call_sub(self, name: str, values: list[float]) -> None:
        """``O name call``: into the subroutine of that label, with local variables of its own. Raises PS0076."""
        if len(values) > 30:
            raise BlockFault("PS0125", "more than 30 arguments")
        program, place = self.program, None
        for program in (self.program, *(call.program for call in reversed(self.calls))):
            place = next((i for i, word in program.labels(name) if word == "sub"), None)
            if place is not None:
                break
        if place is None:
            program = self._load(name, "PS0076")
            place = next((i for i, word in program.labels(name) if word == "sub"), None)
            if place is None:
                raise BlockFault("PS0076", name)
        self._push(program, place, f"O<{name}>" if not name.isdigit() else f"O{name}", 1, "call")
        self.index = place + 1
        self.variables.frame = Frame(dict(enumerate(values, 1)))


def _condition(program: Program, index: int) -> Code:
    """The bracketed condition of the ``elseif`` on that line."""
    line = bare(program.lines[index])
    at = line.find("[", line.find("ELSEIF"))
    if at < 0:
        raise BlockFault("PS0125", "elseif")
    return Compiler(macro_b=False).value(line, at)[0]


def program_number(words: dict[str, float]) -> int:
    """P of M98, G65 and G66. Raises PS0076."""
    if "P" not in words:
        raise BlockFault("PS0076", "P not given")
    number = round(words["P"])
    if abs(number - words["P"]) > 1e-6 or number < 1:
        raise BlockFault("PS0076", f"P{words['P']:g}")
    return number


def sub_call(words: dict[str, float], *, macro_b: bool) -> tuple[int, int]:
    """Program number and repeats of M98 P.. L.., which are taken out of ``words``; FANUC also puts the repeats before four
    digits of P."""
    number = program_number(words)
    repeats = round(words.pop("L")) if "L" in words else 1
    if number > 9999 and macro_b:
        number, repeats = number % 10_000, number // 10_000
    words.pop("P")
    return number, repeats


def arguments_of(order: list[tuple[str, float | None]]) -> dict[int, float | None]:
    """Local variables from the words of G65, type I; type II when I, J or K come more than once."""
    letters = [letter for letter, _ in order]
    second_type = any(letters.count(letter) > 1 for letter in "IJK")
    numbers: dict[int, float | None] = {}
    group = {"I": 0, "J": 0, "K": 0}
    for letter, value in order:
        if letter in "PLNGO":
            continue
        if second_type and letter in group:
            index = 4 + 3 * group[letter] + "IJK".index(letter)
            group[letter] += 1
        elif letter in ARGUMENTS:
            index = ARGUMENTS[letter]
        else:
            raise BlockFault("PS0009", letter)
        if index > 33:
            raise BlockFault("PS0009", letter)
        numbers[index] = value
    return numbers
