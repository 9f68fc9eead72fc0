"""One object for all nodes that say the same: most attributes of most nodes are one of a few hundred values.

    NodeClass Variable, AccessLevel 1, Historizing false ...   FixedValue   one for all nodes that say so
    NodeId                                                     OwnNodeId    one a node; its DataValue is made when it is asked for
    Value                                                      asyncua's AttributeValue, one a node, as that is what changes

What is fixed refuses to be written in place, which would change it for all; who wants a node to say something else gives it another
attribute: ``attributes[a] = held(...)``. asyncua makes four objects for each of the 80,000 attributes of its nodes.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue, NodeData

_A: Final = ua.AttributeIds
_GOOD: Final = ua.StatusCode()


class FixedValue(AttributeValue):
    """An attribute that says the same for as long as a node has it. Raises TypeError when it is to say something else."""

    value_callback = None
    value_setter = None
    datachange_callbacks = MappingProxyType({})  # type: ignore[assignment]

    def __init__(self, value: ua.DataValue) -> None:
        self.__dict__["value"] = value

    def __setattr__(self, name: str, value: Any) -> None:
        """A time may be added to the value, no more."""
        if name != "value" or value.Value is not self.value.Value:  # type: ignore[union-attr]
            raise TypeError(f"{name} of an attribute that others share cannot be written")
        self.__dict__["value"] = value


class OwnNodeId(FixedValue):
    """The NodeId of a node, as its attribute."""

    def __init__(self, node_id: ua.NodeId) -> None:
        self.__dict__["_node_id"] = node_id

    def __getattr__(self, name: str) -> Any:
        if name != "value":
            raise AttributeError(name)
        made = self.__dict__["value"] = ua.DataValue(ua.Variant(self.__dict__["_node_id"], ua.VariantType.NodeId), _GOOD)
        return made


class SharedValues:
    """Constants by what they say. Kept for as long as nodes are made."""

    def __init__(self) -> None:
        self._known: dict[Any, FixedValue] = {}

    def constant(self, value: Any, kind: ua.VariantType) -> ua.DataValue:
        """A DataValue without timestamps, shared where ``value`` has a plain key."""
        return self.attribute(value, kind).value  # type: ignore[return-value]

    def attribute(self, value: Any, kind: ua.VariantType) -> FixedValue:
        """What a node says that may not be written in place."""
        key = _key(value)
        if key is None:
            return FixedValue(ua.DataValue(ua.Variant(value, kind), _GOOD))
        known = self._known.get((kind, key))
        if known is None:
            known = self._known[kind, key] = FixedValue(ua.DataValue(ua.Variant(value, kind), _GOOD))
        return known

    def take(self, node: NodeData) -> None:
        """Let the attributes of a node that exists, but for its value, share with others."""
        attributes = node.attributes
        for attribute, held in attributes.items():
            shown = held.value
            if attribute is _A.Value or shown is None or shown.SourceTimestamp is not None or held.value_callback is not None:
                continue
            if attribute is _A.NodeId:
                if not isinstance(held, OwnNodeId):
                    attributes[attribute] = OwnNodeId(node.nodeid)
                continue
            content = shown.Value
            if content is None or shown.StatusCode.value:
                continue
            key = _key(content.Value)
            if key is not None:
                known = self._known.get((content.VariantType, key))
                if known is None:
                    known = held if isinstance(held, FixedValue) else FixedValue(shown)
                    self._known[content.VariantType, key] = known
                attributes[attribute] = known


_PLAIN: Final = (int, float, ua.NodeId)


def _key(value: Any) -> Any:
    """What tells a value from all others of its type; None for what is better not shared. Asked 120,000 times a start."""
    kind = type(value)
    if kind is ua.LocalizedText:
        return value.Locale, value.Text
    if kind is ua.QualifiedName:
        return value.NamespaceIndex, value.Name
    if value is None:
        return (None,)
    if kind is list:  # ArrayDimensions, the only array that many nodes have; no other number has a tuple for its key
        return tuple(value) if all(type(one) is int for one in value) else None
    return (kind, value) if isinstance(value, _PLAIN) else None
