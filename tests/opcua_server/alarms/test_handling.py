"""What an operator's client does with alarms, through the socket, by asyncua's client."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua

from tests.opcua_server.alarms.bench import CONDITION, END, START, Bench, Operator, operand, operating, run

TEXT = "OVER TOLERANCE OF RADIUS (O1000 line 12)"


def shelving_time(milliseconds: float) -> ua.Variant:
    return ua.Variant(milliseconds, ua.VariantType.Double)


def test_a_limit_alarm_goes_its_whole_way(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        bench.tick(Spindle_Temperature=55.0)
        high = await operator.wait(ConditionName="SpindleTemperature", ActiveState_Id=True)
        assert high["ConditionId"] == bench.condition("SpindleTemperature")
        assert high["EventType"] == ua.NodeId(ua.ObjectIds.ExclusiveLevelAlarmType)
        assert high["SourceName"] == "CNC-001/Spindle"
        assert high["Message"].Text.startswith("Spindle bearing temperature is too high: 55 °C, limit 50 °C.")
        assert (high["Severity"], high["HighLimit"], high["Retain"], high["AckedState/Id"]) == (500, 50.0, True, False)
        assert high["LimitState/CurrentState/Id"] == ua.NodeId(ua.ObjectIds.ExclusiveLimitStateMachineType_High)
        bench.tick(Spindle_Temperature=70.0)
        much = await operator.wait(ConditionName="SpindleTemperature", Severity=800)
        assert (much["LastSeverity"], much["ActiveState"].Text) == (500, "Active")
        assert await operator.say("Acknowledge", much, "cooling it") == "Good"
        acked = await operator.wait(ConditionName="SpindleTemperature", AckedState_Id=True)
        assert (acked["Comment"].Text, acked["ClientUserId"], acked["ConfirmedState/Id"]) == ("cooling it", "Operator", False)
        assert await operator.say("Acknowledge", much) == "BadConditionBranchAlreadyAcked"
        bench.tick(Spindle_Temperature=30.0)
        normal = await operator.wait(ConditionName="SpindleTemperature", ActiveState_Id=False)
        assert normal["Message"].Text == "Spindle bearing temperature is normal again: 30 °C"
        assert (normal["Retain"], normal["LimitState/CurrentState/Id"]) == (True, None)
        assert await operator.say("Confirm", normal, "pump replaced") == "Good"
        over = await operator.wait(ConditionName="SpindleTemperature", ActiveState_Id=False, ConfirmedState_Id=True)
        assert over["Retain"] is False
        assert await operator.say("Confirm", normal) == "BadConditionBranchAlreadyConfirmed"
        assert await operator.say("AddComment", over, "for the log") == "Good"
        assert (await operator.wait(ConditionName="SpindleTemperature", Retain=False))["Comment"].Text == "for the log"
        assert await operator.say("Acknowledge", {**over, "EventId": b"nothing"}) == "BadEventIdUnknown"
        assert await operator.say("Acknowledge", {**over, "EventId": None}) == "BadEventIdUnknown"
        await clean(bench, operator)  # the health of the device has told of the outer limit too

    run(bench, act)


def test_source_machine_and_server_hear_of_it_and_others_do_not(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen(bench.node("Signals.Coolant"))
        async with operating(bench) as machine, operating(bench) as other:
            await machine.listen(bench.space.node_id)
            await other.listen(bench.node("Signals.Spindle"))
            bench.tick(Coolant_IsOn=1.0, Coolant_Flow=12.0)
            low = await operator.wait(ActiveState_Id=True)
            assert (low["ConditionName"], low["Severity"]) == ("CoolantFlow", 450)
            assert (await machine.wait(ConditionName="CoolantFlow"))["EventId"] == low["EventId"]
            assert low["SourceNode"] == bench.node("Signals.Coolant")
            bench.tick(Coolant_IsOn=0.0, Coolant_Flow=0.0)  # a pump that stands shows neither more nor less
            bench.tick(Coolant_IsOn=1.0, Coolant_Flow=25.0)
            assert (await operator.wait())["Message"].Text == "Coolant flow is normal again: 25 l/min"
            bench.tick(Coolant_IsOn=0.0, Coolant_Flow=0.0)
            assert await operator.say("Acknowledge", low) == "Good"
            assert await operator.say("Confirm", low) == "Good"
            bench.tick(Spindle_Temperature=55.0)
            bench.tick(Spindle_Temperature=30.0)
            heard = await other.wait(ActiveState_Id=True)
            assert heard["ConditionName"] == "SpindleTemperature"
            assert [event for event in other.heard if event["ConditionName"] == "CoolantFlow"] == []
            assert await other.say("Acknowledge", heard) == "Good"
            event_id = ua.Variant(heard["EventId"], ua.VariantType.ByteString)
            no_comment = ua.Variant()  # a Null without a type, as some clients say it
            assert await other.method("Confirm", heard["ConditionId"], event_id, no_comment) == "Good"
            confirmed = await other.wait(ConditionName="SpindleTemperature", ConfirmedState_Id=True, AckedState_Id=True)
            assert confirmed["Comment"].Text == "seen", "no comment leaves the one before"

    run(bench, act)


def test_an_alarm_of_the_control_is_one_condition_at_all_its_notifiers(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen(bench.node("Notification.Messages"))
        async with operating(bench) as interface:
            await interface.listen(bench.node("CncInterface"))
            bench.event("alarm", "PS0020", TEXT)
            alert, alarm = await operator.wait(Retain=True), await interface.wait(Retain=True)
            assert (alert["ErrorCode"], alert["AlarmIdentifier"]) == ("PS0020", None)
            assert (alarm["ErrorCode"], alarm["AlarmIdentifier"]) == (None, "PS0020")
            assert [alert[name] == alarm[name] for name in ("ConditionId", "EventId", "EventType")] == [True, True, False]
            assert alert["SourceNode"] == bench.space.node_id
            types = [reference.NodeId for reference in await references(operator, alert["ConditionId"], 40, True)]
            assert types == [alert["EventType"]]
            assert bench.space.node_id in [one.NodeId for one in await references(operator, alert["ConditionId"], 9006, False)]
            bench.event("alarm_cleared", "PS0020", TEXT)
            over = await operator.wait(ActiveState_Id=False)
            assert (alert["Message"].Text, over["Message"].Text) == (TEXT, f"{TEXT} (over)")
            assert over["Retain"] is True
            assert await operator.say("Acknowledge", alert) == "Good"
            assert await operator.say("Confirm", alert) == "Good"
            assert (await operator.wait(ConfirmedState_Id=True, AckedState_Id=True))["Retain"] is False

    run(bench, act)


async def references(operator: Operator, node_id: ua.NodeId, kind: int, forward: bool) -> list[Any]:
    asked = ua.BrowseDescription(node_id, ua.BrowseDirection.Forward if forward else ua.BrowseDirection.Inverse, ua.NodeId(kind))
    asked.ResultMask = ua.BrowseResultMask.All
    parameters = ua.BrowseParameters()
    parameters.NodesToBrowse.append(asked)
    (result,) = await operator.client.uaclient.browse(parameters)
    return list(result.References)


def test_the_nodes_of_a_condition_show_what_its_events_say(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        bench.tick(Spindle_VibrationVelocity=8.0)
        event = await operator.wait(ConditionName="SpindleVibration", ActiveState_Id=True)
        node = operator.client.get_node(event["ConditionId"])
        for name in (
            "EventId",
            "Message",
            "Severity",
            "Retain",
            "AckedState/Id",
            "ActiveState/Id",
            "HighLimit",
            "LimitState/CurrentState/Id",
        ):
            child = await node.get_child([f"0:{part}" for part in name.split("/")])
            assert await child.read_value() == event[name], name
        for name, number in (("Acknowledge", 9111), ("AddComment", 9029)):
            assert (await node.get_child(f"0:{name}")).nodeid == ua.NodeId(number)
        state = await node.get_child(["0:LimitState", "0:CurrentState"])
        assert (await state.read_value()).Text == "HighHigh"
        bench.tick(Spindle_VibrationVelocity=0.5)
        await operator.wait(ConditionName="SpindleVibration", ActiveState_Id=False)
        assert (await state.read_value()).Text is None
        assert await operator.say("Acknowledge", event) == "Good"
        assert await operator.say("Confirm", event) == "Good"
        assert await operator.method("Reset", event["ConditionId"]) == "Good"  # the outer limit has latched it
        await clean(bench, operator)  # the health of the device has told of the outer limit too

    run(bench, act)


def test_refresh_tells_the_caller_what_is_retained_and_nobody_else(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        bench.tick(Coolant_Level=30.0)
        bench.event("alarm", "EX1030", "AIR PRESSURE LOW")
        await operator.listen()
        async with operating(bench) as other:
            await other.listen()
            assert await operator.refresh() == "Good"
            heard = await refreshed(operator)
            assert {event["ConditionName"]: event["Retain"] for event in heard} == {"CoolantLevel": True, "EX1030": True}
            second = await operator.listen(bench.node("Signals.Coolant"))
            assert await operator.refresh(item=second) == "Good"
            assert [event["ConditionName"] for event in await refreshed(operator)] == ["CoolantLevel"]
            assert await other.refresh(operator.subscription.SubscriptionId) == "BadUserAccessDenied"
            assert await operator.refresh(4_000_000) == "BadSubscriptionIdInvalid"
            assert await operator.refresh(item=4_000_000) == "BadMonitoredItemIdInvalid"
            bench.event("alarm", "EX1040", "CHIP CONVEYOR OVERLOAD")
            assert (await other.wait())["ConditionName"] == "EX1040"  # and nothing of the refreshes before it
        await clean(bench, operator)

    run(bench, act)


def test_marks_of_a_refresh_pass_every_filter_and_states_only_their_own(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        bench.tick(Coolant_Level=10.0)
        severe = ua.ContentFilterElement(ua.FilterOperator.GreaterThan, [operand("Severity"), ua.LiteralOperand(ua.Variant(900))])
        await operator.listen(where=ua.ContentFilter([severe]))
        assert await operator.refresh() == "Good"
        assert await refreshed(operator) == []
        await clean(bench, operator)

    run(bench, act)


async def refreshed(operator: Operator) -> list[dict[str, Any]]:
    """What comes between RefreshStart and RefreshEnd."""
    assert (await operator.wait())["EventType"] == START
    heard = [await operator.wait()]
    while heard[-1]["EventType"] != END:
        heard.append(await operator.wait())
    return heard[:-1]


async def clean(bench: Bench, operator: Operator) -> None:
    """Bring everything back to rest, acknowledged and confirmed."""
    for name in [held.condition.name for held in bench.engine.server.conditions]:
        bench.event("alarm_cleared", name, "over") if name[-1].isdigit() else None
    bench.tick(Coolant_Level=80.0)
    for held in list(bench.engine.server.conditions):
        for branch in [*held.condition.branches.values(), held.condition.present]:
            event = {"ConditionId": held.face.node_id, "EventId": branch.event_id}
            for name, done in (("Acknowledge", branch.acked), ("Confirm", branch.acked and branch.confirmed)):
                assert done or await operator.say(name, event) == "Good", (held.condition.name, name)


def test_a_refresh_that_still_waits_refuses_another(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        slow = await operator("CreateSubscription", RequestedPublishingInterval=3_600_000.0, RequestedLifetimeCount=100,
                              RequestedMaxKeepAliveCount=10, PublishingEnabled=True)  # fmt: skip
        operator.subscription = slow
        await operator.listen()
        assert await operator.refresh() == "Good"
        assert await operator.refresh() == "BadRefreshInProgress"

    run(bench, act)


@pytest.mark.parametrize("role", [None, "Viewer", "Analytics"])
def test_who_may_not_command_may_look_and_refresh_but_not_handle_alarms(bench: Bench, role: str | None) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        condition = {"ConditionId": bench.condition("CoolantLevel"), "EventId": b"any"}
        for name in ("Acknowledge", "Confirm", "AddComment"):
            assert await operator.say(name, condition) == "BadUserAccessDenied"
        for name in ("Enable", "Disable", "OneShotShelve", "Unshelve"):
            assert await operator.method(name, condition["ConditionId"]) == "BadUserAccessDenied"
        assert await operator.method("TimedShelve", condition["ConditionId"], shelving_time(1000.0)) == "BadUserAccessDenied"
        assert await operator.refresh() == "Good"
        executable = operator.client.get_node(ua.NodeId(9111))
        assert (await executable.read_attribute(ua.AttributeIds.UserExecutable)).Value.Value is False

    run(bench, act, role)


def test_calls_that_name_no_condition_or_no_such_event_are_refused(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        event = {"EventId": b"any"}
        assert await operator.say("Acknowledge", {**event, "ConditionId": CONDITION}) == "BadNodeIdInvalid"
        assert await operator.say("Acknowledge", {**event, "ConditionId": bench.space.node_id}) == "BadMethodInvalid"
        assert await operator.say("Acknowledge", {**event, "ConditionId": ua.NodeId("none", 7)}) == "BadNodeIdUnknown"
        condition = bench.condition("ToolLife")
        assert await operator.method("Acknowledge", condition) == "BadArgumentsMissing"
        assert await operator.method("TimedShelve", condition, ua.Variant("x", ua.VariantType.String)) == "BadInvalidArgument"
        assert await operator.method("Unshelve", condition, shelving_time(1.0)) == "BadTooManyArguments"

    run(bench, act)
