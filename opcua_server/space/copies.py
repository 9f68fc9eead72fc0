"""Nodes that are like others: copied row by row, without asking the types again what each of them has.

    CNC-001.Equipment.Tools.T1   ->   CNC-001.Equipment.Tools.T2 .. T24
    CNC-001                      ->   CNC-002, CNC-003, ...

The text of a NodeId begins with that of the root, so a copy's differs in its beginning only (and, between machines, in its
namespace). What two nodes say alike is one object until one of them says something else: values are replaced, never changed.
Who builds a copy once more finds all of it there, by the paths that were walked when the pattern was built.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

from nodesets.sharing import FixedValue, OwnNodeId
from nodesets.space_access import ONE_WAY, References

if TYPE_CHECKING:
    from opcua_server.space.instances import Builder

_A: Final = ua.AttributeIds
_V: Final = ua.VariantType
Key = tuple[int, str]
"""Namespace and name of a child."""
Children = dict[Key, ua.NodeId]


@dataclass(slots=True)
class _Row:
    """A node of the pattern, by numbers of rows and of descriptions.

    ``suffix``: the text of its NodeId without the root's. ``attributes``: those that a copy has too, but for its ``value``.
    ``own_name``: its browse name, where that is in the pattern's namespace. ``children``: what the builder knows of it; a NodeId
    is that of a node outside.

    A value is taken over as it is: who makes a machine sets those that name its own nodes, as in one that is built.
    """

    suffix: str
    attributes: dict[ua.AttributeIds, AttributeValue]
    value: ua.DataValue | None
    own_name: str | None
    references: list[int]
    children: list[tuple[Key, int | ua.NodeId]]


class Pattern:
    """All nodes below ``root`` that ``builder`` made, as they are now. The root is one of a name that the machine gave, such as T1;
    copies hang where it hangs."""

    def __init__(self, builder: Builder, root: ua.NodeId) -> None:
        self.namespace = builder.namespace
        begin = f"{root.Identifier}."
        nodes = [node_id for node_id in builder.made if node_id == root or node_id.Identifier.startswith(begin)]
        number = {node_id: row for row, node_id in enumerate(nodes)}
        self.descriptions: list[tuple[ua.ReferenceDescription, int | None]] = []
        """Each reference that leads from a node of the pattern, with the row that it leads to when that is in it."""
        self._outward: list[tuple[ua.NodeId, ua.ReferenceDescription, int]] = []
        """Nodes outside, what each has of a reference to a node of the pattern, and that one's row."""
        self.above = next(parent for parent, children in builder.children.items() if root in children.values())
        known: dict[int, int] = {}
        self.rows: list[_Row] = []
        for row, node_id in enumerate(nodes):
            node = builder.aspace[node_id]
            references = []
            for description in node.references:
                position = known.get(id(description))
                if position is None:
                    position = known[id(description)] = len(self.descriptions)
                    self.descriptions.append((description, number.get(description.NodeId)))
                references.append(position)
                if self.descriptions[position][1] is None and description.ReferenceTypeId not in ONE_WAY:
                    inverse = builder.references.describe(description.ReferenceTypeId, node_id, not description.IsForward)
                    self._outward.append((description.NodeId, inverse, row))
            name = builder.types.attribute(node_id, _A.BrowseName)
            own_name = name.Name if name.NamespaceIndex == self.namespace else None
            self.rows.append(
                _Row(
                    node_id.Identifier[len(root.Identifier) :],
                    dict(node.attributes),
                    None if (held := node.attributes.get(_A.Value)) is None else held.value,
                    own_name,
                    references,
                    [(key, number.get(child, child)) for key, child in builder.children.get(node_id, {}).items()],
                )
            )
        self.number = {row.suffix: position for position, row in enumerate(self.rows)}
        """Suffix -> row."""
        self.walked: dict[tuple[str | None, str], int] = {
            (root_id.Identifier[len(root.Identifier) :], path): number[found]
            for (root_id, path), found in builder.walked.items()
            if root_id in number and found in number
        }
        """(suffix of a node, path below it) -> row."""

    def make(self, builder: Builder, name: str, parent: ua.NodeId | None = None) -> Copy:
        """A copy that is called ``name``, in the namespace of ``builder``, which knows its root then. ``parent``: where it hangs,
        if not where the pattern does."""
        above = parent or self.above
        copy = Copy(self, builder, name, above, *self._ids(above, builder.namespace, name))
        builder.children.setdefault(above, {})[builder.namespace, name] = copy.root
        for outside, inverse, row in self._outward:
            builder.references.append(above if outside == self.above else outside, copy.describe(inverse, row))
        builder.made += copy.ids
        return copy

    def fits(self, builder: Builder, name: str, parent: ua.NodeId) -> bool:
        """Whether no node has a NodeId yet that a copy would have."""
        return not any(node_id in builder.aspace for node_id in self._ids(parent, builder.namespace, name)[1])

    def _ids(self, above: ua.NodeId, namespace: int, name: str) -> tuple[str, list[ua.NodeId]]:
        begin = f"{above.Identifier}.{name}" if above.NamespaceIndex == namespace else name
        return begin, [ua.NodeId(begin + row.suffix, namespace) for row in self.rows]


class Copy:
    """What came of a pattern: ``ids`` are its nodes, by their rows. ``begin``: the text of its root's NodeId. ``above``: where the
    root hangs. What a node says is put together when somebody asks."""

    def __init__(self, pattern: Pattern, builder: Builder, name: str, above: ua.NodeId, begin: str, ids: list[ua.NodeId]) -> None:
        self.root = ids[0]
        self.ids = ids
        self._pattern = pattern
        self._begin = begin
        self._namespace = builder.namespace
        self._described: list[ua.ReferenceDescription | None] = [None] * len(pattern.descriptions)
        self._title = ua.LocalizedText(name, "en")
        self._root_name = self._browse_name(name)
        self._names: dict[str | None, FixedValue | None] = {None: None}
        """The pattern's browse name -> that of the copy, where it is another."""
        if above != pattern.above:
            for number, (like, inside) in enumerate(pattern.descriptions):
                if inside is None and like.NodeId == pattern.above:
                    self._described[number] = builder.references.describe(like.ReferenceTypeId, above, like.IsForward)
        for row, node_id in enumerate(ids):
            builder.aspace[node_id] = _CopiedNode(node_id, self, row)

    # What its builder asks ------------------------------------------------------------------------------------------

    def row(self, node_id: ua.NodeId) -> int | None:
        """The row of a node of the copy; None of all others."""
        suffix = self._suffix(node_id)
        return None if suffix is None else self._pattern.number.get(suffix)

    def at(self, root: ua.NodeId, path: str) -> ua.NodeId | None:
        """What is at a path below a node of the copy; None where nobody has walked it in the pattern."""
        row = self._pattern.walked.get((self._suffix(root), path))
        return None if row is None else self.ids[row]

    def _suffix(self, node_id: ua.NodeId) -> str | None:
        if node_id.NamespaceIndex != self._namespace or not node_id.Identifier.startswith(self._begin):
            return None
        return str(node_id.Identifier[len(self._begin) :])

    def children(self, row: int) -> Children:
        own, namespace, ids = self._pattern.namespace, self._namespace, self.ids
        return {
            (namespace if key[0] == own else key[0], key[1]): ids[child] if isinstance(child, int) else child
            for key, child in self._pattern.rows[row].children
        }

    def families(self) -> Iterator[tuple[ua.NodeId, Children]]:
        """All nodes of the copy that have children, with them."""
        for number, row in enumerate(self._pattern.rows):
            if row.children:
                yield self.ids[number], self.children(number)

    # What its nodes say ---------------------------------------------------------------------------------------------

    def attributes(self, row: int) -> dict[ua.AttributeIds, AttributeValue]:
        like = self._pattern.rows[row]
        made = like.attributes.copy()
        made[_A.NodeId] = OwnNodeId(self.ids[row])
        if like.value is not None:
            made[_A.Value] = AttributeValue(like.value)
        if (name := self._name(row)) is not None:
            made[_A.BrowseName] = name
        if row == 0:
            made[_A.DisplayName] = FixedValue(ua.DataValue(ua.Variant(self._title, _V.LocalizedText)))
        return made

    def references(self, row: int) -> list[ua.ReferenceDescription]:
        return [self._described[number] or self._describe(number) for number in self._pattern.rows[row].references]

    def _describe(self, number: int) -> ua.ReferenceDescription:
        like, row = self._pattern.descriptions[number]
        made = self._described[number] = like if row is None else self.describe(like, row)
        return made

    def describe(self, like: ua.ReferenceDescription, row: int) -> ua.ReferenceDescription:
        """A reference that leads to a node of the copy. ``like``: to that of the pattern."""
        name = self._name(row)
        return ua.ReferenceDescription(
            like.ReferenceTypeId,
            like.IsForward,
            self.ids[row],
            like.BrowseName if name is None else name.value.Value.Value,  # type: ignore[union-attr]
            like.DisplayName if row else self._title,
            like.NodeClass,
            like.TypeDefinition,
        )

    def _name(self, row: int) -> FixedValue | None:
        if row == 0:
            return self._root_name
        own = self._pattern.rows[row].own_name
        if own not in self._names:
            self._names[own] = self._browse_name(str(own))
        return self._names[own]

    def _browse_name(self, name: str) -> FixedValue:
        """Equal names are one object."""
        return FixedValue(ua.DataValue(ua.Variant(ua.QualifiedName(name, self._namespace), _V.QualifiedName)))


class _CopiedNode(NodeData):
    call = None

    def __init__(self, node_id: ua.NodeId, copy: Copy, row: int) -> None:
        self.nodeid = node_id
        self._copy = copy
        self._row = row

    def __getattr__(self, name: str) -> Any:
        if name == "attributes":
            self.attributes = self._copy.attributes(self._row)
            return self.attributes
        if name == "references":
            self.references = self._copy.references(self._row)
            return self.references
        raise AttributeError(name)


class CopiedReferences(References):
    """Adds references at a copy, which has those between its own nodes already."""

    def __init__(self, aspace: object, copy: Copy) -> None:
        super().__init__(aspace)  # type: ignore[arg-type]
        self._copy = copy

    def add(self, source: ua.NodeId, kind: ua.NodeId, target: ua.NodeId) -> None:
        if self._copy.row(source) is None or self._copy.row(target) is None:
            super().add(source, kind, target)
