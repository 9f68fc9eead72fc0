"""Minimum, Maximum and Range (OPC 10000-13, 5.4.3.10 to 5.4.3.19): of raw values, or with simple bounds; at the start of the
interval or at the time of the value. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from opcua_server.history.bounds import CALCULATED, INTERPOLATED, RAW, RESOLUTION, UNCERTAIN_SUB_NORMAL
from opcua_server.history.window import Aggregator, Point, Window

Pick = Callable[[Any], Any]


def _extreme(window: Window, pick: Pick) -> tuple[Any, int, bool, int] | None:
    """Value, time, whether there are several, and the status, of the least or the greatest of the Good raw values."""
    values = window.values[window.good]
    if not len(values):
        return None
    value = pick(values)
    places = np.flatnonzero(values == value)
    time = int(window.times[window.good][places[0] if len(places) else 0])
    others = window.values[~window.good & ~window.bad]
    goes_beyond = len(others) and pick([pick(others), value]) != value
    status = UNCERTAIN_SUB_NORMAL if window.bad.any() or goes_beyond else 0
    return value.item(), time, len(places) > 1, status


def at_start(pick: Pick) -> Aggregator:
    def extreme(window: Window) -> Point:
        found = _extreme(window, pick)
        if found is None:
            return window.nothing()
        value, time, several, status = found
        return window.point(value, status, RAW if time == window.start else CALCULATED, multiple=several)

    return extreme


def at_its_time(pick: Pick) -> Aggregator:
    def extreme(window: Window) -> Point:
        found = _extreme(window, pick)
        if found is None:
            return window.nothing()
        value, time, several, status = found
        return window.point(value, status, RAW, time=time, multiple=several)

    return extreme


def spread(window: Window) -> Point:
    low, high = _extreme(window, np.min), _extreme(window, np.max)
    if low is None or high is None:
        return window.nothing()
    return window.point(high[0] - low[0], max(low[3], high[3]))


def _extreme_2(window: Window, pick: Pick) -> tuple[Any, int, int, bool] | None:
    """Value, time, source, and whether there are several, of raw values and simple bounds; that at the end only where a line leads
    to it."""
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
    return value, time, source, len(chosen) > 1


def at_start_2(pick: Pick) -> Aggregator:
    def extreme(window: Window) -> Point:
        found = _extreme_2(window, pick)
        if found is None:
            return window.nothing()
        value, time, source, several = found
        shown = source if source == INTERPOLATED or time == window.start else CALCULATED
        return window.point(value, window.by_time(), shown, multiple=several)

    return extreme


def at_its_time_2(pick: Pick) -> Aggregator:
    def extreme(window: Window) -> Point:
        found = _extreme_2(window, pick)
        if found is None:
            return window.nothing()
        value, time, source, several = found
        return window.point(value, window.by_time(), source, time=time, multiple=several)

    return extreme


def spread_2(window: Window) -> Point:
    low, high = _extreme_2(window, min), _extreme_2(window, max)
    if low is None or high is None:
        return window.nothing()
    return window.point(high[0] - low[0], window.by_time())
