"""The parameters of the physics that a fault may change. Healthy is the default.

Faults act here and nowhere else: each block starts from ``Physics()`` and every active fault changes its part of it, so that
everything a fault shows comes through the same equations as everything else, and clearing it restores the machine. Faults of
sensors and of the data link are no exception: what breaks is the sensor or the link, and what is measured stays as it is.
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
    stick: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Static against Coulomb friction of the axes, of nominal; dry guides stick."""
    oil_holding: float = 1.0
    """Time in which the way lubrication's distributor gives a stroke of oil away, of nominal."""
    edge_chipped: float = 0.0
    """Share of one tooth's edge that is gone: the tooth behind it takes twice the chip there."""
    tool_strength: float = 1.0
    """Force at which a tool breaks, of nominal."""
    damping: float = 1.0
    """Of the vibration of spindle nose and tool, of nominal: how wide a cut stays stable."""
    taper_dirt_mm_s: float = 0.0
    """Unbalance from a holder that sits askew, as vibration velocity at 10,000 r/min; it sits anew at each tool change."""
    lost_counts_per_m: float = 0.0
    """How often the scale of Y loses counts, per metre of its travel."""
    lost_counts_mm: float = 0.0
    """Size of such a loss."""
    air_loss: float = 0.0
    """Restriction of the air supply, 0 to 1."""
    conveyor_drag: float = 1.0
    """Friction of the chip conveyor, of nominal."""
    conveyor_slip: float = 0.0
    """Share of the chips that the belt does not take along."""
    flow_sensor_sticks: float = 0.0
    """Share of time in which the turbine of the coolant flow meter hangs."""
    bearing_sensor_drift_k: float = 0.0
    column_sensor_loose: float = 0.0
    """Looseness of the plug of the column's temperature sensor, 0 to 1."""
    link_loss: float = 0.0
    """Share of time in which control and server lose each other."""
