"""An interval over a tag's samples, as the aggregates see it, and what they say of it. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from opcua_server.history import regions
from opcua_server.history.bounds import CALCULATED, RAW, Samples, status_with
from opcua_server.history.intervals import Interval
from opcua_server.history.regions import BAD, GOOD, Regions, verdict
from opcua_server.history.series import BAD_NO_DATA

NOTHING_SAID: Final = np.empty(0, np.int64)


@dataclass(frozen=True, slots=True)
class Point:
    """One result. ``value`` is None where there is none, as its status says."""

    time: int
    value: Any
    status: int


class Window:
    """An interval over samples. ``begin``: time of the first value of the whole history, 100 ns since 1601. ``said``: the times
    that annotations are about, ascending."""

    def __init__(self, samples: Samples, interval: Interval, begin: int, said: NDArray[np.int64] = NOTHING_SAID) -> None:
        self.samples = samples
        self.interval = interval
        self.configuration = samples.configuration
        where = regions.inside(samples, interval)
        counted = ~samples.no_data[where]  # an entry that says there is no data is no value
        self.times: NDArray[np.int64] = samples.times[where][counted]
        self.values: NDArray[Any] = samples.values[where][counted]
        self.statuses: NDArray[np.uint32] = samples.statuses[where][counted]
        self.bad: NDArray[np.bool_] = samples.bad[where][counted]
        self.good: NDArray[np.bool_] = (self.statuses >> np.uint32(30)) == 0
        self.is_partial = interval.is_cut or interval.low < begin < interval.high or interval.low < samples.end < interval.high
        self.is_before = interval.high <= begin
        self.is_after = interval.low >= samples.end
        self.said = said[regions.places(said, interval)]
        self._regions: Regions | None = None

    @property
    def start(self) -> int:
        return self.interval.start

    @property
    def regions(self) -> Regions:
        if self._regions is None:
            self._regions = regions.by_simple_bounds(self.samples, self.interval)
        return self._regions

    def point(
        self, value: Any, status: int = 0, source: int = CALCULATED, *, time: int | None = None, multiple: bool = False
    ) -> Point:
        code = status_with(status, source, partial=self.is_partial, multiple=multiple)
        return Point(self.start if time is None else time, None if code >> 31 else value, code)

    def nothing(self, *, partial: bool = False) -> Point:
        return Point(self.start, None, status_with(BAD_NO_DATA, RAW, partial=partial and self.is_partial))

    def by_count(self) -> int:
        """The status of what is worked out from raw values."""
        return verdict(self.configuration, int(self.good.sum()), int(self.bad.sum()), len(self.good))

    def by_time(self) -> int:
        """The status of what is worked out over time, with simple bounds."""
        found = self.regions
        return verdict(self.configuration, found.duration(GOOD), found.duration(BAD), found.width)


Aggregator = Callable[[Window], Point]
