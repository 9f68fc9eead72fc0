"""Aggregates of monitored items, without sockets: samples by hand, a clock by hand."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from types import SimpleNamespace
from typing import Any

import pytest

from cnctwin.wire.encode import to_ticks
from cnctwin.wire.scalars import to_datetime, ua
from opcua_server.engine.contract import ServiceFault
from opcua_server.engine.subscriptions.aggregated import MOST_SAMPLES, Aggregation, revised
from opcua_server.engine.subscriptions.calculations import MOST_A_BEAT, Calculations
from opcua_server.engine.subscriptions.queues import ItemQueue
from opcua_server.history.aggregates import AGGREGATES, BY_NAME, process
from opcua_server.history.intervals import generate
from opcua_server.history.series import TICKS_PER_MS, TICKS_PER_S
from opcua_server.history.window import Point
from tests.opcua_server.history import annex

NOON = annex.NOON
V = ua.VariantType
CALCULATED = 0x401
PARTIAL = 0x405


def asked(name: str, seconds: float, start: int = NOON, **configuration: Any) -> Any:
    given = ua.AggregateConfiguration(UseServerCapabilitiesDefaults=not configuration, **configuration)
    return ua.AggregateFilter(to_datetime(start), ua.NodeId(BY_NAME[name].node_id), 1000 * seconds, given)


class Rig:
    """One item, and a clock that is set."""

    def __init__(
        self, wanted: Any, kind: V = V.Double, *, stepped: bool = False, sampling_ms: float = 0.0, size: int = 100,
        past: int | None = None,
    ) -> None:  # fmt: skip
        self.now = NOON
        self.beats: list[bool] = []
        self.calculations = Calculations(lambda: self.now, self.beats.append)
        self.kind = kind
        self.terms, self.result = revised(wanted, kind, stepped, sampling_ms, 100.0, self.now, past)
        self.item: Any = SimpleNamespace(
            slot=SimpleNamespace(node_id=None), queue_size=size, timestamps=2, queue=ItemQueue[Any](size, True)
        )
        self.item.offer_worked_out = lambda value, encoded: self.item.queue.put(value)
        self.one = Aggregation(self.terms, lambda: self.now, self.calculations.begun, self.calculations.ended)
        self.one.item = self.item

    def at(self, second: float, value: Any = None, status: int = 0) -> None:
        """Time goes on to then; a sample."""
        self.now = NOON + round(second * TICKS_PER_S)
        self.calculations.sample()
        if value is not None or status:
            moment = to_datetime(self.now)
            variant = ua.Variant() if value is None else ua.Variant(value, self.kind)
            self.one.passes(ua.DataValue(variant, ua.StatusCode(status), moment, moment))

    def told(self) -> list[tuple[float, Any, int]]:
        """(second, value, status) of what was worked out since; the server time is the end of the interval."""
        found = []
        for value, _ in self.item.queue.take_all():
            end = to_ticks(value.ServerTimestamp)
            assert (end - self.terms.start) % self.terms.length == 0
            assert 0 < end - to_ticks(value.SourceTimestamp) <= self.terms.length
            second = (to_ticks(value.SourceTimestamp) - NOON) / TICKS_PER_S
            found.append((second, value.Value.Value, value.StatusCode.value))
        return found


def test_an_interval_is_told_when_it_is_over_and_its_samples_had_time_to_come() -> None:
    rig = Rig(asked("Average", 10))
    rig.at(0, 1.0)
    rig.at(4, 3.0)
    rig.at(9.9, 5.0)
    rig.at(10.05)
    assert not rig.told()
    rig.at(10.2, 100.0)
    assert rig.told() == [(0, 3.0, CALCULATED)]
    rig.at(40.2)
    rig.at(40.2)
    rig.at(40.2)
    # A value that does not change is held, but is no raw value of the later intervals.
    assert [(second, value) for second, value, _ in rig.told()] == [(10, 100.0), (20, None), (30, None)]


@pytest.mark.parametrize(
    ("name", "expected"), [("TimeAverage", 7.5), ("TimeAverage2", 7.5), ("Minimum2", 5.0), ("Interpolative", 5.0)]
)
def test_a_line_begins_where_a_held_value_began_to_change(name: str, expected: float) -> None:
    """5 up to half of the interval, then 10 from one tick of 100 ms to the next."""
    rig = Rig(asked(name, 10))
    rig.at(-20, 5.0)
    rig.at(5, 10.0)
    rig.at(10.2)
    ((second, value, status),) = rig.told()[-1:]
    assert (second, status >> 30) == (0, 0)
    assert value == pytest.approx(expected + (0.025 if name.startswith("Time") else 0))


def test_an_interval_that_began_before_its_first_sample_is_partial() -> None:
    rig = Rig(asked("Count", 10))
    rig.at(4, 1.0)
    rig.at(6, 2.0)
    rig.at(10.2)
    assert rig.told() == [(0, 2, PARTIAL)]


def test_bad_and_foreign_values_are_no_values() -> None:
    rig = Rig(asked("DurationGood", 10), V.Int32)
    rig.at(0, 1)
    rig.at(2, None, 0x80000000)
    rig.at(4, 7)
    rig.at(10.2)
    assert rig.told() == [(0, 8000.0, CALCULATED)]


@pytest.mark.parametrize(
    ("kind", "values", "name", "expected"),
    [
        (V.Int32, [1, 5, 3], "Maximum", 5),
        (V.UInt64, [1, (1 << 64) - 1, 3], "Maximum", (1 << 64) - 1),
        (V.UInt16, [5, 5, 3], "Delta", None),
        (V.Boolean, [True, False, True], "NumberOfTransitions", 3),
        (V.Boolean, [True, False, True], "DurationInStateZero", 2000.0),
        (V.String, ["a", "b", "c"], "End", "c"),
        (V.String, ["a", "b", "c"], "Count", 3),
        (V.LocalizedText, [ua.LocalizedText(one) for one in "abc"], "PercentGood", 100.0),
        (V.DateTime, [to_datetime(NOON)] * 3, "Start", to_datetime(NOON)),
        (V.Float, [1.0, 2.0, 3.0], "WorstQuality", ua.StatusCode(0)),
    ],
)
def test_values_of_every_type_have_the_aggregates_that_make_sense(kind: V, values: list[Any], name: str, expected: Any) -> None:
    rig = Rig(asked(name, 10), kind, stepped=True)
    for number, value in enumerate(values):
        rig.at(2 * number, value)
    rig.at(10.2)
    ((_, value, status),) = rig.told()
    assert value == expected
    assert bool(status >> 31) is (expected is None)


def test_an_hour_is_bounded_by_sampling_less_often_and_what_comes_faster_is_thinned_out() -> None:
    rig = Rig(asked("Count", 3600), sampling_ms=10.0)
    assert rig.terms.sampling_ms == pytest.approx(2 * 3_600_000 / MOST_SAMPLES, rel=0.02)
    assert rig.terms.room <= MOST_SAMPLES
    fast = Rig(asked("Count", 1))
    for number in range(20_000):
        fast.at(number * 1e-5, float(number))
    fast.at(1.2)
    ((_, value, _),) = fast.told()
    assert 0 < value <= fast.terms.room < 100


def test_what_is_asked_for_is_revised_within_its_boundaries() -> None:
    past = NOON - 12_345 * TICKS_PER_S
    for ms, revised_ms in ((0, 1000.0), (1, 100.0), (250.5, 251.0), (1e12, 86_400_000.0)):
        rig = Rig(asked("Count", ms / 1000, past))
        assert rig.result.RevisedProcessingInterval == revised_ms
        length = round(revised_ms * TICKS_PER_MS)
        start = to_ticks(rig.result.RevisedStartTime)
        assert (start - past) % length == 0
        assert start <= NOON < start + length
        assert rig.terms.sampling_ms <= revised_ms / 2
    ahead = NOON + 90 * TICKS_PER_S
    assert to_ticks(Rig(asked("Count", 60, ahead)).result.RevisedStartTime) == ahead
    given = Rig(asked("Count", 1, TreatUncertainAsBad=False, PercentDataBad=60, PercentDataGood=40, UseSlopedExtrapolation=True))
    assert given.result.RevisedAggregateConfiguration == ua.AggregateConfiguration(False, False, 60, 40, True)
    assert Rig(asked("Count", 1)).result.RevisedAggregateConfiguration == ua.AggregateConfiguration(True, True, 100, 100, False)


@pytest.mark.parametrize(
    ("wanted", "kind", "code"),
    [
        (ua.AggregateFilter(), V.Double, "BadAggregateNotSupported"),
        (ua.AggregateFilter(AggregateType=ua.NodeId(2342, 1)), V.Double, "BadAggregateNotSupported"),
        (asked("AnnotationCount", 1), V.Double, "BadAggregateNotSupported"),
        (asked("Average", 1), V.String, "BadAggregateNotSupported"),
        (asked("Average", 1), V.Boolean, "BadAggregateNotSupported"),
        (asked("Count", -1), V.Double, "BadMonitoredItemFilterInvalid"),
        (asked("Count", float("nan")), V.Double, "BadMonitoredItemFilterInvalid"),
        (asked("Count", 1, PercentDataBad=20, PercentDataGood=20), V.Double, "BadAggregateConfigurationRejected"),
    ],
)
def test_filters_that_cannot_be_say_why(wanted: Any, kind: V, code: str) -> None:
    with pytest.raises(ServiceFault) as refused:
        revised(wanted, kind, False, 0.0, 100.0, NOON)
    assert ua.StatusCode(refused.value.status).name == code


def test_after_a_pause_a_queue_gets_what_it_can_hold_and_says_that_some_is_lost() -> None:
    rig = Rig(asked("StartBound", 1), stepped=True, size=3)
    rig.at(0, 1.0)
    rig.now = NOON + 1000 * TICKS_PER_S
    for _ in range(5):
        rig.calculations.sample()
    assert rig.item.queue.overflows == 1
    assert [second for second, _, _ in rig.told()] == [996, 997, 998]


def test_when_the_clock_is_set_back_values_go_on_from_there() -> None:
    rig = Rig(asked("EndBound", 1), stepped=True)
    rig.at(0, 1.0)
    rig.at(3600, 2.0)
    for _ in range(200):
        rig.calculations.sample()
    rig.told()
    rig.at(1800.5, 3.0)
    rig.at(1802.2)
    rig.at(1802.2)
    assert [(second, value) for second, value, _ in rig.told()] == [(1800, 3.0), (1801, 3.0)]


def test_many_that_are_due_at_once_are_worked_out_over_beats_and_those_that_end_are_forgotten() -> None:
    rig = Rig(asked("Count", 1))
    many = [rig.one.anew() for _ in range(3 * MOST_A_BEAT)]
    for one in many:
        moment = to_datetime(NOON)
        one.passes(ua.DataValue(ua.Variant(1.0), ua.StatusCode(0), moment, moment))
    assert rig.calculations.rate == len(many)
    for expected in (MOST_A_BEAT, MOST_A_BEAT, MOST_A_BEAT, 0):
        rig.at(1.2)
        assert len(rig.told()) == expected
    for one in many:
        one.stop()
        one.stop()
    assert rig.beats == [True, False]
    rig.at(2.2)
    assert not rig.told()


@pytest.mark.parametrize("name", sorted({one.name for one in AGGREGATES if not one.is_sloped} - {"AnnotationCount"}))
@pytest.mark.parametrize("number", [1, 2, 3])
def test_values_are_those_of_a_history_with_the_same_samples(number: int, name: str) -> None:
    """Of the historians of the specification, held: there a later sample says nothing of what was before it."""
    samples = annex.samples(number, stepped=True)
    given = samples.configuration
    bad, good = given.percent_bad, given.percent_good
    wanted = asked(name, 5, TreatUncertainAsBad=given.treat_uncertain_as_bad, PercentDataBad=bad, PercentDataGood=good)
    rig = Rig(wanted, stepped=True)
    rows = zip(samples.times.tolist(), samples.values.tolist(), samples.statuses.tolist(), strict=True)
    for time, value, status in rows:
        until, second = int((rig.now - NOON) / TICKS_PER_S), (time - NOON) / TICKS_PER_S
        for beat in range(until + 1, int(second) + 1):
            rig.at(beat)
        rig.at(second, None if status >> 31 else value, status)
    intervals = list(generate(NOON, samples.times[-1] // (5 * TICKS_PER_S) * (5 * TICKS_PER_S), 5 * TICKS_PER_S))
    expected = process(samples, intervals, BY_NAME[name], annex.ticks(annex.BEGIN[number]))
    found = rig.told()
    assert len(found) == len(intervals) - 1  # the last one is still waited for
    for (second, value, status), point in zip(found, expected, strict=False):
        assert (second, status) == ((point.time - NOON) / TICKS_PER_S, point.status)
        assert (value.value if isinstance(value, ua.StatusCode) else value) == point.value


class Kept:
    """A history that answers with the number of each interval, or fails."""

    def __init__(self, *, fails: bool = False) -> None:
        self.fails = fails
        self.asked: list[tuple[float, int]] = []

    def has(self, node_id: Any) -> bool:
        return True

    async def values(self, node_id: Any, terms: Any, low: int, count: int) -> AsyncGenerator[list[Point], None]:
        self.asked.append(((low - NOON) / TICKS_PER_S, count))
        if self.fails:
            raise ServiceFault(ua.StatusCodes.BadDataUnavailable)
        for number in range(count):
            await asyncio.sleep(0)
            yield [Point(low + number * terms.length, 100.0 + number, 0)]


async def told_until(rig: Rig, count: int) -> list[tuple[float, Any, int]]:
    found: list[tuple[float, Any, int]] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            rig.calculations.sample()
            await asyncio.sleep(0)
            found += rig.told()
    return found


def test_what_was_over_comes_from_the_history_before_what_is_seen() -> None:
    async def act() -> None:
        rig = Rig(asked("Average", 10, NOON - 1000 * TICKS_PER_S), past=3)
        rig.calculations.past = kept = Kept()
        assert to_ticks(rig.result.RevisedStartTime) == NOON - 30 * TICKS_PER_S  # as many as the queue holds
        rig.one = rig.item.change = rig.one.anew()
        rig.at(1, 7.0)
        assert [row[:2] for row in await told_until(rig, 3)] == [(-30, 100.0), (-20, 101.0), (-10, 102.0)]
        rig.at(10.2)
        assert [row[:2] for row in await told_until(rig, 1)] == [(0, 100.0)]  # was under way when it was asked for
        rig.at(12, 8.0)
        rig.at(20.2)
        assert [row[:2] for row in await told_until(rig, 1)] == [(10, 8.0)]
        assert kept.asked == [(-30, 3), (0, 1)]
        again = rig.one.anew()  # after a pause nobody wants to hear of what was before it
        assert (again.next, again.is_past) == (NOON + 20 * TICKS_PER_S, True)

    asyncio.run(act())


def test_who_leaves_while_the_history_is_read_is_told_nothing_and_costs_nothing() -> None:
    async def act() -> None:
        rig = Rig(asked("Average", 10, NOON - 1000 * TICKS_PER_S), past=3)
        rig.calculations.past = Kept()
        rig.one = rig.one.anew()
        rig.at(1, 7.0)
        rig.calculations.sample()
        rig.one.stop()
        for _ in range(20):
            await asyncio.sleep(0)
        assert rig.told() == []
        assert (rig.calculations.rate, rig.beats) == (0.0, [True, False])

    asyncio.run(act())


def test_a_history_that_cannot_be_read_leaves_what_is_seen() -> None:
    async def act() -> None:
        rig = Rig(asked("Average", 10, NOON - 1000 * TICKS_PER_S), past=3)
        rig.calculations.past = Kept(fails=True)
        rig.one = rig.one.anew()
        rig.at(1, 7.0)
        rig.calculations.sample()
        for _ in range(5):
            await asyncio.sleep(0)
        rig.at(10.2)
        assert [row[:2] for row in await told_until(rig, 1)] == [(0, 7.0)]

    asyncio.run(act())
