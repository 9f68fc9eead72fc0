"""NamespaceMetadata below Server/Namespaces: made for a model whose file has none (CNC), completed where a file left values out."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData

from nodesets.nodeset_xml import Model, NodesetFile
from nodesets.space_access import References
from nodesets.values import parse_time

_A = ua.AttributeIds
_V = ua.VariantType
_HAS_TYPE_DEFINITION: Final = ua.NodeId(40, 0)
_HAS_PROPERTY: Final = ua.NodeId(46, 0)
_HAS_COMPONENT: Final = ua.NodeId(47, 0)
_PROPERTY_TYPE: Final = ua.NodeId(68, 0)
_NAMESPACES: Final = ua.NodeId(11715, 0)
_NAMESPACE_METADATA_TYPE: Final = ua.NodeId(11616, 0)
_ID_TYPES: Final = {"i": 0, "s": 1, "g": 2, "b": 3}
"""IdType, as a NodeId that is written begins."""
_OWN_NAMESPACE: Final = 1
"""Where nodes go that belong to this server and no model: the server's own namespace."""


def _mandatory(model: Model, identifiers: Sequence[int]) -> dict[str, tuple[int, ua.Variant]]:
    """Browse name -> (data type, value) of what NamespaceMetadataType makes mandatory. ``identifiers``: IdTypes of its NodeIds."""
    return {
        "NamespaceUri": (12, ua.Variant(model.uri, _V.String)),
        "NamespaceVersion": (12, ua.Variant(model.version, _V.String)),
        "NamespacePublicationDate": (13, ua.Variant(parse_time(model.published or "1601-01-01"), _V.DateTime)),
        "IsNamespaceSubset": (1, ua.Variant(False, _V.Boolean)),
        "StaticNodeIdTypes": (256, ua.Variant(list(identifiers), _V.Int32, is_array=True)),
        "StaticNumericNodeIdRange": (291, ua.Variant([], _V.String, is_array=True)),
        "StaticStringNodeIdPattern": (12, ua.Variant("", _V.String)),
    }


_OPTIONAL: Final = {
    "DefaultRolePermissions": ua.Variant([], _V.ExtensionObject, is_array=True),
    "DefaultUserRolePermissions": ua.Variant([], _V.ExtensionObject, is_array=True),
    "DefaultAccessRestrictions": ua.Variant(0, _V.UInt16),
}
"""DI has these without a value: nothing is restricted, and no role is given anything by default."""


class _Metadata:
    def __init__(self, aspace: AddressSpace, references: References) -> None:
        self._aspace = aspace
        self._references = references
        self._now = datetime.now(UTC)
        self.made = 0

    def complete(self, model: Model, namespace: int, identifiers: Sequence[int]) -> None:
        metadata = self._child(_NAMESPACES, model.uri)
        if metadata is None:
            metadata = self._object(model.uri, namespace)
        for name, (data_type, value) in _mandatory(model, identifiers).items():
            child = self._child(metadata, name)
            if child is None:
                self._property(metadata, name, data_type, value)
            else:
                self._fill(child, value)
        for name, value in _OPTIONAL.items():
            if (child := self._child(metadata, name)) is not None:
                self._fill(child, value)

    def _child(self, parent: ua.NodeId, name: str) -> ua.NodeId | None:
        for reference in self._aspace[parent].references:
            if reference.IsForward and reference.BrowseName.Name == name:
                return reference.NodeId
        return None

    def _fill(self, node_id: ua.NodeId, value: ua.Variant) -> None:
        held = self._aspace[node_id].attributes[_A.Value]
        if held.value.Value.Value is None:
            held.value = ua.DataValue(value, SourceTimestamp=self._now)

    def _node(self, identifier: str, node_class: ua.NodeClass, name: ua.QualifiedName, rows: dict[Any, Any]) -> ua.NodeId:
        node_id = ua.NodeId(identifier, _OWN_NAMESPACE)
        node = NodeData(node_id)
        common = {
            _A.NodeId: (node_id, _V.NodeId),
            _A.NodeClass: (node_class, _V.Int32),
            _A.BrowseName: (name, _V.QualifiedName),
            _A.DisplayName: (ua.LocalizedText(name.Name, "en"), _V.LocalizedText),
        }
        for attribute, (value, kind) in (common | rows).items():
            node.attributes[attribute] = AttributeValue(ua.DataValue(ua.Variant(value, kind)))
        self._aspace[node_id] = node
        self.made += 1
        return node_id

    def _object(self, uri: str, namespace: int) -> ua.NodeId:
        rows = {_A.EventNotifier: (0, _V.Byte)}
        node_id = self._node(f"Namespaces.{uri}", ua.NodeClass.Object, ua.QualifiedName(uri, namespace), rows)
        self._references.add(node_id, _HAS_TYPE_DEFINITION, _NAMESPACE_METADATA_TYPE)
        self._references.add(_NAMESPACES, _HAS_COMPONENT, node_id)
        return node_id

    def _property(self, parent: ua.NodeId, name: str, data_type: int, value: ua.Variant) -> None:
        rows = {
            _A.DataType: (ua.NodeId(data_type, 0), _V.NodeId),
            _A.ValueRank: (1 if value.is_array else -1, _V.Int32),
            _A.AccessLevel: (1, _V.Byte),
            _A.UserAccessLevel: (1, _V.Byte),
            _A.Historizing: (False, _V.Boolean),
        }
        identifier = f"{parent.Identifier}.{name}"
        node_id = self._node(identifier, ua.NodeClass.Variable, ua.QualifiedName(name, 0), rows)
        held = AttributeValue(ua.DataValue(value, SourceTimestamp=self._now))
        self._aspace[node_id].attributes[_A.Value] = held
        self._references.add(node_id, _HAS_TYPE_DEFINITION, _PROPERTY_TYPE)
        self._references.add(parent, _HAS_PROPERTY, node_id)


def published(aspace: AddressSpace) -> dict[str, datetime]:
    """Namespace -> NamespacePublicationDate of the models that are loaded and say it."""
    found = {}
    for reference in aspace[_NAMESPACES].references:
        if reference.IsForward and reference.ReferenceTypeId == _HAS_COMPONENT:
            held = {
                one.BrowseName.Name: aspace[one.NodeId].attributes[_A.Value].value.Value.Value
                for one in aspace[reference.NodeId].references
                if one.IsForward and one.ReferenceTypeId == _HAS_PROPERTY
            }
            moment = held.get("NamespacePublicationDate")
            if moment is not None:
                found[held["NamespaceUri"]] = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return found


def add_metadata(aspace: AddressSpace, references: References, file: NodesetFile, uris: list[str]) -> int:
    """Complete the metadata of a loaded file's models; how many nodes were made."""
    metadata = _Metadata(aspace, references)
    kinds = _id_types(file)
    for model in file.models:
        metadata.complete(model, uris.index(model.uri), sorted(kinds.get(model.uri, ())))
    return metadata.made


def _id_types(file: NodesetFile) -> dict[str, set[int]]:
    """Namespace -> IdTypes of the nodes that a file has of it."""
    found: dict[str, set[int]] = {}
    for _, element in file.nodes():
        written = element.get("NodeId").strip()
        number, _, plain = written.removeprefix("ns=").rpartition(";")
        found.setdefault(file.uris[int(number or 0)], set()).add(_ID_TYPES[plain[0]])
    return found


def add_instance_metadata(aspace: AddressSpace, model: Model, namespace: int) -> None:
    """Describe a namespace of instances, whose NodeIds are strings."""
    _Metadata(aspace, References(aspace)).complete(model, namespace, [_ID_TYPES["s"]])
