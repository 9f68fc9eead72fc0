"""A program's text as lines, and where its labels stand: N numbers, O numbers, DO/END pairs, O-word statements."""

from __future__ import annotations

import re
from bisect import bisect_right

from opcua_server.machine.gcode.blocks import Block

_SEQUENCE = re.compile(r"\s*(?:/\s*\d?\s*)?[Nn]\s*(\d+)")
_NUMBER = re.compile(r"\s*(?:/\s*\d?\s*)?(?:[Nn]\s*[\d.]+\s*)?[Oo:]\s*(\d+)\s*([A-Za-z]*)")
_LABEL = re.compile(
    r"(?:/\d?)?(?:N[\d.]+)?O(\d+|<[^>]*>)"
    r"(SUB|ENDSUB|RETURN|CALL|DO|WHILE|ENDWHILE|IF|ELSEIF|ELSE|ENDIF|BREAK|CONTINUE|REPEAT|ENDREPEAT)"
)
_LOOP = re.compile(r"(?:/\d?)?(?:N\d+)?(?:WHILE\[.*\])?(DO|END)([123])$")
_COMMENT = re.compile(r"\([^()]*\)|;.*")


def bare(line: str) -> str:
    """The line without comments and spaces, in capitals."""
    if "(" in line or ";" in line:
        line = _COMMENT.sub(" ", line)
    return "".join(line.split()).upper()


class Program:
    """Lines of one text. ``blocks`` keeps parsed lines once ``keep`` is set, which the first jump back does.

    ``closed``: what stands behind a second line of % does not belong to it.
    """

    def __init__(self, name: str, text: str, *, closed: bool = False) -> None:
        self.name = name
        self.lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        if self.lines and not self.lines[-1]:
            self.lines.pop()
        if closed:
            self._close()
        self.blocks: list[Block | None] = [None] * len(self.lines)
        self.keep = False
        self._numbers: dict[int, list[int]] | None = None
        self._sections: list[int] | None = None
        self._programs: dict[int, int] = {}
        self._labels: dict[str, list[tuple[int, str]]] | None = None
        self._loop_ends: dict[int, int | None] = {}

    def _close(self) -> None:
        first = next((line.strip() for line in self.lines if line.strip()), "")
        marks = [index for index, line in enumerate(self.lines) if line.strip() == "%"]
        if first == "%" and len(marks) > 1:
            del self.lines[marks[1] + 1 :]

    def sections(self) -> list[int]:
        """Lines that begin with a program number, ascending."""
        if self._sections is None:
            self._sections = []
            for index, line in enumerate(self.lines):
                found = _NUMBER.match(line) if "O" in line or "o" in line or ":" in line else None
                if found and found[2].upper() in ("", "M", "G", "N"):
                    self._sections.append(index)
                    self._programs.setdefault(int(found[1]), index)
        return self._sections

    def program_line(self, number: int) -> int | None:
        """Line of ``O number``."""
        self.sections()
        return self._programs.get(number)

    def leader(self) -> int:
        """The line before the first that says anything: past the tape's leading %."""
        return next((i for i, line in enumerate(self.lines) if line.strip() not in ("", "%")), 0) - 1

    def _section(self, index: int) -> tuple[int, int]:
        """First line and line behind the last of the program around ``index``."""
        starts = self.sections()
        at = bisect_right(starts, index)
        return (starts[at - 1] if at else 0, starts[at] if at < len(starts) else len(self.lines))

    def sequence_line(self, number: int, from_index: int) -> int | None:
        """Line of ``N number`` in the program around ``from_index``: searched onwards, then from its beginning."""
        if self._numbers is None:
            self._numbers = {}
            for index, line in enumerate(self.lines):
                found = _SEQUENCE.match(line)
                if found:
                    self._numbers.setdefault(int(found[1]), []).append(index)
        begin, end = self._section(from_index)
        places = [place for place in self._numbers.get(number, ()) if begin <= place < end]
        later = [place for place in places if place > from_index]
        return later[0] if later else places[0] if places else None

    def sequence_before(self, line: int) -> int:
        """The last N number up to a line (from 1) of its program; 0 without."""
        first, _ = self._section(line - 1)
        for text in reversed(self.lines[first:line]):
            found = _SEQUENCE.match(text)
            if found:
                return int(found[1])
        return 0

    def loop_end(self, index: int, number: int) -> int | None:
        """Line of the END that closes the DO ``number`` on line ``index``."""
        if index not in self._loop_ends:
            self._loop_ends[index] = None
            _, end = self._section(index)
            for place in range(index + 1, end):
                line = self.lines[place]
                if "END" in line.upper():
                    found = _LOOP.match(bare(line))
                    if found and found[1] == "END" and int(found[2]) == number:
                        self._loop_ends[index] = place
                        break
        return self._loop_ends[index]

    def labels(self, name: str) -> list[tuple[int, str]]:
        """Lines of O-word statements of that label: (line, keyword in small letters)."""
        if self._labels is None:
            self._labels = {}
            for index, line in enumerate(self.lines):
                if "o" in line or "O" in line:
                    found = _LABEL.match(bare(line))
                    if found:
                        label = found[1].strip("<>").lower()
                        label = str(int(label)) if label.isdigit() else label
                        self._labels.setdefault(label, []).append((index, found[2].lower()))
        return self._labels.get(name, [])

    def next_label(self, name: str, after: int, keywords: tuple[str, ...]) -> tuple[int, str] | None:
        return next(((i, word) for i, word in self.labels(name) if i > after and word in keywords), None)

    def previous_label(self, name: str, before: int, keywords: tuple[str, ...]) -> tuple[int, str] | None:
        found = [(i, word) for i, word in self.labels(name) if i < before and word in keywords]
        return found[-1] if found else None
