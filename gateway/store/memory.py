"""What an earlier run left, as the gateway takes it up again when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from cnctwin.link import LinkAlarm
from gateway.store.reader import Reader


@dataclass(slots=True)
class Memory:
    """All lists are oldest first. ``external`` are the machines of which only sent-in telemetry is known."""

    alarms: list[LinkAlarm] = field(default_factory=list)
    records: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """(kind, machine id, record)"""
    documents: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    external: set[str] = field(default_factory=set)
    forests: list[tuple[str, bytes]] = field(default_factory=list)
    """(machine id, content) as ``gateway.twin.forest`` packed it."""


def remember(reader: Reader, until_us: int, *, alarms: int, records: int, documents: int) -> Memory:
    """The last so many of each, for each machine."""
    memory = Memory()
    for machine, time_us, severity, code, text, active in reader.events(alarms):
        memory.alarms.append(LinkAlarm(machine, time_us * 1000, severity, code, text, active))
    for kind in ("prediction", "anomaly"):
        memory.records += [(kind, machine, body) for machine, body in reader.records(kind, records)]
    memory.forests = reader.forests()
    for machine in reader.machines():
        memory.documents[machine] = reader.documents(machine, until_us, documents)
        if reader.is_external(machine):
            memory.external.add(machine)
    return memory
