"""Alarms that stay until they are reset, and alarms that others explain: through the socket."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua

from nodesets.states import MachineState
from opcua_server.alarms.groups import CONTROL, SUPPRESSION, explained, parts
from opcua_server.alarms.health import ALARMS
from opcua_server.alarms.table import TABLE
from tests.opcua_server.alarms.bench import END, START, Bench, Operator, operating, run
from tests.opcua_server.alarms.test_handling import clean, references
from tests.opcua_server.alarms.test_put_aside import said

THERE = {row.name for row in TABLE} | {name for name, _, _ in ALARMS.values()}


def test_groups_name_alarms_that_there_are_and_none_explains_itself() -> None:
    for group in SUPPRESSION:
        members = {name for name in group.members if name != CONTROL and not name.startswith("EX")}
        assert members | set(group.suppresses) <= THERE, group.name
        assert not members & set(group.suppresses), group.name
    assert sorted(name for names in parts(TABLE).values() for name in names) == sorted(row.name for row in TABLE)
    assert explained({}) == {}
    assert explained({"CoolantLevel": "", "CoolantFlow": ""}) == {
        "CoolantTemperature": "CoolantLevel", "CoolantFlow": "CoolantLevel", "DeviceOffSpec": "CoolantLevel",
    }  # fmt: skip
    assert explained({"PS0020": CONTROL, "DeviceFailure": ""}) == {"DeviceFailure": "PS0020", "AnomalyScore": "DeviceFailure"}


CAUSES: dict[str, list[dict[str, float]]] = {
    "EX1000": [{"Machine_State": float(MachineState.EMERGENCY_STOP)}],
    "PS0020": [{"Machine_State": float(MachineState.ALARM)}],
    "EX1020": [
        {"Coolant_Level": 30.0}, {"Coolant_Level": 9.0, "Coolant_IsOn": 1.0, "Coolant_Flow": 9.0, "Coolant_Temperature": 45.0},
        {"Machine_State": float(MachineState.ALARM), "Coolant_IsOn": 0.0},
    ],
    "EX1005": [
        {"Spindle_VibrationUnbalance": 3.0, "Spindle_VibrationVelocity": 6.0}, {"Machine_State": float(MachineState.ALARM)},
    ],
}  # fmt: skip
"""What the control shows -> what is measured up to then, one after another."""


@pytest.mark.parametrize("code", CAUSES)
def test_one_cause_is_one_alarm_on_the_screen_and_what_follows_says_from_what(bench: Bench, code: str) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        at_rest, (*before, at_last) = bench.columns.numbers.copy(), CAUSES[code]
        for values in before:
            bench.tick(**values)
        bench.event("alarm", code, "as the control says it")
        bench.tick(**at_last)
        first = await operator.wait(ConditionName="DeviceFailure", ActiveState_Id=True)
        assert first["SuppressedOrShelved"] is True, "it is never told as something new"
        assert await operator.refresh() == "Good"
        await operator.wait(EventType=START)
        shown: dict[str, Any] = {}
        while (event := await operator.wait())["EventType"] != END:
            if event["ActiveState/Id"]:
                shown[event["ConditionName"]] = event
        assert [name for name, event in shown.items() if not event["SuppressedOrShelved"]] == [code]
        why = {name: event["SuppressedState"].Text for name, event in shown.items() if name != code}
        assert why["DeviceFailure"] == f"Suppressed: {code}"
        assert all(text.startswith("Suppressed: ") for text in why.values()), why
        classes = {name: event["ConditionClassName"].Text for name, event in shown.items()}
        assert classes["DeviceFailure"] == "SystemConditionClassType"
        assert classes[code] == "ProcessConditionClassType"
        node = operator.client.get_node(bench.condition(code))
        groups = await node.call_method(ua.NodeId(ua.ObjectIds.AlarmConditionType_GetGroupMemberships))
        assert "ControlShowsIt" in {str(one.Identifier).rpartition(".")[2] for one in groups}
        (group,) = [one for one in groups if str(one.Identifier).endswith(".ControlShowsIt")]
        members = await references(operator, group, ua.ObjectIds.AlarmSuppressionGroupMember, True)
        assert code in {member.BrowseName.Name for member in members}
        bench.tick(Coolant_IsOn=1.0, Coolant_Flow=30.0)  # a flow is judged while the pump runs
        bench.columns.numbers[:] = at_rest
        bench.event("alarm_cleared", code, "as the control says it")
        bench.tick()
        over = await operator.wait(ConditionName="DeviceFailure")
        assert over["ActiveState/Id"] is False, "what followed ends with its cause, and is no alarm of its own for a moment"
        await clean(bench, operator)
        assert await operator.method("Reset", bench.condition("SpindleVibration")) in ("Good", "BadInvalidState")

    run(bench, act)


def test_what_latched_stays_until_it_is_normal_acknowledged_and_reset(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        condition, latch = bench.condition("SpindleVibration"), bench.condition("SpindleVibration.LatchedState.Id")

        async def shown() -> Any:
            return await operator.client.get_node(latch).read_value()

        assert await operator.method("Reset", condition) == "BadInvalidState"  # it is not latched
        bench.tick(Spindle_VibrationVelocity=4.0)
        inner = await operator.wait(ConditionName="SpindleVibration", ActiveState_Id=True)
        assert (inner["LatchedState/Id"], await shown()) == (False, False), "only the outer limit latches"
        bench.tick(Spindle_VibrationVelocity=9.0)
        event = await operator.wait(ConditionName="SpindleVibration", LatchedState_Id=True)
        assert await shown() is True
        assert await operator.say("Acknowledge", event) == "Good"
        assert await operator.method("Reset", condition) == "BadInvalidState", "it is still active"
        bench.tick(Spindle_VibrationVelocity=0.5)
        normal = await operator.wait(ConditionName="SpindleVibration", ActiveState_Id=False)
        assert await operator.say("Confirm", normal) == "Good"
        confirmed = await operator.wait(ConditionName="SpindleVibration", ConfirmedState_Id=True)
        assert (confirmed["Retain"], confirmed["LatchedState/Id"]) == (True, True), "nobody has looked at the spindle"
        async with operating(bench, "Viewer") as viewer:
            assert await viewer.method("Reset", condition) == "BadUserAccessDenied"
        assert await operator.method("Reset2", condition, said("spindle is sound")) == "Good"
        over = await operator.wait(ConditionName="SpindleVibration", LatchedState_Id=False)
        assert (over["Retain"], over["Comment"].Text, await shown()) == (False, "spindle is sound", False)
        assert await operator.method("Reset", bench.condition("ToolLife")) == "BadMethodInvalid", "it does not latch"
        await clean(bench, operator)

    run(bench, act)


def test_what_is_latched_survives_a_restart(bench: Bench) -> None:
    alarms = bench.space.alarms
    bench.tick(Spindle_VibrationVelocity=9.0)
    bench.tick(Spindle_VibrationVelocity=0.5)
    state = alarms.state()
    assert state["conditions"]["SpindleVibration"]["latched"] is True
    bench.do(lambda: _restored(alarms, state))

    async def act(operator: Operator) -> None:
        await operator.listen()
        assert await operator.refresh() == "Good"
        event = await operator.wait(ConditionName="SpindleVibration")
        assert event["LatchedState/Id"] is True
        await clean(bench, operator)
        assert await operator.method("Reset", bench.condition("SpindleVibration")) == "Good"

    run(bench, act)


async def _restored(alarms: Any, state: Any) -> None:
    alarms.restore(state)


def test_an_alarm_is_suppressed_while_another_one_explains_it(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        flow = bench.condition("CoolantFlow.SuppressedState.Id")

        async def suppressed(name: str) -> bool:
            node = operator.client.get_node(bench.condition(f"{name}.SuppressedState.Id"))
            return bool(await node.read_value())

        bench.tick(Coolant_Temperature=45.0)
        hot = await operator.wait(ConditionName="CoolantTemperature", ActiveState_Id=True)
        assert hot["SuppressedOrShelved"] is False
        bench.tick(Coolant_Level=30.0)
        told = await operator.wait(ConditionName="CoolantTemperature", SuppressedState_Id=True)
        assert (told["SuppressedOrShelved"], told["Retain"]) == (True, True), "it goes on telling of itself"
        assert await operator.method("Unsuppress", bench.condition("CoolantTemperature")) == "Good"
        assert await suppressed("CoolantTemperature"), "the reason is still there"
        bench.tick(Coolant_Level=80.0)
        await operator.wait(ConditionName="CoolantTemperature", SuppressedState_Id=False)
        bench.tick(Machine_State=float(MachineState.MAINTENANCE), Coolant_Temperature=30.0)
        await operator.wait(ConditionName="CoolantTemperature", ActiveState_Id=False)
        assert await operator.client.get_node(flow).read_value() is True, "somebody works on the machine"
        assert await operator.method("Suppress", bench.condition("CoolantFlow")) == "Good"
        bench.tick(Machine_State=float(MachineState.IDLE))
        assert await suppressed("CoolantFlow"), "an operator has said so"
        assert await operator.method("Unsuppress", bench.condition("CoolantFlow")) == "Good"
        assert not await suppressed("CoolantFlow")
        await clean(bench, operator)

    run(bench, act)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CoolantTemperature", {"Coolant", "MachineServiced", "CoolantRunsOut", "CoolantHasRunOut", "LimitShowsIt"}),
        ("CoolantLevel", {"Coolant", "CoolantRunsOut", "CoolantHasRunOut", "MachineServiced", "LimitShowsIt"}),
    ],
)
def test_an_alarm_says_which_groups_it_belongs_to(bench: Bench, name: str, expected: set[str]) -> None:
    async def act(operator: Operator) -> None:
        node = operator.client.get_node(bench.condition(name))
        groups = await node.call_method(ua.NodeId(ua.ObjectIds.AlarmConditionType_GetGroupMemberships))
        assert {str(one.Identifier).rpartition(".")[2] for one in groups} == expected
        suppressing = await references(operator, bench.condition(name), ua.ObjectIds.HasAlarmSuppressionGroup, True)
        assert {one.BrowseName.Name for one in suppressing} == {group.name for group in SUPPRESSION if name in group.suppresses}
        for one in suppressing:
            assert one.TypeDefinition == ua.NodeId(ua.ObjectIds.AlarmSuppressionGroupType)
            members = await references(operator, one.NodeId, ua.ObjectIds.AlarmSuppressionGroupMember, True)
            assert {member.BrowseName.Name for member in members} == {
                member for group in SUPPRESSION if group.name == one.BrowseName.Name for member in group.members
            }

    run(bench, act, None)
