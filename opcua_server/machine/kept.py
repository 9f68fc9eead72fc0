"""What survives a restart of a machine, as JSON data: counters, wear, faults, overrides, programs, temperatures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from nodesets.states import MachineState

if TYPE_CHECKING:
    from opcua_server.machine.machine import Machine


def save(machine: Machine) -> dict[str, Any]:
    """JSON data: counters, wear, faults, overrides, programs, temperatures."""
    controller = machine.controller
    return {
        "version": 1,
        "block": machine.block,
        "energy_j": machine.meter.energy_j,
        "reactive_vars": machine.mains.reactive_vars,
        "operation_s": controller.operation_s,
        "cycles_started": controller.cycles_started,
        "parts": controller.parts,
        "last_cycle_s": controller.last_cycle_s,
        "tool_number": controller.tool_number,
        "overrides": [controller.feed_override, controller.rapid_override, controller.spindle_override],
        "modifiers": dict(controller.modifiers),
        "tools": {str(number): tool.save() for number, tool in machine.magazine.items()},
        "faults": machine.faults.save(),
        "library": controller.library.save(),
        "repeat": controller.repeat,
        "upkeep": machine.upkeep.save(),
        "temperatures_c": machine.thermal.nodes.tolist(),
        "coolant_level_percent": machine.coolant.level_percent,
        "coolant_filter_load": machine.coolant.filter_load,
        "tool_changes": controller.tool_changes,
        "part_roughness_um": machine.shown.part_roughness_um,
        "chips_kg": [machine.conveyor.belt_kg, machine.conveyor.pile_kg],
        "hydraulics": controller.hydraulics.save(machine.time_s),
        "lubrication_fall_s": machine.fall_timer.last_s,
        "maintenance": controller.maintenance,
        "off": controller.state is MachineState.OFF,
        "off_s": controller.off_s,
    }


def restore(machine: Machine, saved: Mapping[str, Any]) -> None:
    """Take up a ``save``; the axes stand at home and no program runs. ValueError when it is of another version."""
    if saved.get("version") != 1:
        raise ValueError(f"machine state of version {saved.get('version')!r}, not 1")
    controller = machine.controller
    machine.block = int(saved["block"])
    controller.now_s = machine.time_s
    machine.meter.energy_j = float(saved["energy_j"])
    controller.operation_s, controller.last_cycle_s = float(saved["operation_s"]), float(saved["last_cycle_s"])
    controller.cycles_started, controller.parts = int(saved["cycles_started"]), int(saved["parts"])
    controller.tool_number = int(saved["tool_number"])
    for method, value in zip(("SetFeedOverride", "SetRapidOverride", "SetSpindleOverride"), saved["overrides"], strict=True):
        controller.call(method, [value])
    for name, on in saved["modifiers"].items():
        controller.call("SetModifier", [name, bool(on)])
    for number, tool in saved["tools"].items():
        machine.magazine[int(number)].restore(tool)
    machine.faults.restore(saved["faults"])
    controller.library.restore(saved["library"])
    machine.thermal.nodes[:] = saved["temperatures_c"]
    machine.coolant.level_percent = float(saved["coolant_level_percent"])
    machine.coolant.filter_load = float(saved["coolant_filter_load"])
    # What later versions added has a default: a state from before them is taken up as well.
    controller.tool_changes = int(saved.get("tool_changes", 0))
    machine.mains.go_on(float(saved.get("reactive_vars", 0.0)))
    machine.shown.part_roughness_um = float(saved.get("part_roughness_um", 0.0))
    machine.conveyor.belt_kg, machine.conveyor.pile_kg = (float(kg) for kg in saved.get("chips_kg", (0.0, 0.0)))
    machine.parts_seen = controller.parts
    machine.fall_timer.last_s = float(saved.get("lubrication_fall_s", 0.0))
    machine.upkeep.restore(saved.get("upkeep", {}))
    controller.hydraulics.restore(saved.get("hydraulics", {}), machine.time_s)
    controller.off_s = float(saved.get("off_s", 0.0))
    if saved.get("maintenance"):
        controller.call("BeginMaintenance", [str(saved["maintenance"])])
    if saved.get("off"):
        controller.call("SwitchOff", [])
    controller.repeat = controller.repeat and bool(saved.get("repeat", True))
    controller.job = None
    controller.prepare()
    controller.happened.clear()
