"""Every registered fault: nothing at severity 0, the expected signals at severity 1, gone when it is cleared."""

from __future__ import annotations

import functools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.reading import BAD_NOT_READABLE, BAD_SENSOR_FAILURE, UNCERTAIN_NO_COMMUNICATION
from nodesets.catalogue import MACHINE
from opcua_server.machine.faults import FAULTS
from opcua_server.machine.faults.active import ActiveFaults
from opcua_server.machine.physics import Physics
from opcua_server.machine.vibration import BY_THE_NOSE
from opcua_server.sources.simulated import SimulatedSource

from .running import COLUMN, DEMOS, run, run_until, source

SECONDS = 180.0
Rows = npt.NDArray[np.float64]


@functools.cache
def recorded(fault: str | None, severity: float) -> Rows:
    """What a client sees of a machine that has the fault from the first moment on."""
    machine = source(DEMOS, program="contour.nc", seed=3)
    if fault is not None:
        machine.call("InjectFault", [fault, severity, 0.0])
    return run(machine, SECONDS, through_link=fault == "network_gaps")


def alarmed(rows: Rows) -> int:
    """First row with an alarm, else the number of rows."""
    found = np.flatnonzero(rows[:, COLUMN["Machine/AlarmCount"]] > 0)
    return int(found[0]) if found.size else len(rows)


def test_severity_0_of_everything_changes_nothing_byte_for_byte() -> None:
    healthy, machine = recorded(None, 0.0), source(DEMOS, program="contour.nc", seed=3)
    for name in FAULTS:
        machine.call("InjectFault", [name, 0.0, 0.0])
    rows = run(machine, 90.0)
    assert rows.tobytes() == healthy[: len(rows)].tobytes()


@pytest.mark.parametrize("name", list(FAULTS))
def test_severity_1_moves_the_expected_signals_the_expected_way(name: str) -> None:
    healthy, faulty = recorded(None, 0.0), recorded(name, 1.0)
    end = alarmed(faulty)
    late = slice(end // 2, end)
    assert FAULTS[name].expected
    for expected in FAULTS[name].expected:
        before, after = (rows[late, COLUMN[expected.signal]] for rows in (healthy, faulty))
        match expected.direction:
            case "up":
                assert after.mean() > before.mean(), expected
            case "down":
                assert after.mean() < before.mean(), expected
            case "spreads":
                assert after.std() > 1.5 * before.std(), expected
            case "parts":
                scale = COLUMN[expected.signal.replace("MotorPos", "ActPos")]
                spread = [np.std(rows[late, COLUMN[expected.signal]] - rows[late, scale]) for rows in (healthy, faulty)]
                assert spread[1] > 1.5 * spread[0], expected
            case "departs":
                assert (after != before).mean() > 0.05, expected


@pytest.mark.parametrize("name", list(FAULTS))
def test_a_fault_changes_only_what_physics_lets_it(name: str) -> None:
    """What the program commands stays; a fault may change how long a wait is, and lead to an alarm that it names."""
    healthy, faulty = recorded(None, 0.0), recorded(name, 1.0)
    end = alarmed(faulty)
    if end < len(faulty):
        assert FAULTS[name].alarms
    if name == "network_gaps":
        return  # nothing is commanded otherwise: a client sees less of it
    for signal in ("Spindle/CmdSpeed", "Channel/CmdFeedrate", "Tool/Number"):
        assert set(faulty[:end, COLUMN[signal]]) <= set(healthy[:, COLUMN[signal]]), signal
    changed = healthy[:end, COLUMN["Environment/Temperature"]] != faulty[:end, COLUMN["Environment/Temperature"]]
    assert not changed.any()


@pytest.mark.parametrize("name", list(FAULTS))
@given(st.floats(0.05, 1.0), st.integers(0, 1000))
def test_severity_grows_to_its_final_value_and_clearing_restores_the_parameters(name: str, final: float, onset_s: float) -> None:
    faults = ActiveFaults()
    healthy = Physics()
    faults.inject(name, final, onset_s, 100.0)
    at = list(FAULTS).index(name)
    history = [faults.severities(100.0 + onset_s * k / 10)[at] for k in range(12)]
    assert history == sorted(history)
    assert history[-1] == pytest.approx(final)
    assert faults.physics(101.0 + onset_s) != healthy
    assert faults.clear(name, 200.0 + onset_s) == [name]
    assert faults.physics(300.0 + onset_s) == healthy
    assert [event.action for event in faults.record] == ["injected", "cleared"]
    assert faults.record[0].root_cause == FAULTS[name].root_cause


def test_cleared_bearing_runs_quietly_again() -> None:
    machine = source(DEMOS, program="contour.nc", seed=3)
    machine.call("InjectFault", ["spindle_bearing", 1.0, 0.0])
    run(machine, 60.0)
    machine.call("ClearFault", ["All"])
    rows = run(machine, 60.0)
    healthy = recorded(None, 0.0)[600:1200]
    line = COLUMN["Spindle/VibrationBearing"]
    assert rows[:, line].mean() == pytest.approx(healthy[:, line].mean(), rel=0.02)


def test_ground_truth_is_shown_in_the_order_of_the_names() -> None:
    machine = source()
    machine.call("InjectFault", ["thermal_drift", 0.5, 0.0])
    run(machine, 0.2)
    objects = machine.columns().objects
    names, severities = objects["Simulation/FaultNames"], objects["Simulation/FaultSeverities"]
    assert isinstance(names, list)
    assert isinstance(severities, list)
    assert dict(zip(names, severities, strict=True)) == {name: 0.5 * (name == "thermal_drift") for name in FAULTS}


def test_a_small_bearing_fault_hides_behind_single_thresholds() -> None:
    """Not trivial: a limit on the velocity RMS that never fires in health does not see a spall of 0.2."""
    healthy, faulty = recorded(None, 0.0), recorded("spindle_bearing", 0.2)
    velocity = COLUMN["Spindle/VibrationVelocity"]
    limit = healthy[:, velocity].max()
    assert (faulty[:, velocity] > limit).mean() < 0.02


# --- what single faults do --------------------------------------------------------------------------------------------
def test_an_alarm_of_a_fault_is_raised_with_the_code_it_names() -> None:
    for name in ("air_pressure", "encoder"):
        machine = source(DEMOS, program="contour.nc", seed=3)
        machine.call("InjectFault", [name, 1.0, 0.0])
        for _ in range(12_000):
            machine.advance(0.1, 1)
            if machine.machine.controller.alarms:
                break
        assert [alarm.code for alarm in machine.machine.controller.alarms] == list(FAULTS[name].alarms)


def test_a_tool_breaks_in_a_heavy_cut_with_a_spike_and_then_cuts_nothing_until_it_is_renewed() -> None:
    machine = source(DEMOS, program="contour.nc", seed=3)
    machine.call("InjectFault", ["tool_breakage", 0.85, 0.0])
    model, torque = machine.machine, 0.0
    for _ in range(1200):
        run(machine, 0.1)
        torque = max(model.shown.cut.torque_nm)
        if model.shown.cut.broke:
            break
    assert model.shown.cut.broke
    tool = model.controller.tool
    assert tool is not None
    assert torque > 5.0
    rows = run(machine, 3.0)
    assert rows[5:, COLUMN["Tool/InCut"]].max() == 0.0
    again = SimulatedSource("CNC-001", 3, DEMOS, "contour.nc", False, machine.checkpoint())
    assert again.machine.magazine[tool.type.number].broken
    machine.call("ClearFault", ["tool_breakage"])
    assert not tool.broken


def test_a_broken_tool_is_found_by_the_setter_when_it_leaves_the_spindle() -> None:
    machine = source(DEMOS, program="contour.nc", seed=3)
    run(machine, 30.0)
    tool = machine.machine.controller.tool
    assert tool is not None
    tool.broken = True
    number = machine.machine.controller.tool_number
    for _ in range(3000):
        run(machine, 0.1)
        if machine.machine.controller.tool_number != number:
            break
    assert tool.measured_percent == 200.0
    assert any(event.code == "2002" for event in machine.take_events())


def test_chatter_comes_only_where_speed_and_depth_are_beyond_the_lobe() -> None:
    """The same loss of damping: facing with T1 only sounds rougher, the deep cuts of T18 chatter."""
    rows, healthy = recorded("chatter", 1.0), recorded(None, 0.0)
    column = COLUMN["Spindle/VibrationAcceleration"]
    louder = {}
    for tool in (1, 18):
        cut = (rows[:, COLUMN["Tool/Number"]] == tool) & (rows[:, COLUMN["Tool/InCut"]] > 0)
        cut &= healthy[:, COLUMN["Tool/InCut"]] > 0
        assert cut.any()
        louder[tool] = rows[cut, column] / healthy[cut, column]
    # All of a cut's noise that comes by the nose's mode, ten times as long.
    rougher = math.sqrt(1.0 + 9.0 * BY_THE_NOSE)
    assert 1.05 < louder[1].max() <= rougher
    assert (louder[18] > rougher).mean() > 0.2


def test_dirt_in_the_taper_steps_with_each_tool_change_and_grows_with_the_square_of_the_speed() -> None:
    machine = source(seed=5)
    machine.call("Stop", [])
    machine.call("InjectFault", ["imbalance", 0.5, 0.0])
    seen: dict[int, float] = {}
    for number in (3, 4, 5, 3):
        run_until(machine, "Machine/State", 1.0)
        machine.call("ChangeTool", [number])
        run_until(machine, "Tool/Number", float(number))
        run_until(machine, "Machine/State", 1.0)
        amplitudes = []
        for speed in (4000.0, 8000.0):
            machine.call("SetSpindleSpeed", [speed])
            run(machine, 4.0)
            amplitudes.append(run(machine, 5.0)[:, COLUMN["Spindle/VibrationUnbalance"]].mean())
        machine.call("SetSpindleSpeed", [0.0])
        assert amplitudes[1] / amplitudes[0] == pytest.approx(4.0, rel=0.1)
        if number in seen:
            assert amplitudes[1] != pytest.approx(seen[number], rel=0.02)  # the same tool, clamped anew
        seen[number] = amplitudes[1]


def test_dry_guides_cost_current_at_low_speed_and_hardly_any_at_rapid() -> None:
    """20 to 60 % more at a finishing feed."""
    loads = []
    for severity in (0.0, 1.0):
        machine = source({"creep.nc": "G21 G90 G94\nG53 G0 X-100\nG1 X-180 F300\nG1 X-100 F300\nM30\n"})
        machine.call("InjectFault", ["lube_starvation", severity, 0.0])
        rows = run(machine, 20.0)
        creeping = np.abs(np.abs(rows[:, COLUMN["Axes/X/ActVelocity"]]) - 300.0) < 3.0
        loads.append(rows[creeping, COLUMN["Axes/X/ActLoad"]].mean())
    assert 1.2 <= loads[1] / loads[0] <= 1.7


def test_a_jump_of_a_loose_sensor_out_of_its_range_is_marked_and_the_rest_believed() -> None:
    machine = source(DEMOS, program="contour.nc", seed=3)
    machine.call("InjectFault", ["sensor_spike", 1.0, 0.0])
    where = [signal.name for signal in MACHINE].index("Structure/Temperature")
    marked, values = 0, []
    for step in range(1, 1800):
        machine.advance(0.1, step * 100_000_000)
        columns = machine.columns()
        marked += int(columns.statuses[where] == BAD_SENSOR_FAILURE)
        assert int(np.count_nonzero(columns.statuses)) <= 1
        values.append(columns.numbers[COLUMN["Structure/Temperature"]])
    assert marked > 0
    assert np.ptp(values) > 5.0
    machine.call("ClearFault", ["All"])
    machine.advance(0.1, 1)
    assert not machine.columns().statuses.any()


def test_a_gap_of_the_line_keeps_values_and_times_marked_as_no_longer_current() -> None:
    machine = source(DEMOS, program="contour.nc", seed=3)
    machine.call("InjectFault", ["network_gaps", 1.0, 0.0])
    gaps, last, late = 0, machine.columns(), 0
    for step in range(1, 900):
        now_ns = step * 100_000_000
        machine.advance(0.1, now_ns)
        columns = machine.columns()
        assert columns.source_time_ns >= last.source_time_ns
        if not machine.machine.link.up:
            gaps += 1
            assert (columns.statuses == UNCERTAIN_NO_COMMUNICATION).all()
            assert columns.numbers.tobytes() == last.numbers.tobytes()
            assert columns.source_time_ns == last.source_time_ns
        else:
            assert not columns.statuses.any()
            late += int(columns.source_time_ns < now_ns)
        last = columns
    assert gaps > 50
    assert late > 50
    machine.call("ClearFault", ["All"])
    machine.advance(0.2, 91_000_000_000)
    assert machine.columns().source_time_ns == 91_000_000_000


def test_without_ground_truth_nothing_tells_which_faults_are_active() -> None:
    machine = SimulatedSource("CNC-001", 1, DEMOS, "contour.nc", ground_truth=False)
    machine.advance(0.1, 1)
    machine.call("InjectFault", ["coolant", 0.5, 0.0])
    machine.advance(0.1, 2)
    columns = machine.columns()
    assert columns.objects["Simulation/FaultSeverities"] == []
    where = [signal.name for signal in MACHINE].index("Simulation/FaultSeverities")
    assert columns.statuses[where] == BAD_NOT_READABLE
    assert not [event for event in machine.take_events() if event.kind == "fault"]
    assert [event.root_cause for event in machine.ground_truth()] == ["coolant.filter"]
