"""What the machine has to do: the NC programs stored on it, the blank each is cut from, and in which order they come.

A program is read ahead once when it is loaded, with the same interpreter that later runs it: that gives its blank (from the
STOCK comment, else the box of its cutting moves) and the planned time of its moves. An alarm in it stays where it is: it comes
when the run reaches its block.
"""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nodesets.catalogue import TRAVEL_MM
from opcua_server.machine.gcode import Budget, interpret
from opcua_server.machine.gcode.tables import Limits, ToolTable, WorkOffsets
from opcua_server.machine.gcode.tables import Tool as OffsetRow
from opcua_server.machine.listing import Listing
from opcua_server.machine.moves import Modal, Move, NcAlarm, Point
from opcua_server.machine.parameters import VF2
from opcua_server.machine.process.blank import Blank, enclosing_blank, read_blank
from opcua_server.machine.tools import CUTTERS, POCKETS

G54: Final[Point] = (-440.0, -260.0, -420.0)
"""Work zero of G54 in machine coordinates: lower left corner of the vice jaws. G55-G59 lie at the other stations beside it."""
STATIONS: Final[dict[int, Point]] = {1: G54, 2: (-640.0, -260.0, -420.0), 3: (-240.0, -260.0, -420.0),
                                     4: (-640.0, -340.0, -420.0), 5: G54, 6: (-240.0, -340.0, -420.0)}  # fmt: skip
HOME: Final[Point] = (0.0, 0.0, 0.0)
ARM_Z_MM: Final = 0.0
"""Machine Z at which the arm reaches the spindle."""
READ_AHEAD_MOVES: Final = 30_000
"""Longer programs are not read ahead to their end, which would hold up the machine: the rest is taken to be like what was read."""
BUDGET: Final = Budget(idle_blocks=20_000)
"""A program that loops without a move ends in an alarm before the machine's own time is held up by it."""
ALL_SKIPS: Final = frozenset(range(1, 10))
BATCH_PARTS: Final = 4
"""Parts of one program before the next one of the machine's order comes."""
PLACES: Final = 8
"""From so many places runs of a program are kept: where the axes are at home, and where each of the programs leaves them."""
NAME: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
LARGEST_PROGRAM: Final = 16 * 2**20

_PLANNED_S: Final = {"toolchange": 4.5, "spindle": 1.0}


@dataclass(frozen=True, slots=True)
class Job:
    """A program read ahead. ``planned_s: (n_moves,)`` cumulative planned time at the end of each move."""

    name: str
    text: str
    lines: tuple[str, ...]
    blank: Blank | None
    origin_mm: Point
    """Where the blank's zero lies, machine coordinates."""
    planned_s: npt.NDArray[np.float64]
    total_s: float
    tools: frozenset[int] = frozenset()
    """Numbers of the tools that it changes to, as far as it was read."""
    alarm: NcAlarm | None = None
    """In which a run would end, where that was found ahead."""


def offset_memory() -> ToolTable:
    """The control's offset memory: H and D of the magazine's tools. A new one for each run: G10 may write it."""
    rows = {number: OffsetRow(length=type_.length_mm, radius=type_.diameter_mm / 2.0) for number, type_ in CUTTERS.items()}
    return ToolTable(rows, largest=POCKETS, change_z_mm=ARM_Z_MM)


def work_offsets() -> WorkOffsets:
    return WorkOffsets(systems=dict(STATIONS))


LIMITS: Final = Limits(
    (TRAVEL_MM["X"][0], TRAVEL_MM["Y"][0], TRAVEL_MM["Z"][0]), (TRAVEL_MM["X"][1], TRAVEL_MM["Y"][1], TRAVEL_MM["Z"][1])
)


@functools.lru_cache(maxsize=16)
def read_ahead(name: str, text: str, subprograms: tuple[tuple[str, str], ...] = ()) -> Job:
    """The job of a program; the same text is read once for all machines of a process."""
    times, total, previous = [], 0.0, HOME
    low, high = [math.inf] * 3, [-math.inf] * 3
    origin: Point | None = None
    alarm: NcAlarm | None = None
    tools: set[int] = set()
    run = interpret(
        text, tools=offset_memory(), offsets=work_offsets(), limits=LIMITS, name=name, budget=BUDGET, optional_stop=True,
        every_block=True,
        resolve=functools.partial(_subprogram, dict(subprograms)),
    )  # fmt: skip
    try:
        for move in run:
            total += _planned_s(move, previous)
            times.append(total)
            if move.kind in ("feed", "arc", "tap"):
                origin = origin if origin is not None else move.modal.zero_offset
                for point in (previous, move.end):
                    for axis, value in enumerate(_in_work(point, move, origin)):
                        low[axis], high[axis] = min(low[axis], value), max(high[axis], value)
            if move.kind == "toolchange":
                tools.add(move.tool)
            previous = move.end
            if len(times) >= READ_AHEAD_MOVES:
                total *= max(1.0, text.count("\n") / move.line)
                break
    except NcAlarm as found:
        alarm = found  # it belongs to the run, at its block
    blank = read_blank(text)
    if blank is None and low[2] < 0.0:
        blank = enclosing_blank((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    return Job(name, text, tuple(text.splitlines()), blank, origin or G54, np.array(times), total, frozenset(tools), alarm)


@functools.lru_cache(maxsize=1)
def power_on_modal() -> Modal:
    """What holds on the control before any program."""
    return next(interpret("M30\n", tools=offset_memory(), offsets=work_offsets(), limits=LIMITS)).modal


def _in_work(point: Point, move: Move, origin: Point) -> Point:
    x0, y0, z0 = origin
    return (point[0] - x0, point[1] - y0, point[2] - z0 - move.modal.tool_length)


def _subprogram(programs: Mapping[str, str], name: str) -> str | None:
    """Text of the program "O1234": the file of that name, or the first whose text begins with that number."""
    number = name.lstrip("Oo").lstrip("0")
    begins = re.compile(rf"[%\s]*[Oo:]0*{re.escape(number)}(?!\d)")
    for file_name, text in programs.items():
        if file_name.rsplit(".", 1)[0].upper() == name.upper() or begins.match(text):
            return text
    return None


def _planned_s(move: Move, start: Point) -> float:
    """Time of a move at its feed, without acceleration: good enough for a share of the whole."""
    if move.kind == "dwell":
        return move.dwell_s
    if move.kind == "block":
        return 0.0
    if move.kind in _PLANNED_S:
        return _PLANNED_S[move.kind]
    length = way_mm(move, start)
    if move.kind == "rapid":
        return 0.08 + length / VF2.limits[0].velocity_mm_s
    feed = move.feed if move.feed > 0.0 else VF2.limits[0].velocity_mm_s * 60.0
    return length * 60.0 / feed


def way_mm(move: Move, start: Point) -> float:
    """Length of a move from there; that of a helix without its pitch."""
    length = math.dist(start, move.end)
    if move.kind == "arc" and move.centre is not None:
        length = max(length, math.dist(move.centre, move.end) * 2.0 * math.pi * abs(move.turns))
    return length


class Runs:
    """What all runs of a program have in common, on all machines of a process."""

    def __init__(self, interpret: Callable[[Point], Iterator[Move]]) -> None:
        self._interpret = interpret
        self._first: Listing | None = None
        self._begun: dict[Point, Listing] = {}

    def begin(self, position_mm: Point) -> Listing:
        """A run that begins with the axes there."""
        known = self._begun.get(position_mm)
        if known is None:
            if len(self._begun) >= PLACES:
                self._begun.clear()
            known = self._begun[position_mm] = Listing(lambda: self._interpret(position_mm), self._first)
            self._first = self._first or known
        return known


@functools.lru_cache(maxsize=12)
def _runs(name: str, text: str, programs: tuple[tuple[str, str], ...], block_skip: bool) -> Runs:
    return Runs(lambda position_mm: interpret(
        text, tools=offset_memory(), offsets=work_offsets(), limits=LIMITS, name=name, start=position_mm,
        optional_stop=True, block_delete=ALL_SKIPS if block_skip else frozenset(), budget=BUDGET,
        every_block=True, resolve=functools.partial(_subprogram, dict(programs)),
    ))  # fmt: skip


class Library:
    """Programs on one machine. ``order``: names in the order the machine takes them when nobody chose one."""

    def __init__(self, programs: Mapping[str, str], order: list[str], selected: str | None) -> None:
        self._shipped = dict(programs)
        self._stored: dict[str, str] = {}
        self._order = order
        self.selected = selected if selected is not None else (order[0] if order else None)
        self.chosen = selected is not None
        """Whether somebody chose the program: then it is repeated until another one is loaded."""
        self._parts_of_batch = 0

    def __contains__(self, name: str) -> bool:
        return name in self._stored or name in self._shipped

    def names(self) -> list[str]:
        return sorted(self._shipped.keys() | self._stored.keys())

    def text(self, name: str) -> str:
        return self._stored[name] if name in self._stored else self._shipped[name]

    def store(self, name: str, text: str) -> None:
        """Keep a program on the machine; ValueError for a name or size that it does not take."""
        if not NAME.fullmatch(name) or name.startswith("."):
            raise ValueError("Name may have letters, digits, - _ and . and up to 64 characters")
        if len(text) > LARGEST_PROGRAM:
            raise ValueError(f"A program may have {LARGEST_PROGRAM} characters")
        self._stored[name] = text

    def select(self, name: str) -> None:
        self.selected, self.chosen, self._parts_of_batch = name, True, 0

    def part_done(self) -> bool:
        """A part is finished; True when another program comes next."""
        self._parts_of_batch += 1
        if self.chosen or self._parts_of_batch < BATCH_PARTS or len(self._order) < 2 or self.selected is None:
            return False
        self._parts_of_batch = 0
        at = self._order.index(self.selected) if self.selected in self._order else -1
        self.selected = self._order[(at + 1) % len(self._order)]
        return True

    def job(self, name: str, text: str | None = None) -> Job:
        """A program read ahead; ``text``: instead of the one that is stored. KeyError when there is none."""
        return read_ahead(name, self.text(name) if text is None else text, tuple(self._all().items()))

    def moves(self, name: str, position_mm: Point, *, block_skip: bool) -> Iterator[Move]:
        """The run of a program from its beginning, with its optional stops; raises NcAlarm when it meets one."""
        runs = _runs(name, self.text(name), tuple(self._all().items()), block_skip)
        return iter(runs.begin(position_mm))

    def _all(self) -> dict[str, str]:
        return {**self._shipped, **self._stored}

    def save(self) -> dict[str, object]:
        return {"stored": self._stored, "selected": self.selected, "chosen": self.chosen, "batch": self._parts_of_batch}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take up a ``save``; a program that the caller asked for by name stays selected."""
        self._stored = {str(name): str(text) for name, text in saved["stored"].items()}
        if saved["selected"] in self and not self.chosen:
            self.selected, self.chosen = saved["selected"], bool(saved["chosen"])
            self._parts_of_batch = int(saved["batch"])
