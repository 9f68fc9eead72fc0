"""ServerDiagnostics (OPC 10000-5, 6.3.3) by asyncua's client."""

from __future__ import annotations

from typing import Any

from tests.opcua_server.engine.conformance.plant import Caller, Plant, calling, item, monitored, run, ua

SUMMARY, ENABLED, SUBSCRIPTIONS, SAMPLING, SESSIONS, SECURITY = (ua.NodeId(n) for n in (2275, 2294, 2290, 2289, 3707, 3708))
CURRENT_SESSIONS = ua.NodeId(2277)
PRIVATE = (SUBSCRIPTIONS, SAMPLING, SESSIONS, SECURITY)


async def value(call: Caller, node_id: ua.NodeId) -> Any:
    (result,) = await call.read(item(node_id))
    result.StatusCode.check()
    return result.Value.Value


def test_the_summary_counts_sessions_subscriptions_and_refusals(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        assert await value(call, ENABLED) is True
        before = await value(call, SUMMARY)
        assert before.CurrentSessionCount == await value(call, CURRENT_SESSIONS)
        made = [await call.subscribe(100.0), await call.subscribe(200.0), await call.subscribe(200.0)]
        async with calling(plant, "Viewer") as other:
            await other.subscribe(100.0)
            assert await call.refused("Read", NodesToRead=[]) == "BadNothingToDo"
            now = await value(call, SUMMARY)
            assert now.CurrentSessionCount == before.CurrentSessionCount + 1
            assert now.CumulatedSessionCount == before.CumulatedSessionCount + 1
            assert now.CurrentSubscriptionCount == before.CurrentSubscriptionCount + 4
            assert now.PublishingIntervalCount == 2
            assert now.RejectedRequestsCount >= before.RejectedRequestsCount + 1
            assert now.SecurityRejectedRequestsCount == before.SecurityRejectedRequestsCount
            await other("CloseSession", DeleteSubscriptions=True)
            assert await other.refused("Read", NodesToRead=[]) == "BadSessionIdInvalid"
        await call("DeleteSubscriptions", SubscriptionIds=[one.SubscriptionId for one in made])
        after = await value(call, SUMMARY)
        assert after.CurrentSessionCount == before.CurrentSessionCount
        assert after.CurrentSubscriptionCount == before.CurrentSubscriptionCount
        assert after.CumulatedSubscriptionCount == before.CumulatedSubscriptionCount + 4
        assert after.SecurityRejectedRequestsCount >= before.SecurityRejectedRequestsCount + 1

    run(plant, act)


def test_administrators_see_each_session_and_what_it_asked_for(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        async with calling(plant, "Viewer") as other:
            made = await other.subscribe()
            await other.monitor(made, monitored("Count"), monitored("Double"))
            for _ in range(3):
                await other.read(item("Count"))
            await other.refused("Browse", NodesToBrowse=[])
            viewer = next(one for one in await value(call, SESSIONS) if one.SessionName.startswith("Viewer"))
            assert (viewer.CurrentSubscriptionsCount, viewer.CurrentMonitoredItemsCount) == (1, 2)
            assert (viewer.ReadCount.TotalCount, viewer.ReadCount.ErrorCount) == (3, 0)
            assert (viewer.BrowseCount.TotalCount, viewer.BrowseCount.ErrorCount) == (1, 1)
            assert viewer.CreateMonitoredItemsCount.TotalCount == 1
            assert viewer.TotalRequestCount.TotalCount >= 6
            assert viewer.ClientLastContactTime >= viewer.ClientConnectionTime

    run(plant, act, "Admin")


def test_administrators_see_each_subscription_and_how_it_goes(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        async with calling(plant, "Viewer") as other:
            made = await other.subscribe(50.0, Priority=7)
            await other.monitor(made, monitored("Count", mode=0), monitored("Double"), monitored("Small"))
            assert len(await other.gather(2)) == 2
            numbers = [made.SubscriptionId]
            await other("SetPublishingMode", PublishingEnabled=False, SubscriptionIds=numbers)
            await other("Republish", SubscriptionId=made.SubscriptionId, RetransmitSequenceNumber=1)
            one = next(one for one in await value(call, SUBSCRIPTIONS) if one.SubscriptionId == made.SubscriptionId)
            assert (one.Priority, one.PublishingInterval, one.PublishingEnabled) == (7, 50.0, False)
            assert (one.MonitoredItemCount, one.DisabledMonitoredItemCount) == (3, 1)
            assert (one.NotificationsCount, one.DataChangeNotificationsCount, one.EventNotificationsCount) == (2, 2, 0)
            assert (one.UnacknowledgedMessageCount, one.NextSequenceNumber) == (1, 2)
            assert (one.DisableCount, one.RepublishMessageCount) == (1, 1)
            intervals = {one.SamplingInterval: one.MonitoredItemCount for one in await value(call, SAMPLING)}
            assert intervals[0.0] >= 3

    run(plant, act, "Admin")


def test_nobody_else_sees_who_is_connected(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        for node_id in PRIVATE:
            (read,) = await call.read(item(node_id))
            assert read.StatusCode.name == "BadUserAccessDenied"
            assert read.Value is None or read.Value.Value is None
            (one,) = await call.monitor(made, monitored(node_id))
            assert one.StatusCode.name == "BadUserAccessDenied"
            (level,) = await call.read(item(node_id, 18))
            assert not level.Value.Value & 1
        async with calling(plant, "Admin") as admin:
            (level,) = await admin.read(item(SESSIONS, 18))
            assert level.Value.Value & 1
            (one,) = await admin.monitor(await admin.subscribe(), monitored(CURRENT_SESSIONS, 3))
            assert one.StatusCode.is_good()
            assert (await admin.gather(1))[0][:2] == (3, len(plant.engine.sessions))
            assert len(plant.engine.sessions) >= 2

    run(plant, act, "Engineer")
