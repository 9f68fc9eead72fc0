"""Nodes that come and go while the server runs, and what tells clients of it (OPC 10000-3, 8.3.3; OPC 10000-5, 6.4.32).

    add, remove --noted--> tell: NodeVersion of each list that changed, one GeneralModelChangeEvent for lists and nodes
    a property that says what its owner means --written--> tell_meaning: a SemanticChangeEvent

Whoever monitors a node that goes is told BadNodeIdUnknown. References are never changed in a list that somebody may hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import Server, ua

from nodesets.paths import qname
from nodesets.space_access import take_away
from opcua_server.space.copies import Pattern
from opcua_server.space.instances import Builder, Wanted
from opcua_server.space.notify import SERVER, Notifier
from opcua_server.space.publish import put, shown
from opcua_server.space.types import HAS_PROPERTY

_A = ua.AttributeIds
_V = ua.VariantType
_EVENT_TYPE: Final = ua.NodeId(ua.ObjectIds.GeneralModelChangeEventType, 0)
_SEMANTIC_TYPE: Final = ua.NodeId(ua.ObjectIds.SemanticChangeEventType, 0)
_ADDED, _DELETED, _REFERENCE_ADDED, _REFERENCE_DELETED = 1, 2, 4, 8
"""Verbs of ModelChangeStructureDataType; several are one number."""
_GONE: Final = int(ua.StatusCodes.BadNodeIdUnknown)
_MOST: Final = 1000
"""Nodes in one event: of more the lists alone tell."""
_NAMED: Final = 3
"""Changes in the words of one event."""
_FIRST: Final = int(time.time())
"""NodeVersion of all lists when the server starts: not one that a client has seen before a restart."""
_VERSION: Final = ua.QualifiedName("NodeVersion", 0)

_HAS_TYPE_DEFINITION: Final = ua.NodeId(40, 0)
_PROPERTY_TYPE: Final = ua.NodeId(68, 0)
_STRING: Final = ua.NodeId(12, 0)

MakeBuilder = Callable[[], Builder]


class ModelChanges:
    """Of one machine. ``make_builder``: a builder for its namespace; one is made for each node that comes, and not kept."""

    def __init__(self, server: Server, machine: ua.NodeId, name: str, make_builder: MakeBuilder) -> None:
        self._aspace = server.iserver.aspace
        self._notifier = Notifier(server, SERVER, "Server")
        self._machine = machine
        self._name = name
        self._make_builder = make_builder
        self._made: dict[ua.NodeId, tuple[ua.NodeId, list[ua.NodeId]]] = {}
        """Node -> its parent, and all nodes that were made with it."""
        self._versions: dict[ua.NodeId, tuple[Any, int]] = {}
        """List -> place of its NodeVersion, and the number it shows."""
        self._changes: dict[ua.NodeId, tuple[ua.NodeId, int]] = {}
        """Node -> its type, and verbs."""
        self._changed_lists: dict[ua.NodeId, int] = {}
        self._words: list[str] = []

    def follow(self, builder: Builder, parent: ua.NodeId) -> None:
        """Keep the NodeVersion of a list that nodes come to: without one no change of it may be told (OPC 10000-3, 9.32.2)."""
        version = builder.child(parent, qname("0:NodeVersion"))
        if version is None:
            version = builder.variable(parent, HAS_PROPERTY, _VERSION, _PROPERTY_TYPE, _STRING, "")
            builder.describe(version, "Counts up each time something comes or goes here")
        builder.set(version, str(_FIRST))
        self._versions[parent] = (builder.value(version), _FIRST)

    def add(
        self, parent: ua.NodeId, reference: ua.NodeId, name: ua.QualifiedName, type_id: ua.NodeId, want: Wanted
    ) -> tuple[Builder, ua.NodeId]:
        """A new instance below a list, and the builder that knows its children."""
        builder = self._make_builder()
        builder.shares_methods = True
        node_id = builder.instance(parent, reference, name, type_id, want)
        self._came(builder, parent, node_id, type_id)
        return builder, node_id

    def add_alike(
        self, parent: ua.NodeId, reference: ua.NodeId, name: ua.QualifiedName, type_id: ua.NodeId, want: Wanted
    ) -> tuple[Builder, ua.NodeId]:
        """The same where all that come are alike, at all machines: those after the first are copies of what it was when it came."""
        builder = self._make_builder()
        builder.shares_methods = True
        key = ModelChanges, type_id, reference
        pattern: Pattern | None = builder.types.worked_out.get(key)
        if pattern is not None and pattern.fits(builder, str(name.Name), parent):
            node_id = builder.copy(pattern, str(name.Name), parent)
            builder.date()
        else:
            node_id = builder.instance(parent, reference, name, type_id, want)
            if pattern is None:
                builder.types.worked_out[key] = Pattern(builder, node_id)
        self._came(builder, parent, node_id, type_id)
        return builder, node_id

    def _came(self, builder: Builder, parent: ua.NodeId, node_id: ua.NodeId, type_id: ua.NodeId) -> None:
        self._made[node_id] = (parent, list(builder.made))
        self._note(parent, node_id, type_id, _ADDED, self._name_of(node_id))

    def remove(self, node_id: ua.NodeId) -> None:
        """Take an instance away that ``add`` made."""
        parent, made = self._made.pop(node_id)
        now = datetime.now(UTC)
        type_id, name = self._type_of(node_id), self._name_of(node_id)
        for gone in made:
            held = self._aspace[gone].attributes.get(_A.Value)
            if held is not None:
                put(held, shown(None, _V.Null, _GONE, now, now))
            take_away(self._aspace, gone)
        above = self._aspace[parent]
        above.references = [r for r in above.references if r.NodeId != node_id]
        self._note(parent, node_id, type_id, _DELETED, name)

    def _note(self, parent: ua.NodeId, node_id: ua.NodeId, type_id: ua.NodeId, verb: int, name: str) -> None:
        self._words.append(f"{name} {'came' if verb == _ADDED else 'went'}")
        of_list = _REFERENCE_ADDED if verb == _ADDED else _REFERENCE_DELETED
        self._changed_lists[parent] = self._changed_lists.get(parent, 0) | of_list
        if node_id in self._changes or len(self._changes) < _MOST:
            self._changes[node_id] = type_id, self._changes.get(node_id, (type_id, 0))[1] | verb

    def _type_of(self, node_id: ua.NodeId) -> ua.NodeId:
        return next(r.NodeId for r in self._aspace[node_id].references if r.ReferenceTypeId == _HAS_TYPE_DEFINITION)

    def _name_of(self, node_id: ua.NodeId) -> str:
        return str(self._aspace[node_id].attributes[_A.BrowseName].value.Value.Value.Name)

    async def tell(self) -> None:
        """Say what changed since the last time."""
        if not self._changed_lists:
            return
        changes, lists, words = self._changes, self._changed_lists, self._words
        self._changes, self._changed_lists, self._words = {}, {}, []
        now = datetime.now(UTC)
        for parent in lists:
            if parent in self._versions:
                held, number = self._versions[parent]
                self._versions[parent] = (held, number + 1)
                put(held, shown(str(number + 1), _V.String, 0, now, now))
        told = [(parent, self._type_of(parent), verb) for parent, verb in lists.items()]
        told += [(node_id, type_id, verb) for node_id, (type_id, verb) in changes.items()]
        rows = [ua.ModelChangeStructureDataType(node_id, type_id, ua.Byte(verb)) for node_id, type_id, verb in told]
        fields = {"Changes": (ua.Variant(rows, _V.ExtensionObject, is_array=True), _V.ExtensionObject)}
        emitters = (*lists, self._machine, SERVER)
        more = [f"and {len(words) - _NAMED} more"] if len(words) > _NAMED else []
        await self._notifier.send(_EVENT_TYPE, f"{self._name}: {', '.join([*words[:_NAMED], *more])}", fields, emitters, now)

    async def tell_meaning(self, owners: Iterable[ua.NodeId]) -> None:
        """Properties of these nodes say something else now (OPC 10000-5, 6.4.33)."""
        rows = [ua.SemanticChangeStructureDataType(owner, self._type_of(owner)) for owner in owners]
        fields = {"Changes": (ua.Variant(rows, _V.ExtensionObject, is_array=True), _V.ExtensionObject)}
        text = f"{self._name}: what it is called, or where it stands, has changed"
        await self._notifier.send(_SEMANTIC_TYPE, text, fields, (self._machine, SERVER), datetime.now(UTC))
