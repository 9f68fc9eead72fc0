"""Machines that go in step: the axes of a group are one set of columns and are worked out together.

    machine 1   begin --.                                   .--> end
    machine 2   begin ---+--> columns X1 Y1 Z1 X2 Y2 Z2 .. --+--> end          follow(columns, state, ...) is pure, and a column
    machine 3   begin --'                                   '--> end          does not know its neighbours: same bytes as alone

A group is no larger than what the processor's cache takes: beyond that more columns cost as much as more calls.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.machine import Begun, Machine
from opcua_server.machine.motion.axes import as_read, follow, sums
from opcua_server.machine.motion.columns import Columns
from opcua_server.machine.parameters import VF2
from opcua_server.machine.process.process import SAMPLES_PER_TICK

Floats = npt.NDArray[np.float64]

GROUP: Final = 32
_AXES: Final = 3


class Group:
    """Up to ``GROUP`` machines. While they are in it, each one's state of the axes is a window of the group's."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.machines = list(machines)
        self._state: Floats = np.concatenate([machine.axes.state for machine in self.machines], axis=1)
        for k, machine in enumerate(self.machines):
            machine.axes.state = self._state[:, _window(k)]
        self._columns = Columns(VF2.axes * len(self.machines))

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

    def _together(self, begun: list[Begun], apart: set[int]) -> None:
        count = len(begun)
        followed = follow(
            self._columns,
            self._state,
            np.concatenate([one.motion.rows[:3] for one in begun]),
            np.concatenate([one.motion.rows[3:] for one in begun]),
            np.repeat(np.concatenate([one.force_n for one in begun]), SAMPLES_PER_TICK, axis=1),
        )
        axes = as_read(self._columns, followed, np.concatenate([machine.screws_c for machine in self.machines]))
        watts, ways = sums(followed, count, 1)
        for k, (machine, one) in enumerate(zip(self.machines, begun, strict=True)):
            if k not in apart:
                machine.end(one, axes.part(_window(k)), watts[k][0], ways[k][0])


def groups(machines: Sequence[Machine]) -> list[Group]:
    """Machines in groups of a good size."""
    return [Group(machines[k : k + GROUP]) for k in range(0, len(machines), GROUP)]


def _window(k: int) -> slice:
    return slice(k * _AXES, (k + 1) * _AXES)
