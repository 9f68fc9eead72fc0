"""NC text to moves, one block after another, lazily.

    text --Program--> lines --Parser--> Block --execute--> Move, Move ...
              ^                            |
              +------- Flow (jumps) <------+

Whatever goes wrong in a block becomes an ``NcAlarm`` at that block; moves of earlier blocks have been given out before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from opcua_server.machine.gcode import flow as flow_module
from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.blocks import Block, Parser
from opcua_server.machine.gcode.budget import Budget, Spending
from opcua_server.machine.gcode.dialect import DIALECTS, Dialect
from opcua_server.machine.gcode.evaluated import assign, computed
from opcua_server.machine.gcode.execute import AXIS_WORDS, END_CODES, execute
from opcua_server.machine.gcode.expressions import evaluate
from opcua_server.machine.gcode.flow import Flow
from opcua_server.machine.gcode.program import Program
from opcua_server.machine.gcode.saved import CODES as SAVING_CODES
from opcua_server.machine.gcode.state import State
from opcua_server.machine.gcode.tables import Limits, ToolTable, WorkOffsets
from opcua_server.machine.gcode.turning import CYCLES, turning
from opcua_server.machine.gcode.variables import MacroAlarm, VariableStore
from opcua_server.machine.moves import Move, NcAlarm, Point

MOST_CONTOUR_BLOCKS = 100_000
NOT_TAKEN_G = frozenset((650, 660, 661, 670))
NOT_TAKEN_M = frozenset((2, 30, 98, 99))
ALWAYS_SKIPPED: frozenset[int] = frozenset()


def _comment(line: str) -> str:
    """What stands in the first comment of a line."""
    return line.partition("(")[2].partition(")")[0].strip()


class Interpreter:
    """One run of one program. ``steps`` may be stopped at any time by dropping the iterator."""

    def __init__(
        self,
        text: str,
        *,
        name: str = "",
        dialect: Dialect | str = "fanuc",
        tools: ToolTable | None = None,
        offsets: WorkOffsets | None = None,
        start: Point = (0.0, 0.0, 0.0),
        limits: Limits | None = None,
        resolve: Callable[[str], str | None] | None = None,
        block_delete: frozenset[int] = ALWAYS_SKIPPED,
        optional_stop: bool = False,
        variables: dict[int, float] | None = None,
        probe: Callable[[Point, Point], Point | None] | None = None,
        budget: Budget | None = None,
        every_block: bool = False,
    ) -> None:
        chosen = DIALECTS[dialect] if isinstance(dialect, str) else dialect
        self.state = State(
            chosen,
            tools if tools is not None else ToolTable(),
            offsets if offsets is not None else WorkOffsets(),
            start,
            limits,
        )
        self.state.probe = probe
        self.variables = VariableStore(self.state, variables)
        self.flow = Flow(Program(name, text, closed=chosen.o_words), self.variables, resolve, name=name)
        self.parser = Parser(chosen, block_delete)
        self.state.label_of = self._label_of
        self.block_delete = block_delete
        self.optional_stop, self.every_block = optional_stop, every_block
        self._spending = Spending(budget if budget is not None else Budget())
        self._modal_call: tuple[int, int, list[tuple[str, float | None]]] | None = None
        self._each_block = False
        """G66.1: the macro takes the place of every block, with the block's words as its arguments."""
        self._gave = (0, "")
        """Line and program of the last block that gave moves."""
        self._percent = 0
        self._seen = False
        self._titled = False

    def steps(self) -> Iterator[Move | None]:
        """Moves, and None at least every 256 blocks so that the caller never waits long for control."""
        state = self.state
        state.program = self.flow.name
        try:
            yield from self._run()
        except BlockFault as fault:
            pending: list[Move] = []
            if state.compensation is not None:
                try:
                    state.compensation.flush(state, pending)
                except BlockFault:
                    pending.clear()
            yield from pending
            raise self._alarm(fault) from None
        except (RecursionError, OverflowError, ValueError, ZeroDivisionError) as error:
            raise self._alarm(BlockFault("PS0110", type(error).__name__)) from error

    def _alarm(self, fault: BlockFault) -> NcAlarm:
        state = self.state
        text = fault.text
        if isinstance(fault, MacroAlarm):
            text = _comment(state.block_text) or text
        return NcAlarm(fault.number, text, state.line, self.flow.name, state.block_text)

    def _run(self) -> Iterator[Move | None]:
        state, flow, spending = self.state, self.flow, self._spending
        parse = self.parser.parse
        spending.begin()
        while True:
            index = flow.index
            program = flow.program
            if index >= len(program.lines):
                state.line, state.block_text = max(len(program.lines), 1), ""
                if flow.calls and flow.calls[-1].kind == "call":
                    raise BlockFault("PS0125", "subroutine without endsub")
                yield from self._flushed()
                raise BlockFault("PS5010")
            flow.index = index + 1
            raw = program.lines[index]
            state.line, state.block_text = index + 1, raw
            if spending.block():
                yield None
            block = program.blocks[index]
            if block is None:
                block = parse(raw)
                if program.keep:
                    program.blocks[index] = block
            here = (index + 1, flow.name)
            if self.every_block and here == self._gave and not block.statement:
                yield from self._nothing()  # A loop comes to the same block again: what it did before ends here.
            if block.simple and not self._each_block:
                self._seen, gives = True, False
                if state.plain and block.straight and (block.motion >= 0 or 0 <= state.motion <= 10):
                    move = self._simple(block)
                    if move is not None:
                        yield move
                        spending.idle, gives = 0, True
                else:
                    for move in spending.within(execute(state, block, block.words, optional_stop=False)):
                        yield move
                        spending.idle, gives = 0, True
                if self.every_block:
                    if not gives:
                        yield from self._without_moves(block)
                    self._gave = here
                if self._modal_call is not None and not AXIS_WORDS.isdisjoint(block.words):
                    self._call_modal()
                continue
            if block.empty and not block.messages:
                continue
            for each in spending.within(self._general(block)):
                yield each
                self._gave = here
                if each.kind == "block":
                    continue
                spending.idle = 0
                if each.kind == "end":
                    return
            state.program = flow.name

    def _without_moves(self, block: Block) -> Iterator[Move]:
        """The end of a block that gave none, unless its move waits for what comes next."""
        state = self.state
        if AXIS_WORDS.isdisjoint(block.words) or (state.compensation is None and state.corner is None):
            yield from self._nothing()

    def _nothing(self) -> Iterator[Move]:
        out: list[Move] = []
        self.state.emit_still(out, "block")
        return iter(out)

    def _flushed(self) -> Iterator[Move]:
        out: list[Move] = []
        if self.state.compensation is not None:
            self.state.compensation.flush(self.state, out)
        return iter(out)

    def _simple(self, block: Block) -> Move | None:
        """G0 and G1 with plain numbers while nothing turns, offsets aside or compensates: most of all blocks."""
        state = self.state
        words = block.words
        code = block.motion
        if code >= 0:
            if code != state.motion:
                state.leave_cycle()
                state.motion = code
                state.modal_cache = None
        else:
            code = state.motion
        unit = state.unit
        if "F" in words:
            value = words["F"]
            if value < 0.0:
                raise BlockFault("PS0006", "F")
            state.feed = value * unit
        x, y, z = state.x, state.y, state.z
        moved = False
        if state.absolute:
            if "X" in words:
                x = words["X"] * unit
                moved = True
            if "Y" in words:
                y = words["Y"] * unit
                moved = True
            if "Z" in words:
                z = words["Z"] * unit
                moved = True
        else:
            if "X" in words:
                x += words["X"] * unit
                moved = True
            if "Y" in words:
                y += words["Y"] * unit
                moved = True
            if "Z" in words:
                z += words["Z"] * unit
                moved = True
        if not moved and block.motion < 0:
            return None
        feed = 0.0
        if code:
            feed = state.feed
            if feed <= 0.0 and moved and state.feed_required:
                raise BlockFault("PS0011")
        machine = (x + state.ox, y + state.oy, z + state.oz)
        if state.limits is not None:
            state.check_limits(machine)
        state.x, state.y, state.z = x, y, z
        return Move(
            "feed" if code else "rapid",
            state.line,
            machine,
            (x, y, z),
            feed,
            None,
            None,
            0.0,
            0.0,
            0,
            "",
            state.program,
            state.block_text,
            state.modal_cache or state.modal(),
        )

    def _general(self, block: Block) -> Iterator[Move]:
        state, flow = self.state, self.flow
        if block.percent:
            self._percent += 1
            if self._percent == 1 and not self._seen:
                return
            if self._percent == 1 and not state.dialect.macro_b:
                raise BlockFault("PS0009", "%")
            yield from self._flushed()
            if self._titled and state.dialect.macro_b:
                # A program with a number ends with M02, M30 or M99; one without is another control's, where % will do.
                raise BlockFault("PS5010")
            out: list[Move] = []
            state.emit_still(out, "end")
            yield from out
            return
        if block.skip and block.skip in self.block_delete:
            return
        if block.statement:
            if block.statement == "program":
                self._enter(block)
                if not (block.g or block.m or block.computed or block.assignments or len(block.words) > ("N" in block.words)):
                    return
            elif block.statement.isupper():
                self._seen = True
                then = flow.macro(block)
                if then is None:
                    return
                block = then
            else:
                self._seen = True
                flow.o_word(block)
                return
        self._seen = True
        words = block.words
        if block.computed:
            block, words = computed(block, state, self.variables)
        if block.assignments:
            assign(block, self.variables)
            if self.variables.stop:
                self.variables.stop = False
                stopped: list[Move] = []
                state.emit_still(stopped, "message", text=_comment(state.block_text))
                state.emit_still(stopped, "stop")
                yield from stopped
            if not (words or block.g or block.m):
                return
        if self._each_block and self._taken(block, words):
            yield from self._each(block, words)
            return
        if 98 in block.m or 99 in block.m or 650 in block.g or 660 in block.g or 661 in block.g or 670 in block.g:
            yield from self._subprogram(block, words)
            return
        cycle = next((code for code in block.g if code in CYCLES), None) if state.dialect.o_words else None
        if cycle is not None:
            rest = {letter: value for letter, value in words.items() if letter in "FST"}
            beside = Block(rest, tuple(code for code in block.g if code != cycle), block.m, messages=block.messages)
            yield from execute(state, beside, rest, optional_stop=self.optional_stop)
            yield from turning(state, self._contour, cycle, words)
            return
        if state.dialect.o_words and not SAVING_CODES.isdisjoint(block.m):
            for code in block.m:
                if code in SAVING_CODES:
                    flow.keep(code)
        gives = False
        for move in execute(state, block, words, optional_stop=self.optional_stop):
            yield move
            gives = True
        if self.every_block and not gives:
            yield from self._without_moves(block)
        if self._modal_call is not None and not AXIS_WORDS.isdisjoint(words) and not END_CODES.intersection(block.m):
            self._call_modal()

    def _taken(self, block: Block, words: dict[str, float]) -> bool:
        """Whether G66.1 takes the block: not what calls, ends or cancels, and not within the macro."""
        if not (words.keys() - {"N"} or block.g or block.m) or any(call.kind == "G66.1" for call in self.flow.calls):
            return False
        return NOT_TAKEN_G.isdisjoint(block.g) and NOT_TAKEN_M.isdisjoint(block.m)

    def _each(self, block: Block, words: dict[str, float]) -> Iterator[Move]:
        """A block under G66.1: its G codes act, all else is arguments (G, L, N and P too, as #10, #12, #14 and #16)."""
        if self._modal_call is None:
            return
        if block.g:
            alone = execute(self.state, Block({}, block.g), {}, optional_stop=False)
            yield from (move for move in alone if move.kind not in ("rapid", "feed"))
        arguments = flow_module.arguments_of([*words.items(), *(("M", float(code)) for code in block.m)])
        arguments.update({number: words[letter] for letter, number in (("L", 12), ("N", 14), ("P", 16)) if letter in words})
        if block.g:
            arguments[10] = block.g[-1] / 10.0
        number, repeats, _ = self._modal_call
        self.flow.call(number, repeats, "G66.1", arguments)
        self.state.program = self.flow.name

    def _label_of(self, letter: str) -> int:
        """N: the last sequence number up to the present block; O: the program's number; 0 without."""
        if letter == "N":
            return self.flow.program.sequence_before(self.state.line)
        digits = self.flow.name.lstrip("O")
        return int(digits) if digits.isdigit() else 0

    def _enter(self, block: Block) -> None:
        """A line with a program number: the title of the main program, or, run into from above, a foreign program."""
        label = block.label
        name = f"O{round(label):04d}" if isinstance(label, float) else str(label)
        if not self.flow.calls:
            self._titled = True
            self.flow.name = self.state.program = name

    def _contour(self, name: str) -> Iterator[tuple[dict[str, float], tuple[int, ...]]]:
        """Words and G codes of a subroutine's blocks, in the order they are run; nothing moves."""
        flow = self.flow
        depth, blocks = len(flow.calls), 0
        flow.call_sub(name, [])
        while len(flow.calls) > depth:
            blocks += 1
            if flow.index >= len(flow.program.lines) or blocks > MOST_CONTOUR_BLOCKS:
                raise BlockFault("PS0125", "subroutine without endsub")
            block = self.parser.parse(flow.program.lines[flow.index])
            flow.index += 1
            if block.statement and block.statement != "program":
                flow.o_word(block)
                continue
            words = block.words
            if block.computed:
                block, words = computed(block, self.state, self.variables)
            if block.assignments:
                assign(block, self.variables)
            yield words, block.g

    def _subprogram(self, block: Block, words: dict[str, float]) -> Iterator[Move]:
        """M98, M99, G65, G66, G67."""
        state, flow = self.state, self.flow
        order = [(letter, v if isinstance(v, float) else evaluate(v, self.variables)) for letter, v in block.order]
        if 670 in block.g:
            self._modal_call, self._each_block = None, False
            state.groups["modal macro"] = 670
            return
        if 650 in block.g or 660 in block.g or 661 in block.g:
            number = flow_module.program_number(words)
            repeats = round(words.get("L", 1.0))
            if 650 in block.g:
                flow.call(number, repeats, "G65", flow_module.arguments_of(order))
            else:
                flow.find(number)
                self._modal_call = (number, repeats, order)
                self._each_block = 661 in block.g
                state.groups["modal macro"] = 661 if self._each_block else 660
            state.program = flow.name
            return
        rest = dict(words)
        number, repeats = 0, 1
        if 98 in block.m:
            number, repeats = flow_module.sub_call(rest, macro_b=state.dialect.macro_b)
        target = round(rest.pop("P")) if 99 in block.m and "P" in rest else None
        rest_m = tuple(code for code in block.m if code not in (98, 99))
        made = Block(rest, block.g, rest_m, pointless=block.pointless, messages=block.messages)
        yield from execute(state, made, rest, optional_stop=self.optional_stop)
        if 98 in block.m:
            flow.call(number, repeats, "M98")
        elif not flow.back(target):
            if target is not None:
                flow.goto(target, "PS0078")
            else:
                yield from self._flushed()
                out: list[Move] = []
                state.emit_still(out, "end")
                yield from out
        state.program = flow.name

    def _call_modal(self) -> None:
        """G66: the macro runs after every block that moved; not inside itself."""
        if self._modal_call is None or self._each_block or any(call.kind == "G66" for call in self.flow.calls):
            return
        number, repeats, order = self._modal_call
        self.flow.call(number, repeats, "G66", flow_module.arguments_of(order))
        self.state.program = self.flow.name
