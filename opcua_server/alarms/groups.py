"""Groups of a machine's alarms (OPC 10000-9, 5.8.3 and 5.8.4): which belong together, and which of them explain others.

    AlarmGroups
        Spindle, Coolant ...    AlarmGroupType: the alarms of a part of the machine
        MachineDown ...         AlarmSuppressionGroupType: while one of its members is active, the alarms that refer to it by
                                HasAlarmSuppressionGroup are suppressed

An alarm is explained by another one when it would be news to nobody: what is measured at a machine that somebody has opened, what a
detector makes of an emergency stop, a tank that warms up because it is nearly empty. One cause is one alarm on an operator's
screen: what says it first and best stands there, and what follows from it is suppressed, with its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua

from nodesets.catalogue import GROUPS
from opcua_server.alarms.health import OF_THE_DEVICE
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
    """While a condition of ``members`` is active, those of ``suppresses`` are suppressed; each by its name, an alarm of the control
    by its code. ``why``: what a browser reads of it."""

    name: str
    why: str
    members: tuple[str, ...]
    suppresses: tuple[str, ...]


CONTROL: Final = "*"
"""As a member: every alarm of the control."""
MEASURED: Final = (
    "SpindleTemperature", "SpindleVibration", "SpindleBearing", "SpindleUnbalance", "ThermalGrowth", "CoolantFlow", "CoolantLevel",
    "CoolantTemperature", "LubricationFall",
)  # fmt: skip
SUPPRESSION: Final = (
    SuppressionGroup(
        "MachineServiced", "Somebody works on the machine: what is measured meanwhile says nothing",
        ("DeviceCheckFunction",), (*MEASURED, "ToolLife", "AnomalyScore", "DeviceOffSpec"),
    ),
    SuppressionGroup("MachineDown", "The machine stands: it behaves as no detector expects", ("DeviceFailure",), ("AnomalyScore",)),
    SuppressionGroup("ControlShowsIt", "The device has failed because of what the control shows", (CONTROL,), ("DeviceFailure",)),
    SuppressionGroup(
        "LimitShowsIt", "The device is off its specification because of what is beyond a limit", tuple(sorted(OF_THE_DEVICE)),
        ("DeviceOffSpec",),
    ),
    SuppressionGroup(
        "CoolantRunsOut", "Little coolant warms up faster, and the pump draws air",
        ("CoolantLevel",), ("CoolantTemperature", "CoolantFlow"),
    ),
    SuppressionGroup(
        "CoolantHasRunOut", "The control has stopped for want of coolant",
        ("EX1020",), ("CoolantLevel", "CoolantTemperature", "CoolantFlow"),
    ),
    SuppressionGroup(
        "SpindleOverloaded", "A tool broke or hit something: it shakes and is out of balance",
        ("EX1005",), ("SpindleVibration", "SpindleUnbalance", "ToolLife"),
    ),
)  # fmt: skip


def parts(table: Iterable[LimitAlarm]) -> dict[str, list[str]]:
    """Part of the machine -> its limit alarms."""
    found: dict[str, list[str]] = {}
    for row in table:
        found.setdefault(row.source.split("/")[0], []).append(row.name)
    return found


def explained(active: Mapping[str, str]) -> dict[str, str]:
    """The alarms that are suppressed now, and the name of the alarm that explains each. ``active``: names of the alarms that are,
    those of the control by their codes, worst or oldest first, and where each comes from: ``CONTROL`` or nothing."""
    found: dict[str, str] = {}
    for group in SUPPRESSION:
        why = next((name for name, origin in active.items() if name in group.members or origin in group.members), None)
        if why is not None:
            for name in group.suppresses:
                found.setdefault(name, why)
    return found


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
            builder.describe(make(part, _GROUP, _MEMBER, names), f"Limit alarms of {GROUPS[part].partition(':')[0].lower()}")
        self._made: list[tuple[SuppressionGroup, ua.NodeId]] = []
        for row in SUPPRESSION:
            group = make(row.name, _SUPPRESSION_GROUP, _SUPPRESSION_MEMBER, row.members)
            builder.describe(group, row.why)
            self._made.append((row, group))
            for one in row.suppresses:
                if one in conditions:
                    builder.references.add(conditions[one], _HAS_SUPPRESSION_GROUP, group)
                    self.of[conditions[one]].append(group)

    def take_in(self, code: str, condition: ua.NodeId, builder: Builder | None) -> tuple[ua.NodeId, ...]:
        """Make an alarm of the control a member of its groups; their ids. ``builder``: None where it has no node."""
        found = tuple(group for row, group in self._made if CONTROL in row.members or code in row.members)
        for group in found if builder is not None else ():
            builder.references.add(group, _SUPPRESSION_MEMBER, condition)  # type: ignore[union-attr]
        return found
