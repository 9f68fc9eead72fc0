"""The spindle nose loses damping (a loose preload, a worn holder), and cuts that were stable begin to chatter.

Regeneration decides: only where the depth of cut is beyond the lobe at this speed, a line near the natural frequency appears,
with a torn surface and faster wear. At another speed or depth the same machine does not chatter; all that is left there is that the
mode, once struck, rings for longer, and the cut sounds a little rougher than it did.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, linear
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.damping *= 1.0 - 0.9 * severity**0.4  # the first looseness costs most


FAULT = Fault(
    "chatter",
    "Chatter",
    "spindle.nose.damping",
    linear,
    _act,
    (
        Expected("Spindle/VibrationAcceleration", "up"),
        Expected("Spindle/VibrationVelocity", "up"),
    ),
)
