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
from scipy.signal import lfilter

from opcua_server.machine.motion.block import Floats
from opcua_server.machine.parameters import SAMPLE_S, AxisParameters


@dataclass(frozen=True, slots=True)
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


class Axes:
    """Servo lag, friction, backlash, pitch error and growth of three axes, sample by sample, state carried between blocks.

    ``parameters`` may be replaced between blocks: that is how faults act.
    """

    def __init__(self, parameters: Sequence[AxisParameters], position_mm: Sequence[float]) -> None:
        self._drives = [Drive(one, position) for one, position in zip(parameters, position_mm, strict=True)]

    @property
    def parameters(self) -> tuple[AxisParameters, ...]:
        return tuple(drive.parameters for drive in self._drives)

    @parameters.setter
    def parameters(self, parameters: Sequence[AxisParameters]) -> None:
        for drive, one in zip(self._drives, parameters, strict=True):
            drive.parameters = one

    def step(
        self, command_mm: Floats, command_velocity_mm_s: Floats, force_n: Floats, screw_temperature_c: Sequence[float]
    ) -> AxisBlock:
        """The next ``n`` samples.

        ``command_mm``, ``command_velocity_mm_s`` and ``force_n`` (cutting force on the axis, positive when it pushes towards
        plus) are (n, 3); ``screw_temperature_c`` one value per axis. The result does not depend on how time is cut into blocks.
        """
        shape = (len(command_mm), len(self._drives))
        outputs = [np.empty(shape) for _ in range(6)]
        for axis, drive in enumerate(self._drives):
            columns = drive.step(command_mm[:, axis], command_velocity_mm_s[:, axis], force_n[:, axis], screw_temperature_c[axis])
            for output, column in zip(outputs, columns, strict=True):
                output[:, axis] = column
        position, motor, velocity, torque, power, load = outputs
        return AxisBlock(
            position_mm=position,
            motor_position_mm=motor,
            velocity_mm_s=velocity,
            following_error_mm=command_mm - position,
            torque_nm=torque,
            power_w=power,
            load_percent=load,
        )


class Drive:
    """One axis: its parameters and its state."""

    def __init__(self, parameters: AxisParameters, position_mm: float) -> None:
        self.parameters = parameters
        self._lag = np.zeros(1)
        self._push = np.zeros(2)
        self._load_n = -parameters.weight_n
        """Force on the axis at the last sample, without inertia."""
        self._wanted = self._motor = position_mm
        self._velocity = 0.0
        self._table = position_mm
        self._slide = position_mm

    def step(
        self, command_mm: Floats, command_velocity_mm_s: Floats, force_n: Floats, screw_temperature_c: float
    ) -> tuple[Floats, Floats, Floats, Floats, Floats, Floats]:
        """(scale, motor position, velocity, torque, power, load) of ``n`` samples, each (n,)."""
        p = self.parameters
        decay = exp(-p.kv_per_s * SAMPLE_S)
        gain = (1.0 - p.velocity_feed_forward) / p.kv_per_s
        error, self._lag = lfilter([gain * (1.0 - decay)], [1.0, -decay], command_velocity_mm_s, zi=self._lag)
        undisturbed: Floats = command_mm - error
        # Friction follows from the motion that the loop wants; its push on the axis is too small to change its own direction.
        slide = play(undisturbed, 2.0 * p.presliding_mm, self._slide)
        sigma = (undisturbed - slide) / p.presliding_mm
        wanted = np.diff(undisturbed, prepend=self._wanted) / SAMPLE_S
        creep = wanted / p.stribeck_velocity_mm_s
        rise = 1.0 + (p.static_friction_ratio - 1.0) * np.exp(-creep * creep)
        friction = p.coulomb_friction_n * sigma * rise + p.viscous_friction_n_s_per_mm * wanted
        load = force_n - friction - p.weight_n
        push, self._push = lfilter(*_washout(p), np.diff(load, prepend=self._load_n), zi=self._push)
        motor = undisturbed + push / p.servo_stiffness_n_per_mm
        velocity = np.diff(motor, prepend=self._motor) / SAMPLE_S
        acceleration = np.diff(velocity, prepend=self._velocity) / SAMPLE_S
        table = play(motor, p.backlash_mm, self._table)
        if len(motor):
            self._slide, self._table = float(slide[-1]), float(table[-1])
            self._wanted = float(undisturbed[-1])
            self._load_n = float(load[-1])
            self._motor, self._velocity = float(motor[-1]), float(velocity[-1])
        scale = table + pitch_error_mm(p, table) + growth_mm(p, table, screw_temperature_c)
        torque, power = _drive_power(p, velocity, acceleration, load)
        return scale, motor, velocity, torque, power, np.abs(torque) * (100.0 / p.rated_torque_nm)


def _washout(p: AxisParameters) -> tuple[list[float], list[float]]:
    """From changes of force to force felt: each change rises within the one time and fades within the other.

    exp(-t / decay) - exp(-t / rise) for a step at t = 0, scaled to reach 1 at its highest, sampled exactly.
    """
    slow, fast = exp(-SAMPLE_S / p.disturbance_decay_s), exp(-SAMPLE_S / p.disturbance_rise_s)
    ratio = p.disturbance_rise_s / p.disturbance_decay_s
    peak = ratio ** (ratio / (1.0 - ratio)) - ratio ** (1.0 / (1.0 - ratio))
    return [0.0, (slow - fast) / peak], [1.0, -(slow + fast), slow * fast]


def _drive_power(p: AxisParameters, velocity: Floats, acceleration: Floats, load: Floats) -> tuple[Floats, Floats]:
    """(torque in N m, electrical power in W): inertia of rotor and mass, load through the screw, copper losses."""
    per_mm = 2.0 * pi / p.lead_mm
    force = p.moving_mass_kg * acceleration * 1e-3 - load
    work = force * (p.lead_mm * 1e-3 / (2.0 * pi))
    # The screw's losses always cost: they add when the motor drives the mass and take away when the mass drives the motor.
    driving = work * velocity >= 0.0
    torque = np.where(driving, work / p.screw_efficiency, work * p.screw_efficiency)
    torque += p.rotor_inertia_kg_m2 * per_mm * acceleration
    current = torque / p.torque_constant_nm_per_a
    power = torque * velocity * per_mm + p.winding_resistance_ohm * current * current
    return torque, np.where(power < 0.0, power * p.regeneration_efficiency, power) + p.standby_power_w


def play(drive: Floats, width: float, before: float) -> Floats:
    """What is carried along by ``drive`` (n,) with a slack of ``width``, having been at ``before``.

    Between two reversals of the input the output is a running maximum or minimum, so that a loop over reversals is enough.
    """
    half = 0.5 * width
    low, high = drive - half, drive + half
    out = np.empty_like(drive)
    n = len(drive)
    if n == 0:
        return out
    steps = np.diff(drive)
    moving = np.flatnonzero(steps)
    turns = moving[1:][np.signbit(steps[moving[1:]]) != np.signbit(steps[moving[:-1]])]
    begin = 0
    for end in [*(turns + 1).tolist(), n]:
        part = slice(begin, end)
        if drive[end - 1] >= drive[begin]:
            # Rising: it is carried up by the lower flank; the first sample may still lie below the upper one.
            np.maximum(low[part], min(before, float(high[begin])), out=out[part])
        else:
            np.minimum(high[part], max(before, float(low[begin])), out=out[part])
        before = float(out[end - 1])
        begin = end
    return out


def pitch_error_mm(p: AxisParameters, position_mm: Floats) -> Floats:
    """Error of the screw (n,): a slope, and a wave that repeats with each turn."""
    return (p.pitch_error_um_per_m * 1e-6) * (position_mm - p.fixed_end_mm) + (p.pitch_wave_um * 1e-3) * np.sin(
        position_mm * (2.0 * pi / p.lead_mm)
    )


def growth_mm(p: AxisParameters, position_mm: Floats, screw_temperature_c: float) -> Floats:
    """How far the table is carried by a screw that is warmer than when it was measured (n,)."""
    return (p.growth_um_per_m_k * 1e-6 * (screw_temperature_c - p.reference_temperature_c)) * (position_mm - p.fixed_end_mm)
