"""One DataValue for all nodes that say the same: most attributes of most nodes are one of a few hundred values.

A value in the address space is replaced, never changed, so what is equal may be one object. asyncua makes a DataValue, a Variant
and a StatusCode for each attribute of each of its 6,000 nodes; sharing them saves 25 MB.
"""

from __future__ import annotations

from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

_OWN: Final = frozenset({ua.AttributeIds.Value, ua.AttributeIds.NodeId})
"""Attributes that differ from node to node."""
_GOOD: Final = ua.StatusCode()


class SharedValues:
    """Constants by what they say. Kept for as long as nodes are made."""

    def __init__(self) -> None:
        self._known: dict[Any, ua.DataValue] = {}

    def constant(self, value: Any, kind: ua.VariantType) -> ua.DataValue:
        """A DataValue without timestamps, shared where ``value`` has a plain key."""
        key = _key(value)
        if key is None:
            return ua.DataValue(ua.Variant(value, kind), _GOOD)
        known = self._known.get((kind, key))
        if known is None:
            known = self._known[kind, key] = ua.DataValue(ua.Variant(value, kind), _GOOD)
        return known

    def attribute(self, value: Any, kind: ua.VariantType) -> AttributeValue:
        """Each node has its own AttributeValue, since that is what changes."""
        return AttributeValue(self.constant(value, kind))

    @staticmethod
    def own(value: Any, kind: ua.VariantType) -> AttributeValue:
        """What no other node says, such as a NodeId of its own."""
        return AttributeValue(ua.DataValue(ua.Variant(value, kind), _GOOD))

    def take(self, node: NodeData) -> None:
        """Let the attributes of a node that exists, but for its value, share with others."""
        for attribute, held in node.attributes.items():
            shown = held.value
            if attribute in _OWN or shown is None or shown.SourceTimestamp is not None:
                continue
            content = shown.Value
            if content is None or content.is_array or shown.StatusCode.value:
                continue
            key = _key(content.Value)
            if key is not None:
                held.value = self._known.setdefault((content.VariantType, key), shown)


_PLAIN: Final = (int, float, ua.NodeId)


def _key(value: Any) -> Any:
    """What tells a value from all others of its type; None for what is better not shared. Asked 120,000 times a start."""
    kind = type(value)
    if kind is ua.LocalizedText:
        return value.Locale, value.Text
    if kind is ua.QualifiedName:
        return value.NamespaceIndex, value.Name
    return (kind, value) if isinstance(value, _PLAIN) else None
