"""The spindle chiller fails and heat leaks into the column: the structure grows, and Z drifts behind the temperature.

It follows the spindle's use with the housing's and the column's time constants, so each warm-up shows it again.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, linear
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.spindle_cooling *= 1.0 - 0.9 * severity
    physics.column_heat_w += 240.0 * severity


FAULT = Fault(
    "thermal_drift",
    "Thermal drift",
    "structure.cooling",
    linear,
    _act,
    (
        Expected("Structure/ThermalGrowthZ", "up"),
        Expected("Structure/Temperature", "up"),
        Expected("Spindle/Temperature", "up"),
    ),
)
