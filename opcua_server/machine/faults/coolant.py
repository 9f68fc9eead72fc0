"""The coolant unit loses fluid and its filter clogs: less flow, more ripple, a thinner and warmer emulsion, faster wear."""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, saturating
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.pump_delivery *= 1.0 - 0.4 * severity**2.5  # a filter is half full before much is missing
    physics.pump_ripple *= 1.0 + 4.0 * severity**2
    physics.coolant_leak_percent_h += 18.0 * severity
    physics.coolant_concentration *= 1.0 - 0.5 * severity
    physics.coolant_exchange *= 1.0 - 0.7 * severity


FAULT = Fault(
    "coolant",
    "Coolant failure",
    "coolant.filter",
    saturating,
    _act,
    (
        Expected("Coolant/Flow", "down"),
        Expected("Coolant/Level", "down"),
        Expected("Coolant/Temperature", "up"),
    ),
)
