"""The commands of the machine: methods of ``<machine>/Commands``, and what the gateway offers as commands.

``opcua_server`` builds the OPC UA methods from this table and checks arguments against it; ``gateway`` calls them by name.
"""

# ruff: noqa: E501 - a table

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from nodesets import units as u
from nodesets.catalogue import DataType
from nodesets.units import Unit

Role = Literal["Operator", "Engineer"]
"""Operator runs the machine; Engineer may also change programs and inject faults. Engineer includes Operator."""


@dataclass(frozen=True, slots=True)
class Argument:
    """``low`` and ``high`` bound a number, in ``unit``; outside of them the call answers BadInvalidArgument, and BadOutOfRange
    for that argument (OPC 10000-4, 5.12.2)."""

    name: str
    type: DataType
    doc: str
    unit: Unit | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Method:
    name: str
    doc: str
    inputs: tuple[Argument, ...] = ()
    role: Role = "Operator"


METHODS: Final[tuple[Method, ...]] = (
    Method("LoadProgram", "Load an NC program that is stored on the machine. Refused while a program runs.",
           (Argument("Name", "String", "Name of the program, as in the program folder"),)),
    Method("LoadProgramText", "Store an NC program on the machine and load it. Refused while a program runs.",
           (Argument("Name", "String", "Name to store it under: letters, digits, - _ and ."),
            Argument("Text", "String", "The NC program")), "Engineer"),
    Method("Start", "Cycle start: run the loaded program, or go on after a hold."),
    Method("Hold", "Feed hold: the axes brake on their path, the spindle goes on."),
    Method("Stop", "End the program where it is: axes brake, the spindle stops, the program returns to its beginning."),
    Method("Reset", "RESET: clear alarms, end the program, stop the spindle."),
    Method("EmergencyStop", "Emergency stop: drives off at once. RESET brings the machine back."),
    Method("SwitchOff", "Main switch off: the control and the drives are without power, alarms are gone. Refused while a program is under way."),
    Method("SwitchOn", "Main switch on."),
    Method("BeginMaintenance", "Somebody begins to work on the machine: no program starts until EndMaintenance. Refused while a program is under way.",
           (Argument("Kind", "String", "Service, Inspection, Repair, Upgrade or Other"),)),
    Method("EndMaintenance", "The work on the machine is done. After a service the way oil is filled up and the coolant filter renewed, after a repair the spindle has new bearings."),
    Method("ChangeTool", "Change to a tool of the magazine. Refused while a program runs.",
           (Argument("Number", "UInt32", "Tool number", None, 1, 24),)),
    Method("SetFeedOverride", "Set the feed override.", (Argument("Percent", "Double", "Feed override", u.PERCENT, 0, 150),)),
    Method("SetRapidOverride", "Set the rapid override.", (Argument("Percent", "Double", "Rapid override", u.PERCENT, 0, 100),)),
    Method("SetSpindleOverride", "Set the spindle override.", (Argument("Percent", "Double", "Spindle override", u.PERCENT, 50, 120),)),
    Method("SetSpindleSpeed", "Turn the spindle at a speed by MDI; 0 stops it. Refused while a program runs.",
           (Argument("Speed", "Double", "Speed", u.RPM, 0, 12000),)),
    Method("SetModifier", "Switch a program modifier: SingleBlock, DryRun, OptionalStop, BlockSkip or TestMode (machine lock: the program runs, no axis moves).",
           (Argument("Name", "String", "SingleBlock, DryRun, OptionalStop, BlockSkip or TestMode"),
            Argument("On", "Boolean", "Whether it is on"))),
    Method("ReplaceTool", "Put a new edge into a tool's holder: its wear and cutting time start from zero.",
           (Argument("Number", "UInt32", "Tool number", None, 1, 24),)),
    Method("InjectFault", "Start a fault of the simulation; it acts through the physics. Names: Simulation/FaultNames.",
           (Argument("Name", "String", "Name of the fault"),
            Argument("Severity", "Double", "Final severity", u.ONE, 0, 1),
            Argument("Onset", "Double", "Simulated time in which the severity grows to its final value", u.SECOND, 0, 1e7)), "Engineer"),
    Method("ClearFault", "End a fault of the simulation: the damaged part is as new.",
           (Argument("Name", "String", "Name of the fault, or All"),), "Engineer"),
)  # fmt: skip

BY_NAME: Final[dict[str, Method]] = {method.name: method for method in METHODS}

JOB_METHODS: Final[dict[str, Method]] = {
    name: Method(name, "", role="Operator")
    for name in (
        "Store", "StoreAndStart", "Update", "Start", "RevokeStart", "Pause", "Resume", "Stop", "Abort", "Cancel", "Clear",
        "RequestJobResponseByJobOrderID", "RequestJobResponseByJobOrderState",
    )
}  # fmt: skip
"""Methods of MJ:JobManagement and who may call them; their arguments are those of OPC 10031-4."""

RESULT_METHODS: Final[dict[str, Method]] = {
    name: Method(name, "", role="Operator")
    for name in ("GetResultById", "GetResultIdListFiltered", "ReleaseResultHandle", "GetLatestResult", "AcknowledgeResults")
}
"""Methods of MR:ResultManagement and who may call them; their arguments are those of OPC 40001-101."""
