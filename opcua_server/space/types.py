"""The type side of the address space: names, supertypes, and what a type prescribes for its instances.

Built once per server after the NodeSets are loaded; every machine is instantiated from the same one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AddressSpace

from nodesets.namespaces import URI, is_instance_uri
from nodesets.paths import QName, qname
from nodesets.space_access import namespace_array

_A = ua.AttributeIds
HAS_SUBTYPE: Final = ua.NodeId(45, 0)
HAS_TYPE_DEFINITION: Final = ua.NodeId(40, 0)
HAS_INTERFACE: Final = ua.NodeId(17603, 0)
HAS_MODELLING_RULE: Final = ua.NodeId(37, 0)
HAS_COMPONENT: Final = ua.NodeId(47, 0)
HAS_PROPERTY: Final = ua.NodeId(46, 0)
HAS_ADD_IN: Final = ua.NodeId(17604, 0)
ORGANIZES: Final = ua.NodeId(35, 0)
HAS_ORDERED_COMPONENT: Final = ua.NodeId(49, 0)
HAS_STRUCTURED_COMPONENT: Final = ua.NodeId(24136, 0)
_CHILD: Final = frozenset({HAS_COMPONENT, HAS_PROPERTY, HAS_ADD_IN, ORGANIZES, HAS_ORDERED_COMPONENT, HAS_STRUCTURED_COMPONENT})

_MANDATORY, _OPTIONAL = ua.NodeId(78, 0), ua.NodeId(80, 0)
_PLACEHOLDERS: Final = frozenset({ua.NodeId(11508, 0), ua.NodeId(11510, 0)})
_RULES: Final = _PLACEHOLDERS | {_MANDATORY, _OPTIONAL}
_TYPE_CLASSES: Final = frozenset({8, 16, 32, 64})
_ABSTRACT_BUILTIN: Final = {26: 11, 27: 6, 28: 7, 29: 6}
"""Number, Integer, UInteger and Enumeration -> the built-in type that we show them in."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """A child that a type (or another declaration) prescribes."""

    node_id: ua.NodeId
    reference: ua.NodeId
    name: ua.QualifiedName
    mandatory: bool
    placeholder: bool


class TypeSpace:
    def __init__(self, aspace: AddressSpace) -> None:
        self.aspace = aspace
        uris = namespace_array(aspace)
        self.index: dict[str, int] = {prefix: uris.index(uri) for prefix, uri in URI.items() if uri in uris}
        self._models = _models(aspace)
        self.worked_out: dict[Any, Any] = {}
        """What others have made of the types and want to find again, such as a pattern to copy; by keys of theirs."""
        self._children: dict[ua.NodeId, tuple[Declaration, ...]] = {}
        self._sources: dict[ua.NodeId, tuple[ua.NodeId, ...]] = {}
        self._builtin: dict[ua.NodeId, ua.VariantType] = {}
        self._supertypes: dict[ua.NodeId, tuple[ua.NodeId, ...]] = {}
        self._interfaces: dict[ua.NodeId, tuple[ua.NodeId, ...]] = {}
        self._definitions: dict[ua.NodeId, ua.NodeId] = {}

    @classmethod
    def of(cls, aspace: AddressSpace) -> TypeSpace:
        """The one that there is for an address space, until another model is loaded into it."""
        known: TypeSpace | None = aspace.__dict__.get("types")
        if known is None or known._models != _models(aspace):
            known = aspace.__dict__["types"] = cls(aspace)
        return known

    @cached_property
    def _types(self) -> dict[tuple[int, str], ua.NodeId]:
        """Namespace and name of a type -> the type. Looked for when the first is asked for by its name."""
        found: dict[tuple[int, str], ua.NodeId] = {}
        classes: dict[Any, bool] = {}  # most nodes share one of these attributes
        for node_id in list(self.aspace.keys()):
            attributes = self.aspace[node_id].attributes
            node_class = attributes[_A.NodeClass]
            is_type = classes.get(node_class)
            if is_type is None:
                is_type = classes[node_class] = node_class.value.Value.Value in _TYPE_CLASSES
            if is_type:
                name = attributes[_A.BrowseName].value.Value.Value
                found[name.NamespaceIndex, name.Name] = node_id
        return found

    @cached_property
    def _hangs(self) -> frozenset[ua.NodeId]:
        """Types of the references by which a type prescribes its children."""
        statistics = next(iter(self._subtypes(HAS_COMPONENT, self.index.get("IA", -1), "HasStatisticComponent")), None)
        return _CHILD if statistics is None else _CHILD | {statistics}

    def _subtypes(self, above: ua.NodeId, namespace: int, name: str) -> list[ua.NodeId]:
        found = []
        for reference in self.aspace[above].references:
            if reference.IsForward and reference.ReferenceTypeId == HAS_SUBTYPE:
                if (reference.BrowseName.NamespaceIndex, reference.BrowseName.Name) == (namespace, name):
                    found.append(reference.NodeId)
                found += self._subtypes(reference.NodeId, namespace, name)
        return found

    def qualified(self, name: QName) -> ua.QualifiedName:
        return ua.QualifiedName(name.name, self.index[name.prefix])

    def type_id(self, name: str | QName) -> ua.NodeId:
        """The type called ``MT:ToolType``. Raises KeyError."""
        named = qname(name) if isinstance(name, str) else name
        return self._types[self.index[named.prefix], named.name]

    def attribute(self, node_id: ua.NodeId, attribute: ua.AttributeIds) -> Any:
        """The value of an attribute, None where the node has none."""
        held = self.aspace[node_id].attributes.get(attribute)
        return None if held is None or held.value is None else held.value.Value.Value

    def targets(self, node_id: ua.NodeId, reference: ua.NodeId, forward: bool = True) -> list[ua.NodeId]:
        return [r.NodeId for r in self.aspace[node_id].references if r.ReferenceTypeId == reference and r.IsForward is forward]

    def supertypes(self, type_id: ua.NodeId) -> tuple[ua.NodeId, ...]:
        """The type itself, then its supertypes up to the root."""
        known = self._supertypes.get(type_id)
        if known is None:
            chain = [type_id]
            while above := self.targets(chain[-1], HAS_SUBTYPE, forward=False):
                chain.append(above[0])
            known = self._supertypes[type_id] = tuple(chain)
        return known

    def is_subtype(self, type_id: ua.NodeId, of: ua.NodeId) -> bool:
        return of in self.supertypes(type_id)

    def sources(self, type_id: ua.NodeId) -> tuple[ua.NodeId, ...]:
        """All nodes whose children an instance of the type has: the type, its supertypes, and all their interfaces."""
        known = self._sources.get(type_id)
        if known is None:
            chain = self.supertypes(type_id)
            found = list(chain)
            for node_id in chain:
                found += [i for i in self.interfaces(node_id) if i not in found]
            known = self._sources[type_id] = tuple(found)
        return known

    def interfaces(self, node_id: ua.NodeId) -> tuple[ua.NodeId, ...]:
        """Interface types of a type or a declaration, with the interfaces' supertypes."""
        known = self._interfaces.get(node_id)
        if known is None:
            found = (above for i in self.targets(node_id, HAS_INTERFACE) for above in self.supertypes(i))
            known = self._interfaces[node_id] = tuple(found)
        return known

    def type_definition(self, node_id: ua.NodeId) -> ua.NodeId:
        """Of a node of the type side; the null NodeId where it has none."""
        known = self._definitions.get(node_id)
        if known is None:
            found = self.targets(node_id, HAS_TYPE_DEFINITION)
            known = self._definitions[node_id] = found[0] if found else ua.NodeId()
        return known

    def children(self, node_id: ua.NodeId) -> tuple[Declaration, ...]:
        """What the node prescribes; children without a modelling rule belong to the type alone."""
        known = self._children.get(node_id)
        if known is None:
            found = []
            for reference in self.aspace[node_id].references:
                if not reference.IsForward or reference.ReferenceTypeId not in self._hangs:
                    continue
                rules = self.targets(reference.NodeId, HAS_MODELLING_RULE)
                rule = rules[0] if rules else None
                if rule in _RULES:
                    found.append(
                        Declaration(
                            reference.NodeId,
                            reference.ReferenceTypeId,
                            reference.BrowseName,
                            rule == _MANDATORY,
                            rule in _PLACEHOLDERS,
                        )
                    )
            known = self._children[node_id] = tuple(found)
        return known

    def builtin(self, data_type: ua.NodeId) -> ua.VariantType:
        """The built-in type that values of a data type have on the wire."""
        known = self._builtin.get(data_type)
        if known is None:
            kind = 24
            for above in self.supertypes(data_type):
                if above.NamespaceIndex == 0 and (above.Identifier <= 25 or above.Identifier in _ABSTRACT_BUILTIN):
                    kind = _ABSTRACT_BUILTIN.get(above.Identifier, above.Identifier)
                    break
            known = self._builtin[data_type] = ua.VariantType(kind)
        return known


def _models(aspace: AddressSpace) -> list[str]:
    """Namespaces that types may be in."""
    return [uri for uri in namespace_array(aspace) if not is_instance_uri(uri)]
