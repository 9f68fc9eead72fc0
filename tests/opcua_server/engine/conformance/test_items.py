"""MonitoredItem service set (OPC 10000-4, 5.13) and data change filters (7.22.2) by asyncua's client."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.opcua_server.engine.conformance.plant import Caller, Plant, item, monitored, run, told, ua

OVERFLOW = 0x480


def data_change(trigger: int = 1, kind: int = 0, deadband: float = 0.0) -> ua.DataChangeFilter:
    return ua.DataChangeFilter(ua.DataChangeTrigger(trigger), ua.UInt32(kind), deadband)


def encoded(name: str, encoding: str) -> Any:
    made = monitored(name)
    made.ItemToMonitor.DataEncoding = ua.QualifiedName(f"Default {encoding}", 0)
    return made


async def modify(call: Caller, made: Any, one: Any, **parameters: Any) -> Any:
    given = ua.MonitoringParameters(
        **{"ClientHandle": 1, "SamplingInterval": 0.0, "QueueSize": 1, "DiscardOldest": True, **parameters}
    )
    request = ua.MonitoredItemModifyRequest(one.MonitoredItemId, given)
    done = await call(
        "ModifyMonitoredItems", SubscriptionId=made.SubscriptionId, TimestampsToReturn=ua.TimestampsToReturn.Both,
        ItemsToModify=[request],
    )  # fmt: skip
    return (done if isinstance(done, list) else done.Results)[0]


async def mode(call: Caller, made: Any, wanted: int, *items: Any) -> list[str]:
    done = await call(
        "SetMonitoringMode", SubscriptionId=made.SubscriptionId, MonitoringMode=ua.MonitoringMode(wanted),
        MonitoredItemIds=[one if isinstance(one, int) else one.MonitoredItemId for one in items],
    )  # fmt: skip
    return [status.name for status in done.Results]


def test_each_item_has_a_status_and_revised_values_of_its_own(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(100.0)
        wrong_mode = monitored("Count")
        wrong_mode.MonitoringMode = 7
        results = await call.monitor(
            made,
            monitored("Count", sampling_ms=-1.0, queue=0), monitored("Count", sampling_ms=0.0), monitored("Count", sampling_ms=3.0),
            monitored("Count", sampling_ms=250.5, queue=2_000_000), monitored("Count", sampling_ms=float("nan")),
            monitored("nothing"), monitored("Conformance"), monitored("Count", attribute=99), monitored("Hidden"),
            monitored("Array", index_range="5:1"), monitored("Array", index_range="77"), wrong_mode,
            monitored("Count", attribute=3), *map(encoded, ("Structure", "Structure", "Count"), ("Binary", "XML", "Binary")),
        )  # fmt: skip
        assert [one.StatusCode.name for one in results] == [
            "Good", "Good", "Good", "Good", "Good", "BadNodeIdUnknown", "BadAttributeIdInvalid", "BadAttributeIdInvalid",
            "BadNotReadable", "BadIndexRangeInvalid", "Good", "BadMonitoringModeInvalid", "Good", "Good",
            "BadDataEncodingUnsupported", "BadDataEncodingInvalid",
        ]  # fmt: skip
        revised = [(one.RevisedSamplingInterval, one.RevisedQueueSize) for one in results[:5]]
        assert revised == [(100.0, 1), (0.0, 1), (10.0, 1), (251.0, 1000), (100.0, 1)]
        assert len({one.MonitoredItemId for one in results if one.StatusCode.is_good()}) == 8

    run(plant, act)


def test_item_requests_that_cannot_be_are_refused_as_a_whole(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        at = {"SubscriptionId": made.SubscriptionId}
        one = [monitored("Count")]
        invalid = ua.TimestampsToReturn.Invalid
        assert await call.refused("CreateMonitoredItems", **at, ItemsToCreate=[]) == "BadNothingToDo"
        refused = await call.refused("CreateMonitoredItems", **at, ItemsToCreate=one, TimestampsToReturn=invalid)
        assert refused == "BadTimestampsToReturnInvalid"
        assert await call.refused("ModifyMonitoredItems", **at, ItemsToModify=[]) == "BadNothingToDo"
        assert await call.refused("DeleteMonitoredItems", **at, MonitoredItemIds=[]) == "BadNothingToDo"
        assert await call.refused("SetMonitoringMode", **at, MonitoredItemIds=[]) == "BadNothingToDo"
        assert await call.refused("SetTriggering", **at) == "BadNothingToDo"
        assert await call.refused("SetTriggering", **at, TriggeringItemId=99, LinksToAdd=[1]) == "BadMonitoredItemIdInvalid"
        done = await call("DeleteMonitoredItems", **at, MonitoredItemIds=[99])
        assert [status.name for status in done.Results] == ["BadMonitoredItemIdInvalid"]

    run(plant, act)


@pytest.mark.parametrize(
    ("queue", "discard_oldest", "expected"),
    [
        (1, True, [(6, 0)]),
        (1, False, [(6, 0)]),
        (3, True, [(4, OVERFLOW), (5, 0), (6, 0)]),
        (3, False, [(0, 0), (1, 0), (6, OVERFLOW)]),
        (7, True, [(n, 0) for n in range(7)]),
    ],
)
def test_a_full_queue_loses_at_the_end_that_was_chosen_and_says_so(
    plant: Plant, queue: int, discard_oldest: bool, expected: list[Any]
) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, monitored("Count", 1, queue=queue, discard_oldest=discard_oldest, mode=1))
        plant.show("Count", 1, 2, 3, 4, 5, 6)
        assert await mode(call, made, 2, one) == ["Good"]
        found = await call.gather(len(expected))
        assert [(value, status & 0xFFF) for _handle, value, status in found] == expected

    try:
        run(plant, act)
    finally:
        plant.reset("Count")


def test_sampling_is_no_faster_than_was_agreed(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(20.0)
        began = time.monotonic()
        await call.monitor(made, monitored("Count", 1, sampling_ms=200.0, queue=1000))
        for value in range(1, 41):
            plant.show("Count", value)
            await asyncio.sleep(0.02)
        found = [(await call.gather(2))]
        while not found[-1] or found[-1][-1][1] < 40:
            found.append(await call.news())
        count = sum(map(len, found))
        assert 2 <= count <= (time.monotonic() - began) / 0.2 + 2

    try:
        run(plant, act)
    finally:
        plant.reset("Count")


ABSOLUTE, PERCENT = 1, 2


@pytest.mark.parametrize(
    ("name", "kind", "deadband", "shown", "expected"),
    [
        ("Double", ABSOLUTE, 1.0, [2.0, 2.5, 2.6, 1.5, 4.0], [1.5, 2.6, 1.5, 4.0]),
        ("Double", ABSOLUTE, 0.0, [1.5, 1.6], [1.5, 1.6]),
        ("Count", ABSOLUTE, 2.0, [2, 3, 1, 0, -1], [0, 3, 0]),
        ("Array", ABSOLUTE, 1.0, [[0.5, 1.0], [0.5, 1.5], [0.5, 2.6]], [[float(n) for n in range(10)], [0.5, 1.0], [0.5, 2.6]]),
        ("Analog", PERCENT, 10.0, [69.0, 70.0, 71.0, 60.0, 50.9], [50.0, 71.0, 50.9]),  # a tenth of 0..200
        ("Analogs", PERCENT, 10.0, [[50.0, 79.0], [50.0, 81.0]], [[50.0, 60.0], [50.0, 81.0]]),
        ("Analog", PERCENT, 100.0, [200.0, -151.0], [50.0, -151.0]),
    ],
)
def test_what_stays_within_a_deadband_is_not_told(
    plant: Plant, name: str, kind: int, deadband: float, shown: list[Any], expected: list[Any]
) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, monitored(name, 1, queue=20, wanted=data_change(1, kind, deadband)))
        assert one.StatusCode.is_good()
        plant.show(name, *shown)
        plant.show(name, None, status=ua.StatusCodes.UncertainLastUsableValue)  # a status is always told: the end
        found = await call.gather(len(expected) + 1)
        assert [value for _handle, value, status in found if not status] == expected

    try:
        run(plant, act)
    finally:
        plant.reset(name)


@pytest.mark.parametrize(
    ("name", "attribute", "wanted", "status"),
    [
        ("Text", 13, data_change(1, ABSOLUTE, 1.0), "BadFilterNotAllowed"),
        ("Double", 3, data_change(1, ABSOLUTE, 1.0), "BadFilterNotAllowed"),
        ("Double", 13, data_change(1, PERCENT, 1.0), "BadMonitoredItemFilterUnsupported"),
        ("Analog", 13, data_change(1, PERCENT, 101.0), "BadDeadbandFilterInvalid"),
        ("Analog", 13, data_change(1, PERCENT, -1.0), "BadDeadbandFilterInvalid"),
        ("Double", 13, data_change(1, ABSOLUTE, -1.0), "BadDeadbandFilterInvalid"),
        ("Double", 13, data_change(1, ABSOLUTE, float("nan")), "BadDeadbandFilterInvalid"),
        ("Double", 13, data_change(1, 9, 1.0), "BadDeadbandFilterInvalid"),
        ("Double", 13, ua.EventFilter(), "BadFilterNotAllowed"),
    ],
)
def test_filters_that_cannot_be_are_refused(plant: Plant, name: str, attribute: int, wanted: Any, status: str) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, monitored(name, attribute=attribute, wanted=wanted))
        assert one.StatusCode.name == status

    run(plant, act)


@pytest.mark.parametrize(("trigger", "told_of"), [(0, ["status"]), (1, ["status", "value"]), (2, ["status", "value", "time"])])
def test_a_trigger_chooses_what_is_a_change(plant: Plant, trigger: int, told_of: list[str]) -> None:
    async def act(call: Caller) -> None:
        moment = datetime(2026, 1, 2, tzinfo=UTC)
        plant.show("Double", 1.0, source=moment)
        made = await call.subscribe()
        await call.monitor(made, monitored("Double", 1, queue=20, wanted=data_change(trigger)))
        await call.gather(1)
        expected = 0
        for what, value, status, later in (("value", 2.0, 0, 0), ("time", 2.0, 0, 1), ("status", 2.0, 0x40000000, 1)):
            plant.show("Double", value, status=status, source=moment + timedelta(seconds=later))
            expected += what in told_of
        found = await call.gather(expected)
        assert len(found) == expected == len(told_of)
        assert found[-1][2] == 0x40000000

    try:
        run(plant, act)
    finally:
        plant.reset("Double")


def test_a_part_of_an_array_is_told_when_that_part_changes(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        await call.monitor(made, monitored("Array", 1, index_range="1:2", queue=9), monitored("Array", 2, index_range="20"))
        assert sorted(await call.gather(2)) == [(1, [1.0, 2.0], 0), (2, None, ua.StatusCodes.BadIndexRangeNoData)]
        plant.show("Array", [9.0, 1.0, 2.0])
        plant.show("Array", [9.0, 1.0, 7.0])
        plant.show("Array", [9.0])
        assert [one[1:] for one in await call.gather(2)] == [([1.0, 7.0], 0), (None, ua.StatusCodes.BadIndexRangeNoData)]

    try:
        run(plant, act)
    finally:
        plant.reset("Array")


@pytest.mark.parametrize("timestamps", list(ua.TimestampsToReturn)[:4])
@pytest.mark.parametrize("queue", [1, 5])
def test_notifications_have_the_timestamps_asked_for(plant: Plant, timestamps: Any, queue: int) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        await call.monitor(made, monitored("Count", queue=queue), timestamps=timestamps)
        (data,) = (await call.publish()).NotificationMessage.NotificationData
        value = data.MonitoredItems[0].Value
        assert (value.SourceTimestamp is not None) == (timestamps in (ua.TimestampsToReturn.Both, ua.TimestampsToReturn.Source))
        assert (value.ServerTimestamp is not None) == (timestamps in (ua.TimestampsToReturn.Both, ua.TimestampsToReturn.Server))

    run(plant, act)


def test_modes_disable_sample_and_report(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        (one,) = await call.monitor(made, monitored("Count", 1, queue=10))
        assert await call.gather(1) == [(1, 0, 0)]
        assert await mode(call, made, 1, one, 987_654) == ["Good", "BadMonitoredItemIdInvalid"]
        plant.show("Count", 1, 2)
        assert told(await call.publish()) == []
        assert await mode(call, made, 2, one) == ["Good"]
        assert await call.gather(2) == [(1, 1, 0), (1, 2, 0)]
        assert await mode(call, made, 0, one) == ["Good"]
        plant.show("Count", 3)
        assert told(await call.publish()) == []
        assert await mode(call, made, 2, one) == ["Good"]
        assert await call.gather(1) == [(1, 3, 0)]
        refused = await call.refused(
            "SetMonitoringMode", SubscriptionId=made.SubscriptionId, MonitoringMode=9, MonitoredItemIds=[one.MonitoredItemId]
        )
        assert refused == "BadMonitoringModeInvalid"

    try:
        run(plant, act)
    finally:
        plant.reset("Count")


def test_modified_items_go_on_with_what_they_have(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        (one,) = await call.monitor(made, monitored("Count", 1, queue=10, mode=1))
        plant.show("Count", 1, 2, 3)
        changed = await modify(call, made, one, ClientHandle=7, QueueSize=2, SamplingInterval=50.0)
        assert (changed.RevisedQueueSize, changed.RevisedSamplingInterval) == (2, 50.0)
        await mode(call, made, 2, one)
        found = await call.gather(2)
        assert [(handle, value) for handle, value, _status in found] == [(7, 2), (7, 3)]
        assert found[0][2] & OVERFLOW == OVERFLOW
        await modify(call, made, one, ClientHandle=8, Filter=data_change(1, ABSOLUTE, 5.0), QueueSize=5)
        assert told(await call.publish()) == []  # it has been told of the value it sees
        plant.show("Count", 4, 9)
        assert await call.gather(1) == [(8, 9, 0)]
        missing = await modify(call, made, ua.MonitoredItemCreateResult(MonitoredItemId=987_654))
        assert missing.StatusCode.name == "BadMonitoredItemIdInvalid"
        wrong = await modify(call, made, one, ClientHandle=9, Filter=data_change(1, ABSOLUTE, -5.0))
        assert wrong.StatusCode.name == "BadDeadbandFilterInvalid"
        plant.show("Count", 20)
        assert await call.gather(1) == [(8, 20, 0)]

    try:
        run(plant, act)
    finally:
        plant.reset("Count")


@pytest.mark.parametrize("trigger_mode", [1, 2])
def test_linked_items_are_told_when_their_trigger_is(plant: Plant, trigger_mode: int) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        trigger, linked, other = await call.monitor(
            made, monitored("Count", 1, queue=5, mode=trigger_mode), monitored("Double", 2, queue=5, mode=1),
            monitored("Small", 3, mode=1),
        )  # fmt: skip
        at = {"SubscriptionId": made.SubscriptionId, "TriggeringItemId": trigger.MonitoredItemId}
        done = await call(
            "SetTriggering", **at, LinksToAdd=[linked.MonitoredItemId, 987_654], LinksToRemove=[other.MonitoredItemId]
        )
        assert [status.name for status in done.AddResults] == ["Good", "BadMonitoredItemIdInvalid"]
        assert [status.name for status in done.RemoveResults] == ["BadMonitoredItemIdInvalid"]
        if trigger_mode == 2:
            await call.gather(1)
        plant.show("Double", 5.0)
        assert told(await call.publish()) == []
        plant.show("Count", 1)
        own = [(1, 1, 0)] if trigger_mode == 2 else []
        assert sorted(await call.gather(2 + len(own))) == sorted([*own, (2, 1.5, 0), (2, 5.0, 0)])
        done = await call("SetTriggering", **at, LinksToRemove=[linked.MonitoredItemId])
        assert done.RemoveResults[0].is_good()
        plant.show("Double", 6.0)
        plant.show("Count", 2)
        own = [(1, 2, 0)] if trigger_mode == 2 else []
        assert told(await call.publish()) == own

    try:
        run(plant, act)
    finally:
        plant.reset("Count", "Double")


def test_deleted_items_say_nothing_more(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        first, second = await call.monitor(made, monitored("Count", 1), monitored("Double", 2))
        await call.gather(2)
        numbers = [first.MonitoredItemId, 987_654]
        done = await call("DeleteMonitoredItems", SubscriptionId=made.SubscriptionId, MonitoredItemIds=numbers)
        assert [status.name for status in done.Results] == ["Good", "BadMonitoredItemIdInvalid"]
        plant.show("Count", 4)
        plant.show("Double", 4.0)
        assert await call.gather(1) == [(2, 4.0, 0)]
        assert await mode(call, made, 0, second) == ["Good"]

    try:
        run(plant, act)
    finally:
        plant.reset("Count", "Double")


def test_what_is_monitored_is_what_is_read(plant: Plant) -> None:
    names = ["Double", "Count", "Small", "Flag", "Text", "Bytes", "Array", "Texts", "Octets", "Matrix", "Structure", "Any"]

    async def act(call: Caller) -> None:
        made = await call.subscribe()
        await call.monitor(made, *[monitored(name, handle, queue=1 + handle % 2) for handle, name in enumerate(names)])
        found = {handle: value for handle, value, _status in await call.gather(len(names))}
        read = await call.read(*[item(name) for name in names])
        assert [found[handle] for handle in range(len(names))] == [one.Value.Value for one in read]

    run(plant, act)
