"""Faults that can be injected, in the order in which ``Simulation/FaultNames`` shows them."""

from __future__ import annotations

from typing import Final

from opcua_server.machine.faults import (
    accelerated_tool_wear,
    axis_backlash,
    coolant,
    spindle_bearing,
    thermal_drift,
)
from opcua_server.machine.faults.fault import Fault

FAULTS: Final[dict[str, Fault]] = {
    fault.name: fault
    for fault in (
        accelerated_tool_wear.FAULT,
        spindle_bearing.FAULT,
        coolant.FAULT,
        thermal_drift.FAULT,
        axis_backlash.FAULT,
    )
}
