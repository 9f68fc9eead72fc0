"""The door of the working area and its guard locking (ISO 14119)."""

from __future__ import annotations

from typing import Final

from nodesets.states import MachineState
from opcua_server.machine.controller import Controller

_ACTIVE: Final = frozenset({MachineState.RUNNING, MachineState.HELD, MachineState.MANUAL})


def is_locked(controller: Controller) -> bool:
    """While a program is active, the spindle turns or an axis moves."""
    return controller.state in _ACTIVE or controller.spindle.speed_rpm > 0.0 or not controller.motion.idle


def is_closed(controller: Controller, locked: bool) -> bool:
    """It is opened for a change of the part, once it may be: when it is not locked."""
    return locked or not controller.part_change.is_door_open(controller.now_s)
