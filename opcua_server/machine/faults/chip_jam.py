"""Chips tangle in the conveyor: its motor works harder, less is carried out, and the pile holds back coolant from the pump."""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, saturating
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.conveyor_drag *= 1.0 + 0.6 * severity**2
    physics.conveyor_slip = max(physics.conveyor_slip, 0.9 * severity**2)


FAULT = Fault(
    "chip_jam",
    "Chip jam",
    "chips.conveyor",
    saturating,
    _act,
    (
        Expected("ChipConveyor/Current", "up"),
        Expected("Coolant/Flow", "down"),
    ),
    alarms=("EX1040",),
)
