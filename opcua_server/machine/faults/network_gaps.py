"""The line between control and server fails for seconds, and what comes through is late.

The machine does not care. Readings stop and are marked as no longer current; after a gap the newest come, those between are lost.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, linear
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.link_loss = max(physics.link_loss, severity)


FAULT = Fault(
    "network_gaps",
    "Network gaps",
    "network.control",
    linear,
    _act,
    (Expected("Simulation/Time", "departs"),),
)
