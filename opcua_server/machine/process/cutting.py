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
from dataclasses import dataclass, replace
from typing import Final

from opcua_server.machine.process.materials import Material

DRILL_POINT_SIN: Final = math.sin(math.radians(59.0))
"""Half of the 118 degree point: the chip of a drill is thinner than its feed per edge."""
FLANK_PRESSURE: Final = 180.0
"""Kw, N per mm2 of worn flank; published values are 100-300."""


@dataclass(frozen=True, slots=True)
class Cut:
    """Cutting at one moment: forces in N at the edge, power in W, torque in N·m; h_m in mm."""

    chip_mm: float
    power_w: float
    torque_nm: float
    tangential_n: float
    """Mean tangential force over a revolution."""
    peak_n: float
    """Tangential force of one tooth at its mean chip: what excites the tooth-passing line."""
    teeth_in_cut: float
    once_per_turn_n: float = 0.0
    """Amplitude of the force that comes back with each turn: one tooth has more to do than the others."""


NO_CUT: Final = Cut(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)


def engagement_angle(ae_mm: float, diameter_mm: float) -> float:
    """phi_s in radians for a width of cut ae; a full slot is pi."""
    return math.acos(max(-1.0, min(1.0, 1.0 - 2.0 * ae_mm / diameter_mm)))


def mean_chip(fz_mm: float, ae_mm: float, diameter_mm: float, angle: float) -> float:
    """h_m in mm: feed per tooth averaged over the engagement ``angle`` of a width ae (edge at 90 degrees)."""
    return fz_mm * 2.0 * ae_mm / (diameter_mm * angle) if angle > 0.0 else 0.0


def milling(
    material: Material, diameter_mm: float, teeth: int, speed_rpm: float, feed_mm_min: float,
    ap_mm: float, ae_mm: float, flank_wear_mm: float = 0.0, chipped: float = 0.0,
) -> Cut:  # fmt: skip
    """A cut of a milling cutter: depth ap, width ae (at most the diameter), in mm; flank wear VB in mm.

    ``chipped``: share of one tooth's edge that is gone.
    """
    if speed_rpm < 1.0 or ap_mm <= 0.0 or ae_mm <= 0.0 or feed_mm_min <= 0.0:
        return NO_CUT
    ae_mm = min(ae_mm, diameter_mm)
    angle = engagement_angle(ae_mm, diameter_mm)
    chip = mean_chip(feed_mm_min / (speed_rpm * teeth), ae_mm, diameter_mm, angle)
    in_cut = teeth * angle / (2.0 * math.pi)
    cut = _cut(material, chip, ap_mm * ae_mm * feed_mm_min / 60.0, diameter_mm, speed_rpm, in_cut, ap_mm, flank_wear_mm)
    return _with_chipped_tooth(cut, material, teeth, chipped) if chipped > 0.0 and teeth > 1 else cut


def drilling(
    material: Material, diameter_mm: float, teeth: int, speed_rpm: float, feed_mm_min: float,
    area_mm2: float, flank_wear_mm: float = 0.0,
) -> Cut:  # fmt: skip
    """A cut along the spindle: drill, reamer, tap or plunge that removes ``area_mm2`` of cross section.

    The force acts at half the radius where a full hole is drilled, which the volume form kc * Q has in it already.
    """
    if speed_rpm < 1.0 or area_mm2 <= 0.0 or feed_mm_min <= 0.0:
        return NO_CUT
    chip = feed_mm_min / (speed_rpm * teeth) * DRILL_POINT_SIN
    edge = min(area_mm2 / (math.pi * diameter_mm) * 2.0, diameter_mm / 2.0)
    return _cut(material, chip, area_mm2 * feed_mm_min / 60.0, diameter_mm, speed_rpm, float(teeth), edge, flank_wear_mm)


def _cut(
    material: Material, chip_mm: float, removal_mm3_s: float, diameter_mm: float, speed_rpm: float,
    teeth_in_cut: float, edge_mm: float, flank_wear_mm: float,
) -> Cut:  # fmt: skip
    """``edge_mm``: engaged length of one edge."""
    edge_speed_m_s = math.pi * diameter_mm * speed_rpm / 60_000.0
    shear_w = material.specific_force(chip_mm) * removal_mm3_s / 1000.0
    rubbing_n = FLANK_PRESSURE * material.abrasion * flank_wear_mm * edge_mm * teeth_in_cut
    power_w = shear_w + rubbing_n * edge_speed_m_s
    tangential_n = power_w / edge_speed_m_s
    return Cut(
        chip_mm=chip_mm,
        power_w=power_w,
        torque_nm=power_w * 60.0 / (2.0 * math.pi * speed_rpm),
        tangential_n=tangential_n,
        peak_n=tangential_n / max(teeth_in_cut, 0.05),
        teeth_in_cut=teeth_in_cut,
    )


def _with_chipped_tooth(cut: Cut, material: Material, teeth: int, chipped: float) -> Cut:
    """On the chipped share of the depth one tooth is missing and the next one cuts double."""
    double = 2.0 ** (1.0 - material.mc)
    less = 1.0 - chipped * (2.0 - double) / teeth
    return replace(
        cut,
        power_w=cut.power_w * less,
        torque_nm=cut.torque_nm * less,
        tangential_n=cut.tangential_n * less,
        # From the mean of its neighbours down by the missing tooth and up by the double one.
        once_per_turn_n=cut.peak_n * 0.5 * chipped * double * min(cut.teeth_in_cut, 1.0),
    )
