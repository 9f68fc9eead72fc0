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

from opcua_server.machine.motion.block import Floats, MotionBlock
from opcua_server.machine.motion.columns import Columns, filtered, shared, steps
from opcua_server.machine.motion.play import carried
from opcua_server.machine.motion.wish import ROWS, SLIDE, WANTED, wish, wishes
from opcua_server.machine.parameters import SAMPLE_S, AxisParameters


@dataclass(slots=True)
class AxisBlock:
    """What axes did in ``n`` samples of 1 ms, in the order X, Y, Z (and X, Y, Z of the next machine).

    What encoders and scales say of it is worked out for the samples that somebody asks for.
    """

    columns: Columns
    followed: Followed
    """In memory that lasts."""
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
        values = as_read(self.columns, self.followed.part(samples, self.axes), np.array(self.screws_c)[:, None])
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
        self.state[[WANTED, SLIDE, _MOTOR, _TABLE]] = position_mm

    @property
    def parameters(self) -> tuple[AxisParameters, ...]:
        return self._parameters

    @parameters.setter
    def parameters(self, parameters: Sequence[AxisParameters]) -> None:
        self._parameters = tuple(parameters)
        self.columns = shared(self._parameters)

    def step(
        self, command_mm: Floats, command_velocity_mm_s: Floats, force_n: Floats, screw_temperature_c: Sequence[float]
    ) -> AxisBlock:
        """The next ``n`` samples, every array (n, axes); ``screw_temperature_c``: one value per axis. See ``follow``."""
        followed = self.follow(command_mm.T, command_velocity_mm_s.T, force_n.T).copy()
        watts = sums(self.columns, followed, 1)[0][:, 0].tolist()
        load_percent = mean_load_percent(self.columns, followed, 1)[:, 0].tolist()
        return AxisBlock(self.columns, followed, watts, load_percent, screws_c=screw_temperature_c)

    def follow(self, command_mm: Floats, command_velocity_mm_s: Floats, force_n: Floats) -> Followed:
        """As ``step``, with arrays (axes, n), and without what the scales say."""
        undisturbed, resist = wish(self.columns, self.state[:ROWS], command_mm, command_velocity_mm_s)
        return follow(self.columns, self.state, command_mm, undisturbed, resist, force_n)


_PUSH, _LOAD, _MOTOR, _TABLE, _VELOCITY = ROWS, ROWS + 2, ROWS + 3, ROWS + 4, ROWS + 5
STATE_ROWS = ROWS + 6
"""State of what the loops want (``wish``); of the filter of the washout, which has two rows; and the last sample of each: load,
motor, table, velocity of the motor."""


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

    def fields(self, samples: slice) -> tuple[Floats, ...]:
        """Of some of the samples, in the order of the fields."""
        part = self.part(samples)
        return part.command_mm, part.motor_mm, part.table_mm, part.velocity_mm_s, part.torque_nm, part.power_w

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


def follow(p: Columns, state: Floats, command_mm: Floats, undisturbed: Floats, resist: Floats, force_n: Floats) -> Followed:
    """What axes side by side do in the next ``n`` samples; ``state`` moves on.

    ``command_mm``, what ``wish`` makes of it, and ``force_n`` (cutting force on the axis, positive when it pushes towards plus) are
    (axes, n): samples lie side by side in memory, and a parameter is one number for a whole row of them. The result depends
    neither on how time is cut into blocks nor on what stands in the other rows. It lies in memory of ``p`` and lasts until the
    next call.
    """
    new = p.room.begin(*command_mm.shape)
    load = np.subtract(force_n, resist, out=new())
    way = new()
    push = filtered(p.washout, steps(load, state[_LOAD], way), state[_PUSH : _PUSH + 2], new)
    push *= p.per_stiffness
    motor = np.add(undisturbed, push, out=push)
    way = steps(motor, state[_MOTOR], way)
    table = carried(motor, way, p.backlash, state[_TABLE], new)
    velocity = np.multiply(way, 1.0 / SAMPLE_S, out=way)
    acceleration = steps(velocity, state[_VELOCITY], new())
    acceleration *= 1.0 / SAMPLE_S
    if motor.shape[1]:
        for row, values in ((_LOAD, load), (_MOTOR, motor), (_VELOCITY, velocity), (_TABLE, table)):
            state[row] = values[:, -1]
    torque, power = _drive(p, velocity, acceleration, load, new)
    return Followed(command_mm, motor, table, velocity, torque, power)


def drive(p: Columns, state: Floats, motions: Sequence[Sequence[MotionBlock]], force_n: Floats) -> Followed:
    """As ``follow``, of machines whose axes are as they were built, each in its next blocks, the same number of them.

    ``force_n``: in those blocks of each in turn (blocks, axes, ticks).
    """
    machines = len(motions)
    wanted = [one for own in wishes(p, state[:ROWS], motions) for one in own]
    rows = [one.rows[:3] for own in motions for one in own]
    new = p.told.begin(p.axes, len(rows) // machines * rows[0].shape[1])
    command = side_by_side(rows, machines, new())
    undisturbed = side_by_side([one.undisturbed for one in wanted], machines, new())
    resist = side_by_side([one.resist for one in wanted], machines, new())
    return follow(p, state, command, undisturbed, resist, at_samples(force_n, machines, new()))


def side_by_side(rows: Sequence[Floats], machines: int, out: Floats) -> Floats:
    """Rows of some blocks of each machine in turn, (axes, n) each, as ``out``: (axes of all machines, n of all blocks).

    One block is taken as it is, and is to be read only.
    """
    if len(rows) == 1:
        return rows[0]
    axes, blocks = len(rows[0]), len(rows) // machines
    if blocks == 1:
        np.concatenate(rows, out=out)
        return out
    for k in range(machines):
        np.concatenate(rows[k * blocks : (k + 1) * blocks], axis=1, out=out[k * axes : (k + 1) * axes])
    return out


def at_samples(force_n: Floats, machines: int, out: Floats) -> Floats:
    """Forces in some blocks of each machine in turn (blocks, axes, ticks), as ``out``: (axes of all machines, n of all blocks), in
    which each sample has the force of its tick."""
    _, axes, ticks = force_n.shape
    each = force_n.reshape(machines, -1, axes, ticks).swapaxes(1, 2)
    out.reshape(*each.shape, -1)[:] = each[..., None]
    return out


COMMAND, POSITION, MOTOR, VELOCITY, LAG, TORQUE = range(6)


def as_read(p: Columns, followed: Followed, screws_c: Floats) -> Floats:
    """What encoders, scales and drives say of it (6, axes, n); ``screws_c``: (axes, n), or (axes, 1) for all samples.

    In this order: commanded position; position at the scale, in machine coordinates, where the table or head really is; position
    at the motor encoder, before backlash, pitch error and screw growth, all mm; velocity there, mean over the sample, mm/s;
    following error, commanded minus actual position at the scale, mm; torque of the motor, signed, N m.
    """
    table = followed.table_mm
    values = np.empty((6, *table.shape))
    command, position, motor, velocity, lag, torque = values
    np.add(table, pitch_error_mm(p, table), out=position)
    position += growth_mm(p, table, screws_c)
    command[:] = followed.command_mm
    np.subtract(command, position, out=lag)
    motor[:], velocity[:], torque[:] = followed.motor_mm, followed.velocity_mm_s, followed.torque_nm
    return values


def sums(p: Columns, followed: Followed, blocks: int) -> tuple[Floats, Floats]:
    """Over each of so many blocks of samples, of each axis (axes, blocks): mean power of the drive in W, and way per ms in mm/s,
    summed up."""
    axes, samples = followed.power_w.shape
    shape = (axes, blocks, -1)
    watts = followed.power_w.reshape(shape).sum(axis=2)
    watts *= blocks / max(samples, 1)
    speed = np.abs(followed.velocity_mm_s, out=p.summed.begin(axes, samples)())
    return watts, speed.reshape(shape).sum(axis=2)


def mean_load_percent(p: Columns, followed: Followed, blocks: int) -> Floats:
    """Torque of the motors, unsigned, of their rated torque: means of each of so many blocks of samples (axes, blocks)."""
    axes, samples = followed.torque_nm.shape
    torque = np.abs(followed.torque_nm, out=p.summed.begin(axes, samples)())
    load: Floats = torque.reshape(axes, blocks, -1).sum(axis=2)
    load *= p.percent_per_nm
    load /= max(samples // blocks, 1)
    return load


def _drive(p: Columns, velocity: Floats, acceleration: Floats, load: Floats, new: Callable[[], Floats]) -> tuple[Floats, Floats]:
    """(torque in N m, electrical power in W): inertia of rotor and mass, load through the screw, copper losses."""
    work = np.multiply(acceleration, p.mass_1e_3, out=new())
    work -= load
    work *= p.metres_per_rad
    power = np.multiply(work, velocity, out=new())
    # The screw's losses always cost: they add when the motor drives the mass and take away when the mass drives the motor.
    losses = new()
    losses[:] = p.efficiency
    np.copyto(losses, p.per_efficiency, where=power >= 0.0)
    work *= losses
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
    """How far the tables are carried by screws that are warmer than when they were measured (axes, n); temperatures as well, or
    (axes, 1)."""
    return (p.growth_per_k * (screw_temperature_c - p.reference_temperature_c)) * (position_mm - p.fixed_end_mm)
