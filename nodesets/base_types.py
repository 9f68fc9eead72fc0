"""DataTypeDefinitions of namespace 0, which asyncua's own nodes lack and OPC 10000-3, 5.8.3 demands of every structure and
enumeration: those of the official NodeSet of that namespace. How values are encoded stays asyncua's: the classes are its own."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AddressSpace

from nodesets import official
from nodesets.datatypes import DataType, DataTypes
from nodesets.nodeset_xml import BASE_URI
from nodesets.sharing import FixedValue

_A: Final = ua.AttributeIds
_HAS_SUBTYPE: Final = ua.NodeId(45, 0)
_HAS_ENCODING: Final = ua.NodeId(38, 0)
_ABOVE: Final = (ua.NodeId(22, 0), ua.NodeId(12756, 0))
"""Structure and Union: what has a definition is derived from them."""


def define_base(aspace: AddressSpace) -> int:
    """Give the data types of namespace 0 their definitions; how many got one. Raises OfficialNodesetMissing."""
    file = official.find(BASE_URI)
    types, parents = DataTypes(), {}

    @cache
    def id_of(written: str) -> ua.NodeId:
        return ua.NodeId.from_string(file.aliases.get(written, written))

    for kind, element in file.nodes():
        node_id = id_of(element.get("NodeId", ""))
        if kind == "UADataType" and node_id in aspace:
            parents[node_id] = _target(aspace, node_id, _HAS_SUBTYPE, forward=False)
            binary = _target(aspace, node_id, _HAS_ENCODING, forward=True, name="Default Binary")
            types.add(DataType(file, element, node_id, element.get("BrowseName", ""), parents[node_id], binary))
    types.define(lambda _file, written: id_of(written), parents)
    defined = {row.node_id: row.definition for row in types.rows.values() if row.definition and row.node_id not in _ABOVE}
    for node_id, definition in defined.items():
        value = ua.DataValue(ua.Variant(definition, ua.VariantType.ExtensionObject))
        aspace[node_id].attributes[_A.DataTypeDefinition] = FixedValue(value)
    return len(defined)


def _target(aspace: AddressSpace, node_id: ua.NodeId, kind: ua.NodeId, *, forward: bool, name: str | None = None) -> ua.NodeId:
    """Where a reference of a node leads; the null NodeId where there is none."""
    found: Any = (
        one.NodeId
        for one in aspace[node_id].references
        if one.ReferenceTypeId == kind and one.IsForward is forward and name in (None, one.BrowseName.Name)
    )
    return next(found, ua.NodeId())
