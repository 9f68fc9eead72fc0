"""Edges of a bad batch, or a coating that comes off: flank wear grows up to four times as fast.

Force and power per engagement rise with VB sooner than the time in cut explains; nothing else changes.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, saturating
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.wear_rate *= 1.0 + 3.0 * severity


FAULT = Fault(
    "accelerated_tool_wear",
    "Accelerated tool wear",
    "tool.edge.coating",
    saturating,
    _act,
    (Expected("Tool/WearPercent", "up"), Expected("Spindle/ActPower", "up")),
)
