"""Swarf in the turbine of the coolant flow meter: it hangs for longer and longer spells, in which it says one flow, pump on or off.

Between them it turns sluggishly. The control does not notice, as the value is possible: the flow only no longer fits pump, pressure
and level.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, linear
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.flow_sensor_sticks = max(physics.flow_sensor_sticks, severity)


FAULT = Fault(
    "sensor_stuck",
    "Sensor stuck",
    "sensor.coolant.flow",
    linear,
    _act,
    (Expected("Coolant/Flow", "departs"),),
)
