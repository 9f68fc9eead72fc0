"""The three feed drives: what the axes really do when motion commands something.

    command --position loop--> motor encoder --backlash, pitch error, growth--> scale
                    ^                |
     friction, cutting force         +--> torque = inertia + friction + load --> electrical power

Following error. The position loop with gain Kv and velocity feed-forward k_ff obeys e' = v (1 - k_ff) - Kv e, which is solved
exactly for each sample; its steady value is v (1 - k_ff) / Kv.

Disturbance. The velocity loop's integrator carries a steady force without error, a sudden one pushes the axis first:
deviation = (1 / k) s T / ((s T + 1)(s Tr + 1)) force. A reversal turns friction round and so makes the quadrant spike.

Friction. Coulomb with Stribeck's rise at creeping speed, and viscous. Its direction turns over a short way (presliding) and
not at once: sigma in -1..1 is where the axis is within that way, which also keeps the stress of a standing axis.

Backlash and presliding are both the same thing, play: an output that is carried along by its input with a slack w,

    out(k) = max(in(k) - w / 2, min(in(k) + w / 2, out(k - 1)))

"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, pi

import numpy as np

from opcua_server.machine.motion.block import Floats
from opcua_server.machine.motion.filters import lfilter
from opcua_server.machine.parameters import SAMPLE_S, AxisParameters


@dataclass(slots=True)
class AxisBlock:
    """What three axes did in ``n`` samples of 1 ms; every array is (n, 3), axes in the order X, Y, Z."""

    position_mm: Floats
    """At the scale, machine coordinates: where the table or head really is."""
    motor_position_mm: Floats
    """At the motor encoder: before backlash, pitch error and screw growth."""
    velocity_mm_s: Floats
    """At the motor encoder, mean over the sample."""
    following_error_mm: Floats
    """Commanded minus actual position at the scale."""
    torque_nm: Floats
    """Of the motor, signed."""
    power_w: Floats
    """Electrical power of the drive; negative when it brakes and feeds back."""
    load_percent: Floats
    """Torque of the rated torque, unsigned."""

    def part(self, rows: slice, columns: slice = slice(None)) -> AxisBlock:
        """Some of the samples, and of the axes where there are more than three."""
        return AxisBlock(
            self.position_mm[rows, columns],
            self.motor_position_mm[rows, columns],
            self.velocity_mm_s[rows, columns],
            self.following_error_mm[rows, columns],
            self.torque_nm[rows, columns],
            self.power_w[rows, columns],
            self.load_percent[rows, columns],
        )


class Axes:
    """Servo lag, friction, backlash, pitch error and growth of three axes, sample by sample, state carried between blocks.

    ``parameters`` may be replaced between blocks: that is how faults act. ``state: (STATE_ROWS, axes)`` may be a window of the
    columns of many machines, which ``follow`` then moves all at once.
    """

    def __init__(self, parameters: Sequence[AxisParameters], position_mm: Sequence[float]) -> None:
        self.parameters = tuple(parameters)
        self.state: Floats = np.zeros((STATE_ROWS, len(position_mm)))
        self.state[_LOAD] = -self.columns.weight
        self.state[_WANTED : _SLIDE + 1] = position_mm

    @property
    def parameters(self) -> tuple[AxisParameters, ...]:
        return self._parameters

    @parameters.setter
    def parameters(self, parameters: Sequence[AxisParameters]) -> None:
        self._parameters = tuple(parameters)
        self.columns = Columns(self._parameters)

    def step(
        self, command_mm: Floats, command_velocity_mm_s: Floats, force_n: Floats, screw_temperature_c: Sequence[float]
    ) -> AxisBlock:
        """The next ``n`` samples. See ``follow``; ``screw_temperature_c``: one value per axis."""
        screws = np.asarray(screw_temperature_c)
        return follow(self.columns, self.state, command_mm, command_velocity_mm_s, force_n, screws)


_LAG, _PUSH, _LOAD, _WANTED, _MOTOR, _TABLE, _SLIDE, _VELOCITY = 0, 1, 3, 4, 5, 6, 7, 8
STATE_ROWS = 9
"""State of the two filters (the washout has two rows) and the last sample of each: load, what the loop wants, motor, table, where
friction would have it rest, velocity of the motor."""


def follow(
    p: Columns, state: Floats, command_mm: Floats, command_velocity_mm_s: Floats, force_n: Floats, screws_c: Floats
) -> AxisBlock:
    """What axes side by side do in the next ``n`` samples; ``state`` moves on.

    ``command_mm``, ``command_velocity_mm_s`` and ``force_n`` (cutting force on the axis, positive when it pushes towards plus)
    are (n, axes), ``screws_c`` (axes,). The result depends neither on how time is cut into blocks nor on what stands in the
    other columns.
    """
    error, state[_LAG : _LAG + 1] = _filtered(p.lag, command_velocity_mm_s, state[_LAG : _LAG + 1])
    undisturbed: Floats = command_mm - error
    # Friction follows from the motion that the loop wants; its push on the axis is too small to change its own direction.
    way = _steps(undisturbed, state[_WANTED])
    slide = _carried(undisturbed, way, p.presliding2, state[_SLIDE])
    wanted = way * (1.0 / SAMPLE_S)
    creep = wanted * p.per_stribeck
    rise = np.exp(-creep * creep) * p.static_rise + p.coulomb
    load = force_n - rise * ((undisturbed - slide) * p.per_presliding) - p.viscous * wanted - p.weight
    push, state[_PUSH : _PUSH + 2] = _filtered(p.washout, _steps(load, state[_LOAD]), state[_PUSH : _PUSH + 2])
    motor: Floats = undisturbed + push * p.per_stiffness
    way = _steps(motor, state[_MOTOR])
    velocity = way * (1.0 / SAMPLE_S)
    acceleration = _steps(velocity, state[_VELOCITY]) * (1.0 / SAMPLE_S)
    table = _carried(motor, way, p.backlash, state[_TABLE])
    if len(motor):
        for row, values in (
            (_WANTED, undisturbed), (_SLIDE, slide), (_LOAD, load), (_MOTOR, motor), (_VELOCITY, velocity), (_TABLE, table),
        ):  # fmt: skip
            state[row] = values[-1]
    position = table + pitch_error_mm(p, table) + growth_mm(p, table, screws_c)
    torque, power = _drive(p, velocity, acceleration, load)
    return AxisBlock(
        position_mm=position,
        motor_position_mm=motor,
        velocity_mm_s=velocity,
        following_error_mm=command_mm - position,
        torque_nm=torque,
        power_w=power,
        load_percent=np.abs(torque) * p.percent_per_nm,
    )


class Columns:
    """Parameters of the axes side by side, one array (axes,) each, with what can be worked out once."""

    def __init__(self, parameters: Sequence[AxisParameters]) -> None:
        def column(name: str) -> Floats:
            return np.array([getattr(one, name) for one in parameters], dtype=np.float64)

        self.lag = [_lag(one) for one in parameters]
        self.washout = [_washout(one) for one in parameters]
        self.presliding2 = 2.0 * column("presliding_mm")
        self.per_presliding = 1.0 / column("presliding_mm")
        self.coulomb = column("coulomb_friction_n")
        self.static_rise = (column("static_friction_ratio") - 1.0) * self.coulomb
        self.per_stribeck = 1.0 / column("stribeck_velocity_mm_s")
        self.viscous = column("viscous_friction_n_s_per_mm")
        self.weight = column("weight_n")
        self.per_stiffness = 1.0 / column("servo_stiffness_n_per_mm")
        self.backlash = column("backlash_mm")
        self.pitch_slope = column("pitch_error_um_per_m") * 1e-6
        self.pitch_wave_mm = column("pitch_wave_um") * 1e-3
        self.growth_per_k = column("growth_um_per_m_k") * 1e-6
        self.fixed_end_mm = column("fixed_end_mm")
        self.reference_temperature_c = column("reference_temperature_c")
        self.turn_per_mm = 2.0 * pi / column("lead_mm")
        """rad of the motor per mm of the axis."""
        self.metres_per_rad = 1e-3 / self.turn_per_mm
        self.mass_1e_3 = column("moving_mass_kg") * 1e-3
        """N per mm/s2."""
        self.efficiency = column("screw_efficiency")
        self.rotor = column("rotor_inertia_kg_m2") * self.turn_per_mm
        """N m per mm/s2."""
        self.copper = column("winding_resistance_ohm") / column("torque_constant_nm_per_a") ** 2
        """W per (N m)^2."""
        self.regeneration = column("regeneration_efficiency")
        self.standby = column("standby_power_w")
        self.percent_per_nm = 100.0 / column("rated_torque_nm")


_Filter = tuple[tuple[float, ...], tuple[float, ...]]


def _lag(p: AxisParameters) -> _Filter:
    """From commanded velocity to following error."""
    decay = exp(-p.kv_per_s * SAMPLE_S)
    return ((1.0 - p.velocity_feed_forward) / p.kv_per_s * (1.0 - decay),), (1.0, -decay)


def _washout(p: AxisParameters) -> _Filter:
    """From changes of force to force felt: each change rises within the one time and fades within the other.

    exp(-t / decay) - exp(-t / rise) for a step at t = 0, scaled to reach 1 at its highest, sampled exactly.
    """
    slow, fast = exp(-SAMPLE_S / p.disturbance_decay_s), exp(-SAMPLE_S / p.disturbance_rise_s)
    ratio = p.disturbance_rise_s / p.disturbance_decay_s
    peak = ratio ** (ratio / (1.0 - ratio)) - ratio ** (1.0 / (1.0 - ratio))
    return (0.0, (slow - fast) / peak), (1.0, -(slow + fast), slow * fast)


def _filtered(filters: Sequence[_Filter], columns: Floats, state: Floats) -> tuple[Floats, Floats]:
    """Each column (n, axes) through its filter, and the state after it; in one go where all axes have the same."""
    if all(one == filters[0] for one in filters):
        return lfilter(*filters[0], columns, state)
    out, after = np.empty_like(columns), state.copy()
    for axis, one in enumerate(filters):
        out[:, axis], after[:, axis] = lfilter(*one, columns[:, axis], state[:, axis])
    return out, after


def _steps(columns: Floats, before: Floats) -> Floats:
    """Difference of each row (n, axes) to the one before it."""
    out = np.empty_like(columns)
    if len(columns):
        np.subtract(columns[1:], columns[:-1], out=out[1:])
        np.subtract(columns[0], before, out=out[0])
    return out


def _carried(drive: Floats, steps: Floats, width: Floats, before: Floats) -> Floats:
    """Play of each column (n, axes). Where an axis does not turn round, all at once; the others by ``play``."""
    if not len(drive):
        return drive
    half = 0.5 * width
    low, high = drive - half, drive + half
    out: Floats = np.minimum(np.maximum(low, np.minimum(np.maximum(before, low[0]), high[0])), high)
    if len(drive) > 1:
        turning = (steps[1:].min(axis=0) < 0.0) & (steps[1:].max(axis=0) > 0.0)
        if turning.any():
            out[:, turning] = play(drive[:, turning], width[turning], before[turning])
    return out


def _drive(p: Columns, velocity: Floats, acceleration: Floats, load: Floats) -> tuple[Floats, Floats]:
    """(torque in N m, electrical power in W): inertia of rotor and mass, load through the screw, copper losses."""
    work = (p.mass_1e_3 * acceleration - load) * p.metres_per_rad
    # The screw's losses always cost: they add when the motor drives the mass and take away when the mass drives the motor.
    torque = np.where(work * velocity >= 0.0, work / p.efficiency, work * p.efficiency)
    torque += p.rotor * acceleration
    power = torque * velocity * p.turn_per_mm + p.copper * torque * torque
    return torque, np.where(power < 0.0, power * p.regeneration, power) + p.standby


def play(drive: Floats, width: Floats | float, before: Floats | float) -> Floats:
    """What is carried along by ``drive`` (n,) or (n, axes) with a slack of ``width``, having been at ``before``.

    Each sample clamps what was there into its own slack; two clamps in a row are one clamp again, so that the clamps from the
    first sample to each are found in log2 n rounds of doubling. Only values are picked, nothing is added up: no rounding.
    """
    half = 0.5 * np.asarray(width)
    low, high = drive - half, drive + half
    bottom, top, reach = low, high, 1
    while reach < len(drive):
        # What the samples up to ``reach`` earlier leave, clamped by those since.
        lower, upper = bottom.copy(), top.copy()
        np.minimum(np.maximum(bottom[:-reach], bottom[reach:]), top[reach:], out=lower[reach:])
        np.minimum(np.maximum(top[:-reach], bottom[reach:]), top[reach:], out=upper[reach:])
        bottom, top, reach = lower, upper, 2 * reach
    return np.minimum(np.maximum(before, bottom), top)


def pitch_error_mm(p: Columns, position_mm: Floats) -> Floats:
    """Error of the screws (n, axes): a slope, and a wave that repeats with each turn."""
    return p.pitch_slope * (position_mm - p.fixed_end_mm) + p.pitch_wave_mm * np.sin(position_mm * p.turn_per_mm)


def growth_mm(p: Columns, position_mm: Floats, screw_temperature_c: Floats) -> Floats:
    """How far the tables are carried by screws that are warmer than when they were measured (n, axes)."""
    return (p.growth_per_k * (screw_temperature_c - p.reference_temperature_c)) * (position_mm - p.fixed_end_mm)
