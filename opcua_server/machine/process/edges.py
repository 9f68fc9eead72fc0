"""Edges of many machines that wear along known ways: what ``Process.cut`` comes to block by block, to the last bit.

    load of each block --.
    wear --------------- +--> power, torque --> chip load --Taylor--> life used up --> wear of the next block
    coolant ------------ '

Sound edges only, that neither break nor chatter: ``bears`` says ahead whether that is so. Columns are (blocks, machines), since
each block waits for the wear that the one before it leaves.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from opcua_server.machine.process.load import FIGURES, NO_LOAD, TICK_S, TICKS, Load
from opcua_server.machine.process.process import MOST_CHIP_MM
from opcua_server.machine.process.stability import lowest_n_mm
from opcua_server.machine.process.surface import ra_um
from opcua_server.machine.process.wear import SHORTEST_MIN, flank_wear_mm, lives_at
from opcua_server.machine.spindle import rated_torque_nm
from opcua_server.machine.tools import Tool

Floats = npt.NDArray[np.float64]

_STABLE_N_MM: Final = lowest_n_mm(1.0)


class Limits(NamedTuple):
    """Of a sound edge over some blocks to come: it does not wear further than ``wear_mm``, and bears ``strength_n`` till then."""

    wear_mm: float
    strength_n: float

    def bears(self, load: Load) -> bool:
        """Whether nothing but wear comes of a load: no edge breaks, nothing chatters, the spindle keeps its speed."""
        sharp_n, blunt_n = load.hardest
        sharp_w, blunt_w = load.most_w
        return (
            sharp_n + blunt_n * self.wear_mm <= self.strength_n
            and load.bites_n_mm <= _STABLE_N_MM
            and (sharp_w + blunt_w * self.wear_mm) * load.torque_nm_w < rated_torque_nm(load.speed_rpm)
        )


def limits(tool: Tool, blocks: int, most_wear_factor: float) -> Limits:
    """Over so many blocks; ``most_wear_factor``: how much faster than well cooled it may wear."""
    most_used = blocks * TICKS * TICK_S / (60.0 * SHORTEST_MIN) / tool.life_scatter * most_wear_factor
    wear_mm = flank_wear_mm(tool.used + most_used)
    return Limits(wear_mm, tool.strength_n(wear_mm))


class Edges(NamedTuple):
    """Of the edges that machines cut with (machines,) each; ``marks_per_um``: see ``surface``."""

    used: Floats
    life_scatter: Floats
    nominal_fz_mm: Floats
    teeth: Floats
    speed_rpm: Floats
    marks_per_um: Floats


class Cuts(NamedTuple):
    """What comes of it (blocks, machines); ``used`` and ``worn_mm`` have a row more: before the first block, and after each."""

    used: Floats
    """Share of the edge's life."""
    worn_mm: Floats
    nominal_used: Floats
    """Share that each block takes of an average edge."""
    power_w: Floats
    mean_torque_nm: Floats
    chip_load_mm: Floats
    in_cut_s: Floats
    travel_mm: Floats
    chip_mm: Floats
    roughness_um: Floats
    """0 without a cut."""


def figures(loads: Sequence[Load | None], machines: int) -> Floats:
    """Of the loads of each machine in turn (FIGURES, blocks, machines)."""
    rows = (NO_LOAD if load is None else load.figures for load in loads)
    table = np.fromiter(chain.from_iterable(rows), np.float64, len(loads) * FIGURES)
    return np.ascontiguousarray(table.reshape(machines, -1, FIGURES).T)


def wear_on(edges: Edges, known: Floats, faster: Floats) -> Cuts:
    """Let edges cut; ``known``: ``figures`` of their loads; ``faster``: how much faster they wear than well cooled (blocks,
    machines)."""
    sharp_w, blunt_w, sharp_feed, blunt_feed, count, travel_mm, width, chip_mm, torque_nm_w, at_speed_min = known
    blocks, machines = sharp_w.shape
    used, worn_mm = np.empty((blocks + 1, machines)), np.empty((blocks + 1, machines))
    total_w, chip_load_mm, nominal = np.zeros((3, blocks, machines))
    used[0] = edges.used
    worn_mm[0] = _worn_mm(edges.used)
    turns = edges.speed_rpm * edges.teeth
    turns[turns == 0.0] = 1.0
    in_cut_s = count * TICK_S
    least_fz_mm = 0.2 * edges.nominal_fz_mm
    for k in range(blocks):
        total = np.multiply(blunt_w[k], worn_mm[k], out=total_w[k])
        total += sharp_w[k]
        fed = sharp_feed[k] + blunt_feed[k] * worn_mm[k]
        fed /= turns
        chip_load = np.divide(fed, total, out=chip_load_mm[k], where=total > 0.0)
        ratio = np.maximum(chip_load, least_fz_mm)
        ratio /= edges.nominal_fz_mm
        share = np.divide(in_cut_s[k], 60.0 * lives_at(at_speed_min[k], ratio, width[k]), out=nominal[k])
        np.add(used[k], share / edges.life_scatter * faster[k], out=used[k + 1])
        worn_mm[k + 1] = _worn_mm(used[k + 1])
    rough_um = ra_um(edges.marks_per_um, chip_load_mm, worn_mm[:-1])
    rough_um[total_w <= 0.0] = 0.0
    return Cuts(
        used, worn_mm, nominal, total_w / TICKS, total_w * torque_nm_w / TICKS, np.minimum(chip_load_mm, MOST_CHIP_MM),
        in_cut_s, travel_mm, chip_mm, rough_um,
    )  # fmt: skip


def _worn_mm(used: Floats) -> Floats:
    return np.array([*map(flank_wear_mm, used.tolist())])
