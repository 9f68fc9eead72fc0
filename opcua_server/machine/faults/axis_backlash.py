"""Lost motion of the X axis: the preload of the nut is gone, up to 40 um in X and a part of it in Y.

Scale and motor encoder part after each reversal, and the following error jumps there.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, linear
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    x, y, z = physics.extra_backlash_mm
    physics.extra_backlash_mm = (x + 0.040 * severity, y + 0.012 * severity, z)


FAULT = Fault(
    "axis_backlash",
    "Axis backlash",
    "axis.x.ball_screw_nut",
    linear,
    _act,
    (Expected("Axes/X/MotorPos", "parts"),),
)
