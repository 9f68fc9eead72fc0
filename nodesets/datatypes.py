"""Data types of NodeSets as DataTypeDefinition attributes, and as Python classes in asyncua's registry.

    <UADataType><Definition>  ->  StructureDefinition | EnumDefinition  ->  dataclass | IntEnum | IntFlag

asyncua's registry is one per process, keyed by NodeId: two servers in one process must number their namespaces alike, which
they do because the loader's order is fixed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from asyncua import ua
from asyncua.common import structures104

from nodesets.nodeset_xml import NODESET, NodesetFile, text

_STRUCTURE: Final = ua.NodeId(22, 0)
_RELATIVE_PATH: Final = ua.NodeId(ua.ObjectIds.RelativePath, 0)
_ENUMERATION: Final = ua.NodeId(29, 0)
_UNION: Final = ua.NodeId(12756, 0)
_NO_TEXT: Final = ua.LocalizedText("")


@dataclass(slots=True)
class DataType:
    """One UADataType as read: ``parent`` is its supertype, ``binary`` its Default Binary encoding (Null without one).
    ``file``: None where it comes with its definition."""

    file: NodesetFile | None
    element: Any
    node_id: ua.NodeId
    name: str
    parent: ua.NodeId
    binary: ua.NodeId = field(default_factory=ua.NodeId)
    definition: ua.StructureDefinition | ua.EnumDefinition | None = None


class DataTypes:
    """The data types of the files that are loaded together."""

    def __init__(self) -> None:
        self.rows: dict[ua.NodeId, DataType] = {}
        self.by_encoding: dict[ua.NodeId, ua.NodeId] = {}
        self.parents: Mapping[ua.NodeId, ua.NodeId] = {}
        """Data type -> its supertype, of all that are there, once they are registered."""

    def add(self, row: DataType) -> None:
        self.rows[row.node_id] = row

    def base(self, node_id: ua.NodeId, parents: Mapping[ua.NodeId, ua.NodeId]) -> ua.NodeId:
        """The ns0 ancestor that decides how a value is encoded: Structure, Enumeration or a built-in type."""
        while node_id.NamespaceIndex != 0 or (node_id not in (_STRUCTURE, _ENUMERATION) and int(node_id.Identifier) > 25):
            if node_id == _UNION:
                return _STRUCTURE
            parent = parents.get(node_id)
            if parent is None or parent == node_id:
                break
            node_id = parent
        return node_id

    def define(self, node_id: Any, parents: Mapping[ua.NodeId, ua.NodeId]) -> None:
        """Fill every row's definition; ``node_id(file, text)`` resolves a NodeId of a file."""
        for row in self.rows.values():
            self._define(row, node_id, parents)

    def _define(self, row: DataType, node_id: Any, parents: Mapping[ua.NodeId, ua.NodeId]) -> None:
        if row.definition is not None:
            return
        xml = row.element.find(NODESET + "Definition")
        base = self.base(row.node_id, parents)
        if base == _STRUCTURE:
            inherited: list[ua.StructureField] = []
            parent = self.rows.get(row.parent)
            if parent is not None:
                self._define(parent, node_id, parents)
                if isinstance(parent.definition, ua.StructureDefinition):
                    inherited = list(parent.definition.Fields)
            elif (cls := ua.extension_objects_by_datatype.get(row.parent)) is not None and row.parent != _STRUCTURE:
                inherited = list(getattr(getattr(cls, "definition", None), "Fields", []))
            row.definition = _structure(row, xml, inherited, node_id)
        elif xml is not None:
            row.definition = _enumeration(xml, option_set=xml.get("IsOptionSet") == "true" or base != _ENUMERATION)

    def register(self, parents: Mapping[ua.NodeId, ua.NodeId]) -> None:
        """Make Python classes for all rows, each after the ones that it uses."""
        self.parents = parents
        done: set[ua.NodeId] = set()
        logger = logging.getLogger("asyncua.ua.uatypes")
        level = logger.level
        logger.setLevel(logging.ERROR)  # one name in two namespaces (ProcessIrregularity) is expected: look up by NodeId
        try:
            for row in self.rows.values():
                self._register(row, parents, done)
            if _RELATIVE_PATH not in ua.extension_objects_by_datatype:  # asyncua's own class, which it uses for browsing only
                encoding = ua.NodeId(ua.ObjectIds.RelativePath_Encoding_DefaultBinary, 0)
                ua.register_extension_object("RelativePath", encoding, ua.RelativePath, _RELATIVE_PATH)
        finally:
            logger.setLevel(level)

    def _register(self, row: DataType, parents: Mapping[ua.NodeId, ua.NodeId], done: set[ua.NodeId]) -> None:
        if row.node_id in done:
            return
        done.add(row.node_id)
        if isinstance(row.definition, ua.StructureDefinition):
            for item in row.definition.Fields:
                if (used := self.rows.get(item.DataType)) is not None:
                    self._register(used, parents, done)
            known = ua.extension_objects_by_datatype.get(row.node_id)
            if known is not None and known.__name__ == structures104.clean_name(row.name):
                return
            made = structures104.make_structure(row.node_id, structures104.clean_name(row.name), row.definition)
            cls = next(iter(made.values()))
            ua.register_extension_object(row.name, row.binary, cls, row.node_id)
            return
        base = self.base(row.node_id, parents)
        if base == _ENUMERATION and row.definition is not None:
            if row.node_id not in ua.enums_by_datatype:
                cls = structures104.make_enum(row.name, row.definition, option_set=False)[row.name]
                ua.register_enum(row.name, row.node_id, cls)
        elif base.NamespaceIndex == 0 and row.node_id not in ua.basetype_by_datatype:
            # A named number or text (OptionSets of Byte, UInt32 ...): on the wire it is its built-in type.
            builtin = ua.VariantType(base.Identifier).name if 0 < int(base.Identifier) <= 25 else "Variant"
            ua.basetype_by_datatype[row.node_id] = builtin


def _structure(row: DataType, xml: Any, inherited: list[ua.StructureField], node_id: Any) -> ua.StructureDefinition:
    definition = ua.StructureDefinition()
    definition.DefaultEncodingId = row.binary
    definition.BaseDataType = row.parent
    definition.StructureType = ua.StructureType.Structure
    fields = list(inherited)
    for element in () if xml is None else xml.iterfind(NODESET + "Field"):
        item = ua.StructureField()
        item.Name = element.get("Name", "")
        item.DataType = node_id(row.file, element.get("DataType", "i=24"))
        item.ValueRank = ua.Int32(element.get("ValueRank", "-1"))
        item.ArrayDimensions = [int(size) for size in element.get("ArrayDimensions", "").split(",") if size]
        item.IsOptional = element.get("IsOptional") == "true"
        description = element.find(NODESET + "Description")
        item.Description = ua.LocalizedText(text(description)) if description is not None else _NO_TEXT
        fields.append(item)
        if item.IsOptional:
            definition.StructureType = ua.StructureType.StructureWithOptionalFields
    if xml is not None and xml.get("IsUnion") == "true":
        definition.StructureType = ua.StructureType.Union
    definition.Fields = fields
    return definition


def _enumeration(xml: Any, *, option_set: bool) -> ua.EnumDefinition:
    definition = ua.EnumDefinition()
    definition.Fields = []
    for position, element in enumerate(xml.iterfind(NODESET + "Field")):
        item = ua.EnumField()
        item.Name = element.get("Name", "")
        item.Value = int(element.get("Value", str(position)))
        if option_set and item.Value < 0:
            raise ValueError("an option set's field needs a bit number")
        display = element.find(NODESET + "DisplayName")
        description = element.find(NODESET + "Description")
        item.DisplayName = ua.LocalizedText(text(display) if display is not None else item.Name)
        item.Description = ua.LocalizedText(text(description)) if description is not None else _NO_TEXT
        definition.Fields.append(item)
    return definition
