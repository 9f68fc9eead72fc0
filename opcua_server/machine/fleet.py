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
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt

from nodesets.catalogue import NUMERIC
from opcua_server.machine.begun import Begun
from opcua_server.machine.ending import end_all
from opcua_server.machine.machine import SAMPLES, THERMAL_BLOCKS, Machine
from opcua_server.machine.motion.axes import AxisBlock, Followed, as_read, drive, mean_load_percent, sums
from opcua_server.machine.motion.columns import Columns
from opcua_server.machine.noise import CHUNK
from opcua_server.machine.parameters import VF2
from opcua_server.machine.process.ticks import forces
from opcua_server.machine.sensing import LOOK, sense_all
from opcua_server.machine.signals import View, numbers, table
from opcua_server.machine.standing import PASSED, STOOD, of_passing, of_standing, stands
from opcua_server.machine.thermal import NODES, SCREWS

Floats = npt.NDArray[np.float64]

COLUMNS: Final = 320
"""Blocks that are worked out together: as many as more columns still cost less than more calls."""
_AXES: Final = 3
_Noted = TypeVar("_Noted")
_STOOD, _ROW = Struct(f"{STOOD}d"), Struct(f"{1 + PASSED + LOOK}d")
_NOTHING: Final = np.empty((0, len(NUMERIC)))


class Group:
    """Machines that go in step. While they are in it, each one's state of the axes is a window of the group's.

    ``started``: block of each at which it was switched on for those who look; ``speed``: see ``signals.View``.
    """

    def __init__(self, machines: Sequence[Machine], started: Sequence[int] = (), speed: float = 1.0) -> None:
        self.machines = list(machines)
        self._started, self._speed = list(started) or [0] * len(self.machines), speed
        self._state: Floats = np.concatenate([machine.axes.state for machine in self.machines], axis=1)
        for k, machine in enumerate(self.machines):
            machine.axes.state = self._state[:, _window(k)]

    def step(self) -> Floats:
        """The next 100 ms of all, and what all show then (machines, signals)."""
        shown: Floats = self.run(1)[0]
        return shown

    def run(self, blocks: int) -> Floats:
        """That many times the next 100 ms of all, and what all show at the end of each (blocks, machines, signals), in the order of
        ``catalogue.NUMERIC``. Raises what a machine raises."""
        those, done = range(len(self.machines)), 0
        shown = np.empty((blocks, len(those), len(NUMERIC)))
        while done < blocks:
            some = self._at_once(those, blocks - done)
            for k, row in self._some(those, some, some).items():
                if isinstance(row, Exception):
                    raise row
                shown[done : done + some, k] = row
            done += some
        return shown

    def advance(self, blocks: int) -> list[Floats | Exception]:
        """That many times the next 100 ms of all, and what each shows at the end (signals,).

        What a machine raises is its alone, and comes instead of what it shows. It must not go on in the group then.
        """
        those: Sequence[int] = range(len(self.machines))
        found: dict[int, Floats | Exception] = {}
        left = blocks
        while left and those:
            some = self._at_once(those, left)
            left -= some
            found.update(self._some(those, some, 0 if left else 1))
            those = [k for k in those if not isinstance(found[k], Exception)]
        rows = (found[k] for k in range(len(self.machines)))
        return [row if isinstance(row, Exception) else row[-1] for row in rows]

    def _at_once(self, those: Sequence[int], left: int) -> int:
        # Temperatures move on by what the axes did: a machine cannot go on before it is known.
        return min(left, *(THERMAL_BLOCKS - self.machines[k].block % THERMAL_BLOCKS for k in those))

    def _some(self, those: Sequence[int], blocks: int, noted: int) -> dict[int, Floats | Exception]:
        """Blocks of some machines, and what each shows at the end of the last ``noted`` of them (noted, signals)."""
        shown: dict[int, Floats | Exception] = {}
        together, notes = [], Notes()
        for k in those:
            machine, own = self.machines[k], Notes()
            try:
                if own.begin(machine, blocks, self._started[k], self._speed, noted):
                    together.append(k)
                    notes.extend(own)
                else:
                    shown[k] = self._by_itself(k, own, blocks, noted)
            except Exception as error:
                shown[k] = error
        if together:
            shown.update(self._end(together, notes))
        return shown

    def _by_itself(self, k: int, notes: Notes, blocks: int, noted: int) -> Floats:
        """A machine whose last block has begun with axes that are not as they were built: that and all that are left."""
        machine, last = self.machines[k], notes.begun.pop()
        rows: list[Floats] = []
        if notes.begun:
            ended = self._end([k], notes)[k]
            if isinstance(ended, Exception):
                raise ended
            rows.extend(ended)
        machine.end_alone(last)
        done = len(notes.begun) + 1
        for each in range(done, blocks + 1):
            if each > done:
                machine.step()
            if each > blocks - noted:
                rows.append(numbers(View(machine, started_block=self._started[k], speed=self._speed)))
        return np.array(rows) if rows else _NOTHING

    def _end(self, those: Sequence[int], notes: Notes) -> dict[int, Floats | Exception]:
        """Finish the same number of blocks of some machines, and what each shows of those that were noted (noted, signals)."""
        machines, begun = [self.machines[k] for k in those], notes.begun
        count, blocks = len(machines), len(begun) // len(machines)
        p = _columns(count)
        try:
            force_n, tooth_n = forces([one.cut.ticks for one in begun])
            followed = self._follow(those, p, begun, force_n)
        except Exception as error:
            if count == 1:
                return {those[0]: error}
            apart = (self._end([k], notes.of(at, count)) for at, k in enumerate(those))
            return {k: row for one in apart for k, row in one.items()}
        (watts, ways), load = sums(p, followed, blocks), mean_load_percent(p, followed, blocks)
        noted = notes.noted // count
        last = followed.part(slice(-SAMPLES, None)).copy()
        ended = end_all(machines, begun, watts, ways)
        failed: dict[int, Floats | Exception] = {those[at]: error for at, error in ended.failed.items()}
        if not noted:
            return {k: failed.get(k, _NOTHING) for k in those}
        last_w, last_load = watts[:, -1].tolist(), load[:, -1].tolist()
        for at, machine in enumerate(machines):
            own = _window(at)
            axes = AxisBlock(machine.axes.columns, last, last_w[own], last_load[own], own)
            try:
                machine.look(begun[(at + 1) * blocks - 1], axes)
            except Exception as error:
                failed.setdefault(those[at], error)
        stood, passed, looked, normal = notes.rows()
        warm = ended.nodes_c[:, -noted:].reshape(-1, NODES)
        load, watts = _by_axis(load[:, -noted:], count), _by_axis(watts[:, -noted:], count)
        said, vibration = sense_all(looked, tooth_n.reshape(count, blocks)[:, -noted:].ravel(), warm, load, watts, normal)
        for at, machine in enumerate(machines, 1):
            machine.shown.read = said[:, at * noted - 1]
            machine.sensing.felt(vibration, at * noted - 1)
        screws_c = warm[:, SCREWS].reshape(count, noted, _AXES).swapaxes(1, 2).reshape(-1, noted)
        ends = slice(SAMPLES - 1, None, SAMPLES) if noted == blocks else slice(-1, None)
        seen = as_read(p, followed.part(ends), screws_c)
        seen = seen.reshape(6, count, _AXES, noted).swapaxes(1, 2).reshape(6, _AXES, -1)
        rows = table(stood, passed[:, 1:], passed[:, 0], ended.rows(noted), said, seen).reshape(count, noted, -1)
        return {k: failed.get(k, row) for k, row in zip(those, rows, strict=True)}

    def _follow(self, those: Sequence[int], p: Columns, begun: Sequence[Begun], force_n: Floats) -> Followed:
        """What the axes of some machines do in their blocks. Where that fails they are as they were."""
        count = len(those)
        blocks = len(begun) // count
        motions = [[one.motion for one in begun[k * blocks : (k + 1) * blocks]] for k in range(count)]
        axes = [axis for k in those for axis in range(k * _AXES, (k + 1) * _AXES)]
        state = self._state[:, axes]
        followed = drive(p, state, motions, force_n)
        self._state[:, axes] = state
        return followed


class Notes:
    """Blocks that have begun, machine by machine, and what was to be seen of the last of each machine when they had."""

    def __init__(self) -> None:
        self.begun: list[Begun] = []
        self._stood: list[bytes] = []
        self._rows: list[bytes] = []
        self._normal: list[Floats] = []
        """Of each machine (blocks, channels)."""

    @property
    def noted(self) -> int:
        """Blocks of which there is something to be seen."""
        return len(self._rows)

    def begin(self, machine: Machine, blocks: int, started_block: int, speed: float, noted: int) -> bool:
        """Let a machine begin some blocks. False when the last that began has axes that are not as they were built."""
        stood, sound, spindle = b"", True, machine.spindle
        first = seen = machine.block + blocks - noted
        normal: list[Floats] = []
        for left in range(blocks, 0, -1):
            speed_rpm = spindle.speed_rpm
            one = machine.begin()
            self.begun.append(one)
            sound = machine.sound(one)
            if not sound:
                break
            if left > noted:
                continue
            looked = machine.sensing.look(machine, one)
            view = View(machine, SAMPLES - 1, started_block, speed, one)
            if not stood or not stands(machine, speed_rpm):
                stood = _STOOD.pack(*of_standing(view))
            self._stood.append(stood)
            self._rows.append(_ROW.pack(one.block, *of_passing(view), *looked))
            seen = one.block
            if seen % CHUNK == 0:  # what has been drawn is gone in the next block
                normal.append(machine.noise.rows(first, seen - first))
                first = seen
        if seen > first:
            normal.append(machine.noise.rows(first, seen - first))
        if normal:
            self._normal.append(normal[0] if len(normal) == 1 else np.concatenate(normal))
        return sound

    def extend(self, other: Notes) -> None:
        """Add those of another machine."""
        self.begun += other.begun
        self._stood += other._stood
        self._rows += other._rows
        self._normal += other._normal

    def of(self, at: int, machines: int) -> Notes:
        """Those of one of so many machines."""
        own = Notes()
        own.begun, own._stood = _share(self.begun, at, machines), _share(self._stood, at, machines)
        own._rows, own._normal = _share(self._rows, at, machines), _share(self._normal, at, machines)
        return own

    def rows(self) -> tuple[Floats, Floats, Floats, Floats]:
        """What stands (n, STOOD), number of the block and what passes (n, 1 + PASSED), what there is to be read (n, LOOK), and the
        noise of each block (n, channels)."""
        stood = np.frombuffer(b"".join(self._stood)).reshape(-1, STOOD)
        rows = np.frombuffer(b"".join(self._rows)).reshape(-1, 1 + PASSED + LOOK)
        passed, looked = rows[:, : 1 + PASSED], rows[:, 1 + PASSED :]
        return stood, passed, looked, np.concatenate(self._normal)


def groups(machines: Sequence[Machine], blocks: int = 1) -> list[Group]:
    """Machines in groups of a good size for so many blocks at a time."""
    size = max(COLUMNS // blocks, 1)
    return [Group(machines[k : k + size]) for k in range(0, len(machines), size)]


@functools.lru_cache(maxsize=8)
def _columns(machines: int) -> Columns:
    """Parameters of the axes of so many machines, with the memory that they are worked out in: it is the same for one group after
    another, so that it stays in the processor's caches."""
    return Columns(VF2.axes * machines)


def _share(of: list[_Noted], at: int, machines: int) -> list[_Noted]:
    """What is of one of so many machines, each of which has the same number."""
    each = len(of) // machines
    return of[at * each : (at + 1) * each]


def _window(k: int) -> slice:
    return slice(k * _AXES, (k + 1) * _AXES)


def _by_axis(of: Floats, machines: int) -> Floats:
    """(axes of all machines, blocks) as (3, machines and blocks)."""
    return of.reshape(machines, _AXES, -1).swapaxes(0, 1).reshape(_AXES, -1)
