"""Taking nodes out of the address space, with what hangs from them. asyncua's own way walks the whole space for each node."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from asyncua import ua

HANGS: Final = frozenset(ua.NodeId(number, 0) for number in (35, 46, 47, 49, 17604))
"""Organizes, HasProperty, HasComponent, HasOrderedComponent, HasAddIn."""


def children(aspace: Any, node_id: Any) -> list[Any]:
    """Forward references by which something hangs from a node; none of a node that is not there."""
    node = aspace.get(node_id)
    return [one for one in node.references if one.IsForward and one.ReferenceTypeId in HANGS] if node is not None else []


def below(aspace: Any, root: Any) -> set[Any]:
    """A node with all that hangs from it and from nothing else; empty when it is not there."""
    if aspace.get(root) is None:
        return set()
    found, waiting = {root}, [root]
    while waiting:
        for one in children(aspace, waiting.pop()):
            if one.NodeId in found:
                continue
            parents = (up.NodeId for up in aspace[one.NodeId].references if not up.IsForward and up.ReferenceTypeId in HANGS)
            if found.issuperset(parents):
                found.add(one.NodeId)
                waiting.append(one.NodeId)
    return found


def take_away(aspace: Any, roots: Iterable[Any]) -> int:
    """Remove nodes with what is below them, and every reference to them; how many went."""
    gone: set[Any] = set()
    for root in roots:
        gone |= below(aspace, root)
    others = {one.NodeId for node_id in gone for one in aspace[node_id].references} - gone
    for other in others:
        node = aspace.get(other)
        if node is not None:
            node.references[:] = [one for one in node.references if one.NodeId not in gone]
    for node_id in gone:
        del aspace[node_id]
    return len(gone)
