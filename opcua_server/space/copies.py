"""Nodes that are like others: copied row by row, without asking the types again what each of them has.

    CNC-001.Equipment.Tools.T1   ->   CNC-001.Equipment.Tools.T2 .. T24
    CNC-001                      ->   CNC-002, CNC-003, ...

The text of a NodeId begins with that of the root, so a copy's differs in its beginning only (and, between machines, in its
namespace). What two nodes say alike is one object until one of them says something else: values are replaced, never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from nodesets.space_access import ONE_WAY

if TYPE_CHECKING:
    from opcua_server.space.instances import Builder

_A: Final = ua.AttributeIds
_V: Final = ua.VariantType
Key = tuple[int, str]
"""Namespace and name of a child."""


@dataclass(slots=True)
class _Row:
    """A node of the pattern, by numbers of rows and of descriptions.

    ``suffix``: the text of its NodeId without the root's. ``attributes``: those that a copy has too. ``own_name``: its browse
    name, where that is in the pattern's namespace. ``children``: what the builder knows of it; a NodeId is that of a node outside.

    A value is taken over as it is: who makes a machine sets those that name its own nodes, as in one that is built.
    """

    suffix: str
    attributes: list[tuple[ua.AttributeIds, ua.DataValue | None]]
    own_name: str | None
    references: list[int]
    children: list[tuple[Key, int | ua.NodeId]]


class Pattern:
    """All nodes below ``root`` that ``builder`` made, as they are now. The root is one of a name that the machine gave, such as T1;
    copies hang where it hangs."""

    def __init__(self, builder: Builder, root: ua.NodeId) -> None:
        self._namespace = builder.namespace
        begin = f"{root.Identifier}."
        nodes = [node_id for node_id in builder.made if node_id == root or node_id.Identifier.startswith(begin)]
        number = {node_id: row for row, node_id in enumerate(nodes)}
        self._descriptions: list[tuple[ua.ReferenceDescription, int | None]] = []
        """Each reference that leads from a node of the pattern, with the row that it leads to when that is in it."""
        self._outward: list[tuple[int, ua.ReferenceDescription]] = []
        """(row, reference) that the other end, outside, has too."""
        self._above = next(parent for parent, children in builder.children.items() if root in children.values())
        known: dict[int, int] = {}
        self._rows: list[_Row] = []
        for row, node_id in enumerate(nodes):
            node = builder.aspace[node_id]
            references = []
            for description in node.references:
                inside = number.get(description.NodeId)
                if id(description) not in known:
                    known[id(description)] = len(self._descriptions)
                    self._descriptions.append((description, inside))
                references.append(known[id(description)])
                if inside is None and description.ReferenceTypeId not in ONE_WAY:
                    self._outward.append((row, description))
            name = builder.types.attribute(node_id, _A.BrowseName)
            own_name = name.Name if name.NamespaceIndex == self._namespace else None
            self._rows.append(
                _Row(
                    node_id.Identifier[len(root.Identifier) :],
                    [(attribute, one.value) for attribute, one in node.attributes.items()],
                    own_name,
                    references,
                    [(key, number.get(child, child)) for key, child in builder.children.get(node_id, {}).items()],
                )
            )

    def make(self, builder: Builder, name: str) -> ua.NodeId:
        """A copy that is called ``name``, in the namespace of ``builder``, which knows its nodes then."""
        above, namespace, own = self._above, builder.namespace, self._namespace
        begin = f"{above.Identifier}.{name}" if above.NamespaceIndex == namespace else name
        ids = [ua.NodeId(begin + row.suffix, namespace) for row in self._rows]
        names = self._names(name, namespace)
        title = ua.LocalizedText(name, "en")
        described = self._described(ids, names, title)
        for row, node_id, own_name in zip(self._rows, ids, names, strict=True):
            node = NodeData(node_id)
            node.attributes = {attribute: AttributeValue(value) for attribute, value in row.attributes}  # type: ignore[arg-type]
            node.attributes[_A.NodeId].value = ua.DataValue(ua.Variant(node_id, _V.NodeId))
            if own_name is not None:
                node.attributes[_A.BrowseName].value = ua.DataValue(ua.Variant(own_name, _V.QualifiedName))
            node.references = [described[number] for number in row.references]
            builder.aspace[node_id] = node
            if row.children:
                builder.children[node_id] = {
                    (namespace if key[0] == own else key[0], key[1]): ids[child] if isinstance(child, int) else child
                    for key, child in row.children
                }
        root = ids[0]
        builder.aspace[root].attributes[_A.DisplayName].value = ua.DataValue(ua.Variant(title, _V.LocalizedText))
        builder.children.setdefault(above, {})[namespace, name] = root
        for index, description in self._outward:
            source, target = (ids[index], description.NodeId) if description.IsForward else (description.NodeId, ids[index])
            builder.references.add(source, description.ReferenceTypeId, target)
        builder.made += ids
        builder.copied.update(ids)
        return root

    def _names(self, name: str, namespace: int) -> list[ua.QualifiedName | None]:
        """Browse names of a copy; None where it is that of the pattern. Equal names are one object."""
        known = {row.own_name: ua.QualifiedName(row.own_name, namespace) for row in self._rows if row.own_name is not None}
        return [ua.QualifiedName(name, namespace), *(known.get(row.own_name) for row in self._rows[1:])]  # type: ignore[arg-type]

    def _described(
        self, ids: list[ua.NodeId], names: list[ua.QualifiedName | None], title: ua.LocalizedText
    ) -> list[ua.ReferenceDescription]:
        return [
            description
            if row is None
            else ua.ReferenceDescription(
                description.ReferenceTypeId,
                description.IsForward,
                ids[row],
                names[row] or description.BrowseName,
                description.DisplayName if row else title,
                description.NodeClass,
                description.TypeDefinition,
            )
            for description, row in self._descriptions
        ]
