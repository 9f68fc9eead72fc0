"""The clock of the subscriptions: when groups of a rhythm are served, next to the ticks of the machines.

timer    due -> no tick: serve    a tick late or half written: wait for it, PATIENCE_S at most
ticks    done -> serve what is due or will be within EARLY_US
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

from opcua_server.engine.subscriptions.rhythm import Rhythm
from opcua_server.engine.subscriptions.ticks import Ticks

EARLY_US: Final = 6_000
"""What is due so soon after a tick is served with it: ticks come a little less before the moments of subscriptions."""
PATIENCE_S: Final = 0.025
"""How long what is due waits for a tick."""


def now_us() -> int:
    return time.monotonic_ns() // 1000


class Beat:
    """``serve(order, keys)``: what happens when a group is due. Intervals in us; nothing happens before ``start``."""

    def __init__(self, ticks: Ticks, serve: Callable[[int, list[Any]], None], clock: Callable[[], int] = now_us) -> None:
        self._ticks = ticks
        self._serve = serve
        self._clock = clock
        self._rhythm: Rhythm[Any] = Rhythm()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed_us = 0
        self._is_waiting = False

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ticks.done.append(self._tick_is_done)
        self._arm()

    def stop(self) -> None:
        if self._loop is not None:
            self._loop = None
            self._ticks.done.remove(self._tick_is_done)
            self._disarm()

    def add(self, key: Any, interval_us: int, order: int) -> None:
        """Lower ``order`` first at the same moment."""
        self._rhythm.add(key, interval_us, order, self._clock())
        self._arm()

    def remove(self, key: Any, interval_us: int, order: int) -> None:
        self._rhythm.remove(key, interval_us, order)

    def _arm(self) -> None:
        due_us = self._rhythm.next_us
        if due_us is None or self._loop is None or (self._timer is not None and self._armed_us <= due_us):
            return
        self._disarm()
        self._armed_us = due_us
        # Whole ms, up: loops count in them, and one that is woken a moment too early would ask again and again until it is time.
        self._timer = self._loop.call_later(max(0, -((self._clock() - due_us) // 1_000)) / 1_000, self._is_due)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _is_due(self) -> None:
        """While a tick is late or being written, what would be told is old or half of it is."""
        self._timer = None
        if self._ticks.is_due and not self._is_waiting and self._loop is not None:
            self._is_waiting = True
            self._timer = self._loop.call_later(PATIENCE_S, self._is_due)
            return
        self._serve_until(self._clock())

    def _tick_is_done(self) -> None:
        """What waited for it or is due next to it goes now: the process wakes once for both."""
        self._disarm()
        self._serve_until(self._clock() + EARLY_US)

    def _serve_until(self, until_us: int) -> None:
        self._is_waiting = False
        try:
            for order, keys in self._rhythm.due(until_us):
                self._serve(order, keys)
        except Exception as error:  # a mistake of ours in one group is not the end of machines and clocks
            if self._loop is not None:
                self._loop.call_exception_handler({"message": "subscriptions were not served", "exception": error})
        self._arm()
