"""What a machine's upkeep is planned by: hours that the spindle turned, oil of the way lubrication, the coolant's filter. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

BEARING_HOURS: Final = 20_000.0
"""Rated life of the spindle bearings in hours of rotation: what builders of 12,000 r/min spindles of this size plan with."""
LUBE_HOURS: Final = 160.0
"""Hours of running programs that a filled tank of way oil lasts: 1.8 l at 11 ml an hour."""
FILTER_HOURS: Final = 240.0
"""Hours of the coolant pump that a filter's cloth lasts, some weeks of two shifts: flushing back leaves the fines in it."""
RENEWED_AT_PERCENT: Final = 95.0
"""Use at which somebody has seen to it, of the oil and of the filter."""


@dataclass(slots=True)
class Upkeep:
    """``spindle_h``: since the bearings were new. ``lube_percent``: of the tank of way oil, what is used up. ``filter_percent``: of
    the life of the filter's cloth."""

    spindle_h: float = 0.0
    lube_percent: float = 0.0
    filter_percent: float = 0.0

    def step(self, dt_s: float, turns: bool, runs: bool, pumps: bool) -> None:
        """Somebody refills the oil when the tank is nearly empty, and renews the filter."""
        if turns:
            self.spindle_h += dt_s / 3600.0
        if runs:
            self.lube_percent += 100.0 * dt_s / 3600.0 / LUBE_HOURS
            if self.lube_percent >= RENEWED_AT_PERCENT:
                self.lube_percent = 0.0
        if pumps:
            self.filter_percent += 100.0 * dt_s / 3600.0 / FILTER_HOURS
            if self.filter_percent >= RENEWED_AT_PERCENT:
                self.filter_percent = 0.0

    def save(self) -> dict[str, float]:
        return {"spindle_h": self.spindle_h, "lube_percent": self.lube_percent, "filter_percent": self.filter_percent}

    def restore(self, saved: Mapping[str, Any]) -> None:
        self.spindle_h, self.lube_percent, self.filter_percent = (
            float(saved.get(name, 0.0)) for name in ("spindle_h", "lube_percent", "filter_percent")
        )
