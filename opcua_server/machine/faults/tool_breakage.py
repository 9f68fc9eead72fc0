"""An edge chips, a crack runs through the tool, and one day it breaks.

A chipped edge leaves its chip to the tooth behind it: once per turn the force rises, a little less is drawn on average. The
crack takes strength away until a cut is too much: a spike of the torque, and then the tool goes through air.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, accelerating
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.edge_chipped = max(physics.edge_chipped, severity)
    physics.tool_strength *= 1.0 - 0.98 * severity


FAULT = Fault(
    "tool_breakage",
    "Tool breakage",
    "tool.edge.fracture",
    accelerating,
    _act,
    (
        Expected("Spindle/ActPower", "departs"),
        Expected("Tool/InCut", "down"),
    ),
    alarms=("EX1005",),
    renews_tools=True,
)
