"""When aggregates of monitored items are worked out: a few at each beat, so that hundreds whose intervals end at one moment hold
up nobody. There are beats only while there are such items.

    due   12:00:05.2 -> {a, b, c}    12:00:10.2 -> {d}        each beat: the first few that are due, each for its next interval

Intervals that began before somebody asked are worked out from the history, beside the loop; the item is not due meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import logging
from collections.abc import AsyncGenerator, Callable
from typing import Any, Final, Protocol

from cnctwin.wire import encode
from opcua_server.engine.subscriptions.aggregated import Aggregation
from opcua_server.engine.subscriptions.feeds import stamped
from opcua_server.history.series import TICKS_PER_S

_logger = logging.getLogger(__name__)
BEAT_MS: Final = 20.0
MOST_A_BEAT: Final = 10
"""Values that are worked out in one go, some 0.1 ms each."""
MOST_A_SECOND: Final = 0.8 * MOST_A_BEAT * 1000 / BEAT_MS
"""Of all sessions together: as many as there can be, with something to spare."""


class Past(Protocol):
    """What the room of history brings."""

    def has(self, node_id: Any) -> bool:
        """Whether a variable has a history."""

    def values(self, node_id: Any, terms: Any, low: int, count: int) -> AsyncGenerator[list[Any], None]:
        """So many intervals from ``low`` on as history.window.Points, in parts. Raises ServiceFault."""


class Calculations:
    """``now``: the wall clock, 100 ns since 1601. ``awake`` is told whether there is anything to beat for. ``past``: the history;
    None where nothing is kept."""

    def __init__(self, now: Callable[[], int], awake: Callable[[bool], None]) -> None:
        self.now = now
        self.rate = 0.0
        """Values a second that are asked for."""
        self._awake = awake
        self._due: dict[int, dict[Aggregation, None]] = {}
        self._moments: list[int] = []
        """A heap of the keys of ``_due``, with some that are there no longer."""
        self._place: dict[Aggregation, int] = {}
        self._last = 0
        self.past: Past | None = None
        self._looking: dict[Aggregation, asyncio.Task[None]] = {}
        """Those that wait for the history."""

    def begun(self, one: Aggregation) -> None:
        if not self._place and not self._looking:
            self._last = self.now()
            self._awake(True)
        self.rate += one.terms.rate
        self._put(one)

    def ended(self, one: Aggregation) -> None:
        looking = self._looking.pop(one, None)
        if looking is not None:
            looking.cancel()
        else:
            self._remove(one)
        self.rate -= one.terms.rate
        if not self._place and not self._looking:
            self.rate = 0.0  # and not what rounding left of it
            self._moments.clear()
            self._awake(False)

    def _put(self, one: Aggregation) -> None:
        due = self._place[one] = one.due
        members = self._due.get(due)
        if members is None:
            members = self._due[due] = {}
            heapq.heappush(self._moments, due)
        members[one] = None

    def _remove(self, one: Aggregation) -> None:
        due = self._place.pop(one)
        members = self._due[due]
        del members[one]
        if not members:
            del self._due[due]
            if len(self._moments) > 2 * len(self._due) + 64:
                self._moments = sorted(self._due)

    def sample(self) -> None:
        """A beat."""
        now = self.now()
        if now < self._last - TICKS_PER_S:
            self._set_back(now)
        self._last = now
        for _ in range(MOST_A_BEAT):
            while self._moments and self._moments[0] not in self._due:
                heapq.heappop(self._moments)
            if not self._moments or self._moments[0] > now:
                break
            one = next(iter(self._due[self._moments[0]]))
            self._remove(one)
            if one.is_past:
                self._looking[one] = asyncio.get_running_loop().create_task(self._look_back(one, one.over(now)))
                continue
            self._tell(one, now)
            self._put(one)

    async def _look_back(self, one: Aggregation, count: int) -> None:
        try:
            if self.past is not None:
                async with contextlib.aclosing(self.past.values(one.item.slot.node_id, one.terms, one.next, count)) as parts:
                    async for points in parts:
                        for point in points:
                            self._offer(one, one.take_past(point))
        except Exception as error:
            _logger.warning("an aggregate of what was could not be worked out: %s", error)
            one.forget_past()
        if self._looking.pop(one, None) is not None:
            self._put(one)

    def _tell(self, one: Aggregation, now: int) -> None:
        item = one.item
        if one.catch_up(now, item.queue_size) and item.queue is not None:
            item.queue.overflows += 1
        try:
            value = one.take()
        except Exception:
            _logger.exception("an aggregate could not be worked out")
            return
        self._offer(one, value)

    @staticmethod
    def _offer(one: Aggregation, value: Any) -> None:
        one.item.offer_worked_out(value, encode(stamped(value, one.item.timestamps)))

    def _set_back(self, now: int) -> None:
        for one in list(self._place):
            self._remove(one)
            one.set_back(now)
            self._put(one)
