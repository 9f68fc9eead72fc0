"""Read requests that were decoded once: where each value comes from, and its bytes as they last were.

Values are kept encoded and taken again for as long as the DataValue is the same object. A plan holds for everybody; what depends
on the user is worked out each time.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Coroutine, Iterable
from operator import is_
from typing import Any, Final

import numpy as np

from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import LARGE, ServiceFault
from opcua_server.engine.subscriptions.columns import Column, ColumnSlot
from opcua_server.engine.values import encode_data_value, failed, without_times

_COUNT: Final = struct.Struct("<i").pack
SLICE: Final = 250
"""Nodes that are looked up, or worked out, before others are served."""
PLAN_OVERHEAD: Final = 200
"""About what one node of a plan costs in memory, beside the request's bytes."""
Same = Callable[[int, int], None]
"""(place, another place) of nodes that have the same answer."""
WorkOut = Callable[[int, Any], Any]
"""(place among the nodes, (item, slot, bounds) of a plan) -> its DataValue."""


class Outgrown(Exception):
    """A value is a large one now: a plan keeps the bytes of each as often as it is asked for, and is for small ones."""


class _Run:
    """The rows of one column in a plan. ``seen``: the column's last change that ``parts`` show."""

    __slots__ = ("_places", "_rows", "column", "rows", "seen")

    def __init__(self, column: Column) -> None:
        self.column = column
        self.seen = -1
        self.rows = np.empty(0, dtype=np.intp)
        self._rows: list[int] = []
        self._places: list[int] = []

    def add(self, row: int, place: int) -> None:
        self._rows.append(row)
        self._places.append(place)

    def refresh(self, parts: list[bytes], timestamps: int) -> bool:
        """Encode what changed since the last time, all in one go; whether anything did."""
        column = self.column
        if column.last_change == self.seen:
            return False
        if len(self.rows) != len(self._rows):
            self.rows = np.array(self._rows, dtype=np.intp)
        fresh = np.flatnonzero(column.stamps[self.rows] > self.seen)
        self.seen = column.last_change
        places = self._places
        for index, encoded in zip(fresh.tolist(), column.data_values(self.rows[fresh], timestamps), strict=True):
            parts[places[index]] = encoded
        return bool(len(fresh))


class Plan:
    """A Read request that was decoded. ``special``: position -> item that is worked out each time. ``refused``: place among the
    nodes -> status of what is refused to everybody, and why."""

    __slots__ = (
        "_body", "_helds", "_parts", "_places", "_runs", "_slots", "_values", "cost", "refused", "request", "special",
        "timestamps",
    )  # fmt: skip

    def __init__(self, request: bytes, timestamps: int) -> None:
        self.request = request
        self.timestamps = timestamps
        self.special: dict[int, Any] = {}
        self.refused: dict[int, tuple[int, str]] = {}
        self._slots: list[Any] = []
        self._helds: list[Any] = []
        self._places: list[int] = []
        self._values: list[Any] = []
        self._runs: dict[Any, _Run] = {}
        self._parts: list[bytes] = [b""]
        self._body = b""
        self.cost = 0
        """About the bytes that it takes, with its answer, when it is closed."""

    def add(self, slot: Any) -> None:
        if isinstance(slot, ColumnSlot):
            self._runs.setdefault(slot.column, _Run(slot.column)).add(slot.row, len(self._parts))
            self._parts.append(b"")
            return
        self._slots.append(slot)
        self._helds.append(slot.held)
        self._places.append(len(self._parts))
        self._values.append(None)
        self._parts.append(b"")

    def add_special(self, item: Any) -> None:
        self.special[len(self._parts)] = item
        self._parts.append(b"")

    def add_status(self, status: int, why: str = "") -> None:
        self.refused[len(self._parts) - 1] = status, why
        self._parts.append(encode_data_value(failed(status)))

    def close(self) -> None:
        self._parts[0] = _COUNT(len(self._parts) - 1)
        self._parts.append(_COUNT(0))  # no DiagnosticInfos
        parts = self._refreshed()
        self.cost = len(self.request) + PLAN_OVERHEAD * len(parts) + 2 * sum(map(len, parts))

    def body_for_all(self) -> bytes:
        """The response's parameters now, where nothing is worked out. Raises Outgrown, as the others do."""
        parts = self._refreshed()
        if not self._body:
            self._body = b"".join(parts)
        return self._body

    def body(self, work_out: WorkOut, same: Same, most: int) -> bytes:
        """The response's parameters now. Raises ServiceFault where what is worked out has more than ``most`` bytes."""
        parts = list(self._refreshed())
        _fill(parts, self.special.items(), work_out, same, self.timestamps, {}, most)
        return b"".join(parts)

    def body_in_slices(self, work_out: WorkOut, same: Same, most: int) -> Coroutine[Any, Any, bytes]:
        """The same where much is worked out each time. Others use the plan meanwhile, for other users: it fills a copy."""
        return self._in_slices(list(self._refreshed()), work_out, same, most)

    async def _in_slices(self, parts: list[bytes], work_out: WorkOut, same: Same, most: int) -> bytes:
        made = dict[Any, tuple[bytes, int]]()
        waiting = list(self.special.items())
        for start in range(0, len(waiting), SLICE):
            if start:
                await asyncio.sleep(0)
            most -= _fill(parts, waiting[start : start + SLICE], work_out, same, self.timestamps, made, most)
        return b"".join(parts)

    def _refreshed(self) -> list[bytes]:
        """The parts, with what changed since the last time; ``_body`` is emptied when anything did."""
        values = [held.value for held in self._helds]
        parts = self._parts
        if not all(map(is_, values, self._values)):
            self._body = b""
            timestamps, slots, places = self.timestamps, self._slots, self._places
            for position, (new, old) in enumerate(zip(values, self._values, strict=True)):
                if new is not old:
                    encoded = slots[position].encoded()
                    if len(encoded) > LARGE:
                        raise Outgrown
                    parts[places[position]] = encoded if timestamps == 2 else without_times(encoded, timestamps)
            self._values = values
        for run in self._runs.values():
            if run.refresh(parts, self.timestamps):
                self._body = b""
        return parts


def _fill(
    parts: list[bytes], special: Iterable[tuple[int, Any]], work_out: WorkOut, same: Same, timestamps: int,
    made: dict[Any, tuple[bytes, int]], most: int,
) -> int:  # fmt: skip
    """Put special items where they belong; their bytes. ``made``: those worked out before, and where; who asks twice for the same
    gets the same. Raises ServiceFault where they have more than ``most`` bytes."""
    size = 0
    for place, planned in special:
        item, slot, _bounds = planned
        key = (id(slot), item.IndexRange)
        known = made.get(key)
        if known is None:
            encoded = without_times(encode_data_value(work_out(place - 1, planned)), timestamps)
            made[key] = encoded, place - 1
        else:
            encoded = known[0]
            same(known[1], place - 1)
        parts[place] = encoded
        size += len(encoded)
        if size > most:
            raise ServiceFault(int(ua.StatusCodes.BadResponseTooLarge))
    return size
