"""Event filters: which fields of an event are reported, and whether it is (OPC 10000-4, 7.7 and 7.22.3). Pure.

Logic has three values; None is Null. And, Or and Not follow the tables of 7.7.3; a comparison with Null is Null, and a filter
that ends in Null does not let the event pass. Elements refer forward only, so there are no circles, and each is worked out once
per event however often it is referred to.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, Final

from asyncua.ua.uaerrors import UaError

from cnctwin.wire import encode
from cnctwin.wire.encode import write_variant
from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import ServiceFault
from opcua_server.engine.ranges import cut, parse
from opcua_server.engine.subscriptions.costs import TERM
from opcua_server.engine.subscriptions.like import matches

ELEMENTS: Final = 256
OPERANDS: Final = 256
FIELDS: Final = 1000
"""What a where clause may have, and a select clause."""
_O: Final = ua.FilterOperator
_UNSUPPORTED: Final = frozenset({_O.InView, _O.RelatedTo})
"""Not allowed in event filters (OPC 10000-4, 7.22.3)."""
_COUNTS: Final = {
    _O.Equals: (2, 2), _O.IsNull: (1, 1), _O.GreaterThan: (2, 2), _O.LessThan: (2, 2), _O.GreaterThanOrEqual: (2, 2),
    _O.LessThanOrEqual: (2, 2), _O.Like: (2, 2), _O.Not: (1, 1), _O.Between: (3, 3), _O.InList: (1, OPERANDS), _O.And: (2, 2),
    _O.Or: (2, 2), _O.Cast: (2, 2), _O.OfType: (1, 1), _O.BitwiseAnd: (2, 2), _O.BitwiseOr: (2, 2),
}  # fmt: skip
"""Operator -> fewest and most operands."""
_BASE_EVENT: Final = ua.NodeId(2041, 0)
IsSubtype = Callable[[Any, Any], bool]
_VALUE, _NODE_ID = 13, 1


def field_of(event: Any, operand: Any, is_subtype: IsSubtype) -> Any:
    """The Variant an operand names in an event; Null where the event has no such field."""
    wanted = operand.TypeDefinitionId
    if not wanted.is_null() and wanted != _BASE_EVENT and not is_subtype(getattr(event, "EventType", None), wanted):
        return ua.Variant()
    path = operand.BrowsePath or []
    if operand.AttributeId == _NODE_ID and not path:
        value = getattr(event, "NodeId", None)
        return ua.Variant() if value is None else ua.Variant(value, ua.VariantType.NodeId)
    if operand.AttributeId != _VALUE or not path:
        return ua.Variant()
    name = "/".join(str(part.Name) for part in path)
    value = getattr(event, name, None)
    kinds = getattr(event, "data_types", {})
    if value is None or name not in kinds:
        return ua.Variant()
    found = value if isinstance(value, ua.Variant) else ua.Variant(value, kinds[name])
    return _part(found, operand.IndexRange) if operand.IndexRange else found


def _part(whole: Any, index_range: str) -> Any:
    """What an IndexRange asks for; Null where there is nothing in it."""
    try:
        return cut(whole, parse(index_range))
    except ServiceFault:
        return ua.Variant()


class EventQuery:
    """A checked EventFilter. ``is_subtype(node, ancestor)`` holds for equal ones too."""

    def __init__(self, event_filter: Any, is_subtype: IsSubtype) -> None:
        self.select: Sequence[Any] = event_filter.SelectClauses or []
        self._elements: Sequence[Any] = (event_filter.WhereClause.Elements if event_filter.WhereClause else None) or []
        self._is_subtype = is_subtype
        self.size = len(self.select) + sum(1 + len(one.FilterOperands or ()) for one in self._elements)
        self.size += len(encode(event_filter)) // TERM
        """How many fields, elements and operands it has; paths and literals that are long count as several."""

    def passes(self, event: Any) -> bool:
        return not self._elements or self._element(0, event, {}) is True

    def fields(self, event: Any) -> bytes:
        """EventFields of an EventFieldList: the encoded array of Variants."""
        parts: list[bytes] = [len(self.select).to_bytes(4, "little")]
        for operand in self.select:
            write_variant(field_of(event, operand, self._is_subtype), parts.append)
        return b"".join(parts)

    def _element(self, index: int, event: Any, known: dict[int, Any]) -> Any:
        if index not in known:
            element = self._elements[index]
            known[index] = self._apply(_O(element.FilterOperator), element.FilterOperands, event, known)
        return known[index]

    def _value(self, operand: Any, event: Any, known: dict[int, Any]) -> Any:
        if isinstance(operand, ua.ElementOperand):
            return self._element(operand.Index, event, known)
        if isinstance(operand, ua.LiteralOperand):
            return operand.Value.Value if isinstance(operand.Value, ua.Variant) else operand.Value
        return field_of(event, operand, self._is_subtype).Value

    def _apply(self, operator: Any, operands: Sequence[Any], event: Any, known: dict[int, Any]) -> Any:
        def value(number: int) -> Any:
            return self._value(operands[number], event, known)

        if operator is _O.And:
            return both(_truth(value(0)), _truth(value(1)))
        if operator is _O.Or:
            return either(_truth(value(0)), _truth(value(1)))
        if operator is _O.Not:
            truth = _truth(value(0))
            return None if truth is None else not truth
        if operator is _O.IsNull:
            return value(0) is None
        if operator is _O.OfType:
            kind = value(0)
            return isinstance(kind, ua.NodeId) and self._is_subtype(getattr(event, "EventType", None), kind)
        if operator is _O.InList:
            first = value(0)
            return None if first is None else any(compare(first, value(n)) == 0 for n in range(1, len(operands)))
        if operator is _O.Between:
            low, high = _ordered(value(0), value(1)), _ordered(value(0), value(2))
            return both(None if low is None else low >= 0, None if high is None else high <= 0)
        if operator is _O.Like:
            text, pattern = value(0), value(1)
            if text is None or pattern is None:
                return None
            return matches(_text(text), _text(pattern))
        if operator is _O.Cast:
            return cast(value(0), value(1))
        if operator in (_O.BitwiseAnd, _O.BitwiseOr):
            a, b = value(0), value(1)
            if not _is_integer(a) or not _is_integer(b):
                return None
            return a & b if operator is _O.BitwiseAnd else a | b
        a, b = value(0), value(1)
        if a is None or b is None:
            return None
        if operator is _O.Equals:
            return compare(a, b) == 0
        order = _ordered(a, b)
        if order is None:
            return False if compare(a, b) is None else None
        if operator is _O.GreaterThan:
            return order > 0
        if operator is _O.LessThan:
            return order < 0
        return order >= 0 if operator is _O.GreaterThanOrEqual else order <= 0


def both(a: bool | None, b: bool | None) -> bool | None:
    if a is False or b is False:
        return False
    return None if a is None or b is None else True


def either(a: bool | None, b: bool | None) -> bool | None:
    if a is True or b is True:
        return True
    return None if a is None or b is None else False


def _truth(value: Any) -> bool | None:
    """What is no Boolean and cannot become one is Null."""
    result = cast(value, ua.NodeId(1, 0)) if not isinstance(value, bool) else value
    return result if isinstance(result, bool) else None


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if isinstance(value, ua.LocalizedText):
        return value.Text or ""
    if isinstance(value, ua.QualifiedName):
        return value.Name or ""
    return str(value)


def _ordered(a: Any, b: Any) -> int | None:
    """-1, 0, 1; None where there is no order: Null, NaN, types that do not compare."""
    result = compare(a, b)
    return result if result in (-1, 0, 1) else None


def compare(a: Any, b: Any) -> int | None:
    """-1, 0 or 1 after implicit conversion to the type of higher precedence (7.7.3, Table 124); 2 for "different, without an
    order"; None where the types have nothing in common."""
    if a is None or b is None:
        return None
    if isinstance(a, list | tuple) or isinstance(b, list | tuple):
        return (0 if list(a) == list(b) else 2) if isinstance(a, list | tuple) and isinstance(b, list | tuple) else None
    a, b = _plain(a), _plain(b)
    if isinstance(a, int | float) and isinstance(b, str):
        b = _number(b)
    elif isinstance(a, str) and isinstance(b, int | float):
        a = _number(a)
    elif isinstance(a, uuid.UUID) and isinstance(b, str):
        b = cast(b, ua.NodeId(14, 0))
    elif isinstance(a, str) and isinstance(b, uuid.UUID):
        a = cast(a, ua.NodeId(14, 0))
    elif isinstance(a, ua.NodeId) and isinstance(b, str):
        b = cast(b, ua.NodeId(17, 0))
    elif isinstance(a, str) and isinstance(b, ua.NodeId):
        a = cast(a, ua.NodeId(17, 0))
    if a is None or b is None:
        return None
    if isinstance(a, datetime) and isinstance(b, datetime):
        a, b = a.replace(tzinfo=None), b.replace(tzinfo=None)
    if (isinstance(a, float) and math.isnan(a)) or (isinstance(b, float) and math.isnan(b)):
        return 2
    numeric = isinstance(a, int | float) and isinstance(b, int | float)
    if not numeric and not isinstance(a, type(b)) and not isinstance(b, type(a)):
        return None
    if a == b:
        return 0
    if numeric or isinstance(a, str | bytes | datetime):
        return -1 if a < b else 1
    return 2


def _plain(value: Any) -> Any:
    if isinstance(value, ua.LocalizedText | ua.QualifiedName):
        return _text(value)
    return value.value if isinstance(value, ua.StatusCode) else value


def _number(text: str) -> float | int | None:
    lowered = text.strip().lower()
    if lowered in ("true", "false"):
        return lowered == "true"
    if len(text) > 64:
        return None
    try:
        return int(text)
    except ValueError:
        try:
            return float(text)
        except ValueError:
            return None


_RANGES: Final = {2: (-128, 127), 3: (0, 255), 4: (-32768, 32767), 5: (0, 65535), 6: (-(1 << 31), (1 << 31) - 1),
                  7: (0, (1 << 32) - 1), 8: (-(1 << 63), (1 << 63) - 1), 9: (0, (1 << 64) - 1), 19: (0, (1 << 32) - 1)}  # fmt: skip


def cast(value: Any, kind: Any) -> Any:
    """Explicit conversion to the built-in type of NodeId ``kind`` (7.7.3, Table 123); Null where there is none."""
    if value is None or not isinstance(kind, ua.NodeId) or kind.NamespaceIndex != 0 or isinstance(value, list | tuple):
        return None
    number, plain = kind.Identifier, _plain(value)
    try:
        if number == 1:
            found = _number(plain) if isinstance(plain, str) else plain
            return bool(found) if isinstance(found, int | float) and (isinstance(found, bool) or not isinstance(plain, str) or found in (0, 1)) else None  # fmt: skip  # noqa: E501
        if number in _RANGES:
            found = _number(plain) if isinstance(plain, str) else plain
            if not isinstance(found, int | float) or not math.isfinite(found):
                return None
            whole = int(found) if not isinstance(found, float) else math.floor(found + 0.5)
            low, high = _RANGES[number]
            return whole if low <= whole <= high else None
        if number in (10, 11):
            found = _number(plain) if isinstance(plain, str) else plain
            return float(found) if isinstance(found, int | float) else None
        if number in (12, 21):
            return (
                str(plain).lower() if isinstance(plain, bool) else plain.to_string() if isinstance(plain, ua.NodeId) else str(plain)
            )
        if number == 13:
            return plain if isinstance(plain, datetime) else datetime.fromisoformat(plain)
        if number == 14:
            return plain if isinstance(plain, uuid.UUID) else uuid.UUID(plain)
        if number in (17, 18):
            return plain if isinstance(plain, ua.NodeId) else ua.NodeId.from_string(plain)
        if number == 15:
            return plain if isinstance(plain, bytes) else plain.bytes if isinstance(plain, uuid.UUID) else None
    except (ValueError, TypeError, AttributeError, OverflowError, UaError):
        return None
    return None


def check(event_filter: Any, has_type: Callable[[Any], bool]) -> tuple[int, Any]:
    """Status of the item and EventFilterResult. ``has_type`` tells whether a NodeId is an ObjectType that is known."""
    codes = ua.StatusCodes
    select = event_filter.SelectClauses or []
    elements = (event_filter.WhereClause.Elements if event_filter.WhereClause else None) or []
    result = ua.EventFilterResult()
    if not select or len(select) > FIELDS:
        return int(codes.BadEventFilterInvalid), result
    selected = [_check_field(operand, has_type) for operand in select]
    result.SelectClauseResults = [ua.StatusCode(code) for code in selected]
    if len(elements) > ELEMENTS:
        return int(codes.BadEventFilterInvalid), result
    checked = [_check_element(index, element, len(elements), has_type) for index, element in enumerate(elements)]
    result.WhereClauseResult.ElementResults = checked
    # A field that cannot be is Null in each event, as long as there is one that can (7.22.3).
    is_bad = all(code >> 31 for code in selected) or any(not one.StatusCode.is_good() for one in checked)
    return (int(codes.BadEventFilterInvalid) if is_bad else 0), result


def _check_field(operand: Any, has_type: Callable[[Any], bool]) -> int:
    codes = ua.StatusCodes
    if not operand.TypeDefinitionId.is_null() and not has_type(operand.TypeDefinitionId):
        return int(codes.BadTypeDefinitionInvalid)
    if not 1 <= operand.AttributeId <= 27:
        return int(codes.BadAttributeIdInvalid)
    if operand.IndexRange:
        try:
            parse(operand.IndexRange)
        except ServiceFault as fault:
            return fault.status
    if any(not part.Name for part in operand.BrowsePath or []):
        return int(codes.BadBrowseNameInvalid)
    return 0


def _check_element(index: int, element: Any, count: int, has_type: Callable[[Any], bool]) -> Any:
    codes = ua.StatusCodes
    made = ua.ContentFilterElementResult()
    operands = element.FilterOperands or []
    operator = element.FilterOperator
    if operator in _UNSUPPORTED:
        made.StatusCode = ua.StatusCode(codes.BadFilterOperatorUnsupported)
        return made
    if operator not in _COUNTS:
        made.StatusCode = ua.StatusCode(codes.BadFilterOperatorInvalid)
        return made
    fewest, most = _COUNTS[operator]
    if not fewest <= len(operands) <= most:
        made.StatusCode = ua.StatusCode(codes.BadFilterOperandCountMismatch)
        return made
    statuses = [_check_operand(operand, index, count, has_type) for operand in operands]
    if operator is _O.OfType and isinstance(operands[0], ua.LiteralOperand):
        kind = operands[0].Value.Value if isinstance(operands[0].Value, ua.Variant) else operands[0].Value
        if not isinstance(kind, ua.NodeId) or not has_type(kind):
            statuses[0] = int(codes.BadFilterOperandInvalid)
    made.OperandStatusCodes = [ua.StatusCode(code) for code in statuses]
    if any(statuses):
        made.StatusCode = ua.StatusCode(codes.BadFilterOperandInvalid)
    return made


def _check_operand(operand: Any, index: int, count: int, has_type: Callable[[Any], bool]) -> int:
    codes = ua.StatusCodes
    if isinstance(operand, ua.ElementOperand):
        return 0 if index < operand.Index < count else int(codes.BadFilterOperandInvalid)
    if isinstance(operand, ua.LiteralOperand):
        return 0
    if isinstance(operand, ua.SimpleAttributeOperand):
        return _check_field(operand, has_type)
    return int(codes.BadFilterOperandInvalid)
