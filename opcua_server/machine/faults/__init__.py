"""Faults that can be injected, in the order in which ``Simulation/FaultNames`` shows them."""

from __future__ import annotations

from typing import Final

from opcua_server.machine.faults import (
    accelerated_tool_wear,
    air_pressure,
    axis_backlash,
    chatter,
    chip_jam,
    coolant,
    encoder,
    imbalance,
    lube_starvation,
    network_gaps,
    sensor_drift,
    sensor_spike,
    sensor_stuck,
    spindle_bearing,
    thermal_drift,
    tool_breakage,
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
        tool_breakage.FAULT,
        chatter.FAULT,
        imbalance.FAULT,
        lube_starvation.FAULT,
        encoder.FAULT,
        air_pressure.FAULT,
        chip_jam.FAULT,
        sensor_stuck.FAULT,
        sensor_drift.FAULT,
        sensor_spike.FAULT,
        network_gaps.FAULT,
    )
}
