"""Machines that go in step: the axes of a group are one set of columns and are worked out together.

    machine 1   begin --.                                   .--> end
    machine 2   begin ---+--> columns X1 Y1 Z1 X2 Y2 Z2 .. --+--> end          follow(columns, state, ...) is pure, and a column
    machine 3   begin --'                                   '--> end          does not know its neighbours: same bytes as alone

What control, path and cut of a machine do is its own; axes, sensors and the numbers of all signals are columns of all machines. A
group is as large as more columns still cost less than more calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.begun import Begun
from opcua_server.machine.machine import Machine
from opcua_server.machine.motion.axes import AxisBlock, Followed, as_read, follow, mean_load_percent, sums
from opcua_server.machine.motion.columns import Columns
from opcua_server.machine.parameters import VF2
from opcua_server.machine.process.process import SAMPLES_PER_TICK
from opcua_server.machine.process.ticks import Ticks
from opcua_server.machine.sensing import sense
from opcua_server.machine.signals import View, numbers, table

Floats = npt.NDArray[np.float64]

GROUP: Final = 64
_AXES: Final = 3


class Group:
    """Up to ``GROUP`` machines. While they are in it, each one's state of the axes is a window of the group's."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.machines = list(machines)
        self._state: Floats = np.concatenate([machine.axes.state for machine in self.machines], axis=1)
        for k, machine in enumerate(self.machines):
            machine.axes.state = self._state[:, _window(k)]
        self._columns = Columns(VF2.axes * len(self.machines))
        self._followed: Followed | None = None
        self._read: Floats = np.empty((0, 0))
        self._apart: list[int] = []
        """Of the last block: what the axes did, what the sensors say, and whose axes were worked out by themselves."""

    def step(self) -> None:
        """The next 100 ms of all."""
        self.finish([machine.begin() for machine in self.machines])

    def finish(self, begun: list[Begun]) -> None:
        """The axes of all, and what the sensors say then, of blocks that each machine has begun."""
        apart = [k for k, (machine, one) in enumerate(zip(self.machines, begun, strict=True)) if not machine.sound(one)]
        kept = [self._state[:, _window(k)].copy() for k in apart]
        self._together(begun, set(apart))
        for k, state in zip(apart, kept, strict=True):
            # Its axes are not those of a sound machine: they were only in the way.
            self._state[:, _window(k)] = state
            self.machines[k].end_alone(begun[k])
        self._apart = apart
        self._read = sense(self.machines, begun)

    def _together(self, begun: list[Begun], apart: set[int]) -> None:
        Ticks.together([one.cut.ticks for one in begun])
        self._followed = followed = follow(
            self._columns,
            self._state,
            np.concatenate([one.motion.rows[:3] for one in begun]),
            np.concatenate([one.motion.rows[3:] for one in begun]),
            np.repeat(np.concatenate([one.cut.force_n for one in begun]), SAMPLES_PER_TICK, axis=1),
        )
        watts, ways = sums(followed, 1)
        servo_w, way, load = watts[:, 0].tolist(), ways[:, 0].tolist(), mean_load_percent(self._columns, followed)
        for k, (machine, one) in enumerate(zip(self.machines, begun, strict=True)):
            if k not in apart:
                axes = _window(k)
                machine.end(one, servo_w[axes], way[axes])
                machine.look(one, AxisBlock(machine.axes.columns, followed, servo_w[axes], load[axes], axes))

    def numbers(self) -> Floats:
        """What all show at the end of the block (machines, signals), in the order of ``catalogue.NUMERIC``."""
        if self._followed is None:
            return np.array([numbers(View(machine)) for machine in self.machines])
        blocks = [machine.shown.axes for machine in self.machines]
        screws_c = np.array([temperature_c for block in blocks if block for temperature_c in block.screws_c])
        at = as_read(self._columns, self._followed.part(slice(-1, None)), screws_c).reshape(-1, len(blocks), _AXES)
        for k in self._apart:
            if (block := blocks[k]) is not None:
                at[:, k] = block.at(-1)
        return table([View(machine) for machine in self.machines], self._read, at.swapaxes(1, 2))


def groups(machines: Sequence[Machine]) -> list[Group]:
    """Machines in groups of a good size."""
    return [Group(machines[k : k + GROUP]) for k in range(0, len(machines), GROUP)]


def _window(k: int) -> slice:
    return slice(k * _AXES, (k + 1) * _AXES)
