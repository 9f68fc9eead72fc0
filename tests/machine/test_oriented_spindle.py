"""A spindle that stops at its angle: M19, boring cycles, the arm of the tool changer."""

from __future__ import annotations

import numpy as np
import pytest

from nodesets.states import MachineState
from opcua_server.machine import fleet
from opcua_server.machine.fleet import Group
from opcua_server.machine.machine import Machine
from opcua_server.machine.moves import ORIENTED_DEG
from opcua_server.machine.process.load import TICK_S
from opcua_server.machine.signals import View, numbers, objects
from opcua_server.machine.spindle import INERTIA_KG_M2, PEAK, RATED_TORQUE_NM, Spindle, orients_within_s
from opcua_server.machine.tool_arm import TOOL_CHANGE_S
from opcua_server.sources.simulated import SimulatedSource

from .running import SHORT, now, run_until, source

CUT = "G1 Z-2 F1500\nG1 X72 F1000"


def started(program: str) -> SimulatedSource:
    machine = source({"short.nc": program}, repeat=False)
    machine.call("Start", [])
    return machine


def until_it_seeks(machine: SimulatedSource) -> None:
    for _ in range(600):
        if machine.machine.spindle.stop_deg is not None:
            return
        machine.advance(0.1, 1)
    raise AssertionError("it was never told an angle")


def to_its_angle(speed_rpm: float, direction: int, angle_deg: float, stop_deg: float) -> tuple[float, list[float], list[float]]:
    """How long a spindle takes to an angle, s; its speeds in r/min and torques in N m, each 10 ms."""
    spindle = Spindle(speed_rpm, speed_rpm, direction, direction, angle_deg)
    spindle.orient(stop_deg)
    speeds, torques = [speed_rpm], []
    while not spindle.at_speed:
        spindle.step(TICK_S, 0.0, 1.0, 25.0)
        speeds.append(spindle.speed_rpm)
        torques.append(spindle.torque_nm)
        assert len(speeds) < 1000
    assert (spindle.speed_rpm, spindle.angle_deg, spindle.direction) == (0.0, stop_deg, 0)
    return len(torques) * TICK_S, speeds, torques


@pytest.mark.parametrize("speed", [0.0, 0.4, 30.0, 150.0, 200.0, 201.0, 900.0, 6000.0, 12_000.0])
@pytest.mark.parametrize("direction", [1, -1])
def test_it_stops_at_any_angle_as_its_drive_can(speed: float, direction: int) -> None:
    rng = np.random.default_rng(int(speed))
    taken = []
    for angle, stop in rng.uniform(0.0, 360.0, (60, 2)):
        seconds, speeds, torques = to_its_angle(speed, direction if speed else 0, angle, stop)
        taken.append(seconds)
        assert max(speeds) <= max(speed, 200.0)
        assert max(map(abs, torques), default=0.0) <= PEAK * RATED_TORQUE_NM + 1e-6
        slow = [torque for torque, at in zip(torques, speeds, strict=False) if at <= 200.0]
        assert max(map(abs, slow), default=0.0) < 150.0 * INERTIA_KG_M2 + 0.5
    assert max(taken) <= orients_within_s(speed)
    assert max(taken) - min(taken) > 0.02, "it depends on how far the angle is"


def test_from_a_stand_it_goes_the_shorter_way_and_not_at_all_where_it_is_right() -> None:
    assert to_its_angle(0.0, 0, 40.0, 40.0)[0] == 0.0
    near, far = to_its_angle(0.0, 0, 350.0, 20.0)[0], to_its_angle(0.0, 0, 20.0, 200.0)[0]
    assert near < 0.15 < far < 0.4
    spindle = Spindle(angle_deg=10.0)
    spindle.orient(350.0)
    spindle.step(TICK_S, 0.0, 1.0, 25.0)
    assert spindle.direction == -1


def test_m19_stands_at_the_angle_that_it_says_and_holds_until_the_spindle_is_wanted() -> None:
    machine = started(SHORT.replace(CUT, "G0 Z30\nM19 R35.5\nS1500\nG4 X0.5\nG0 X0\nM0\nM3\nM19\nM0\nM5"))
    run_until(machine, "Machine/State", MachineState.HELD)
    assert now(machine, "Spindle/AnglePos") == 35.5
    assert now(machine, "Spindle/IsRotating") == 0.0
    assert objects(View(machine.machine))["Channel/ActMFunctions"] == [19, 8]
    machine.call("Start", [])
    run_until(machine, "Machine/State", MachineState.RUNNING)
    run_until(machine, "Machine/State", MachineState.HELD)
    assert now(machine, "Spindle/AnglePos") == ORIENTED_DEG
    machine.call("Start", [])
    for _ in range(3):
        machine.advance(0.1, 1)
    assert objects(View(machine.machine))["Channel/ActMFunctions"][0] == 5


def test_the_program_waits_for_the_angle_and_the_cycle_is_longer_by_that() -> None:
    taken = []
    for words in ("M5\nM3", "M19\nM3"):
        machine = started(SHORT.replace(CUT, f"G0 Z30\n{words}"))
        run_until(machine, "Machine/PartsProduced", 1.0)
        taken.append(now(machine, "Machine/LastCycleTime"))
    assert 0.1 <= taken[1] - taken[0] <= 0.8


def test_a_reset_in_the_middle_of_it_lets_it_stand_where_it_comes_to_a_stand() -> None:
    machine = started(SHORT.replace(CUT, "G0 Z30\nM19 R77"))
    until_it_seeks(machine)
    machine.call("Reset", [])
    for _ in range(20):
        machine.advance(0.1, 1)
    assert now(machine, "Spindle/IsRotating") == 0.0
    assert now(machine, "Spindle/AnglePos") != 77.0
    assert objects(View(machine.machine))["Channel/ActMFunctions"][0] == 5


@pytest.mark.parametrize("cycle", ["G76 X30 Z-3 R2 Q0.5 P200 F100", "G87 X30 Z-3 R-8 Q0.5 F100"])
def test_boring_cycles_leave_the_wall_with_the_spindle_at_its_angle(cycle: str) -> None:
    """Whenever the tool is beside its hole below the first level, its tip points away from the wall."""
    machine = started(SHORT.replace(CUT, f"G0 Z10 X30\n{cycle}\nG80").replace("T4", "T22").replace("H4", "H22"))
    beside = 0
    while not now(machine, "Machine/PartsProduced"):
        machine.advance(0.1, round(machine.machine.time_s * 1e9))
        x, z = now(machine, "Axes/X/CmdPos") + 440.0, now(machine, "Axes/Z/CmdPos") + 420.0 - 145.0
        if z < 9.0 and 0.01 < abs(x - 30.0) < 0.6:
            beside += 1
            assert now(machine, "Spindle/AnglePos") == ORIENTED_DEG
            assert now(machine, "Spindle/IsRotating") == 0.0
        assert machine.machine.time_s < 60.0
    assert beside >= 2


@pytest.mark.parametrize("speed", [0, 500, 4000, 12_000])
def test_the_drawbar_lets_go_when_the_spindle_stands_at_its_angle(speed: int) -> None:
    """M6 with the spindle turning, as M5 does not have to be programmed before it."""
    machine = started(SHORT.replace("S4000", f"S{speed}").replace(CUT, "G0 Z30\nT6 M6").replace("M3\n", "M3 M8\n"))
    run_until(machine, "Tool/Number", 4.0)
    for _ in range(600):
        machine.advance(0.1, round(machine.machine.time_s * 1e9))
        if machine.machine.controller.changing_tool:
            break
    began, free = machine.machine.time_s, 0
    while machine.machine.controller.changing_tool:
        machine.advance(0.01, round(machine.machine.time_s * 1e9))
        if not now(machine, "Tool/IsClamped"):
            free += 1
            assert now(machine, "Spindle/AnglePos") == ORIENTED_DEG
            assert now(machine, "Spindle/IsRotating") == 0.0
    assert free > 150
    taken = machine.machine.time_s - began
    assert taken == pytest.approx(TOOL_CHANGE_S if speed < 5000 else TOOL_CHANGE_S + 0.9, abs=0.25)


def test_machines_in_step_orient_as_each_does_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fleet, "FEW", 2)
    program = SHORT.replace("G0 Z50\n", "G0 Z50\nM19 R120\nG0 X0\nM3\nT6 M6\nS2000 M3\nG0 X5\nG4 X1\n")
    together, alone = ([Machine(number, 4, {"short.nc": program}) for number in range(1, 6)] for _ in range(2))
    for one in (*together, *alone):
        one.controller.start_program()
    group, sought = Group(together), 0
    for _ in range(35):
        for rows in group.run(10):
            for one, row in zip(alone, rows, strict=True):
                one.step()
                sought += one.spindle.seeks
                assert row.tobytes() == numbers(View(one)).tobytes()
        assert [objects(View(one)) for one in together] == [objects(View(one)) for one in alone]
        assert [one.save() for one in together] == [one.save() for one in alone]
    assert sought > 5


def test_an_angle_beyond_a_turn_is_an_alarm() -> None:
    machine = started(SHORT.replace(CUT, "M19 R400"))
    run_until(machine, "Machine/State", MachineState.ALARM)
    assert machine.machine.controller.alarms[0].code == "PS0009"
