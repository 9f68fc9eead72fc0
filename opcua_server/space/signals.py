"""One tick of the machine's columns into the nodes that show them.

    columns.numbers  --- differs from the last tick? --->  one DataValue  --->  all nodes of the signal
    columns.objects  --/                                                  \\-->  positions, counters, state machines

SourceTimestamp is the tick at which value or status last changed (OPC 10000-4, 7.11.3), so equal timestamps mean the same
value everywhere, and a subscriber hears of what changed only. `Simulation/Time` changes at every tick: its timestamp is the
machine's heartbeat. ServerTimestamp is when the value was put.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
from asyncua import ua
from asyncua.server.address_space import AttributeValue

from cnctwin.reading import Columns, Value
from nodesets.catalogue import MACHINE, NUMERIC, OBJECTS, Signal
from opcua_server.space.publish import put, shown

_V = ua.VariantType
KINDS: Final[dict[str, tuple[ua.VariantType, Callable[[Any], Any]]]] = {
    "Double": (_V.Double, float), "Boolean": (_V.Boolean, bool), "Int32": (_V.Int32, int), "UInt16": (_V.UInt16, int),
    "UInt32": (_V.UInt32, int), "Byte": (_V.Byte, int), "String": (_V.String, str), "DateTime": (_V.DateTime, lambda v: v),
    "LocalizedText": (_V.LocalizedText, lambda v: ua.LocalizedText(str(v), "en")),
}  # fmt: skip
"""Data type of the catalogue -> type on the wire, and what makes a Python value of it."""

_POSITION: Final = {signal.name: index for index, signal in enumerate(MACHINE)}
_NUMERIC_STATUS: Final = np.array([_POSITION[signal.name] for signal in NUMERIC], dtype=np.intp)

Listener = Callable[[float, int, datetime, datetime], None]
"""(value, status, source time, server time) of a numeric signal that changed."""


@dataclass(slots=True)
class _Row:
    kind: ua.VariantType
    convert: Callable[[Any], Any]
    is_array: bool
    nodes: list[AttributeValue] = field(default_factory=list)
    listeners: list[Listener] = field(default_factory=list)


def _row(signal: Signal) -> _Row:
    is_array = signal.type.endswith("[]")
    kind, convert = KINDS[signal.type.removesuffix("[]")]
    return _Row(kind, (lambda values: [convert(value) for value in values]) if is_array else convert, is_array)


class SignalWriter:
    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {signal.name: _row(signal) for signal in MACHINE}
        self._numeric = [self._rows[signal.name] for signal in NUMERIC]
        self._objects = [(signal.name, _POSITION[signal.name], self._rows[signal.name]) for signal in OBJECTS]
        self._numbers = np.full(len(NUMERIC), np.nan)
        self._numeric_statuses = np.full(len(NUMERIC), 0xFFFF_FFFF, dtype=np.uint32)
        self._seen: dict[str, tuple[Value, int]] = {}
        self._after: list[Callable[[Columns, datetime, datetime], None]] = []

    def show(self, name: str, node: AttributeValue) -> None:
        """Let a node show a signal."""
        self._rows[name].nodes.append(node)

    def listen(self, name: str, listener: Listener) -> None:
        """Be told when a numeric signal changes, after its own nodes have it."""
        self._rows[name].listeners.append(listener)

    def after(self, listener: Callable[[Columns, datetime, datetime], None]) -> None:
        """Be told at the end of each tick."""
        self._after.append(listener)

    def write(self, columns: Columns, moment: datetime, server_time: datetime) -> int:
        """Show one tick; how many signals changed. Nothing is awaited in between."""
        numbers = columns.numbers
        statuses = columns.statuses[_NUMERIC_STATUS]
        changed = np.flatnonzero((numbers != self._numbers) | (statuses != self._numeric_statuses))
        rows = self._numeric
        told: list[tuple[_Row, float, int]] = []
        for index, number, status in zip(changed.tolist(), numbers[changed].tolist(), statuses[changed].tolist(), strict=True):
            row = rows[index]
            usable = number if number == number or row.kind is _V.Double else 0.0
            value = shown(row.convert(usable), row.kind, status, moment, server_time)
            for node in row.nodes:
                put(node, value)
            if row.listeners:
                told.append((row, usable, status))
        self._numbers[:] = numbers
        self._numeric_statuses[:] = statuses
        count = len(changed) + self._write_objects(columns.objects, columns.statuses, moment, server_time)
        for row, number, status in told:
            for listener in row.listeners:
                listener(number, status, moment, server_time)
        for listen in self._after:
            listen(columns, moment, server_time)
        return count

    def _write_objects(self, objects: Mapping[str, Value], statuses: Any, moment: datetime, server_time: datetime) -> int:
        count = 0
        seen = self._seen
        for name, position, row in self._objects:
            content = objects.get(name)
            if content is None:
                continue
            status = int(statuses[position])
            if seen.get(name) == (content, status):
                continue
            seen[name] = (list(content) if isinstance(content, list) else content, status)  # type: ignore[assignment]
            value = shown(row.convert(content), row.kind, status, moment, server_time, row.is_array)
            for node in row.nodes:
                put(node, value)
            count += 1
        return count
