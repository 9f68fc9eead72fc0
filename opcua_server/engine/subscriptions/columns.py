"""Live variables as numpy columns: one assignment per tick, whatever the number of variables, and packed notifications.

    write(values)   values    |1.0|2.0|3.0|        a run of doubles in a notification is one structured array:
                    statuses  | 0 | 0 | 0 |   -->   handle mask type value status source server | handle mask ...
                    stamps    | 7 | 9 | 9 |

``stamps`` holds the number of the change (``Changes``) at which value or status of a row last changed; "what changed since the
last publish" is a comparison with it. SourceTimestamp is the tick of the last change (OPC 10000-4, 7.11.3). Times are 100 ns
since 1601. Under a Bad status the value on the wire is Null.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cnctwin.wire import encode
from cnctwin.wire.scalars import to_datetime, ua
from opcua_server.engine.subscriptions.backlog import Keeper
from opcua_server.engine.subscriptions.ticks import Ticks

SOURCE, SERVER, BOTH, NEITHER = range(4)
"""TimestampsToReturn (OPC 10000-4, 7.40)."""
_WAITING: Final = 0x80320000
_DTYPES: Final = {
    ua.VariantType.Boolean: "?", ua.VariantType.SByte: "i1", ua.VariantType.Byte: "u1", ua.VariantType.Int16: "<i2",
    ua.VariantType.UInt16: "<u2", ua.VariantType.Int32: "<i4", ua.VariantType.UInt32: "<u4", ua.VariantType.Int64: "<i8",
    ua.VariantType.UInt64: "<u8", ua.VariantType.Float: "<f4", ua.VariantType.Double: "<f8",
}  # fmt: skip

Record = tuple[int, bytes, int]
"""(count, encoded MonitoredItemNotifications, bytes of each): equal ones can be split without being decoded."""

Tap = Callable[[NDArray[np.bool_], int, int], None]
"""(which rows changed, source time, server time) of a write."""


class Changes:
    """Numbers the changes of everything that is monitored; the order in which things became different."""

    __slots__ = ("number",)

    def __init__(self) -> None:
        self.number = 0


class Rows:
    """Arrays of one type that a notification is packed from: a column, or what a slower sampling saw of it."""

    def __init__(self, kind: ua.VariantType, size: int) -> None:
        self.kind = kind
        self.values: NDArray[Any] = np.zeros(size, dtype=_DTYPES[kind])
        self.statuses = np.full(size, _WAITING, dtype=np.uint32)
        self.sources = np.zeros(size, dtype=np.int64)
        self.servers = np.zeros(size, dtype=np.int64)
        self.stamps = np.zeros(size, dtype=np.int64)
        self.last_change = 0
        self.keeper = Keeper(self)

    def records(self, rows: NDArray[np.intp], handles: NDArray[np.uint32], timestamps: int) -> list[Record]:
        """The notifications of ``rows``, usable values first; rows and handles have the same length."""
        bad = (self.statuses[rows] >> np.uint32(31)).astype(bool)
        if not bad.any():
            return [self._pack(rows, handles, timestamps, True)] if len(rows) else []
        good = ~bad
        halves = [self._pack(rows[bad], handles[bad], timestamps, False)]
        return ([self._pack(rows[good], handles[good], timestamps, True)] if good.any() else []) + halves

    def data_values(self, rows: NDArray[np.intp], timestamps: int) -> list[bytes]:
        """The DataValue of each row in OPC UA binary, in the order of ``rows``."""
        bad = (self.statuses[rows] >> np.uint32(31)).astype(bool)
        if not bad.any():
            return _pieces(self._pack(rows, None, timestamps, True))
        pieces: list[bytes] = [b""] * len(rows)
        for chosen, has_value in ((~bad, True), (bad, False)):
            places = np.flatnonzero(chosen).tolist()
            for place, piece in zip(places, _pieces(self._pack(rows[chosen], None, timestamps, has_value)), strict=True):
                pieces[place] = piece
        return pieces

    def _pack(self, rows: NDArray[np.intp], handles: NDArray[np.uint32] | None, timestamps: int, has_value: bool) -> Record:
        layout = _layout(self.values.dtype.str if has_value else "", timestamps, handles is not None)
        packed = np.empty(len(rows), dtype=layout)
        if handles is not None:
            packed["handle"] = handles
        packed["mask"] = 3 | (4 if timestamps in (SOURCE, BOTH) else 0) | (8 if timestamps in (SERVER, BOTH) else 0)
        packed["type"] = self.kind.value if has_value else 0
        if has_value:
            packed["value"] = self.values[rows]
        packed["status"] = self.statuses[rows]
        if timestamps in (SOURCE, BOTH):
            packed["source"] = self.sources[rows]
        if timestamps in (SERVER, BOTH):
            packed["server"] = self.servers[rows]
        return len(rows), packed.tobytes(), layout.itemsize


def _pieces(record: Record) -> list[bytes]:
    count, content, size = record
    return [content[start : start + size] for start in range(0, count * size, size)]


_layouts: dict[tuple[str, int, bool], np.dtype[Any]] = {}


def _layout(value: str, timestamps: int, has_handle: bool) -> np.dtype[Any]:
    """A DataValue as one packed record, with the ClientHandle before it in a MonitoredItemNotification; Good is written too,
    as asyncua does."""
    found = _layouts.get((value, timestamps, has_handle))
    if found is None:
        parts: list[Any] = [("handle", "<u4")] if has_handle else []
        parts += [("mask", "u1"), ("type", "u1")]
        parts += [("value", value)] if value else []
        parts += [("status", "<u4")]
        parts += [("source", "<i8")] if timestamps in (SOURCE, BOTH) else []
        parts += [("server", "<i8")] if timestamps in (SERVER, BOTH) else []
        found = _layouts[value, timestamps, has_handle] = np.dtype(parts)
    return found


def differs(new: NDArray[Any], old: NDArray[Any]) -> NDArray[np.bool_]:
    """Element by element; a NaN that follows a NaN is no difference."""
    changed: NDArray[np.bool_] = new != old
    if old.dtype.kind == "f":
        changed &= (new == new) | (old == old)
    return changed


class Column(Rows):
    """Live variables of one built-in type. ``node_ids`` in the order of the rows."""

    def __init__(self, kind: ua.VariantType, node_ids: Sequence[Any], changes: Changes) -> None:
        super().__init__(kind, len(node_ids))
        self.node_ids = list(node_ids)
        self.changes = changes
        self._slots: dict[int, ColumnSlot] = {}
        self._watched: dict[int, list[Callable[[Any], None]]] = {}
        self.taps: list[Tap] = []
        """Called at the end of each write, whether anything changed or not; must be short and must not raise."""

    def slot(self, row: int) -> ColumnSlot:
        found = self._slots.get(row)
        if found is None:
            found = self._slots[row] = ColumnSlot(self, row)
        return found

    def write(self, values: Any, statuses: Any, source: int, server: int) -> int:
        """Show one tick; how many rows changed. ``values`` and ``statuses`` have one element per row (or one for all);
        times in 100 ns since 1601. A NaN that follows a NaN is no change."""
        new = np.asarray(values, dtype=self.values.dtype)
        changed = differs(new, self.values) | (self.statuses != statuses)
        count = int(np.count_nonzero(changed))
        if not count:
            for tap in self.taps:
                tap(changed, source, server)
            return 0
        if self.keeper:
            self.keeper.spill(changed)
        self.changes.number += 1
        self.last_change = self.changes.number
        if count == len(self.values):
            self.values[:] = new
            self.statuses[:] = statuses
            self.sources[:] = source
            self.servers[:] = server
            self.stamps[:] = self.last_change
        else:
            np.copyto(self.values, new, where=changed)
            self.statuses[:] = statuses
            np.copyto(self.sources, source, where=changed)
            np.copyto(self.servers, server, where=changed)
            np.copyto(self.stamps, self.last_change, where=changed)
        if self._watched:
            for row in [row for row in self._watched if changed[row]]:
                for told in list(self._watched.get(row, ())):
                    told(self.slot(row))
        for tap in self.taps:
            tap(changed, source, server)
        return count

    def watch(self, row: int, changed: Callable[[Any], None]) -> None:
        self._watched.setdefault(row, []).append(changed)

    def unwatch(self, row: int, changed: Callable[[Any], None]) -> None:
        told = self._watched.get(row, [])
        if changed in told:
            told.remove(changed)
            if not told:
                del self._watched[row]


class Sampled(Rows):
    """A column as a sampling interval sees it. A change gets its number when it is sampled: a subscription that was served
    between the change and the sample has not told it."""

    def __init__(self, column: Column) -> None:
        super().__init__(column.kind, len(column.values))
        self.column = column
        self._seen = -1
        self.sample()
        self.stamps[:] = 0  # what was there before is no change; who begins to watch is told of it in any case

    def sample(self) -> None:
        """Take over the column's rows; what differs from the last sample is a change."""
        column = self.column
        if column.last_change <= self._seen:
            return
        self._seen = column.last_change
        changed = differs(column.values, self.values) | (column.statuses != self.statuses)
        if self.keeper:
            self.keeper.spill(changed)
        changes = column.changes
        changes.number += 1
        self.last_change = changes.number
        np.copyto(self.stamps, self.last_change, where=changed)
        for name in ("values", "statuses", "sources", "servers"):
            getattr(self, name)[:] = getattr(column, name)


class ColumnSlot:
    """One row of a column as a slot of the engine: for reads, and for items that need each value by itself."""

    __slots__ = ("_encoded", "_stamp", "_value", "attribute", "column", "node_id", "row")

    def __init__(self, column: Column, row: int) -> None:
        self.column = column
        self.row = row
        self.node_id = column.node_ids[row]
        self.attribute = 13
        self._stamp = -1
        self._value: Any = None
        self._encoded: bytes | None = None

    @property
    def value(self) -> Any:
        column, row = self.column, self.row
        stamp = int(column.stamps[row])
        if stamp != self._stamp:
            status = int(column.statuses[row])
            content = ua.Variant() if status >> 31 else ua.Variant(column.values[row].item(), column.kind)
            self._value = ua.DataValue(
                content,
                ua.StatusCode(status),
                to_datetime(int(column.sources[row])),
                to_datetime(int(column.servers[row])),
            )
            self._stamp = stamp
            self._encoded = None
        return self._value

    def encoded(self) -> bytes:
        value = self.value
        if self._encoded is None:
            self._encoded = encode(value)
        return self._encoded

    def watch(self, changed: Callable[[Any], None]) -> None:
        self.column.watch(self.row, changed)

    def unwatch(self, changed: Callable[[Any], None]) -> None:
        self.column.unwatch(self.row, changed)


class Columns:
    """All columns of a server, found by node."""

    def __init__(self) -> None:
        self.changes = Changes()
        self.ticks = Ticks()
        self._places: dict[Any, tuple[Column, int]] = {}

    def add(self, kind: ua.VariantType, node_ids: Sequence[Any]) -> Column:
        column = Column(kind, node_ids, self.changes)
        self._places.update((node_id, (column, row)) for row, node_id in enumerate(column.node_ids))
        return column

    def slot(self, node_id: Any) -> ColumnSlot | None:
        """The slot of a node's Value; None where it is no live variable."""
        place = self._places.get(node_id)
        return place[0].slot(place[1]) if place else None
