"""One machine state drives every state machine of the official models.

The table is the specification (OPC 40501-1, OPC 40502, OPC 40001-1); a node never decides for itself which state it shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Literal


class MachineState(IntEnum):
    OFF = 0
    IDLE = 1
    LOADING = 2
    RUNNING = 3
    HELD = 4
    """Feed hold, M0 or M1."""
    MANUAL = 5
    """Jog or MDI."""
    ALARM = 6
    EMERGENCY_STOP = 7
    MAINTENANCE = 8

    @property
    def words(self) -> str:
        """What people call it."""
        return self.name.replace("_", " ").lower()


class ItemState(IntEnum):
    """MA:MachineryItemState, by number."""

    NOT_AVAILABLE = 0
    OUT_OF_SERVICE = 1
    NOT_EXECUTING = 2
    EXECUTING = 3


class ItemOperationMode(IntEnum):
    """MA:MachineryOperationMode, by number."""

    NONE = 0
    MAINTENANCE = 1
    SETUP = 2
    PROCESSING = 3


class ToolOperationMode(IntEnum):
    """MT:MachineOperationMode."""

    MANUAL = 0
    AUTOMATIC = 1
    SETUP = 2
    AUTO_WITH_MANUAL_INTERVENTION = 3
    SERVICE = 4
    OTHER = 5


class ChannelState(IntEnum):
    """MT:ChannelState and CNC:CncChannelStatus."""

    ACTIVE = 0
    INTERRUPTED = 1
    RESET = 2


class ProgramState(IntEnum):
    """State of MT:ActiveProgram, by number."""

    INITIALIZING = 0
    RUNNING = 1
    ENDED = 2
    INTERRUPTED = 3
    ABORTED = 4


class ProgramStatus(IntEnum):
    """CNC:CncChannelProgramStatus."""

    STOPPED = 0
    RUNNING = 1
    WAITING = 2
    INTERRUPTED = 3
    CANCELED = 4


Lamp = Literal["Red", "Yellow", "Green", "Blue"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What each official state machine says in one machine state. ``program`` None keeps the last one."""

    item: ItemState
    mode: ItemOperationMode
    tool_mode: ToolOperationMode
    channel: ChannelState
    program: ProgramState | None
    program_status: ProgramStatus
    lamp: Lamp | None
    blinking: bool = False


SHOWN: Final[dict[MachineState, Shown]] = {
    MachineState.OFF: Shown(ItemState.NOT_AVAILABLE, ItemOperationMode.NONE, ToolOperationMode.OTHER,
                            ChannelState.RESET, ProgramState.ENDED, ProgramStatus.STOPPED, None),
    MachineState.IDLE: Shown(ItemState.NOT_EXECUTING, ItemOperationMode.PROCESSING, ToolOperationMode.AUTOMATIC,
                             ChannelState.RESET, ProgramState.ENDED, ProgramStatus.STOPPED, "Yellow"),
    MachineState.LOADING: Shown(ItemState.NOT_EXECUTING, ItemOperationMode.PROCESSING, ToolOperationMode.AUTOMATIC,
                                ChannelState.RESET, ProgramState.INITIALIZING, ProgramStatus.WAITING, "Yellow"),
    MachineState.RUNNING: Shown(ItemState.EXECUTING, ItemOperationMode.PROCESSING, ToolOperationMode.AUTOMATIC,
                                ChannelState.ACTIVE, ProgramState.RUNNING, ProgramStatus.RUNNING, "Green"),
    MachineState.HELD: Shown(ItemState.NOT_EXECUTING, ItemOperationMode.PROCESSING, ToolOperationMode.AUTOMATIC,
                             ChannelState.INTERRUPTED, ProgramState.INTERRUPTED, ProgramStatus.INTERRUPTED, "Yellow", True),
    MachineState.MANUAL: Shown(ItemState.EXECUTING, ItemOperationMode.SETUP, ToolOperationMode.MANUAL,
                               ChannelState.ACTIVE, None, ProgramStatus.STOPPED, "Yellow"),
    MachineState.ALARM: Shown(ItemState.OUT_OF_SERVICE, ItemOperationMode.PROCESSING, ToolOperationMode.AUTOMATIC,
                              ChannelState.INTERRUPTED, ProgramState.INTERRUPTED, ProgramStatus.INTERRUPTED, "Red", True),
    MachineState.EMERGENCY_STOP: Shown(ItemState.OUT_OF_SERVICE, ItemOperationMode.PROCESSING, ToolOperationMode.AUTOMATIC,
                                       ChannelState.RESET, ProgramState.ABORTED, ProgramStatus.CANCELED, "Red"),
    MachineState.MAINTENANCE: Shown(ItemState.NOT_EXECUTING, ItemOperationMode.MAINTENANCE, ToolOperationMode.SERVICE,
                                    ChannelState.RESET, ProgramState.ENDED, ProgramStatus.STOPPED, "Blue"),
}  # fmt: skip
