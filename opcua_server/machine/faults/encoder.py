"""Oil on the linear scale of Y: counts are lost while it travels, and the position it says parts from that of the motor.

Losses go with the direction of travel and partly cancel on the way back. When too much is missing the control trips.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, accelerating
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.lost_counts_per_m += 20.0 * severity
    physics.lost_counts_mm = 0.003 + 0.03 * severity


FAULT = Fault(
    "encoder",
    "Encoder fault",
    "axis.y.scale",
    accelerating,
    _act,
    (Expected("Axes/Y/MotorPos", "parts"),),
    alarms=("SV0445",),
)
