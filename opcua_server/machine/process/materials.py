"""What work pieces are made of: specific cutting force, and how fast the material wears an edge.

Kienzle: the force on one edge per mm of width is ``kc1.1 * h^(1 - mc)``, so the specific force is ``kc = kc1.1 * h^-mc``
with the chip thickness h in mm. kc1.1 and mc of the steels and of grey iron are those of the usual machinist's tables
(DIN 6584 form); AlMgSi and Ti-6Al-4V are handbook values. Below 10 um the power law is no longer valid (the edge is blunter
than the chip is thick), so h is bounded there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

THINNEST_CHIP_MM: Final = 0.01


@dataclass(frozen=True, slots=True)
class Material:
    """One work-piece material. ``taylor_c``: vc in m/min at which a coated carbide edge lives one minute (n = 0.25)."""

    name: str
    kc11: float
    """Specific force at a chip of 1 mm x 1 mm, N/mm2."""
    mc: float
    taylor_c: float
    abrasion: float = 1.0
    """Flank pressure and wear force against C45 = 1."""
    kg_mm3: float = 7.85e-6
    """Density."""

    def specific_force(self, chip_mm: Floats | float) -> Floats:
        """kc in N/mm2 (= W per mm3/s times 1000) at a chip thickness in mm, or at several."""
        force: Floats = self.kc11 * np.maximum(chip_mm, THINNEST_CHIP_MM) ** -self.mc
        return force


MATERIALS: Final[dict[str, Material]] = {
    material.name: material
    for material in (
        Material("42CrMo4", 2500.0, 0.26, 500.0, 1.2),
        Material("16MnCr5", 2100.0, 0.26, 570.0, 1.05),
        Material("St50", 1990.0, 0.26, 600.0),
        Material("C45", 2110.0, 0.17, 530.0),
        Material("GG25", 1160.0, 0.26, 470.0, 0.9, 7.2e-6),
        Material("AlMgSi", 700.0, 0.25, 1300.0, 0.35, 2.7e-6),
        Material("TiAl6V4", 1370.0, 0.22, 210.0, 1.1, 4.43e-6),
    )
}

DEFAULT: Final = MATERIALS["AlMgSi"]
"""What an unmarked program is cut from: whatever it does, the spindle can follow."""
