"""Whether the device is well, in the four words of NAMUR NE 107 (OPC 10000-100, 4.5.4), and why it is not. Pure.

    Failure               the control shows an alarm, or somebody pressed emergency stop: nothing is made
    CheckFunction         somebody works on it
    OffSpec               a limit alarm of the machine itself stands at its outer limit: what is made may be out of tolerance
    MaintenanceRequired   a counter of use has reached its warning: it works, and wants somebody soon

What the tool or a detector shows is no matter of the device. The first of these words that holds is DI:DeviceHealth; each has an
alarm of its own below DeviceHealthAlarms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Final

from nodesets.states import MachineState
from opcua_server.alarms.table import TABLE


class Health(IntEnum):
    """DI:DeviceHealthEnumeration."""

    NORMAL = 0
    FAILURE = 1
    CHECK_FUNCTION = 2
    OFF_SPEC = 3
    MAINTENANCE_REQUIRED = 4


ALARMS: Final[dict[Health, tuple[str, str, int]]] = {
    Health.FAILURE: ("DeviceFailure", "DI:FailureAlarmType", 800),
    Health.CHECK_FUNCTION: ("DeviceCheckFunction", "DI:CheckFunctionAlarmType", 334),
    Health.OFF_SPEC: ("DeviceOffSpec", "DI:OffSpecAlarmType", 600),
    Health.MAINTENANCE_REQUIRED: ("DeviceMaintenanceRequired", "DI:MaintenanceRequiredAlarmType", 400),
}
"""Each word -> name, type and severity of its alarm, worst first."""
MATTERS: Final = {
    Health.FAILURE: "System", Health.CHECK_FUNCTION: "Maintenance", Health.OFF_SPEC: "Process",
    Health.MAINTENANCE_REQUIRED: "Maintenance",
}  # fmt: skip
"""And its condition class."""
OF_THE_DEVICE: Final = frozenset(
    {
        "SpindleTemperature",
        "SpindleVibration",
        "SpindleBearing",
        "ThermalGrowth",
        "CoolantFlow",
        "CoolantLevel",
        "CoolantTemperature",
        "LubricationFall",
    }
)
"""Limit alarms that say something of the machine, and not of a tool or of what a detector thinks."""
_OUTER: Final = frozenset({"HighHigh", "LowLow"})
WORDS: Final = {row.name: row.what for row in TABLE} | {
    "DeviceFailure": "the machine has failed", "DeviceCheckFunction": "somebody works on the machine",
    "DeviceOffSpec": "the machine is beyond an outer limit", "DeviceMaintenanceRequired": "upkeep is due",
}  # fmt: skip
"""Alarms by name, as an operator calls them."""
WARNING_AT: Final = {
    "Upkeep/SpindleBearing": (18_000.0, "Hours of the spindle's bearings"),
    "Upkeep/CoolantFilter": (90.0, "Use of the coolant filter"),
    "Upkeep/WayLube": (90.0, "Use of the way oil"),
}
"""Counter of use -> its warning, as DI:WarningValues shows it, and what it counts."""


def reasons(
    state: MachineState, alarm: str, levels: Mapping[str, str | None], used: Iterable[tuple[str, float]]
) -> dict[Health, str]:
    """Every word that holds, with what an operator reads.

    ``alarm``: text of the control's first alarm. ``levels``: limit alarm -> the level at which it is. ``used``: counters of use and
    what they show.
    """
    found: dict[Health, str] = {}
    if state is MachineState.EMERGENCY_STOP:
        found[Health.FAILURE] = "Emergency stop"
    elif state is MachineState.ALARM:
        found[Health.FAILURE] = alarm or "The control shows an alarm"
    if state is MachineState.MAINTENANCE:
        found[Health.CHECK_FUNCTION] = "Somebody works on the machine"
    beyond = sorted(name for name, level in levels.items() if level in _OUTER and name in OF_THE_DEVICE)
    if beyond:
        found[Health.OFF_SPEC] = f"Beyond the outer limit: {', '.join(WORDS[name] for name in beyond)}"
    due = [WARNING_AT[name][1] for name, number in used if number >= WARNING_AT[name][0]]
    if due:
        found[Health.MAINTENANCE_REQUIRED] = f"Due soon: {', '.join(due)}"
    return found


def foremost(found: Iterable[Health]) -> Health:
    """The worst of them."""
    return min(found, default=Health.NORMAL)
