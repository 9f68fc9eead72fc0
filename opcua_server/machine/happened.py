"""What a control reports: alarms that are on, and things that happened, in machine time."""

from __future__ import annotations

from dataclasses import dataclass, field

from cnctwin.reading import Value
from opcua_server.sources.source import EventKind


@dataclass(frozen=True, slots=True)
class Alarm:
    code: str
    text: str
    time_s: float


@dataclass(frozen=True, slots=True)
class Happened:
    """Something to report: turned into a SourceEvent by whoever knows the wall clock. ``time_s``: machine time."""

    kind: EventKind
    time_s: float
    severity: int
    code: str
    text: str
    details: dict[str, Value] = field(default_factory=dict)
