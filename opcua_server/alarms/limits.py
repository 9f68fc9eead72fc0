"""When a value is beyond a limit (OPC 10000-9, 5.8.18 and 5.8.19): limits, deadband, delays. Pure.

HighHigh ------------------------------     level changes to it when the value has been there for on_delay
   High  ------------------------------
           | deadband                       and back when it has been this far on the good side for off_delay
           v
   Low   ------------------------------
  LowLow ------------------------------
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

LEVELS: Final = ("LowLow", "Low", "High", "HighHigh")
_RANKS: Final = {"LowLow": -2, "Low": -1, "High": 1, "HighHigh": 2}
_NAMES: Final = {rank: name for name, rank in _RANKS.items()}


@dataclass(frozen=True, slots=True)
class Limits:
    """``at``: level -> limit, in the signal's unit; ``severity``: level -> 1 to 1000; delays in seconds."""

    at: Mapping[str, float]
    severity: Mapping[str, int]
    deadband: float = 0.0
    on_delay_s: float = 0.0
    off_delay_s: float = 0.0

    def rank(self, value: float, relaxed_by: float = 0.0) -> int:
        """-2 to 2: which limit a value is at or beyond; ``relaxed_by`` moves all of them towards the good side."""
        for level in ("HighHigh", "High"):
            if level in self.at and value >= self.at[level] - relaxed_by:
                return _RANKS[level]
        for level in ("LowLow", "Low"):
            if level in self.at and value <= self.at[level] + relaxed_by:
                return _RANKS[level]
        return 0


def problems(limits: Limits, low: float | None, high: float | None) -> list[str]:
    """What is wrong with limits, all at once. ``low``, ``high``: what the signal can show."""
    found = []
    for level, limit in limits.at.items():
        if not math.isfinite(limit):
            found.append(f"{level}: must be a number")
        elif (low is not None and limit < low) or (high is not None and limit > high):
            found.append(f"{level}: {limit:g} is outside of what the signal can show, {low:g} to {high:g}")
    there = [(level, limits.at[level]) for level in LEVELS if level in limits.at]
    for (below, lower), (above, upper) in itertools.pairwise(there):
        if not lower < upper:
            found.append(f"{above}: {upper:g} must be above {below}, which is {lower:g}")
    if not there:
        found.append(f"has no limit: one of {', '.join(LEVELS)} is needed")
    gap = min((upper - lower for (_, lower), (_, upper) in itertools.pairwise(there)), default=math.inf)
    if not 0.0 <= limits.deadband < math.inf:
        found.append("deadband: must be 0 or more")
    elif gap > 0.0 and limits.deadband >= gap:
        found.append(f"deadband: {limits.deadband:g} must be less than the {gap:g} between two limits")
    for name, delay in (("on_delay", limits.on_delay_s), ("off_delay", limits.off_delay_s)):
        if not 0.0 <= delay <= 3600.0:
            found.append(f"{name}: must be 0 to 3600 seconds")
    found += [f"severity of {level}: must be 1 to 1000" for level, number in limits.severity.items() if not 1 <= number <= 1000]
    return found


@dataclass(slots=True)
class Watch:
    """Follows one value. ``level`` is what holds now, None for normal."""

    limits: Limits
    level: str | None = None
    _since_s: float = field(default=math.nan)
    _pending: int = 0
    """What will hold when its delay is over: of what was seen in the meantime, what is nearest to what holds now."""

    def see(self, value: float, now_s: float) -> str | None:
        """One value; the level that holds now. A value that is no number changes nothing."""
        rank = _RANKS.get(self.level or "", 0)
        if math.isnan(value):
            self._since_s = math.nan
            return self.level
        return self._take(self._wanted(value, rank), rank, now_s)

    def _take(self, wanted: int, rank: int, now_s: float) -> str | None:
        if wanted == rank:
            self._since_s = math.nan
            return self.level
        is_worse = abs(wanted) > abs(rank) or wanted * rank < 0
        goes_on = not math.isnan(self._since_s) and now_s >= self._since_s and (wanted > rank) is (self._pending > rank)
        if not goes_on:
            self._since_s, self._pending = now_s, wanted
        elif abs(wanted - rank) < abs(self._pending - rank):
            self._pending = wanted
        if now_s - self._since_s >= (self.limits.on_delay_s if is_worse else self.limits.off_delay_s):
            self.level, self._since_s = _NAMES.get(self._pending), math.nan
        return self.level

    def _wanted(self, value: float, rank: int) -> int:
        entered = self.limits.rank(value)
        if entered * rank < 0 or abs(entered) >= abs(rank):
            return entered
        held = self.limits.rank(value, self.limits.deadband)
        if held * rank <= 0:
            return entered
        return rank if abs(held) >= abs(rank) else held
