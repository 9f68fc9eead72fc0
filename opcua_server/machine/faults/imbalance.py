"""Chips in the taper: the holder sits askew, and its unbalance adds to the tool's own.

Once per turn, growing with the square of the speed. Each tool change lets it sit at another angle, so that the line steps up
or even down from tool to tool.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, saturating
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.taper_dirt_mm_s += 1.6 * severity


FAULT = Fault(
    "imbalance",
    "Imbalance",
    "spindle.taper.seat",
    saturating,
    _act,
    (
        Expected("Spindle/VibrationUnbalance", "up"),
        Expected("Spindle/VibrationVelocity", "up"),
    ),
)
