"""The cut of one block of 100 ms: stock removal, force on spindle and axes, and what the edge lost.

    commanded path --10 ms ticks--> stamp the stock --engagement--> Kienzle --> torque on the spindle, force on the axes
                                                         |
                                                         '--> Taylor life --> wear of the edge --> more force

Ticks are 10 ms of machine time, so the volume that is removed does not depend on how time was asked for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.physics import Physics
from opcua_server.machine.process.cutting import Cut, drilling, milling, together
from opcua_server.machine.process.materials import Material
from opcua_server.machine.process.stability import QUIET, Chatter, chatter
from opcua_server.machine.process.stock import Engagement, Stock
from opcua_server.machine.process.surface import roughness_um
from opcua_server.machine.process.wear import life_min
from opcua_server.machine.tools import Tool

Floats = npt.NDArray[np.float64]

TICKS: Final = 10
TICK_S: Final = 0.01
SAMPLES_PER_TICK: Final = 10
AXIAL_SHARE: Final = 0.7
"""A path steeper than this (dz over travel) is drilled, not milled."""
FEED_FORCE: Final = 0.55
NORMAL_FORCE: Final = 0.35
AXIAL_FORCE: Final = 0.20
"""Forces on the axes against the tangential force of the edge, mean over a turn (sharp 30 degree helix)."""
DRILL_THRUST: Final = 1.1
CHATTER_WEAR: Final = 0.8
"""How much faster an edge wears in fully grown chatter."""
BREAKING_SPIKE: Final = 2.5
"""Torque in the moment a tool breaks, of that of the cut that broke it."""


@dataclass(slots=True)
class CutBlock:
    """One block of cutting. Torques in N·m at each tick, forces in N on the axes ``(3, 100)`` or None without a cut."""

    torque_nm: list[float]
    force_n: Floats | None
    in_cut_s: float
    chip_load_mm: float
    cutting_speed_m_min: float
    tooth_force_n: float
    power_w: float
    """Mean over the block, at the edge."""
    removed_mm3: float
    chip_mm: float
    area_mm2: float
    depth_mm: float
    once_per_turn_n: float = 0.0
    chatter: Chatter = QUIET
    """The strongest of the block."""
    roughness_um: float = 0.0
    """Ra that the cut leaves; 0 without a cut."""
    broke: bool = False
    """Whether the tool broke in this block."""


IDLE: Final = [0.0] * TICKS


class Process:
    """What the tool does to the work piece. Owned by one machine."""

    def __init__(self, stock: Stock | None = None) -> None:
        self.stock = stock
        self.engagement = Engagement()
        self._last_tip: Floats | None = None

    def new_stock(self, stock: Stock | None) -> None:
        """Another blank on the table."""
        self.stock = stock
        self.engagement.clear()

    def step(self, tips_mm: Floats, tool: Tool | None, speed_rpm: float, physics: Physics, coolant_wear: float) -> CutBlock:
        """Cut along ``tips_mm: (10, 3)``, the tip of the tool at each tick in work coordinates of the blank.

        ``speed_rpm``: of the spindle; ``coolant_wear``: how much faster the edge wears than well cooled.
        """
        previous = self._last_tip if self._last_tip is not None else tips_mm[0]
        self._last_tip = tips_mm[-1].copy()
        edge_speed = math.pi * tool.type.diameter_mm * speed_rpm / 1000.0 if tool else 0.0
        stock = self.stock
        if tool is None or stock is None or tool.type.teeth == 0 or tool.broken or not _may_touch(tips_mm, tool, stock):
            self.engagement.clear()
            return _without_cut(edge_speed)
        volume, moment = stock.stamp(tips_mm, tool.type.diameter_mm / 2.0)
        touched = bool(volume.any())
        if self.engagement.area_mm2 == 0.0 and not touched:
            return _without_cut(edge_speed)
        steps = np.empty_like(tips_mm)
        np.subtract(tips_mm[1:], tips_mm[:-1], out=steps[1:])
        np.subtract(tips_mm[0], previous, out=steps[0])
        travels: Floats = np.sqrt(np.einsum("ij,ij->i", steps, steps))
        steep = np.abs(steps[:, 2]) > AXIAL_SHARE * travels
        if touched and steep.any():
            share = np.where(
                steep, stock.disc_share(float(tips_mm[-1, 0]), float(tips_mm[-1, 1]), tool.type.diameter_mm / 2.0), 1.0
            )
            volume, moment = volume * share, moment * share
        areas, depths = self.engagement.follow(volume, moment, travels, 2.0 * stock.cell_mm)
        cutting = np.flatnonzero((travels > 1e-6) & (areas > 0.0))
        if speed_rpm < 30.0 or not cutting.size:
            return _without_cut(edge_speed, float(volume.sum()))
        axial = steep if not tool.type.cuts_along_axis else np.ones_like(steep)
        return self._cut(
            stock.blank.material, cutting, steps[cutting], travels[cutting], areas[cutting], depths[cutting], axial[cutting],
            volume, tool, speed_rpm, physics, coolant_wear,
        )  # fmt: skip

    def _cut(
        self, material: Material, ticks: npt.NDArray[np.intp], steps: Floats, travels: Floats, areas: Floats, depths: Floats,
        axial: npt.NDArray[np.bool_], volume: Floats, tool: Tool, speed_rpm: float, physics: Physics, coolant_wear: float,
    ) -> CutBlock:  # fmt: skip
        """The ticks that cut."""
        kind, engagement = tool.type, self.engagement
        wear_mm, chipped = tool.flank_wear_mm, physics.edge_chipped
        feed = travels * (60.0 / TICK_S)
        width = np.minimum(areas / np.maximum(depths, 1e-3), kind.diameter_mm)
        depth = areas / width
        some, every = bool(axial.any()), bool(axial.all())
        if every:
            cut = drilling(material, kind.diameter_mm, kind.teeth, speed_rpm, feed, areas, wear_mm)
        elif not some:
            cut = milling(material, kind.diameter_mm, kind.teeth, speed_rpm, feed, depth, width, wear_mm, chipped)
        else:
            flat = ~axial
            cut = together(
                axial,
                drilling(material, kind.diameter_mm, kind.teeth, speed_rpm, feed[axial], areas[axial], wear_mm),
                milling(material, kind.diameter_mm, kind.teeth, speed_rpm, feed[flat], depth[flat], width[flat], wear_mm, chipped),
            )
        breaks = cut.peak_n * np.maximum(cut.teeth_in_cut, 1.0) > tool.strength_n * physics.tool_strength
        if some:
            breaks &= ~axial
        broke = bool(breaks.any())
        count = int(breaks.argmax()) + 1 if broke else len(ticks)
        worst, turn_n = QUIET, 0.0
        if not every:
            power = np.where(axial[:count], -1.0, cut.power_w[:count])
            heaviest = int(power.argmax())
            if power[heaviest] > 0.0:
                worst = chatter(
                    float(depth[heaviest]), float(material.specific_force(float(cut.chip_mm[heaviest]))),
                    float(cut.teeth_in_cut[heaviest]), speed_rpm / 60.0 * kind.teeth, physics.damping,
                )  # fmt: skip
            turn_n = float(cut.once_per_turn_n[:count].max())
        torques = np.zeros(TICKS)
        torques[ticks[:count]] = cut.torque_nm[:count]
        forces = np.zeros((TICKS, 3))
        forces[ticks[:count]] = _axis_forces(cut, steps / travels[:, None], axial if some else None)[:count]
        if broke:
            torques[ticks[count - 1]] *= BREAKING_SPIKE
            tool.broken = True
            engagement.clear()
        powers = cut.power_w[:count]
        total = float(powers.sum())
        # A retract at rapid still shares its first tick with the cut: the mean chip load is that of the power.
        chip_load = float((feed[:count] * powers).sum()) / (speed_rpm * kind.teeth) / total if total > 0.0 else 0.0
        tooth = cut.peak_n[:count] if not some else np.where(axial[:count], 0.15 * cut.peak_n[:count], cut.peak_n[:count])
        # Conditions hardly change within a block: its means decide how much of the edge's life it takes.
        edge_speed = math.pi * kind.diameter_mm * speed_rpm / 1000.0
        share = float(width[:count].sum()) / count / kind.diameter_mm
        life = life_min(material.taylor_c, kind.edge, edge_speed, chip_load, kind.nominal_fz_mm, share)
        used = count * TICK_S / (60.0 * life)
        tool.nominal_used += used
        tool.used += used / tool.life_scatter * physics.wear_rate * coolant_wear * (1.0 + CHATTER_WEAR * worst.growth)
        tool.cutting_time_s += count * TICK_S
        tool.cut_mm += float(travels[:count].sum())
        return CutBlock(
            torque_nm=torques.tolist(),
            force_n=np.repeat(forces.T, SAMPLES_PER_TICK, axis=1),
            in_cut_s=count * TICK_S,
            chip_load_mm=min(chip_load, 2.0),
            cutting_speed_m_min=edge_speed,
            tooth_force_n=float(tooth.max()),
            power_w=total / TICKS,
            removed_mm3=float(volume.sum()),
            chip_mm=float(cut.chip_mm[:count].sum()) / count,
            area_mm2=engagement.area_mm2,
            depth_mm=engagement.depth_mm,
            once_per_turn_n=turn_n,
            chatter=worst,
            roughness_um=roughness_um(kind, chip_load, wear_mm, chipped, worst.growth) if total > 0.0 else 0.0,
            broke=broke,
        )


def _without_cut(edge_speed_m_min: float, removed_mm3: float = 0.0) -> CutBlock:
    return CutBlock(IDLE, None, 0.0, 0.0, edge_speed_m_min, 0.0, 0.0, removed_mm3, 0.0, 0.0, 0.0)


def _may_touch(tips_mm: Floats, tool: Tool, stock: Stock) -> bool:
    """Whether the box around the tool's way meets that of the blank."""
    blank, r = stock.blank, tool.type.diameter_mm / 2.0
    x, y, z = tips_mm.T.tolist()
    return bool(
        min(z) < blank.high[2]
        and max(x) > blank.low[0] - r
        and min(x) < blank.high[0] + r
        and max(y) > blank.low[1] - r
        and min(y) < blank.high[1] + r
    )


def _axis_forces(cut: Cut, along: Floats, axial: npt.NDArray[np.bool_] | None) -> Floats:
    """Forces of the cut on X, Y, Z for unit vectors of the path (n, 3): against the feed, across it, and up the spindle."""
    ft, forces = cut.tangential_n, np.empty_like(along)
    x, y = along[:, 0], along[:, 1]
    forces[:, 0] = ft * (-FEED_FORCE * x - NORMAL_FORCE * y)
    forces[:, 1] = ft * (-FEED_FORCE * y + NORMAL_FORCE * x)
    forces[:, 2] = AXIAL_FORCE * ft
    if axial is not None:
        forces[axial, :2] = 0.0
        forces[axial, 2] = DRILL_THRUST * ft[axial]
    return forces
