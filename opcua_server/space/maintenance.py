"""MT:MaintenanceMode, the states below MachineryOperationMode's Maintenance: which kind of work is done (OPC 40501-1, 8.3.11).

It is there while the machine is in maintenance. Out of it a sub state machine has no state, and would be Bad_StateNotActive.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue

from cnctwin.reading import Columns
from nodesets.catalogue import MACHINE, NUMERIC
from nodesets.states import MachineState
from opcua_server.space.changes import ModelChanges
from opcua_server.space.instances import Builder, wanted
from opcua_server.space.publish import put, shown
from opcua_server.space.statemachines import StateMachineTable
from opcua_server.space.types import HAS_COMPONENT

_V = ua.VariantType
_STATE: Final = [signal.name for signal in NUMERIC].index("Machine/State")
_STATUS: Final = [signal.name for signal in MACHINE].index("Machine/State")


class MaintenanceMode:
    """Of one machine. ``parent``: its MachineryOperationMode; ``table``: the states of the type."""

    def __init__(self, builder: Builder, parent: ua.NodeId, table: StateMachineTable, changes: ModelChanges) -> None:
        changes.follow(builder, parent)
        types = builder.types
        self._parent, self._table, self._changes = parent, table, changes
        self._name = ua.QualifiedName("MaintenanceMode", types.index["MT"])
        self._type = types.type_id("MT:MaintenanceModeStateMachineType")
        self._node: ua.NodeId | None = None
        self._held: list[AttributeValue] = []
        """CurrentState, its Id and its Number."""
        self._shown = ""

    def write(self, columns: Columns, moment: datetime, now: datetime) -> None:
        """One tick."""
        known = not int(columns.statuses[_STATUS]) >> 31 and int(columns.numbers[_STATE]) == MachineState.MAINTENANCE
        kind = str(columns.objects.get("Machine/MaintenanceMode") or "") if known else ""
        if kind not in self._table.states:
            kind = "Other" if known else ""
        if kind == self._shown:
            return
        self._shown = kind
        if kind:
            self._show(kind, moment, now)
        elif self._node is not None:
            self._changes.remove(self._node)
            self._node = None

    def _show(self, kind: str, moment: datetime, now: datetime) -> None:
        if self._node is None:
            want = wanted(["0:CurrentState/0:Number"])
            builder, node_id = self._changes.add(self._parent, HAS_COMPONENT, self._name, self._type, want)
            self._node = node_id
            self._held = [builder.value(builder.at(node_id, f"0:CurrentState{part}")) for part in ("", "/0:Id", "/0:Number")]
        state = self._table.states[kind]
        values = (ua.LocalizedText(kind, "en"), _V.LocalizedText), (state.node_id, _V.NodeId), (state.number, _V.UInt32)
        for held, (value, data_type) in zip(self._held, values, strict=True):
            put(held, shown(value, data_type, 0, moment, now))
