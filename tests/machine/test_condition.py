"""Wear, spindle, heat, vibration, coolant and energy, each by its own law."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.machine import spindle as sp
from opcua_server.machine.coolant import NOMINAL_FLOW, CoolantUnit
from opcua_server.machine.energy import EnergyMeter
from opcua_server.machine.noise import CHUNK, Channel, Noise, generator
from opcua_server.machine.process.wear import CRITERION_MM, flank_wear_mm, life_min
from opcua_server.machine.thermal import BEARING, COLUMN, HOUSING, MOTOR, NODES, Thermal, growth_z_um
from opcua_server.machine.tools import CUTTERS, POCKETS, Tool, magazine
from opcua_server.machine.vibration import features, parts


# --- wear -------------------------------------------------------------------------------------------------------------
@given(st.floats(0.0, 1.5), st.floats(0.0, 0.5))
def test_flank_wear_only_grows(used: float, more: float) -> None:
    assert flank_wear_mm(used + more) >= flank_wear_mm(used)


def test_flank_wear_starts_at_nothing_and_meets_the_criterion_at_the_end_of_life() -> None:
    assert flank_wear_mm(0.0) == 0.0
    assert flank_wear_mm(1.0) == pytest.approx(CRITERION_MM, rel=1e-6)


def test_wear_has_a_fast_break_in_a_steady_phase_and_an_acceleration() -> None:
    rate = [flank_wear_mm(u + 0.01) - flank_wear_mm(u) for u in (0.0, 0.4, 0.95)]
    assert rate[0] > 2.0 * rate[1]
    assert rate[2] > 1.3 * rate[1]


@pytest.mark.parametrize(("edge", "n"), [("carbide", 0.25), ("hss", 0.125)])
def test_life_follows_taylor(edge: str, n: float) -> None:
    c = {"carbide": 600.0, "hss": 600.0 / 0.16 * 0.4}[edge]
    slow, fast = ({"carbide": (200.0, 240.0), "hss": (140.0, 160.0)})[edge]
    ratio = life_min(c, edge, slow, 0.1, 0.1, 0.5) / life_min(c, edge, fast, 0.1, 0.1, 0.5)
    assert ratio == pytest.approx((fast / slow) ** (1.0 / n), rel=0.02)


def test_lives_of_a_thousand_edges_scatter_like_real_ones() -> None:
    tool = Tool(CUTTERS[4], seed=7, machine=1)
    lives = []
    for _ in range(1000):
        lives.append(tool.life_scatter)
        tool.renew()
    variation = statistics.stdev(lives) / statistics.mean(lives)
    assert 0.2 <= variation <= 0.35


def test_magazine_is_full_and_a_new_edge_starts_from_zero() -> None:
    tools = magazine(1, 1)
    assert sorted(tools) == list(range(1, POCKETS + 1))
    tool = tools[5]
    before = tool.life_scatter
    tool.used, tool.cutting_time_s = 0.7, 900.0
    tool.measure()
    assert tool.measured_percent == pytest.approx(tool.true_percent, abs=8.0)
    tool.renew()
    assert (tool.used, tool.cutting_time_s, tool.measured_percent) == (0.0, 0.0, 0.0)
    assert tool.life_scatter != before


def test_saved_tool_comes_back_as_it_was() -> None:
    tool, other = Tool(CUTTERS[5], 3, 2), Tool(CUTTERS[5], 3, 2)
    tool.renew()
    tool.used, tool.cutting_time_s = 0.3, 77.0
    tool.measure()
    other.restore(tool.save())
    assert other.save() == tool.save()
    assert other.life_scatter == tool.life_scatter


# --- spindle ----------------------------------------------------------------------------------------------------------
def _run(spindle: sp.Spindle, seconds: float, cut_nm: float = 0.0) -> None:
    for _ in range(round(seconds / 0.01)):
        spindle.step(0.01, cut_nm, 1.0, 22.0)


def test_rated_curve_is_constant_torque_then_constant_power() -> None:
    assert sp.rated_torque_nm(sp.BASE_SPEED_RPM) == pytest.approx(sp.RATED_TORQUE_NM, rel=1e-3)
    assert sp.rated_power_w(6000.0) == sp.RATED_POWER_W
    assert sp.rated_power_w(sp.BASE_SPEED_RPM / 2) == pytest.approx(sp.RATED_POWER_W / 2, rel=1e-3)


@given(st.floats(60.0, 12_000.0), st.sampled_from([1, -1]))
def test_spindle_reaches_its_speed_within_the_drive_limits_and_stops_again(speed: float, direction: int) -> None:
    spindle = sp.Spindle()
    spindle.command(speed, direction)
    previous = 0.0
    for _ in range(600):
        limit = sp.PEAK * sp.rated_torque_nm(spindle.speed_rpm)
        spindle.step(0.01, 0.0, 1.0, 22.0)
        assert abs(spindle.torque_nm) <= limit * (1 + 1e-9)
        assert spindle.speed_rpm >= previous
        previous = spindle.speed_rpm
    assert spindle.at_speed
    assert spindle.speed_rpm == speed
    assert spindle.direction == direction
    spindle.command(0.0, 0)
    _run(spindle, 6.0)
    assert (spindle.speed_rpm, spindle.direction, spindle.power_w) == (0.0, 0, 0.0)


def test_reversal_goes_through_standstill() -> None:
    spindle = sp.Spindle()
    spindle.command(3000.0, 1)
    _run(spindle, 3.0)
    spindle.command(3000.0, -1)
    assert not spindle.at_speed
    _run(spindle, 6.0)
    assert spindle.direction == -1
    assert spindle.at_speed


def test_power_without_cut_is_that_of_a_real_mill() -> None:
    spindle = sp.Spindle()
    spindle.command(3200.0, 1)
    _run(spindle, 3.0)
    assert spindle.power_w == pytest.approx(175.0, rel=0.12)


def test_cutting_torque_comes_back_as_power_of_the_drive() -> None:
    spindle = sp.Spindle()
    spindle.command(4000.0, 1)
    _run(spindle, 3.0)
    idle = spindle.power_w
    _run(spindle, 0.1, cut_nm=10.0)
    assert spindle.power_w - idle == pytest.approx(10.0 * 4000 * 2 * math.pi / 60 / sp.EFFICIENCY, rel=1e-6)


# --- heat -------------------------------------------------------------------------------------------------------------
def test_without_heat_everything_stays_at_the_temperature_of_the_shop() -> None:
    thermal = Thermal(21.0)
    for _ in range(3600):
        thermal.step(1.0, np.zeros(NODES), 21.0, 1.0, 1.0)
    np.testing.assert_allclose(thermal.nodes, 21.0, atol=1e-9)


def test_bearing_warms_by_a_plausible_amount_and_growth_follows() -> None:
    thermal, speed = Thermal(20.0), 10_000.0
    friction = sp.friction_nm(speed, 1.0, 30.0) * speed * 2 * math.pi / 60
    heat = np.zeros(NODES)
    heat[BEARING], heat[HOUSING] = 0.14 * friction, 0.26 * friction
    for _ in range(2 * 3600):
        thermal.step(1.0, heat, 20.0, 1.0, 1.0)
    assert 8.0 <= thermal.nodes[BEARING] - 20.0 <= 18.0
    assert 12.0 <= growth_z_um(*thermal.nodes[[BEARING, HOUSING, COLUMN]].tolist()) <= 50.0


@pytest.mark.parametrize(("node", "low_min", "high_min"), [(MOTOR, 5, 10), (BEARING, 10, 25)])
def test_time_constants_are_those_of_real_spindles(node: int, low_min: float, high_min: float) -> None:
    thermal = Thermal(20.0)
    heat = np.zeros(NODES)
    heat[node] = 100.0
    history = []
    for _ in range(6 * 3600):
        thermal.step(1.0, heat, 20.0, 1.0, 1.0)
        history.append(thermal.nodes[node] - thermal.nodes[HOUSING])  # against the slower node it stands on
    after = int(np.searchsorted(history, (1 - math.exp(-1)) * history[-1]))
    assert low_min <= after / 60.0 <= high_min


# --- vibration --------------------------------------------------------------------------------------------------------
def test_unbalance_grows_with_the_square_of_speed() -> None:
    slow = features(parts(3000.0, 1.0, 0.0, 4, 0.0, 0.0, 0.0)).unbalance_mm_s
    fast = features(parts(9000.0, 1.0, 0.0, 4, 0.0, 0.0, 0.0)).unbalance_mm_s
    assert fast / slow == pytest.approx(9.0, rel=0.01)


def test_bearing_damage_shows_in_the_envelope_first_and_kurtosis_falls_late() -> None:
    states = [features(parts(6000.0, 0.3, 0.0, 4, 0.0, 0.0, d / 20)) for d in range(21)]
    new, early, late = states[0], states[6], states[20]
    assert early.bearing_line_m_s2 > 5 * new.bearing_line_m_s2
    assert early.velocity_rms_mm_s < 1.25 * new.velocity_rms_mm_s
    assert late.acceleration_rms_m_s2 > 3 * new.acceleration_rms_m_s2
    peak = max(range(21), key=lambda k: states[k].kurtosis)
    assert 2 < peak < 20
    assert states[peak].kurtosis > late.kurtosis > 3.0


# --- coolant and energy -----------------------------------------------------------------------------------------------
def test_coolant_flows_after_the_pump_starts_and_pressure_belongs_to_the_flow() -> None:
    unit = CoolantUnit(on=True)
    for _ in range(50):
        unit.step(0.1, 1.0, 1.0, 0.0)
    assert unit.flow_l_min == pytest.approx(NOMINAL_FLOW, rel=0.01)
    unit.on = False
    for _ in range(100):
        unit.step(0.1, 1.0, 1.0, 0.0)
    assert (unit.flow_l_min, unit.pressure_bar) == (0.0, 0.0)


def test_tank_is_refilled_when_low_but_not_while_it_leaks() -> None:
    unit = CoolantUnit(on=True, level_percent=62.01)
    for _ in range(6000):
        unit.step(0.1, 1.0, 1.0, 0.0)
    assert unit.level_percent > 85.0
    for _ in range(120_000):
        unit.step(0.1, 1.0, 1.0, 22.0)
    assert unit.level_percent < 30.0


@given(st.lists(st.tuples(st.floats(0, 25e3), st.floats(-5e3, 8e3), st.floats(0, 4e3)), max_size=50))
def test_energy_is_the_integral_of_what_total_power_shows(powers: list[tuple[float, float, float]]) -> None:
    meter, integral = EnergyMeter(), 0.0
    for power in powers:
        meter.step(0.1, *power)
        integral += 0.1 * meter.total_w
        assert meter.total_w >= 0.0
    assert meter.energy_j == pytest.approx(integral)


# --- noise ------------------------------------------------------------------------------------------------------------
def test_a_draw_can_be_made_again_without_those_before_it() -> None:
    one, other = Noise(5, 3), Noise(5, 3)
    rows = [one.at(step) for step in range(CHUNK + 5)]
    assert other.at(CHUNK + 2) == rows[CHUNK + 2]
    assert other.at(7) == rows[7]


def test_seeds_machines_and_channels_have_streams_of_their_own() -> None:
    rows = [Noise(seed, machine).at(0) for seed in (1, 2) for machine in (1, 2)]
    values = [value for row in rows for value in row]
    assert len(values) == 4 * len(Channel)
    assert len(set(values)) == len(values)
    assert generator(1, 1, 5).standard_normal() == generator(1, 1, 5).standard_normal()
