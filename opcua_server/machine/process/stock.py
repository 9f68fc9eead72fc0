"""The work piece as a height map (Z-map), and what each stamp of the tool takes away.

      z ^   ______            One height per cell, work coordinates. A stamp lowers every cell under the tool to the tool's
        |  |      |__tool__   bottom; the volume it takes is the truth from which depth, width and rate of the cut follow.
        |__|______|________   A flat bottom stands for every tool: what matters here is the load, not the surface.
           x ->

Cells are taken whole, so a fine feed removes them in bursts; ``Engagement`` spreads them over about one cell of travel.
The volume stays exact.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.process.materials import DEFAULT, MATERIALS, Material

Floats = npt.NDArray[np.float64]

STOCK_COMMENT: Final = re.compile(
    r"\(\s*STOCK\s+(?P<material>[A-Z0-9]+)\s+"
    r"X(?P<x0>[-\d.]+)\s+Y(?P<y0>[-\d.]+)\s+Z(?P<z0>[-\d.]+)\s+TO\s+X(?P<x1>[-\d.]+)\s+Y(?P<y1>[-\d.]+)\s+Z(?P<z1>[-\d.]+)\s*\)",
    re.IGNORECASE,
)
"""``(STOCK C45 X0 Y0 Z-30 TO X120 Y80 Z1)``: material and box of the blank, mm, coordinates of the work offset in use."""

_BY_UPPER_NAME: Final = {name.upper(): material for name, material in MATERIALS.items()}


@dataclass(frozen=True, slots=True)
class Blank:
    """A work piece before the first cut: material and corners in mm, work coordinates."""

    material: Material
    low: tuple[float, float, float]
    high: tuple[float, float, float]


def read_blank(program_text: str) -> Blank | None:
    """The blank that a program's STOCK comment describes; None without one, or when it makes no sense."""
    match = STOCK_COMMENT.search(program_text)
    if match is None:
        return None
    try:
        low = (float(match["x0"]), float(match["y0"]), float(match["z0"]))
        high = (float(match["x1"]), float(match["y1"]), float(match["z1"]))
    except ValueError:
        return None
    material = _BY_UPPER_NAME.get(match["material"].upper())
    if material is None or any(a >= b for a, b in zip(low, high, strict=True)):
        return None
    return Blank(material, low, high)


def enclosing_blank(low: tuple[float, float, float], high: tuple[float, float, float]) -> Blank:
    """A blank of the default material for a program that describes none: the box its feed moves cover, cut at work zero."""
    top = max(min(high[2], 0.0), low[2] + 0.5)
    return Blank(DEFAULT, low, (max(high[0], low[0] + 1.0), max(high[1], low[1] + 1.0), top))


class Stock:
    """Heights of one work piece: ``heights: (nx, ny)`` in mm, work coordinates."""

    MOST_CELLS: Final = 40_000

    def __init__(self, blank: Blank) -> None:
        self.blank = blank
        extent_x, extent_y = blank.high[0] - blank.low[0], blank.high[1] - blank.low[1]
        self.cell_mm = max(0.5, math.sqrt(extent_x * extent_y / self.MOST_CELLS))
        nx, ny = max(1, round(extent_x / self.cell_mm)), max(1, round(extent_y / self.cell_mm))
        self.heights = np.full((nx, ny), blank.high[2], dtype=np.float64)
        self.xs = blank.low[0] + (np.arange(nx) + 0.5) * (extent_x / nx)
        self.ys = blank.low[1] + (np.arange(ny) + 0.5) * (extent_y / ny)
        self._x0, self._y0, self._dx, self._dy = blank.low[0], blank.low[1], extent_x / nx, extent_y / ny
        self.cell_area_mm2 = self._dx * self._dy

    def stamp(self, path: Floats, radius_mm: float) -> tuple[Floats, Floats]:
        """Cut with the tool at each row of ``path: (n, 3)`` (x, y, z of the tip, mm, work coordinates) in turn.

        Returns removed volume in mm3 and volume-weighted depth in mm3·mm, both ``(n,)``.
        """
        n = len(path)
        nothing = np.zeros(n)
        x_low, y_low, z_low = path.min(axis=0)
        x_high, y_high = path[:, 0].max(), path[:, 1].max()
        if z_low >= self.blank.high[2]:
            return nothing, nothing
        nx, ny = self.heights.shape
        i0 = max(0, int((x_low - radius_mm - self._x0) / self._dx))
        i1 = min(nx, int((x_high + radius_mm - self._x0) / self._dx) + 1)
        j0 = max(0, int((y_low - radius_mm - self._y0) / self._dy))
        j1 = min(ny, int((y_high + radius_mm - self._y0) / self._dy) + 1)
        if i0 >= i1 or j0 >= j1:
            return nothing, nothing
        window = self.heights[i0:i1, j0:j1]
        if window.max() <= z_low:
            return nothing, nothing
        square_x = np.square(self.xs[i0:i1] - path[:, 0, None])
        square_y = np.square(self.ys[j0:j1] - path[:, 1, None])
        under = square_x[:, :, None] + square_y[:, None, :] <= radius_mm * radius_mm
        floor = np.empty((n + 1, *window.shape))
        floor[0] = window
        floor[1:] = np.where(under, np.maximum(path[:, 2], self.blank.low[2])[:, None, None], np.inf)
        np.minimum.accumulate(floor, axis=0, out=floor)
        taken = (floor[:-1] - floor[1:]).reshape(n, -1)
        volume = taken.sum(axis=1) * self.cell_area_mm2
        depth = np.einsum("ij,ij->i", taken, taken) * self.cell_area_mm2
        window[:] = floor[-1]
        return volume, depth


@dataclass(slots=True)
class Engagement:
    """Cross section and depth of the cut, smoothed over the travel that one cell of the map is long.

    ``area_mm2`` is removed volume per mm of path (ap * ae), ``depth_mm`` the mean depth of the cells that were cut.
    """

    area_mm2: float = 0.0
    depth_mm: float = 0.0
    _moment: float = field(default=0.0, repr=False)

    def follow(self, volume_mm3: float, weighted_depth: float, travel_mm: float, smoothing_mm: float) -> None:
        """Take in one tick: what it removed over ``travel_mm`` of path."""
        if travel_mm <= 1e-9:
            return
        share = 1.0 - math.exp(-travel_mm / smoothing_mm)
        self.area_mm2 += share * (volume_mm3 / travel_mm - self.area_mm2)
        self._moment += share * (weighted_depth / travel_mm - self._moment)
        if self.area_mm2 < 1e-3:
            self.area_mm2 = self._moment = self.depth_mm = 0.0
        else:
            self.depth_mm = self._moment / self.area_mm2

    def clear(self) -> None:
        self.area_mm2 = self.depth_mm = self._moment = 0.0
