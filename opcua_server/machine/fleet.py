"""Machines that go in step: blocks of a group are columns of one set and are worked out together.

    machine 1   begin, begin, begin ... --.                                        .--> end, end, end ...
    machine 2   begin, begin, begin ... ---+--> axes: X1 Y1 Z1 X2 Y2 Z2 ..         +--> end, end, end ...
    machine 3   begin, begin, begin ... --'     sensors, numbers: 1a 1b .. 2a 2b .. '--> rows of numbers

What control, path and cut of a machine do is its own, and is done for up to a second of it in one go, while the machine and its
part are in the processor's caches; nobody can say anything to it in between. Axes, sensors and the numbers of all signals are
columns. ``follow``, ``read`` and ``table`` are pure, and a column does not know its neighbours: same bytes as block by block alone.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from struct import Struct
from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.begun import Begun
from opcua_server.machine.machine import SAMPLES, THERMAL_BLOCKS, Machine
from opcua_server.machine.motion.axes import AxisBlock, Followed, as_read, drive, mean_load_percent, side_by_side, sums
from opcua_server.machine.motion.columns import Columns
from opcua_server.machine.parameters import VF2
from opcua_server.machine.process.process import SAMPLES_PER_TICK
from opcua_server.machine.process.ticks import Ticks
from opcua_server.machine.sensing import LOOK, sense_all
from opcua_server.machine.signals import BEGUN, View, numbers, of_begun, of_ended, table
from opcua_server.machine.thermal import NODES, SCREWS

Floats = npt.NDArray[np.float64]

COLUMNS: Final = 320
"""Blocks that are worked out together: as many as more columns still cost less than more calls."""
_AXES: Final = 3
_ROW: Final = Struct(f"{LOOK + BEGUN}d")


class Group:
    """Machines that go in step. While they are in it, each one's state of the axes is a window of the group's."""

    def __init__(self, machines: Sequence[Machine]) -> None:
        self.machines = list(machines)
        self._state: Floats = np.concatenate([machine.axes.state for machine in self.machines], axis=1)
        for k, machine in enumerate(self.machines):
            machine.axes.state = self._state[:, _window(k)]

    def step(self) -> Floats:
        """The next 100 ms of all, and what all show then (machines, signals)."""
        shown: Floats = self.run(1)[0]
        return shown

    def run(self, blocks: int) -> Floats:
        """That many times the next 100 ms of all, and what all show at the end of each (blocks, machines, signals), in the order of
        ``catalogue.NUMERIC``."""
        shown, left = [], blocks
        while left:
            # Temperatures move on by what the axes did: a machine cannot go on before it is known.
            some = min(left, *(THERMAL_BLOCKS - machine.block % THERMAL_BLOCKS for machine in self.machines))
            shown.append(self._some(some))
            left -= some
        return np.concatenate(shown)

    def _some(self, blocks: int) -> Floats:
        shown: dict[int, Floats] = {}
        together, notes = [], Notes()
        for k, machine in enumerate(self.machines):
            own = Notes()
            if own.begin(machine, blocks):
                together.append(k)
                notes.extend(own)
            else:
                shown[k] = self._by_itself(k, own, blocks)
        if together:
            shown.update(zip(together, self._end(together, notes), strict=True))
        return np.array([shown[k] for k in range(len(self.machines))]).swapaxes(0, 1)

    def _by_itself(self, k: int, notes: Notes, blocks: int) -> Floats:
        """A machine whose last block has begun with axes that are not as they were built: that and all that are left."""
        machine, last = self.machines[k], notes.begun.pop()
        rows = [*self._end([k], notes)[0]] if notes.begun else []
        machine.end_alone(last)
        rows.append(numbers(View(machine)))
        while len(rows) < blocks:
            machine.step()
            rows.append(numbers(View(machine)))
        return np.array(rows)

    def _end(self, those: Sequence[int], notes: Notes) -> Floats:
        """Finish the same number of blocks of some machines, and what they show (machines, blocks, signals)."""
        machines, begun = [self.machines[k] for k in those], notes.begun
        count, blocks = len(machines), len(begun) // len(machines)
        p = _columns(count)
        followed = self._follow(those, p, begun)
        (watts, ways), load = sums(followed, blocks), mean_load_percent(p, followed, blocks)
        servo_w, way, last_load = watts.T.tolist(), ways.T.tolist(), load[:, -1].tolist()
        last = followed.part(slice(-SAMPLES, None)).copy()
        ended, nodes = [], []
        for k, machine in enumerate(machines):
            own = _window(k)
            for b, one in enumerate(begun[k * blocks : (k + 1) * blocks]):
                machine.end(one, servo_w[b][own], way[b][own])
                ended.append(of_ended(machine))
                nodes.append(machine.thermal.nodes)
            machine.look(one, AxisBlock(machine.axes.columns, last, servo_w[-1][own], last_load[own], own))
        looked, shown, normal = notes.rows()
        tooth_n = [one.cut.tooth_force_n for one in begun]
        warm = np.concatenate(nodes).reshape(-1, NODES)
        said, vibration = sense_all(looked, tooth_n, warm, _by_axis(load, count), _by_axis(watts, count), normal)
        for k, machine in enumerate(machines, 1):
            machine.shown.read = said[:, k * blocks - 1]
            machine.sensing.felt(vibration, k * blocks - 1)
        screws_c = warm[:, SCREWS].reshape(count, blocks, _AXES).swapaxes(1, 2).reshape(-1, blocks)
        at = as_read(p, followed.part(slice(SAMPLES - 1, None, SAMPLES)), screws_c)
        at = at.reshape(6, count, _AXES, blocks).swapaxes(1, 2).reshape(6, _AXES, -1)
        return table(shown, np.array(ended), said, at).reshape(count, blocks, -1)

    def _follow(self, those: Sequence[int], p: Columns, begun: Sequence[Begun]) -> Followed:
        """What the axes of some machines do in their blocks."""
        count = len(those)
        blocks = len(begun) // count
        Ticks.together([one.cut.ticks for one in begun])
        force = np.repeat(side_by_side([one.cut.force_n for one in begun], count), SAMPLES_PER_TICK, axis=1)
        motions = [[one.motion for one in begun[k * blocks : (k + 1) * blocks]] for k in range(count)]
        if count == len(self.machines):
            return drive(p, self._state, motions, force)
        axes = [axis for k in those for axis in range(k * _AXES, (k + 1) * _AXES)]
        state = self._state[:, axes]
        followed = drive(p, state, motions, force)
        self._state[:, axes] = state
        return followed


class Notes:
    """Blocks that have begun, machine by machine, and what was to be seen of each when it had."""

    def __init__(self) -> None:
        self.begun: list[Begun] = []
        self._rows: list[bytes] = []
        self._normal: list[Floats] = []

    def begin(self, machine: Machine, blocks: int) -> bool:
        """Let a machine begin some blocks. False when the last that began has axes that are not as they were built."""
        for _ in range(blocks):
            one = machine.begin()
            self.begun.append(one)
            if not machine.sound(one):
                return False
            self._rows.append(_ROW.pack(*machine.sensing.look(machine, one), *of_begun(View(machine, begun=one))))
            self._normal.append(machine.noise.row(one.block - 1))
        return True

    def extend(self, other: Notes) -> None:
        """Add those of another machine."""
        self.begun += other.begun
        self._rows += other._rows
        self._normal += other._normal

    def rows(self) -> tuple[Floats, Floats, Floats]:
        """What there is to be read (n, LOOK), what each block shows already (n, BEGUN), and the noise of each (n, channels)."""
        rows = np.frombuffer(b"".join(self._rows)).reshape(-1, LOOK + BEGUN)
        return rows[:, :LOOK], rows[:, LOOK:], np.concatenate(self._normal).reshape(len(rows), -1)


def groups(machines: Sequence[Machine], blocks: int = 1) -> list[Group]:
    """Machines in groups of a good size for so many blocks at a time."""
    size = max(COLUMNS // blocks, 1)
    return [Group(machines[k : k + size]) for k in range(0, len(machines), size)]


@functools.lru_cache(maxsize=8)
def _columns(machines: int) -> Columns:
    """Parameters of the axes of so many machines, with the memory that they are worked out in: it is the same for one group after
    another, so that it stays in the processor's caches."""
    return Columns(VF2.axes * machines)


def _window(k: int) -> slice:
    return slice(k * _AXES, (k + 1) * _AXES)


def _by_axis(of: Floats, machines: int) -> Floats:
    """(axes of all machines, blocks) as (3, machines and blocks)."""
    return of.reshape(machines, _AXES, -1).swapaxes(0, 1).reshape(_AXES, -1)
