"""Subscription service set (OPC 10000-4, 5.14) by asyncua's client, publish request by publish request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.opcua_server.engine.conformance.plant import Caller, Plant, V, calling, monitored, node, run, told, ua

SERVER, GET_MONITORED_ITEMS, RESEND_DATA = (ua.NodeId(number) for number in (2253, 11492, 12873))


@pytest.mark.parametrize(
    ("interval", "lifetime", "keep_alive", "expected"),
    [
        (100.0, 300, 10, (100.0, 300, 10)),
        (0.0, 300, 10, (10.0, 300, 10)),
        (-1.0, 300, 10, (10.0, 300, 10)),
        (float("nan"), 300, 10, (10.0, 300, 10)),
        (100.4, 300, 10, (101.0, 300, 10)),
        (1e12, 1, 1, (3_600_000.0, 3, 1)),
        (100.0, 0, 10, (100.0, 30, 10)),
        (100.0, 20, 10, (100.0, 30, 10)),
        (100.0, 0, 0, (100.0, 300, 100)),
    ],
)
def test_parameters_are_revised_to_what_is_kept(
    plant: Plant, interval: float, lifetime: int, keep_alive: int, expected: tuple[float, int, int]
) -> None:
    async def act(call: Caller) -> None:
        counts = {"RequestedLifetimeCount": lifetime, "RequestedMaxKeepAliveCount": keep_alive}
        made = await call.subscribe(interval, **counts)
        assert (made.RevisedPublishingInterval, made.RevisedLifetimeCount, made.RevisedMaxKeepAliveCount) == expected
        changed = await call(
            "ModifySubscription", SubscriptionId=made.SubscriptionId, RequestedPublishingInterval=interval, **counts
        )
        assert (changed.RevisedPublishingInterval, changed.RevisedLifetimeCount, changed.RevisedMaxKeepAliveCount) == expected

    run(plant, act)


def test_ids_that_are_not_there_are_said_so(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        unknown = {"SubscriptionId": 987_654}
        assert await call.refused("ModifySubscription", **unknown) == "BadSubscriptionIdInvalid"
        assert await call.refused("Republish", **unknown, RetransmitSequenceNumber=1) == "BadSubscriptionIdInvalid"
        for service in (
            "CreateMonitoredItems",
            "ModifyMonitoredItems",
            "DeleteMonitoredItems",
            "SetMonitoringMode",
            "SetTriggering",
        ):
            assert await call.refused(service, **unknown) == "BadSubscriptionIdInvalid"
        for service in ("DeleteSubscriptions", "SetPublishingMode", "TransferSubscriptions"):
            assert await call.refused(service, SubscriptionIds=[]) == "BadNothingToDo"
        done = await call("SetPublishingMode", PublishingEnabled=True, SubscriptionIds=[987_654, made.SubscriptionId])
        assert [status.name for status in done.Results] == ["BadSubscriptionIdInvalid", "Good"]
        done = await call("DeleteSubscriptions", SubscriptionIds=[made.SubscriptionId, 987_654, made.SubscriptionId])
        assert [status.name for status in done.Results] == ["Good", "BadSubscriptionIdInvalid", "BadSubscriptionIdInvalid"]
        assert await call.refused("Publish") == "BadNoSubscription"

    run(plant, act)


def test_without_news_a_keep_alive_comes_and_takes_no_number(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        await call.subscribe(RequestedMaxKeepAliveCount=2)
        for _ in range(3):
            result = await call.publish()
            assert not result.NotificationMessage.NotificationData
            assert result.NotificationMessage.SequenceNumber == 1
            assert not result.AvailableSequenceNumbers
            assert not result.MoreNotifications

    run(plant, act)


def test_a_subscription_that_nobody_asks_for_ends_and_says_so_to_who_does(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedLifetimeCount=3, RequestedMaxKeepAliveCount=1)
        async with asyncio.timeout(20):
            while made.SubscriptionId in plant.engine_subscriptions():
                await asyncio.sleep(0.01)
        result = await call.publish()
        (change,) = result.NotificationMessage.NotificationData
        assert isinstance(change, ua.StatusChangeNotification)
        assert change.Status.name == "BadTimeout"
        assert result.NotificationMessage.PublishTime.year > 2000
        assert result.SubscriptionId == made.SubscriptionId
        assert await call.refused("Publish") == "BadNoSubscription"

    run(plant, act)


@pytest.mark.parametrize("service", ["ModifySubscription", "SetPublishingMode", "SetMonitoringMode", "Publish"])
def test_every_service_with_its_id_and_every_publish_starts_the_lifetime_anew(plant: Plant, service: str) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, monitored("Count", mode=1))
        number = made.SubscriptionId
        parameters = {
            "ModifySubscription": {"SubscriptionId": number, "RequestedPublishingInterval": 20.0, "RequestedLifetimeCount": 3000},
            "SetPublishingMode": {"PublishingEnabled": True, "SubscriptionIds": [number]},
            "SetMonitoringMode": {"SubscriptionId": number, "MonitoringMode": 1, "MonitoredItemIds": [one.MonitoredItemId]},
            "Publish": {},
        }[service]
        async with asyncio.timeout(20):
            while True:  # the count of cycles without a request only falls when it starts anew
                while (before := plant.cycles_without_request(number)) < 5:
                    await asyncio.sleep(0.01)
                await call(service, **parameters)
                if plant.cycles_without_request(number) < before:
                    break

    run(plant, act)


def test_more_notifications_than_a_message_may_hold_follow_at_once(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(MaxNotificationsPerPublish=3)
        await call.monitor(made, *[monitored(f"Many{number}", number) for number in range(8)])
        results = [await call.publish() for _ in range(3)]
        assert [len(told(result)) for result in results] == [3, 3, 2]
        assert [result.MoreNotifications for result in results] == [True, True, False]
        assert [result.NotificationMessage.SequenceNumber for result in results] == [1, 2, 3]
        assert results[2].AvailableSequenceNumbers == [1, 2, 3]

    run(plant, act)


def test_when_publishing_is_disabled_in_between_the_rest_waits(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(MaxNotificationsPerPublish=3, RequestedMaxKeepAliveCount=1)
        await call.monitor(made, *[monitored(f"Many{number}", number) for number in range(8)])
        first = await call.publish()
        await call("SetPublishingMode", PublishingEnabled=False, SubscriptionIds=[made.SubscriptionId])
        for _ in range(2):
            assert told(await call.publish()) == []
        await call("SetPublishingMode", PublishingEnabled=True, SubscriptionIds=[made.SubscriptionId])
        handles = [handle for handle, _value, _status in told(first) + await call.gather(5)]
        assert handles == list(range(8))

    run(plant, act)


def test_a_disabled_subscription_sends_keep_alives_and_then_the_newest(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(PublishingEnabled=False, RequestedMaxKeepAliveCount=1)
        await call.monitor(made, monitored("Count", 1), monitored("Double", 2, queue=10))
        assert told(await call.publish()) == []
        plant.show("Count", 5, 6)
        plant.show("Double", 5.0, 6.0)
        assert told(await call.publish()) == []
        await call("SetPublishingMode", PublishingEnabled=True, SubscriptionIds=[made.SubscriptionId])
        assert sorted(await call.gather(4)) == [(1, 6, 0), (2, 1.5, 0), (2, 5.0, 0), (2, 6.0, 0)]

    try:
        run(plant, act)
    finally:
        plant.reset("Count", "Double")


def test_the_highest_priority_is_served_first(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = [await call.subscribe(Priority=priority) for priority in (1, 200, 50)]
        for one in made:
            await call.monitor(one, monitored("Count"))
        async with asyncio.timeout(20):  # until all of them are late
            while plant.late(*[one.SubscriptionId for one in made]) < 3:
                await asyncio.sleep(0.01)
        served = [(await call.publish()).SubscriptionId for _ in made]
        assert served == [made[1].SubscriptionId, made[2].SubscriptionId, made[0].SubscriptionId]

    run(plant, act)


def test_wrong_acknowledgements_are_answered_one_by_one(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        await call.monitor(made, monitored("Count"))
        number = made.SubscriptionId
        first = await call.publish()
        assert first.AvailableSequenceNumbers == [1]
        plant.show("Count", 77)
        second = await call.publish((number, 1), (number, 1), (number, 99), (987_654, 1))
        assert [status.name for status in second.Results] == [
            "Good", "BadSequenceNumberUnknown", "BadSequenceNumberUnknown", "BadSubscriptionIdInvalid",
        ]  # fmt: skip
        assert second.AvailableSequenceNumbers == [2]

    try:
        run(plant, act)
    finally:
        plant.reset("Count")


def test_messages_are_repeated_until_they_are_acknowledged_or_pushed_out(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        await call.monitor(made, monitored("Count"))
        number = made.SubscriptionId
        sent = {}
        for value in range(101, 108):  # five are kept
            result = await call.publish()
            sent[result.NotificationMessage.SequenceNumber] = result.NotificationMessage
            plant.show("Count", value)
        assert result.AvailableSequenceNumbers == [3, 4, 5, 6, 7]
        again = await call("Republish", SubscriptionId=number, RetransmitSequenceNumber=5)
        message = again.NotificationMessage if hasattr(again, "NotificationMessage") else again
        assert message == sent[5]
        missing = {"SubscriptionId": number}
        assert await call.refused("Republish", **missing, RetransmitSequenceNumber=2) == "BadMessageNotAvailable"
        await call.publish((number, 5))
        assert await call.refused("Republish", **missing, RetransmitSequenceNumber=5) == "BadMessageNotAvailable"

    try:
        run(plant, act)
    finally:
        plant.reset("Count")


def test_too_many_publish_requests_push_out_the_oldest_and_old_ones_time_out(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        await call.subscribe(1000.0, RequestedMaxKeepAliveCount=1000)
        await call.publish()
        waiting = [asyncio.create_task(call.refused("Publish")) for _ in range(9)]
        assert await waiting[0] == "BadTooManyPublishRequests"
        assert await asyncio.create_task(call.refused("Publish", timeout_hint=1)) == "BadTimeout"
        for task in waiting:
            task.cancel()

    run(plant, act)


def test_a_request_that_waits_can_be_cancelled(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        await call.subscribe(1000.0, RequestedMaxKeepAliveCount=1000)
        await call.publish()
        waiting = asyncio.create_task(call.refused("Publish"))
        await asyncio.sleep(0)
        handle = call.client.uaclient.protocol._request_handle
        done = await call("Cancel", RequestHandle=handle)
        assert done.CancelCount == 1
        assert await waiting == "BadRequestCancelledByClient"
        assert (await call("Cancel", RequestHandle=handle)).CancelCount == 0

    run(plant, act)


def test_a_transfer_takes_everything_along_and_tells_the_old_session(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        await call.monitor(made, monitored("Count", 5), monitored("Double", 6, mode=1))
        assert await call.news() == [(5, 0, 0)]
        async with calling(plant, "Analytics") as other:
            for send, expected in ((False, []), (True, [(5, 0, 0)])):
                old, new = (call, other) if not send else (other, call)
                done = await new("TransferSubscriptions", SubscriptionIds=[made.SubscriptionId, 987_654], SendInitialValues=send)
                assert [one.StatusCode.name for one in done.Results] == ["Good", "BadSubscriptionIdInvalid"]
                assert done.Results[0].AvailableSequenceNumbers == [1]
                (change,) = (await old.publish()).NotificationMessage.NotificationData
                assert change.Status.name == "GoodSubscriptionTransferred"
                assert await old.refused("Publish") == "BadNoSubscription"
                await new("Republish", SubscriptionId=made.SubscriptionId, RetransmitSequenceNumber=1)
                if expected:
                    assert await new.news() == expected

    run(plant, act, "Analytics")


def test_a_stranger_takes_over_nothing(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        for role in ("Viewer", None):
            async with calling(plant, role) as other:
                done = await other("TransferSubscriptions", SubscriptionIds=[made.SubscriptionId])
                assert done.Results[0].StatusCode.name == "BadUserAccessDenied"
                assert await other.refused("ModifySubscription", SubscriptionId=made.SubscriptionId) == "BadSubscriptionIdInvalid"
                acks = {"SubscriptionIds": [made.SubscriptionId]}
                gone = await other("DeleteSubscriptions", **acks)
                assert gone.Results[0].name == "BadSubscriptionIdInvalid"

    run(plant, act, "Analytics")


@pytest.mark.parametrize("role", [None, "Analytics"])
def test_a_session_keeps_what_it_transfers_to_itself(plant: Plant, role: str | None) -> None:
    """Whoever it is, it has the subscription already. Its values are sent again where that is asked for."""

    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        await call.monitor(made, monitored("Count", 5))
        assert await call.news() == [(5, 0, 0)]
        for send, expected in ((True, [(5, 0, 0)]), (False, [])):
            done = await call("TransferSubscriptions", SubscriptionIds=[made.SubscriptionId], SendInitialValues=send)
            assert done.Results[0].StatusCode.is_good()
            assert await call.news() == expected

    run(plant, act, role)


def test_a_subscription_outlives_its_session_when_it_is_not_deleted(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        async with calling(plant, "Analytics") as first:
            made = await first.subscribe()
            await first.monitor(made, monitored("Count", 9))
            await first("CloseSession", DeleteSubscriptions=False)
        done = await call("TransferSubscriptions", SubscriptionIds=[made.SubscriptionId], SendInitialValues=True)
        assert done.Results[0].StatusCode.is_good()
        assert await call.news() == [(9, 0, 0)]

    run(plant, act, "Analytics")


def test_monitored_items_are_listed_and_values_sent_again(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        items = await call.monitor(made, monitored("Count", 3), monitored("Double", 4, queue=5), monitored("Small", 5, mode=1))
        assert len(await call.gather(2)) == 2
        number = ua.Variant(made.SubscriptionId, V.UInt32)
        requests = [ua.CallMethodRequest(SERVER, method, [number]) for method in (GET_MONITORED_ITEMS, RESEND_DATA)]
        listed, resent = (await call("Call", MethodsToCall=requests)).Results
        assert listed.OutputArguments[0].Value == [one.MonitoredItemId for one in items]
        assert listed.OutputArguments[1].Value == [3, 4, 5]
        assert resent.StatusCode.is_good()
        assert sorted(await call.gather(2)) == [(3, 0, 0), (4, 1.5, 0)]

    run(plant, act)


def test_what_a_session_may_have_is_bounded(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = [await call.subscribe() for _ in range(20)]
        assert await call.refused("CreateSubscription") == "BadTooManySubscriptions"
        results = await call.monitor(made[0], *[monitored("Count") for _ in range(400)])
        assert all(one.StatusCode.is_good() for one in results)
        (one,) = await call.monitor(made[1], monitored("Count"))
        assert one.StatusCode.name == "BadTooManyMonitoredItems"
        too_many: Any = [monitored("Count")] * 401
        refused = await call.refused("CreateMonitoredItems", SubscriptionId=made[0].SubscriptionId, ItemsToCreate=too_many)
        assert refused == "BadTooManyOperations"

    run(plant, act)


def test_ids_of_a_closed_session_are_nothing(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        await call("CloseSession", DeleteSubscriptions=True)
        assert await call.refused("Read", NodesToRead=[ua.ReadValueId(node("Count"), 13)]) == "BadSessionIdInvalid"
        assert await call.refused("Publish") == "BadSessionIdInvalid"
        assert await call.refused("DeleteSubscriptions", SubscriptionIds=[made.SubscriptionId]) == "BadSessionIdInvalid"

    run(plant, act)
