"""The cut of one block of 100 ms: stock removal, force on spindle and axes, and what the edge lost.

    commanded path --10 ms ticks--> stamp the stock --engagement--> Kienzle --> torque on the spindle, force on the axes
                                                         |
                                                         '--> Taylor life --> wear of the edge --> more force

Ticks are 10 ms of machine time, so the volume that is removed does not depend on how time was asked for.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.physics import Physics
from opcua_server.machine.process.cutting import chipped_tooth
from opcua_server.machine.process.load import TICK_S, TICKS, Load, load
from opcua_server.machine.process.removals import Removal
from opcua_server.machine.process.stability import QUIET, Chatter, chatter, lowest_n_mm
from opcua_server.machine.process.stock import Engagement, Stock
from opcua_server.machine.process.surface import roughness_um
from opcua_server.machine.process.ticks import Ticks
from opcua_server.machine.process.tips import PLACE_BYTES, SAMPLES_PER_TICK, Tips
from opcua_server.machine.process.wear import life_at
from opcua_server.machine.sums import added
from opcua_server.machine.tools import Tool, ToolType

Floats = npt.NDArray[np.float64]

AXIAL_SHARE: Final = 0.7
"""A path steeper than this (dz over travel) is drilled, not milled."""
CHATTER_WEAR: Final = 0.8
"""How much faster an edge wears in fully grown chatter."""
MOST_CHIP_MM: Final = 2.0
"""Load of a tooth that is shown at the most."""
CUTS_FROM_RPM: Final = 30.0
"""A slower spindle makes no chips."""
STANDS_BELOW_RPM: Final = 1.0
"""Edges of a slower spindle are pushed through the work. What has only one may stand with it turned away from the wall, as boring
bars do."""
BREAKING_SPIKE: Final = 2.5
"""Torque in the moment a tool breaks, of that of the cut that broke it."""


@dataclass(slots=True)
class CutBlock:
    """One block of cutting. What it has at each tick of the block is worked out when it is asked for."""

    cutting_speed_m_min: float = 0.0
    removed_mm3: float = 0.0
    ticks: Ticks | None = None
    """None without a cut."""
    in_cut_s: float = 0.0
    chip_load_mm: float = 0.0
    power_w: float = 0.0
    """Mean over the block, at the edge."""
    mean_torque_nm: float = 0.0
    most_torque_nm: float = 0.0
    """It has no more at any tick."""
    chip_mm: float = 0.0
    area_mm2: float = 0.0
    depth_mm: float = 0.0
    once_per_turn_n: float = 0.0
    chatter: Chatter = QUIET
    """The strongest of the block."""
    roughness_um: float = 0.0
    """Ra that the cut leaves; 0 without a cut."""
    broke: bool = False
    """Whether the tool broke in this block."""

    @property
    def torque_nm(self) -> list[float]:
        """At each tick, N m."""
        return IDLE if self.ticks is None else self.ticks.torque_nm

    @property
    def force_n(self) -> Floats:
        """On the axes at each tick (3, TICKS), N."""
        return NO_FORCE if self.ticks is None else self.ticks.force_n

    @property
    def tooth_force_n(self) -> float:
        """Of one tooth, as it excites the tooth-passing line."""
        return 0.0 if self.ticks is None else self.ticks.tooth_n


IDLE: Final = [0.0] * TICKS
NO_FORCE: Final[Floats] = np.zeros((3, TICKS))
NO_CUT: Final = CutBlock()


@functools.lru_cache(maxsize=256)
def _passing(edge_speed_m_min: float) -> CutBlock:
    """Of a tool that turns in the air."""
    return CutBlock(edge_speed_m_min)


def edge_speed_m_min(kind: ToolType, speed_rpm: float) -> float:
    """Cutting speed of a tool."""
    return math.pi * kind.diameter_mm * speed_rpm / 1000.0


class Process:
    """What the tool does to the work piece. Owned by one machine."""

    def __init__(self, stock: Stock | None = None) -> None:
        self.stock = stock
        self.engagement = Engagement()
        self._last_tip = b""
        """Bytes of where the tool was last."""
        self._last: tuple[Removal, Pass] | None = None
        """What it took on its way there, and how; None where it met nothing."""

    def new_stock(self, stock: Stock | None) -> None:
        """Another blank on the table."""
        self.stock, self._last = stock, None
        self.engagement.clear()

    def step(self, tips: Tips, tool: Tool | None, speed_rpm: float, physics: Physics, coolant_wear: float) -> CutBlock:
        """Cut along ``tips``: ``way`` and ``cut``."""
        return self.cut(self.way(tips, tool, speed_rpm), tool, speed_rpm, physics, coolant_wear)

    def way(self, tips: Tips, tool: Tool | None, speed_rpm: float) -> Pass | None:
        """The way of a tool along ``tips``, as far as it is a matter of geometry; None where it meets nothing."""
        path, last = tips.path, self._last
        before, self._last_tip, self._last = self._last_tip or path[:PLACE_BYTES], tips.last, None
        stock, engagement = self.stock, self.engagement
        if tool is None or stock is None or tool.type.teeth == 0 or tool.broken:
            engagement.clear()
            return None
        kind = tool.type
        radius = kind.diameter_mm / 2.0
        removal: Removal | None
        passed: Pass | None
        if last is not None and last[0].state == stock.state and (then := last[0].then) is not None:
            # Most ways follow the one that they followed in the part before.
            way, along, of, at_rpm, removal, passed = then
            if along is tips and way is last[1] and of is kind and at_rpm == speed_rpm:
                stock.follow(removal)
                self._last = removal, passed
                engagement.area_mm2, engagement.moment, engagement.depth_mm = passed.engagement
                return passed
        removal = stock.known(path, radius)
        if removal is None:
            if not _may_touch(tips, radius, stock):
                engagement.clear()
                return None
            removal = stock.take(tips.places_mm, path, radius)
        # What else a cut depends on, but for the state of the edge: with all that equal it is the cut of the part before.
        key = (engagement.state, before, id(kind), speed_rpm)
        passed = removal.found(key)
        if passed is None:
            passed = self._pass(stock, removal.volumes, removal.moments, tips.places_mm, before, tool, speed_rpm)
            removal.remember(key, passed)
        if last is not None:
            last[0].then = (last[1], tips, kind, speed_rpm, removal, passed)
        self._last = removal, passed
        engagement.area_mm2, engagement.moment, engagement.depth_mm = passed.engagement
        return passed

    def cut(
        self, way: Pass | None, tool: Tool | None, speed_rpm: float, physics: Physics, coolant_wear: float, *, stalled: bool = False
    ) -> CutBlock:
        """What the edge does on its way, and what it loses. ``coolant_wear``: how much faster it wears than well cooled;
        ``stalled``: the spindle stands because of the cut, and its drive stops the feed before the edge gives way."""
        if tool is None:
            return NO_CUT
        edge_speed = edge_speed_m_min(tool.type, speed_rpm)
        if way is None or (way.load is None and not way.removed_mm3):
            return _passing(edge_speed)
        if way.load is None:
            broke = not stalled and way.pushed_n > tool.strength_n(tool.flank_wear_mm) * physics.tool_strength
            if broke:
                self._break(tool)
            return CutBlock(edge_speed, way.removed_mm3, broke=broke)
        return self._cut(way, way.load, tool, edge_speed, physics, coolant_wear)

    def _pass(
        self, stock: Stock, volume: Floats, moment: Floats, tips_mm: Floats, before: bytes, tool: Tool, speed_rpm: float
    ) -> Pass:
        """The tool's way along ``tips_mm`` from ``before``, as far as it is a matter of geometry."""
        engagement, kind = self.engagement, tool.type
        touched = bool(volume.any())
        if engagement.area_mm2 == 0.0 and not touched:
            return Pass(kind, engagement.state, 0.0, None)
        steps = np.empty_like(tips_mm)
        np.subtract(tips_mm[1:], tips_mm[:-1], out=steps[1:])
        np.subtract(tips_mm[0], np.frombuffer(before), out=steps[0])
        travels: Floats = np.sqrt(np.einsum("ij,ij->i", steps, steps))
        steep = np.abs(steps[:, 2]) > AXIAL_SHARE * travels
        if touched and steep.any():
            share = np.where(steep, stock.disc_share(float(tips_mm[-1, 0]), float(tips_mm[-1, 1]), kind.diameter_mm / 2.0), 1.0)
            volume, moment = volume * share, moment * share
        areas, depths = engagement.follow(volume, moment, travels, 2.0 * stock.cell_mm)
        removed, cutting = float(volume.sum()), np.flatnonzero((travels > 1e-6) & (areas > 0.0))
        if not cutting.size:
            return Pass(kind, engagement.state, removed, None)
        if speed_rpm < CUTS_FROM_RPM:
            pushed_n = 0.0
            if speed_rpm < STANDS_BELOW_RPM and kind.teeth > 1:
                # What is drawn up leaves by the hole that it came in by.
                pushed_n = stock.blank.material.kc11 * float(areas[(volume > 0.0) & (steps[:, 2] <= 0.0)].max(initial=0.0))
            return Pass(kind, engagement.state, removed, None, pushed_n)
        axial = steep if not kind.cuts_along_axis else np.ones_like(steep)
        cut = load(
            stock.blank.material, kind, speed_rpm, cutting, steps[cutting], travels[cutting], areas[cutting], depths[cutting],
            axial[cutting],
        )  # fmt: skip
        return Pass(kind, engagement.state, removed, cut)

    def _cut(self, way: Pass, cut: Load, tool: Tool, edge_speed: float, physics: Physics, coolant_wear: float) -> CutBlock:
        """What comes of it with the edge that the tool has."""
        kind, sums, (area_mm2, _, depth_mm) = tool.type, cut.whole, way.engagement
        wear_mm, chipped = tool.flank_wear_mm, physics.edge_chipped
        broke, strength = False, tool.strength_n(wear_mm) * physics.tool_strength
        if cut.hardest[0] + cut.hardest[1] * wear_mm > strength:
            breaks = cut.power_w(wear_mm) * cut.bends_n_w > strength
            if breaks.any():
                broke, sums = True, cut.sums(int(breaks.argmax()) + 1)
                self._break(tool)
                area_mm2 = depth_mm = 0.0
        count, worst = sums.count, QUIET
        if cut.bites_n_mm > lowest_n_mm(physics.damping):
            power = cut.power_w(wear_mm)[:count]
            heaviest = int(np.where(cut.mills[:count], power, -1.0).argmax())
            if cut.mills[heaviest] and power[heaviest] > 0.0:
                worst = chatter(
                    float(cut.depth_mm[heaviest]), float(cut.specific_n_mm2[heaviest]), float(cut.teeth_in_cut[heaviest]),
                    cut.speed_rpm / 60.0 * kind.teeth, physics.damping,
                )  # fmt: skip
        total, fed, turn_n = sums.sharp_w + sums.blunt_w * wear_mm, sums.sharp_feed + sums.blunt_feed * wear_mm, 0.0
        spike = BREAKING_SPIKE if broke else 1.0
        ticks = Ticks(cut, wear_mm, count, spike)
        if chipped > 0.0 and kind.teeth > 1:
            less, doubled = chipped_tooth(cut.material, kind.teeth, chipped)
            power, tooth_n = ticks.power_w, ticks.tooth_n
            turn_n = float((power * cut.turns_n_w[:count]).max()) * doubled
            power[cut.mills[:count]] *= less
            total, fed = float(power.sum()), float((cut.feed_mm_min[:count] * power).sum())
            ticks = Ticks(cut, wear_mm, count, spike, power, tooth_n)
        # A retract at rapid still shares its first tick with the cut: the mean chip load is that of the power.
        chip_load = fed / (cut.speed_rpm * kind.teeth) / total if total > 0.0 else 0.0
        # Conditions hardly change within a block: its means decide how much of the edge's life it takes.
        life = life_at(cut.at_speed_min, chip_load, kind.nominal_fz_mm, sums.width)
        used = count * TICK_S / (60.0 * life)
        tool.nominal_used += used
        tool.used += used / tool.life_scatter * physics.wear_rate * coolant_wear * (1.0 + CHATTER_WEAR * worst.growth)
        tool.cutting_time_s += count * TICK_S
        tool.cut_mm += sums.travel_mm
        mean_nm, most_nm = total * cut.torque_nm_w / TICKS, (cut.most_w[0] + cut.most_w[1] * wear_mm) * cut.torque_nm_w
        if broke:
            mean_nm, most_nm = added(ticks.torque_nm) / TICKS, max(ticks.torque_nm)
        return CutBlock(
            cutting_speed_m_min=edge_speed,
            removed_mm3=way.removed_mm3,
            ticks=ticks,
            in_cut_s=count * TICK_S,
            chip_load_mm=min(chip_load, MOST_CHIP_MM),
            power_w=total / TICKS,
            mean_torque_nm=mean_nm,
            most_torque_nm=most_nm,
            chip_mm=sums.chip_mm,
            area_mm2=area_mm2,
            depth_mm=depth_mm,
            once_per_turn_n=turn_n,
            chatter=worst,
            roughness_um=roughness_um(kind, chip_load, wear_mm, chipped, worst.growth) if total > 0.0 else 0.0,
            broke=broke,
        )

    def _break(self, tool: Tool) -> None:
        """It goes through air from now on."""
        tool.broken = True
        self.engagement.clear()
        self._last = None


@dataclass(frozen=True, slots=True)
class Pass:
    """A block's way through the stock: how the tool is engaged after it, what it removed, and its load where it cuts."""

    tool: ToolType
    """Kept, so that no other may get its identity."""
    engagement: tuple[float, float, float]
    removed_mm3: float
    load: Load | None
    pushed_n: float = 0.0
    """Greatest force on the edges of a spindle that stands; 0 where it turns, or meets nothing."""


def _may_touch(tips: Tips, radius_mm: float, stock: Stock) -> bool:
    """Whether the box around the tool's way meets that of the blank."""
    low, high = stock.blank.low, stock.blank.high
    (x_low, y_low, z_low), (x_high, y_high, _) = tips.box
    return (
        z_low < high[2]
        and x_high > low[0] - radius_mm
        and x_low < high[0] + radius_mm
        and y_high > low[1] - radius_mm
        and y_low < high[1] + radius_mm
    )


__all__ = ["SAMPLES_PER_TICK", "CutBlock", "Process", "Tips"]
