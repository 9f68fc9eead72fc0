"""When a tick is whole: subscriptions are served at once when it is, and not while it is late or only some of it is written.

    writer   pause--|  tick------------|  pause--
    clock                  (due).......+--> sampled, served     one awakening of the process for both

Who writes the columns says when a tick is due, begins and ends; who serves them is told. Without ticks nothing waits.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Ticks:
    """``done``: who is told when a tick is whole; must be short and must not raise."""

    __slots__ = ("_due_s", "done")

    def __init__(self) -> None:
        self.done: list[Callable[[], None]] = []
        self._due_s: float | None = None

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
        try:
            yield
        finally:
            self._due_s = None
            for told in self.done:
                told()
