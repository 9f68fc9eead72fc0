"""One line of NC text to one ``Block``: words, G and M codes, assignments, flow statements.

Parsing knows nothing of the machine's state, so a line of a loop is parsed once. What must be computed (``X[#1+2]``) stays as
postfix code in ``computed`` until the block runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.dialect import Dialect
from opcua_server.machine.gcode.expressions import NUMBER, Code, Compiler

# Possessive: a long run of digits before a wrong character must not be split in every possible way.
PLAIN = re.compile(r"(?:[A-Z][-+]?(?:\d++\.?+\d*+|\.\d++))*+")
WORDS = re.compile(r"([A-Z])([-+]?[\d.]+)")
COMMENT = re.compile(r"\([^()]*\)|;.*")
ASSIGNMENT = re.compile(r"#(?=[\d#\[<])")
SIMPLE_ADDRESSES = frozenset("GNXYZIJKRF")
SIMPLE_MOTION = (0, 10, 20, 30)
ARCS = (20, 30)
ARC_WORDS = frozenset("IJKR")
NO_POINT = frozenset("NMOHDLT")
NO_MINUS = frozenset("NGMOHDLTFS")
LENGTHS = frozenset("XYZIJKRQUVWABC")
CORNERS = ("R", "C")
"""Addresses that are others behind a comma."""
POINTLESS = frozenset("PIJK")
"""Addresses where a number without a decimal point may be meant in thousandths: P of G4 and of cycles, factors of G51."""
FLOW = re.compile(r"(IF|WHILE|GOTO|DO|END)(?=[\[#\d])")
MOST_DIGITS = 8
LARGEST = 1e10
"""No dialect reads a larger number; squares of it stay far from the largest float."""


@dataclass(slots=True)
class Block:
    words: dict[str, float] = field(default_factory=dict)
    """Value by address, without G and M."""
    g: tuple[int, ...] = ()
    """G codes times 10, in order."""
    m: tuple[int, ...] = ()
    simple: bool = False
    """Nothing but at most one of G0-G3 and the words N X Y Z I J K R F, all of them plain numbers."""
    motion: int = -1
    """Of a simple block: the G code times 10; -1 when there is none."""
    straight: bool = False
    """A simple block that a line needs nothing but ends and feed of."""
    computed: list[tuple[str, Code]] = field(default_factory=list)
    assignments: list[tuple[Code | str, Code]] = field(default_factory=list)
    """(variable number's code or name, value's code)."""
    statement: str = ""
    """IF, WHILE, GOTO, DO, END, or an O-word's keyword in small letters."""
    label: Code | str | float | None = None
    """O number, O name or its code."""
    arguments: list[Code] = field(default_factory=list)
    """Condition, target, or the arguments of a call."""
    then: Block | None = None
    loop: int = 0
    """n of DOn and ENDn."""
    skip: int = 0
    """n of /n at the beginning; 0 without."""
    order: list[tuple[str, float | Code]] = field(default_factory=list)
    """Words as written, for G65 whose I, J, K may repeat; only filled in blocks with G65 or G66."""
    pointless: str = ""
    """Addresses among P, and I, J, K beside G51, whose number carries no decimal point."""
    messages: list[str] = field(default_factory=list)
    percent: bool = False
    empty: bool = False

    @property
    def is_blank(self) -> bool:
        """Whether the block asks for nothing: a comment, a % or no word at all."""
        return not (self.words or self.g or self.m or self.computed or self.assignments or self.statement)


class Parser:
    def __init__(self, dialect: Dialect, block_delete: frozenset[int] = frozenset()) -> None:
        self.dialect = dialect
        self._block_delete = block_delete
        self.compiler = Compiler(dialect.macro_b)
        self._keep_last = dialect.macro_b

    def parse(self, raw: str) -> Block:
        """The block of one line. Raises BlockFault."""
        messages: list[str] = []
        text = raw
        if "(" in text or ";" in text:
            text = self._without_comments(text, messages)
        text = "".join(text.split()).upper()
        if PLAIN.fullmatch(text) and "O" not in text:
            block = self._plain(text)
        else:
            block = self._general(text)
        block.messages = messages
        return block

    def _without_comments(self, text: str, messages: list[str]) -> str:
        def note(found: re.Match[str]) -> str:
            comment = found[0].strip("(;) \t\r\n")
            if comment[:4].upper() == "MSG,":
                messages.append(comment[4:].strip())
            return " "

        text = COMMENT.sub(note, text)
        while self._keep_last and "(" in text and ")" in text:
            # A FANUC takes a comment within a comment; LinuxCNC does not.
            outer = COMMENT.sub(note, text)
            if outer == text:
                break
            text = outer
        if "(" in text:
            raise BlockFault("PS0009", "comment not closed")
        return text

    def _plain(self, text: str) -> Block:
        strict = self.dialect.strict_addresses
        increment = self.dialect.increment_mm
        words: dict[str, float] = {}
        g: list[int] = []
        m: list[int] = []
        pointless = ""
        simple = True
        for letter, digits in WORDS.findall(text):
            value = float(digits)
            if len(digits) > MOST_DIGITS:
                _check_digits(letter, digits, value, strict=strict)
            if letter == "G":
                g.append(round(value * 10.0))
                if value < 0.0:
                    raise BlockFault("PS0010", f"G{digits}")
                continue
            if letter not in SIMPLE_ADDRESSES:
                simple = False
                if letter == "M":
                    m.append(int(value))
                    if strict and "." in digits:
                        raise BlockFault("PS0007", f"{letter}{digits}")
                    if value < 0.0:
                        raise BlockFault("PS0006", f"{letter}{digits}")
                    continue
                if strict and letter in NO_POINT and "." in digits:
                    raise BlockFault("PS0007", f"{letter}{digits}")
                if letter == "P" and "." not in digits:
                    pointless = "P"
            if strict and value < 0.0 and letter in NO_MINUS:
                raise BlockFault("PS0006", f"{letter}{digits}")
            if increment is not None and letter in LENGTHS and "." not in digits:
                value *= increment
            if letter in words and not self._keep_last:
                raise BlockFault("PS5074", letter)
            words[letter] = value
        if simple and len(g) <= 1 and (not g or g[0] in SIMPLE_MOTION):
            return self._simple(Block(words, tuple(g), (), bool(words or g), g[0] if g else -1, empty=not words and not g))
        if 510 in g:
            pointless = "".join(letter for letter, digits in WORDS.findall(text) if letter in POINTLESS and "." not in digits)
        block = Block(words, tuple(g), tuple(m), pointless=pointless)
        if 650 in g or 660 in g or 661 in g:
            block.order = [(letter, float(digits)) for letter, digits in WORDS.findall(text) if letter not in "GMN"]
        return block

    def _simple(self, block: Block) -> Block:
        """Tell lines from what may be an arc; LinuxCNC refuses a line that has an arc's words."""
        block.straight = block.motion not in ARCS and (self.dialect.macro_b or ARC_WORDS.isdisjoint(block.words))
        return block

    def _general(self, text: str) -> Block:
        block = Block()
        if text.startswith("%"):
            block.percent = True
            return block
        at = 0
        if text.startswith("/"):
            digit = text[1:2]
            block.skip = int(digit) if digit in "123456789" and digit else 1
            at = 2 if digit in "123456789" and digit else 1
        if text[at : at + 1] == "N" and text[at + 1 : at + 2] not in ("[", "#", ""):
            number = NUMBER.match(text, at + 1)
            if number:
                block.words["N"] = float(number[0])
                at = number.end()
        if text[at : at + 1] == "O" or (text[at : at + 1] == ":" and self.dialect.macro_b):
            return self._o_line(text, at + 1, block)
        if self.dialect.macro_b:
            flow = FLOW.match(text, at)
            if flow:
                return self._flow(text, flow, block)
            if text.startswith(("POPEN", "PCLOS", "DPRNT", "BPRNT", "SETVN"), at):
                return block
        self._words(text, at, block)
        return block

    def _words(self, text: str, at: int, block: Block) -> None:
        """Words and assignments from ``at`` to the end of the line."""
        strict = self.dialect.strict_addresses
        g: list[int] = []
        m: list[int] = []
        order: list[tuple[str, float | Code]] = []
        seen: set[str] = set(block.words)
        length, comma = len(text), ""
        while at < length:
            letter = text[at]
            if letter == "#":
                at = self._assignment(text, at, block)
                continue
            if letter == "/":
                # A slash inside the block: the rest is skipped with the switch of that number on; off, it runs.
                digit = text[at + 1 : at + 2]
                if (int(digit) if digit.isdigit() else 1) in self._block_delete:
                    break
                at += 2 if digit.isdigit() else 1
                continue
            if letter == "," and self.dialect.macro_b:
                at += 1
                comma = "," if text[at : at + 1] in CORNERS else ""
                continue
            if not ("A" <= letter <= "Z" or (letter in "@^$" and self.dialect.o_words)):
                raise BlockFault(_STRAY.get(letter, "PS0004" if letter.isdigit() else "PS0009"), letter)
            at += 1
            name, comma = comma + letter, ""
            sign = text[at : at + 1]
            number = NUMBER.match(text, at + 1 if sign in ("-", "+") and sign else at)
            if number:
                start = at
                at = number.end()
                digits = text[start:at]
                value = float(digits)
                if len(digits) > MOST_DIGITS:
                    _check_digits(letter, digits, value, strict=strict)
                if strict:
                    self._check(letter, digits, value)
                if letter in LENGTHS and self.dialect.increment_mm is not None and "." not in digits:
                    value *= self.dialect.increment_mm
                if letter in POINTLESS and "." not in digits:
                    block.pointless += letter
                order.append((name, value))
                if letter == "G":
                    g.append(round(value * 10.0))
                elif letter == "M":
                    m.append(int(value))
                else:
                    if name in seen and not self._keep_last:
                        raise BlockFault("PS5074", name)
                    seen.add(name)
                    block.words[name] = value
                continue
            if sign in ("-", "+") and sign and text[at + 1 : at + 2] in ("-", "+"):
                raise BlockFault("PS0006", letter)
            if sign in ("", "-", "+") and text[at + 1 : at + 2] in ("[", "#") and sign:
                pass
            elif sign in ("", "-", "+") or not (sign in "[#" or sign.isalpha()):
                raise BlockFault("PS0005", letter)
            if sign.isalpha() and sign and not re.match(r"[A-Z]{2,6}\[", text[at:]):
                raise BlockFault("PS0005", letter)
            code, at = self.compiler.value(text, at)
            if name in seen and name not in "GM" and not self._keep_last:
                raise BlockFault("PS5074", name)
            seen.add(name)
            block.computed.append((name, code))
            order.append((name, code))
        block.g = tuple(g)
        block.m = tuple(m)
        if 650 in g or 660 in g or 661 in g:
            block.order = [pair for pair in order if pair[0] not in "GMN"]
        words = block.words
        if not (block.computed or block.assignments or m) and words.keys() <= SIMPLE_ADDRESSES and len(g) <= 1:
            block.simple = bool(words or g) and not block.skip and (not g or g[0] in SIMPLE_MOTION)
            block.motion = g[0] if g else -1
            self._simple(block)
        if self.dialect.macro_b and block.assignments and (g or m or block.computed or words.keys() - {"N"}):
            raise BlockFault("PS0127")
        block.empty = not (words or g or m or block.computed or block.assignments)

    def _check(self, letter: str, digits: str, value: float) -> None:
        if letter in NO_POINT and "." in digits and letter != "N":
            raise BlockFault("PS0007", f"{letter}{digits}")
        if value < 0.0 and letter in NO_MINUS:
            raise BlockFault("PS0010" if letter == "G" else "PS0006", f"{letter}{digits}")

    def _assignment(self, text: str, at: int, block: Block) -> int:
        """``#5=..`` or ``#<name>=..`` at ``at``; the position behind it."""
        name = re.compile(r"#<([^>]*)>").match(text, at)
        target: Code | str
        if name:
            target, at = name[1], name.end()
        else:
            if text[at + 1 : at + 2] in ("", "=", "-", "+"):
                raise BlockFault("PS0114")
            target, at = self.compiler.value(text, at + 1)
        if text[at : at + 1] != "=":
            raise BlockFault("PS0114")
        value, at = (self.compiler.expression if self.dialect.macro_b else self.compiler.value)(text, at + 1)
        block.assignments.append((target, value))
        return at

    def _flow(self, text: str, flow: re.Match[str], block: Block) -> Block:
        """IF, WHILE, GOTO, DO and END of Macro B."""
        word, at = flow[1], flow.end()
        block.statement = word
        if word == "GOTO":
            target, at = self.compiler.expression(text, at)
            block.arguments = [target]
        elif word in ("DO", "END"):
            block.loop, at = self._loop_number(text, at)
        else:
            if text[at] != "[":
                raise BlockFault("PS0114")
            condition, at = self.compiler.value(text, at)
            block.arguments = [condition]
            if word == "WHILE":
                if text[at : at + 2] != "DO":
                    raise BlockFault("PS0125")
                block.loop, at = self._loop_number(text, at + 2)
            elif text.startswith("GOTO", at):
                target, at = self.compiler.expression(text, at + 4)
                block.arguments.append(target)
            elif text.startswith("THEN", at):
                block.then = Block()
                self._words(text, at + 4, block.then)
                at = len(text)
            else:
                raise BlockFault("PS0125")
        if at < len(text):
            raise BlockFault("PS0127" if text[at].isalpha() else "PS0114")
        return block

    @staticmethod
    def _loop_number(text: str, at: int) -> tuple[int, int]:
        digits = re.compile(r"\d+").match(text, at)
        if digits is None or digits[0] not in ("1", "2", "3"):
            raise BlockFault("PS0126")
        return int(digits[0]), digits.end()

    def _o_line(self, text: str, at: int, block: Block) -> Block:
        """``O1234`` as a program's number; in LinuxCNC's dialect also ``O<name> sub`` and its kin."""
        number = re.compile(r"\d+").match(text, at)
        name = re.compile(r"<([^>]*)>").match(text, at)
        if number:
            block.label, at = float(number[0]), number.end()
        elif name and self.dialect.o_words:
            block.label, at = name[1].lower(), name.end()
        elif self.dialect.o_words and text[at : at + 1] in ("[", "#"):
            block.label, at = self.compiler.value(text, at)
        else:
            raise BlockFault("PS0005", "O")
        word = re.compile(r"[A-Z]*").match(text, at)
        keyword = word[0].lower() if word else ""
        if not self.dialect.o_words or not keyword or keyword in ("m", "g", "n"):
            block.statement = "program"
            if at < len(text):
                self._words(text, at, block)
            return block
        if keyword not in O_WORDS:
            raise BlockFault("PS0125", keyword)
        block.statement = keyword
        at += len(keyword)
        while at < len(text):
            if text[at] != "[":
                raise BlockFault("PS0125", text[at])
            code, at = self.compiler.value(text, at)
            block.arguments.append(code)
        return block


def _check_digits(letter: str, digits: str, value: float, *, strict: bool) -> None:
    whole = len(digits.lstrip("+-").split(".")[0].lstrip("0"))
    if abs(value) > LARGEST or (strict and whole > MOST_DIGITS):
        raise BlockFault("PS0003", f"{letter}{digits[:20]}")


_STRAY = {"[": "PS0118", "]": "PS0118", ".": "PS0007", "-": "PS0006", "+": "PS0006"}
"""What a character is when no address stands before it."""

O_WORDS = frozenset(
    [
        "sub",
        "endsub",
        "return",
        "call",
        "do",
        "while",
        "endwhile",
        "if",
        "elseif",
        "else",
        "endif",
        "break",
        "continue",
        "repeat",
        "endrepeat",
    ]
)
