"""Maintenance, the main switch, and machine lock: what the machine does in them, and what it is like afterwards."""

from __future__ import annotations

import pytest

from nodesets.states import MachineState
from opcua_server.alarms.health import WARNING_AT
from opcua_server.machine.maintenance import KINDS, obligated
from opcua_server.machine.upkeep import BEARING_HOURS, Upkeep
from opcua_server.sources.simulated import SimulatedSource
from opcua_server.sources.source import CommandRefused

from .running import COLUMN, SHORT, now, run, run_until, source

S = MachineState


def state(machine: SimulatedSource) -> MachineState:
    return MachineState(int(now(machine, "Machine/State")))


def kind(machine: SimulatedSource) -> object:
    return machine.columns().objects["Machine/MaintenanceMode"]


def test_nothing_starts_while_somebody_works_on_the_machine_and_its_kind_can_change() -> None:
    machine = source(repeat=False)
    machine.call("BeginMaintenance", ["Inspection"])
    machine.call("BeginMaintenance", ["Repair"])
    assert (state(machine), kind(machine)) == (S.MAINTENANCE, "Repair")
    with pytest.raises(CommandRefused, match="not possible in state MAINTENANCE"):
        machine.call("Start", [])
    machine.call("EndMaintenance", [])
    assert (state(machine), kind(machine)) == (S.IDLE, "")
    run(machine, 0.2)
    machine.call("Start", [])
    assert state(machine) is S.RUNNING
    with pytest.raises(CommandRefused, match="not possible in state RUNNING"):
        machine.call("BeginMaintenance", ["Repair"])


def test_a_kind_that_there_is_not_is_refused() -> None:
    with pytest.raises(CommandRefused) as refused:
        source(repeat=False).call("BeginMaintenance", ["Tea"])
    assert refused.value.reason == "argument"


@pytest.mark.parametrize("interruption", [("EmergencyStop", "Reset"), ("SwitchOff", "SwitchOn")])
def test_maintenance_lasts_over_an_emergency_stop_and_the_main_switch(interruption: tuple[str, str]) -> None:
    machine = source(repeat=False)
    machine.call("BeginMaintenance", ["Upgrade"])
    for method in interruption:
        machine.call(method, [])
        run(machine, 0.5)
    assert (state(machine), kind(machine)) == (S.MAINTENANCE, "Upgrade")


@pytest.mark.parametrize("off", [False, True])
def test_maintenance_and_the_main_switch_survive_a_restart_and_no_program_starts(off: bool) -> None:
    machine = source()
    machine.call("Stop", [])
    machine.call("BeginMaintenance", ["Service"])
    if off:
        machine.call("SwitchOff", [])
    again = SimulatedSource("CNC-001", 1, {"short.nc": SHORT}, state=machine.checkpoint())
    run(again, 1.0)
    assert (state(again), kind(again)) == (S.OFF if off else S.MAINTENANCE, "Service")


def test_a_service_fills_up_oil_and_renews_the_filter_and_a_repair_renews_the_bearings() -> None:
    machine = source(repeat=False)
    upkeep = machine.machine.upkeep
    upkeep.lube_percent, upkeep.spindle_h, upkeep.filter_percent = 92.0, 19_000.0, 90.0
    for work in KINDS:
        if work not in ("Service", "Repair"):
            machine.call("BeginMaintenance", [work])
            machine.call("EndMaintenance", [])
    run(machine, 0.1)
    assert [now(machine, f"Upkeep/{name}") for name in ("WayLube", "CoolantFilter", "SpindleBearing")] == [92.0, 90.0, 19_000.0]
    machine.call("BeginMaintenance", ["Service"])
    machine.call("EndMaintenance", [])
    run(machine, 0.1)
    assert [now(machine, f"Upkeep/{name}") for name in ("WayLube", "CoolantFilter", "SpindleBearing")] == [0.0, 0.0, 19_000.0]
    machine.call("BeginMaintenance", ["Repair"])
    machine.call("EndMaintenance", [])
    run(machine, 0.1)
    assert now(machine, "Upkeep/SpindleBearing") == 0.0


def test_a_filter_that_flushes_itself_asks_for_nobody_and_its_cloth_lasts_for_weeks() -> None:
    machine = source()
    machine.machine.coolant.filter_load = 0.99
    run(machine, 1.0)
    assert now(machine, "Upkeep/CoolantFilter") < 1.0
    upkeep, hours = Upkeep(), 0
    while upkeep.filter_percent < WARNING_AT["Upkeep/CoolantFilter"][0]:
        upkeep.step(3600.0, turns=True, runs=True, pumps=True)
        hours += 1
    assert 5 * 16 < hours < 3 * 5 * 16
    for _ in range(24):
        upkeep.step(3600.0, turns=True, runs=True, pumps=True)
    assert upkeep.filter_percent < 10.0, "somebody has renewed it"
    idle = Upkeep(filter_percent=50.0)
    idle.step(3600.0, turns=True, runs=True, pumps=False)
    assert idle.filter_percent == 50.0


def test_one_is_responsible_or_nobody_and_never_both() -> None:
    worn = Upkeep(spindle_h=BEARING_HOURS)
    found = {
        (state, kind, upkeep.spindle_h > 0.0): obligated(state, kind, upkeep)
        for state in S
        for kind in (KINDS if state is S.MAINTENANCE else ("",))
        for upkeep in (Upkeep(), worn)
    }
    assert (True, True) not in found.values()
    builder = {key[1:] for key, (_, is_builder) in found.items() if is_builder}
    assert builder == {("Repair", False), ("Repair", True), ("Upgrade", False), ("Upgrade", True), ("Service", True)}
    nobody = {key[:2] for key, both in found.items() if both == (False, False)}
    assert nobody == {(S.OFF, ""), (S.MAINTENANCE, "Other")}


def test_a_machine_that_is_switched_off_needs_no_power_and_counts_no_time() -> None:
    machine = source()
    run_until(machine, "Tool/InCut", 1.0)
    with pytest.raises(CommandRefused):
        machine.call("SwitchOff", [])
    machine.call("EmergencyStop", [])
    run(machine, 5.0)
    machine.call("SwitchOff", [])
    run(machine, 0.1)
    before = {name: now(machine, name) for name in ("Machine/PowerOnDuration", "Power/Energy", "Machine/AlarmCount")}
    assert before["Machine/AlarmCount"] == 0
    run(machine, 30.0)
    assert {name: now(machine, name) for name in before} == pytest.approx(before)
    assert now(machine, "Power/Total") == 0.0
    assert now(machine, "Power/EnergyState") == 0
    assert [now(machine, f"Axes/Z/{name}") for name in ("ActPower", "ActTorque", "ActLoad")] == [0.0, 0.0, 0.0]
    machine.call("SwitchOn", [])
    run(machine, 36.0)
    assert now(machine, "Machine/PowerOnDuration") == pytest.approx(before["Machine/PowerOnDuration"] + 0.01)
    assert now(machine, "Power/Total") > 0.0


def test_under_machine_lock_a_program_runs_to_its_end_and_no_axis_moves() -> None:
    machine = source({"lock.nc": SHORT}, repeat=False)
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 1.0)
    run_until(machine, "Machine/State", S.IDLE)
    machine.call("SetModifier", ["TestMode", True])
    place, told = ([now(machine, f"Axes/{axis}/{which}") for axis in "XYZ"] for which in ("ActPos", "CmdPos"))
    machine.call("Start", [])
    assert now(machine, "Channel/TestMode") == 1
    with pytest.raises(CommandRefused, match="TestMode cannot change"):
        machine.call("SetModifier", ["TestMode", False])
    rows = [run(machine, 0.1)[-1] for _ in range(400)]
    seen = {name: [row[COLUMN[name]] for row in rows] for name in COLUMN}
    assert now(machine, "Machine/PartsProduced") == 2.0
    for axis, stood in zip("XYZ", place, strict=True):
        assert seen[f"Axes/{axis}/ActPos"] == pytest.approx([stood] * len(rows), abs=0.01)
        assert set(seen[f"Axes/{axis}/CmdPos"]) == {told["XYZ".index(axis)]}
    assert max(seen["Axes/X/RemDist"]) - min(seen["Axes/X/RemDist"]) > 50.0
    assert max(seen["Spindle/ActSpeed"]) > 3900.0
    assert max(seen["Channel/ActFeedrate"]) == max(seen["Tool/InCut"]) == 0.0
    run_until(machine, "Machine/State", S.IDLE)
    machine.call("SetModifier", ["TestMode", False])
    run(machine, 1.0)
    assert [now(machine, f"Axes/{axis}/CmdPos") for axis in "XYZ"] == told
    assert [now(machine, f"Axes/{axis}/ActPos") for axis in "XYZ"] == pytest.approx(place, abs=0.01)
    machine.call("Start", [])
    run_until(machine, "Machine/PartsProduced", 3.0)
