"""Queues of items on columns, made only while they are needed.

A queue whose owner is served after every sample holds one value: the one in the column. So an item with a queue is shown by the
panel like one without, and costs as little, until a sample is about to replace a value that its subscription has not told yet:

    sample:  column | 7 | --differs--> | 8 |        told up to change 41, the row's last change is 42
                      '--> backlog of the item: 7, encoded; the newest value stays in the column

What is in the backlog is older than the column's value and is told before it. Values are lost from the oldest on, as
DiscardOldest asks (OPC 10000-4, 7.21); items that discard the newest keep a queue of their own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from opcua_server.engine.subscriptions.columns import Rows
    from opcua_server.engine.subscriptions.item import Item


class Backlog:
    """Encoded values of one item that are older than the one in its column; ``size`` is the item's queue without that one."""

    __slots__ = ("entries", "has_lost", "overflows", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.entries: list[bytes] = []
        self.has_lost = False
        """Whether values before the oldest were lost."""
        self.overflows = 0

    def put(self, encoded: bytes) -> None:
        self.entries.append(encoded)
        if len(self.entries) > self.size:
            self._shorten()

    def resize(self, size: int) -> None:
        self.size = size
        self._shorten()

    def put_back(self, older: list[tuple[bytes, bool]]) -> None:
        """Put what was taken, of which there is some, in front of what is there."""
        self.has_lost = older[0][1]
        self.entries[:0] = [encoded for encoded, _ in older]
        self._shorten()

    def take_all(self) -> list[tuple[bytes, bool]]:
        """Each with whether values before it were lost."""
        taken = [(encoded, False) for encoded in self.entries]
        if taken and self.has_lost:
            taken[0] = (taken[0][0], True)
        self.entries, self.has_lost = [], False
        return taken

    def _shorten(self) -> None:
        lost = len(self.entries) - self.size
        if lost > 0:
            self.overflows += lost
            self.has_lost = True
            del self.entries[:lost]


class Keeper:
    """Keeps, for the items with a queue on some rows, what a sample is about to replace."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._items: dict[Any, dict[Item, None]] = {}
        self._arrays: dict[Any, tuple[NDArray[np.intp], list[Item]]] = {}

    def add(self, item: Item) -> None:
        self._items.setdefault(item.subscription, {})[item] = None
        self._arrays.pop(item.subscription, None)

    def remove(self, item: Item) -> None:
        items = self._items.get(item.subscription, {})
        items.pop(item, None)
        self._arrays.pop(item.subscription, None)
        if not items:
            self._items.pop(item.subscription, None)

    def __bool__(self) -> bool:
        return bool(self._items)

    def spill(self, changed: NDArray[np.bool_]) -> None:
        """Before the rows marked in ``changed`` (shape (rows,)) are replaced. Costs little for who has been told already."""
        rows = self._rows
        known: dict[int, dict[int, bytes]] = {}  # by timestamps and row: all who wait for a value keep the same bytes
        for subscription in self._items:
            fresh = subscription.has_fresh
            if rows.last_change <= subscription.cursor and not fresh:
                continue
            numbers, items = self._of(subscription)
            untold = rows.stamps[numbers] > subscription.cursor
            if fresh:
                untold |= np.fromiter((item.fresh for item in items), bool, len(items))
            due = np.flatnonzero(untold & changed[numbers])
            for timestamps in {items[index].timestamps for index in due.tolist()}:
                some = [index for index in due.tolist() if items[index].timestamps == timestamps]
                encoded, places = known.setdefault(timestamps, {}), numbers[some].tolist()
                missing = [row for row in dict.fromkeys(places) if row not in encoded]
                if missing:
                    encoded.update(zip(missing, rows.data_values(np.array(missing, np.intp), timestamps), strict=True))
                for index, row in zip(some, places, strict=True):
                    items[index].keep(encoded[row])

    def _of(self, subscription: Any) -> tuple[NDArray[np.intp], list[Item]]:
        found = self._arrays.get(subscription)
        if found is None:
            items = list(self._items[subscription])
            found = self._arrays[subscription] = (np.array([item.slot.row for item in items], dtype=np.intp), items)
        return found
