"""What people put beside the history where several things may have one time: annotations of values, and events. Pure.

    log of edits  --in their order-->  entries by key; what was recorded under a key that was touched shows no more

The key of an event is its EventId, that of an annotation its time, who wrote it and when (OPC 10000-11, 6.9.3).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from opcua_server.history.edits import DELETE, Change, Edit

MOST: Final = 10_000
"""Changes of one notifier's events, or of one variable's annotations."""
FIRST_ID: Final = 1 << 61
"""Entries are numbered from here on: behind everything that was recorded at the same time."""


@dataclass(frozen=True, slots=True)
class Entry:
    """``body``: what was put, as JSON data. ``id`` orders entries; ``at``: when it was put, 100 ns since 1601."""

    key: str
    time: int
    body: Any
    id: int
    at: int


@dataclass(frozen=True, slots=True)
class Entries:
    """``put``: by key. ``touched``: keys under which nothing that was recorded shows."""

    put: dict[str, Entry]
    touched: frozenset[str]

    def between(self, low: int, high: int) -> list[Entry]:
        """Those with low <= time <= high, ascending."""
        return sorted((one for one in self.put.values() if low <= one.time <= high), key=lambda one: (one.time, one.id))


NOTHING: Final = Entries({}, frozenset())


def change(kind: int, key: str, time: int, body: Any = None) -> Change:
    """What somebody wants of an entry. ``kind``: as of edits; what is deleted has no body."""
    return Change(kind, time, time, [key, body])


def entries(log: Iterable[Edit]) -> Entries:
    """What a log comes to."""
    put: dict[str, Entry] = {}
    touched: set[str] = set()
    for edit in log:
        key, body = edit.value
        touched.add(key)
        if edit.kind == DELETE:
            put.pop(key, None)
        else:
            put[key] = Entry(key, edit.low, body, FIRST_ID + edit.id, edit.at)
    return Entries(put, frozenset(touched))
