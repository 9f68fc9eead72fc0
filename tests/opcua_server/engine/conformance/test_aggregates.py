"""Aggregates of monitored items (OPC 10000-4, 7.22.4) by asyncua's client."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from opcua_server.history.aggregates import AGGREGATES, BY_NAME
from tests.opcua_server.engine.conformance.plant import Caller, Plant, Planted, calling, item, monitored, run, ua
from tests.opcua_server.engine.conformance.test_history import processed, read

MS = timedelta(milliseconds=1)
EARLIER = datetime(2026, 1, 1, tzinfo=UTC)


def aggregate(name: str, ms: float, start: datetime = EARLIER, **configuration: Any) -> Any:
    given = ua.AggregateConfiguration(UseServerCapabilitiesDefaults=not configuration, **configuration)
    return ua.AggregateFilter(start, ua.NodeId(BY_NAME[name].node_id), ms, given)


async def heard(call: Caller, count: int, handles: int = 1) -> dict[int, list[Any]]:
    """Client handle -> DataValues, until each of those that are told, so many at least, has so many."""
    found: dict[int, list[Any]] = {}
    async with asyncio.timeout(30):
        while len(found) < handles or min(map(len, found.values())) < count:
            for data in (await call.publish()).NotificationMessage.NotificationData or []:
                for one in data.MonitoredItems:
                    found.setdefault(one.ClientHandle, []).append(one.Value)
    return found


def test_intervals_that_were_over_before_somebody_asked_come_from_the_history(plant: Planted) -> None:
    """Each as HistoryRead has it, the one that was under way too."""

    async def act(call: Caller) -> None:
        now = datetime.now(UTC)
        asked_from = now.replace(microsecond=0) - timedelta(seconds=5)
        plant.past.recently([(now - 130 * MS * number, float(number % 7), 0) for number in range(60, 0, -1)])
        made = await call.subscribe(100.0)
        names = ("Average", "Maximum2", "Count")
        wanted = [aggregate(name, 1000.0, asked_from) for name in names]
        asked = [monitored("Recent", handle, queue=50, wanted=one) for handle, one in enumerate(wanted)]
        for one in await call.monitor(made, *asked):
            one.StatusCode.check()
            assert one.FilterResult.RevisedStartTime.replace(tzinfo=UTC) == asked_from
        told = await heard(call, 6, len(names))
        for handle, name in enumerate(names):
            (found,) = await read(call, processed(asked_from, asked_from + timedelta(seconds=6), 1000.0, name), "Recent")
            kept = found.HistoryData.DataValues
            assert [(one.Value, one.StatusCode, one.SourceTimestamp) for one in told[handle][:6]] == [
                (one.Value, one.StatusCode, one.SourceTimestamp) for one in kept
            ]
            assert [one.ServerTimestamp.replace(tzinfo=UTC) for one in told[handle][:6]] == [
                asked_from + timedelta(seconds=number) for number in range(1, 7)
            ]
        assert [one.Value.Value for one in told[2][:5]] != [0] * 5

    run(plant, act)


def test_an_interval_is_told_when_it_is_over(plant: Plant) -> None:
    """It is known when each value was shown, so what each interval has of them is too."""

    async def act(call: Caller) -> None:
        made = await call.subscribe(100.0)
        names = ("Count", "Maximum", "Start")
        asked = [monitored("Double", handle, queue=50, wanted=aggregate(name, 500.0)) for handle, name in enumerate(names)]
        for one in await call.monitor(made, *asked):
            one.StatusCode.check()
            assert one.FilterResult.RevisedProcessingInterval == 500.0
            start = one.FilterResult.RevisedStartTime.replace(tzinfo=UTC)
            assert (start - EARLIER) % (500 * MS) == timedelta(0)
            assert start + 500 * MS > datetime.now(UTC) - timedelta(seconds=20)
            assert one.RevisedQueueSize == 50
            assert one.RevisedSamplingInterval == 0.0
        shown: list[tuple[datetime, float]] = []
        for number in range(40):
            plant.show("Double", 100.0 + number % 7)
            (read,) = await call.read(item("Double"))  # with the moment at which the server showed it
            shown.append((read.SourceTimestamp.replace(tzinfo=UTC), read.Value.Value))
            await asyncio.sleep(0.03)
        told = await heard(call, 4)
        plain = 0
        for handle, name in enumerate(names):
            starts = []
            for value in told[handle]:
                end = value.ServerTimestamp.replace(tzinfo=UTC)
                low = end - 500 * MS
                starts.append(low)
                assert (low - EARLIER) % (500 * MS) == timedelta(0)
                within = [(time, one) for time, one in shown if low <= time < end]
                if low < shown[0][0]:  # what was shown before was an hour of other tests
                    continue
                expected: Any = len(within) if name == "Count" else None
                if within and name != "Count":
                    expected = max(one for _, one in within) if name == "Maximum" else within[0][1]
                assert (value.Value.Value if value.Value is not None else None) == expected
                if within and name == "Start":
                    assert value.SourceTimestamp.replace(tzinfo=UTC) == within[0][0]
                plain += bool(within)
            assert starts == [starts[0] + 500 * MS * number for number in range(len(starts))]
        assert plain >= 3
        assert told[0][0].Value.VariantType is ua.VariantType.Int32

    run(plant, act)


def test_every_aggregate_but_that_of_annotations_is_offered_and_told(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(50.0)
        offered = [one for one in AGGREGATES if one.name != "AnnotationCount"]
        results = await call.monitor(
            made, *[monitored("Flag" if one.takes == "states" else "Double", one.node_id, wanted=aggregate(one.name, 200.0))
                    for one in offered]
        )  # fmt: skip
        assert {one.StatusCode.name for one in results} == {"Good"}
        plant.show("Double", 3.0, 4.0)
        told = {}
        async with asyncio.timeout(30):
            while set(told) != {one.node_id for one in offered}:
                told.update(await heard(call, 1))
        (refused,) = await call.monitor(made, monitored("Double", wanted=aggregate("AnnotationCount", 200.0)))
        assert refused.StatusCode.name == "BadAggregateNotSupported"

    run(plant, act)


@pytest.mark.parametrize(
    ("name", "attribute", "wanted", "status"),
    [
        ("Double", 3, aggregate("Count", 1000.0), "BadFilterNotAllowed"),
        ("Double", 13, ua.AggregateFilter(), "BadAggregateNotSupported"),
        ("Text", 13, aggregate("Average", 1000.0), "BadAggregateNotSupported"),
        ("Double", 13, aggregate("Average", -1.0), "BadMonitoredItemFilterInvalid"),
        ("Double", 13, aggregate("Average", 1.0, PercentDataGood=101), "BadAggregateConfigurationRejected"),
        ("Array", 13, aggregate("Average", 1000.0), "BadMonitoredItemFilterUnsupported"),
    ],
)
def test_aggregates_that_cannot_be_are_refused(plant: Plant, name: str, attribute: int, wanted: Any, status: str) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, monitored(name, attribute=attribute, wanted=wanted))
        assert one.StatusCode.name == status

    run(plant, act)


def test_who_asks_for_more_aggregates_than_can_be_worked_out_is_told_so(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(1000.0)
        async with calling(plant, "Viewer") as other:
            theirs = await other.subscribe(1000.0)
            results = await call.monitor(made, *[monitored("Double", wanted=aggregate("Count", 100.0)) for _ in range(40)])
            codes = [one.StatusCode.name for one in results]
            assert codes == ["Good"] * 24 + ["BadTooManyMonitoredItems"] * 16  # of one session
            (one,) = await other.monitor(theirs, monitored("Double", wanted=aggregate("Count", 100.0)))
            assert one.StatusCode.is_good()  # others have theirs
            plain = await call.monitor(made, monitored("Double"))
            assert plain[0].StatusCode.is_good()
        await call("DeleteSubscriptions", SubscriptionIds=[made.SubscriptionId])
        calculations = plant.do(lambda: plant._hub().calculations)
        assert calculations.rate == 0.0
        again = await call.subscribe(1000.0)
        (one,) = await call.monitor(again, monitored("Double", wanted=aggregate("Count", 100.0)))
        assert one.StatusCode.is_good()

    run(plant, act)


def test_an_aggregate_is_modified_disabled_and_taken_up_again(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(50.0)
        (one,) = await call.monitor(made, monitored("Count", 1, queue=9, wanted=aggregate("Count", 200.0)))
        assert len((await heard(call, 2))[1]) >= 2

        async def modify(wanted: Any) -> Any:
            parameters = ua.MonitoringParameters(1, 0.0, wanted, 9, True)
            change = ua.MonitoredItemModifyRequest(one.MonitoredItemId, parameters)
            done = await call(
                "ModifyMonitoredItems", SubscriptionId=made.SubscriptionId, TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToModify=[change],
            )  # fmt: skip
            (result,) = done if isinstance(done, list) else done.Results
            return result

        changed = await modify(aggregate("Maximum", 300.0))
        assert changed.StatusCode.is_good()
        assert changed.FilterResult.RevisedProcessingInterval == 300.0
        plant.show("Count", 77)
        seen: list[Any] = []
        async with asyncio.timeout(30):
            while 77 not in seen:
                seen += [value.Value.Value for value in (await heard(call, 1))[1] if value.Value is not None]
        refused = await modify(aggregate("Maximum", -1.0))
        assert refused.StatusCode.name == "BadMonitoredItemFilterInvalid"
        for mode in (0, 1, 2):
            await call("SetMonitoringMode", SubscriptionId=made.SubscriptionId, MonitoringMode=ua.MonitoringMode(mode),
                       MonitoredItemIds=[one.MonitoredItemId])  # fmt: skip
        assert (await heard(call, 1))[1]
        plain = await modify(None)
        assert plain.StatusCode.is_good()
        plant.show("Count", 78)
        async with asyncio.timeout(30):
            while 78 not in seen:
                seen += [value.Value.Value for value in (await heard(call, 1))[1] if value.Value is not None]
        assert plant.do(lambda: plant._hub().calculations.rate) == 0.0

    run(plant, act)


def test_samples_are_taken_as_often_as_the_interval_needs(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(1000.0)
        day = 24 * 3_600_000.0
        asked = [(1000.0, 1000.0), (-1.0, 500.0), (250.0, 1000.0), (0.0, day), (0.0, 0.0)]
        results = await call.monitor(
            made, *[monitored("Double", sampling_ms=sampling, wanted=aggregate("Count", ms)) for sampling, ms in asked]
        )
        shown = [(one.RevisedSamplingInterval, one.FilterResult.RevisedProcessingInterval) for one in results]
        assert shown[:3] == [(500.0, 1000.0), (250.0, 500.0), (250.0, 1000.0)]
        assert shown[3] == (pytest.approx(2 * day / 9_900, abs=1), day)
        assert shown[4] == (0.0, 1000.0)

    run(plant, act)
