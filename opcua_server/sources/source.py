"""Where a machine's state comes from. The address space knows a source only by this contract.

A source has no clock and starts no task: the server's loop calls ``advance`` with the time that passed and reads the columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from cnctwin.reading import Columns, Value


@dataclass(frozen=True, slots=True)
class Identity:
    """Name plate of a machine (OPC 40501-1, MachineToolIdentificationType)."""

    machine_id: str
    manufacturer: str
    model: str
    serial_number: str
    product_instance_uri: str
    year_of_construction: int
    location: str
    """As umati expects it: ``N 51.257315 E 6.740885``."""
    software_revision: str
    manufacturer_uri: str = "urn:cnctwin"
    hardware_revision: str = "1"
    device_revision: str = "1"
    month_of_construction: int = 1
    asset_id: str = ""
    """Of whoever runs the machine; empty: the machine's id."""
    components: tuple[tuple[str, str, str], ...] = ()
    """(name, manufacturer, serial number) of Spindle1, AxisX ..."""


EventKind = Literal[
    "alarm", "alarm_cleared", "message", "tool_changed", "program_started", "program_ended", "state_changed", "fault"
]


@dataclass(frozen=True, slots=True)
class SourceEvent:
    """Something that happened at a moment. ``severity`` is 1-1000 (OPC 10000-5); alarms are above 333, messages up to it."""

    kind: EventKind
    source_time_ns: int
    severity: int
    code: str
    text: str
    details: dict[str, Value] = field(default_factory=dict)


class CommandRefused(Exception):
    """A command cannot be carried out now. ``reason`` decides the OPC UA status code the caller sees; ``place``: which of the
    arguments it is, where the reason is one."""

    def __init__(self, reason: Literal["state", "argument", "not_found"], text: str, place: int = 0) -> None:
        super().__init__(text)
        self.reason = reason
        self.place = place


@dataclass(frozen=True, slots=True)
class ToolState:
    """One pocket of the magazine: lengths in mm, life in minutes in cut."""

    number: int
    name: str
    kind: str
    diameter: float
    teeth: int
    length: float
    wear_percent: float
    cutting_time: float
    life: float
    in_spindle: bool
    locked: bool
    broken: bool = False
    uses: int = 0
    """How often it was brought to the spindle since its edge was new."""
    cut_m: float = 0.0
    """Path in cut since its edge was new, m."""
    last_used_ns: int = 0
    """When it left the spindle last; 0 for never."""
    planned: bool = False
    """Whether the loaded program changes to it."""


class Source(Protocol):
    """One machine: simulated, replayed, or another OPC UA server."""

    @property
    def identity(self) -> Identity: ...

    def advance(self, dt_s: float, now_ns: int) -> None:
        """Let ``dt_s`` seconds of the machine's own time pass; ``now_ns`` stamps what is shown afterwards."""

    def columns(self) -> Columns:
        """All signals at the present moment. The arrays are the source's own: read them before the next ``advance``."""

    def tools(self) -> Sequence[ToolState]: ...

    def take_events(self) -> list[SourceEvent]:
        """Events since the last call, oldest first."""

    def call(self, method: str, arguments: Sequence[Value]) -> None:
        """Carry out a method of ``nodesets.methods``; raises CommandRefused."""

    def program(self, name: str) -> str:
        """Text of a program that the machine has. KeyError when it has none of that name."""

    def flaw(self, name: str, text: str | None = None) -> str:
        """The alarm that a program would end in, with its line; empty when none is found ahead of a run. ``text`` None: the
        program of that name on the machine. KeyError when it has none."""

    def set_repeat(self, on: bool) -> None:
        """Whether the machine goes on by itself after each part, or stands until it is told to start."""

    def checkpoint(self) -> dict[str, object]:
        """What must survive a restart, as JSON data: counters, tool wear, faults, overrides, the loaded program."""
