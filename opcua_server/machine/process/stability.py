r"""Chatter: how deep a cut may be before it excites the spindle nose by its own waves (regeneration, one mode).

    depth ^   \    /\      /  \          Each tooth cuts the waves that the one before it left. Whether that feeds the vibration
          |    \  /  \    /    \         depends on the phase between both, which is the speed's: lobes. Below the lowest point
          |     \/    \  /      \        of the lobes (twice the static stiffness times the damping) every speed is stable.
          |            \/
          '--------------------> speed

With G the compliance of the mode, r = f / fn: a cut of depth b vibrates steadily at f when b = -1 / (2 Ks N Re G(f)) and the
tooth period holds a whole number of waves and the rest epsilon / 2 pi with epsilon = 3 pi + 2 arg G (Tlusty, Altintas).
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

NATURAL_HZ: Final = 650.0
STIFFNESS_N_MM: Final = 84_000.0
"""Of the nose with a holder of ordinary length; order of magnitude of 40-taper spindles, 50-150 N/um."""
DAMPING: Final = 0.06
DIRECTION: Final = 0.2
"""Share of the cutting force that pushes along the surface normal and the mode, for a helical tool."""


@dataclass(frozen=True, slots=True)
class Limit:
    """``force_n_mm``: stable limit of depth times specific force times teeth in cut, N/mm; ``chatter_hz``: the line beyond it."""

    force_n_mm: float
    chatter_hz: float


@functools.lru_cache(maxsize=4096)
def limit(tooth_hz: float, damping: float) -> Limit:
    """The limit at a tooth-passing frequency in Hz and a damping ratio. Callers round both, so that this is a table in effect."""
    # As far as one wave more: the next whole number of waves is in there, however weak the damping.
    ratio = 1.0 + np.geomspace(1e-3 * damping, max(12.0 * damping, 1.2 * tooth_hz / NATURAL_HZ), 1000)
    real = (1.0 - ratio**2) / ((1.0 - ratio**2) ** 2 + (2.0 * damping * ratio) ** 2)
    imaginary = -2.0 * damping * ratio / ((1.0 - ratio**2) ** 2 + (2.0 * damping * ratio) ** 2)
    phase = 3.0 * math.pi + 2.0 * np.arctan2(imaginary, real)
    waves = ratio * NATURAL_HZ / tooth_hz - phase / (2.0 * math.pi)
    bounds = -STIFFNESS_N_MM / (2.0 * DIRECTION * real)
    whole = np.floor(waves)
    crossed = np.flatnonzero(np.diff(whole) != 0.0)
    if not crossed.size:
        return Limit(math.inf, NATURAL_HZ)
    best = crossed[int(np.argmin(bounds[crossed]))]
    return Limit(float(bounds[best]), float(ratio[best]) * NATURAL_HZ)


@dataclass(frozen=True, slots=True)
class Chatter:
    """How a cut chatters: ``growth`` 0 stable to 1 fully developed, at ``frequency_hz``."""

    growth: float
    frequency_hz: float


QUIET: Final = Chatter(0.0, NATURAL_HZ)


def bites(depth_mm: Floats, specific_force_n_mm2: Floats, teeth_in_cut: Floats) -> Floats:
    """How hard cuts hold on to the tool, N/mm: what ``Limit`` bounds."""
    return depth_mm * specific_force_n_mm2 * np.maximum(teeth_in_cut, 0.3)


def lowest_n_mm(damping: float) -> float:
    """What is stable at any speed; ``damping``: of nominal."""
    return 2.0 * STIFFNESS_N_MM * DAMPING * damping * (1.0 + DAMPING * damping) / DIRECTION


def chatter(depth_mm: float, specific_force_n_mm2: float, teeth_in_cut: float, tooth_hz: float, damping: float) -> Chatter:
    """Of a milling cut; ``damping``: of nominal. Vibration grows until the tooth leaves the cut, so it is bounded by the chip."""
    load = depth_mm * specific_force_n_mm2 * max(teeth_in_cut, 0.3)
    if load <= lowest_n_mm(damping) or tooth_hz < 10.0:
        return QUIET
    found = limit(round(tooth_hz, 1), round(DAMPING * damping, 4))
    if load <= found.force_n_mm:
        return QUIET
    return Chatter(math.sqrt(1.0 - found.force_n_mm / load), found.chatter_hz)
