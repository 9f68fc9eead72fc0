"""Token buckets: how often one caller may ask."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

BUCKETS: Final = 10_000
"""Callers remembered; the one that was silent longest is forgotten, by then its bucket is full again or it pays the price."""


class Buckets:
    """``per_minute`` requests in a burst and a minute; ``clock`` in seconds."""

    def __init__(self, per_minute: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute = per_minute
        self._clock = clock
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str) -> float:
        """Take a token: 0 where there was one, else the seconds until there is one."""
        now = self._clock()
        level, then = self._levels.pop(caller, (self.per_minute, now))
        level = min(self.per_minute, level + (now - then) * self.per_minute / 60.0)
        wait = 0.0 if level >= 1.0 else (1.0 - level) * 60.0 / self.per_minute
        self._levels[caller] = (level - 1.0 if wait == 0.0 else level, now)
        if len(self._levels) > BUCKETS:
            self._levels.popitem(last=False)
        return wait

    def left(self, caller: str) -> float:
        level, then = self._levels.get(caller, (self.per_minute, self._clock()))
        return min(self.per_minute, level + (self._clock() - then) * self.per_minute / 60.0)
