"""Structural rules for a NodeSet2 file of ours, each of which a broken file has tripped a client on.

The schema that OPC 10000-6 refers to is not in any package we depend on, so its rules that matter are checked here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from nodesets.nodeset_xml import NODESET, NodesetFile, local_name, text

ORDER: Final = (
    "DisplayName", "Description", "Category", "Documentation", "References", "RolePermissions", "Extensions",
    "Definition", "Value", "InverseName",
)  # fmt: skip
"""Order of child elements that the schema asks for."""
CLASS_ATTRIBUTES: Final = {
    "UAVariable": {"DataType", "ValueRank", "ArrayDimensions", "AccessLevel", "UserAccessLevel", "Historizing",
                   "MinimumSamplingInterval"},
    "UAObject": {"EventNotifier"},
    "UAMethod": {"Executable", "UserExecutable", "MethodDeclarationId"},
    "UAObjectType": {"IsAbstract"},
    "UAVariableType": {"IsAbstract", "DataType", "ValueRank", "ArrayDimensions"},
    "UADataType": {"IsAbstract", "Purpose"},
    "UAReferenceType": {"IsAbstract", "Symmetric"},
    "UAView": {"EventNotifier", "ContainsNoLoops"},
}  # fmt: skip
COMMON_ATTRIBUTES: Final = {"NodeId", "BrowseName", "ParentNodeId", "SymbolicName", "WriteMask", "UserWriteMask", "ReleaseStatus"}


def problems(file: NodesetFile) -> Iterator[str]:
    """One line per broken rule: file, line, what."""
    for model in file.models:
        if not model.version or not model.published:
            yield f"{file.name}: model {model.uri} has no Version or PublicationDate"
    seen: dict[str, int] = {}
    for kind, node in file.nodes():
        for problem in _node_problems(file, kind, node, seen):
            yield f"{file.name}:{node.sourceline}: {kind} {node.get('NodeId')}: {problem}"
    for _, node in file.nodes():
        for reference in node.iterfind(f"{NODESET}References/{NODESET}Reference"):
            target = file.aliases.get(text(reference), text(reference))
            if target.startswith("ns=1;") and target not in seen:
                yield f"{file.name}:{reference.sourceline}: a reference to {target}, which the file does not have"


def _node_problems(file: NodesetFile, kind: str, node: Any, seen: dict[str, int]) -> Iterator[str]:
    node_id = node.get("NodeId", "")
    if not node_id.startswith("ns=1;"):
        yield "its NodeId is not in the file's own namespace"
    if node_id in seen:
        yield f"its NodeId is that of line {seen[node_id]} too"
    seen[node_id] = node.sourceline
    for attribute in node.attrib:
        if attribute not in COMMON_ATTRIBUTES and attribute not in CLASS_ATTRIBUTES[kind]:
            yield f"attribute {attribute} is not allowed"
    order = [ORDER.index(local_name(child)) if local_name(child) in ORDER else -1 for child in node]
    if -1 in order:
        yield "it has a child element that is not allowed"
    elif order != sorted(order):
        yield "its child elements are not in the order of the schema"
    references = [
        (file.aliases.get(r.get("ReferenceType", ""), r.get("ReferenceType", "")), r.get("IsForward") != "false")
        for r in node.iterfind(f"{NODESET}References/{NODESET}Reference")
    ]
    if kind in ("UAObject", "UAVariable") and ("i=40", True) not in references:
        yield "it has no HasTypeDefinition"
    if kind in ("UAObjectType", "UAVariableType", "UADataType", "UAReferenceType") and ("i=45", False) not in references:
        yield "it has no supertype"
    if not any(not forward for _, forward in references):
        yield "nothing leads to it"
    if kind == "UAVariable" and not node.get("DataType"):
        yield "it has no DataType"
