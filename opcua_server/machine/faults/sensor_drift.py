"""Moisture in the temperature sensor of the front bearing: it reads too high, more from day to day.

The bearing itself is as cool as ever, so neither housing nor growth follow.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, linear
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.bearing_sensor_drift_k += 3.0 * severity**1.4  # what has got in lets in more


FAULT = Fault(
    "sensor_drift",
    "Sensor drift",
    "sensor.spindle.bearing_temperature",
    linear,
    _act,
    (Expected("Spindle/Temperature", "up"),),
)
