"""An interval divided into regions, each from one point to the next (OPC 10000-13, 5.4.3.2). Pure.

simple bounds        bound --- sample --- sample --- bound       a region is as its first point is; with lines between the points
                     Good       Good       Bad                   it is Uncertain, and its value held, when it leads to a Bad one
interpolated bounds  bound --------------- sample --- bound      Bad samples are skipped; what leads over one is Uncertain
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from opcua_server.history.bounds import Bound, Configuration, Samples
from opcua_server.history.intervals import Interval

GOOD, UNCERTAIN, BAD = 0, 1, 2
BAD_STATUS: Final = 0x80000000
UNCERTAIN_STATUS: Final = 0x40A40000


@dataclass(frozen=True, slots=True)
class Regions:
    """Regions in the order of time: durations in 100 ns, values at their ends, classes GOOD, UNCERTAIN or BAD.

    ``starts``: the class of the point that each begins with, whatever it leads to. ``start`` and ``end``: the bounds.
    """

    durations: NDArray[np.int64]
    first: NDArray[np.float64]
    last: NDArray[np.float64]
    classes: NDArray[np.int8]
    starts: NDArray[np.int8]
    start: Bound
    end: Bound | None

    @property
    def width(self) -> int:
        return int(self.durations.sum())

    def duration(self, which: int) -> int:
        return int(self.durations[self.classes == which].sum())

    def duration_from(self, which: int) -> int:
        """Of the regions that begin with a point of that class."""
        return int(self.durations[self.starts == which].sum())

    def integral(self) -> tuple[float, int]:
        """Value times 100 ns, over the regions that are not Bad, and how long these are."""
        chosen = self.classes != BAD
        durations = self.durations[chosen]
        total = float(((self.first[chosen] + self.last[chosen]) / 2 * durations).sum())
        return total, int(durations.sum())


def inside(samples: Samples, interval: Interval) -> slice:
    """The samples of an interval."""
    return places(samples.times, interval)


def places(times: NDArray[np.int64], interval: Interval) -> slice:
    """Which of ``times``, ascending, lie in an interval; of its two ends only the start is part of it."""
    side: Literal["left", "right"] = "right" if interval.is_backwards else "left"
    start, end = np.searchsorted(times, np.array([interval.low, interval.high]), side).tolist()
    return slice(start, end)


def by_simple_bounds(samples: Samples, interval: Interval) -> Regions:
    """The regions up to the end of the interval or of the history."""
    high = min(interval.high, samples.end)
    start = samples.simple(interval.low)
    has_end = interval.high < samples.end
    end = samples.simple(interval.high) if has_end else None
    within = slice(
        int(np.searchsorted(samples.times, interval.low, "right")), int(np.searchsorted(samples.times, interval.high, "left"))
    )
    times = np.concatenate(([interval.low], samples.times[within], [high]))
    values = np.concatenate(([_number(start)], _numbers(samples.values[within]), [_number(end)]))
    classes = np.empty(len(times), np.int8)
    classes[0] = _class_of(start)
    classes[1:-1] = np.where(samples.bad[within], BAD, np.where(samples.uncertain[within], UNCERTAIN, GOOD))
    if end is not None:
        classes[-1] = _class_of(end)
    else:  # held to the end of what is known; a line would need a point behind it
        classes[-1] = GOOD if samples.is_held else UNCERTAIN
        values[-1] = values[-2]
    starts = classes[:-1]
    regions = starts.copy()
    last = values[:-1].copy()
    if not samples.configuration.stepped:
        leads_astray = (classes[1:] != GOOD) & (starts == GOOD)
        regions[leads_astray] = UNCERTAIN
        reaches = classes[1:] != BAD
        last[reaches] = values[1:][reaches]
    return Regions(np.diff(times), values[:-1], last, regions, starts, start, end)


def by_interpolated_bounds(samples: Samples, interval: Interval) -> Regions | None:
    """Lines through all usable samples, over the whole interval; None where nothing usable is at or before its end."""
    usable = samples.usable
    low, high = interval.low, interval.high
    start, end = samples.interpolated(low), samples.interpolated(high)
    if end.is_bad:
        return None
    places = usable[np.searchsorted(samples.times[usable], low, "right") : np.searchsorted(samples.times[usable], high, "left")]
    values = [_numbers(samples.values[places])]
    times = [samples.times[places]]
    unsure = [samples.uncertain[places]]
    if not start.is_bad:
        values.insert(0, np.array([_number(start)]))
        times.insert(0, np.array([low]))
        unsure.insert(0, np.array([_class_of(start) != GOOD]))
    values.append(np.array([_number(end)]))
    times.append(np.array([high]))
    unsure.append(np.array([_class_of(end) != GOOD]))
    all_times, all_values, all_unsure = np.concatenate(times), np.concatenate(values), np.concatenate(unsure)
    if len(all_times) < 2:
        return None
    bad_before = np.concatenate(([0], np.cumsum(samples.bad)))
    reach = np.searchsorted(samples.times, all_times, "right")
    over_bad = np.diff(bad_before[reach]) > 0
    classes = np.where(all_unsure[:-1] | all_unsure[1:] | over_bad, UNCERTAIN, GOOD).astype(np.int8)
    return Regions(np.diff(all_times), all_values[:-1], all_values[1:], classes, classes, start, end)


def verdict(configuration: Configuration, good: float, bad: float, whole: float) -> int:
    """The StatusCode of an aggregate of which so much is Good and so much Bad (5.4.3.2.1); Uncertain is neither.

    Where the two percentages complement each other, that of the Good ones decides (4.2.1.2).
    """
    if not whole:
        return 0
    complement = configuration.percent_good == 100 - configuration.percent_bad
    if not complement and bad > 0 and 100 * bad / whole >= configuration.percent_bad:
        return BAD_STATUS
    return 0 if 100 * good / whole >= configuration.percent_good else UNCERTAIN_STATUS


def _class_of(bound: Bound) -> int:
    return BAD if bound.is_bad else GOOD if bound.status >> 30 == 0 else UNCERTAIN


def _number(bound: Bound | None) -> float:
    return float(bound.value) if bound is not None and isinstance(bound.value, int | float) else 0.0


def _numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.zeros(len(values)) if values.dtype == object else values.astype(np.float64)
