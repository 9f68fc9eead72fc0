"""The chip conveyor: chips fall from the cut, the belt carries them out, and its motor feels what lies on it.

    cut --> chips (kg) on the belt --time of the way--> bin        current = no-load + per kg, times the drag
                     '--what the belt leaves behind--> pile, which holds back coolant from the pump

Masses in kg, current in A.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

IDLE_A: Final = 1.1
PER_KG_A: Final = 1.8
WAY_S: Final = 75.0
"""From the cut to the bin."""
PILE_FULL_KG: Final = 1.2
"""A pile that high closes the strainer as far as it goes."""
STRAINER_SHARE: Final = 0.4
SWEPT_S: Final = 1800.0
"""The belt takes a pile along in the end, when it is not jammed any more."""
TRIP_A: Final = 3.6
W_PER_A: Final = 180.0


@dataclass(slots=True)
class ChipConveyor:
    belt_kg: float = 0.0
    pile_kg: float = 0.0
    over_s: float = 0.0
    """How long the motor has been beyond its limit."""
    current_a: float = 0.0
    """Of the motor, in the last step."""

    def step(self, dt_s: float, runs: bool, chips_kg: float, drag: float, slip: float) -> None:
        """``slip``: share of the chips that stays behind."""
        if chips_kg > 0.0:
            self.pile_kg += chips_kg * slip
            self.belt_kg += chips_kg * (1.0 - slip)
        if runs:
            self.belt_kg *= math.exp(-dt_s / WAY_S)
            if self.pile_kg > 0.0:
                self.pile_kg *= math.exp(-dt_s / SWEPT_S * (1.0 - slip))
        pile_kg = self.pile_kg if self.pile_kg < PILE_FULL_KG else PILE_FULL_KG
        self.current_a = (IDLE_A + PER_KG_A * (self.belt_kg + pile_kg)) * drag if runs else 0.0
        self.over_s = self.over_s + dt_s if self.current_a > TRIP_A else 0.0

    @property
    def strainer_share(self) -> float:
        """Of the coolant flow that the pile lets through."""
        return 1.0 - STRAINER_SHARE * min(self.pile_kg / PILE_FULL_KG, 1.0) if self.pile_kg > 0.0 else 1.0
