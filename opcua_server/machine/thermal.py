"""Where the heat goes: eight lumped nodes, and how much the structure grows by it.

    motor --- housing --- column --- shop floor        bearing: front bearing, friction heat
                |   '-- chiller        |               screws:  friction of nuts and guides (X, Y, Z)
             bearing                 screws            coolant: tank, pump and cutting heat

Time constants (capacity over all conductances of a node): motor 7, front bearing 15, screws 25, housing 45, coolant 50, column
180 min. Heats in W, temperatures in degrees Celsius, capacities in J/K, conductances in W/K.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

MOTOR, BEARING, HOUSING, COLUMN, SCREW_X, SCREW_Y, SCREW_Z, COOLANT = range(8)
NODES: Final = 8
SCREWS: Final = slice(SCREW_X, SCREW_Z + 1)

CAPACITY: Final[Floats] = np.array([9000.0, 8000.0, 108e3, 300e3, 6000.0, 6000.0, 6000.0, 780e3])
_TO_FLOOR: Final[Floats] = np.array([14.0, 0.0, 6.0, 20.0, 3.0, 3.0, 3.0, 260.0])
_LINKS: Final = (
    (MOTOR, HOUSING, 7.0),
    (BEARING, HOUSING, 9.0),
    (HOUSING, COLUMN, 4.0),
    (SCREW_X, COLUMN, 1.0),
    (SCREW_Y, COLUMN, 1.0),
    (SCREW_Z, COLUMN, 1.0),
)
CHILLER_W_K: Final = 14.0
BEARING_SHARE: Final = 0.14
"""Of the spindle's friction power: heat of the front bearing itself."""
HOUSING_SHARE: Final = 0.26
CUT_TO_COOLANT: Final = 0.55

REFERENCE_C: Final = 20.0
GROWTH_UM_K: Final[dict[int, float]] = {BEARING: 0.9, HOUSING: 0.8, COLUMN: 4.5}
"""Movement of the tool tip in Z per kelvin of a node, um/K; the column is 0.7 m of cast iron, partly compensated by the bed."""
SCREW_UM_M_K: Final = 11.5


class Thermal:
    """Temperatures of one machine; ``nodes: (8,)``."""

    def __init__(self, ambient_c: float) -> None:
        self.nodes = np.full(NODES, ambient_c)
        conductance = np.zeros((NODES, NODES))
        for a, b, g in _LINKS:
            conductance[a, b] += g
            conductance[b, a] += g
            conductance[a, a] -= g
            conductance[b, b] -= g
        self._links = conductance

    def step(self, dt_s: float, heat_w: Floats, ambient_c: float, spindle_cooling: float, coolant_exchange: float) -> None:
        """One step of explicit Euler: steps of 0.1-1 s are a thousandth of the shortest time constant."""
        flow = self._links @ self.nodes + _TO_FLOOR * (ambient_c - self.nodes) + heat_w
        flow[HOUSING] += CHILLER_W_K * spindle_cooling * (ambient_c - self.nodes[HOUSING])
        flow[COOLANT] += _TO_FLOOR[COOLANT] * (coolant_exchange - 1.0) * (ambient_c - self.nodes[COOLANT])
        self.nodes = self.nodes + flow * dt_s / CAPACITY  # what has been shown of the old ones stays


def growth_z_um(bearing_c: Any, housing_c: Any, column_c: Any) -> Any:
    """Growth of spindle and column in Z against 20 degrees, positive towards the table; of numbers or of columns of them."""
    spindle_um = GROWTH_UM_K[BEARING] * (bearing_c - REFERENCE_C) + GROWTH_UM_K[HOUSING] * (housing_c - REFERENCE_C)
    return spindle_um + GROWTH_UM_K[COLUMN] * (column_c - REFERENCE_C)


def shop_floor_c(time_s: float, phase: float, mean_c: float) -> float:
    """Temperature of the shop over a day: warmest in the afternoon, with the heating's slow swing on it."""
    day = 2.0 * math.pi * time_s / 86_400.0 + phase
    return mean_c + 1.6 * math.sin(day) + 0.25 * math.sin(23.0 * day)


def shop_floors_c(time_s: Floats, phase: Floats, mean_c: Floats) -> Floats:
    """As ``shop_floor_c`` of machines (machines,) at many moments (blocks, machines)."""
    day = 2.0 * math.pi * time_s / 86_400.0 + phase
    once, often = (np.array([*map(math.sin, rad.ravel().tolist())]).reshape(rad.shape) for rad in (day, 23.0 * day))
    return mean_c + 1.6 * once + 0.25 * often
