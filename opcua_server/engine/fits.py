"""Whether a value that is written fits its variable: built-in type, structure, rank, size (OPC 10000-3, 5.6.2; 10000-4, 5.11.4)."""

from __future__ import annotations

import math
from typing import Any, Final

from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import ServiceFault

_A = ua.AttributeIds
_C = ua.StatusCodes
_V = ua.VariantType
_SIGNED: Final = frozenset({_V.SByte, _V.Int16, _V.Int32, _V.Int64})
_UNSIGNED: Final = frozenset({_V.Byte, _V.UInt16, _V.UInt32, _V.UInt64})
_NUMBERS: Final = _SIGNED | _UNSIGNED | {_V.Float, _V.Double}
_ABSTRACT: Final = {24: frozenset(_V) - {_V.Null}, 26: _NUMBERS, 27: _SIGNED | _UNSIGNED, 28: _UNSIGNED}
"""BaseDataType, Number, Integer, UInteger: data types that several built-in types stand for."""
_HAS_SUBTYPE: Final = ua.NodeId(ua.ObjectIds.HasSubtype, 0)
_DEPTH: Final = 20
_NAMED: Final = 4
"""Types that are named, one by one, to who writes another."""


class Fits:
    """What the variables of one address space take; data types are looked up once."""

    def __init__(self, aspace: Any, max_elements: int) -> None:
        self._aspace = aspace
        self._max_elements = max_elements
        self._kinds: dict[Any, frozenset[Any]] = {}

    def as_declared(self, node: Any, variant: Any) -> Any:
        """The Variant as its variable declares it: a ByteString where an array of Byte is, is one (OPC 10000-4, 5.11.4.2)."""
        is_bytes = variant is not None and variant.VariantType is _V.ByteString and isinstance(variant.Value, bytes)
        if is_bytes and self.kinds(node) == {_V.Byte} and _rank(node) >= 0:
            return ua.Variant(list(variant.Value), _V.Byte, is_array=True)
        return variant

    def check(self, node: Any, variant: Any, *, is_part: bool = False) -> None:
        """Raise ServiceFault BadTypeMismatch or BadOutOfRange. A part (of an IndexRange) has no rank of its own to keep."""
        kinds = self.kinds(node)
        if variant is None or variant.Value is None or variant.VariantType not in kinds:
            given = "nothing" if variant is None or variant.Value is None else variant.VariantType.name
            wanted = " or ".join(sorted(kind.name for kind in kinds)) if len(kinds) <= _NAMED else "a number"
            raise ServiceFault(_C.BadTypeMismatch, f"The variable is {wanted}, the value {given}")
        if not is_part and not has_rank(variant, _rank(node)):
            raise ServiceFault(_C.BadTypeMismatch, "The variable is an array and the value is none, or the other way round")
        left = self._max_elements
        for value in _elements(variant.Value) if variant.is_array else [variant.Value]:
            left -= 1
            if left < 0 or (isinstance(value, float) and not math.isfinite(value)):
                raise ServiceFault(_C.BadOutOfRange)
            if variant.VariantType is _V.ExtensionObject and not self._is_structure(node, value):
                raise ServiceFault(_C.BadTypeMismatch)

    def kinds(self, node: Any) -> frozenset[Any]:
        """The built-in types that a variable's DataType stands for."""
        return self.kinds_of(node.attributes[_A.DataType].value.Value.Value)

    def kinds_of(self, data_type: Any) -> frozenset[Any]:
        """The built-in types that a data type stands for."""
        known = self._kinds.get(data_type)
        if known is None:
            known = self._kinds[data_type] = self._find(data_type)
        return known

    def _find(self, data_type: Any) -> frozenset[Any]:
        for one in self._supertypes(data_type):
            if one.NamespaceIndex == 0 and isinstance(one.Identifier, int):
                if one.Identifier == ua.ObjectIds.Enumeration:
                    return frozenset({_V.Int32})
                if one.Identifier in _ABSTRACT:
                    return _ABSTRACT[one.Identifier]
                if 0 < one.Identifier <= 25:
                    return frozenset({_V(one.Identifier)})
        return frozenset()

    def _is_structure(self, node: Any, value: Any) -> bool:
        """Whether a decoded structure is of the variable's data type, or derived from it."""
        wanted = node.attributes[_A.DataType].value.Value.Value
        kind = getattr(value, "data_type", None)
        return wanted == ua.NodeId(ua.ObjectIds.BaseDataType) or (kind is not None and wanted in self._supertypes(kind))

    def _supertypes(self, data_type: Any) -> list[Any]:
        """A data type and what it is derived from, up to BaseDataType."""
        found = []
        for _ in range(_DEPTH):
            found.append(data_type)
            node = self._aspace.get(data_type)
            above = [
                reference.NodeId
                for reference in (node.references if node is not None else ())
                if not reference.IsForward and reference.ReferenceTypeId == _HAS_SUBTYPE
            ]
            if not above:
                break
            data_type = above[0]
        return found


def _rank(node: Any) -> int:
    return int(node.attributes[_A.ValueRank].value.Value.Value)


def has_rank(variant: Any, rank: int) -> bool:
    """ValueRank: n dimensions; 0 one or more; -1 scalar; -2 any; -3 scalar or one dimension."""
    dimensions = 0 if not variant.is_array else len(variant.Dimensions) if variant.Dimensions else 1
    return {-3: dimensions <= 1, -2: True, -1: dimensions == 0, 0: dimensions >= 1}.get(rank, dimensions == rank)


def _elements(values: Any) -> Any:
    for value in values:
        if isinstance(value, list):
            yield from _elements(value)
        else:
            yield value
