"""Machines that go in step: blocks of a group are columns of one set and are worked out together.

    machine 1   begin, begin, begin ... --.                                        .--> end, end, end ...
    machine 2   begin, begin, begin ... ---+--> axes: X1 Y1 Z1 X2 Y2 Z2 ..         +--> end, end, end ...
    machine 3   begin, begin, begin ... --'     sensors, numbers: 1a 1b .. 2a 2b .. '--> rows of numbers

What control, path and cut of a machine do is its own, and is done for up to a second of it in one go, while the machine and its
part are in the processor's caches; nobody can say anything to it in between. Axes, sensors and the numbers of all signals are
columns. ``follow``, ``read`` and ``table`` are pure, and a column does not know its neighbours: same bytes as block by block alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final

import numpy as np
import numpy.typing as npt

from nodesets.catalogue import NUMERIC
from opcua_server.machine.begun import Begun
from opcua_server.machine.driving import AXES, Driven, columns, drive_all
from opcua_server.machine.ending import end_all
from opcua_server.machine.machine import THERMAL_BLOCKS, Machine
from opcua_server.machine.motion.axes import AxisBlock, as_read
from opcua_server.machine.process.load import Load
from opcua_server.machine.process.ticks import Felt, Ticks, forces
from opcua_server.machine.sensing import LOOK, sense_all
from opcua_server.machine.signals import View, numbers, table
from opcua_server.machine.standing import PATH, STOOD
from opcua_server.machine.steady import act_all
from opcua_server.machine.stretch import SEEN, Look, Stretch, rows
from opcua_server.machine.thermal import NODES, SCREWS

Floats = npt.NDArray[np.float64]

COLUMNS: Final = 640
"""Blocks that are worked out together: as many as more columns still cost less than more calls."""
FEW: Final = 6
"""Fewer machines, or a single block of each, are not worth columns of what each of them would do in fewer calls."""
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

    def run(self, blocks: int, look: Look | None = None) -> Floats:
        """That many times the next 100 ms of all, and what all show at the end of each (blocks, machines, signals), in the order of
        ``catalogue.NUMERIC``. ``look``: at each machine after each block. Raises what a machine raises."""
        those, done = range(len(self.machines)), 0
        shown = np.empty((len(those), blocks, len(NUMERIC))).swapaxes(0, 1)
        while done < blocks:
            some = self._at_once(those, blocks - done)
            for k, row in self._some(those, some, some, look).items():
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

    def _some(self, those: Sequence[int], blocks: int, noted: int, look: Look | None = None) -> dict[int, Floats | Exception]:
        """Blocks of some machines, and what each shows at the end of the last ``noted`` of them (noted, signals)."""
        shown: dict[int, Floats | Exception] = {}
        begun: dict[int, Stretch] = {}
        together = len(those) >= FEW and blocks > 1 and look is None
        for k in those:
            begun[k] = own = Stretch(self.machines[k], blocks, self._started[k], self._speed, noted, look)
            try:
                own.begin(together=together)
            except Exception as error:
                shown[k] = error
        shown.update(_act({k: own for k, own in begun.items() if own.waiting and k not in shown}))
        for k, own in begun.items():
            if own.odd is not None and k not in shown:
                try:
                    shown[k] = self._by_itself(k, own, own.odd, look)
                except Exception as error:
                    shown[k] = error
        left = {k: own for k, own in begun.items() if k not in shown}
        if left:
            shown.update(self._end(list(left), list(left.values())))
        return shown

    def _by_itself(self, k: int, own: Stretch, last: Begun, look: Look | None) -> Floats:
        """A machine whose last block has begun with axes that are not as they were built: that and all that are left."""
        machine = self.machines[k]
        shown: list[Floats] = []
        if own.motions:
            ended = self._end([k], [own])[k]
            if isinstance(ended, Exception):
                raise ended
            shown.extend(ended)
        machine.end_alone(last)
        done = len(own.motions) + 1
        for each in range(done, own.blocks + 1):
            if each > done:
                machine.step()
            if each > own.blocks - own.noted:
                view = View(machine, started_block=self._started[k], speed=self._speed)
                shown.append(numbers(view))
                if look is not None:
                    look(view)
        return np.array(shown) if shown else _NOTHING

    def _end(self, those: Sequence[int], begun: Sequence[Stretch]) -> dict[int, Floats | Exception]:
        """Finish the same number of blocks of some machines, and what each shows of those that were noted (noted, signals)."""
        machines = [self.machines[k] for k in those]
        count, blocks, noted = len(machines), len(begun[0].motions), len(begun[0].stood)
        try:
            force_n, tooth_n = forces(_felt(begun))
            watts, ways, load, last, ends = self._drive(those, begun, force_n, noted)
        except Exception as error:
            if count == 1:
                return {those[0]: error}
            apart = (self._end([k], [own]) for k, own in zip(those, begun, strict=True))
            return {k: row for one in apart for k, row in one.items()}
        ended = end_all(machines, begun, watts, ways)
        failed: dict[int, Floats | Exception] = {those[at]: error for at, error in ended.failed.items()}
        if not noted:
            return {k: failed.get(k, _NOTHING) for k in those}
        last_w, last_load = watts[:, -1].tolist(), load[:, -1].tolist()
        for at, machine in enumerate(machines):
            own = _window(at)
            try:
                machine.look(begun[at].begun[-1], AxisBlock(machine.axes.columns, last, last_w[own], last_load[own], own))
            except Exception as error:
                failed.setdefault(those[at], error)
        stood, seen = rows(chain(*(own.stood for own in begun)), STOOD), rows(chain(*(own.seen for own in begun)), SEEN)
        passed, looked = np.delete(seen[:, :-LOOK], PATH, axis=1), seen[:, -LOOK:]
        warm = ended.nodes_c[:, -noted:].reshape(-1, NODES)
        load, watts = _by_axis(load[:, -noted:], count), _by_axis(watts[:, -noted:], count)
        normal = np.concatenate([kept for own in begun for kept in own.normal])
        said, vibration = sense_all(looked, tooth_n.reshape(count, blocks)[:, -noted:].ravel(), warm, load, watts, normal)
        for at, machine in enumerate(machines, 1):
            machine.shown.read = said[:, at * noted - 1]
            machine.sensing.felt(vibration, at * noted - 1)
        screws_c = warm[:, SCREWS].reshape(count, noted, AXES).swapaxes(1, 2).reshape(-1, noted)
        axes = as_read(columns(count), ends, screws_c).reshape(6, count, AXES, noted).swapaxes(1, 2).reshape(6, AXES, -1)
        shown = table(stood, passed, seen[:, PATH], ended.rows(noted), said, axes).reshape(count, noted, -1)
        return {k: failed.get(k, row) for k, row in zip(those, shown, strict=True)}

    def _drive(self, those: Sequence[int], begun: Sequence[Stretch], force_n: Floats, noted: int) -> Driven:
        """What the axes of some machines do in their blocks. Where that fails they are as they were."""
        axes = [axis for k in those for axis in range(k * AXES, (k + 1) * AXES)]
        state = self._state[:, axes]
        driven = drive_all(state, [own.motions for own in begun], force_n, noted)
        self._state[:, axes] = state
        return driven


def _act(waiting: dict[int, Stretch]) -> dict[int, Exception]:
    """Work out the physics of what waits; what a machine raised, by its place."""
    failed: dict[int, Exception] = {}
    if len(waiting) >= FEW:
        those = list(waiting.values())
        try:
            acted = act_all([own.machine for own in those], [own.waiting for own in those], those[0].noted)
            for own, what in zip(those, acted, strict=True):
                own.take(what)
            return failed
        except ArithmeticError:
            pass  # one of them is not as steady as it seemed: which one shows block by block
    for k, own in waiting.items():
        try:
            own.act()
        except Exception as error:
            failed[k] = error
    return failed


def groups(machines: Sequence[Machine], blocks: int = 1) -> list[Group]:
    """Machines in groups of a good size for so many blocks at a time."""
    size = max(COLUMNS // blocks, 1)
    return [Group(machines[k : k + size]) for k in range(0, len(machines), size)]


def _felt(begun: Sequence[Stretch]) -> Felt:
    """Of the blocks of all."""
    loads: list[Load | None] = []
    wear_mm: list[float] = []
    others: dict[int, Ticks] = {}
    for own in begun:
        some, worn, odd = own.felt
        if odd:
            others.update({len(loads) + k: one for k, one in odd.items()})
        loads += some
        wear_mm += worn
    return loads, wear_mm, others


def _window(k: int) -> slice:
    return slice(k * AXES, (k + 1) * AXES)


def _by_axis(of: Floats, machines: int) -> Floats:
    """(axes of all machines, blocks) as (3, machines and blocks)."""
    return of.reshape(machines, AXES, -1).swapaxes(0, 1).reshape(AXES, -1)
