"""DeviceHealth and its alarms: pure words first, then the nodes of a machine that is not connected to anybody."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from hypothesis import given
from hypothesis import strategies as st

from nodesets.states import MachineState
from opcua_server import space
from opcua_server.alarms.health import ALARMS, OF_THE_DEVICE, WARNING_AT, WORDS, Health, foremost, reasons
from opcua_server.alarms.table import TABLE
from tests.opcua_server.space.conftest import Tick, make_identity

_A = ua.AttributeIds
HEALTH = "MachineryBuildingBlocks.Monitoring.Health"
IDLE = MachineState.IDLE


def test_each_word_has_its_cause() -> None:
    at_outer: dict[str, str | None] = {"SpindleVibration": "HighHigh"}
    assert reasons(IDLE, "", {}, []) == {}
    assert reasons(MachineState.ALARM, "SV0401 V-READY OFF", {}, []) == {Health.FAILURE: "SV0401 V-READY OFF"}
    assert set(reasons(MachineState.EMERGENCY_STOP, "", {}, [])) == {Health.FAILURE}
    assert set(reasons(MachineState.MAINTENANCE, "", {}, [])) == {Health.CHECK_FUNCTION}
    assert reasons(IDLE, "", at_outer, []) == {Health.OFF_SPEC: "Beyond the outer limit: Spindle vibration"}
    assert reasons(IDLE, "", {"SpindleVibration": "High"}, []) == {}
    assert set(reasons(IDLE, "", {}, [("Upkeep/CoolantFilter", 90.0)])) == {Health.MAINTENANCE_REQUIRED}
    assert reasons(IDLE, "", {}, [("Upkeep/CoolantFilter", 89.9)]) == {}


def test_every_alarm_has_words_that_people_use() -> None:
    for name in (*(row.name for row in TABLE), *(row[0] for row in ALARMS.values())):
        assert " " in WORDS[name] or WORDS[name].istitle(), name


def test_the_tool_and_the_detectors_say_nothing_of_the_device() -> None:
    others = {row.name for row in TABLE} - OF_THE_DEVICE
    assert others == {"ToolLife", "SpindleUnbalance", "AnomalyScore"}
    assert reasons(IDLE, "", dict.fromkeys(others, "HighHigh"), []) == {}


@given(st.sets(st.sampled_from([health for health in Health if health])))
def test_the_worst_word_is_shown(found: set[Health]) -> None:
    assert foremost(found) == min(found, default=Health.NORMAL)
    severities = [ALARMS[health][2] for health in (Health.FAILURE, Health.OFF_SPEC, Health.MAINTENANCE_REQUIRED)]
    assert severities == sorted(severities, reverse=True)


class Watched:
    """A machine whose limits and health are judged tick by tick, ten seconds apart, with nobody connected."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.space = space.build(server, [make_identity(77)])["CNC-077"]
        self.columns = Tick()
        self.now_ns = self.columns.columns.source_time_ns

    def tick(self, **numbers: float) -> None:
        for name, number in numbers.items():
            self.columns.number(name.replace("_", "/"), number)
        self.now_ns += 10 * 10**9
        asyncio.run(self._watch())

    async def _watch(self) -> None:
        columns = self.columns.next()
        columns.source_time_ns = self.now_ns
        self.space.write(columns)
        await self.space.watch(columns, self.now_ns)

    def shown(self, path: str) -> Any:
        node_id = ua.NodeId(f"CNC-077.{HEALTH}.{path}", self.space.node_id.NamespaceIndex)
        value = self.server.iserver.aspace[node_id].attributes[_A.Value].value
        assert value is not None
        return value.Value.Value

    @property
    def active(self) -> set[str]:
        return {name for name, _, _ in ALARMS.values() if self.shown(f"DeviceHealthAlarms.{name}.ActiveState.Id")}


async def _initialised() -> Server:
    server = Server()
    await server.init()
    return server


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    made = asyncio.run(_initialised())
    yield made
    made.iserver.method_service.stop()


@pytest.fixture(scope="module")
def watched(server: Server) -> Watched:
    made = Watched(server)
    made.tick(Machine_State=float(IDLE), Coolant_Level=80.0)
    return made


def test_an_alarm_of_the_control_is_a_failure_until_it_is_over(watched: Watched) -> None:
    assert (watched.shown("DeviceHealth"), watched.active) == (Health.NORMAL, set())
    watched.columns.object("Machine/AlarmText", "PS0010 IMPROPER G-CODE")
    watched.tick(Machine_State=float(MachineState.ALARM))
    assert (watched.shown("DeviceHealth"), watched.active) == (Health.FAILURE, {"DeviceFailure"})
    assert watched.shown("DeviceHealthAlarms.DeviceFailure.Message").Text == "PS0010 IMPROPER G-CODE"
    assert watched.shown("DeviceHealthAlarms.DeviceFailure.Retain") is True
    watched.tick(Machine_State=float(IDLE))
    assert (watched.shown("DeviceHealth"), watched.active) == (Health.NORMAL, set())


def test_an_outer_limit_is_worse_than_upkeep_that_is_due(watched: Watched) -> None:
    watched.tick(Upkeep_CoolantFilter=95.0)
    assert (watched.shown("DeviceHealth"), watched.active) == (Health.MAINTENANCE_REQUIRED, {"DeviceMaintenanceRequired"})
    for _ in range(4):
        watched.tick(Spindle_VibrationVelocity=12.0)
    assert watched.shown("DeviceHealth") == Health.OFF_SPEC
    assert watched.active == {"DeviceOffSpec", "DeviceMaintenanceRequired"}
    for _ in range(4):
        watched.tick(Spindle_VibrationVelocity=0.5, Upkeep_CoolantFilter=1.0)
    assert (watched.shown("DeviceHealth"), watched.active) == (Health.NORMAL, set())


def test_nothing_is_told_while_nothing_happens(watched: Watched) -> None:
    watched.tick()
    watched.space.alarms.state()
    watched.tick()
    assert watched.space.alarms.changed is False


def test_health_that_is_not_known_is_bad(watched: Watched) -> None:
    bad = int(ua.StatusCodes.BadOutOfService)
    watched.columns.status("Machine/State", bad)
    watched.tick(Machine_State=float(MachineState.ALARM))
    node_id = ua.NodeId(f"CNC-077.{HEALTH}.DeviceHealth", watched.space.node_id.NamespaceIndex)
    value = watched.server.iserver.aspace[node_id].attributes[_A.Value].value
    assert value is not None
    assert value.StatusCode is not None
    assert value.StatusCode.value == bad
    assert watched.active == set()
    watched.columns.status("Machine/State", 0)
    watched.tick(Machine_State=float(IDLE))
    assert watched.shown("DeviceHealth") == Health.NORMAL


def test_what_was_active_before_a_restart_is_over_when_it_is(watched: Watched) -> None:
    watched.tick(Machine_State=float(MachineState.EMERGENCY_STOP))
    state = watched.space.alarms.state()
    watched.tick(Machine_State=float(IDLE))
    watched.space.alarms.restore(state)
    assert watched.active == {"DeviceFailure"}
    watched.tick()
    assert watched.active == set()


def test_warnings_are_those_that_the_counters_show(watched: Watched) -> None:
    aspace = watched.server.iserver.aspace
    for name, (warning, _) in WARNING_AT.items():
        tag = name.partition("/")[2]
        path = f"CNC-077.MachineryBuildingBlocks.LifetimeCounters.{tag}.WarningValues"
        value = aspace[ua.NodeId(path, watched.space.node_id.NamespaceIndex)].attributes[_A.Value].value
        assert value is not None
        assert value.Value.Value == warning


def test_the_page_names_each_alarm_with_its_type_and_severity(clone: Path) -> None:
    table = (clone / "docs" / "alarms.md").read_text("utf-8").partition("## Health of the device")[2].partition("\n## ")[0]
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("| `")]
    assert [(name, f"DI:{kind}", int(severity)) for name, kind, _, severity in rows] == list(ALARMS.values())
