"""Whether a program's memory grows, of what was measured of it in a run.

    MB |                 .----.----     each NC program brings what it needs when it comes: planned paths, the cut, what the
       |        .-------'               analytics know of it. Most of it once, some of it the second time again; after that
       |  .----'     |<>|<--->|         the memory stays where it is (six rounds of the three programs were watched)
       '------------------------------ min
               quiet: SETTLE_MIN after an NC program has come, until the next

A leak goes on in quiet minutes too; a buffer that is made anew is a step. So the largest increase within two minutes is taken off
what came in quiet ones, and the rest of it is a slope. More than ALLOWANCE_MB from the begin to the end is too much,
however it came: that is what finds a leak of each program that comes, in a run that is long enough.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

SETTLE_MIN: Final = 5
LEAST_MIN: Final = 10
"""Quiet minutes that a slope is made of; with fewer, the second half of the run is judged by the allowance alone."""
LEAK_MB_MIN: Final = 0.1
"""Six megabytes an hour."""
NOISE_MB: Final = 2.0
"""What a short time may show by chance: ten minutes are judged by twice the slope."""
ALLOWANCE_MB: Final = 12.0

Series = Sequence[tuple[float, float]]
"""(minutes since the begin, megabytes)."""


@dataclass(frozen=True, slots=True)
class Growth:
    """Of the part of a run that is judged, from ``begin_min`` on: medians of its first and last fifth in MB, and the slope of its
    quiet minutes without their largest step in MB a minute."""

    begin_min: float
    first_mb: float
    last_mb: float
    quiet_min: int
    slope_mb_min: float

    @property
    def problem(self) -> str:
        """Empty where nothing grows."""
        if self.quiet_min >= LEAST_MIN and self.slope_mb_min > max(LEAK_MB_MIN, NOISE_MB / self.quiet_min):
            return f"memory grows by {self.slope_mb_min:.2f} MB a minute, from {self.first_mb:.1f} to {self.last_mb:.1f} MB"
        if self.last_mb - self.first_mb > ALLOWANCE_MB:
            return f"memory has grown from {self.first_mb:.1f} to {self.last_mb:.1f} MB"
        return ""

    def __str__(self) -> str:
        slope = f"{self.slope_mb_min:+.3f} a minute in {self.quiet_min} quiet ones"
        told = slope if self.quiet_min >= LEAST_MIN else f"only {self.quiet_min} quiet minutes: a slow leak would not show"
        return f"{self.first_mb:.1f} -> {self.last_mb:.1f} MB from minute {self.begin_min:.0f} on, {told}"


def growth(series: Series, programs_min: Sequence[float], last_new_min: float) -> Growth:
    """``programs_min``: when an NC program came, of any machine; ``last_new_min``: when one that had not before. ``series``: in
    order, not empty."""
    by_minute: dict[int, list[float]] = defaultdict(list)
    for minute, megabytes in series:
        by_minute[math.floor(minute)].append(megabytes)
    medians = {minute: statistics.median(found) for minute, found in by_minute.items()}
    begin = last_new_min + SETTLE_MIN
    quiet = [m for m in sorted(medians) if m >= begin and not any(-1.0 <= m - came < SETTLE_MIN for came in programs_min)]
    increases = [medians[after] - medians[before] for before, after in pairwise(quiet) if after == before + 1]
    over_two = [medians[m + 2] - medians[m] for m in quiet if m + 1 in quiet and m + 2 in quiet]  # a step is between two medians
    if len(increases) < LEAST_MIN:
        begin = series[-1][0] / 2.0
    judged = [medians[minute] for minute in sorted(medians) if minute >= math.floor(begin)]
    fifth = max(1, len(judged) // 5)
    slope = max(0.0, sum(increases) - max(over_two)) / len(increases) if over_two else 0.0
    return Growth(begin, statistics.median(judged[:fifth]), statistics.median(judged[-fifth:]), len(increases), slope)
