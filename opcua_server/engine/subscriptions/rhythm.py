"""When which group is due. Groups of one interval share their moments, which are multiples of it: subscriptions of the same
interval are served together and share what is built for them, and a slower group falls on moments of a faster one. Pure.
"""

from __future__ import annotations

import heapq
from typing import Any, Generic, TypeVar

K = TypeVar("K")


class Rhythm(Generic[K]):
    """Intervals with keys; lower ``order`` first at the same moment. Times in whole microseconds of the caller's clock."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, int]] = []
        self._members: dict[tuple[int, int], dict[K, None]] = {}

    def add(self, key: K, interval_us: int, order: int, now_us: int) -> None:
        members = self._members.get((order, interval_us))
        if members is None:
            members = self._members[order, interval_us] = {}
            heapq.heappush(self._heap, ((now_us // interval_us + 1) * interval_us, order, interval_us))
        members[key] = None

    def remove(self, key: K, interval_us: int, order: int) -> None:
        members = self._members.get((order, interval_us))
        if members is not None:
            members.pop(key, None)

    @property
    def next_us(self) -> int | None:
        """When something is due; None when there is nothing."""
        self._drop_empty()
        return self._heap[0][0] if self._heap else None

    def _drop_empty(self) -> None:
        while self._heap and not self._members[self._heap[0][1:]]:
            _due, order, interval = heapq.heappop(self._heap)
            del self._members[order, interval]

    def due(self, now_us: int) -> list[tuple[int, list[Any]]]:
        """(order, keys) of each group that is due. A group that was missed several times is due once."""
        found: list[tuple[int, list[Any]]] = []
        self._drop_empty()
        while self._heap and self._heap[0][0] <= now_us:
            _due, order, interval = heapq.heappop(self._heap)
            members = self._members[order, interval]
            if not members:
                del self._members[order, interval]
                continue
            heapq.heappush(self._heap, ((now_us // interval + 1) * interval, order, interval))
            found.append((order, list(members)))
        found.sort(key=lambda group: group[0])
        return found
