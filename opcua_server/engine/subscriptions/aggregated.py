"""Aggregates of monitored items (OPC 10000-4, 7.22.4): samples in, one value out for each interval that is over. Pure.

    samples   --x---x-x------x--|--x-x---x------x-|-x--     kept until the interval they lie in, and what leads to it, is told
    told                        ^  wait            ^  wait
                                the value of the interval before, at its start; server time: its end

What an aggregate is stands in ``history.aggregates``: here are only the samples of one item, bounded, and when it is time. An item
knows its value from the source time of its first sample on; an interval that began before is worked out from the history, and is
Partial where there is none.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cnctwin.wire.encode import to_ticks
from cnctwin.wire.scalars import to_datetime, ua
from opcua_server.engine.contract import ServiceFault
from opcua_server.engine.subscriptions.feeds import status_of
from opcua_server.engine.subscriptions.filters import cast
from opcua_server.engine.subscriptions.revise import FASTEST_SAMPLING_MS
from opcua_server.history.aggregates import ANNOTATION_COUNT, BAD_INVALID_INPUTS, Aggregate, process
from opcua_server.history.asked import aggregate_of, configuration_of
from opcua_server.history.bounds import Configuration, Samples
from opcua_server.history.intervals import Interval
from opcua_server.history.raw import HIGHEST
from opcua_server.history.series import BAD_NO_DATA, TICKS_PER_MS, Series

_C = ua.StatusCodes
_V = ua.VariantType
FASTEST_MS: Final = 100.0
"""ProcessingInterval; machines show themselves ten times a second."""
SLOWEST_MS: Final = 86_400_000.0
_UNSAID_MS: Final = 1_000.0
"""ProcessingInterval of who leaves it to the server, or the publishing interval where that is longer."""
MOST_SAMPLES: Final = 10_000
"""That an item keeps; who wants longer intervals than they last is sampled less often."""
_TICK_MS: Final = 100.0
"""How close samples are where each change is one; and how late they may come."""
_SAMPLES_PER_TERM: Final = 40
_TERMS_A_SECOND: Final = 80
"""An aggregate that is worked out each second counts as so many terms of a filter; some 250 a second of a session."""
_ARRAYS: Final = {_V.Double: "d", _V.Float: "d", _V.Boolean: "b", _V.UInt64: "Q"} | dict.fromkeys(
    (_V.SByte, _V.Byte, _V.Int16, _V.UInt16, _V.Int32, _V.UInt32, _V.Int64), "q"
)
"""Built-in type -> how its values are held; others as they are."""
_WITH_LINES: Final = frozenset(
    {"Interpolative", "TimeAverage", "TimeAverage2", "Total", "Total2", "Minimum2", "Maximum2", "MinimumActualTime2",
     "MaximumActualTime2", "Range2", "StartBound", "EndBound", "DeltaBounds"}
)  # fmt: skip
"""Aggregates to which it matters how long a value had held before it changed; others count raw values."""


@dataclass(frozen=True, slots=True)
class Terms:
    """Revised parameters. ``sampling_ms``: 0 for each change. ``start`` and ``length`` in 100 ns (since 1601)."""

    aggregate: Aggregate
    kind: Any
    configuration: Configuration
    start: int
    length: int
    sampling_ms: float
    has_past: bool = False
    """Whether there is a history of what was before."""

    @property
    def wait(self) -> int:
        """How long after an interval its last samples may come (OPC 10000-13, 4.3.2), 100 ns."""
        return min(self.length, round((self.sampling_ms + _TICK_MS) * TICKS_PER_MS))

    @property
    def room(self) -> int:
        """How many samples an item keeps at most, with how long each had held."""
        spacing = max(self.sampling_ms, FASTEST_SAMPLING_MS if self.sampling_ms else _TICK_MS) * TICKS_PER_MS
        return min(MOST_SAMPLES, 2 * math.ceil((self.length + self.wait) / spacing) + 64)

    @property
    def has_lines(self) -> bool:
        return not self.configuration.stepped and self.aggregate.name in _WITH_LINES

    @property
    def rate(self) -> float:
        """Values a second."""
        return 1000 * TICKS_PER_MS / self.length

    @property
    def kept(self) -> int:
        """What its samples take of the memory, in terms of event filters, a kilobyte each."""
        return 1 + self.room // _SAMPLES_PER_TERM

    @property
    def size(self) -> int:
        """What it counts as, in such terms, with what it takes of the processor."""
        return self.kept + round(_TERMS_A_SECOND * self.rate)


def revised(
    wanted: Any, kind: Any, stepped: bool, sampling_ms: float, publishing_ms: float, now: int, past: int | None = None
) -> tuple[Terms, Any]:
    """What becomes of an AggregateFilter, and its AggregateFilterResult. ``kind``: VariantType of the values; ``sampling_ms``: the
    sampling interval, 0 for each change; ``now`` in 100 ns since 1601; ``past``: how many intervals that are over may come,
    as many as the queue holds; None without a history. Raises ServiceFault."""
    aggregate = aggregate_of(wanted.AggregateType, kind.name)
    if aggregate.node_id == ANNOTATION_COUNT:
        raise ServiceFault(_C.BadAggregateNotSupported, "Annotations are those of a history")
    configuration = configuration_of(wanted.AggregateConfiguration)
    asked_ms = float(wanted.ProcessingInterval)
    if not 0 <= asked_ms < math.inf:
        raise ServiceFault(_C.BadMonitoredItemFilterInvalid, "A ProcessingInterval is 0 or more")
    length_ms = float(math.ceil(min(max(asked_ms or max(publishing_ms, _UNSAID_MS), FASTEST_MS), SLOWEST_MS)))
    length = round(length_ms * TICKS_PER_MS)
    # Two samples an interval or more (7.22.4), and not more than an item may keep.
    fewest_ms = 2 * length_ms / (MOST_SAMPLES - 100)
    sampling_ms = min(max(sampling_ms, fewest_ms if fewest_ms > _TICK_MS else 0.0), length_ms / 2)
    sampling_ms = float(math.floor(sampling_ms))
    start = to_ticks(wanted.StartTime)
    if start <= now:  # more of what is over would be lost in the queue; without a history the one that is under way is the first
        start += max(0, (now - start) // length - (past or 0)) * length
    configuration = replace(configuration, stepped=stepped and not aggregate.is_sloped)
    terms = Terms(aggregate, kind, configuration, start, length, sampling_ms, past is not None)
    result = ua.AggregateFilterResult(
        to_datetime(start),
        length_ms,
        ua.AggregateConfiguration(
            bool(wanted.AggregateConfiguration is None or wanted.AggregateConfiguration.UseServerCapabilitiesDefaults),
            configuration.treat_uncertain_as_bad,
            configuration.percent_bad,
            configuration.percent_good,
            configuration.sloped_extrapolation,
        ),
    )
    return terms, result


class Aggregation:
    """Takes the place of a data change filter: it keeps samples and lets none pass.

    ``begun`` is told when there is a first sample, ``ended`` when no more come: between the two, ``due`` is when to ask for the
    next value, 100 ns since 1601.
    """

    __slots__ = (
        "_begin", "_now", "_past_until", "_statuses", "_times", "_values", "begun", "deadband", "ended", "is_begun",
        "item", "last", "next", "terms", "trigger",
    )  # fmt: skip

    def __init__(
        self, terms: Terms, now: Callable[[], int], begun: Callable[[Aggregation], None], ended: Callable[[Aggregation], None]
    ) -> None:
        self.terms = terms
        self.trigger: Any = object()  # another one is another way of sampling
        self.deadband: float | None = None
        self.last: Any = None
        self.item: Any = None
        self.begun, self.ended = begun, ended
        self.is_begun = False
        self.next = terms.start
        """When the next interval starts."""
        self._past_until = 0
        """Intervals that start before are those of the history."""
        self._now = now
        self._begin = HIGHEST
        self._times = array("q")
        self._statuses = array("I")
        self._values: Any = array(_ARRAYS[terms.kind]) if terms.kind in _ARRAYS else []

    @property
    def size(self) -> int:
        return self.terms.size

    @property
    def kept(self) -> int:
        return self.terms.kept

    @property
    def due(self) -> int:
        return self.next + self.terms.length + self.terms.wait

    def anew(self) -> Aggregation:
        """The same for an item that starts to watch: it has seen nothing. What is over is for who asks, not for who only paused."""
        made = Aggregation(self.terms, self._now, self.begun, self.ended)
        made.item = self.item
        now, length = self._now(), self.terms.length
        if now >= made.next:
            under_way = made.next + (now - made.next) // length * length
            is_new = self.terms.has_past and not self._times
            made.next = max(made.next, under_way - self.item.queue_size * length) if is_new else under_way
            made._past_until = under_way + length if self.terms.has_past else 0
        return made

    def over(self, now: int) -> int:
        """How many intervals of the history are over and not told yet."""
        length = self.terms.length
        return max(0, min((now - self.due) // length + 1, (self._past_until - self.next) // length))

    @property
    def is_past(self) -> bool:
        """Whether the next interval is one of the history."""
        return self.next < self._past_until

    def forget_past(self) -> None:
        """The history cannot be read: go on with what was seen."""
        self.next, self._past_until = max(self.next, self._past_until - self.terms.length), 0

    def stop(self) -> None:
        if self.is_begun:
            self.is_begun = False
            self.ended(self)

    # Samples -----------------------------------------------------------------------------------------------------------

    def passes(self, value: Any) -> bool:
        """Keep a sample. It is told with its interval."""
        now = self._now()
        time = min(to_ticks(value.SourceTimestamp) or now, now)
        times = self._times
        if times and time <= times[-1]:  # of two at one time the later one stands, and time does not go back
            time = times[-1]
            self._drop(len(times) - 1, len(times))
        elif times and self.terms.has_lines:
            held = time - round(max(self.terms.sampling_ms, _TICK_MS) * TICKS_PER_MS)
            if held > times[-1]:
                self._again(held)  # a line begins where the value began to change
        self._add(time, value)
        if not self.is_begun:
            self.is_begun = True
            self.begun(self)
        return False

    def _add(self, time: int, value: Any) -> None:
        status = status_of(value)
        variant = value.Value
        content: Any = None if variant is None or status >> 31 or isinstance(variant.Value, list | tuple) else variant.Value
        if content is not None and variant.VariantType != self.terms.kind:
            content = cast(content, ua.NodeId(self.terms.kind.value, 0))
        if content is None and not status >> 31:
            status = BAD_NO_DATA
        if self._begin == HIGHEST and status & 0xFFFF0000 != BAD_NO_DATA:
            self._begin = time
        self._put(time, 0 if content is None and self.terms.kind in _ARRAYS else content, status)

    def _again(self, time: int) -> None:
        self._put(time, self._values[-1], self._statuses[-1])

    def _put(self, time: int, content: Any, status: int) -> None:
        if len(self._times) >= self.terms.room:  # more than it asked to be sampled: the newest stands for those beside it
            self._drop(len(self._times) - 1, len(self._times))
        self._times.append(time)
        self._values.append(content)
        self._statuses.append(status)

    def _drop(self, start: int, end: int) -> None:
        for column in (self._times, self._values, self._statuses):
            del column[start:end]

    # Values ------------------------------------------------------------------------------------------------------------

    def catch_up(self, now: int, most: int) -> int:
        """Leave out intervals that are over but for the last ``most``: a queue would lose them; how many."""
        behind = (now - self.due) // self.terms.length + 1 - most
        if behind <= 0:
            return 0
        self.next += behind * self.terms.length
        return behind

    def set_back(self, now: int) -> None:
        """The clock was set back: what was in its future has not been."""
        if self.next > now:
            self.next = max(self.terms.start, self.next - -(-(self.next - now) // self.terms.length) * self.terms.length)
        place = int(np.searchsorted(np.array(self._times, np.int64), now, "right"))
        if 0 < place < len(self._times):
            newest = self._values[-1], self._statuses[-1]
            self._drop(place, len(self._times))
            self._put(now, *newest)
        elif not place and self._times:
            self._drop(0, len(self._times) - 1)
            self._times[0] = now
            self._begin = min(self._begin, now)

    def take(self) -> Any:
        """The DataValue of the next interval, which is over."""
        terms, low = self.terms, self.next
        self.next = high = low + terms.length
        times, statuses = np.array(self._times, np.int64), np.array(self._statuses, np.uint32)
        samples = Samples(Series(times, self._column(), statuses, times), terms.configuration, self._now())
        (point,) = process(samples, [Interval(low, high)], terms.aggregate, self._begin)
        self._forget(samples, high)
        return self._told(point, high)

    def take_past(self, point: Any) -> Any:
        """The same of the history: ``point`` is what it has of the next interval."""
        self.next = high = self.next + self.terms.length
        return self._told(point, high)

    def _told(self, point: Any, high: int) -> Any:
        terms = self.terms
        kind = _V[terms.aggregate.type] if terms.aggregate.type else terms.kind
        content, status = _held(point.value, kind), point.status
        if content is None and not status >> 31:
            status = BAD_INVALID_INPUTS
        variant = ua.Variant() if content is None else ua.Variant(content, kind)
        return ua.DataValue(variant, ua.StatusCode(status), to_datetime(point.time), to_datetime(high))

    def _column(self) -> NDArray[Any]:
        if self.terms.kind in _ARRAYS:
            return np.array(self._values).astype(np.bool_) if self.terms.kind is _V.Boolean else np.array(self._values)
        made = np.empty(len(self._values), object)
        made[:] = self._values
        return made

    def _forget(self, samples: Samples, high: int) -> None:
        """What is before the next interval, but for what its bounds are made of: two usable samples, and those behind them."""
        before = int(np.searchsorted(samples.times, high, "left"))
        usable = samples.usable[samples.usable < before]
        first = min(int(usable[-2]) if len(usable) > 1 else 0, max(0, before - 1))
        self._drop(0, max(first, before - 64))


def _held(value: Any, kind: Any) -> Any:
    """A value as its type has it; None where it cannot."""
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or kind not in _ARRAYS:
        return ua.StatusCode(value) if value is not None and kind is _V.StatusCode else value
    return cast(value, ua.NodeId(kind.value, 0))
