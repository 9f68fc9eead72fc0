"""The feed drives: lag, friction, backlash, screw, torque and power, in the sizes the reference gives."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opcua_server.machine.motion import filters
from opcua_server.machine.motion.axes import Axes, AxisBlock, growth_mm, pitch_error_mm
from opcua_server.machine.motion.block import Floats
from opcua_server.machine.motion.columns import Columns
from opcua_server.machine.parameters import VF2_AXES, AxisParameters
from tests.machine.motion.paths import feed, run

COLD = (20.0, 20.0, 20.0)


def ramp(speed_mm_s: float, n: int) -> tuple[Floats, Floats]:
    """Positions and velocities (n, 3) of all axes at one speed, from 0, speeding up at 3 m/s2 first."""
    velocity = np.minimum(np.arange(1, n + 1) * 3.0, abs(speed_mm_s)) * np.sign(speed_mm_s)
    before = np.concatenate(([0.0], velocity[:-1]))
    position = np.cumsum(0.5 * (velocity + before)) * 1e-3
    return np.repeat(position[:, None], 3, axis=1), np.repeat(velocity[:, None], 3, axis=1)


def drive(speed_mm_s: float, n: int = 2000, force_n: float = 0.0, axes: Axes | None = None) -> AxisBlock:
    position, velocity = ramp(speed_mm_s, n)
    axes = axes or Axes(VF2_AXES, (0.0, 0.0, 0.0))
    return axes.step(position, velocity, np.full((n, 3), force_n), COLD)


def test_following_error_is_proportional_to_velocity_as_on_the_measured_mill() -> None:
    speeds = np.array([5.0, 20.0, 80.0, 200.0])
    lag = []
    for speed in speeds:
        block = drive(speed)
        position, _ = ramp(speed, 2000)
        lag.append((position - block.motor_position_mm)[-1])
    ratio_ms = np.array(lag) / speeds[:, None] * 1e3
    assert (ratio_ms > 7.5).all()
    assert (ratio_ms < 8.3).all()


def test_feed_forward_takes_the_following_error_away() -> None:
    axes = Axes([replace(one, velocity_feed_forward=1.0) for one in VF2_AXES], (0.0, 0.0, 0.0))
    block = drive(100.0, axes=axes)
    position, _ = ramp(100.0, 2000)
    assert np.abs(position - block.motor_position_mm)[-1].max() < 1e-5


def reversal(parameters: AxisParameters) -> tuple[Floats, AxisBlock]:
    """Quadrant change: a sine of 20 mm at 2 Hz on all axes. Command (n, 3) and what became of it."""
    time = np.arange(1, 1501) * 1e-3
    omega = 2.0 * np.pi
    position = 20.0 * (1.0 - np.cos(omega * time))
    velocity = 20.0 * omega * np.sin(omega * time)
    axes = Axes([parameters] * 3, (0.0, 0.0, 0.0))
    command = np.repeat(position[:, None], 3, axis=1)
    return command, axes.step(command, np.repeat(velocity[:, None], 3, axis=1), np.zeros((1500, 3)), COLD)


def test_a_reversal_pushes_the_axis_for_milliseconds_by_micrometres() -> None:
    smooth = replace(VF2_AXES[0], coulomb_friction_n=0.0, viscous_friction_n_s_per_mm=0.0)
    _, without = reversal(smooth)
    _, block = reversal(VF2_AXES[0])
    spike_um = np.abs(block.motor_position_mm - without.motor_position_mm)[400:700, 0] * 1e3
    assert 2.0 < spike_um.max() < 8.0
    assert 5 <= np.count_nonzero(spike_um > 0.5 * spike_um.max()) <= 20


def test_backlash_is_lost_motion_between_motor_and_scale() -> None:
    worn = replace(VF2_AXES[0], backlash_mm=0.03, pitch_error_um_per_m=0.0, pitch_wave_um=0.0)
    _, block = reversal(worn)
    gap = (block.motor_position_mm - block.position_mm)[:, 0]
    assert gap.max() == pytest.approx(0.015, abs=1e-6)
    assert gap.min() == pytest.approx(-0.015, abs=1e-6)


def test_a_warm_screw_carries_the_table_away_from_its_fixed_end() -> None:
    screw = Columns([VF2_AXES[0]])
    position = screw.fixed_end_mm - 500.0
    assert growth_mm(screw, position, np.array([[30.0]]))[0, 0] == pytest.approx(-11.5e-6 * 10.0 * 500.0)
    assert growth_mm(screw, position, screw.reference_temperature_c)[0, 0] == 0.0


def test_pitch_error_grows_by_its_slope_over_the_travel() -> None:
    one = replace(VF2_AXES[0], pitch_wave_um=0.0)
    error = pitch_error_mm(Columns([one]), np.array([[-1000.0, 0.0]]))
    assert error[0, 1] - error[0, 0] == pytest.approx(one.pitch_error_um_per_m * 1e-3)


def test_torque_is_friction_when_cruising_and_the_force_of_the_cut_adds_to_it() -> None:
    one = VF2_AXES[0]
    air, cut = drive(50.0), drive(50.0, force_n=-1000.0)
    per_newton = one.lead_mm * 1e-3 / (2.0 * np.pi) / one.screw_efficiency
    friction = one.coulomb_friction_n + one.viscous_friction_n_s_per_mm * 50.0
    assert air.torque_nm[-1, 0] == pytest.approx(friction * per_newton, rel=0.01)
    assert cut.torque_nm[-1, 0] - air.torque_nm[-1, 0] == pytest.approx(1000.0 * per_newton, rel=0.01)
    assert air.mean_load_percent[0] == pytest.approx(100.0 * np.abs(air.torque_nm[:, 0]).mean() / one.rated_torque_nm)


def test_friction_is_higher_at_creeping_speed_than_just_above() -> None:
    assert drive(0.5, n=4000).torque_nm[-1, 0] > 1.1 * drive(20.0).torque_nm[-1, 0]


def test_a_braking_axis_feeds_power_back() -> None:
    result = run([feed(1, 300, 0, f=24000.0)])
    n = len(result.position_mm)
    block = Axes(VF2_AXES, (0.0, 0.0, 0.0)).step(result.position_mm, result.velocity_mm_s, np.zeros((n, 3)), COLD)
    assert block.power_w[0].max() > 500.0
    assert block.power_w[0].min() < -50.0
    # Over the whole move friction and windings take more than braking returns.
    assert block.power_w[0].mean() > VF2_AXES[0].standby_power_w


def test_the_vertical_axis_carries_its_weight_standing() -> None:
    block = Axes(VF2_AXES, (0.0, 0.0, 0.0)).step(np.zeros((500, 3)), np.zeros((500, 3)), np.zeros((500, 3)), COLD)
    assert block.torque_nm[-1, 2] == pytest.approx(650.0 * 0.012 / (2.0 * np.pi) / 0.9, rel=0.15)
    assert abs(block.torque_nm[-1, 0]) < 1e-6


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, 90), min_size=1, max_size=10), st.integers(0, 1000))
def test_the_same_command_gives_the_same_bytes_however_time_is_cut(cuts: list[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    velocity = np.cumsum(rng.normal(0.0, 2.0, (400, 3)), axis=0)
    position = np.cumsum(velocity, axis=0) * 1e-3
    force = rng.normal(0.0, 300.0, (400, 3))
    whole = Axes(VF2_AXES, (0.0, 0.0, 0.0)).step(position, velocity, force, COLD)
    axes, begin, pieces, turn = Axes(VF2_AXES, (0.0, 0.0, 0.0)), 0, [], 0
    while begin < 400:
        end = min(400, begin + cuts[turn % len(cuts)])
        pieces.append(axes.step(position[begin:end], velocity[begin:end], force[begin:end], COLD))
        begin, turn = end, turn + 1
    for name in ("position_mm", "motor_position_mm", "velocity_mm_s", "torque_nm"):
        assert np.vstack([getattr(piece, name) for piece in pieces]).tobytes() == getattr(whole, name).tobytes()
    assert np.hstack([piece.power_w for piece in pieces]).tobytes() == whole.power_w.tobytes()


def test_an_axis_of_its_own_moves_as_it_does_beside_equal_ones() -> None:
    slower = replace(VF2_AXES[1], kv_per_s=60.0, disturbance_decay_s=0.011)
    mixed = drive(40.0, axes=Axes([VF2_AXES[0], slower, VF2_AXES[2]], (0.0, 0.0, 0.0)))
    assert mixed.position_mm[:, 0].tobytes() == drive(40.0).position_mm[:, 0].tobytes()
    alone = drive(40.0, axes=Axes([slower] * 3, (0.0, 0.0, 0.0)))
    assert mixed.position_mm[:, 1].tobytes() == alone.position_mm[:, 1].tobytes()


def test_the_compiled_filter_is_found_and_is_the_public_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The installed scipy has it where it is looked for; where another has not, the public one gives the same bytes."""
    assert filters._linear_filter is not None
    b, a = (0.0, 0.3), (1.0, -1.6, 0.64)
    x, zi = np.linspace(-1.0, 2.0, 24).reshape(3, 8), np.array([[0.1, 0.0], [0.2, -0.1], [0.3, 0.4]])
    found = filters.lfilter(b, a, x, zi)
    monkeypatch.setattr(filters, "_linear_filter", None)
    for ours, public in zip(found, filters.lfilter(b, a, x, zi), strict=True):
        assert ours.tobytes() == public.tobytes()
