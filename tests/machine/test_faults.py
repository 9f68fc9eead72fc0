"""Every registered fault: nothing at severity 0, the expected signals at severity 1, gone when it is cleared."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.machine.faults import FAULTS
from opcua_server.machine.faults.active import ActiveFaults
from opcua_server.machine.physics import Physics

from .running import COLUMN, DEMOS, run, source

SECONDS = 400.0
Rows = npt.NDArray[np.float64]


@functools.cache
def recorded(fault: str | None, severity: float) -> Rows:
    machine = source(DEMOS, program="contour.nc", seed=3)
    if fault is not None:
        machine.call("InjectFault", [fault, severity, 0.0])
    return run(machine, SECONDS)


@pytest.mark.parametrize("name", list(FAULTS))
def test_severity_0_changes_nothing_byte_for_byte(name: str) -> None:
    assert recorded(name, 0.0).tobytes() == recorded(None, 0.0).tobytes()


@pytest.mark.parametrize("name", list(FAULTS))
def test_severity_1_moves_the_expected_signals_the_expected_way(name: str) -> None:
    healthy, faulty = recorded(None, 0.0), recorded(name, 1.0)
    late = slice(len(healthy) // 2, None)
    assert FAULTS[name].expected
    for expected in FAULTS[name].expected:
        before, after = (rows[late, COLUMN[expected.signal]] for rows in (healthy, faulty))
        match expected.direction:
            case "up":
                assert after.mean() > before.mean(), expected
            case "down":
                assert after.mean() < before.mean(), expected
            case "spreads":
                scale = expected.signal.replace("MotorPos", "ActPos")
                spread = [np.std(rows[late, COLUMN[expected.signal]] - rows[late, COLUMN[scale]]) for rows in (healthy, faulty)]
                assert spread[1] > 1.5 * spread[0], expected


@pytest.mark.parametrize("name", list(FAULTS))
def test_a_fault_changes_only_what_physics_lets_it(name: str) -> None:
    """What the program commands stays; a fault may only change when a wait for the spindle is over."""
    healthy, faulty = recorded(None, 0.0), recorded(name, 1.0)
    for signal in ("Channel/FeedOverride", "Environment/Temperature", "Tool/Number", "Machine/AlarmCount"):
        changed = healthy[:, COLUMN[signal]] != faulty[:, COLUMN[signal]]
        assert changed.mean() < 0.01, signal
    for signal in ("Spindle/CmdSpeed", "Channel/CmdFeedrate"):
        assert set(healthy[:, COLUMN[signal]]) == set(faulty[:, COLUMN[signal]])


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
