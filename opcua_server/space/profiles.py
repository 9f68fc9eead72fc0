"""Which facets of the machine's models the server claims (ServerProfileArray): those whose nodes every machine has.

Facets of OPC 40501-1 (14.2.1), OPC 40502 and, for alarms, OPC 10000-7 (6.6). One is added here when what it asks for is driven;
a machine without one of its nodes takes the claim away.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua

from opcua_server.space.machine import MachineSpace

_MACHINE_TOOL: Final = "http://opcfoundation.org/UA-Profile/MachineTool/Server/"
_CNC: Final = "http://opcfoundation.org/UA/CNC/Profile/Server/BaseDataInterface"
_ALARMS: Final = "http://opcfoundation.org/UA-Profile/Server/AC"
_ALARM: Final = "Notification.Conditions.SpindleTemperature"
_PROFILES: Final = ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_ServerProfileArray, 0)
FACETS: Final[dict[str, tuple[str, ...]]] = {
    _MACHINE_TOOL + "Basic": (
        "Identification.ProductInstanceUri", "Monitoring.Channel1.ChannelState", "Monitoring.Stacklight.Red.SignalOn",
        "Monitoring.MachineTool.OperationMode", "Production.ActiveProgram.State.CurrentState.Number",
        "MachineryBuildingBlocks.OperationCounters.PowerOnDuration",
    ),
    _MACHINE_TOOL + "BasicSecure": ("Identification.ProductInstanceUri",),
    _MACHINE_TOOL + "ErrorsAndAlerts": ("Notification.Messages", f"{_ALARM}.AckedState.Id"),
    _MACHINE_TOOL + "Tools": ("Equipment.Tools.NodeVersion", "Equipment.Tools.T1.Locked", "Equipment.Tools.T24.Locked"),
    _MACHINE_TOOL + "ToolLife": ("Equipment.Tools.T1.ToolLife.CuttingTime", "Equipment.Tools.T24.ToolLife.CuttingTime"),
    _MACHINE_TOOL + "Prognoses": ("Notification.Prognoses.NextToolChange.PredictedTime",),
    _MACHINE_TOOL + "Components": ("Components.Spindle1.Identification.SerialNumber",),
    _MACHINE_TOOL + "JobManagement": (
        "MachineryBuildingBlocks.JobManagement.JobOrderControl.JobOrderList",
        "MachineryBuildingBlocks.JobManagement.JobOrderResults.JobOrderResponseList",
        "FileSystem.WorkMasters",
    ),
    _ALARMS + "BaseCondition": (f"{_ALARM}.Retain", f"{_ALARM}.Comment", f"{_ALARM}.Quality", f"{_ALARM}.LastSeverity"),
    _ALARMS + "Refresh2": (f"{_ALARM}.Retain",),
    _ALARMS + "AddressSpaceInstance": (f"{_ALARM}.EventId", f"{_ALARM}.SourceNode"),
    _ALARMS + "Enable": (f"{_ALARM}.EnabledState.Id",),
    _ALARMS + "Alarm": (f"{_ALARM}.ActiveState.Id", f"{_ALARM}.ShelvingState.UnshelveTime", f"{_ALARM}.SuppressedState.Id"),
    _ALARMS + "AckAlarm": (f"{_ALARM}.AckedState.Id", f"{_ALARM}.ConfirmedState.Id"),
    _ALARMS + "ExclusiveAlarming": (f"{_ALARM}.LimitState.CurrentState.Id", f"{_ALARM}.HighLimit"),
    _ALARMS + "PreviousInstances": (f"{_ALARM}.BranchId",),
    _ALARMS + "Dialog": ("Notification.Conditions.ProgramStop.DialogState.Id",),
    _CNC: ("CncInterface.CncChannelList.Channel1.ActProgramStatus", "CncInterface.CncAxisList.X.PosDirect.ActPos"),
}  # fmt: skip
"""Facet -> nodes of a machine that it cannot be without, by their place below the machine."""


def claim(aspace: Any, machines: Iterable[MachineSpace]) -> list[str]:
    """Add to what the server claims; what was added."""
    spaces = list(machines)
    claimed = [facet for facet, nodes in FACETS.items() if spaces and all(_has(aspace, one, nodes) for one in spaces)]
    held = aspace[_PROFILES].attributes[ua.AttributeIds.Value]
    now = datetime.now(UTC)
    known = list(held.value.Value.Value or [])
    variant = ua.Variant([*known, *(facet for facet in claimed if facet not in known)], ua.VariantType.String, is_array=True)
    held.value = ua.DataValue(variant, SourceTimestamp=now, ServerTimestamp=now)
    return claimed


def _has(aspace: Any, machine: MachineSpace, nodes: Iterable[str]) -> bool:
    root = machine.node_id
    return all(ua.NodeId(f"{root.Identifier}.{path}", root.NamespaceIndex) in aspace for path in nodes)
