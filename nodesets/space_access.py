"""Direct access to asyncua's address space: references in both directions and the namespace array.

asyncua's AddReferences searches the whole list of a node for each new reference and copies names each time; here a set knows
what exists, and equal descriptions are one object.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asyncua import ua
from asyncua.server.address_space import AddressSpace

_A = ua.AttributeIds
_NAMESPACE_ARRAY: Final = ua.NodeId(2255, 0)
_HAS_TYPE_DEFINITION: Final = ua.NodeId(40, 0)
ONE_WAY: Final = frozenset({_HAS_TYPE_DEFINITION, ua.NodeId(37, 0), ua.NodeId(17603, 0)})
"""HasTypeDefinition, HasModellingRule and HasInterface: the inverse would list every instance at its type."""


def namespace_array(aspace: AddressSpace) -> list[str]:
    """A copy of the server's namespace array."""
    return list(aspace[_NAMESPACE_ARRAY].attributes[_A.Value].value.Value.Value)


def set_namespace_array(aspace: AddressSpace, uris: Sequence[str]) -> None:
    value = ua.DataValue(ua.Variant(list(uris), ua.VariantType.String, is_array=True))
    aspace[_NAMESPACE_ARRAY].attributes[_A.Value].value = value


def population(aspace: AddressSpace) -> tuple[int, int]:
    """How many nodes there are, and how many were taken away since the start: as before when none came or went."""
    return len(aspace._nodes), aspace.__dict__.get("went", 0)


def take_away(aspace: AddressSpace, node_id: ua.NodeId) -> None:
    """Remove a node, and nothing that refers to it."""
    del aspace[node_id]
    aspace.__dict__["went"] = population(aspace)[1] + 1


class References:
    """Adds references; ``count`` is how many were new (each direction counts as one half of the same)."""

    def __init__(self, aspace: AddressSpace) -> None:
        self._aspace = aspace
        self._known: dict[ua.NodeId, set[tuple[ua.NodeId, ua.NodeId, bool]]] = {}
        self._descriptions: dict[tuple[ua.NodeId, ua.NodeId, bool], ua.ReferenceDescription] = {}
        self.count = 0

    def add(self, source: ua.NodeId, kind: ua.NodeId, target: ua.NodeId) -> None:
        """``source --kind--> target``, and back; both nodes exist."""
        if self._add(source, kind, target, True):
            self.count += 1
        if kind not in ONE_WAY:
            self._add(target, kind, source, False)

    def add_new(self, source: ua.NodeId, kind: ua.NodeId, target: ua.NodeId, forward: bool) -> None:
        """At ``source`` alone, a reference that is known not to be there."""
        self.append(source, self._description((kind, target, forward)))

    def append(self, source: ua.NodeId, description: ua.ReferenceDescription) -> None:
        """The same, as it reads."""
        self._aspace[source].references.append(description)
        if (known := self._known.get(source)) is not None:
            known.add((description.ReferenceTypeId, description.NodeId, description.IsForward))

    def describe(self, kind: ua.NodeId, target: ua.NodeId, forward: bool) -> ua.ReferenceDescription:
        """How a reference to ``target`` reads."""
        return self._description((kind, target, forward))

    def _add(self, source: ua.NodeId, kind: ua.NodeId, target: ua.NodeId, forward: bool) -> bool:
        node = self._aspace[source]
        known = self._known.get(source)
        if known is None:
            known = self._known[source] = {(r.ReferenceTypeId, r.NodeId, r.IsForward) for r in node.references}
        key = (kind, target, forward)
        if key in known:
            return False
        known.add(key)
        node.references.append(self._description(key))
        return True

    def _description(self, key: tuple[ua.NodeId, ua.NodeId, bool]) -> ua.ReferenceDescription:
        description = self._descriptions.get(key)
        if description is None:
            description = self._descriptions[key] = self._describe(*key)
        return description

    def _describe(self, kind: ua.NodeId, target: ua.NodeId, forward: bool) -> ua.ReferenceDescription:
        node = self._aspace[target]
        attributes = node.attributes
        node_class = attributes[_A.NodeClass].value.Value.Value
        type_definition = ua.NodeId()
        if node_class in (ua.NodeClass.Object, ua.NodeClass.Variable):
            for reference in node.references:
                if reference.IsForward and reference.ReferenceTypeId == _HAS_TYPE_DEFINITION:
                    type_definition = reference.NodeId
                    break
        return ua.ReferenceDescription(
            kind,
            forward,
            node.nodeid,
            attributes[_A.BrowseName].value.Value.Value,
            attributes[_A.DisplayName].value.Value.Value,
            ua.NodeClass(node_class),
            type_definition,
        )
