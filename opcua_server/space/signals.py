"""One tick of the machine's columns into the address space.

    columns.numbers  --one assignment per type-->  the engine's columns  -->  all nodes of the signals, read and monitored there
                     --differs from the last tick?-->  who listens: positions, counters, state machines
    columns.objects  --differs?-->  one DataValue  -->  all nodes of the signal

SourceTimestamp is the tick at which value or status last changed (OPC 10000-4, 7.11.3), so equal timestamps mean the same
value everywhere, and a subscriber hears of what changed only. `Simulation/Time` changes at every tick: its timestamp is the
machine's heartbeat. ServerTimestamp is when the value was put.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import numpy as np
from asyncua import ua
from asyncua.server.address_space import AttributeValue
from numpy.typing import NDArray

from cnctwin.reading import Columns, Value
from cnctwin.wire.encode import to_ticks
from nodesets.catalogue import MACHINE, NUMERIC, OBJECTS, Signal
from opcua_server.engine.subscriptions import columns as engine
from opcua_server.engine.subscriptions.columns import Column, differs
from opcua_server.space.publish import put, shown

_V = ua.VariantType
KINDS: Final[dict[str, tuple[ua.VariantType, Callable[[Any], Any]]]] = {
    "Double": (_V.Double, float), "Boolean": (_V.Boolean, bool), "Int32": (_V.Int32, int), "UInt16": (_V.UInt16, int),
    "UInt32": (_V.UInt32, int), "Byte": (_V.Byte, int), "String": (_V.String, str), "DateTime": (_V.DateTime, lambda v: v),
    "LocalizedText": (_V.LocalizedText, lambda v: ua.LocalizedText(str(v), "en")),
}  # fmt: skip
"""Data type of the catalogue -> type on the wire, and what makes a Python value of it."""

_NUMBER: Final = {signal.name: index for index, signal in enumerate(NUMERIC)}
_POSITION: Final = {signal.name: index for index, signal in enumerate(MACHINE)}
_NUMERIC_STATUS: Final = np.array([_POSITION[signal.name] for signal in NUMERIC], dtype=np.intp)

Listener = Callable[[float, int, datetime, datetime], None]
"""(value, status, source time, server time) of a numeric signal that changed."""


@dataclass(slots=True)
class _Text:
    """A signal that is no number, and the nodes that show it."""

    kind: ua.VariantType
    convert: Callable[[Any], Any]
    is_array: bool
    nodes: list[AttributeValue] = field(default_factory=list)


@dataclass(slots=True)
class _Block:
    """Nodes of one type as a column of the engine: row i shows ``columns.numbers[numbers[i]]``."""

    column: Column
    numbers: NDArray[np.intp]
    is_float: bool

    def write(self, numbers: NDArray[np.float64], statuses: NDArray[np.uint32], source: int, server: int) -> None:
        values = numbers[self.numbers]
        if not self.is_float:  # a number that is none has no integer; its status says so
            values = np.nan_to_num(values, nan=0.0)
        self.column.write(values, statuses[self.numbers], source, server)


def _text(signal: Signal) -> _Text:
    is_array = signal.type.endswith("[]")
    kind, convert = KINDS[signal.type.removesuffix("[]")]
    return _Text(kind, (lambda values: [convert(value) for value in values]) if is_array else convert, is_array)


class SignalWriter:
    """Nodes are given by ``show``; ``close`` makes the columns, once, before the first ``write``."""

    def __init__(self) -> None:
        self._shown: dict[str, list[tuple[ua.NodeId, AttributeValue]]] = {}
        self._blocks: list[_Block] = []
        self._texts: dict[str, _Text] = {signal.name: _text(signal) for signal in OBJECTS}
        self._objects = [(signal.name, _POSITION[signal.name], self._texts[signal.name]) for signal in OBJECTS]
        self._listeners: dict[int, list[Listener]] = {}
        self._heard = np.empty(0, dtype=np.intp)
        self._numbers = np.full(len(NUMERIC), np.nan)
        self._statuses = np.full(len(NUMERIC), 0xFFFF_FFFF, dtype=np.uint32)
        self._seen: dict[str, tuple[Value, int]] = {}
        self._after: list[Callable[[Columns, datetime, datetime], None]] = []

    def show(self, name: str, node_id: ua.NodeId, held: AttributeValue) -> None:
        """Let a node show a signal; ``held`` is the place of its value."""
        if name in self._texts:
            self._texts[name].nodes.append(held)
        else:
            self._shown.setdefault(name, []).append((node_id, held))

    def close(self, columns: engine.Columns, moment: datetime) -> None:
        """Make the columns. Nodes wait for initial data, since ``moment``, until the first tick."""
        by_type: dict[str, list[tuple[int, ua.NodeId, AttributeValue]]] = {}
        for index, signal in enumerate(NUMERIC):
            for node_id, held in self._shown.get(signal.name, ()):
                by_type.setdefault(signal.type, []).append((index, node_id, held))
        for type_, rows in by_type.items():
            kind = KINDS[type_][0]
            column = columns.add(kind, [node_id for _, node_id, _ in rows])
            column.sources[:] = column.servers[:] = to_ticks(moment)
            for row, (_, _, held) in enumerate(rows):
                # What asks asyncua for the value gets the column's too.
                held.value_callback = functools.partial(_value_of, column.slot(row))
            self._blocks.append(_Block(column, np.array([index for index, _, _ in rows], dtype=np.intp), kind is _V.Double))

    def listen(self, name: str, listener: Listener) -> None:
        """Be told when a numeric signal changes, after its own nodes have it."""
        self._listeners.setdefault(_NUMBER[name], []).append(listener)
        self._heard = np.array(sorted(self._listeners), dtype=np.intp)

    def after(self, listener: Callable[[Columns, datetime, datetime], None]) -> None:
        """Be told at the end of each tick."""
        self._after.append(listener)

    def write(self, columns: Columns, moment: datetime, server_time: datetime) -> int:
        """Show one tick; how many signals changed. Nothing is awaited in between."""
        numbers = columns.numbers
        statuses = columns.statuses[_NUMERIC_STATUS]
        source, server = to_ticks(moment), to_ticks(server_time)
        for block in self._blocks:
            block.write(numbers, statuses, source, server)
        changed = differs(numbers, self._numbers) | (statuses != self._statuses)
        self._numbers[:] = numbers
        self._statuses[:] = statuses
        count = int(np.count_nonzero(changed)) + self._write_objects(columns.objects, columns.statuses, moment, server_time)
        for index in self._heard[changed[self._heard]].tolist():
            number = float(numbers[index])
            for listener in self._listeners[index]:
                listener(number if number == number else 0.0, int(statuses[index]), moment, server_time)
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


def _value_of(slot: engine.ColumnSlot, _node_id: ua.NodeId, _attribute: Any) -> ua.DataValue:
    return slot.value
