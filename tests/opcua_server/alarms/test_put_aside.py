"""Suppressed, out of service, and what operators say when they shelve: through the socket."""

from __future__ import annotations

from typing import Any

import pytest
from asyncua import ua

from tests.opcua_server.alarms.bench import Bench, Operator, operating, run
from tests.opcua_server.alarms.test_handling import clean, refreshed, shelving_time


def said(text: str | None, locale: str | None = "en") -> ua.Variant:
    return ua.Variant(ua.LocalizedText(text, locale), ua.VariantType.LocalizedText)


PAIRS = [("Suppress", "Unsuppress", "SuppressedState"), ("RemoveFromService", "PlaceInService", "OutOfServiceState")]


@pytest.mark.parametrize(("there", "back", "state"), PAIRS)
def test_an_alarm_is_put_aside_and_taken_up_again(bench: Bench, there: str, back: str, state: str) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        condition = bench.condition("SpindleVibration")

        async def shown() -> tuple[bool, bool]:
            nodes = [operator.client.get_node(bench.condition(f"SpindleVibration.{path}")) for path in (
                f"{state}.Id", "SuppressedOrShelved")]  # fmt: skip
            is_so, is_aside = [await node.read_value() for node in nodes]
            return is_so, is_aside

        assert await shown() == (False, False)
        assert await operator.method(back, condition) == "Good"  # it is there already
        assert await operator.method(f"{there}2", condition, said("sensor is being changed")) == "Good"
        event = await operator.wait(ConditionName="SpindleVibration")
        assert (event[f"{state}/Id"], event["SuppressedOrShelved"], event["Retain"]) == (True, True, False)
        assert (event["Comment"].Text, event["ClientUserId"]) == ("sensor is being changed", "Operator")
        assert await shown() == (True, True)
        assert await operator.method(there, condition) == "Good"
        bench.tick(Spindle_VibrationVelocity=4.0)
        active = await operator.wait(ConditionName="SpindleVibration")
        assert (active["ActiveState/Id"], active["Retain"], active["SuppressedOrShelved"]) == (True, True, True)
        assert await operator.refresh() == "Good"
        assert [one["ConditionName"] for one in await refreshed(operator)] == ["SpindleVibration"]
        bench.tick(Spindle_VibrationVelocity=0.0)
        assert await operator.method(f"{back}2", condition, said(None, None)) == "Good"
        event = await operator.wait(**{f"{state}_Id": False})
        assert (event["SuppressedOrShelved"], event["Comment"].Text) == (False, "sensor is being changed")
        assert await shown() == (False, False)
        assert await operator.method(f"{there}2", condition, said("x" * 1001)) == "BadInvalidArgument"
        assert await shown() == (False, False)
        types = ua.NodeId(ua.ObjectIds.AlarmConditionType)
        assert await operator.method(there, types) == "BadNodeIdInvalid"
        assert await operator.method(there, bench.space.node_id) == "BadMethodInvalid"
        async with operating(bench, "Viewer") as viewer:
            assert await viewer.method(there, condition) == "BadUserAccessDenied"
            assert await viewer.method(f"{back}2", condition, said("no")) == "BadUserAccessDenied"
        await clean(bench, operator)

    run(bench, act)


def test_who_shelves_may_say_why(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        await operator.listen()
        shelf, condition = bench.condition("ToolLife.ShelvingState"), bench.condition("ToolLife")
        calls: list[tuple[str, ua.NodeId, list[ua.Variant], str]] = [
            ("TimedShelve2", condition, [shelving_time(60_000.0), said("edge is on order")], "edge is on order"),
            ("OneShotShelve2", shelf, [said(None, None)], "edge is on order"),
            ("Unshelve2", shelf, [said("it came")], "it came"),
        ]
        for name, object_id, arguments, comment in calls:
            assert await operator.method(name, object_id, *arguments) == "Good"
            event = await operator.wait(ConditionName="ToolLife")
            assert (event["Comment"].Text, event["SuppressedOrShelved"]) == (comment, name != "Unshelve2")
        assert await operator.method("Unshelve2", shelf, said("again")) == "BadConditionNotShelved"
        assert await operator.method("TimedShelve2", shelf, said("no time")) == "BadArgumentsMissing"
        most = await operator.client.get_node(bench.condition("ToolLife.MaxTimeShelved")).read_value()
        assert await operator.method("TimedShelve2", shelf, shelving_time(most + 1.0), said("long")) == "BadShelvingTimeOutOfRange"

    run(bench, act)


def test_below_an_alarm_are_the_methods_of_its_type(bench: Bench) -> None:
    async def act(operator: Operator) -> None:
        for place, names in (
            ("ToolLife", ("Suppress", "Suppress2", "Unsuppress2", "RemoveFromService", "PlaceInService2", "Confirm")),
            ("ToolLife.ShelvingState", ("TimedShelve", "TimedShelve2", "OneShotShelve2", "Unshelve2")),
        ):
            node: Any = operator.client.get_node(bench.condition(place))
            for name in names:
                method = await node.get_child(f"0:{name}")
                arguments = await method.get_children(refs=ua.ObjectIds.HasProperty)
                assert [(await one.read_browse_name()).Name for one in arguments] == (
                    ["InputArguments"] if name.endswith("2") or name in ("TimedShelve", "Confirm") else []
                ), name

    run(bench, act)
