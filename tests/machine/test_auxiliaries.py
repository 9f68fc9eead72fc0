"""Hydraulics, way lubrication, door, fixture and magazine: each by its own law, and together over a change of the part."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nodesets.states import MachineState
from opcua_server.machine.auxiliaries import (
    CHARGE_AT_BAR,
    CHARGE_BAR_S,
    CHARGED_BAR,
    CLAMP_BAR,
    FALL_FROM_BAR,
    FALL_SPREAD,
    FALL_TO_BAR,
    GIVEN_AWAY_S,
    INTERVAL_S,
    LEAK_BAR_S,
    STROKE_BAR,
    STROKE_S,
    FallTimer,
    Hydraulics,
    lubrication_bar,
)

from .running import COLUMN, now, run, run_until, source

times = st.floats(0.0, 5_000.0)


# --- hydraulics -------------------------------------------------------------------------------------------------------
@given(times, st.floats(0.5, 2.0))
def test_the_accumulator_is_kept_between_its_two_pressures(time_s: float, leak: float) -> None:
    bar, _ = Hydraulics(leak).at(time_s)
    assert CHARGE_AT_BAR - 1e-9 <= bar <= CHARGED_BAR + 1e-9


@given(times, st.floats(0.0, 50.0))
def test_looking_in_between_or_noting_where_it_is_changes_nothing(first_s: float, more_s: float) -> None:
    whole = Hydraulics()
    whole.take(0.0)
    noted = Hydraulics()
    noted.take(0.0)
    noted.restore(noted.save(first_s), first_s)
    assert noted.at(first_s + more_s)[0] == pytest.approx(whole.at(first_s + more_s)[0], abs=1e-6)


def test_it_falls_by_leakage_and_rises_while_the_pump_charges() -> None:
    unit = Hydraulics()
    seen = np.array([unit.at(k * 0.1) for k in range(6_000)])
    steps = np.diff(seen[:, 0])
    charging = seen[:-1, 1].astype(bool) & seen[1:, 1].astype(bool)
    resting = ~seen[:-1, 1].astype(bool) & ~seen[1:, 1].astype(bool)
    assert steps[charging] == pytest.approx(0.1 * CHARGE_BAR_S)
    assert steps[resting] == pytest.approx(-0.1 * LEAK_BAR_S)
    assert 3 <= np.count_nonzero(np.diff(seen[:, 1]) > 0) <= 6  # ten minutes


def test_a_clamp_takes_its_volume_and_the_pump_makes_up_for_it() -> None:
    unit = Hydraulics()
    before, _ = unit.at(10.0)
    for _ in range(3):
        unit.take(10.0)
    bar, charges = unit.at(10.0)
    assert bar == pytest.approx(before - 3 * CLAMP_BAR)
    assert charges is (bar < CHARGE_AT_BAR)
    assert unit.at(10.0 + (CHARGED_BAR - bar) / CHARGE_BAR_S)[0] == pytest.approx(CHARGED_BAR, abs=0.01)


def test_without_its_pump_it_runs_empty_and_comes_back() -> None:
    unit = Hydraulics()
    unit.switch(5.0, False)
    assert unit.at(5.0 + 300.0)[0] < CHARGE_AT_BAR
    assert unit.at(5.0 + 3_600.0) == (0.0, False)
    unit.switch(3_700.0, True)
    assert unit.at(3_700.0)[1] is True
    assert unit.at(3_700.0 + CHARGED_BAR / CHARGE_BAR_S)[0] == pytest.approx(CHARGED_BAR)


# --- lubrication ------------------------------------------------------------------------------------------------------
def test_a_stroke_comes_every_twelve_minutes_and_is_given_away() -> None:
    seen = np.array([lubrication_bar(k * 0.5, 0.0, 1.0) for k in range(round(3 * INTERVAL_S / 0.5))])
    starts = np.flatnonzero((seen[1:] > 1.0) & (seen[:-1] <= 1.0))
    assert np.diff(starts) * 0.5 == pytest.approx(INTERVAL_S)
    assert seen.max() == pytest.approx(STROKE_BAR, rel=0.01)
    assert lubrication_bar(STROKE_S + GIVEN_AWAY_S, 0.0, 1.0) == pytest.approx(STROKE_BAR / np.e, rel=1e-6)
    assert lubrication_bar(STROKE_S + GIVEN_AWAY_S, 0.0, 1.8) > 1.5 * STROKE_BAR / np.e


@pytest.mark.parametrize(("phase", "give_away"), [(0.0, 1.0), (0.3, 1.15), (0.95, 1.8)])
def test_the_timer_measures_what_the_line_does_and_only_strokes_that_it_saw_begin(phase: float, give_away: float) -> None:
    timer = FallTimer()
    pressures, timed = [], []
    for block in range(round(2.5 * INTERVAL_S * 10)):
        timer.step(block / 10.0, phase, give_away)
        timed.append(timer.last_s)
        pressures.append(lubrication_bar(block / 10.0, phase, give_away))
    first = next(k for k, last_s in enumerate(timed) if last_s > 0.0)
    stroke = max(k for k in range(first) if pressures[k] >= FALL_FROM_BAR)
    assert pressures[first] == pytest.approx(FALL_TO_BAR, rel=0.01)
    assert timed[first] == pytest.approx((first - stroke) / 10.0, abs=0.3 + 3.0 * FALL_SPREAD * GIVEN_AWAY_S * give_away)
    assert any(pressures[k] < 1.0 for k in range(stroke)), "not the one that was under way"


def test_no_two_strokes_are_timed_alike() -> None:
    """Alike to the last bit for ever, any other number gave a fault away."""
    timed: list[list[float]] = []
    for step_s in (0.1, 0.3):
        timer, seen = FallTimer(), list[float]()
        for block in range(round(40 * INTERVAL_S / step_s)):
            timer.step(block * step_s, 0.3, 1.0)
            if timer.last_s > 0.0 and timer.last_s not in seen[-1:]:
                seen.append(timer.last_s)
        timed.append(seen)
    assert timed[0] == timed[1], "the same however time is cut up"
    assert len(set(timed[0])) == 40
    assert 0.004 < np.std(timed[0]) / np.mean(timed[0]) < 0.01


def test_a_clogged_distributor_holds_the_pressure_up_after_a_stroke() -> None:
    sound, clogged = source(), source()
    clogged.machine.controller.call("InjectFault", ["lube_starvation", 1.0, 0.0])
    means = []
    for machine in (sound, clogged):
        seen = []
        for _ in range(round(INTERVAL_S / 6.0)):
            machine.machine.run(60)
            seen.append(now(machine, "Lubrication/Pressure"))
        means.append(np.mean(seen))
        machine.machine.run(1_200)  # a stroke at the end of it is given away too
    assert means[1] > 1.3 * means[0]
    assert now(clogged, "Lubrication/FallTime") == pytest.approx(1.8 * now(sound, "Lubrication/FallTime"), rel=0.04)
    assert now(sound, "Lubrication/FallTime") > 40.0


# --- together ---------------------------------------------------------------------------------------------------------
def test_the_part_is_changed_through_an_open_door_and_clamped_before_the_next_program() -> None:
    machine = source()
    run_until(machine, "Machine/State", MachineState.LOADING)
    shown = [run(machine, 0.1)[0] for _ in range(1)]
    while now(machine, "Machine/State") == MachineState.LOADING:
        shown.append(run(machine, 0.1)[0])
    seen = np.array(shown)
    closed, locked = seen[:, COLUMN["Door/IsClosed"]], seen[:, COLUMN["Door/IsLocked"]]
    clamped, bar = seen[:, COLUMN["Fixture/IsClamped"]], seen[:, COLUMN["Hydraulics/Pressure"]]
    turning = seen[:, COLUMN["Spindle/IsRotating"]]
    assert not np.any((closed == 0) & ((locked == 1) | (turning == 1)))  # never open while something moves
    assert not np.any((clamped == 0) & (closed == 1))  # nobody takes the part through a closed door
    assert list(np.flatnonzero(np.diff(closed))) == [pytest.approx(np.argmin(closed) - 1), pytest.approx(len(closed) - 1, abs=12)]
    assert np.count_nonzero(np.diff(clamped)) == 2
    let_go = int(np.argmin(clamped))
    assert bar[let_go - 1] - bar[let_go] == pytest.approx(CLAMP_BAR, abs=1.5)
    assert (closed[-1], clamped[-1], locked[-1]) == (1.0, 1.0, 1.0)


def test_stopping_while_the_door_is_open_closes_and_clamps() -> None:
    machine = source()
    run_until(machine, "Machine/State", MachineState.LOADING)
    run_until(machine, "Fixture/IsClamped", 0.0)
    machine.machine.controller.call("Stop", [])
    run(machine, 0.1)
    assert now(machine, "Machine/State") == MachineState.IDLE
    assert (now(machine, "Fixture/IsClamped"), now(machine, "Door/IsClosed"), now(machine, "Door/IsLocked")) == (1.0, 1.0, 0.0)


def test_a_tool_change_brings_the_pocket_and_lets_go_in_its_middle() -> None:
    machine = source()
    run_until(machine, "Magazine/IsMoving", 1.0)
    seen = [[now(machine, name) for name in ("Magazine/Pocket", "Tool/IsClamped", "Tool/Number")]]
    while now(machine, "Magazine/IsMoving"):
        run(machine, 0.1)
        seen.append([now(machine, name) for name in ("Magazine/Pocket", "Tool/IsClamped", "Tool/Number")])
    pocket, clamped, number = np.array(seen).T
    assert set(pocket) == {4.0}
    assert (clamped[0], clamped[len(clamped) // 2], clamped[-1]) == (1.0, 0.0, 1.0)
    assert list(number[:-1]) == [0.0] * (len(number) - 1)
    assert number[-1] == 4.0


def test_the_length_of_a_tool_is_taken_off_while_it_is_compensated() -> None:
    machine = source()
    assert now(machine, "Tool/LengthOffset") == 0.0
    run_until(machine, "Tool/InCut", 1.0)  # at Z-2
    tip_mm = now(machine, "Axes/Z/CmdPos") - now(machine, "Axes/Z/ZeroOffset") - now(machine, "Tool/LengthOffset")
    assert now(machine, "Tool/LengthOffset") == 126.0
    assert tip_mm == pytest.approx(-2.0, abs=1e-6)


def test_an_emergency_stop_takes_the_pump_away_and_unlocks_a_standing_machine() -> None:
    machine = source()
    run(machine, 20.0)
    machine.machine.controller.call("EmergencyStop", [])
    run(machine, 200.0)
    assert now(machine, "Hydraulics/Pressure") < CHARGE_AT_BAR
    assert (now(machine, "Door/IsLocked"), now(machine, "Hydraulics/IsCharging")) == (0.0, 0.0)
    machine.machine.controller.call("Reset", [])
    run(machine, 60.0)
    assert now(machine, "Hydraulics/Pressure") > CHARGE_AT_BAR - 1.0
