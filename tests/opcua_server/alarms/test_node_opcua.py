"""Alarms by node-opcua's own alarm client: its list, filled by its ConditionRefresh, and its way to acknowledge and confirm."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.harness import wait_for
from tests.opcua_server.alarms.bench import Bench
from tests.opcua_server.engine.conformance.foreign import NodeOpcua, node_opcua


def shown(node: NodeOpcua, name: str, **wanted: Any) -> Any:
    """The alarm of a name in node-opcua's list, when it is as it should be."""

    def is_so() -> Any:
        alarms = node.ask("alarms", "Operator")
        assert isinstance(alarms, list), alarms
        return next((one for one in alarms if one["name"] == name and wanted.items() <= one.items()), None)

    return wait_for(is_so, f"{name} is {wanted}")


def test_node_opcuas_alarm_list_shows_what_there_is_and_handles_it(bench: Bench, modules: Path, tmp_path: Path) -> None:
    bench.tick(Coolant_Temperature=45.0)
    with node_opcua(bench.url, modules, tmp_path) as node:
        alarm = shown(node, "CoolantTemperature", active=True, acked=False, retain=True)  # from its refresh
        assert alarm["message"].startswith("Coolant temperature is too high: 45 °C")
        assert (alarm["severity"], alarm["enabled"], alarm["shelved"]) == (400, True, False)

        def handle(method: str, alarm: Any) -> Any:
            given = [{"$node": alarm["conditionId"]}, {"$latin": alarm["eventId"]}, "by node-opcua"]
            return node.ask(method, "Operator", **{"with": given})

        assert handle("acknowledgeCondition", {**alarm, "eventId": "0123456789abcdef"}) == "BadEventIdUnknown"
        assert handle("acknowledgeCondition", alarm) == "Good"
        acked = shown(node, "CoolantTemperature", acked=True, confirmed=False)
        assert (acked["user"], acked["comment"]) == ("Operator", "by node-opcua")
        assert handle("acknowledgeCondition", alarm) == "BadConditionBranchAlreadyAcked"
        bench.tick(Coolant_Temperature=30.0)
        normal = shown(node, "CoolantTemperature", active=False, retain=True)
        assert handle("addCommentCondition", normal) == "Good"
        assert handle("confirmCondition", normal) == "Good"
        shown(node, "CoolantTemperature", active=False, acked=True, confirmed=True, retain=False)
