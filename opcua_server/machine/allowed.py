"""Which command is possible in which state of the machine: the table that ``controller`` carries out."""

from __future__ import annotations

from typing import Final

from nodesets.states import MachineState

S = MachineState
_ANY: Final = frozenset(S) - {S.OFF}
_STANDING: Final = frozenset({S.IDLE, S.MANUAL})
_AT_REST: Final = frozenset({S.IDLE, S.ALARM, S.EMERGENCY_STOP, S.MAINTENANCE})

ALLOWED: Final[dict[str, frozenset[MachineState]]] = {
    "LoadProgram": frozenset({S.IDLE, S.LOADING}),
    "LoadProgramText": frozenset({S.IDLE, S.LOADING}),
    "Start": frozenset({S.IDLE, S.HELD}),
    "Hold": frozenset({S.RUNNING}),
    "Stop": frozenset({S.RUNNING, S.HELD, S.LOADING, S.MANUAL}),
    "Reset": _ANY,
    "EmergencyStop": _ANY,
    "SwitchOff": _AT_REST,
    "SwitchOn": frozenset({S.OFF}),
    "BeginMaintenance": frozenset({S.IDLE, S.MAINTENANCE}),
    "EndMaintenance": frozenset({S.MAINTENANCE}),
    "ChangeTool": _STANDING,
    "SetFeedOverride": _ANY,
    "SetRapidOverride": _ANY,
    "SetSpindleOverride": _ANY,
    "SetSpindleSpeed": _STANDING,
    "SetModifier": _ANY,
    "ReplaceTool": _ANY,
    "InjectFault": _ANY,
    "ClearFault": _ANY,
}
