"""When a tick is whole: subscriptions are served at once when it is, and not while it is late or only some of it is written.

    writer   pause--|  tick------------|  pause--
    clock                  (due).......+--> sampled, served     one awakening of the process for both

Who writes the columns says when a tick is due, begins and ends; who serves them is told. Without ticks nothing waits. Ticks
that are late come close together: who samples as often as they come takes each of them, the one before the next begins.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Ticks:
    """``period_s``: of the ticks, 0 where it is not known. ``before``: who is told that a tick is about to replace the last one.
    ``done``: who is told when one is whole. Both must be short and must not raise."""

    __slots__ = ("_due_s", "before", "done", "period_s")

    def __init__(self) -> None:
        self.before: list[Callable[[], None]] = []
        self.done: list[Callable[[], None]] = []
        self._due_s: float | None = None
        self.period_s = 0.0

    @property
    def is_due(self) -> bool:
        """Whether one should be written by now, or is being written."""
        return self._due_s is not None and time.monotonic() >= self._due_s

    async def pause(self, seconds: float) -> None:
        """Until the next one is due."""
        self._due_s = time.monotonic() + seconds
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            self._due_s = None
            raise

    @contextmanager
    def one(self) -> Iterator[None]:
        """Around all that belongs to one tick, which may give way to others meanwhile."""
        self._due_s = 0.0
        for told in self.before:
            told()
        try:
            yield
        finally:
            self._due_s = None
            for told in self.done:
                told()
