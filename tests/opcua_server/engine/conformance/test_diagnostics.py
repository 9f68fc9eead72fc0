"""ServerDiagnostics (OPC 10000-5, 6.3.3) by asyncua's client."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.opcua_server.engine.conformance.past import value_id
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


# Objects of sessions -------------------------------------------------------------------------------------------------

SESSIONS_SUMMARY = ua.NodeId(3706)
SESSION_TYPE, HIERARCHICAL, HAS_COMPONENT = ua.NodeId(2029), ua.NodeId(33), ua.NodeId(47)


async def below(call: Caller, node_id: ua.NodeId, direction: int = 0) -> dict[str, Any]:
    """Browse name -> reference, hierarchical ones."""
    wanted = ua.BrowseDescription(node_id, ua.BrowseDirection(direction), HIERARCHICAL, True, 0, 63)
    done = await call("Browse", NodesToBrowse=[wanted], View=ua.ViewDescription())
    (result,) = done if isinstance(done, list) else done.Results
    result.StatusCode.check()
    return {one.BrowseName.Name: one for one in result.References}


async def objects(call: Caller) -> dict[str, Any]:
    found = await below(call, SESSIONS_SUMMARY)
    return {name: one for name, one in found.items() if one.TypeDefinition == SESSION_TYPE}


async def follow(call: Caller, node_id: ua.NodeId, *names: str) -> Any:
    elements = [ua.RelativePathElement(HIERARCHICAL, False, True, ua.QualifiedName(name, 0)) for name in names]
    done = await call("TranslateBrowsePathsToNodeIds", BrowsePaths=[ua.BrowsePath(node_id, ua.RelativePath(elements))])
    (result,) = done if isinstance(done, list) else done.Results
    return result.Targets[0].TargetId if result.StatusCode.is_good() else result.StatusCode.name


def test_each_session_has_an_object_as_long_as_it_is_there(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        nodes = plant.do(lambda: len(plant.engine.aspace._nodes))
        async with calling(plant, "Viewer") as other:
            made = await other.subscribe(50.0, Priority=9)
            await other.monitor(made, monitored("Count"))
            await other.read(item("Count"))
            (name,) = [one for one in await objects(call) if one.startswith("Viewer")]
            reference = (await objects(call))[name]
            children = await below(call, reference.NodeId)
            assert set(children) == {
                "SessionDiagnostics", "SessionSecurityDiagnostics", "SubscriptionDiagnosticsArray", "CurrentRoleIds",
            }  # fmt: skip
            assert set(await below(call, reference.NodeId, 1)) == {"SessionsDiagnosticsSummary"}
            assert await value(call, children["CurrentRoleIds"].NodeId) == [ua.NodeId(15656), ua.NodeId(15668)]
            whole = await value(call, children["SessionDiagnostics"].NodeId)
            assert (whole.SessionId, whole.SessionName) == (reference.NodeId, name)
            fields = await below(call, children["SessionDiagnostics"].NodeId)
            assert set(fields) == set(ua.SessionDiagnosticsDataType.__dataclass_fields__) - {"data_type"}
            assert (await value(call, fields["ReadCount"].NodeId)).TotalCount == whole.ReadCount.TotalCount == 1
            assert await value(call, fields["CurrentMonitoredItemsCount"].NodeId) == 1
            security = await below(call, children["SessionSecurityDiagnostics"].NodeId)
            assert await value(call, security["ClientUserIdOfSession"].NodeId) == "Viewer"
            assert await value(call, security["SecurityMode"].NodeId) == 1
            path = ("SubscriptionDiagnosticsArray", str(made.SubscriptionId), "Priority")
            priority = await follow(call, reference.NodeId, *path)
            assert await value(call, priority) == 9
            (whole,) = await value(call, children["SubscriptionDiagnosticsArray"].NodeId)
            assert (whole.SubscriptionId, whole.SessionId) == (made.SubscriptionId, reference.NodeId)
            # The arrays of the server refer to the same variables.
            arrays = [await below(call, array) for array in (SESSIONS, SECURITY, SUBSCRIPTIONS)]
            assert children["SessionDiagnostics"].NodeId in {one.NodeId for one in arrays[0].values()}
            assert "SessionSecurityDiagnostics" in arrays[1]
            assert str(made.SubscriptionId) in arrays[2]
            nowhere = ua.NodeId(f"{reference.NodeId.Identifier}/SessionDiagnostics/Nothing", 1)
            assert (await call.read(item(nowhere)))[0].StatusCode.name == "BadNodeIdUnknown"
            (watching,) = await call.monitor(await call.subscribe(), monitored(fields["ReadCount"].NodeId, 5, sampling_ms=50.0))
            assert watching.StatusCode.is_good()
            assert (await call.gather(1))[0][0] == 5
            for one in (*fields.values(), *security.values()):  # none is Null
                (read,) = await call.read(item(one.NodeId))
                assert read.Value.Value is not None, one.BrowseName
                assert one.TypeDefinition == ua.NodeId(63)
                assert [kind.Value.Value for kind in await call.read(*(item(one.NodeId, n) for n in (2, 3, 17)))] == [
                    ua.NodeClass.Variable, one.BrowseName, 1,
                ]  # fmt: skip
            # They are nodes in whatever is asked of them.
            counter = fields["ReadCount"].NodeId
            details = ua.ReadRawModifiedDetails(IsReadModified=False, StartTime=datetime(2026, 1, 1), EndTime=datetime(2026, 1, 2))
            (past,) = (
                await call(
                    "HistoryRead", HistoryReadDetails=details, ReleaseContinuationPoints=False, NodesToRead=[value_id(counter)]
                )
            ).Results  # fmt: skip
            assert past.StatusCode.name == "BadHistoryOperationUnsupported"
            written = ua.WriteValue(counter, 13, None, ua.DataValue(ua.Variant(1)))
            assert (await call("Write", NodesToWrite=[written])).Results[0].name == "BadNotWritable"
        assert name not in await objects(call)
        for gone in (reference.NodeId, priority, fields["ReadCount"].NodeId):
            for attribute in (3, 13):
                expected = "BadAttributeIdInvalid" if gone == reference.NodeId and attribute == 13 else "BadNodeIdUnknown"
                (read,) = await call.read(item(gone, attribute))
                assert read.StatusCode.name in (expected, "BadNodeIdUnknown")
        statuses = []
        while ua.StatusCodes.BadNodeIdUnknown not in statuses:
            statuses += [status for _, _, status in await call.gather(1)]
        assert plant.do(lambda: len(plant.engine.aspace._nodes)) == nodes

    run(plant, act, "Admin")


def test_a_session_sees_itself_and_nobody_else(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        async with calling(plant, "Admin") as admin:
            others = {name: one.NodeId for name, one in (await objects(admin)).items()}
            (own,) = (await objects(call)).values()
            assert set(await below(call, own.NodeId)) == {"SessionDiagnostics", "SubscriptionDiagnosticsArray", "CurrentRoleIds"}
            assert (await value(call, await follow(call, own.NodeId, "SessionDiagnostics"))).SessionId == own.NodeId
            security = await follow(admin, own.NodeId, "SessionSecurityDiagnostics")
            for node_id in (security, *(one for one in others.values() if one != own.NodeId)):
                (read,) = await call.read(item(node_id, 4))
                assert read.StatusCode.name == "BadUserAccessDenied"
                assert await follow(call, node_id, "SessionDiagnostics") == "BadNodeIdUnknown"
                (one,) = await call.monitor(await call.subscribe(), monitored(node_id, attribute=4))
                assert one.StatusCode.name == "BadUserAccessDenied"
            assert not await below(call, SESSIONS)

    run(plant, act, "Engineer")


def test_diagnostics_are_switched_off_and_begin_anew_when_they_are_switched_on(plant: Plant) -> None:
    async def switch(call: Caller, on: Any) -> str:
        written = ua.WriteValue(ENABLED, 13, None, ua.DataValue(ua.Variant(on)))
        done = await call("Write", NodesToWrite=[written])
        (status,) = done if isinstance(done, list) else done.Results
        return str(status.name)

    async def act(call: Caller) -> None:
        async with calling(plant, "Engineer") as other:
            assert await switch(other, False) == "BadUserAccessDenied"
            assert [one.Value.Value for one in await other.read(item(ENABLED, 17), item(ENABLED, 18))] == [3, 1]
            assert [one.Value.Value for one in await call.read(item(ENABLED, 17), item(ENABLED, 18))] == [3, 3]
            assert await switch(call, 1) == "BadTypeMismatch"
            await other.refused("Browse", NodesToBrowse=[])
            assert len(await objects(call)) >= 2
            try:
                assert await switch(call, False) == "Good"
                assert await value(call, ENABLED) is False
                for node_id in (*PRIVATE, SUMMARY, CURRENT_SESSIONS):
                    assert (await call.read(item(node_id)))[0].StatusCode.name == "BadNotReadable"
                assert not await objects(call)
                (own,) = [one.session_id for one in plant.engine.sessions_by_id.values() if one.name.startswith("Engineer")]
                assert (await call.read(item(own, 3)))[0].StatusCode.name == "BadNodeIdUnknown"
            finally:
                assert await switch(call, True) == "Good"
            now = await value(call, SUMMARY)
            assert now.CumulatedSessionCount == now.CurrentSessionCount
            assert (now.RejectedRequestsCount, now.CumulatedSubscriptionCount) == (0, now.CurrentSubscriptionCount)
            engineer = next(one for one in await value(call, SESSIONS) if one.SessionName.startswith("Engineer"))
            assert (engineer.BrowseCount.TotalCount, engineer.TotalRequestCount.ErrorCount) == (0, 0)
            await other.read(item("Count"))
            engineer = next(one for one in await value(call, SESSIONS) if one.SessionName.startswith("Engineer"))
            assert engineer.ReadCount.TotalCount == 1

    run(plant, act, "Admin")


def test_lost_values_are_counted_at_their_subscription(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        async with calling(plant, "Viewer") as other:
            made = await other.subscribe(10_000.0)
            await other.monitor(made, monitored("Count", queue=2))
            for number in range(5):
                plant.show("Count", 900 + number)
            one = next(one for one in await value(call, SUBSCRIPTIONS) if one.SubscriptionId == made.SubscriptionId)
            assert one.MonitoringQueueOverflowCount == 4

    run(plant, act, "Admin")
