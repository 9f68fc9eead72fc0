"""A NodeSet2 file of the user's own, which is loaded beside ours: what can be wrong with it is said with file, line and reason.

    read_model    XML, the schema's rules for elements and attributes, the models it requires        before anything is loaded
    check_dates   models that it requires of a later date than there are                            just before it is loaded
    check_loaded  parents, types and data types that exist nowhere, nodes that nothing leads to       when it is
    check_values  values that are not of the data type that their variable names

The schema itself is in no package we depend on; the rules here are those of OPC 10000-6, Annex F, that keep a file from meaning
something else than it seems to.
"""

from __future__ import annotations

import functools
from collections.abc import Collection, Container, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AddressSpace

from nodesets.nodeset_xml import LARGEST, NODESET, NodesetError, NodesetFile, local_name, read_nodeset, text
from nodesets.validate import CLASS_ATTRIBUTES, COMMON_ATTRIBUTES, ORDER
from nodesets.values import parse_time

_TOP: Final = frozenset({"NamespaceUris", "ServerUris", "Models", "Aliases", "Extensions"})
_MORE_ATTRIBUTES: Final = frozenset({"AccessRestrictions", "HasNoPermissions", "UserWriteMask", "MethodDeclarationId"})
_BOOLEANS: Final = frozenset({"Historizing", "Executable", "UserExecutable", "IsAbstract", "Symmetric", "ContainsNoLoops"})
_INTEGERS: Final = {
    "ValueRank": (-3, 1 << 31), "AccessLevel": (0, 1 << 32), "UserAccessLevel": (0, 1 << 32), "EventNotifier": (0, 1 << 8),
    "WriteMask": (0, 1 << 32), "UserWriteMask": (0, 1 << 32),
}  # fmt: skip
"""Attribute -> the least, and what is too much."""
_A = ua.AttributeIds
_C = ua.NodeClass
_HAS_TYPE_DEFINITION: Final = "i=40"
_HAS_SUBTYPE: Final = ua.NodeId(45, 0)
_ENUMERATION: Final = ua.NodeId(29, 0)
_TYPE_OF: Final = {"UAObject": _C.ObjectType, "UAVariable": _C.VariableType}


def read_model(path: Path, loaded: Container[str]) -> NodesetFile:
    """The opened file. ``loaded``: namespaces that are there when it is loaded. Raises NodesetError."""
    try:
        if path.stat().st_size > LARGEST:
            raise NodesetError(str(path), 0, f"it has more than {LARGEST >> 20} MB")
    except OSError as error:
        raise NodesetError(str(path), 0, error.strerror or str(error)) from error
    file = read_nodeset(path)
    own = {model.uri for model in file.models}
    for required in file.root.iterfind(f"{NODESET}Models/{NODESET}Model/{NODESET}RequiredModel"):
        uri = required.get("ModelUri", "")
        if uri not in loaded and uri not in own:
            raise file.error(required, f"it requires the model {uri}, which is not loaded")
    for model in file.root.iterfind(f"{NODESET}Models/{NODESET}Model"):
        _published(file, model)
        if model.get("ModelUri") in loaded:
            raise file.error(model, f"the model {model.get('ModelUri')} is loaded already")
    for child in file.root:
        name = local_name(child)
        if name and name not in _TOP and name not in CLASS_ATTRIBUTES:
            raise file.error(child, f"an element {name} is not allowed here")
    for kind, node in file.nodes():
        if (problem := _schema_problem(kind, node)) is not None:
            raise file.error(node, f"{kind} {node.get('NodeId')}: {problem}")
    return file


def _schema_problem(kind: str, node: Any) -> str | None:
    for attribute, value in node.attrib.items():
        if attribute.startswith("{"):
            continue  # of another namespace
        if attribute not in COMMON_ATTRIBUTES | _MORE_ATTRIBUTES and attribute not in CLASS_ATTRIBUTES[kind]:
            return f"attribute {attribute} is not allowed"
        if attribute in _BOOLEANS and value not in ("true", "false", "1", "0"):
            return f"{attribute} is {value!r}, not true or false"
        if attribute in _INTEGERS:
            low, too_much = _INTEGERS[attribute]
            if not value.removeprefix("-").isdigit():
                return f"{attribute} is {value!r}, not a whole number"
            if not low <= int(value) < too_much:
                return f"{attribute} cannot be {value}"
    names = [local_name(child) for child in node if local_name(child)]
    for name in names:
        if name not in ORDER:
            return f"an element {name} is not allowed in it"
    order = [ORDER.index(name) for name in names]
    if order != sorted(order):
        return "its elements are not in the order of the schema: " + ", ".join(ORDER)
    return None


def _published(file: NodesetFile, model: Any) -> datetime | None:
    """The PublicationDate of a Model or RequiredModel. Raises NodesetError."""
    written = model.get("PublicationDate")
    try:
        return None if written is None else parse_time(written)
    except ValueError:
        raise file.error(model, f"PublicationDate is {written!r}, not a moment such as 2026-01-31T00:00:00Z") from None


def check_dates(file: NodesetFile, published: Mapping[str, datetime]) -> None:
    """Whether the models that it requires are as new as it says: a PublicationDate there is the earliest that will do (OPC 10000-6,
    F.2); the Version is for people. ``published``: of the models that are there. Raises NodesetError."""
    for required in file.root.iterfind(f"{NODESET}Models/{NODESET}Model/{NODESET}RequiredModel"):
        uri, earliest = required.get("ModelUri", ""), _published(file, required)
        if earliest is not None and uri in published and earliest > published[uri]:
            version = required.get("Version")
            raise file.error(
                required,
                f"it requires the model {uri}{f' {version}' if version else ''} of {earliest:%Y-%m-%d} or later, and the one that "
                f"is loaded is of {published[uri]:%Y-%m-%d}; where that one will do, write its PublicationDate here",
            )


def check_loaded(aspace: AddressSpace, file: NodesetFile, node_id: Any) -> None:
    """Whether all that the file names exists. ``node_id``: (file, NodeId as written) -> the server's. Raises NodesetError."""
    for kind, node in file.nodes():
        written = f"{kind} {node.get('NodeId')}"
        is_led_to = has_type = False
        for reference in node.iterfind(f"{NODESET}References/{NODESET}Reference"):
            target = node_id(file, text(reference))
            is_type = file.aliases.get(reference.get("ReferenceType", ""), reference.get("ReferenceType")) == _HAS_TYPE_DEFINITION
            inverse = reference.get("IsForward") == "false"
            if target not in aspace:
                what = "type" if is_type else "parent" if inverse else "target of a reference"
                raise file.error(reference, f"{written}: its {what} {text(reference)} exists nowhere")
            if is_type and kind in _TYPE_OF and _class_of(aspace, target) != _TYPE_OF[kind]:
                raise file.error(reference, f"{written}: {text(reference)} is no {_TYPE_OF[kind].name}")
            named = reference.get("ReferenceType", "")
            if _class_of(aspace, node_id(file, named)) != _C.ReferenceType:
                raise file.error(reference, f"{written}: {named} is no ReferenceType")
            is_led_to, has_type = is_led_to or inverse, has_type or is_type
        if kind in _TYPE_OF and not has_type:
            raise file.error(node, f"{written}: it has no type definition")
        parent = node.get("ParentNodeId")
        if parent is not None and node_id(file, parent) not in aspace:
            raise file.error(node, f"{written}: its parent {parent} exists nowhere")
        if not is_led_to and not _is_target(aspace, node_id(file, node.get("NodeId"))):
            raise file.error(node, f"{written}: nothing leads to it")
        data_type = node.get("DataType")
        if data_type is not None and _class_of(aspace, node_id(file, data_type)) != _C.DataType:
            raise file.error(node, f"{written}: its data type {data_type} exists nowhere")
    own = {node_id(file, node.get("NodeId")): node for _, node in file.nodes()}
    reached = _reached(aspace, own)
    for one, node in own.items():
        if one in _supertypes(aspace, one):
            raise file.error(node, f"{local_name(node)} {node.get('NodeId')}: it is a subtype of itself")
        if one not in reached:
            raise file.error(node, f"{local_name(node)} {node.get('NodeId')}: nothing outside of the file leads to it")


def check_values(aspace: AddressSpace, file: NodesetFile, node_id: Any) -> None:
    """Whether each value is of the data type and rank that its variable names. Raises NodesetError."""
    above = functools.cache(functools.partial(_supertypes, aspace))
    for kind, node in file.nodes():
        attributes = aspace[node_id(file, node.get("NodeId"))].attributes
        if _A.Value not in attributes or (value := attributes[_A.Value].value.Value).VariantType == ua.VariantType.Null:
            continue
        data_type, rank = (attributes[one].value.Value.Value for one in (_A.DataType, _A.ValueRank))
        held = ua.NodeId(value.VariantType.value, 0)
        fits = held == data_type or held in above(data_type) or data_type in above(held)
        if not fits and not (_ENUMERATION in above(data_type) and value.VariantType == ua.VariantType.Int32):
            what = f"its value is a {value.VariantType.name}, which {node.get('DataType') or 'its data type'} is not"
        elif bool(value.is_array) != (rank > -1) and rank not in (-2, -3):  # -1 scalar, -2 any, -3 scalar or one dimension
            what = f"its value is {'an array' if value.is_array else 'no array'}, which ValueRank {rank} does not allow"
        else:
            continue
        raise file.error(node.find(f"{NODESET}Value"), f"{kind} {node.get('NodeId')}: {what}")


def _reached(aspace: AddressSpace, own: Collection[ua.NodeId]) -> set[ua.NodeId]:
    """Those of a file's nodes that one comes to from what others brought."""
    waiting = [one for one in own if any(not r.IsForward and r.NodeId not in own for r in aspace[one].references)]
    reached = set(waiting)
    while waiting:
        for reference in aspace[waiting.pop()].references:
            if reference.IsForward and reference.NodeId in own and reference.NodeId not in reached:
                reached.add(reference.NodeId)
                waiting.append(reference.NodeId)
    return reached


def _supertypes(aspace: AddressSpace, type_id: ua.NodeId) -> set[ua.NodeId]:
    """All types above one; itself, if it is one of them."""
    found: set[ua.NodeId] = set()
    waiting = [type_id]
    while waiting:
        for reference in aspace[waiting.pop()].references:
            if reference.ReferenceTypeId == _HAS_SUBTYPE and not reference.IsForward and reference.NodeId not in found:
                found.add(reference.NodeId)
                waiting.append(reference.NodeId)
    return found


def _class_of(aspace: AddressSpace, node_id: ua.NodeId) -> Any:
    node = aspace.get(node_id)
    return None if node is None else node.attributes[_A.NodeClass].value.Value.Value


def _is_target(aspace: AddressSpace, node_id: ua.NodeId) -> bool:
    return any(not reference.IsForward for reference in aspace[node_id].references)
