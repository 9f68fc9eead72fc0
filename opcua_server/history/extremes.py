"""Minimum, Maximum and Range (OPC 10000-13, 5.4.3.10 to 5.4.3.19): of raw values, or with simple bounds; at the start of the
interval or at the time of the value. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from opcua_server.history.bounds import CALCULATED, INTERPOLATED, RAW, RESOLUTION, UNCERTAIN_SUB_NORMAL
from opcua_server.history.window import Aggregator, Point, Window

Pick = Callable[[Any], Any]
"""np.min or np.max."""


@dataclass(frozen=True, slots=True)
class Extreme:
    """``source``: RAW, or INTERPOLATED for a bound. ``is_multiple``: several values are as extreme; this is the first."""

    value: Any
    time: int
    source: int
    status: int
    is_multiple: bool


Find = Callable[[Window, Pick], Extreme | None]


def of_raw(window: Window, pick: Pick) -> Extreme | None:
    """The least or the greatest of the Good raw values."""
    values = window.values[window.good]
    if not len(values):
        return None
    value = pick(values)
    places = np.flatnonzero(values == value)
    time = int(window.times[window.good][places[0] if len(places) else 0])
    others = window.values[~window.good & ~window.bad]
    goes_beyond = len(others) and pick([pick(others), value]) != value
    status = UNCERTAIN_SUB_NORMAL if window.bad.any() or goes_beyond else 0
    return Extreme(value.item(), time, RAW, status, len(places) > 1)


def with_bounds(window: Window, pick: Pick) -> Extreme | None:
    """The same of raw values and simple bounds; that at the end only where a line leads to it."""
    found = window.regions
    interval = window.interval
    candidates: list[tuple[int, Any, int]] = []
    bounds = [(found.start, interval.low), (found.end, interval.high)]
    for bound, time in bounds:
        is_first = (time == interval.high) == interval.is_backwards
        if bound is None or bound.is_bad or (not is_first and window.configuration.stepped):
            continue
        if not is_first:
            candidates.append((interval.last_moment(RESOLUTION), bound.value, INTERPOLATED))
        elif bound.source == INTERPOLATED:
            candidates.append((time, bound.value, INTERPOLATED))
    times, values = window.times[window.good], window.values[window.good]
    if len(values):
        value = pick(values)
        candidates += [(int(times[place]), value.item(), RAW) for place in np.flatnonzero(values == value)[:2]]
    if not candidates:
        return None
    best = pick([value for _, value, _ in candidates])
    chosen = sorted((time, source, value) for time, value, source in candidates if value == best)
    if not chosen:
        return None
    time, source, value = chosen[0]
    return Extreme(value, time, source, window.by_time(), len(chosen) > 1)


def at_start(find: Find, pick: Pick) -> Aggregator:
    """What is found, told of the start of the interval."""

    def extreme(window: Window) -> Point:
        found = find(window, pick)
        if found is None:
            return window.nothing()
        is_moved = found.source == RAW and found.time != window.start
        return window.point(found.value, found.status, CALCULATED if is_moved else found.source, multiple=found.is_multiple)

    return extreme


def at_its_time(find: Find, pick: Pick) -> Aggregator:
    def extreme(window: Window) -> Point:
        found = find(window, pick)
        if found is None:
            return window.nothing()
        return window.point(found.value, found.status, found.source, time=found.time, multiple=found.is_multiple)

    return extreme


def spread(find: Find) -> Aggregator:
    def between(window: Window) -> Point:
        low, high = find(window, np.min), find(window, np.max)
        if low is None or high is None:
            return window.nothing()
        return window.point(high.value - low.value, max(low.status, high.status))

    return between
