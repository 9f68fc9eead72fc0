"""When the next tick is due: every period from the start on, without drift, and skipped rather than caught up in a burst.

    due      t0      t0+p     t0+2p    t0+3p    t0+4p
    done     |-work--|-work------------(late)--|-work--     tick 2 is skipped, tick 3 is on time again

The source time of a tick is its due time, so that two readings are exactly a whole number of periods apart. Pure: time comes in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

CLOCK_STEP_NS: Final = 1_000_000_000
"""The wall clock was set when it is this far from where it should be; slower changes are followed by both clocks."""

LEAD: Final = 0.25
LEAD_S: Final = 0.005
"""How long before the moments of subscriptions: this share of a period, and no more than this, which is more than clocks of
event loops are wrong by. They wait for a tick that takes longer (subscriptions/ticks.py)."""


@dataclass(frozen=True, slots=True)
class Tick:
    """``source_time_ns``: the moment it stands for. ``skipped``: ticks before it that there was no time for."""

    number: int
    source_time_ns: int
    skipped: int
    clock_stepped_ns: int = 0


class Schedule:
    """Ticks every ``period_s`` from the moment it is made. ``steady_s`` comes from a clock that never goes back."""

    def __init__(self, period_s: float, steady_s: float, wall_ns: int) -> None:
        self._period_ns = round(period_s * 1e9)
        self._start_s = steady_s
        self._start_ns = wall_ns
        self._next = 1
        self.skipped = 0
        self.done = 0

    @classmethod
    def before_publishing(cls, period_s: float, steady_s: float, wall_ns: int) -> Schedule:
        """Ticks shortly before the whole multiples of the period, which are the moments at which subscriptions of the same clock
        are sampled and served (subscriptions/rhythm.py). What is told is then fresh, and it is one tick each time: ticks that
        fall together with those moments would come before one and after the next. The first tick is due at once."""
        lead_s = min(period_s * LEAD, LEAD_S)
        start_s = ((steady_s + lead_s) // period_s - 1) * period_s - lead_s
        return cls(period_s, start_s, wall_ns - round((steady_s - start_s) * 1e9))

    def wait_s(self, steady_s: float) -> float:
        """Seconds until the next tick is due, 0 when it is late."""
        return max(0.0, self._next * self._period_ns / 1e9 - (steady_s - self._start_s))

    def take(self, steady_s: float, wall_ns: int) -> Tick:
        """The tick that is due now; ticks that are over are skipped."""
        elapsed_ns = round((steady_s - self._start_s) * 1e9)
        latest = max(self._next, elapsed_ns // self._period_ns)
        skipped = latest - self._next
        stepped = wall_ns - (self._start_ns + elapsed_ns)
        if abs(stepped) < CLOCK_STEP_NS:
            stepped = 0
        self._start_ns += stepped
        self._next = latest + 1
        self.skipped += skipped
        self.done += 1
        return Tick(latest, self._start_ns + latest * self._period_ns, skipped, stepped)
