"""One node of a HistoryRead, page by page. A job is small and keeps no data: it is what a continuation point stands for.

    job.page(view, most) -> (status, encoded HistoryData, the job of the rest or None)

Pages are made beside the loop; each costs a bounded amount of work and memory, whatever the range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from cnctwin.wire.scalars import ua
from opcua_server.engine import ranges
from opcua_server.engine.contract import ServiceFault
from opcua_server.history import encoding, intervals, raw
from opcua_server.history.aggregates import Aggregate, process
from opcua_server.history.archive import Tag, View
from opcua_server.history.bounds import INTERPOLATED, RAW, Configuration, Samples, status_with
from opcua_server.history.raw import HIGHEST, LOWEST, Range
from opcua_server.history.series import BAD_NO_DATA, Series, is_bad, joined
from opcua_server.history.window import NOTHING_SAID, Point

_C = ua.StatusCodes
GOOD_NO_DATA: Final = int(_C.GoodNoData)
MOST_SAMPLES: Final = 1_000_000
"""Samples that are looked at for one page of aggregates."""
MOST_OF_ONE: Final = 4_000_000
"""Samples of a single interval: five days of ten a second."""
STRIDE: Final = 500
"""Intervals that are worked out before it is looked whether the server ends."""
_REACHES: Final = (2, 64, 2_048, 65_536)
"""How many samples beyond an interval are looked at for one that is usable, in turn."""


class Job(Protocol):
    def page(self, view: View, most: int) -> tuple[int, bytes, Job | None]:
        """Raises ServiceFault, StoreError, BlockError."""


@dataclass(frozen=True, slots=True)
class RawJob:
    """``per_page``: NumValuesPerNode, 0 for as many as fit. ``left``: where one end is open, how many values are still to come."""

    tag: Tag
    asked: Range
    per_page: int
    left: int | None
    timestamps: int
    bounds: Sequence[tuple[int, int]] = ()
    """IndexRange of a text."""

    def page(self, view: View, most: int) -> tuple[int, bytes, Job | None]:
        wanted = min(most, self.left if self.left is not None else self.per_page or most)

        def read(low: int, high: int, count: int, backwards: bool) -> Series:
            return view.read(self.tag, low, high, count, backwards)

        found, rest = raw.page(read, self.tag.kind, self.asked, wanted)
        after: Job | None = None
        if rest is not None:
            left = None if self.left is None else self.left - len(found)
            after = replace(self, asked=rest, left=left) if left is None or left > 0 else None
        content = self._encoded(found)
        return 0 if len(found) else GOOD_NO_DATA, encoding.history_data(content, len(found)), after

    def _encoded(self, found: Series) -> bytes | list[bytes]:
        if not self.bounds:
            return encoding.series(found, self.tag.kind, self.timestamps)
        return [
            self._cut(value, status, time, server)
            for value, status, time, server in zip(
                found.values.tolist(), found.statuses.tolist(), found.times.tolist(), found.servers.tolist(), strict=True
            )
        ]

    def _cut(self, value: Any, status: int, time: int, server: int) -> bytes:
        if status >> 31:
            value = None
        else:
            try:
                value = ranges.cut(ua.Variant(value, ua.VariantType.String), list(self.bounds)).Value
            except ServiceFault as fault:
                value, status = None, fault.status
        return encoding.data_value(value, self.tag.kind, status, time, server, self.timestamps)


@dataclass(frozen=True, slots=True)
class ModifiedJob:
    """Values that somebody replaced or deleted. ``skip``: how many of those at the first time were shown."""

    tag: Tag
    asked: Range
    per_page: int
    left: int | None
    timestamps: int
    skip: int = 0

    def page(self, view: View, most: int) -> tuple[int, bytes, Job | None]:
        wanted = min(most, self.left if self.left is not None else self.per_page or most)
        low, high = sorted((self.asked.first, self.asked.last))
        if self.asked.is_empty:
            return GOOD_NO_DATA, encoding.modified_data([], []), None
        if self.asked.is_backwards:  # all of them, as those that went last come first in either direction
            every, _ = view.modified(self.tag, low, high, MOST_SAMPLES, 0)
            every.sort(key=lambda one: (-one.time, -one.edit.id))
            found, more = every[self.skip : self.skip + wanted], len(every) > self.skip + wanted
        else:
            found, more = view.modified(self.tag, low, high, wanted, self.skip)
        left = None if self.left is None else self.left - len(found)
        after = replace(self, skip=self.skip + len(found), left=left) if more and (left is None or left > 0) else None
        values = [
            encoding.data_value(
                None if one.status >> 31 else one.value, self.tag.kind, one.status, one.time, one.server, self.timestamps
            )
            for one in found
        ]
        infos = [(one.edit.at, one.edit.kind, one.edit.user) for one in found]
        return 0 if found else GOOD_NO_DATA, encoding.modified_data(values, infos), after


@dataclass(frozen=True, slots=True)
class AtTimeJob:
    """``times`` in the order of the request, those of all its nodes; from ``first`` on. ``known_until``: to which time the last
    value has held; ``now``: of the request."""

    tag: Tag
    times: NDArray[np.int64]
    is_simple: bool
    configuration: Configuration
    known_until: int
    now: int
    timestamps: int
    first: int = 0

    def page(self, view: View, most: int) -> tuple[int, bytes, Job | None]:
        end = self.first + most
        times = self.times[self.first : end].tolist()
        found: dict[int, Point] = {}
        ordered = sorted(set(times))
        place = 0
        while place < len(ordered):
            # As many times as lie within a bounded number of samples, at least one.
            series, reach = surroundings(view, self.tag, ordered[place], ordered[-1], self.configuration, MOST_SAMPLES)
            samples = Samples(series, self.configuration, self.known_until)
            while place < len(ordered) and ordered[place] <= reach:
                found[ordered[place]] = self._at(samples, ordered[place])
                place += 1
        content = encoding.points([found[time] for time in times], self.tag.kind, self.now, self.timestamps)
        after = replace(self, first=end) if end < len(self.times) else None
        return 0, encoding.history_data(content, len(times)), after

    def _at(self, samples: Samples, time: int) -> Point:
        place = int(np.searchsorted(samples.times, time))
        if place < len(samples.times) and int(samples.times[place]) == time:
            status, value = int(samples.statuses[place]), samples.values[place]
            return Point(time, None if status >> 31 else value.item() if isinstance(value, np.generic) else value, status)
        bound = samples.simple(time) if self.is_simple else samples.interpolated(time)
        return Point(time, bound.value, status_with(bound.status, RAW if bound.is_bad else INTERPOLATED))


@dataclass(frozen=True, slots=True)
class ProcessedJob:
    """From the interval number ``first`` on. ``length``: ProcessingInterval in 100 ns. ``said``: under which annotations of the
    values are kept, for who counts them."""

    tag: Tag
    aggregate: Aggregate
    start: int
    end: int
    length: int
    configuration: Configuration
    known_until: int
    now: int
    timestamps: int
    said: Tag | None = None
    first: int = 0

    def page(self, view: View, most: int) -> tuple[int, bytes, Job | None]:
        points, rest = self.points(view, most)
        content = encoding.points(points, self.aggregate.type or self.tag.kind, self.now, self.timestamps)
        return 0, encoding.history_data(content, len(points)), rest

    def points(self, view: View, most: int) -> tuple[list[Point], ProcessedJob | None]:
        """Up to so many intervals, and the job of the rest."""
        total = intervals.count(self.start, self.end, self.length)
        count = min(most, total - self.first)
        while True:
            cells = []
            for cell in intervals.generate(self.start, self.end, self.length, self.first):
                cells.append(cell)
                if len(cells) == count:
                    break
            low, high = min(cell.low for cell in cells), max(cell.high for cell in cells)
            limit = MOST_SAMPLES if count > 1 else MOST_OF_ONE
            series, reach = surroundings(view, self.tag, low, high, self.configuration, limit)
            if reach >= high:
                break
            if count == 1:
                raise ServiceFault(_C.BadTooManyOperations)
            count = -(-count // 4)
        samples = Samples(series, self.configuration, self.known_until)
        begin = first_value(view, self.tag)
        said = NOTHING_SAID
        if self.said is not None:
            said = np.array([one.time for one in view.entries(self.said).between(low, high)], np.int64)
        points: list[Point] = []
        for some in range(0, len(cells), STRIDE):
            view.check()
            points += process(samples, cells[some : some + STRIDE], self.aggregate, begin, said)
        done = self.first + count
        return points, replace(self, first=done) if done < total else None


def surroundings(view: View, tag: Tag, low: int, high: int, configuration: Configuration, most: int) -> tuple[Series, int]:
    """The samples from ``low`` to ``high``, ``most`` of them, with those around that bounding values need; and up to which time
    they are all there are."""
    middle = view.read(tag, low, high, most, False)
    reach = high if len(middle) < most else int(middle.times[-1]) - 1
    before = _beyond(view, tag, LOWEST, low - 1, True, configuration, 2 if configuration.sloped_extrapolation else 1)
    after = _beyond(view, tag, high + 1, HIGHEST, False, configuration, 1) if reach == high else middle.part(0, 0)
    return joined([before, middle, after], tag.kind), reach


def _beyond(view: View, tag: Tag, low: int, high: int, backwards: bool, configuration: Configuration, usable: int) -> Series:
    """The nearest samples, up to so many that are usable."""
    for reach in _REACHES:
        found = view.read(tag, low, high, reach, backwards)
        bad = is_bad(found.statuses)
        if configuration.treat_uncertain_as_bad:
            bad = bad | ((found.statuses >> np.uint32(30)) == 1)
        if len(found) < reach or int(np.count_nonzero(~bad)) >= usable:
            break
    return found


def first_value(view: View, tag: Tag) -> int:
    """When the history of a tag begins: at its first sample that is a value; HIGHEST where there is none."""
    for reach in _REACHES:
        found = view.read(tag, LOWEST, HIGHEST, reach, False)
        places = np.flatnonzero((found.statuses & np.uint32(0xFFFF0000)) != BAD_NO_DATA)
        if len(places):
            return int(found.times[places[0]])
        if len(found) < reach:
            break
    return HIGHEST
