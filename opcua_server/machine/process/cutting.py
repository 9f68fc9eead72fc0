"""Cutting force, torque and power from the engagement of the tool (Kienzle).

           feed ->                     phi_s   engagement angle of one tooth
        .-------.                      h_m     mean chip thickness over phi_s
    ap  | tool  |__ ae __              Q = ap * ae * vf    removed volume per time
        '-------'                      P = kc(h_m) * Q

The engagement angle is that of a cut from the side of the tool, cos(phi_s) = 1 - 2 ae / D. Wear adds a rubbing force on the
flank, Kw * VB per mm of engaged edge, which removes nothing but costs power, so that a worn tool draws more at any feed.

A chipped edge leaves its chip to the next tooth, which cuts twice the thickness there: as kc falls with thickness, the mean power
falls a little, while once per turn the force is up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.process.materials import Material

Floats = npt.NDArray[np.float64]

DRILL_POINT_SIN: Final = math.sin(math.radians(59.0))
"""Half of the 118 degree point: the chip of a drill is thinner than its feed per edge."""
FLANK_PRESSURE: Final = 180.0
"""Kw, N per mm2 of worn flank; published values are 100-300."""


Values = Floats | float
"""One moment, or several side by side."""


@dataclass(slots=True)
class Cut:
    """Cutting at one moment or several: forces in N at the edge, power in W, torque in N·m; h_m in mm."""

    chip_mm: Floats
    power_w: Floats
    torque_nm: Floats
    tangential_n: Floats
    """Mean tangential force over a revolution."""
    peak_n: Floats
    """Tangential force of one tooth at its mean chip: what excites the tooth-passing line."""
    teeth_in_cut: Floats
    once_per_turn_n: Floats
    """Amplitude of the force that comes back with each turn: one tooth has more to do than the others."""


def milling(
    material: Material, diameter_mm: float, teeth: int, speed_rpm: float, feed_mm_min: Values,
    ap_mm: Values, ae_mm: Values, flank_wear_mm: float = 0.0, chipped: float = 0.0,
) -> Cut:  # fmt: skip
    """A cut of a milling cutter: depth ap, width ae (at most the diameter), in mm; flank wear VB in mm. All but wear above 0.

    ``chipped``: share of one tooth's edge that is gone.
    """
    depth, feed = np.asarray(ap_mm, dtype=np.float64), np.asarray(feed_mm_min, dtype=np.float64)
    width = np.minimum(np.asarray(ae_mm, dtype=np.float64), diameter_mm)
    # phi_s, the engagement angle of one tooth; a full slot is pi.
    angle = np.arccos(1.0 - width * (2.0 / diameter_mm))
    # h_m: feed per tooth averaged over that angle (edge at 90 degrees).
    chip = feed * (2.0 / (speed_rpm * teeth * diameter_mm)) * width / angle
    in_cut = angle * (teeth / (2.0 * math.pi))
    cut = _cut(material, chip, depth * width * feed / 60.0, diameter_mm, speed_rpm, in_cut, depth, flank_wear_mm)
    return _with_chipped_tooth(cut, material, teeth, chipped) if chipped > 0.0 and teeth > 1 else cut


def drilling(
    material: Material, diameter_mm: float, teeth: int, speed_rpm: float, feed_mm_min: Values,
    area_mm2: Values, flank_wear_mm: float = 0.0,
) -> Cut:  # fmt: skip
    """A cut along the spindle: drill, reamer, tap or plunge that removes ``area_mm2`` of cross section. All but wear above 0.

    The force acts at half the radius where a full hole is drilled, which the volume form kc * Q has in it already.
    """
    area, feed = np.asarray(area_mm2, dtype=np.float64), np.asarray(feed_mm_min, dtype=np.float64)
    chip = feed * (DRILL_POINT_SIN / (speed_rpm * teeth))
    edge = np.minimum(area * (2.0 / (math.pi * diameter_mm)), diameter_mm / 2.0)
    in_cut = np.full_like(feed, float(teeth))
    return _cut(material, chip, area * feed / 60.0, diameter_mm, speed_rpm, in_cut, edge, flank_wear_mm)


def _cut(
    material: Material, chip_mm: Floats, removal_mm3_s: Floats, diameter_mm: float, speed_rpm: float,
    teeth_in_cut: Floats, edge_mm: Floats, flank_wear_mm: float,
) -> Cut:  # fmt: skip
    """``edge_mm``: engaged length of one edge."""
    edge_speed_m_s = math.pi * diameter_mm * speed_rpm / 60_000.0
    power_w = material.specific_force(chip_mm) * removal_mm3_s / 1000.0
    if flank_wear_mm > 0.0:
        rubbing_n = edge_mm * teeth_in_cut * (FLANK_PRESSURE * material.abrasion * flank_wear_mm)
        power_w = power_w + rubbing_n * edge_speed_m_s
    tangential_n = power_w / edge_speed_m_s
    return Cut(
        chip_mm=chip_mm,
        power_w=power_w,
        torque_nm=power_w * (60.0 / (2.0 * math.pi * speed_rpm)),
        tangential_n=tangential_n,
        peak_n=tangential_n / np.maximum(teeth_in_cut, 0.05),
        teeth_in_cut=teeth_in_cut,
        once_per_turn_n=np.zeros_like(power_w),
    )


def chipped_tooth(material: Material, teeth: int, chipped: float) -> tuple[float, float]:
    """(mean force of what it was, change of force once per turn over the force of one tooth): on the chipped share of the depth
    one tooth is missing and the next one cuts double."""
    double = 2.0 ** (1.0 - material.mc)
    # From the mean of its neighbours down by the missing tooth and up by the double one.
    return 1.0 - chipped * (2.0 - double) / teeth, 0.5 * chipped * double


def _with_chipped_tooth(cut: Cut, material: Material, teeth: int, chipped: float) -> Cut:
    less, doubled = chipped_tooth(material, teeth, chipped)
    return replace(
        cut,
        power_w=cut.power_w * less,
        torque_nm=cut.torque_nm * less,
        tangential_n=cut.tangential_n * less,
        once_per_turn_n=cut.peak_n * doubled * np.minimum(cut.teeth_in_cut, 1.0),
    )


def together(here: npt.NDArray[np.bool_], one: Cut, other: Cut) -> Cut:
    """Moments of two kinds in one row: ``one`` where ``here`` is true."""

    def merged(name: str) -> Floats:
        row = np.empty(len(here))
        row[here], row[~here] = getattr(one, name), getattr(other, name)
        return row

    return Cut(*(merged(each.name) for each in fields(Cut)))
