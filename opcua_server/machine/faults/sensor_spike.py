"""A loose plug at the column's temperature sensor: single readings jump.

What is out of the sensor's range the control takes for a broken wire and says so (BadSensorFailure); the rest it believes.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, accelerating
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.column_sensor_loose = max(physics.column_sensor_loose, severity)


FAULT = Fault(
    "sensor_spike",
    "Sensor spikes",
    "sensor.column.temperature",
    accelerating,
    _act,
    (Expected("Structure/Temperature", "spreads"),),
)
