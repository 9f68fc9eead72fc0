"""Built-in types that are not structures: numbers, text, times, identifiers (OPC 10000-6, 5.2.2)."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asyncua import ua as _types

from cnctwin.wire.budget import BAD_ENCODING_LIMITS_EXCEEDED, Budget, DecodingError

ua: Any = _types  # its constructors are typed for their own aliases (Int16), which are plain int at run time
Read = Callable[[Any, int, Budget], tuple[Any, int]]

INT32: Final = struct.Struct("<i").unpack_from
UINT32: Final = struct.Struct("<I").unpack_from
INT64: Final = struct.Struct("<q").unpack_from

FIXED: Final[dict[str, tuple[str, int]]] = {
    "Boolean": ("?", 1), "SByte": ("b", 1), "Byte": ("B", 1), "Int16": ("h", 2), "UInt16": ("H", 2), "Int32": ("i", 4),
    "UInt32": ("I", 4), "Int64": ("q", 8), "UInt64": ("Q", 8), "Float": ("f", 4), "Double": ("d", 8), "DateTime": ("q", 8),
    "Guid": ("16s", 16), "StatusCode": ("I", 4),
}  # fmt: skip
"""Name -> struct code and size in bytes."""
CONVERTED: Final = frozenset({"DateTime", "Guid", "StatusCode"})
"""Those whose Python value is made from the unpacked one."""

EPOCH: Final = datetime(1601, 1, 1, tzinfo=UTC)
_FIRST_TICK: Final = 0
_LAST_TICK: Final = 2_650_467_743_990_000_000
"""9999-12-31T23:59:59Z in 100 ns since 1601; at and beyond it a time means "no end" (OPC 10000-6, 5.2.2.5)."""
_LAST: Final = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)
_GOOD: Final = ua.StatusCode()
"""Never changed, so one is enough."""
_NodeId: Final = ua.NodeId
_new_node_id: Final = ua.NodeId.__new__
_set: Final = object.__setattr__
_FORMS: Final = tuple(ua.NodeIdType(form) for form in range(6))
_FOUR_BYTES: Final = struct.Struct("<BH").unpack_from
_SEVEN_BYTES: Final = struct.Struct("<HI").unpack_from
_NULL_NODE_IDS: Final = {number: ua.NodeId(number, 0, ua.NodeIdType.TwoByte) for number in range(256)}


def to_datetime(ticks: int) -> datetime:
    """UTC of 100 ns intervals since 1601; clamped to what a datetime can hold."""
    if ticks <= _FIRST_TICK:
        return EPOCH
    if ticks >= _LAST_TICK:
        return _LAST
    return EPOCH + timedelta(microseconds=ticks // 10)


def fixed_reader(code: str, size: int) -> Read:
    """Reader of a scalar of fixed size."""
    unpack = struct.Struct("<" + code).unpack_from
    if code == "16s":
        return lambda b, p, _budget: (uuid.UUID(bytes_le=unpack(b, p)[0]), p + size)
    return lambda b, p, _budget: (unpack(b, p)[0], p + size)


def read_date_time(b: Any, p: int, _budget: Budget) -> tuple[datetime, int]:
    return to_datetime(INT64(b, p)[0]), p + 8


def read_status_code(b: Any, p: int, _budget: Budget) -> tuple[Any, int]:
    (number,) = UINT32(b, p)
    return (ua.StatusCode(number) if number else _GOOD), p + 4


def read_bytes(b: Any, p: int, budget: Budget) -> tuple[bytes | None, int]:
    """A ByteString: Int32 length, -1 for null."""
    (length,) = INT32(b, p)
    p += 4
    if length < 0:
        if length == -1:
            return None, p
        raise DecodingError(f"a string of length {length}")
    end = p + length
    if end > len(b):
        raise DecodingError(f"a string of {length} bytes in {len(b) - p}")
    if length > budget.max_string:
        raise DecodingError(f"a string of {length} bytes; at most {budget.max_string}", BAD_ENCODING_LIMITS_EXCEEDED)
    return bytes(b[p:end]), end


def read_string(b: Any, p: int, budget: Budget) -> tuple[str | None, int]:
    """A String in UTF-8; bytes that are no UTF-8 are refused, so that no other output has to carry them."""
    raw, p = read_bytes(b, p, budget)
    return (None if raw is None else raw.decode("utf-8")), p


def read_qualified_name(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
    (index,) = struct.unpack_from("<H", b, p)
    name, p = read_string(b, p + 2, budget)
    return ua.QualifiedName(name, index), p


def _numeric(namespace: int, identifier: int, form: int) -> Any:
    """A NodeId whose form is known to fit, so that its constructor need not try. Kept in no cache, which strangers would fill."""
    made = _new_node_id(_NodeId)
    _set(made, "Identifier", identifier)
    _set(made, "NamespaceIndex", namespace)
    _set(made, "NodeIdType", _FORMS[form])
    return made


def read_node_id(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
    """A NodeId or ExpandedNodeId; which of them is told by the two flags of the first byte."""
    flags = b[p]
    form = flags & 0x3F
    if form == 0:
        identifier: Any = b[p + 1]
        if flags == 0:
            return _NULL_NODE_IDS[identifier], p + 2
        namespace, p = 0, p + 2
    elif form == 1:
        namespace, identifier = _FOUR_BYTES(b, p + 1)
        p += 4
        if flags == 1:
            return _numeric(namespace, identifier, 1), p
    elif form == 2:
        namespace, identifier = _SEVEN_BYTES(b, p + 1)
        p += 7
        if flags == 2:
            return _numeric(namespace, identifier, 2), p
    elif form <= 5:
        (namespace,) = struct.unpack_from("<H", b, p + 1)
        p += 3
        if form == 3:
            identifier, p = read_string(b, p, budget)
            identifier = identifier or ""  # null and empty are one: a null NodeId (OPC 10000-3, 8.2.4)
        elif form == 4:
            identifier, p = uuid.UUID(bytes_le=bytes(struct.unpack_from("16s", b, p)[0])), p + 16
        else:
            identifier, p = read_bytes(b, p, budget)
            identifier = identifier or b""
    else:
        raise DecodingError(f"a NodeId of form {form}")
    kind = _FORMS[form]
    if not flags & 0xC0:
        return ua.NodeId(identifier, namespace, kind), p
    uri, server = None, None
    if flags & 0x80:
        uri, p = read_string(b, p, budget)
    if flags & 0x40:
        (server,) = UINT32(b, p)
        p += 4
    return ua.ExpandedNodeId(identifier, namespace, kind, uri, server), p


def read_diagnostic_info(b: Any, p: int, budget: Budget) -> tuple[Any, int]:
    """A DiagnosticInfo, and the ones inside it, as far as the budget's depth goes."""
    budget.enter()
    mask = b[p]
    p += 1
    found: dict[str, Any] = {}
    for bit, name in ((1, "SymbolicId"), (2, "NamespaceURI"), (4, "Locale"), (8, "LocalizedText")):
        if mask & bit:
            (found[name],) = INT32(b, p)
            p += 4
    if mask & 16:
        found["AdditionalInfo"], p = read_string(b, p, budget)
    if mask & 32:
        found["InnerStatusCode"], p = read_status_code(b, p, budget)
    if mask & 64:
        found["InnerDiagnosticInfo"], p = read_diagnostic_info(b, p, budget)
    budget.leave()
    return ua.DiagnosticInfo(**found), p
