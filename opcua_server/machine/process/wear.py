"""Flank wear of an edge: how long it lives (Taylor), and what its flank looks like on the way (VB curve).

    VB ^                      .        life is used up in proportion to time in cut at each condition (Miner's rule):
       |                   . '             d(used)/dt = 1 / T(vc, fz, ae, ap)
       |        . . - ' '             and VB follows from the share used: fast break-in, steady wear, acceleration.
       |  . '                         VB = 0.3 mm, the criterion of ISO 8688-2, is reached at used = 1.
       +------------------------> used

The three-phase shape is that of measured milling runs (PHM 2010 data: break-in of a few per cent of life, end exponent 2.3).
Edges of one box differ: life is scattered lognormally with a coefficient of variation of 0.25.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

CRITERION_MM: Final = 0.3
LIFE_SCATTER_SIGMA: Final = 0.2462
"""Sigma of ln(life) for a coefficient of variation of 0.25: sqrt(ln(1 + 0.25^2))."""
TAYLOR_N: Final = {"carbide": 0.25, "hss": 0.125}
HSS_SPEED_RATIO: Final = 0.16
"""vc at which an HSS edge lives a minute, against coated carbide."""

_BREAK_IN_SHARE: Final = 0.22
_BREAK_IN_LIFE: Final = 0.034
_END_EXPONENT: Final = 2.30


def flank_wear_mm(used: float) -> float:
    """VB in mm after a share ``used`` of the edge's life; grows without bound beyond 1."""
    break_in = _BREAK_IN_SHARE * (1.0 - math.exp(-used / _BREAK_IN_LIFE))
    steady = (1.0 - _BREAK_IN_SHARE) * (0.55 * used + 0.45 * used**_END_EXPONENT)
    return float(CRITERION_MM * (break_in + steady))


def life_min(taylor_c: float, edge: str, vc_m_min: float, fz_mm: float, nominal_fz_mm: float, depth_ratio: float) -> float:
    """T in minutes of time in cut: (C / vc)^(1/n), shorter at more than the nominal chip load and depth.

    ``depth_ratio``: width of cut over the diameter, 0 to 1; 0.5 is nominal. ``edge``: "carbide" or "hss".
    """
    return life_at(at_speed_min(taylor_c, edge, vc_m_min), fz_mm, nominal_fz_mm, of_width(depth_ratio))


def at_speed_min(taylor_c: float, edge: str, vc_m_min: float) -> float:
    """T by the cutting speed alone."""
    n = TAYLOR_N[edge]
    c = taylor_c * (HSS_SPEED_RATIO if edge == "hss" else 1.0)
    return float((c / max(vc_m_min, 1.0)) ** (1.0 / n))


def of_width(depth_ratio: float) -> float:
    """Factor on T by the width of cut."""
    return float((max(depth_ratio, 0.05) / 0.5) ** -0.2)


SHORTEST_MIN: Final = 0.5
LONGEST_MIN: Final = 600.0
_BY_CHIP_LOAD: Final = -0.6


def life_at(at_speed: float, fz_mm: float, nominal_fz_mm: float, width: float) -> float:
    """T by what ``at_speed_min`` and ``of_width`` say and by the chip load."""
    life: float = at_speed * (max(fz_mm, 0.2 * nominal_fz_mm) / nominal_fz_mm) ** _BY_CHIP_LOAD
    life *= width
    return min(max(life, SHORTEST_MIN), LONGEST_MIN)


def lives_at(at_speed: Floats, chip_ratio: Floats, width: Floats) -> Floats:
    """As ``life_at`` of many edges (n,); ``chip_ratio``: chip load over nominal, at least 0.2."""
    # Number by number: numpy's own power rounds now and then as no other does.
    life: Floats = np.array([ratio**_BY_CHIP_LOAD for ratio in chip_ratio.tolist()])
    life *= at_speed
    life *= width
    return np.minimum(np.maximum(life, SHORTEST_MIN), LONGEST_MIN)
