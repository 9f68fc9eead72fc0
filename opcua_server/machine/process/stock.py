"""The work piece as a height map (Z-map), and what each stamp of the tool takes away.

      z ^   ______            One height per cell, work coordinates. A stamp lowers every cell under the tool to the tool's
        |  |      |__tool__   bottom; the volume it takes is the truth from which depth, width and rate of the cut follow.
        |__|______|________   A flat bottom stands for every tool: what matters here is the load, not the surface.
           x ->

A cell is taken whole, when the tool covers its point. On a plain grid the points of a row lie in one line, so that a finishing
cut of 0.3 mm would take all of a row of 0.5 mm cells or nothing; here each point has a place of its own in its cell (an
additive sequence of two irrational steps), and a cut along any direction takes its true width within a few cells of travel.

A fine feed still removes cells in bursts; ``Engagement`` spreads them over about one cell of travel. The volume stays exact.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.process.blank import Blank
from opcua_server.machine.process.removals import REMOVALS, Removal, Removals

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Lattice:
    """The points that stand for the cells of a blank; shared by all machines that cut it. ``xs``, ``ys``: (nx, ny), mm."""

    xs: Floats
    ys: Floats
    dx_mm: float
    dy_mm: float
    cell_mm: float


STEPS: Final = (0.7548776662466927, 0.5698402909980532)
"""Steps of the points' places from row to row and column to column: powers of the plastic number's inverse, which with 1 have
no common measure, so that no direction of cut meets the same places again and again."""


@functools.lru_cache(maxsize=32)
def lattice(blank: Blank) -> Lattice:
    extent_x, extent_y = blank.high[0] - blank.low[0], blank.high[1] - blank.low[1]
    cell = max(0.5, math.sqrt(extent_x * extent_y / Stock.MOST_CELLS))
    nx, ny = max(1, round(extent_x / cell)), max(1, round(extent_y / cell))
    i, j = np.arange(nx)[:, None], np.arange(ny)[None, :]
    xs = blank.low[0] + (i + (0.5 + STEPS[0] * j) % 1.0) * (extent_x / nx)
    ys = blank.low[1] + (j + (0.5 + STEPS[1] * i) % 1.0) * (extent_y / ny)
    return Lattice(xs, ys, extent_x / nx, extent_y / ny, cell)


class Stock:
    """One work piece."""

    MOST_CELLS: Final = 160_000

    def __init__(self, blank: Blank, removals: Removals = REMOVALS) -> None:
        self.blank = blank
        self._lattice = points = lattice(blank)
        self._cells: tuple[int, int] = (len(points.xs), len(points.xs[0]))
        self._heights: Floats | None = None
        """Made when somebody needs them: a megabyte of each machine, of which a fleet that cuts known parts needs none."""
        self._owed: list[Removal] = []
        """Known stamps that the heights have not seen: nobody needs them before a stamp that is new."""
        self._removals = removals
        self.state = removals.begin(blank)
        """Number of what is left of it, as ``removals`` knows it."""
        self.cell_mm = points.cell_mm
        self.cell_area_mm2 = points.dx_mm * points.dy_mm

    @property
    def heights(self) -> Floats:
        """(nx, ny) in mm, work coordinates."""
        return self._settled().reshape(self._cells)

    def _settled(self) -> Floats:
        """All heights in a row, after all stamps that were only looked up."""
        heights = self._heights
        if heights is None:
            nx, ny = self._cells
            heights = self._heights = np.full(nx * ny, self.blank.high[2], dtype=np.float64)
        for known in self._owed:
            heights[known.cells] = known.heights
        self._owed.clear()
        return heights

    def stamp(self, path: Floats, radius_mm: float) -> tuple[Floats, Floats]:
        """Cut with the tool at each row of ``path: (n, 3)`` (x, y, z of the tip, mm, work coordinates) in turn.

        Returns removed volume in mm3 and volume-weighted depth in mm3·mm, both ``(n,)`` and not to be written to.
        """
        rows = path.tobytes()
        removal = self.known(rows, radius_mm) or self.take(path, rows, radius_mm)
        return removal.volumes, removal.moments

    def known(self, path: bytes, radius_mm: float) -> Removal | None:
        """The stamp along ``path`` if it was made before, by any machine; None when it must be made with ``take``."""
        known = self._removals.after((self.state, radius_mm, path))
        if known is not None:
            self.follow(known)
        return known

    def follow(self, known: Removal) -> None:
        """Another stamp that was made before from this very state."""
        self.state = known.state
        if known.cells is not None:
            self._owed.append(known)

    def take(self, path: Floats, rows: bytes, radius_mm: float) -> Removal:
        """Make a stamp that is not ``known``; ``rows``: the bytes of ``path``."""
        removal = self._removals.keep((self.state, radius_mm, rows), self._take(path, radius_mm))
        self.state = removal.state
        return removal

    def _take(self, path: Floats, radius_mm: float) -> Removal:
        """Lower the heights."""
        n, points = len(path), self._lattice
        nothing = Removal(np.zeros(n), np.zeros(n))
        x_low, y_low, z_low = path.min(axis=0).tolist()
        x_high, y_high, z_high = path.max(axis=0).tolist()
        if z_low >= self.blank.high[2]:
            return nothing
        z_low = max(z_low, self.blank.low[2])
        nx, ny = self._cells
        x0, y0, _ = self.blank.low
        i0 = max(0, int((x_low - radius_mm - x0) / points.dx_mm))
        i1 = min(nx, int((x_high + radius_mm - x0) / points.dx_mm) + 1)
        j0 = max(0, int((y_low - radius_mm - y0) / points.dy_mm))
        j1 = min(ny, int((y_high + radius_mm - y0) / points.dy_mm) + 1)
        if i0 >= i1 or j0 >= j1:
            return nothing
        heights = self._settled()
        window = heights.reshape(self._cells)[i0:i1, j0:j1]
        # Of the cells around the tool most are cut already or out of reach: only the rest is worth a look at each tick.
        where = np.flatnonzero(window > z_low)
        if not where.size:
            return nothing
        rows, columns = np.divmod(where, j1 - j0)
        index = (rows + i0) * ny + (columns + j0)
        x, y = points.xs.ravel()[index], points.ys.ravel()[index]
        reach = radius_mm + 0.5 * math.hypot(x_high - x_low, y_high - y_low)
        near = np.square(x - 0.5 * (x_low + x_high)) + np.square(y - 0.5 * (y_low + y_high)) <= reach * reach
        index, x, y = index[near], x[near], y[near]
        if not index.size:
            return nothing
        under = np.square(x - path[:, 0, None]) + np.square(y - path[:, 1, None]) <= radius_mm * radius_mm
        before = heights[index]
        if z_high <= z_low:
            # At one depth a cell is cut by the first tick that covers it.
            first = under.argmax(axis=0)
            cut = under[first, np.arange(len(index))]
            taken = before[cut] - z_low
            lowered = index[cut]
            heights[lowered] = z_low
            tick = first[cut]
            taken *= self.cell_area_mm2
            return Removal(_sums(tick, taken, n), _sums(tick, taken * taken / self.cell_area_mm2, n), lowered, z_low)
        floor = np.empty((n + 1, len(index)))
        floor[0] = before
        floor[1:] = np.where(under, np.maximum(path[:, 2], self.blank.low[2])[:, None], np.inf)
        np.minimum.accumulate(floor, axis=0, out=floor)
        heights[index] = floor[-1]
        each = floor[:-1] - floor[1:]
        moments = np.einsum("ij,ij->i", each, each) * self.cell_area_mm2
        return Removal(each.sum(axis=1) * self.cell_area_mm2, moments, index, floor[-1].copy())

    def disc_share(self, x_mm: float, y_mm: float, radius_mm: float) -> float:
        """Area of a disc over that of the cells whose points it covers; 1 where it reaches over the edge of the blank.

        A drill of 5 mm covers 78 cells of 0.5 mm give or take two: what it removes must not depend on where it stands.
        """
        (x0, y0, _), (x1, y1, _), points = self.blank.low, self.blank.high, self._lattice
        if x_mm - radius_mm < x0 or x_mm + radius_mm > x1 or y_mm - radius_mm < y0 or y_mm + radius_mm > y1:
            return 1.0
        i0, i1 = int((x_mm - radius_mm - x0) / points.dx_mm), int((x_mm + radius_mm - x0) / points.dx_mm) + 1
        j0, j1 = int((y_mm - radius_mm - y0) / points.dy_mm), int((y_mm + radius_mm - y0) / points.dy_mm) + 1
        away = np.square(points.xs[i0:i1, j0:j1] - x_mm) + np.square(points.ys[i0:i1, j0:j1] - y_mm)
        covered = int(np.count_nonzero(away <= radius_mm * radius_mm))
        return math.pi * radius_mm * radius_mm / (covered * self.cell_area_mm2) if covered else 1.0


def _sums(tick: npt.NDArray[np.intp], amounts: Floats, n: int) -> Floats:
    return np.bincount(tick, amounts, n).astype(np.float64, copy=False)


@dataclass(slots=True)
class Engagement:
    """Cross section and depth of the cut, smoothed over the travel that one cell of the map is long.

    ``area_mm2`` is removed volume per mm of path (ap * ae), ``depth_mm`` the mean depth of the cells that were cut.
    """

    area_mm2: float = 0.0
    depth_mm: float = 0.0
    moment: float = field(default=0.0, repr=False)

    @property
    def state(self) -> tuple[float, float, float]:
        """All that it carries on: area, moment, depth."""
        return self.area_mm2, self.moment, self.depth_mm

    def follow(
        self, volumes_mm3: Floats, weighted_depths: Floats, travels_mm: Floats, smoothing_mm: float
    ) -> tuple[Floats, Floats]:
        """Take in some ticks, what each removed over its travel. Returns area and depth after each."""
        area, moment, depth = self.area_mm2, self.moment, self.depth_mm
        areas, depths = [], []
        keeps = np.exp(travels_mm * (-1.0 / smoothing_mm)).tolist()
        for volume, weighted, travel, keep in zip(
            volumes_mm3.tolist(), weighted_depths.tolist(), travels_mm.tolist(), keeps, strict=True
        ):
            if travel > 1e-9:
                area += (1.0 - keep) * (volume / travel - area)
                moment += (1.0 - keep) * (weighted / travel - moment)
                if area < 1e-3:
                    area = moment = depth = 0.0
                else:
                    depth = moment / area
            areas.append(area)
            depths.append(depth)
        self.area_mm2, self.moment, self.depth_mm = area, moment, depth
        return np.array(areas), np.array(depths)

    def clear(self) -> None:
        self.area_mm2 = self.depth_mm = self.moment = 0.0
