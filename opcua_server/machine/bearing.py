"""Frequencies of a rolling bearing by its geometry, in multiples of the speed of rotation.

With g = d / D cos(alpha): d diameter and N number of balls, D pitch diameter, alpha contact angle, the inner ring turning.

    FTF    cage                       (1 - g) / 2
    BPFO   ball on the outer race     N (1 - g) / 2
    BPFI   ball on the inner race     N (1 + g) / 2
    BSF    spin of a ball             D / (2 d) (1 - g^2)
    2xBSF  defect of a ball: it meets the outer and the inner race in each turn of its spin

BSF and 2xBSF are often mixed up: the spin is no line of a spectrum by itself, the defect's line is twice that.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Bearing:
    """Diameters in mm, angle in degrees; every result is a multiple of the speed of rotation."""

    balls: int
    ball_mm: float
    pitch_mm: float
    contact_deg: float = 0.0

    @property
    def _ratio(self) -> float:
        return self.ball_mm / self.pitch_mm * math.cos(math.radians(self.contact_deg))

    @property
    def cage(self) -> float:
        return 0.5 * (1.0 - self._ratio)

    @property
    def outer_race(self) -> float:
        return 0.5 * self.balls * (1.0 - self._ratio)

    @property
    def inner_race(self) -> float:
        return 0.5 * self.balls * (1.0 + self._ratio)

    @property
    def ball_spin(self) -> float:
        return 0.5 * self.pitch_mm / self.ball_mm * (1.0 - self._ratio**2)

    @property
    def ball_defect(self) -> float:
        return 2.0 * self.ball_spin


FRONT: Final = Bearing(balls=9, ball_mm=7.94, pitch_mm=39.04)
"""The spindle's front bearing: the geometry of a 6205, whose lines are in every textbook."""
