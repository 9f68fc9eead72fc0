"""A spall on the outer race of the spindle's front bearing.

The envelope line at BPFO shows it first, then acceleration and kurtosis, last velocity and temperature.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, accelerating
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.bearing_defect = severity
    physics.bearing_friction *= 1.0 + 0.9 * severity**2


FAULT = Fault(
    "spindle_bearing",
    "Spindle bearing damage",
    "spindle.bearing.outer_race",
    accelerating,
    _act,
    (
        Expected("Spindle/VibrationBearing", "up"),
        Expected("Spindle/VibrationAcceleration", "up"),
        Expected("Spindle/Temperature", "up"),
    ),
)
