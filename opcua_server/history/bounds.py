"""Bounding values: what a tag's value is taken to be at a time at which there is no sample (OPC 10000-13, 3.1.8 and 3.1.9). Pure.

    interpolated   the nearest usable samples before and after, whatever lies between; Uncertain when Bad ones do
    simple         the nearest samples, whatever they are: behind a Bad one there is no value

                    12:00:30  30 Good     12:00:40  Bad     12:00:50  50 Good
    at 12:00:35     interpolated 35, Uncertain               simple 30, Uncertain (held, as the next is Bad)
    at 12:00:45     interpolated 45, Uncertain               simple BadNoData

A recorder that keeps changes only knows more than its samples: up to ``known_until`` the last one still held.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from opcua_server.history.series import BAD_NO_DATA, TICKS_PER_MS, Series, is_bad

GOOD: Final = 0
UNCERTAIN_SUB_NORMAL: Final = 0x40A40000
RAW, CALCULATED, INTERPOLATED = 0, 1, 2
RESOLUTION: Final = TICKS_PER_MS
"""Of time, in aggregates: the last value of a history counts for so long, and an interval ends so long before its end."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """AggregateConfiguration (OPC 10000-13, 4.2.1.2), percentages 0-100, with the defaults of the specification, and how the tag's
    samples are joined: held until the next one when ``stepped``, by a line otherwise."""

    treat_uncertain_as_bad: bool = True
    percent_bad: int = 100
    percent_good: int = 100
    sloped_extrapolation: bool = False
    stepped: bool = False


@dataclass(frozen=True, slots=True)
class Bound:
    """``status``: Good, UncertainDataSubNormal, the sample's own, or BadNoData without a value. ``source``: RAW or INTERPOLATED."""

    value: Any
    status: int
    source: int = INTERPOLATED

    @property
    def is_bad(self) -> bool:
        return bool(self.status >> 31)


NONE: Final = Bound(None, BAD_NO_DATA)


class Samples:
    """A series with what aggregates ask of it again and again.

    ``bad``: by the configuration, so Uncertain samples too where they are treated as Bad. ``usable``: indices of the others.
    ``end``: where the history ends, 100 ns since 1601: behind the last sample, or where that was last seen to hold.
    """

    def __init__(self, series: Series, configuration: Configuration, known_until: int = 0) -> None:
        self.series = series
        self.configuration = configuration
        self.times = series.times
        self.statuses = series.statuses
        self.values = series.values
        self.uncertain: NDArray[np.bool_] = (series.statuses >> np.uint32(30)) == 1
        self.bad = is_bad(series.statuses)
        if configuration.treat_uncertain_as_bad:
            self.bad = self.bad | self.uncertain
        self.no_data: NDArray[np.bool_] = (series.statuses & np.uint32(0xFFFF0000)) == BAD_NO_DATA
        self.usable = np.flatnonzero(~self.bad)
        last = int(series.times[-1]) if len(series) else 0
        self.end = max(last + RESOLUTION, known_until)
        self.is_held = known_until > last

    def interpolated(self, time: int) -> Bound:
        """3.1.8: by the nearest usable samples."""
        usable = self.usable
        place = int(np.searchsorted(self.times[usable], time, "right"))
        if place == 0:
            return NONE
        before = int(usable[place - 1])
        if int(self.times[before]) == time:
            return Bound(self._value(before), self._status(before), RAW)
        is_sure = not self.uncertain[before]
        if self.configuration.stepped:
            reach = int(np.searchsorted(self.times, time, "right"))
            is_sure = is_sure and not self.bad[before + 1 : reach].any() and time < self.end
            return Bound(self._value(before), GOOD if is_sure else UNCERTAIN_SUB_NORMAL)
        if place == len(usable):
            return self._extrapolated(time, before)
        after = int(usable[place])
        is_sure = is_sure and not self.uncertain[after] and not self.bad[before + 1 : after].any()
        return Bound(self._line(before, after, time), GOOD if is_sure else UNCERTAIN_SUB_NORMAL)

    def _extrapolated(self, time: int, before: int) -> Bound:
        if self.is_held and time <= self.end and before == len(self.times) - 1:
            return Bound(self._value(before), UNCERTAIN_SUB_NORMAL if self.uncertain[before] else GOOD)
        usable = self.usable
        if self.configuration.sloped_extrapolation and len(usable) >= 2:
            return Bound(self._line(int(usable[-2]), before, time), UNCERTAIN_SUB_NORMAL)
        return Bound(self._value(before), UNCERTAIN_SUB_NORMAL)

    def simple(self, time: int) -> Bound:
        """3.1.9: by the samples right before and after, usable or not; nothing behind the end of the history."""
        place = int(np.searchsorted(self.times, time, "right"))
        if place == 0 or time >= self.end:
            return NONE
        before = place - 1
        if self.bad[before]:
            return NONE
        if int(self.times[before]) == time:
            return Bound(self._value(before), self._status(before), RAW)
        is_sure = not self.uncertain[before]
        if self.configuration.stepped or place == len(self.times):
            return Bound(self._value(before), GOOD if is_sure else UNCERTAIN_SUB_NORMAL)
        if self.bad[place]:
            return Bound(self._value(before), UNCERTAIN_SUB_NORMAL)
        is_sure = is_sure and not self.uncertain[place]
        return Bound(self._line(before, place, time), GOOD if is_sure else UNCERTAIN_SUB_NORMAL)

    def _status(self, index: int) -> int:
        return int(self.statuses[index])

    def _value(self, index: int) -> Any:
        value = self.values[index]
        return value.item() if isinstance(value, np.generic) else value

    def _line(self, before: int, after: int, time: int) -> float:
        t0, t1 = int(self.times[before]), int(self.times[after])
        v0, v1 = float(self.values[before]), float(self.values[after])
        return v0 + (v1 - v0) * ((time - t0) / (t1 - t0))


def status_with(status: int, source: int, *, partial: bool = False, multiple: bool = False) -> int:
    """A StatusCode with the aggregate bits (OPC 10000-13, 5.3.3); a plain raw value has none."""
    bits = source | 4 * partial | 16 * multiple
    return status & 0xFFFF0000 | (0x0400 | bits if bits else 0)
