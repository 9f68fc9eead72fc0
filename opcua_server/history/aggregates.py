"""The aggregates of OPC 10000-13, 5.4.3: what is said of a tag over an interval. Pure.

A row of the table below says what an aggregate takes and gives; its function gets the interval as ``Window`` and returns a
``Point``. The tests hold them against the worked examples of Annex A.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from opcua_server.history import extremes, regions
from opcua_server.history.bounds import CALCULATED, RAW, UNCERTAIN_SUB_NORMAL, Samples, status_with
from opcua_server.history.extremes import of_raw, with_bounds
from opcua_server.history.intervals import Interval
from opcua_server.history.regions import BAD, GOOD
from opcua_server.history.series import TICKS_PER_MS, TICKS_PER_S
from opcua_server.history.window import NOTHING_SAID, Aggregator, Point, Window

BAD_INVALID_INPUTS: Final = 0x80D60000


def interpolative(window: Window) -> Point:
    bound = window.samples.interpolated(window.start)
    return Point(window.start, bound.value, status_with(bound.status, RAW if bound.is_bad else bound.source))


def average(window: Window) -> Point:
    """Of the Good raw values; A.3 shows it without the Partial bit where others have it."""
    values = window.values[window.good]
    if not len(values):
        return window.nothing()
    status = status_with(window.by_count(), CALCULATED, partial=window.interval.is_cut)
    return Point(window.start, None if status >> 31 else float(np.mean(values)), status)


def _time_average(window: Window) -> tuple[float, int, bool] | None:
    """Average by interpolated bounds, its status, and whether it is of a part of the interval only."""
    found = regions.by_interpolated_bounds(window.samples, window.interval)
    if found is None:
        return None
    total, duration = found.integral()
    is_part = found.start.is_bad
    is_sure = not is_part and bool((found.classes == GOOD).all())
    return total / duration, 0 if is_sure else UNCERTAIN_SUB_NORMAL, is_part


def time_average(window: Window) -> Point:
    found = _time_average(window)
    if found is None:
        return window.nothing()
    return Point(window.start, found[0], status_with(found[1], CALCULATED, partial=found[2] or window.interval.is_cut))


def total(window: Window) -> Point:
    found = time_average(window)
    return found if found.value is None else Point(found.time, found.value * _seconds(window), found.status)


def time_average_2(window: Window) -> Point:
    total, duration = window.regions.integral()
    return window.point(total / duration, window.by_time()) if duration else window.nothing()


def total_2(window: Window) -> Point:
    found = time_average_2(window)
    return found if found.value is None else Point(found.time, found.value * _seconds(window), found.status)


def _seconds(window: Window) -> float:
    return (window.interval.high - window.interval.low) / TICKS_PER_S


def count(window: Window) -> Point:
    return window.point(int(window.good.sum()), window.by_count())


def annotation_count(window: Window) -> Point:
    """A.18 shows it without the Partial bit, where data begin within the interval and where it is cut."""
    return Point(window.start, len(window.said), status_with(0, CALCULATED))


def _edge(place: int) -> Aggregator:
    def edge(window: Window) -> Point:
        if not len(window.times):
            return window.nothing()
        status = int(window.statuses[place])
        value = None if status >> 31 else _plain(window.values[place])
        return window.point(value, status, RAW, time=int(window.times[place]))

    return edge


def delta(window: Window) -> Point:
    places = np.flatnonzero(window.good)
    if not len(places):
        return window.nothing()
    skipped = places[0] > 0 or places[-1] < len(window.good) - 1
    value = _plain(window.values[places[-1]]) - _plain(window.values[places[0]])
    return window.point(value, UNCERTAIN_SUB_NORMAL if skipped else 0)


def start_bound(window: Window) -> Point:
    bound = window.samples.simple(window.start)
    if bound.is_bad:
        return window.nothing(partial=True)
    return window.point(bound.value, bound.status, bound.source)


def end_bound(window: Window) -> Point:
    """Told of the start of the interval, and Calculated, even where there is a raw value at its end (5.4.3.29)."""
    bound = window.samples.simple(window.interval.low if window.interval.is_backwards else window.interval.high)
    return window.nothing() if bound.is_bad else window.point(bound.value, bound.status)


def delta_bounds(window: Window) -> Point:
    start, end = window.samples.simple(window.interval.low), window.samples.simple(window.interval.high)
    if start.is_bad or end.is_bad:
        return window.nothing()
    status = UNCERTAIN_SUB_NORMAL if (start.status | end.status) >> 30 else 0
    sign = -1 if window.interval.is_backwards else 1
    return window.point(sign * (end.value - start.value), status)


def _duration(which: int) -> Aggregator:
    return lambda window: window.point(window.regions.duration_from(which) / TICKS_PER_MS)


def _percent(which: int) -> Aggregator:
    def percent(window: Window) -> Point:
        found = window.regions
        return window.point(100.0 * found.duration_from(which) / found.width)

    return percent


def _duration_in_state(is_wanted: Callable[[NDArray[np.float64]], NDArray[np.bool_]]) -> Aggregator:
    def duration(window: Window) -> Point:
        found = window.regions
        chosen = (found.starts == GOOD) & is_wanted(found.first)
        return window.point(float(found.durations[chosen].sum()) / TICKS_PER_MS, window.by_time())

    return duration


def number_of_transitions(window: Window) -> Point:
    """Changes between zero and not zero of usable values, the last one before the interval included."""
    values = window.values[~window.bad] != 0
    if not len(window.times):
        return window.point(0)
    samples = window.samples
    low = int(np.searchsorted(samples.times, window.times[0], "left"))
    before = np.flatnonzero(~samples.bad[:low])
    changes = int(np.count_nonzero(values[1:] != values[:-1]))
    if len(values):
        changes += not len(before) or bool(samples.values[before[-1]] != 0) != bool(values[0])
    return window.point(changes, window.by_count())


def worst_quality(window: Window) -> Point:
    return _worst(window, window.statuses.tolist())


def worst_quality_2(window: Window) -> Point:
    bound = window.samples.simple(window.start)
    return _worst(window, [bound.status, *window.statuses.tolist()])


def _worst(window: Window, statuses: list[int]) -> Point:
    if not statuses:
        return window.nothing()
    severities = [min(status >> 30, 2) for status in statuses]
    worst = max(severities)
    return window.point(statuses[severities.index(worst)], multiple=severities.count(worst) > 1)


def _deviation(spare: int, *, square: bool) -> Aggregator:
    def deviation(window: Window) -> Point:
        values = window.values[window.good].astype(np.float64)
        if not len(values):
            return window.nothing()
        value = float(np.var(values, ddof=spare)) if len(values) > spare else 0.0
        # 5.4.3.37: whatever the percentages say, where values were ignored it is not known to be that of all
        return window.point(value if square else value**0.5, 0 if window.good.all() else UNCERTAIN_SUB_NORMAL)

    return deviation


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


@dataclass(frozen=True, slots=True)
class Aggregate:
    """``node_id``: number of the AggregateFunction object in namespace 0. ``type``: of the result; "" is the tag's own.

    ``takes``: "numbers", "states" (numbers and Booleans) or "all". ``extrapolates``: also behind the end of the history.
    ``is_sloped``: lines between the samples whatever the tag's Stepped says.
    """

    name: str
    node_id: int
    apply: Aggregator
    type: str = ""
    takes: str = "numbers"
    extrapolates: bool = False
    is_sloped: bool = False


def _zero(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.equal(values, 0)


def _not_zero(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.not_equal(values, 0)


ANNOTATION_COUNT: Final = 2351
AGGREGATES: Final = (
    Aggregate("Interpolative", 2341, interpolative, takes="all", extrapolates=True),
    Aggregate("Average", 2342, average, "Double"),
    Aggregate("TimeAverage", 2343, time_average, "Double", extrapolates=True, is_sloped=True),
    Aggregate("TimeAverage2", 11285, time_average_2, "Double"),
    Aggregate("Total", 2344, total, "Double", extrapolates=True, is_sloped=True),
    Aggregate("Total2", 11304, total_2, "Double"),
    Aggregate("Minimum", 2346, extremes.at_start(of_raw, np.min)),
    Aggregate("Maximum", 2347, extremes.at_start(of_raw, np.max)),
    Aggregate("MinimumActualTime", 2348, extremes.at_its_time(of_raw, np.min)),
    Aggregate("MaximumActualTime", 2349, extremes.at_its_time(of_raw, np.max)),
    Aggregate("Range", 2350, extremes.spread(of_raw)),
    Aggregate("Minimum2", 11286, extremes.at_start(with_bounds, np.min)),
    Aggregate("Maximum2", 11287, extremes.at_start(with_bounds, np.max)),
    Aggregate("MinimumActualTime2", 11305, extremes.at_its_time(with_bounds, np.min)),
    Aggregate("MaximumActualTime2", 11306, extremes.at_its_time(with_bounds, np.max)),
    Aggregate("Range2", 11288, extremes.spread(with_bounds)),
    Aggregate("Count", 2352, count, "Int32", "all"),
    Aggregate("AnnotationCount", ANNOTATION_COUNT, annotation_count, "Int32", "all"),
    Aggregate("DurationInStateZero", 11307, _duration_in_state(_zero), "Double", "states"),
    Aggregate("DurationInStateNonZero", 11308, _duration_in_state(_not_zero), "Double", "states"),
    Aggregate("NumberOfTransitions", 2355, number_of_transitions, "Int32", "states"),
    Aggregate("Start", 2357, _edge(0), takes="all"),
    Aggregate("End", 2358, _edge(-1), takes="all"),
    Aggregate("Delta", 2359, delta),
    Aggregate("StartBound", 11505, start_bound, takes="all"),
    Aggregate("EndBound", 11506, end_bound, takes="all"),
    Aggregate("DeltaBounds", 11507, delta_bounds),
    Aggregate("DurationGood", 2360, _duration(GOOD), "Double", "all"),
    Aggregate("DurationBad", 2361, _duration(BAD), "Double", "all"),
    Aggregate("PercentGood", 2362, _percent(GOOD), "Double", "all"),
    Aggregate("PercentBad", 2363, _percent(BAD), "Double", "all"),
    Aggregate("WorstQuality", 2364, worst_quality, "StatusCode", "all"),
    Aggregate("WorstQuality2", 11292, worst_quality_2, "StatusCode", "all"),
    Aggregate("StandardDeviationSample", 11426, _deviation(1, square=False), "Double"),
    Aggregate("StandardDeviationPopulation", 11427, _deviation(0, square=False), "Double"),
    Aggregate("VarianceSample", 11428, _deviation(1, square=True), "Double"),
    Aggregate("VariancePopulation", 11429, _deviation(0, square=True), "Double"),
)
"""All that OPC 10000-13, 4.2.2, has."""
BY_NODE: Final = {one.node_id: one for one in AGGREGATES}
BY_NAME: Final = {one.name: one for one in AGGREGATES}


def process(
    samples: Samples, intervals: Iterable[Interval], aggregate: Aggregate, begin: int, said: NDArray[np.int64] = NOTHING_SAID
) -> list[Point]:
    """The results, one per interval. ``begin``: time of the first value of the whole history; raw.HIGHEST where there is none.
    ``said``: the times that annotations are about, ascending."""
    points = []
    for interval in intervals:
        window = Window(samples, interval, begin, said)
        if window.is_before or (window.is_after and not aggregate.extrapolates):
            points.append(window.nothing())
            continue
        point = aggregate.apply(window)
        if isinstance(point.value, float) and not np.isfinite(point.value):
            point = Point(point.time, None, BAD_INVALID_INPUTS)
        points.append(point)
    return points
