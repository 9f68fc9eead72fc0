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

Backlash and presliding are both the same thing, play (``play``): an output that is carried along by its input with a slack.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from opcua_server.machine.motion.block import Floats
from opcua_server.machine.motion.columns import Columns, Filter
from opcua_server.machine.motion.filters import lfilter
from opcua_server.machine.motion.play import carried
from opcua_server.machine.parameters import SAMPLE_S, AxisParameters


@dataclass(slots=True)
class AxisBlock:
    """What axes did in ``n`` samples of 1 ms, in the order X, Y, Z (and X, Y, Z of the next machine).

    What encoders and scales say of it is worked out for the samples that somebody asks for.
    """

    columns: Columns
    followed: Followed
    """As long as its memory lasts: until the next block."""
    mean_power_w: list[float]
    """Electrical power of the drives, of each axis; negative when they brake and feed back."""
    mean_load_percent: list[float]
    """Torque of the rated torque, unsigned."""
    axes: slice = field(default_factory=lambda: slice(None))
    """Which of those that were followed side by side."""
    screws_c: Sequence[float] = ()
    """Temperatures of the screws, which carry the tables along as they grow."""
    lost_mm: Sequence[float] | None = None
    """How far scales are off that lost counts."""

    def at(self, sample: int) -> Floats:
        """At one sample (6, axes); see ``as_read``."""
        values: Floats = self._values(slice(sample, sample + 1 or None))[:, :, 0]
        return values

    def _values(self, samples: slice) -> Floats:
        values = as_read(self.columns, self.followed.part(samples, self.axes), np.array(self.screws_c))
        if self.lost_mm is not None:
            values[POSITION] += np.array(self.lost_mm)[:, None]
            values[LAG] -= np.array(self.lost_mm)[:, None]
        return values

    @property
    def position_mm(self) -> Floats:
        """(n, axes), as the others."""
        return np.transpose(self._values(slice(None))[POSITION])

    @property
    def motor_position_mm(self) -> Floats:
        return np.transpose(self.followed.motor_mm[self.axes])

    @property
    def velocity_mm_s(self) -> Floats:
        return np.transpose(self.followed.velocity_mm_s[self.axes])

    @property
    def torque_nm(self) -> Floats:
        return np.transpose(self.followed.torque_nm[self.axes])

    @property
    def power_w(self) -> Floats:
        """(axes, n)."""
        return self.followed.power_w[self.axes]


class Axes:
    """Servo lag, friction, backlash, pitch error and growth of three axes, sample by sample, state carried between blocks.

    ``parameters`` may be replaced between blocks: that is how faults act. ``state: (STATE_ROWS, axes)`` may be a window of the
    columns of many machines, which ``follow`` then moves all at once.
    """

    def __init__(self, parameters: Sequence[AxisParameters], position_mm: Sequence[float]) -> None:
        self.parameters = tuple(parameters)
        self.state: Floats = np.zeros((STATE_ROWS, len(position_mm)))
        self.state[_LOAD] = -self.columns.weight[:, 0]
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
        """The next ``n`` samples, every array (n, axes); ``screw_temperature_c``: one value per axis. See ``follow``."""
        followed = self.follow(command_mm.T, command_velocity_mm_s.T, force_n.T).copy()
        watts = sums(followed, 1)[0][:, 0].tolist()
        load_percent = mean_load_percent(self.columns, followed)
        return AxisBlock(self.columns, followed, watts, load_percent, screws_c=screw_temperature_c)

    def follow(self, command_mm: Floats, command_velocity_mm_s: Floats, force_n: Floats) -> Followed:
        """As ``step``, with arrays (axes, n), and without what the scales say."""
        return follow(self.columns, self.state, command_mm, command_velocity_mm_s, force_n)


_LAG, _PUSH, _LOAD, _WANTED, _MOTOR, _TABLE, _SLIDE, _VELOCITY = 0, 1, 3, 4, 5, 6, 7, 8
STATE_ROWS = 9
"""State of the two filters (the washout has two rows) and the last sample of each: load, what the loop wants, motor, table, where
friction would have it rest, velocity of the motor."""


@dataclass(slots=True)
class Followed:
    """What axes side by side did, sample by sample: every array is (axes, n)."""

    command_mm: Floats
    motor_mm: Floats
    table_mm: Floats
    """What the motor carries along with its play, before pitch error and growth."""
    velocity_mm_s: Floats
    torque_nm: Floats
    power_w: Floats

    def part(self, samples: slice, axes: slice = slice(None)) -> Followed:
        """Some of the samples, and of the axes where there are more than three."""
        return Followed(
            self.command_mm[axes, samples],
            self.motor_mm[axes, samples],
            self.table_mm[axes, samples],
            self.velocity_mm_s[axes, samples],
            self.torque_nm[axes, samples],
            self.power_w[axes, samples],
        )

    def copy(self) -> Followed:
        """One that lasts."""
        return Followed(
            self.command_mm.copy(),
            self.motor_mm.copy(),
            self.table_mm.copy(),
            self.velocity_mm_s.copy(),
            self.torque_nm.copy(),
            self.power_w.copy(),
        )


def follow(p: Columns, state: Floats, command_mm: Floats, command_velocity_mm_s: Floats, force_n: Floats) -> Followed:
    """What axes side by side do in the next ``n`` samples; ``state`` moves on.

    ``command_mm``, ``command_velocity_mm_s`` and ``force_n`` (cutting force on the axis, positive when it pushes towards plus)
    are (axes, n): samples lie side by side in memory, and a parameter is one number for a whole row of them. The result depends
    neither on how time is cut into blocks nor on what stands in the other rows. It lies in memory of ``p`` and lasts until the
    next call.
    """
    new = p.room.begin(*command_mm.shape)
    error = _filtered(p.lag, command_velocity_mm_s, state[_LAG : _LAG + 1])
    undisturbed = np.subtract(command_mm, error, out=error)
    # Friction follows from the motion that the loop wants; its push on the axis is too small to change its own direction.
    way = _steps(undisturbed, state[_WANTED], new())
    slide = carried(undisturbed, way, p.presliding2, state[_SLIDE], new)
    wanted = np.multiply(way, 1.0 / SAMPLE_S, out=way)
    rise = np.multiply(wanted, p.per_stribeck, out=new())
    np.multiply(rise, rise, out=rise)
    np.negative(rise, out=rise)
    np.exp(rise, out=rise)
    rise *= p.static_rise
    rise += p.coulomb
    bent = np.subtract(undisturbed, slide, out=new())
    bent *= p.per_presliding
    rise *= bent
    load = np.subtract(force_n, rise, out=rise)
    wanted *= p.viscous
    load -= wanted
    load -= p.weight
    push = _filtered(p.washout, _steps(load, state[_LOAD], bent), state[_PUSH : _PUSH + 2])
    push *= p.per_stiffness
    motor = np.add(undisturbed, push, out=push)
    way = _steps(motor, state[_MOTOR], way)
    table = carried(motor, way, p.backlash, state[_TABLE], new)
    velocity = np.multiply(way, 1.0 / SAMPLE_S, out=way)
    acceleration = _steps(velocity, state[_VELOCITY], new())
    acceleration *= 1.0 / SAMPLE_S
    if motor.shape[1]:
        for row, values in (
            (_WANTED, undisturbed), (_SLIDE, slide), (_LOAD, load), (_MOTOR, motor), (_VELOCITY, velocity), (_TABLE, table),
        ):  # fmt: skip
            state[row] = values[:, -1]
    torque, power = _drive(p, velocity, acceleration, load, new)
    return Followed(command_mm, motor, table, velocity, torque, power)


COMMAND, POSITION, MOTOR, VELOCITY, LAG, TORQUE = range(6)


def as_read(p: Columns, followed: Followed, screws_c: Floats) -> Floats:
    """What encoders, scales and drives say of it (6, axes, n); ``screws_c``: (axes,).

    In this order: commanded position; position at the scale, in machine coordinates, where the table or head really is; position
    at the motor encoder, before backlash, pitch error and screw growth, all mm; velocity there, mean over the sample, mm/s;
    following error, commanded minus actual position at the scale, mm; torque of the motor, signed, N m.
    """
    table = followed.table_mm
    values = np.empty((6, *table.shape))
    command, position, motor, velocity, lag, torque = values
    np.add(table, pitch_error_mm(p, table), out=position)
    position += growth_mm(p, table, screws_c[:, None])
    command[:] = followed.command_mm
    np.subtract(command, position, out=lag)
    motor[:], velocity[:], torque[:] = followed.motor_mm, followed.velocity_mm_s, followed.torque_nm
    return values


def sums(followed: Followed, blocks: int) -> tuple[Floats, Floats]:
    """Over each of so many blocks of samples, of each axis (axes, blocks): mean power of the drive in W, and way per ms in mm/s,
    summed up."""
    axes, samples = followed.power_w.shape
    shape = (axes, blocks, -1)
    watts = followed.power_w.reshape(shape).sum(axis=2)
    watts *= blocks / max(samples, 1)
    return watts, np.abs(followed.velocity_mm_s).reshape(shape).sum(axis=2)


def mean_load_percent(p: Columns, followed: Followed) -> list[float]:
    """Torque of the motors over all samples, unsigned, of their rated torque."""
    load = np.abs(followed.torque_nm).sum(axis=1)
    load *= p.percent_per_nm[:, 0]
    load /= max(followed.torque_nm.shape[1], 1)
    shares: list[float] = load.tolist()
    return shares


def _filtered(filters: Sequence[tuple[Filter, list[int]]], rows: Floats, state: Floats) -> Floats:
    """Each row (axes, n) through its filter, whose state (order, axes) moves on; in one go where all axes have the same."""
    if len(filters) == 1:
        out, after = lfilter(*filters[0][0], rows, state.T)
        state[:] = after.T
        return out
    out = np.empty_like(rows)
    for one, axes in filters:
        out[axes], after = lfilter(*one, rows[axes], state[:, axes].T)
        state[:, axes] = after.T
    return out


def _steps(rows: Floats, before: Floats, out: Floats) -> Floats:
    """Difference of each sample of the rows (axes, n) to the one before it."""
    if rows.shape[1]:
        np.subtract(rows[:, 1:], rows[:, :-1], out=out[:, 1:])
        np.subtract(rows[:, 0], before, out=out[:, 0])
    return out


def _drive(p: Columns, velocity: Floats, acceleration: Floats, load: Floats, new: Callable[[], Floats]) -> tuple[Floats, Floats]:
    """(torque in N m, electrical power in W): inertia of rotor and mass, load through the screw, copper losses."""
    work = np.multiply(acceleration, p.mass_1e_3, out=new())
    work -= load
    work *= p.metres_per_rad
    power = np.multiply(work, velocity, out=new())
    # The screw's losses always cost: they add when the motor drives the mass and take away when the mass drives the motor.
    work *= np.where(power >= 0.0, p.per_efficiency, p.efficiency)
    acceleration *= p.rotor
    torque = np.add(work, acceleration, out=work)
    np.multiply(torque, velocity, out=power)
    power *= p.turn_per_mm
    copper = np.multiply(torque, torque, out=acceleration)
    copper *= p.copper
    power += copper
    # What is fed back loses as well.
    lost = np.minimum(power, 0.0, out=copper)
    lost *= p.regeneration_loss
    power -= lost
    power += p.standby
    return torque, power


def pitch_error_mm(p: Columns, position_mm: Floats) -> Floats:
    """Error of the screws (axes, n): a slope, and a wave that repeats with each turn."""
    return p.pitch_slope * (position_mm - p.fixed_end_mm) + p.pitch_wave_mm * np.sin(position_mm * p.turn_per_mm)


def growth_mm(p: Columns, position_mm: Floats, screw_temperature_c: Floats) -> Floats:
    """How far the tables are carried by screws that are warmer than when they were measured (axes, n); temperatures (axes, 1)."""
    return (p.growth_per_k * (screw_temperature_c - p.reference_temperature_c)) * (position_mm - p.fixed_end_mm)
