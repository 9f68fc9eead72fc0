"""Loads NodeSet2 files into an asyncua server's address space by adding nodes and references straight.

    open all files -> number the namespaces -> nodes -> references (both directions) -> data types -> values -> metadata

asyncua's own importer (2.1.0) refuses DI, Jobs, MachineTool and CNC, or drops half of their nodes without a word; this loader
takes every node, and says how many references point nowhere (there must be none).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from asyncua import Server, ua
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData

from nodesets import official
from nodesets.datatypes import DataType, DataTypes
from nodesets.metadata import add_metadata, published
from nodesets.model_file import check_dates, check_loaded, check_values
from nodesets.namespaces import URI
from nodesets.nodeset_xml import BASE_URI, NODE_CLASSES, NODESET, NodesetError, NodesetFile, open_nodeset, text
from nodesets.sharing import FixedValue, OwnNodeId, SharedValues
from nodesets.space_access import References, namespace_array, set_namespace_array
from nodesets.values import ValueReader, parse_time

OWN_NODESET: Final = Path(__file__).with_name("cnctwin.NodeSet2.xml")

_A = ua.AttributeIds
_V = ua.VariantType
_HAS_ENCODING: Final = ua.NodeId(38, 0)
_HAS_SUBTYPE: Final = ua.NodeId(45, 0)
_HAS_TYPE_DEFINITION: Final = ua.NodeId(40, 0)
_WRITE_BITS: Final = 0b0000_1010
"""CurrentWrite and HistoryWrite."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """What one call of `load` did. ``unresolved`` are references to nodes that exist nowhere: (source, type, target)."""

    namespaces: tuple[str, ...]
    nodes: int
    references: int
    unresolved: tuple[tuple[str, str, str], ...]
    seconds: float
    types: DataTypes | None = None


class _Loader:
    def __init__(self, aspace: AddressSpace) -> None:
        self.aspace = aspace
        self.uris = namespace_array(self.aspace)
        self.references = References(self.aspace)
        self.types = DataTypes()
        self.pending: list[tuple[ua.NodeId, ua.NodeId, ua.NodeId, bool]] = []
        self.values: list[tuple[NodesetFile, Any, NodeData]] = []
        self.now = datetime.now(UTC)
        self.nodes = 0
        self._ids: dict[tuple[str, str], ua.NodeId] = {}
        self._indexes: dict[str, list[int]] = {}
        self._shared = SharedValues()
        for node_id in self.aspace.keys():  # noqa: SIM118 - no dictionary: it has no iterator
            self._shared.take(self.aspace[node_id])
        self._interned: dict[ua.NodeId, ua.NodeId] = {}

    # Names of the file -> names of the server -----------------------------------------------------------------------

    def number(self, file: NodesetFile) -> None:
        for model in file.models:
            if model.uri not in self.uris:
                self.uris.append(model.uri)

    def number_used(self, file: NodesetFile) -> None:
        missing = [uri for uri in file.uris if uri not in self.uris]
        if missing:
            raise NodesetError(file.name, 0, f"it uses {', '.join(missing)}, which is not loaded")
        self._indexes[file.name] = [self.uris.index(uri) for uri in file.uris]

    def index(self, file: NodesetFile, index: int) -> int:
        try:
            return self._indexes[file.name][index]
        except IndexError:
            raise ValueError(f"ns={index} is not among its {len(file.uris) - 1} NamespaceUris") from None

    def node_id(self, file: NodesetFile, written: str) -> ua.NodeId:
        key = (file.name, written)
        known = self._ids.get(key)
        if known is None:
            plain = file.aliases.get(written.strip(), written.strip())
            namespace = 0
            if plain.startswith("ns="):
                number, _, plain = plain[3:].partition(";")
                namespace = self.index(file, int(number))
            kind, _, identifier = plain.partition("=")
            if kind == "i" and identifier.isdigit() and int(identifier) < 1 << 32:
                known = ua.NodeId(int(identifier), namespace)
            elif kind in ("s", "g", "b") and identifier:
                known = ua.NodeId.from_string(f"ns={namespace};{plain}")
            else:
                raise ValueError(f"{written!r} is neither a NodeId nor an alias of the file")
            known = self._interned.setdefault(known, known)
            self._ids[key] = known
        return known

    # Nodes ----------------------------------------------------------------------------------------------------------

    def _attribute(self, node: NodeData, attribute: ua.AttributeIds, value: Any, kind: ua.VariantType) -> None:
        node.attributes[attribute] = self._shared.attribute(value, kind)

    def add_nodes(self, file: NodesetFile) -> None:
        for kind, element in file.nodes():
            try:
                self._add_node(file, kind, element)
            except (ValueError, KeyError) as error:
                raise file.error(element, f"{kind} {element.get('NodeId')}: {error}") from error

    def _add_node(self, file: NodesetFile, kind: str, element: Any) -> None:
        written = element.get("NodeId")
        if written is None:
            raise ValueError("a node without NodeId")
        node_id = self.node_id(file, written)
        if node_id in self.aspace:
            raise ValueError("this NodeId exists already")
        node = NodeData(node_id)
        node.attributes[_A.NodeId] = OwnNodeId(node_id)
        self._attribute(node, _A.NodeClass, ua.NodeClass(NODE_CLASSES[kind]), _V.Int32)
        browse_name = self._browse_name(file, element)
        self._attribute(node, _A.BrowseName, browse_name, _V.QualifiedName)
        display = element.find(NODESET + "DisplayName")
        shown = browse_name.Name if display is None else text(display)
        locale = None if display is None else display.get("Locale")
        self._attribute(node, _A.DisplayName, ua.LocalizedText(shown, locale or "en"), _V.LocalizedText)
        description = element.find(NODESET + "Description")
        if description is not None and text(description):
            said = ua.LocalizedText(text(description), description.get("Locale") or "en")
            self._attribute(node, _A.Description, said, _V.LocalizedText)
        self._attribute(node, _A.WriteMask, 0, _V.UInt32)
        self._attribute(node, _A.UserWriteMask, 0, _V.UInt32)
        self._class_attributes(file, kind, element, node)
        self.aspace[node_id] = node
        self.nodes += 1
        for reference in element.iterfind(f"{NODESET}References/{NODESET}Reference"):
            try:
                kind_id = self.node_id(file, reference.get("ReferenceType", ""))
                target = self.node_id(file, text(reference))
            except ValueError as error:
                raise file.error(reference, str(error)) from error
            self.pending.append((node_id, kind_id, target, reference.get("IsForward") != "false"))
        if kind == "UADataType":
            self.types.add(DataType(file, element, node_id, browse_name.Name, ua.NodeId()))

    def _browse_name(self, file: NodesetFile, element: Any) -> ua.QualifiedName:
        written = element.get("BrowseName")
        if not written:
            raise ValueError("a node without BrowseName")
        number, colon, name = written.partition(":")
        if colon and number.isdigit():
            return ua.QualifiedName(name, self.index(file, int(number)))
        return ua.QualifiedName(written, 0)

    def _class_attributes(self, file: NodesetFile, kind: str, element: Any, node: NodeData) -> None:
        get = element.get
        if kind in ("UAVariable", "UAVariableType"):
            self._attribute(node, _A.DataType, self.node_id(file, get("DataType", "i=24")), _V.NodeId)
            self._attribute(node, _A.ValueRank, int(get("ValueRank", "-1")), _V.Int32)
            dimensions = [int(size) for size in get("ArrayDimensions", "").split(",") if size]
            if dimensions:
                node.attributes[_A.ArrayDimensions] = FixedValue(ua.DataValue(ua.Variant(dimensions, _V.UInt32, is_array=True)))
            node.attributes[_A.Value] = AttributeValue(ua.DataValue(ua.Variant(), SourceTimestamp=self.now))
            value = element.find(NODESET + "Value")
            if value is not None:
                self.values.append((file, value, node))
        if kind == "UAVariable":
            access = int(get("AccessLevel", "1")) & 0xFF  # the file's is AccessLevelEx, whose low byte is AccessLevel
            self._attribute(node, _A.AccessLevel, access, _V.Byte)
            # What the models declare about writing holds for instances; nobody writes into a type.
            self._attribute(node, _A.UserAccessLevel, access & ~_WRITE_BITS, _V.Byte)
            self._attribute(node, _A.Historizing, get("Historizing") == "true", _V.Boolean)
            self._attribute(node, _A.MinimumSamplingInterval, float(get("MinimumSamplingInterval", "0")), _V.Double)
        elif kind in ("UAObject", "UAView"):
            self._attribute(node, _A.EventNotifier, int(get("EventNotifier", "0")), _V.Byte)
        elif kind == "UAMethod":
            self._attribute(node, _A.Executable, get("Executable", "true") == "true", _V.Boolean)
            self._attribute(node, _A.UserExecutable, get("UserExecutable", "true") == "true", _V.Boolean)
        if kind in ("UAObjectType", "UAVariableType", "UAReferenceType", "UADataType"):
            self._attribute(node, _A.IsAbstract, get("IsAbstract") == "true", _V.Boolean)
        if kind == "UAReferenceType":
            self._attribute(node, _A.Symmetric, get("Symmetric") == "true", _V.Boolean)
            inverse = element.find(NODESET + "InverseName")
            if inverse is not None:
                self._attribute(node, _A.InverseName, ua.LocalizedText(text(inverse), "en"), _V.LocalizedText)
        if kind == "UAView":
            self._attribute(node, _A.ContainsNoLoops, get("ContainsNoLoops") == "true", _V.Boolean)

    # References -----------------------------------------------------------------------------------------------------

    def connect(self) -> list[tuple[str, str, str]]:
        unresolved = []
        # HasTypeDefinition first: a reference's description carries the type of its target.
        for wanted in (True, False):
            for source, kind, target, forward in self.pending:
                if (kind == _HAS_TYPE_DEFINITION) is not wanted:
                    continue
                if target not in self.aspace or kind not in self.aspace:
                    unresolved.append((source.to_string(), kind.to_string(), target.to_string()))
                    continue
                first, second = (source, target) if forward else (target, source)
                self.references.add(first, kind, second)
        return unresolved

    # Data types and values ------------------------------------------------------------------------------------------

    def define_types(self) -> None:
        parents: dict[ua.NodeId, ua.NodeId] = {}
        for node_id in list(self.aspace.keys()):
            node = self.aspace[node_id]
            if node.attributes[_A.NodeClass].value.Value.Value == ua.NodeClass.DataType:
                for reference in node.references:
                    if reference.ReferenceTypeId == _HAS_SUBTYPE and not reference.IsForward:
                        parents[node_id] = reference.NodeId
        for row in self.types.rows.values():
            row.parent = parents.get(row.node_id, ua.NodeId())
            for reference in self.aspace[row.node_id].references:
                if reference.ReferenceTypeId == _HAS_ENCODING and reference.IsForward:
                    self.types.by_encoding[reference.NodeId] = row.node_id
                    if reference.BrowseName.Name == "Default Binary":
                        row.binary = reference.NodeId
        self.types.define(self.node_id, parents)
        self.types.register(parents)
        for row in self.types.rows.values():
            if row.definition is not None:
                value = ua.DataValue(ua.Variant(row.definition, _V.ExtensionObject))
                self.aspace[row.node_id].attributes[_A.DataTypeDefinition] = FixedValue(value)

    def _class_of(self, encoding: ua.NodeId, name: str) -> type | None:
        data_type = self.types.by_encoding.get(encoding)
        if data_type is None:
            node = self.aspace.get(encoding)
            for reference in node.references if node is not None else ():
                if reference.ReferenceTypeId == _HAS_ENCODING and not reference.IsForward:
                    data_type = reference.NodeId
        if data_type is None:
            data_type = encoding
        found = ua.extension_objects_by_datatype.get(data_type)
        if found is None and encoding.NamespaceIndex == 0:
            found = getattr(ua, name, None)  # ns0 structures: asyncua registers them by name and binary encoding
        return found

    def read_values(self) -> None:
        readers: dict[str, ValueReader] = {}
        for file, element, node in self.values:
            reader = readers.get(file.name)
            if reader is None:
                reader = readers[file.name] = ValueReader(
                    lambda written, file=file: self.node_id(file, written),
                    lambda index, file=file: self.index(file, index),
                    self._class_of,
                )
            try:
                variant = reader.variant(element)
            except (ValueError, TypeError, OverflowError) as error:
                raise file.error(element, f"value of {element.getparent().get('NodeId')}: {error}") from error
            node.attributes[_A.Value].value = ua.DataValue(variant, SourceTimestamp=self.now)


def load_files(aspace: AddressSpace, files: Sequence[NodesetFile], strict: Sequence[NodesetFile] = ()) -> Loaded:
    """Load opened files together, in any order. Raises NodesetError; the address space is then not to be used. ``strict``: those
    in which every name must be one of a node that exists, and every node be led to."""
    begun = time.perf_counter()
    if strict:
        dates = {model.uri: parse_time(model.published) for file in files for model in file.models if model.published}
        for file in strict:
            check_dates(file, published(aspace) | dates)
    loader = _Loader(aspace)
    before = len(loader.uris)
    for file in files:
        loader.number(file)
    for file in files:
        loader.number_used(file)
    set_namespace_array(loader.aspace, loader.uris)
    for file in files:
        loader.add_nodes(file)
    unresolved = loader.connect()
    for file in strict:
        check_loaded(loader.aspace, file, loader.node_id)
    loader.define_types()
    loader.read_values()
    for file in strict:
        check_values(loader.aspace, file, loader.node_id)
    for file in files:
        loader.nodes += add_metadata(loader.aspace, loader.references, file, loader.uris)
    seconds = time.perf_counter() - begun
    return Loaded(tuple(loader.uris[before:]), loader.nodes, loader.references.count, tuple(unresolved), seconds, loader.types)


def standard_namespaces() -> tuple[str, ...]:
    """Namespaces that `load` brings with what it is told by default."""
    return (BASE_URI, *official.NEEDED, URI["X"])


def load(
    server: Server,
    uris: Iterable[str] = official.NEEDED,
    folder: Path | None = None,
    own: bool = True,
    more: Iterable[NodesetFile] = (),
) -> Loaded:
    """Load the official NodeSets ``uris`` and (``own``) ours into an initialised server; what is there already is left out.

    ``folder``: the user's NodeSet folder. ``more``: further files that the user names. The numbers of namespaces follow
    the order of the files, so they are the same at every start. Raises NodesetError or OfficialNodesetMissing.
    """
    return load_into(server.iserver.aspace, uris, folder, own, more)


def load_into(
    aspace: AddressSpace,
    uris: Iterable[str] = official.NEEDED,
    folder: Path | None = None,
    own: bool = True,
    more: Iterable[NodesetFile] = (),
) -> Loaded:
    """The same into an address space that has namespace 0 and a NamespaceArray."""
    present = set(namespace_array(aspace))
    files = [official.find(uri, folder) for uri in uris if uri not in present]
    if own:
        opened = open_nodeset(OWN_NODESET.name, OWN_NODESET.read_bytes())
        if opened.models[0].uri not in present:
            files.append(opened)
    users = list(more)
    files += users
    if not files:
        return Loaded((), 0, 0, (), 0.0)
    return load_files(aspace, files, users)


__all__ = ["BASE_URI", "Loaded", "NodesetError", "load", "load_files", "standard_namespaces"]
