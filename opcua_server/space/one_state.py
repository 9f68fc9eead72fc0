"""The one machine state, in everything that the official models say of it: state machines, operation mode, lamps.

Machine/State --nodesets.states.SHOWN--> MachineryItemState, MachineryOperationMode, ProductionProgram | OperationMode | lamps
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from asyncua import ua

from nodesets.states import SHOWN, MachineState
from opcua_server.space import layout
from opcua_server.space.instances import Builder
from opcua_server.space.publish import put, shown
from opcua_server.space.statemachines import StateMachine, StateMachineTable

_LAMPS = ("Red", "Yellow", "Green", "Blue")


class OneState:
    """Of one machine, the object ``node_id``; off until something else is said. ``tables``: by the path of a state machine."""

    def __init__(self, builder: Builder, node_id: ua.NodeId, tables: dict[str, StateMachineTable]) -> None:
        def at(path: str) -> ua.NodeId:
            return builder.at(node_id, path)

        self._machines = [StateMachine(builder, at(path), tables[path]) for path in layout.STATE_MACHINES]
        self._mode = builder.value(at(f"{layout.MACHINE_TOOL}/MT:OperationMode"))
        self._lamps = {name: builder.value(at(f"{layout.lamp(name)}/IA:SignalMode")) for name in _LAMPS}
        self._program: Any = None
        self.show(float(MachineState.OFF), 0, builder.now, builder.now)

    def show(self, number: float, status: int, moment: datetime, server_time: datetime) -> None:
        """A value of Machine/State; one that is bad is shown as off."""
        if status >> 31:
            number = float(MachineState.OFF)
        row = SHOWN[MachineState(int(number))]
        if row.program is not None or self._program is None:
            self._program = row.program
        for machine, value in zip(self._machines, (row.item, row.mode, self._program), strict=True):
            if value is not None:
                machine.show(value, moment, server_time, status)
        put(self._mode, shown(int(row.tool_mode), ua.VariantType.Int32, status, moment, server_time))
        for name, held in self._lamps.items():
            blinking = int(row.blinking and row.lamp == name)
            put(held, shown(blinking, ua.VariantType.Int32, status, moment, server_time))
