"""Instances of types: what asyncua's ``instantiate`` leaves out.

For each new node all its prescriptions are merged by browse name (OPC 10000-3, 6.4):

    declarations that led to it  >  its type  >  supertypes  >  interfaces
    '-- the first wins the type and the reference; mandatory in any of them is mandatory

Children are made when mandatory or wanted; placeholders only when wanted. A declaration that hangs at two parents in the type
(MachineToolType's MachineryItemState does) becomes one node at two parents in the instance.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from nodesets.paths import Path, QName, Step, parse
from nodesets.sharing import FixedValue, OwnNodeId, SharedValues
from nodesets.space_access import References
from opcua_server.space.copies import Children, CopiedReferences, Copy, Key, Pattern
from opcua_server.space.types import HAS_INTERFACE, HAS_PROPERTY, HAS_TYPE_DEFINITION, Declaration, TypeSpace

_A = ua.AttributeIds
_V = ua.VariantType
_COPIED: Final = (_A.DataType, _A.ValueRank, _A.ArrayDimensions, _A.Description, _A.Executable)
_DEFAULTS: Final[dict[ua.VariantType, Any]] = {
    _V.Boolean: False, _V.Double: 0.0, _V.Float: 0.0, _V.String: "", _V.ByteString: b"", _V.NodeId: ua.NodeId(),
}  # fmt: skip
_SEMANTIC_CHANGE: Final = 16
"""Bit of an AccessLevel (OPC 10000-3, 8.57)."""
_DEFECTIVE_PLACEHOLDERS: Final = frozenset({"<CncSpindle>"})
"""CncSpindleListType's placeholder carries 22 members of a channel: its children are not taken over, the type's are."""

Wanted = dict[Step, "Wanted"]
Context = dict[ua.NodeId, ua.NodeId]
"""Declaration -> instance, within the instance of one type."""
Prescriber = tuple[ua.NodeId, Context]


def wanted(paths: Iterable[str]) -> Wanted:
    """A tree of the optional nodes and placeholders to make."""
    tree: Wanted = {}
    for path in paths:
        branch = tree
        for step in parse(path):
            branch = branch.setdefault(step, {})
    return tree


class Builder:
    """Makes nodes in one instance namespace. NodeIds are text: the names from the machine down, joined by dots."""

    def __init__(self, types: TypeSpace, references: References, namespace: int, concrete: Mapping[ua.NodeId, ua.NodeId]) -> None:
        """``concrete``: which type to use where a declaration names an abstract one."""
        self.types = types
        self.aspace = types.aspace
        self.references = references
        self.namespace = namespace
        self.now = datetime.now(UTC)
        self.made: list[ua.NodeId] = []
        self.shares_methods = False
        """Whether instances refer to the methods of their types instead of having copies."""
        self._concrete = concrete
        self.children: dict[ua.NodeId, Children] = {}
        """Parent -> namespace and name -> node."""
        self.walked: dict[tuple[str, str], str] = {}
        """Node and path below it -> what is there, as far as it was asked for: texts of NodeIds of our namespace."""
        self._copy: Copy | None = None
        self._prefix = {index: prefix for prefix, index in types.index.items()}

    # Finding --------------------------------------------------------------------------------------------------------

    def child(self, parent: ua.NodeId, name: QName | Step) -> ua.NodeId | None:
        return self._below(parent).get(self._key(name))

    def at(self, root: ua.NodeId, path: str | Path) -> ua.NodeId:
        """The node at a path below ``root``. Raises KeyError."""
        if self._copy is not None and isinstance(path, str) and (known := self._copy.at(root, path)) is not None:
            return known
        node_id = root
        for step in parse(path) if isinstance(path, str) else path:
            found = self.child(node_id, step)
            if found is None:
                raise KeyError(f"{root.to_string()} has no {path}: {step} is missing")
            node_id = found
        if isinstance(path, str) and root.NamespaceIndex == node_id.NamespaceIndex == self.namespace:
            self.walked[root.Identifier, path] = node_id.Identifier
        return node_id

    def is_copied(self, node_id: ua.NodeId) -> bool:
        """Whether a node came as a copy: who asks to make it gets it as it is."""
        return self._copy is not None and self._copy.row(node_id) is not None

    def _below(self, parent: ua.NodeId) -> Children:
        """The children of a node. Those of a copy are told apart when somebody asks."""
        found = self.children.get(parent)
        if found is None:
            row = None if self._copy is None else self._copy.row(parent)
            found = self.children[parent] = {} if row is None or self._copy is None else self._copy.children(row)
        return found

    def value(self, node_id: ua.NodeId) -> AttributeValue:
        return self.aspace[node_id].attributes[_A.Value]

    def _key(self, name: QName | Step) -> Key:
        if isinstance(name, Step) and name.type is not None:
            return self.namespace, name.name
        return self.types.index[name.prefix] if name.prefix else self.namespace, name.name

    # Making ---------------------------------------------------------------------------------------------------------

    def copy(self, pattern: Pattern, name: str, parent: ua.NodeId | None = None) -> ua.NodeId:
        """All of something like another one; what is asked for from now on is found there."""
        self._copy = pattern.make(self, name, parent)
        self.references = CopiedReferences(self.aspace, self._copy)
        return self._copy.root

    def instance(
        self,
        parent: ua.NodeId,
        reference: ua.NodeId,
        name: ua.QualifiedName,
        type_id: ua.NodeId,
        want: Wanted | None = None,
        event_notifier: int = 0,
    ) -> ua.NodeId:
        """An instance of a type below ``parent``, with all that is mandatory and what is wanted."""
        there = self._below(parent).get((name.NamespaceIndex, name.Name))
        if there is not None and self.is_copied(there):
            return there
        is_object = self.types.attribute(type_id, _A.NodeClass) == ua.NodeClass.ObjectType
        declared = None if is_object else type_id
        node_class = ua.NodeClass.Object if is_object else ua.NodeClass.Variable
        node_id = self._node(parent, reference, name, node_class, type_id, declared, event_notifier)
        context: Context = {}
        self._complete(node_id, [(source, context) for source in self.types.sources(type_id)], want or {})
        return node_id

    def variable(
        self,
        parent: ua.NodeId,
        reference: ua.NodeId,
        name: ua.QualifiedName,
        type_id: ua.NodeId,
        data_type: ua.NodeId,
        value: Any,
        rank: int = -1,
    ) -> ua.NodeId:
        """A variable that no type prescribes, with the mandatory children of its own type."""
        node_id = self.instance(parent, reference, name, type_id)
        attributes = self.aspace[node_id].attributes
        attributes[_A.DataType] = _held(data_type, _V.NodeId)
        attributes[_A.ValueRank] = _held(rank, _V.Int32)
        self.set(node_id, value)
        return node_id

    def set(self, node_id: ua.NodeId, value: Any) -> None:
        """Set a value by the node's data type, Good and as of now."""
        attributes = self.aspace[node_id].attributes
        held = attributes[_A.Value]
        if self._copy is not None and held.value is not None and held.value.Value.Value == value:
            return  # the pattern has said it, moments ago
        kind = self.types.builtin(attributes[_A.DataType].value.Value.Value)
        rank = attributes[_A.ValueRank].value.Value.Value
        variant = ua.Variant(value, kind, is_array=isinstance(value, list) and rank != -1)
        held.value = ua.DataValue(variant, SourceTimestamp=self.now, ServerTimestamp=self.now)

    def date(self) -> None:
        """Let all that was made say what it says as of now."""
        for node_id in self.made:
            held = self.aspace[node_id].attributes.get(_A.Value)
            if held is not None and held.value is not None and held.value.SourceTimestamp is not None:
                held.value = replace(held.value, SourceTimestamp=self.now, ServerTimestamp=self.now)

    def link(self, source: ua.NodeId, reference: ua.NodeId, target: ua.NodeId) -> None:
        """A further reference to a node that exists."""
        self.references.add(source, reference, target)
        name = self.types.attribute(target, _A.BrowseName)
        self._below(source).setdefault((name.NamespaceIndex, name.Name), target)

    def types_as(self, node_id: ua.NodeId, data_type: ua.NodeId) -> AttributeValue:
        """Give a variable whose type leaves the kind of number open the data type that it has, with its neutral value. The place of
        its value."""
        attributes = self.aspace[node_id].attributes
        attributes[_A.DataType] = _held(data_type, _V.NodeId)
        value = self.neutral(data_type, attributes[_A.ValueRank].value.Value.Value)
        made = attributes[_A.Value] = AttributeValue(ua.DataValue(value, SourceTimestamp=self.now, ServerTimestamp=self.now))
        return made

    def writable(self, node_id: ua.NodeId, *, means_something: bool = False) -> None:
        """``means_something``: a property whose value says what its owner is; the bit SemanticChange tells so."""
        level = 3 | means_something * _SEMANTIC_CHANGE
        attributes = self.aspace[node_id].attributes
        attributes[_A.AccessLevel] = _held(level, _V.Byte)
        attributes[_A.UserAccessLevel] = _held(level, _V.Byte)

    def notifies(self, node_id: ua.NodeId) -> None:
        """Let an object be one whose events can be subscribed to."""
        self.aspace[node_id].attributes[_A.EventNotifier] = _held(1, _V.Byte)

    def describe(self, node_id: ua.NodeId, text: str) -> None:
        self.aspace[node_id].attributes[_A.Description] = _held(ua.LocalizedText(text, "en"), _V.LocalizedText)

    def owner(self, node_id: ua.NodeId) -> ua.NodeId:
        """What a property belongs to."""
        found = (r.NodeId for r in self.aspace[node_id].references if not r.IsForward and r.ReferenceTypeId == HAS_PROPERTY)
        return next(found)

    def _node(
        self,
        parent: ua.NodeId,
        reference: ua.NodeId,
        name: ua.QualifiedName,
        node_class: ua.NodeClass,
        type_id: ua.NodeId | None,
        declared: ua.NodeId | None,
        event_notifier: int = 0,
    ) -> ua.NodeId:
        node_id = self._new_id(parent, name)
        node = NodeData(node_id)
        attributes = node.attributes
        attributes[_A.NodeId] = OwnNodeId(node_id)
        attributes[_A.NodeClass] = _held(node_class, _V.Int32)
        attributes[_A.BrowseName] = _held(name, _V.QualifiedName)
        attributes[_A.DisplayName] = _held(ua.LocalizedText(name.Name, "en"), _V.LocalizedText)
        attributes[_A.WriteMask] = _NO_MASK
        attributes[_A.UserWriteMask] = _NO_MASK
        if declared is not None:
            source = self.aspace[declared].attributes
            for attribute in _COPIED:
                if (held := source.get(attribute)) is not None:
                    attributes[attribute] = held if isinstance(held, FixedValue) else FixedValue(held.value)
            event_notifier |= self.types.attribute(declared, _A.EventNotifier) or 0
        if node_class == ua.NodeClass.Object:
            attributes[_A.EventNotifier] = _held(event_notifier, _V.Byte)
        elif node_class == ua.NodeClass.Variable:
            attributes[_A.AccessLevel] = _READ
            attributes[_A.UserAccessLevel] = _READ
            attributes[_A.Historizing] = _FALSE
            attributes[_A.MinimumSamplingInterval] = _ALWAYS
            attributes[_A.Value] = AttributeValue(self._initial(node, declared))
        elif node_class == ua.NodeClass.Method:
            attributes[_A.UserExecutable] = _held(True, _V.Boolean)
        self.aspace[node_id] = node
        if type_id is not None:
            self.references.add(node_id, HAS_TYPE_DEFINITION, type_id)
        self.references.add(parent, reference, node_id)
        self._below(parent)[name.NamespaceIndex, name.Name] = node_id
        self.made.append(node_id)
        return node_id

    def _new_id(self, parent: ua.NodeId, name: ua.QualifiedName) -> ua.NodeId:
        ours = parent.NamespaceIndex == self.namespace
        above = f"{parent.Identifier}." if ours else ""
        node_id = ua.NodeId(f"{above}{name.Name}", self.namespace)
        if node_id in self.aspace:
            # CNC:EURange beside 0:EURange: one name in two namespaces below one parent.
            node_id = ua.NodeId(f"{above}{self._prefix.get(name.NamespaceIndex, 'X')}:{name.Name}", self.namespace)
        return node_id

    def _initial(self, node: NodeData, declared: ua.NodeId | None) -> ua.DataValue:
        """The declaration's value, or the neutral value of the data type: never Null."""
        if declared is not None:
            held = self.aspace[declared].attributes.get(_A.Value)
            if held is not None and held.value is not None and held.value.Value.Value is not None:
                return ua.DataValue(held.value.Value, SourceTimestamp=self.now, ServerTimestamp=self.now)
        data_type = node.attributes[_A.DataType].value.Value.Value
        rank = node.attributes[_A.ValueRank].value.Value.Value
        return ua.DataValue(self.neutral(data_type, rank), SourceTimestamp=self.now, ServerTimestamp=self.now)

    def neutral(self, data_type: ua.NodeId, rank: int) -> ua.Variant:
        kind = self.types.builtin(data_type)
        if rank >= 0:
            return ua.Variant([], kind, is_array=True)
        if kind == _V.LocalizedText:
            return ua.Variant(ua.LocalizedText("", "en"), kind)
        if kind == _V.DateTime:
            return ua.Variant(self.now, kind)
        if kind == _V.ExtensionObject:
            cls = ua.extension_objects_by_datatype.get(data_type)
            return ua.Variant(cls() if cls is not None else None, kind)
        return ua.Variant(_DEFAULTS.get(kind, 0), kind)

    # Children -------------------------------------------------------------------------------------------------------

    def implement(self, node_id: ua.NodeId, interface: ua.NodeId, want: Wanted) -> None:
        """Let an instance that exists have an interface that its type does not have, with what is mandatory in it and wanted."""
        if self.is_copied(node_id):
            return
        self.references.add(node_id, HAS_INTERFACE, interface)
        context: Context = {}
        self._complete(node_id, [(source, context) for source in self.types.sources(interface)], want)

    def _complete(self, node_id: ua.NodeId, prescribers: list[Prescriber], want: Wanted) -> None:
        merged: dict[Key, list[tuple[Declaration, Context]]] = {}
        placeholders: list[tuple[Declaration, Context]] = []
        seen: set[ua.NodeId] = set()
        for source, context in prescribers:
            if source in seen:
                continue
            seen.add(source)
            for declaration in self.types.children(source):
                if declaration.placeholder:
                    placeholders.append((declaration, context))
                else:
                    key = (declaration.name.NamespaceIndex, declaration.name.Name)
                    merged.setdefault(key, []).append((declaration, context))
        by_name = {self._key(step): (step, below) for step, below in want.items() if step.type is None}
        # Wanted children first, in the order in which they are wanted: who comes first gives shared nodes their NodeId.
        for key in [*(key for key in by_name if key in merged), *(key for key in merged if key not in by_name)]:
            declarations = merged[key]
            if key in by_name or any(declaration.mandatory for declaration, _ in declarations):
                self._child(node_id, key, declarations, by_name[key][1] if key in by_name else {})
        for step, below in want.items():
            if step.type is not None:
                self._placeholder(node_id, step, placeholders, below)

    def _child(
        self,
        parent: ua.NodeId,
        key: Key,
        declarations: list[tuple[Declaration, Context]],
        want: Wanted,
    ) -> None:
        first = declarations[0][0]
        type_id = self._type_of([declaration for declaration, _ in declarations])
        existing = self._below(parent).get(key)
        if existing is None:
            shared = (context.get(declaration.node_id) for declaration, context in declarations)
            existing = next((node_id for node_id in shared if node_id is not None), None)
            if existing is not None:
                self.link(parent, first.reference, existing)
        if existing is None:
            node_class = ua.NodeClass(self.types.attribute(first.node_id, _A.NodeClass))
            is_method = node_class == ua.NodeClass.Method
            if is_method and self.shares_methods:
                self.link(parent, first.reference, first.node_id)
                return
            existing = self._node(parent, first.reference, first.name, node_class, None if is_method else type_id, first.node_id)
        prescribers: list[Prescriber] = []
        for declaration, context in declarations:
            context.setdefault(declaration.node_id, existing)
            prescribers.append((declaration.node_id, context))
            for interface in self.types.interfaces(declaration.node_id):
                prescribers.append((interface, {}))
                self.references.add(existing, HAS_INTERFACE, interface)
        own: Context = {}
        if not type_id.is_null():
            prescribers += [(source, own) for source in self.types.sources(type_id)]
        self._complete(existing, prescribers, want)

    def _type_of(self, declarations: list[Declaration]) -> ua.NodeId:
        """The most derived type that any declaration names, made concrete."""
        best = ua.NodeId()
        for declaration in declarations:
            type_id = self.types.type_definition(declaration.node_id)
            if best.is_null() or (type_id != best and self.types.is_subtype(type_id, best)):
                best = type_id
        return self._concrete.get(best, best)

    def _placeholder(self, parent: ua.NodeId, step: Step, placeholders: list[tuple[Declaration, Context]], want: Wanted) -> None:
        if step.type is None or self.child(parent, step) is not None:
            return
        type_id = self.types.type_id(step.type)
        for declaration, _ in placeholders:
            declared = self.types.type_definition(declaration.node_id)
            if not self.types.is_subtype(type_id, declared):
                continue
            is_object = self.types.attribute(type_id, _A.NodeClass) == ua.NodeClass.ObjectType
            node_class = ua.NodeClass.Object if is_object else ua.NodeClass.Variable
            name = ua.QualifiedName(step.name, self.namespace)
            node_id = self._node(parent, declaration.reference, name, node_class, type_id, declaration.node_id)
            prescribers: list[Prescriber] = []
            if declaration.name.Name not in _DEFECTIVE_PLACEHOLDERS:
                # Not the type's own context: each instance of a placeholder has children of its own.
                prescribers.append((declaration.node_id, {}))
            own: Context = {}
            prescribers += [(source, own) for source in self.types.sources(type_id)]
            self._complete(node_id, prescribers, want)
            return
        raise KeyError(f"{parent.to_string()} has no placeholder for {step.type}")


_shared: Final = SharedValues()
_held: Final = _shared.attribute
_NO_MASK: Final = _held(0, _V.UInt32)
_READ: Final = _held(1, _V.Byte)
_FALSE: Final = _held(False, _V.Boolean)
_ALWAYS: Final = _held(0.0, _V.Double)
