"""Groups of a machine's alarms (OPC 10000-9, 5.8.3 and 5.8.4): which belong together, and which of them explain others.

    AlarmGroups
        Spindle, Coolant ...    AlarmGroupType: the alarms of a part of the machine
        MachineDown ...         AlarmSuppressionGroupType: while one of its members is active, the alarms that refer to it by
                                HasAlarmSuppressionGroup are suppressed

An alarm is explained by another one when it would be news to nobody: what is measured at a machine that somebody has opened, what a
detector makes of an emergency stop, a tank that warms up because it is nearly empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua

from opcua_server.alarms.table import LimitAlarm

if TYPE_CHECKING:
    from opcua_server.space.instances import Builder

_O: Final = ua.ObjectIds
_HAS_COMPONENT: Final = ua.NodeId(_O.HasComponent, 0)
_MEMBER, _SUPPRESSION_MEMBER = ua.NodeId(_O.AlarmGroupMember, 0), ua.NodeId(_O.AlarmSuppressionGroupMember, 0)
_HAS_SUPPRESSION_GROUP: Final = ua.NodeId(_O.HasAlarmSuppressionGroup, 0)
_FOLDER: Final = ua.NodeId(_O.FolderType, 0)
_GROUP, _SUPPRESSION_GROUP = ua.NodeId(_O.AlarmGroupType, 0), ua.NodeId(_O.AlarmSuppressionGroupType, 0)


@dataclass(frozen=True, slots=True)
class SuppressionGroup:
    """While a condition of ``members`` is active, those of ``suppresses`` are suppressed; each by its name."""

    name: str
    members: tuple[str, ...]
    suppresses: tuple[str, ...]


MEASURED: Final = (
    "SpindleTemperature", "SpindleVibration", "SpindleBearing", "SpindleUnbalance", "ThermalGrowth", "CoolantFlow", "CoolantLevel",
    "CoolantTemperature", "LubricationFall",
)  # fmt: skip
SUPPRESSION: Final = (
    SuppressionGroup("MachineServiced", ("DeviceCheckFunction",), (*MEASURED, "ToolLife", "AnomalyScore", "DeviceOffSpec")),
    SuppressionGroup("MachineDown", ("DeviceFailure",), ("AnomalyScore",)),
    SuppressionGroup("CoolantRunsOut", ("CoolantLevel",), ("CoolantTemperature",)),
)


def parts(table: Iterable[LimitAlarm]) -> dict[str, list[str]]:
    """Part of the machine -> its limit alarms."""
    found: dict[str, list[str]] = {}
    for row in table:
        found.setdefault(row.source.split("/")[0], []).append(row.name)
    return found


def explained(active: Callable[[str], bool]) -> frozenset[str]:
    """The alarms that are suppressed now. ``active``: whether the alarm of a name is."""
    return frozenset(name for group in SUPPRESSION if any(map(active, group.members)) for name in group.suppresses)


class Groups:
    """The nodes of all groups of one machine. ``of``: condition -> the groups it is a member of, or is suppressed by."""

    def __init__(
        self, builder: Builder, parent: ua.NodeId, conditions: Mapping[str, ua.NodeId], table: Sequence[LimitAlarm]
    ) -> None:
        """``conditions``: name -> node of those that there are from the beginning."""
        self.of: dict[Any, list[ua.NodeId]] = {node_id: [] for node_id in conditions.values()}
        folder = builder.instance(parent, _HAS_COMPONENT, ua.QualifiedName("AlarmGroups", builder.namespace), _FOLDER)

        def make(name: str, kind: ua.NodeId, member: ua.NodeId, members: Iterable[str]) -> ua.NodeId:
            group = builder.instance(folder, _HAS_COMPONENT, ua.QualifiedName(name, builder.namespace), kind)
            for one in members:
                if one in conditions:
                    builder.references.add(group, member, conditions[one])
                    self.of[conditions[one]].append(group)
            return group

        for part, names in parts(table).items():
            make(part, _GROUP, _MEMBER, names)
        for row in SUPPRESSION:
            group = make(row.name, _SUPPRESSION_GROUP, _SUPPRESSION_MEMBER, row.members)
            for one in row.suppresses:
                if one in conditions:
                    builder.references.add(conditions[one], _HAS_SUPPRESSION_GROUP, group)
                    self.of[conditions[one]].append(group)
