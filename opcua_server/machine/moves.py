"""What the interpreter hands to the motion: one move after another, with the modal state it runs under.

    NC text --interpreter--> Move, Move, Move ... --planner--> position over time --axes, process--> signals

Pure data. Lengths in mm, machine coordinates unless said otherwise; feeds in mm/min; times in s; angles in degrees.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Point = tuple[float, float, float]

MoveKind = Literal[
    "rapid",  # G0, G28, G30, G53: straight line at rapid
    "feed",  # G1 and the cutting strokes of canned cycles
    "arc",  # G2, G3 and helices
    "tap",  # stroke in step with the spindle (G74 and G84 after M29, G33)
    "probe",  # G31, G38.x
    "dwell",  # G4 and the dwells of canned cycles
    "toolchange",  # M6
    "spindle",  # M3, M4, M5, M19, S: takes effect, waits for the speed
    "index",  # G33: waits for the angle of the spindle at which each thread begins
    "coolant",  # M7, M8, M9
    "stop",  # M0; M1 with the text ``OPTIONAL``, where it is asked for
    "end",  # M2, M30, M99 of a main program, the last %
    "message",  # MSG comment, #3006
    "block",  # nothing: the end of a block that has no moves of its own, for single block
]


OPTIONAL: Final = "optional"
ORIENTED_DEG: Final = 0.0
"""Angle of the spindle at which the arm takes the tool, and at which boring cycles leave the wall."""


@dataclass(frozen=True, slots=True)
class Modal:
    """The modal state a block runs under. One object is shared by all moves until something changes."""

    g_codes: tuple[int, ...] = ()
    """Active G codes times 10, one of each modal group, ascending."""
    work_offset: int = 54
    zero_offset: Point = (0.0, 0.0, 0.0)
    """Machine coordinates of the active work zero (work offset, G52, G92), without tool length."""
    spindle_speed: float = 0.0
    """S, r/min."""
    spindle_direction: int = 0
    """0 stopped, 1 clockwise (M3), -1 counter-clockwise (M4)."""
    coolant_mist: bool = False
    coolant_flood: bool = False
    tool: int = 0
    """Tool in the spindle."""
    tool_length: float = 0.0
    """Active length compensation, mm."""
    exact_stop: bool = False
    """G61, or G9 in this block."""
    feed_per_rev: bool = False
    spindle_angle_deg: float | None = None
    """At which the spindle stands (M19, and within G76 and G87); None where it stands anywhere."""
    overrides: bool = True
    """False after M49: feed and spindle go as programmed, whatever the operator sets; rapids as he sets them."""


@dataclass(frozen=True, slots=True)
class Move:
    """One executed piece of a block.

    ``end`` and ``work`` say where the tool's reference point is after it: machine coordinates, and as programmed. An arc
    turns by ``turns`` (1.0 is a full circle, positive counter-clockwise seen against ``normal``) around ``centre``.
    """

    kind: MoveKind
    line: int
    """Line of the file, from 1."""
    end: Point
    work: Point
    feed: float = 0.0
    """mm/min; 0 for what is not cut at a feed."""
    centre: Point | None = None
    normal: Point | None = None
    turns: float = 0.0
    dwell_s: float = 0.0
    tool: int = 0
    """The tool a toolchange brings."""
    text: str = ""
    """A message's text."""
    program: str = ""
    """Name of the program or subprogram the block is in, such as O1001."""
    block: str = ""
    """The block as written."""
    modal: Modal = field(default_factory=Modal)
    thread: Literal["", "in", "out"] = ""
    """Of a tapping cycle: behind it the tool is in the thread, or out of it again. No override acts on it, and no hold within."""
    lead_mm: float = 0.0
    """Of a stroke of rigid tapping: way for one turn of the spindle, which goes in step with it; negative in a left-hand thread."""

    @property
    def turns_per_mm(self) -> float:
        """Of the spindle along a stroke of rigid tapping, positive clockwise; 0 where the spindle goes its own way."""
        if not self.lead_mm:
            return 0.0
        return (1.0 if self.thread == "in" else -1.0) / self.lead_mm


class NcAlarm(Exception):
    """A program cannot go on: a Fanuc-style alarm at its block. Blocks before it are executed, this one is not begun.

    ``number`` is such as "PS0020"; ``line`` counts from 1 in the file; ``program`` is the O number or the file's name.
    """

    def __init__(self, number: str, text: str, line: int, program: str = "", block: str = "") -> None:
        super().__init__(f"{number} {text} ({program or 'program'} line {line}: {block.strip()})")
        self.number = number
        self.text = text
        self.line = line
        self.program = program
        self.block = block
