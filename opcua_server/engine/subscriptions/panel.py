"""Notification bodies, built once and shared by all subscriptions that show the same items under the same client handles.

Items that want the newest value only have no queue: a subscription keeps the number of the last change it has reported (its
cursor), and what is new is what has a later stamp. Subscriptions of equal items that were last served at the same change get
the same bytes.
"""

from __future__ import annotations

import hashlib
import struct
import weakref
from collections.abc import Iterable, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from opcua_server.engine.subscriptions.columns import Changes, Record, Rows
from opcua_server.engine.subscriptions.feeds import Feed

_COUNT: Final = struct.Struct("<i").pack
_HANDLE: Final = struct.Struct("<I").pack
_DATA_CHANGE: Final = b"\x01\x00\x2b\x03\x01"
_EVENT_LIST: Final = b"\x01\x00\x94\x03\x01"
_STATUS_CHANGE: Final = b"\x01\x00\x34\x03\x01"
"""ExtensionObjects in binary: DataChangeNotification i=811, EventNotificationList i=916, StatusChangeNotification i=820."""

Body = tuple[int, int, bytes]
"""(notifications, elements of NotificationData, their encoding)."""
Place = tuple[Any, int, int, int]
"""(feed or rows, row or -1, client handle, timestamps): one item in a panel."""


def data_change(records: Iterable[Record]) -> bytes:
    """A DataChangeNotification in its ExtensionObject."""
    parts = list(records)
    content = b"".join([record[1] for record in parts])
    count = sum(record[0] for record in parts)
    return b"".join((_DATA_CHANGE, _COUNT(len(content) + 8), _COUNT(count), content, _COUNT(0)))


def event_list(events: Sequence[bytes]) -> bytes:
    """An EventNotificationList of encoded EventFieldLists."""
    content = b"".join(events)
    return b"".join((_EVENT_LIST, _COUNT(len(content) + 4), _COUNT(len(events)), content))


def status_change(status: int) -> bytes:
    """A StatusChangeNotification without diagnostics."""
    return _STATUS_CHANGE + _COUNT(5) + _HANDLE(status) + b"\x00"


def bodies_of(records: Sequence[Record], events: Sequence[bytes], limit: int) -> list[Body]:
    """NotificationData of one message or more, none with more than ``limit`` notifications (0: no limit)."""
    bodies: list[Body] = []
    room = limit or 1 << 62
    batch: list[Record] = []
    used = 0
    for count, content, size in records:
        start = 0
        while start < count:
            if used == room:
                bodies.append((used, 1, data_change(batch)))
                batch, used = [], 0
            taken = min(count - start, room - used)
            whole = taken == count
            batch.append((taken, content if whole else content[start * size : (start + taken) * size], size))
            used += taken
            start += taken
    waiting = list(events)
    if batch and waiting and used < room:
        now, waiting = waiting[: room - used], waiting[room - used :]
        bodies.append((used + len(now), 2, data_change(batch) + event_list(now)))
    elif batch:
        bodies.append((used, 1, data_change(batch)))
    step = min(room, max(len(waiting), 1))
    bodies += [(len(part), 1, event_list(part)) for part in (waiting[i : i + step] for i in range(0, len(waiting), step))]
    return bodies


class Panel:
    """Items of the newest value, in the order of their creation but columns behind the rest."""

    def __init__(self, places: Iterable[Place], changes: Changes) -> None:
        self._changes = changes
        self.feeds: list[tuple[Feed, bytes, int]] = []
        """What is in no column, with client handle and timestamps."""
        columns: dict[tuple[Rows, int], tuple[list[int], list[int]]] = {}
        for source, row, handle, timestamps in places:
            if row < 0:
                self.feeds.append((source, _HANDLE(handle), timestamps))
            else:
                rows, handles = columns.setdefault((source, timestamps), ([], []))
                rows.append(row)
                handles.append(handle)
        self._runs: list[tuple[Rows, NDArray[np.intp], NDArray[np.uint32], int]] = [
            (source, np.array(rows, dtype=np.intp), np.array(handles, dtype=np.uint32), timestamps)
            for (source, timestamps), (rows, handles) in columns.items()
        ]
        self._built = -1
        self._bodies: dict[tuple[int, int], list[Body]] = {}

    def records(self, cursor: int) -> list[Record]:
        """Notifications of what changed after change ``cursor``; -1 for all."""
        records: list[Record] = []
        for feed, handle, timestamps in self.feeds:
            if feed.stamp > cursor:
                content = handle + feed.encoded(timestamps)
                records.append((1, content, len(content)))
        for source, rows, handles, timestamps in self._runs:
            if source.last_change > cursor or cursor < 0:
                changed = source.stamps[rows] > cursor
                if changed.all():
                    records += source.records(rows, handles, timestamps)
                elif changed.any():
                    records += source.records(rows[changed], handles[changed], timestamps)
        return records

    def has_changed(self, cursor: int) -> bool:
        """Whether there are such notifications, which costs less than to make them."""
        return any(feed.stamp > cursor for feed, _, _ in self.feeds) or any(
            source.last_change > cursor and bool((source.stamps[rows] > cursor).any()) for source, rows, _, _ in self._runs
        )

    def is_heavy(self, cursor: int, most: int) -> bool:
        """Whether what changed after change ``cursor`` has more than ``most`` bytes. Columns have values of a few bytes."""
        for feed, _, timestamps in self.feeds:
            if feed.stamp > cursor:
                most -= len(feed.encoded(timestamps))
                if most < 0:
                    return True
        return False

    def bodies(self, cursor: int, limit: int) -> list[Body]:
        """The same as messages; shared until the next change."""
        number = self._changes.number
        if number == cursor:
            return []
        if number != self._built:
            self._bodies.clear()
            self._built = number
        found = self._bodies.get((cursor, limit))
        if found is None:
            found = self._bodies[cursor, limit] = bodies_of(self.records(cursor), (), limit)
        return found


class Panels:
    """One panel per list of items, as long as a subscription shows it."""

    def __init__(self, changes: Changes) -> None:
        self._changes = changes
        self._known: weakref.WeakValueDictionary[bytes, Panel] = weakref.WeakValueDictionary()

    def of(self, places: tuple[Place, ...]) -> Panel:
        # Known by a digest: the places themselves would take as much as the rest of the panel. It holds what the ids are of.
        listed = np.array([(id(source), row, handle, timestamps) for source, row, handle, timestamps in places], np.int64)
        key = hashlib.blake2b(listed.tobytes(), digest_size=16).digest()
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = Panel(places, self._changes)
        return found
