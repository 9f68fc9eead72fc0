"""Air, chips, surface, stability, heat with its time constants, sensors: each by its own law."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.reading import BAD_SENSOR_FAILURE, GOOD
from nodesets.states import MachineState
from opcua_server.machine import energy
from opcua_server.machine.chips import WAY_S, ChipConveyor
from opcua_server.machine.pneumatics import LEAST_BAR, REGULATED_BAR, AirUnit
from opcua_server.machine.process.cutting import milling
from opcua_server.machine.process.materials import MATERIALS
from opcua_server.machine.process.stability import DAMPING, DIRECTION, NATURAL_HZ, STIFFNESS_N_MM, chatter, limit
from opcua_server.machine.process.surface import roughness_um
from opcua_server.machine.sensors import BLOCK_S, SWARF_LAG_S, StickingSensor, loose_plug
from opcua_server.machine.thermal import BEARING, COLUMN, HOUSING, MOTOR, NODES, Thermal
from opcua_server.machine.tools import CUTTERS, Tool

from .running import COLUMN as SIGNAL
from .running import run, source


# --- air --------------------------------------------------------------------------------------------------------------
def _air(loss: float, *, changing: bool, seconds: float = 300.0) -> list[float]:
    unit, seen = AirUnit(), []
    for step in range(round(seconds * 10)):
        unit.step(0.1, step * 0.1, 0.0, True, changing, loss)
        seen.append(unit.pressure_bar)
    return seen


def test_a_clogged_filter_hides_while_little_air_is_taken_and_shows_in_a_tool_change() -> None:
    assert min(_air(0.0, changing=True)) > 5.0
    assert max(_air(0.3, changing=False)) == pytest.approx(max(_air(0.0, changing=False)), abs=0.1)
    assert min(_air(1.0, changing=True)) < LEAST_BAR < min(_air(0.3, changing=True))


def test_clamping_takes_longer_with_less_pressure() -> None:
    slow, quick = AirUnit(pressure_bar=4.5), AirUnit(pressure_bar=REGULATED_BAR)
    assert slow.clamping_s > 0.2 > quick.clamping_s == 0.0


# --- chips ------------------------------------------------------------------------------------------------------------
def test_chips_on_the_belt_come_to_the_balance_of_what_falls_and_what_is_carried_out() -> None:
    belt = ChipConveyor()
    for _ in range(6000):
        belt.step(0.1, True, 0.0004, 1.0, 0.0)
    assert belt.belt_kg == pytest.approx(0.004 * WAY_S, rel=0.01)
    assert belt.pile_kg == 0.0
    assert belt.strainer_share == 1.0


@given(st.floats(0.05, 1.0), st.floats(0.0, 0.01))
def test_a_belt_that_slips_piles_up_chips_that_hold_back_coolant(slip: float, chips_kg: float) -> None:
    jammed, free = ChipConveyor(), ChipConveyor()
    for _ in range(200):
        jammed.step(0.1, True, chips_kg, 1.0 + slip, slip)
        free.step(0.1, True, chips_kg, 1.0, 0.0)
    assert 0.0 <= jammed.pile_kg <= 200 * chips_kg * (1.0 + 1e-9)
    assert jammed.strainer_share <= free.strainer_share == 1.0
    assert jammed.strainer_share > 0.5
    assert jammed.current_a > free.current_a
    jammed.step(0.1, False, 0.0, 1.0, 0.0)
    assert jammed.current_a == 0.0


# --- chatter ----------------------------------------------------------------------------------------------------------
def test_below_the_lowest_lobe_every_speed_is_stable_and_the_lowest_lobe_is_twice_stiffness_times_damping() -> None:
    lowest = 2.0 * STIFFNESS_N_MM * DAMPING * (1.0 + DAMPING) / DIRECTION
    limits = [limit(round(hertz, 1), DAMPING).force_n_mm for hertz in np.arange(120.0, 900.0, 1.0)]
    assert min(limits) == pytest.approx(lowest, rel=0.01)
    assert max(limits) > 3.0 * lowest


def test_a_tooth_frequency_just_below_the_natural_one_allows_the_deepest_cut() -> None:
    at = {hertz: limit(hertz, DAMPING).force_n_mm for hertz in np.arange(450.0, 1200.0, 5.0).tolist()}
    best = max(at, key=lambda hertz: at[hertz])
    assert 0.9 * NATURAL_HZ < best < 1.1 * NATURAL_HZ


@given(st.floats(0.2, 30.0), st.floats(100.0, 900.0), st.floats(0.1, 1.0))
def test_less_damping_never_makes_a_cut_quieter_and_its_line_lies_above_the_natural_frequency(
    depth: float, tooth_hz: float, damping: float
) -> None:
    healthy, loose = chatter(depth, 3000.0, 1.0, tooth_hz, 1.0), chatter(depth, 3000.0, 1.0, tooth_hz, damping)
    assert 0.0 <= healthy.growth <= loose.growth + 0.05 <= 1.05
    assert NATURAL_HZ <= loose.frequency_hz <= 1.8 * NATURAL_HZ


# --- surface and edges ------------------------------------------------------------------------------------------------
def test_roughness_grows_with_feed_wear_chipping_and_chatter_and_is_that_of_a_mill() -> None:
    tool = CUTTERS[5]
    fine, coarse = roughness_um(tool, 0.05, 0.0, 0.0, 0.0), roughness_um(tool, 0.15, 0.0, 0.0, 0.0)
    assert 0.4 <= fine < coarse <= 3.2
    # Rz of a floor is fz^2 / (8 r), and the marks of Ra are a quarter of it.
    assert coarse - fine == pytest.approx((0.15**2 - 0.05**2) / (8 * 0.4) / 4 * 1000, rel=1e-6)
    for worse in (
        roughness_um(tool, 0.05, 0.3, 0.0, 0.0), roughness_um(tool, 0.05, 0.0, 0.5, 0.0), roughness_um(tool, 0.05, 0.0, 0.0, 0.5),
    ):  # fmt: skip
        assert worse > fine


@given(st.sampled_from(sorted(MATERIALS)), st.floats(0.1, 1.0), st.integers(2, 6))
def test_a_chipped_tooth_costs_no_power_but_hammers_once_per_turn(name: str, chipped: float, teeth: int) -> None:
    sound = milling(MATERIALS[name], 12.0, teeth, 4000.0, 1600.0, 4.0, 6.0)
    broken = milling(MATERIALS[name], 12.0, teeth, 4000.0, 1600.0, 4.0, 6.0, 0.0, chipped)
    assert 0.7 * sound.power_w < broken.power_w < sound.power_w
    assert sound.once_per_turn_n == 0.0
    assert 0.0 < broken.once_per_turn_n < 2.0 * sound.peak_n


def test_a_worn_tool_breaks_sooner_and_a_thicker_one_later() -> None:
    thin, thick = Tool(CUTTERS[8], 1, 1), Tool(CUTTERS[4], 1, 1)
    assert thick.strength_n(0.0) > 4.0 * thin.strength_n(0.0)
    new = thick.strength_n(0.0)
    thick.used = 1.2
    assert 0.6 * new < thick.strength_n(thick.flank_wear_mm) < 0.9 * new


def test_the_gauge_reads_each_part_when_it_is_done() -> None:
    machine = source()
    assert run(machine, 5.0)[-1, SIGNAL["Part/Roughness"]] == 0.0
    rows = run(machine, 40.0)
    parts, roughness = rows[:, SIGNAL["Machine/PartsProduced"]], rows[:, SIGNAL["Part/Roughness"]]
    assert parts[-1] >= 2
    assert 0.4 < roughness[-1] < 3.2
    assert len(np.unique(roughness[parts > 0])) == parts[-1]


# --- heat -------------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("node", "low_min", "high_min", "hours"),
    [(MOTOR, 5, 10, 2), (BEARING, 10, 25, 2), (HOUSING, 40, 90, 8), (COLUMN, 120, 240, 24)],
)
def test_each_node_follows_with_the_time_constant_of_its_part(node: int, low_min: float, high_min: float, hours: int) -> None:
    """Its own heat, everything around it held at the shop's temperature."""
    thermal, heat, history = Thermal(20.0), np.zeros(NODES), []
    heat[node] = 100.0
    for _ in range(hours * 360):
        thermal.step(10.0, heat, 20.0, 1.0, 1.0)
        own = thermal.nodes[node]
        thermal.nodes[:] = 20.0
        thermal.nodes[node] = own
        history.append(own - 20.0)
    after = int(np.searchsorted(history, (1.0 - math.exp(-1.0)) * history[-1])) / 6.0
    assert low_min <= after <= high_min


def test_growth_of_each_axis_follows_its_own_screw() -> None:
    """A warm screw carries its table away from the fixed bearing: the scale sees it, the motor does not."""
    for axis, name in enumerate("XYZ"):
        apart = []
        for warmer in (0.0, 10.0):
            machine = source()
            machine.call("Stop", [])
            machine.machine.thermal.nodes[4 + axis] += warmer
            rows = run(machine, 0.5)
            apart.append(rows[-1, SIGNAL[f"Axes/{name}/ActPos"]] - rows[-1, SIGNAL[f"Axes/{name}/MotorPos"]])
        fixed_mm = 20.0 if name in "XY" else 40.0
        assert (apart[1] - apart[0]) * 1000.0 == pytest.approx(-11.5 * 10.0 * fixed_mm / 1000.0, rel=0.05)


# --- energy -----------------------------------------------------------------------------------------------------------
def test_energy_states_follow_iso_14955_and_each_takes_more_than_the_one_before_it() -> None:
    machine = source(repeat=False)
    seen = [run(machine, 3.0)[-1]]
    machine.call("Start", [])
    rows = run(machine, 40.0)
    machine.call("EmergencyStop", [])
    seen += [rows[100], run(machine, 3.0)[-1]]
    states = [int(row[SIGNAL["Power/EnergyState"]]) for row in seen]
    assert [energy.ENERGY_STATES[state] for state in states] == ["ready", "working", "standby"]
    by_state = dict(zip(states, (row[SIGNAL["Power/Auxiliary"]] for row in seen), strict=True))
    assert by_state[1] < by_state[2] < by_state[3]
    assert 0.4 < by_state[1] < 0.8
    drives = ["Power/Servo", *(f"Axes/{axis}/{name}" for axis in "XYZ" for name in ("ActLoad", "ActPower", "ActTorque"))]
    working, stopped = (row[[SIGNAL[name] for name in drives]] for row in seen[1:])
    assert np.all(working != 0.0)
    assert np.all(stopped == 0.0), "the contactors of the drives have fallen: the brake holds Z"
    assert machine.machine.controller.state is MachineState.EMERGENCY_STOP


# --- sensors ----------------------------------------------------------------------------------------------------------
def test_a_hanging_turbine_says_one_value_for_whole_spells_and_turns_in_the_others() -> None:
    sensor = StickingSensor()
    read = [sensor.read(float(block), 0.5, block, 1, 1) for block in range(30_000)]
    held = np.diff(read) == 0.0
    assert 0.35 < held.mean() < 0.65
    # Between its spells it comes after the flow, by no more than it lags.
    lag = np.arange(1, 30_000)[~held] - np.array(read[1:])[~held]
    assert np.median(lag) == pytest.approx(1.0 / (math.exp(BLOCK_S / (0.5 * SWARF_LAG_S)) - 1.0), rel=1e-6)
    assert StickingSensor().read(3.0, 0.0, 10, 1, 1) == 3.0


@given(st.floats(-4.0, 4.0), st.floats(-6.0, 6.0), st.floats(0.0, 1.0))
def test_a_loose_plug_is_believed_within_the_range_and_reported_beyond_it(when: float, size: float, looseness: float) -> None:
    read, status = loose_plug(25.0, 24.9, looseness, when, size)
    assert (status == GOOD and -10.0 <= read <= 80.0) or (status == BAD_SENSOR_FAILURE and read == 24.9)
    if looseness == 0.0:
        assert (read, status) == (25.0, GOOD)
