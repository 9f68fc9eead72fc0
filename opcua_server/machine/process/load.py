"""What a block asks of the edge by its geometry alone, and what comes of it with the edge that is there.

    stock, engagement, path, tool, speed  --> Load          worked out once, remembered with the stamp that it belongs to
    Load, flank wear, chipped tooth ...   --> power, force

A worn flank adds a force that grows with VB, so the power of a tick is a straight line in VB: two numbers. Everything else of the
cut follows from the power by factors that do not change from part to part.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.process.cutting import Cut, drilling, milling, together
from opcua_server.machine.process.materials import Material
from opcua_server.machine.process.stability import bites
from opcua_server.machine.process.wear import at_speed_min, of_width
from opcua_server.machine.tools import ToolType

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

TICKS: Final = 10
TICK_S: Final = 0.01
FEED_FORCE: Final = 0.55
NORMAL_FORCE: Final = 0.35
AXIAL_FORCE: Final = 0.20
"""Forces on the axes against the tangential force of the edge, mean over a turn (sharp 30 degree helix)."""
DRILL_THRUST: Final = 1.1
DRILL_TOOTH: Final = 0.15
"""Of a drill's force that shakes: its edges stay in cut."""
FORCES: Final = slice(3, 6)
"""Rows of a load that are forces on the axes by power; before them are power (sharp, blunt) and what shakes."""


@dataclass(frozen=True, slots=True)
class Load:
    """The ticks of a block that cut, ``n`` of them. Thousands are kept, so that what is known of each tick is one array."""

    tool: ToolType
    material: Material
    speed_rpm: float
    ticks: npt.NDArray[np.int8]
    """Which of the block's (n,)."""
    rows: Floats
    """(14, n), each row a property below, which is (n,)."""
    whole: Sums = field(init=False)
    """Of all ticks: most blocks have nothing that ends them early."""
    hardest: tuple[float, float] = field(init=False)
    """Greatest force that may break the tool: of a new edge, and by flank wear. At most their sum comes together."""
    most_w: tuple[float, float] = field(init=False)
    """As ``hardest``, of the power."""
    bites_n_mm: float = field(init=False)
    """Greatest load that may excite chatter."""
    torque_nm_w: float = field(init=False)
    """Torque by power."""
    at_speed_min: float = field(init=False)
    """Life of the edge at this cutting speed."""
    by_tick: Floats = field(init=False)
    """The first rows, with what shakes and forces, at all ticks of the block (6, TICKS), 0 where it does not cut."""
    figures: tuple[float, ...] = field(init=False)
    """``FIGURES`` values that ``edges`` needs of it."""

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "whole", self.sums(len(self.ticks)))
        put(self, "hardest", (float((self.sharp_w * self.bends_n_w).max()), float((self.blunt_w * self.bends_n_w).max())))
        put(self, "most_w", (float(self.sharp_w.max()), float(self.blunt_w.max())))
        put(self, "torque_nm_w", 60.0 / (2.0 * math.pi * self.speed_rpm))
        edge_speed = math.pi * self.tool.diameter_mm * self.speed_rpm / 1000.0
        put(self, "at_speed_min", at_speed_min(self.material.taylor_c, self.tool.edge, edge_speed))
        loads = bites(self.depth_mm, self.specific_n_mm2, self.teeth_in_cut)
        first = self.rows[: FORCES.stop]
        if len(self.ticks) < TICKS:
            at_ticks = np.zeros((FORCES.stop, TICKS))
            at_ticks[:, self.ticks] = first
            first = at_ticks
        put(self, "by_tick", first)
        all_ = self.whole
        put(self, "figures", (
            all_.sharp_w, all_.blunt_w, all_.sharp_feed, all_.blunt_feed, float(all_.count), all_.travel_mm, all_.width,
            all_.chip_mm, self.torque_nm_w, self.at_speed_min,
        ))  # fmt: skip
        put(self, "bites_n_mm", float(np.where(self.mills, loads, 0.0).max()))

    def power_w(self, wear_mm: float) -> Floats:
        """Of an edge with some flank wear (n,)."""
        power: Floats = self.rows[1] * wear_mm
        power += self.rows[0]
        return power

    @property
    def sharp_w(self) -> Floats:
        """Power of a new edge."""
        row: Floats = self.rows[0]
        return row

    @property
    def blunt_w(self) -> Floats:
        """What each mm of flank wear adds to it."""
        row: Floats = self.rows[1]
        return row

    @property
    def shakes_n_w(self) -> Floats:
        """Force of one tooth that excites the tooth-passing line, by power."""
        row: Floats = self.rows[2]
        return row

    @property
    def force_n_w(self) -> Floats:
        """Forces on X, Y, Z by power (3, n): against the feed, across it, and up the spindle."""
        row: Floats = self.rows[FORCES]
        return row

    @property
    def bends_n_w(self) -> Floats:
        """Force on the teeth in cut that may break the tool, by power; 0 where it cuts along its axis."""
        row: Floats = self.rows[6]
        return row

    @property
    def turns_n_w(self) -> Floats:
        """Force that is missed once per turn where a tooth is gone, by power; 0 where it cuts along its axis."""
        row: Floats = self.rows[7]
        return row

    @property
    def feed_mm_min(self) -> Floats:
        row: Floats = self.rows[8]
        return row

    @property
    def depth_mm(self) -> Floats:
        row: Floats = self.rows[9]
        return row

    @property
    def width_mm(self) -> Floats:
        row: Floats = self.rows[10]
        return row

    @property
    def chip_mm(self) -> Floats:
        row: Floats = self.rows[11]
        return row

    @property
    def specific_n_mm2(self) -> Floats:
        """kc."""
        row: Floats = self.rows[12]
        return row

    @property
    def teeth_in_cut(self) -> Floats:
        row: Floats = self.rows[13]
        return row

    @property
    def mills(self) -> Flags:
        """Whether it does not cut along the axis."""
        return self.bends_n_w > 0.0

    def sums(self, count: int) -> Sums:
        """Of the first ``count`` ticks."""
        feed, sharp, blunt = self.feed_mm_min[:count], self.sharp_w[:count], self.blunt_w[:count]
        return Sums(
            count=count,
            sharp_w=float(sharp.sum()),
            blunt_w=float(blunt.sum()),
            sharp_feed=float((feed * sharp).sum()),
            blunt_feed=float((feed * blunt).sum()),
            travel_mm=float(feed.sum()) * (TICK_S / 60.0),
            width=of_width(float(self.width_mm[:count].sum()) / count / self.tool.diameter_mm),
            chip_mm=float(self.chip_mm[:count].sum()) / count,
        )


FIGURES: Final = 10
NO_LOAD: Final = (0.0,) * 6 + (1.0, 0.0, 0.0, 1.0)
"""Figures of a block without a cut."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Over the first ``count`` ticks: power of a new edge and what a mm of wear adds, both also times the feed; means."""

    count: int
    sharp_w: float
    blunt_w: float
    sharp_feed: float
    blunt_feed: float
    travel_mm: float
    width: float
    """Factor on the life of the edge by the mean width of the cut."""
    chip_mm: float


def load(
    material: Material, kind: ToolType, speed_rpm: float, ticks: npt.NDArray[np.intp], steps_mm: Floats, travels_mm: Floats,
    areas_mm2: Floats, depths_mm: Floats, axial: Flags,
) -> Load:  # fmt: skip
    """Of the ``ticks`` that cut: their ways (n, 3) and lengths, cross sections and depths, and which cut along the axis."""
    feed = travels_mm * (60.0 / TICK_S)
    width = np.minimum(areas_mm2 / np.maximum(depths_mm, 1e-3), kind.diameter_mm)
    depth = areas_mm2 / width
    mills = ~axial

    def cut(wear_mm: float) -> Cut:
        milled, drilled = feed[mills], feed[axial]
        if not drilled.size:
            return milling(material, kind.diameter_mm, kind.teeth, speed_rpm, feed, depth, width, wear_mm)
        if not milled.size:
            return drilling(material, kind.diameter_mm, kind.teeth, speed_rpm, feed, areas_mm2, wear_mm)
        return together(
            axial,
            drilling(material, kind.diameter_mm, kind.teeth, speed_rpm, drilled, areas_mm2[axial], wear_mm),
            milling(material, kind.diameter_mm, kind.teeth, speed_rpm, milled, depth[mills], width[mills], wear_mm),
        )

    sharp = cut(0.0)
    per_w = 60_000.0 / (math.pi * kind.diameter_mm * speed_rpm)
    tooth_n_w = per_w / np.maximum(sharp.teeth_in_cut, 0.05)
    rows = (
        sharp.power_w,
        cut(1.0).power_w - sharp.power_w,
        np.where(axial, DRILL_TOOTH, 1.0) * tooth_n_w,
        *_axis_forces(per_w, (steps_mm / travels_mm[:, None]).T, axial),
        np.where(axial, 0.0, np.maximum(sharp.teeth_in_cut, 1.0)) * tooth_n_w,
        np.where(axial, 0.0, np.minimum(sharp.teeth_in_cut, 1.0)) * tooth_n_w,
        feed,
        depth,
        width,
        sharp.chip_mm,
        material.specific_force(sharp.chip_mm),
        sharp.teeth_in_cut,
    )
    return Load(kind, material, speed_rpm, ticks.astype(np.int8), np.array(rows))


def _axis_forces(per_w: float, along: Floats, axial: Flags) -> Floats:
    """On X, Y, Z by power, for unit vectors of the path (3, n)."""
    x, y, _ = along
    forces = np.empty_like(along)
    forces[0] = np.where(axial, 0.0, -FEED_FORCE * x - NORMAL_FORCE * y)
    forces[1] = np.where(axial, 0.0, -FEED_FORCE * y + NORMAL_FORCE * x)
    forces[2] = np.where(axial, DRILL_THRUST, AXIAL_FORCE)
    forces *= per_w
    return forces
