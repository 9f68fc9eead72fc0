"""The parameters of the physics that a fault may change. Healthy is the default.

Faults act here and nowhere else: each block starts from ``Physics()`` and every active fault changes its part of it, so that
everything a fault shows comes through the same equations as everything else, and clearing it restores the machine.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Physics:
    wear_rate: float = 1.0
    """Use of edge life against healthy."""
    bearing_defect: float = 0.0
    """Size of the spall on the outer race of the front bearing, 0 to 1 (1: the bearing has to be changed today)."""
    bearing_friction: float = 1.0
    pump_delivery: float = 1.0
    """Flow that the coolant pump and filter let through, of nominal."""
    pump_ripple: float = 1.0
    coolant_leak_percent_h: float = 0.0
    coolant_concentration: float = 1.0
    """Of nominal; a thin emulsion lubricates less."""
    coolant_exchange: float = 1.0
    """Heat that leaves the coolant tank, of nominal."""
    spindle_cooling: float = 1.0
    """Heat that the spindle chiller takes from the housing, of nominal."""
    column_heat_w: float = 0.0
    """Heat that leaks from hydraulics and electrics into the column."""
    extra_backlash_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Lost motion between nut and screw of X, Y, Z beyond that of a healthy axis."""
    extra_friction: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Friction of the axes' guides and nuts, of nominal."""
