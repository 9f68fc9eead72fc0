"""Shelving, disabling, branches, the analytics' score, lost events and audit events, through the socket."""

from __future__ import annotations

from typing import Any

from asyncua import ua

from tests.opcua_server.alarms.bench import START, Bench, Operator, operating, run
from tests.opcua_server.alarms.test_handling import clean, refreshed, shelving_time
from tests.opcua_server.engine.conformance.plant import told

SHELVING = "SpindleVibration.ShelvingState"


async def at(operator: Operator, bench: Bench, path: str) -> Any:
    return operator.client.get_node(bench.condition(path))


def test_a_timed_shelf_counts_down_and_ends_by_itself(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        shelf, condition = bench.condition(SHELVING), bench.condition("SpindleVibration")
        most = await (await at(operator, bench, "SpindleVibration.MaxTimeShelved")).read_value()
        assert await operator.method("TimedShelve", shelf, shelving_time(most + 1.0)) == "BadShelvingTimeOutOfRange"
        assert await operator.method("Unshelve", shelf) == "BadConditionNotShelved"
        assert await operator.method("TimedShelve", shelf, shelving_time(most)) == "Good"
        event = await operator.wait(SuppressedOrShelved=True)
        assert event["ShelvingState/CurrentState"].Text == "Timed Shelved"
        left = await (await at(operator, bench, f"{SHELVING}.UnshelveTime")).read_value()
        assert 0.0 < left <= event["ShelvingState/UnshelveTime"] <= most
        assert await operator.method("TimedShelve", condition, shelving_time(1.0)) == "BadConditionAlreadyShelved"
        assert await operator.method("OneShotShelve", condition) == "Good"
        assert await operator.method("OneShotShelve", condition) == "BadConditionAlreadyShelved"
        assert await operator.method("TimedShelve", condition, shelving_time(50.0)) == "Good"
        texts = [(await operator.wait(SuppressedOrShelved=True))["ShelvingState/CurrentState"].Text for _ in range(2)]
        assert texts == ["One Shot Shelved", "Timed Shelved"]
        state = await at(operator, bench, f"{SHELVING}.CurrentState")
        while (await state.read_value()).Text != "Unshelved":
            bench.tick()
        assert (await operator.wait(SuppressedOrShelved=False))["ConditionName"] == "SpindleVibration"
        assert await (await at(operator, bench, f"{SHELVING}.UnshelveTime")).read_value() == 0.0

    run(bench, act)


def test_a_one_shot_shelf_ends_with_the_alarm_that_still_tells_of_itself(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        assert await operator.method("OneShotShelve", bench.condition("SpindleVibration")) == "Good"
        bench.tick(Spindle_VibrationVelocity=4.0)
        assert (await operator.wait(ActiveState_Id=True))["SuppressedOrShelved"] is True
        bench.tick(Spindle_VibrationVelocity=0.0)
        assert (await operator.wait(ActiveState_Id=False))["SuppressedOrShelved"] is False
        await clean(bench, operator)

    run(bench, act)


def test_a_disabled_alarm_is_silent_does_not_know_and_comes_back_as_it_is(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        condition = bench.condition("CoolantTemperature")
        bench.tick(Coolant_Temperature=45.0)
        event = await operator.wait(ActiveState_Id=True)
        assert await operator.method("Enable", condition) == "BadConditionAlreadyEnabled"
        assert await operator.method("Disable", condition) == "Good"
        told_so = await operator.wait(EnabledState_Id=False)
        assert (told_so["Retain"], told_so["ActiveState/Id"], told_so["Quality"]) == (False, None, None)
        assert await operator.method("Disable", condition) == "BadConditionAlreadyDisabled"
        for name in ("Acknowledge", "Confirm", "AddComment"):
            assert await operator.say(name, event) == "BadConditionDisabled"
        state = await at(operator, bench, "CoolantTemperature.ActiveState.Id")
        value = await state.read_data_value(raise_on_bad_status=False)
        assert (value.StatusCode.name, value.Value.Value if value.Value else None) == ("BadConditionDisabled", None)
        bench.tick(Coolant_Temperature=55.0)
        bench.tick(Coolant_Temperature=30.0)
        assert await operator.refresh() == "Good"
        assert await operator.wait(EventType=START) is not None
        assert [one for one in operator.heard if one["ConditionName"] == "CoolantTemperature"] == []
        assert await operator.method("Enable", condition) == "Good"
        enabled = await operator.wait(EnabledState_Id=True, ConditionName="CoolantTemperature")
        assert (enabled["ActiveState/Id"], enabled["AckedState/Id"], enabled["Retain"]) == (False, False, True)
        assert await state.read_value() is False
        await clean(bench, operator)

    run(bench, act)


def test_an_earlier_state_is_a_branch_that_its_own_event_acknowledges(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        bench.tick(Spindle_Temperature=55.0)
        first = await operator.wait(ActiveState_Id=True)
        bench.tick(Spindle_Temperature=30.0)
        bench.tick(Spindle_Temperature=56.0)
        branch = await operator.wait(ActiveState_Id=False, ConditionName="SpindleTemperature")
        while branch["BranchId"].is_null():
            branch = await operator.wait(ConditionName="SpindleTemperature")
        second = await operator.wait(ActiveState_Id=True)
        assert second["BranchId"].is_null()
        assert await operator.refresh() == "Good"
        heard = await refreshed(operator)
        assert [(one["BranchId"], one["EventId"]) for one in heard] == [
            (branch["BranchId"], branch["EventId"]), (second["BranchId"], second["EventId"]),
        ]  # fmt: skip
        assert await operator.say("Acknowledge", first, "the first one") == "Good"
        assert (await operator.wait(AckedState_Id=True))["BranchId"] == branch["BranchId"]
        assert await operator.say("Confirm", branch) == "Good"
        assert (await operator.wait(BranchId=branch["BranchId"], ConfirmedState_Id=True))["Retain"] is False
        assert await operator.say("Acknowledge", branch) == "BadEventIdUnknown"
        assert await operator.say("Acknowledge", second) == "Good"
        bench.tick(Spindle_Temperature=30.0)
        await clean(bench, operator)

    run(bench, act)


def test_the_score_of_the_analytics_has_an_alarm_as_soon_as_there_is_a_score(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        bench.tick()
        quality = await at(operator, bench, "AnomalyScore.Quality")
        assert (await quality.read_value()).name == "UncertainInitialValue"
        await operator.listen(bench.node("Signals.Analytics"))
        async with operating(bench, "Analytics") as analytics:
            score = analytics.client.get_node(bench.space.nodes["Analytics/AnomalyScore"])
            await score.write_value(1.5, ua.VariantType.Double)
            bench.tick()
            event = await operator.wait(ConditionName="AnomalyScore", ActiveState_Id=True)
            assert (event["Severity"], event["Quality"].name) == (500, "Good")
            lost = ua.DataValue(ua.Variant(0.1, ua.VariantType.Double), ua.StatusCode(ua.StatusCodes.UncertainLastUsableValue))
            await score.write_attribute(ua.AttributeIds.Value, lost)
            bench.tick()
            unsure = await operator.wait(ConditionName="AnomalyScore")
            assert (unsure["ActiveState/Id"], unsure["Quality"].name) == (True, "UncertainLastUsableValue")
            await score.write_value(0.1, ua.VariantType.Double)
            bench.tick()
            await operator.wait(ConditionName="AnomalyScore", ActiveState_Id=False)
        await clean(bench, operator)

    run(bench, act)


def test_administrators_hear_who_handled_an_alarm_and_who_was_refused(bench: Bench) -> None:
    names = ("EventType", "SourceNode", "SourceName", "Status", "ClientUserId", "Comment", "ConditionEventId", "ShelvingTime")

    async def act(admin: Operator) -> None:
        wanted = ua.EventFilter([ua.SimpleAttributeOperand(ua.NodeId(ua.ObjectIds.BaseEventType), [ua.QualifiedName(name)],
                                                           ua.AttributeIds.Value) for name in names],
                                ua.ContentFilter([ua.ContentFilterElement(ua.FilterOperator.OfType, [ua.LiteralOperand(ua.Variant(
                                    ua.NodeId(ua.ObjectIds.AuditConditionEventType)))])]))  # fmt: skip
        admin.subscription = await admin.subscribe(20)
        server = ua.ReadValueId(ua.NodeId(ua.ObjectIds.Server), ua.AttributeIds.EventNotifier)
        parameters = ua.MonitoringParameters(1, 0.0, wanted, 0, True)
        request = ua.MonitoredItemCreateRequest(server, ua.MonitoringMode.Reporting, parameters)
        (made,) = await admin.monitor(admin.subscription, request)
        made.StatusCode.check()
        condition = bench.condition("CoolantLevel")
        bench.tick(Coolant_Level=30.0)
        async with operating(bench) as operator, operating(bench, "Viewer") as viewer:
            await operator.listen()
            assert await operator.refresh() == "Good"
            (event,) = await refreshed(operator)
            assert await operator.say("Acknowledge", event, "refilling") == "Good"
            assert await viewer.method("Disable", condition) == "BadUserAccessDenied"
            assert await operator.method("TimedShelve", condition, shelving_time(1000.0)) == "Good"
            assert await operator.method("Unshelve", condition) == "Good"
            why = ua.Variant(ua.LocalizedText("refilling", "en"), ua.VariantType.LocalizedText)
            assert await operator.method("Suppress2", condition, why) == "Good"
            assert await operator.method("Unsuppress", condition) == "Good"
            assert await operator.method("RemoveFromService", condition) == "Good"
            assert await operator.method("PlaceInService2", condition, why) == "Good"
            await clean(bench, operator)
        heard: list[dict[str, Any]] = []
        while len(heard) < 9:
            heard += [dict(zip(names, values, strict=True)) for _, values, _ in told(await admin.publish())]
        kinds = ua.ObjectIds
        assert [(one["EventType"].Identifier, one["SourceName"], one["Status"], one["ClientUserId"]) for one in heard[:8]] == [
            (kinds.AuditConditionAcknowledgeEventType, "Method/Acknowledge", True, "Operator"),
            (kinds.AuditConditionEnableEventType, "Method/Disable", False, "Viewer"),
            (kinds.AuditConditionShelvingEventType, "Method/TimedShelve", True, "Operator"),
            (kinds.AuditConditionShelvingEventType, "Method/Unshelve", True, "Operator"),
            (kinds.AuditConditionSuppressionEventType, "Method/Suppress2", True, "Operator"),
            (kinds.AuditConditionSuppressionEventType, "Method/Unsuppress", True, "Operator"),
            (kinds.AuditConditionOutOfServiceEventType, "Method/RemoveFromService", True, "Operator"),
            (kinds.AuditConditionOutOfServiceEventType, "Method/PlaceInService2", True, "Operator"),
        ]
        assert {one["SourceNode"] for one in heard[:8]} == {condition}
        assert (heard[0]["Comment"].Text, heard[0]["ConditionEventId"]) == ("refilling", event["EventId"])
        assert (heard[2]["ShelvingTime"], heard[3]["ShelvingTime"]) == (1000.0, None)

    run(bench, act, "Admin")


def test_who_lost_events_of_alarms_is_told_to_refresh(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen(bench.node("Signals.Spindle"), queue=2)

        async def publishing(enabled: bool) -> None:
            mine = [operator.subscription.SubscriptionId]
            (status,) = (await operator("SetPublishingMode", PublishingEnabled=enabled, SubscriptionIds=mine)).Results
            status.check()

        await publishing(False)
        for value in (55.0, 70.0, 55.0, 30.0):
            bench.tick(Spindle_Temperature=value)
        await publishing(True)
        kinds = [(await operator.wait())["EventType"].Identifier for _ in range(4)]
        assert (kinds[0], kinds[-1]) == (ua.ObjectIds.EventQueueOverflowEventType, ua.ObjectIds.RefreshRequiredEventType)
        assert set(kinds[1:3]) == {ua.ObjectIds.ExclusiveLevelAlarmType}
        await clean(bench, operator)

    run(bench, act)
