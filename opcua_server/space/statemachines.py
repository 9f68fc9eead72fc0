"""The finite state machines of the official models, shown from the one machine state (`nodesets.states.SHOWN`).

A state machine's states and transitions are read from its type by name, so Id, Number, text and LastTransition always agree.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Final

from asyncua import ua

from opcua_server.space.instances import Builder
from opcua_server.space.publish import put, shown
from opcua_server.space.types import HAS_COMPONENT, HAS_PROPERTY, TypeSpace

_A = ua.AttributeIds
_V = ua.VariantType
_STATE_TYPES: Final = frozenset({ua.NodeId(2307, 0), ua.NodeId(2309, 0)})
_TRANSITION_TYPE: Final = ua.NodeId(2310, 0)
_FROM_STATE: Final = ua.NodeId(51, 0)
_TO_STATE: Final = ua.NodeId(52, 0)


@dataclass(frozen=True, slots=True)
class _Named:
    name: str
    node_id: ua.NodeId
    number: int


class StateMachineTable:
    """States and transitions of a state machine type, by name. Those of a subtype hide those of its supertype."""

    def __init__(self, types: TypeSpace, type_id: ua.NodeId) -> None:
        self.states: dict[str, _Named] = {}
        self._edges: dict[str, dict[str, _Named]] = {}
        for source in types.supertypes(type_id):
            for node_id in types.targets(source, HAS_COMPONENT):
                kind = types.type_definition(node_id)
                name = types.attribute(node_id, _A.BrowseName).Name
                if kind in _STATE_TYPES:
                    self.states.setdefault(name, _Named(name, node_id, self._number(types, node_id)))
                elif kind == _TRANSITION_TYPE:
                    transition = _Named(name, node_id, self._number(types, node_id))
                    for begin in types.targets(node_id, _FROM_STATE):
                        for end in types.targets(node_id, _TO_STATE):
                            edge = self._edges.setdefault(types.attribute(begin, _A.BrowseName).Name, {})
                            edge.setdefault(types.attribute(end, _A.BrowseName).Name, transition)

    @classmethod
    def of(cls, types: TypeSpace, name: str) -> StateMachineTable:
        """That of the type with a name such as ``MT:ToolType``, one for all machines."""
        key = cls, name
        if key not in types.worked_out:
            types.worked_out[key] = cls(types, types.type_id(name))
        made: StateMachineTable = types.worked_out[key]
        return made

    @staticmethod
    def _number(types: TypeSpace, node_id: ua.NodeId) -> int:
        for child in types.targets(node_id, HAS_PROPERTY):
            if types.attribute(child, _A.BrowseName).Name in ("StateNumber", "TransitionNumber"):
                return int(types.attribute(child, _A.Value) or 0)
        return 0

    def into(self, end: str) -> _Named | None:
        """Some transition that ends in a state: what LastTransition says before there was one."""
        return next((edges[end] for begin, edges in sorted(self._edges.items()) if end in edges), None)

    def last_transition(self, begin: str, end: str) -> _Named | None:
        """The transition that arrives in ``end``: the direct one, or the last of the shortest way there."""
        seen = {begin}
        queue: deque[str] = deque([begin])
        while queue:
            state = queue.popleft()
            for after, transition in self._edges.get(state, {}).items():
                if after == end:
                    return transition
                if after not in seen:
                    seen.add(after)
                    queue.append(after)
        return None


def state_name(state: IntEnum) -> str:
    """NOT_EXECUTING -> NotExecuting."""
    return state.name.title().replace("_", "")


class StateMachine:
    """One instance; `show` puts it into a state."""

    def __init__(self, builder: Builder, node_id: ua.NodeId, table: StateMachineTable) -> None:
        self._table = table
        self._state: str | None = None
        at = builder.at
        self._current = builder.value(at(node_id, "0:CurrentState"))
        self._id = builder.value(at(node_id, "0:CurrentState/0:Id"))
        self._number = builder.value(at(node_id, "0:CurrentState/0:Number"))
        self._last = builder.value(at(node_id, "0:LastTransition"))
        self._last_id = builder.value(at(node_id, "0:LastTransition/0:Id"))
        self._last_number = builder.value(at(node_id, "0:LastTransition/0:Number"))
        self._last_time = builder.value(at(node_id, "0:LastTransition/0:TransitionTime"))

    def show(self, state: IntEnum, moment: datetime, server_time: datetime, status: int = 0) -> None:
        name = state_name(state)
        row = self._table.states[name]
        before, self._state = self._state, name
        put(self._current, shown(ua.LocalizedText(name, "en"), _V.LocalizedText, status, moment, server_time))
        put(self._id, shown(row.node_id, _V.NodeId, status, moment, server_time))
        put(self._number, shown(row.number, _V.UInt32, status, moment, server_time))
        if before == name:
            return
        taken = self._table.into(name) if before is None else self._table.last_transition(before, name)
        if taken is None:
            return
        put(self._last, shown(ua.LocalizedText(taken.name, "en"), _V.LocalizedText, 0, moment, server_time))
        put(self._last_id, shown(taken.node_id, _V.NodeId, 0, moment, server_time))
        put(self._last_number, shown(taken.number, _V.UInt32, 0, moment, server_time))
        put(self._last_time, shown(moment, _V.DateTime, 0, moment, server_time))
