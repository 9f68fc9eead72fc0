"""Nodes that are like others: copied row by row, without asking the types again what each of them has.

    CNC-001.Equipment.Tools.T1   ->   CNC-001.Equipment.Tools.T2 .. T24
    CNC-001                      ->   CNC-002, CNC-003, ...

The text of a NodeId begins with that of the root, so a copy's differs in its beginning only (and, between machines, in its
namespace). What two nodes say alike is one object until one of them says something else: values are replaced, never changed.
Who builds a copy once more finds all of it there, by the paths that were walked when the pattern was built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
_NOBODY: Final[Children] = {}
_HAS_TYPE_DEFINITION: Final = 40


class Pattern:
    """All nodes below ``root`` that ``builder`` made, as they are now, by rows. The root is one of a name that the machine gave,
    such as T1; copies hang where it hangs.

    A second machine should not wait for what nobody may ever ask of it: only what changes later is noted now, the rest is worked
    out when a copy is asked. A value is taken over as it is: who makes a machine sets those that name its own nodes, as in one
    that is built.
    """

    def __init__(self, builder: Builder, root: ua.NodeId) -> None:
        self.namespace = builder.namespace
        self._begin = begin = str(root.Identifier)
        below, cut = f"{begin}.", len(begin)
        nodes = [node_id for node_id in builder.made if node_id.Identifier == begin or node_id.Identifier.startswith(below)]
        self.suffixes = [node_id.Identifier[cut:] for node_id in nodes]
        """The texts of their NodeIds without the root's."""
        self.number = {suffix: row for row, suffix in enumerate(self.suffixes)}
        """Suffix -> row."""
        self.descriptions: list[tuple[ua.ReferenceDescription, int | None]] = []
        """References that lead from nodes of the pattern, each with the row that it leads to when that is in it, as far as copies
        were asked for them."""
        self._known: dict[int, int] = {}
        """id of a description -> its number."""
        name = builder.types.attribute(root, _A.BrowseName)
        key = name.NamespaceIndex, name.Name
        self.above = next(parent for parent, children in builder.children.items() if children.get(key) == root)
        said = [builder.aspace[node_id].__dict__ for node_id in nodes]
        self._copied: list[tuple[Copy, int] | None] = [one.get("of") for one in said]
        """Of a node that is itself copied, the copy and its row there: they know what nobody had asked of it yet."""
        self._attributes: list[dict[ua.AttributeIds, AttributeValue] | None] = [
            None if (attributes := one.get("attributes")) is None else attributes.copy() for one in said
        ]
        """Those that a copy has too, but for its value."""
        self._values: list[ua.DataValue | None] = [
            None if attributes is None or (held := attributes.get(_A.Value)) is None else held.value
            for attributes in self._attributes
        ]
        self._references: list[list[ua.ReferenceDescription] | None] = [
            None if (references := one.get("references")) is None else references.copy() for one in said
        ]
        self._numbers: list[list[int] | None] = [None] * len(nodes)
        """Those of the references among ``descriptions``."""
        self.children: list[Children] = [builder.children.get(node_id, _NOBODY).copy() for node_id in nodes]
        """What the builder knows of each."""
        self._outward: list[tuple[ua.NodeId, ua.ReferenceDescription, int]] = []
        """Nodes outside, what each has of a reference to a node of the pattern, and that one's row."""
        for row, node_id in enumerate(nodes):
            self._look_outward(builder, row, node_id)
        self._walked = builder.walked

    def _look_outward(self, builder: Builder, row: int, node_id: ua.NodeId) -> None:
        """Note what nodes outside refer to a node. Nearly all there is leads to nodes of the pattern, which has to be seen fast."""
        references, copied = self._references[row], self._copied[row]
        if references is not None:
            namespace, begin, number, cut = self.namespace, self._begin, self.number, len(self._begin)
            for one in references:
                there, kind = one.NodeId, one.ReferenceTypeId
                if there.NamespaceIndex == namespace:
                    if there.Identifier.startswith(begin) and there.Identifier[cut:] in number:
                        continue
                elif kind.Identifier == _HAS_TYPE_DEFINITION and not kind.NamespaceIndex:
                    continue  # as of most that are left, and to look into ONE_WAY takes four times as long
                if kind not in ONE_WAY:
                    self._outward.append((there, builder.references.describe(kind, node_id, not one.IsForward), row))
        elif copied is not None:
            for outside, inverse in copied[0].outward(copied[1]):
                if self.inside(outside) is None:
                    self._outward.append((outside, inverse, row))

    def inside(self, node_id: ua.NodeId) -> int | None:
        """The row of a node of the pattern; None of all others."""
        return self._row(node_id.Identifier) if node_id.NamespaceIndex == self.namespace else None

    def _row(self, identifier: str) -> int | None:
        """As ``inside``, of a text in the pattern's namespace."""
        return self.number.get(identifier[len(self._begin) :]) if identifier.startswith(self._begin) else None

    def at(self, suffix: str, path: str) -> int | None:
        """What is at a path below a node; None where nobody has walked it."""
        found = self._walked.get((self._begin + suffix, path))
        return None if found is None else self._row(found)

    def attributes(self, row: int) -> tuple[dict[ua.AttributeIds, AttributeValue], ua.DataValue | None]:
        """Those of a node, and its value."""
        attributes, copied = self._attributes[row], self._copied[row]
        if attributes is None:
            attributes = self._attributes[row] = copied[0].attributes(copied[1]) if copied is not None else {}
            held = attributes.get(_A.Value)
            self._values[row] = None if held is None else held.value
        return attributes, self._values[row]

    def own_name(self, row: int) -> str | None:
        """The browse name of a node, where that is in the pattern's namespace."""
        name = self.attributes(row)[0][_A.BrowseName].value.Value.Value  # type: ignore[union-attr]
        return str(name.Name) if name.NamespaceIndex == self.namespace else None

    def references(self, row: int) -> list[int]:
        """Numbers of what leads from a node."""
        numbers = self._numbers[row]
        if numbers is None:
            references, copied = self._references[row], self._copied[row]
            if references is None:
                references = copied[0].references(copied[1]) if copied is not None else []
            numbers = self._numbers[row] = [self._numbered(one) for one in references]
            self._references[row] = None
        return numbers

    def _numbered(self, description: ua.ReferenceDescription) -> int:
        """What many nodes say alike has one number."""
        number = self._known.get(id(description))
        if number is None:
            number = self._known[id(description)] = len(self.descriptions)
            self.descriptions.append((description, self.inside(description.NodeId)))
        return number

    def outward(self, row: int) -> Iterator[tuple[ua.NodeId, ua.ReferenceDescription]]:
        """Nodes outside that have a reference to a node, and that reference."""
        return ((outside, inverse) for outside, inverse, number in self._outward if number == row)

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
        return begin, [ua.NodeId(begin + suffix, namespace) for suffix in self.suffixes]


class Copy:
    """What came of a pattern: ``ids`` are its nodes, by their rows. ``begin``: the text of its root's NodeId. ``above``: where the
    root hangs. What a node says is put together when somebody asks."""

    def __init__(self, pattern: Pattern, builder: Builder, name: str, above: ua.NodeId, begin: str, ids: list[ua.NodeId]) -> None:
        self.root = ids[0]
        self.ids = ids
        self._pattern = pattern
        self._begin = begin
        self._above = above
        self._namespace = builder.namespace
        self._described: dict[int, ua.ReferenceDescription] = {}
        """Number of the pattern's description -> what it is here."""
        self._title = ua.LocalizedText(name, "en")
        self._root_name = self._browse_name(name)
        self._names: dict[str | None, FixedValue | None] = {None: None}
        """The pattern's browse name -> that of the copy, where it is another."""
        self._moved: Callable[[ua.ReferenceDescription], ua.ReferenceDescription] | None = None
        """What a reference to where the pattern hangs is to where the copy hangs, if that is elsewhere."""
        if above != pattern.above:
            self._moved = lambda like: builder.references.describe(like.ReferenceTypeId, above, like.IsForward)
        for row, node_id in enumerate(ids):
            builder.aspace[node_id] = _CopiedNode(node_id, self, row)

    # What its builder asks ------------------------------------------------------------------------------------------

    def row(self, node_id: ua.NodeId) -> int | None:
        """The row of a node of the copy; None of all others."""
        suffix = self._suffix(node_id)
        return None if suffix is None else self._pattern.number.get(suffix)

    def at(self, root: ua.NodeId, path: str) -> ua.NodeId | None:
        """What is at a path below a node of the copy; None where nobody has walked it in the pattern."""
        suffix = self._suffix(root)
        row = None if suffix is None else self._pattern.at(suffix, path)
        return None if row is None else self.ids[row]

    def _suffix(self, node_id: ua.NodeId) -> str | None:
        if node_id.NamespaceIndex != self._namespace or not node_id.Identifier.startswith(self._begin):
            return None
        return str(node_id.Identifier[len(self._begin) :])

    def children(self, row: int) -> Children:
        own, namespace, ids, inside = self._pattern.namespace, self._namespace, self.ids, self._pattern.inside
        return {
            (namespace if key[0] == own else key[0], key[1]): child if (at := inside(child)) is None else ids[at]
            for key, child in self._pattern.children[row].items()
        }

    def families(self) -> Iterator[tuple[ua.NodeId, Children]]:
        """All nodes of the copy that have children, with them."""
        for row, children in enumerate(self._pattern.children):
            if children:
                yield self.ids[row], self.children(row)

    # What its nodes say ---------------------------------------------------------------------------------------------

    def attributes(self, row: int) -> dict[ua.AttributeIds, AttributeValue]:
        like, value = self._pattern.attributes(row)
        made = like.copy()
        made[_A.NodeId] = OwnNodeId(self.ids[row])
        if value is not None:
            made[_A.Value] = AttributeValue(value)
        if (name := self._name(row)) is not None:
            made[_A.BrowseName] = name
        if row == 0:
            made[_A.DisplayName] = FixedValue(ua.DataValue(ua.Variant(self._title, _V.LocalizedText)))
        return made

    def references(self, row: int) -> list[ua.ReferenceDescription]:
        known = self._described
        return [known.get(number) or self._describe(number) for number in self._pattern.references(row)]

    def _describe(self, number: int) -> ua.ReferenceDescription:
        like, row = self._pattern.descriptions[number]
        if row is not None:
            made = self.describe(like, row)
        else:
            made = like if self._moved is None or like.NodeId != self._pattern.above else self._moved(like)
        self._described[number] = made
        return made

    def outward(self, row: int) -> Iterator[tuple[ua.NodeId, ua.ReferenceDescription]]:
        """Nodes outside that have a reference to a node of the copy, and that reference."""
        moved = self._above != self._pattern.above
        for outside, inverse in self._pattern.outward(row):
            yield self._above if moved and outside == self._pattern.above else outside, self.describe(inverse, row)

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
        own = self._pattern.own_name(row)
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
        self.of = copy, row

    def __getattr__(self, name: str) -> Any:
        if name == "attributes":
            copy, row = self.of
            self.attributes = copy.attributes(row)
            return self.attributes
        if name == "references":
            copy, row = self.of
            self.references = copy.references(row)
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
