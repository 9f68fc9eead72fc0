"""All conditions of a server, by ConditionId: whom a method or a refresh means."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from asyncua.common.events import Event

from opcua_server.alarms.branch import Branch
from opcua_server.alarms.condition import Condition
from opcua_server.alarms.fields import Face, Rows, rows
from opcua_server.alarms.nodes import ConditionNodes

_V: Final = ua.VariantType


@dataclass(eq=False, slots=True)
class Held:
    """One condition, what it looks like, and where its events go.

    ``emitters``: nodes whose subscribers hear of it, and the face it has there. ``nodes``: None where it has no instance.
    ``groups``: those it is a member of, or that suppress it. ``tell``: takes the branches that a change says something of.
    ``flush``: waits until subscribers have been told.
    """

    condition: Condition
    face: Face
    emitters: tuple[tuple[Any, Face], ...]
    nodes: ConditionNodes | None
    tell: Callable[[Held, list[Branch]], None]
    flush: Callable[[], Any]
    groups: tuple[Any, ...] = ()

    def events(self, branch: Branch, now_ns: int) -> list[Event]:
        """What is said of one branch, for each node whose subscribers hear of it."""
        shown: dict[int, Rows] = {}
        made: list[Event] = []
        for emitter, face in self.emitters:
            if id(face) not in shown:
                shown[id(face)] = rows(face, self.condition, branch, now_ns)
            made.append(_event(emitter, face, shown[id(face)]))
        return made

    def event_at(self, node_id: Any, branch: Branch, now_ns: int) -> Event | None:
        """The same for one of these nodes; None for another one."""
        for emitter, face in self.emitters:
            if emitter == node_id:
                return _event(emitter, face, rows(face, self.condition, branch, now_ns))
        return None


def _event(emitter: Any, face: Face, found: Rows) -> Event:
    event = Event(emitter)
    event.add_property("NodeId", face.node_id, _V.NodeId)  # the ConditionId, as filters ask for it
    for name, (value, kind) in found.items():
        event.add_property(name, ua.Variant(value, kind, is_array=True) if isinstance(value, list) else value, kind)
    return event


@dataclass(slots=True)
class Registry:
    """``by_id``: ConditionId, and the ids of the ShelvingState objects below conditions."""

    by_id: dict[Any, Held] = field(default_factory=dict)

    def add(self, held: Held) -> None:
        self.by_id[held.face.node_id] = held
        if held.nodes is not None and held.nodes.shelving is not None:
            self.by_id[held.nodes.shelving] = held

    def remove(self, held: Held) -> None:
        self.by_id.pop(held.face.node_id, None)

    def __iter__(self) -> Iterator[Held]:
        """Each condition once."""
        return (held for node_id, held in list(self.by_id.items()) if node_id == held.face.node_id)
