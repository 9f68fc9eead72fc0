"""What blocks of machines in step end with, once it is known what their axes did: columns of machines and blocks of each.

    what is drawn, noise, axes --> meter: power, energy --once a second--> mains
    what is drawn, axes ---------> heat of the nodes ----once a second--> temperatures
    flow, column, noise ---------> what sensors with a memory say

It is what ``Machine.end`` comes to block by block, to the last bit: what is summed up is summed up one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from opcua_server.machine.drawn import Drawn, auxiliary_w, flow_read_l_min, heats_w, spindles_shown_w
from opcua_server.machine.energy import Metered, metered
from opcua_server.machine.machine import BLOCK_S, SCREW_HEAT, THERMAL_BLOCKS, Machine
from opcua_server.machine.mains import MAINS_ROW
from opcua_server.machine.noise import Index
from opcua_server.machine.sensing import column_read_c
from opcua_server.machine.spindle import loads_percent
from opcua_server.machine.stretch import DRAWN, NEEDED, Stretch, rows
from opcua_server.machine.thermal import COLUMN, NODES, REFERENCE_C, SCREWS

Floats = npt.NDArray[np.float64]

_AXES: Final = 3
_SCREW_HEAT: Final = np.array(SCREW_HEAT)[:, None, None]


@dataclass(slots=True)
class Ended:
    """Of some machines, (machines, blocks) each; ``failed``: what a machine raised, by its place."""

    meter: Metered
    column_c: Floats
    flow_l_min: Floats
    """As they are shown."""
    load_percent: Floats
    """Of the spindle."""
    nodes_c: Floats
    """Temperatures (machines, blocks, NODES)."""
    mains: Floats
    """``Mains.row`` (machines, blocks, MAINS_ROW)."""
    failed: dict[int, Exception]

    def rows(self, noted: int) -> Floats:
        """The last so many blocks of each machine, as ``signals.of_ended`` (machines and blocks, AFTER)."""
        m = self.meter
        own = np.array((
            m.spindle_w, m.total_w, m.spindle_w, m.servo_w, m.auxiliary_w, m.energy_j, self.column_c, self.flow_l_min,
            self.load_percent,
        ))  # fmt: skip
        rows: Floats = np.concatenate((np.moveaxis(own, 0, -1), self.mains), axis=2)[:, -noted:]
        return rows.reshape(-1, rows.shape[-1])


class _Moved(NamedTuple):
    """What one machine has once a second and block by block: temperatures and what the mains show before its blocks and behind
    them; and flow and temperature of the column that its sensors said, where one of them may fail."""

    nodes_c: tuple[Floats, Floats]
    mains: tuple[Sequence[float], Sequence[float]]
    said: Sequence[tuple[float, float]] = ()


_AT_REST: Final = np.full(NODES, REFERENCE_C)
_STILL: Final = _Moved((_AT_REST, _AT_REST), ((0.0,) * MAINS_ROW,) * 2)
_KEPT: Final = (0.0,) * (5 + NODES)


def end_all(machines: Sequence[Machine], begun: Sequence[Stretch], watts: Floats, ways_mm_s: Floats) -> Ended:
    """Finish blocks that have begun, of each machine the same number one after the other.

    ``watts``, ``ways_mm_s``: mean power and way of the axes (axes of all machines, blocks), see ``motion.axes.sums``.
    """
    count, blocks = len(machines), watts.shape[1]
    shape, failed, kept = (-1, count, blocks), {}, [_KEPT] * count
    for at, machine in enumerate(machines):
        try:
            kept[at] = (machine.powered_from_mm_s, machine.power_error, *machine.meter.sums(), *machine.heat_w)
        except Exception as error:
            failed[at] = error
    before = _columns(kept).T
    servo = watts.reshape(count, _AXES, blocks)
    servo_w = servo[:, 0] + servo[:, 1] + servo[:, 2]
    servo_w[ways_mm_s.reshape(servo.shape).max(axis=1) < before[0][:, None]] = 0.0
    needed = rows(chain(*(own.needed for own in begun)), NEEDED).T.reshape(shape)
    drawn, noise = Drawn(*needed[:DRAWN]), needed[DRAWN:]
    shown_w, errors = spindles_shown_w(drawn.spindle_w, drawn.cut_w, noise[Index.SPINDLE_POWER], before[1])
    meter = metered(before[2:5], BLOCK_S, shown_w, servo_w, auxiliary_w(drawn, noise[Index.AUXILIARY_POWER]))
    heat_w = heats_w(drawn)
    np.multiply(ways_mm_s.reshape(count, _AXES, blocks).swapaxes(0, 1), _SCREW_HEAT, out=heat_w[SCREWS])
    heat_w[:, :, 0] += before[5:]
    np.add.accumulate(heat_w, axis=2, out=heat_w)
    after = np.concatenate(([errors], [column[:, -1] for column in meter], heat_w[:, :, -1])).T.tolist()
    moved = [_STILL] * count
    for at, machine in enumerate(machines):
        if at not in failed:
            try:
                moved[at] = _move_on(machine, begun[at], after[at])
            except Exception as error:
                failed[at] = error
    warm = np.concatenate([one.nodes_c[0] for one in moved]).reshape(count, NODES)
    nodes_c = _over(blocks, warm, [one.nodes_c for one in moved])
    mains = _over(blocks, _columns([one.mains[0] for one in moved]), [one.mains for one in moved])
    flow_l_min = flow_read_l_min(drawn, noise[Index.COOLANT_FLOW])
    column_c = column_read_c(nodes_c[:, :, COLUMN], noise[Index.COLUMN_TEMPERATURE])
    for at, one in enumerate(moved):
        if one.said:
            flow_l_min[at], column_c[at] = np.array(one.said).T
    return Ended(meter, column_c, flow_l_min, loads_percent(shown_w, drawn.speed_rpm), nodes_c, mains, failed)


def _move_on(machine: Machine, begun: Stretch, after: list[float]) -> _Moved:
    """Let a machine have what its own columns come to; temperatures and the mains move on where a second is over."""
    last, nodes_c, mains = begun.begun[-1], machine.thermal.nodes, machine.mains.row()
    machine.power_error, machine.heat_w = after[0], after[-NODES:]
    machine.meter.put(*after[1:-NODES])
    machine.spindle_power_w = machine.meter.spindle_w
    # A sensor that is well says what is so; one that may fail has a memory, and is read block by block.
    well = begun.well
    said = [] if well else [machine.sensing.read(machine, one) for one in begun.begun[:-1]]
    if last.block % THERMAL_BLOCKS == 0:
        machine.end_second(last)
    said.append(machine.sensing.read(machine, last))
    return _Moved((nodes_c, machine.thermal.nodes), (mains, machine.mains.row()), () if well else said)


def _columns(rows: Sequence[Sequence[float]]) -> Floats:
    """(rows, n), of many short ones in less than half of the time that ``np.array`` takes."""
    return np.fromiter(chain.from_iterable(rows), np.float64, len(rows) * len(rows[0])).reshape(len(rows), -1)


def _over(blocks: int, before: Floats, both: Sequence[tuple[Sequence[float] | Floats, Sequence[float] | Floats]]) -> Floats:
    """What each machine has at the end of each block (machines, blocks, n): what it had ``before`` (machines, n), and what it has
    then behind the last."""
    over: Floats = before[:, None].repeat(blocks, axis=1)
    for at, (had, has) in enumerate(both):
        if has is not had:
            over[at, -1] = has
    return over
