"""A clogged filter in the air supply: whatever needs much air gets too little.

At a stand the pressure is that of the regulator; a tool change or the spindle's sealing air makes it fall, the drawbar takes
longer, and below the limit of the pressure switch the machine stops.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, linear
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.air_loss = max(physics.air_loss, severity)


FAULT = Fault(
    "air_pressure",
    "Low air pressure",
    "supply.air.filter",
    linear,
    _act,
    (Expected("Air/Pressure", "down"),),
    alarms=("EX1030",),
)
