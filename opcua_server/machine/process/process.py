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
from opcua_server.machine.process.cutting import NO_CUT, Cut, drilling, milling
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
    """One block of cutting. Torques in N·m at each tick, forces in N on the axes ``(100, 3)`` or None without a cut."""

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

    def step(self, tips_mm: Floats, tool: Tool | None, speeds_rpm: list[float], physics: Physics, coolant_wear: float) -> CutBlock:
        """Cut along ``tips_mm: (10, 3)``, the tip of the tool at each tick in work coordinates of the blank.

        ``speeds_rpm``: of the spindle at each tick; ``coolant_wear``: how much faster the edge wears than well cooled.
        """
        previous = self._last_tip if self._last_tip is not None else tips_mm[0]
        self._last_tip = tips_mm[-1].copy()
        edge_speed = math.pi * tool.type.diameter_mm * speeds_rpm[-1] / 1000.0 if tool else 0.0
        stock = self.stock
        if tool is None or stock is None or tool.type.teeth == 0 or tool.broken or not _may_touch(tips_mm, tool, stock):
            self.engagement.clear()
            return CutBlock(IDLE, None, 0.0, 0.0, edge_speed, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        steps = np.diff(tips_mm, axis=0, prepend=previous[None, :])
        travels = np.sqrt(np.einsum("ij,ij->i", steps, steps))
        volume, moment = stock.stamp(tips_mm, tool.type.diameter_mm / 2.0)
        if self.engagement.area_mm2 == 0.0 and not volume.any():
            return CutBlock(IDLE, None, 0.0, 0.0, edge_speed, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        steep = np.abs(steps[:, 2]) > AXIAL_SHARE * travels
        if steep.any() and volume.any():
            share = np.where(
                steep, stock.disc_share(float(tips_mm[-1, 0]), float(tips_mm[-1, 1]), tool.type.diameter_mm / 2.0), 1.0
            )
            volume, moment = volume * share, moment * share
        return self._cut(stock, steps, travels.tolist(), volume.tolist(), moment.tolist(), tool, speeds_rpm, physics, coolant_wear)

    def _cut(
        self, stock: Stock, steps: Floats, travels: list[float], volume: list[float], moment: list[float],
        tool: Tool, speeds_rpm: list[float], physics: Physics, coolant_wear: float,
    ) -> CutBlock:  # fmt: skip
        kind, material, engagement = tool.type, stock.blank.material, self.engagement
        smoothing = 2.0 * stock.cell_mm
        wear_mm = tool.flank_wear_mm
        torques, forces = [0.0] * TICKS, [_NO_FORCE] * TICKS
        rises, widths = steps[:, 2].tolist(), 0.0
        in_cut, power, chip_load, chip, tooth, speed_sum = 0, 0.0, 0.0, 0.0, 0.0, 0.0
        turn_n, broke = 0.0, False
        heaviest: tuple[Cut, float, float] | None = None
        strength = tool.strength_n * physics.tool_strength
        for tick in range(TICKS):
            if broke:
                break
            travel, speed = travels[tick], speeds_rpm[tick]
            engagement.follow(volume[tick], moment[tick], travel, smoothing)
            if travel <= 1e-6 or engagement.area_mm2 <= 0.0 or speed < 30.0:
                continue
            feed = travel / TICK_S * 60.0
            area = engagement.area_mm2
            axial = kind.cuts_along_axis or abs(rises[tick]) > AXIAL_SHARE * travel
            depth = max(engagement.depth_mm, 1e-3)
            width = min(area / depth, kind.diameter_mm)
            if axial:
                cut = drilling(material, kind.diameter_mm, kind.teeth, speed, feed, area, wear_mm)
            else:
                cut = milling(
                    material, kind.diameter_mm, kind.teeth, speed, feed, area / width, width, wear_mm, physics.edge_chipped
                )
            if cut is NO_CUT:
                continue
            if not axial:
                if heaviest is None or cut.power_w > heaviest[0].power_w:
                    heaviest = (cut, area / width, speed)
                turn_n = max(turn_n, cut.once_per_turn_n)
                broke = cut.peak_n * max(cut.teeth_in_cut, 1.0) > strength
            in_cut += 1
            fz = feed / (speed * kind.teeth)
            torques[tick] = cut.torque_nm * (BREAKING_SPIKE if broke else 1.0)
            power += cut.power_w
            chip_load += fz * cut.power_w  # a retract at rapid still shares its first tick with the cut
            chip += cut.chip_mm
            speed_sum += speed
            tooth = max(tooth, cut.peak_n if not axial else 0.15 * cut.peak_n)
            forces[tick] = _axis_force(cut, steps[tick] / travel, axial)
            widths += width
        worst = QUIET
        if heaviest is not None:
            cut, depth, speed = heaviest
            tooth_hz = speed / 60.0 * kind.teeth
            worst = chatter(depth, material.specific_force(cut.chip_mm), cut.teeth_in_cut, tooth_hz, physics.damping)
        if broke:
            tool.broken = True
            engagement.clear()
        life_used = 0.0
        if in_cut:
            # Conditions hardly change within a block: its means decide how much of the edge's life it takes.
            vc = math.pi * kind.diameter_mm * speed_sum / in_cut / 1000.0
            share = widths / in_cut / kind.diameter_mm
            life = life_min(material.taylor_c, kind.edge, vc, chip_load / power, kind.nominal_fz_mm, share)
            life_used = in_cut * TICK_S / (60.0 * life)
        tool.nominal_used += life_used
        tool.used += life_used / tool.life_scatter * physics.wear_rate * coolant_wear * (1.0 + CHATTER_WEAR * worst.growth)
        tool.cutting_time_s += in_cut * TICK_S
        n = max(in_cut, 1)
        edge_speed = math.pi * kind.diameter_mm * (speed_sum / n if in_cut else speeds_rpm[-1]) / 1000.0
        return CutBlock(
            torque_nm=torques,
            force_n=np.repeat(np.array(forces), SAMPLES_PER_TICK, axis=0) if in_cut else None,
            in_cut_s=in_cut * TICK_S,
            chip_load_mm=min(chip_load / power, 2.0) if power > 0.0 else 0.0,
            cutting_speed_m_min=edge_speed,
            tooth_force_n=tooth,
            power_w=power / TICKS,
            removed_mm3=sum(volume),
            chip_mm=chip / n,
            area_mm2=engagement.area_mm2,
            depth_mm=engagement.depth_mm,
            once_per_turn_n=turn_n,
            chatter=worst,
            roughness_um=roughness_um(kind, chip_load / power, wear_mm, physics.edge_chipped, worst.growth) if power > 0.0 else 0.0,
            broke=broke,
        )


def _may_touch(tips_mm: Floats, tool: Tool, stock: Stock) -> bool:
    blank, r = stock.blank, tool.type.diameter_mm / 2.0
    low, high = tips_mm.min(axis=0), tips_mm.max(axis=0)
    return bool(
        low[2] < blank.high[2]
        and high[0] > blank.low[0] - r
        and low[0] < blank.high[0] + r
        and high[1] > blank.low[1] - r
        and low[1] < blank.high[1] + r
    )


_NO_FORCE: Final = (0.0, 0.0, 0.0)


def _axis_force(cut: Cut, along: Floats, axial: bool) -> tuple[float, float, float]:
    """Force of the cut on X, Y, Z for a unit vector of the path: against the feed, across it, and up the spindle."""
    ft = cut.tangential_n
    x, y = float(along[0]), float(along[1])
    if axial:
        return (0.0, 0.0, DRILL_THRUST * ft)
    return (ft * (-FEED_FORCE * x - NORMAL_FORCE * y), ft * (-FEED_FORCE * y + NORMAL_FORCE * x), AXIAL_FORCE * ft)
