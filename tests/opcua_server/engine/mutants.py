"""Requests that are nearly right: every service's parameters filled at random by type, then damaged at a field.

    request type --fill--> a request whose types are right --encode, field by field--> pieces --damage one or two--> bytes
                                                                                          '-- a count, a length, an id, a value

The encoder says where a field begins and ends, so damage hits counts, lengths, ids and values, not only random bytes. A seed
gives the same requests again.
"""

from __future__ import annotations

import functools
import random
import struct
import uuid
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import Enum
from typing import Any, get_args, get_origin

from asyncua import ua
from asyncua.ua.ua_binary import get_safe_type_hints

from cnctwin.wire.encode import encoder

REQUESTS = [
    getattr(ua, f"{name}Request")
    for name in (
        "GetEndpoints", "FindServers", "CreateSession", "ActivateSession", "CloseSession", "Read", "Write", "Browse", "BrowseNext",
        "TranslateBrowsePathsToNodeIds", "RegisterNodes", "UnregisterNodes", "Call", "CreateSubscription", "ModifySubscription",
        "SetPublishingMode", "DeleteSubscriptions", "Publish", "Republish", "TransferSubscriptions", "CreateMonitoredItems",
        "ModifyMonitoredItems", "SetMonitoringMode", "SetTriggering", "DeleteMonitoredItems", "Cancel", "HistoryRead", "QueryFirst",
    )
]  # fmt: skip
NODES = [
    ua.NodeId(2253), ua.NodeId(2258), ua.NodeId(2256), ua.NodeId(85), ua.NodeId(2255), ua.NodeId(11492), ua.NodeId(12873),
    ua.NodeId(12637), ua.NodeId(12642), ua.NodeId(12647), ua.NodeId(12655), ua.NodeId(12740), ua.NodeId(15606), ua.NodeId(16214),
    ua.NodeId(45), ua.NodeId(33), ua.NodeId(2041), ua.NodeId(), ua.NodeId(0xFFFFFFFF, 0xFFFF), ua.NodeId("CNC-001", 9),
    ua.NodeId(uuid.UUID(int=7), 1), ua.NodeId(b"\x00\xff", 2), ua.NodeId("x" * 300, 3),
]  # fmt: skip
TEXTS = [None, "", "x", "0:1", "1:0", "0:4294967295", "Default Binary", "Default XML", "%_[^a]", "\x00", "é" * 40, "a" * 5_000]
NUMBERS = [0, 1, 2, 3, 13, 24, 25, 26, 255, 65_535, 2**31 - 1, 2**32 - 1, 2**63 - 1, -1, -(2**31), -(2**63)]
DOUBLES = [0.0, -1.0, 1.0, 100.0, 1e308, -1e308, float("nan"), float("inf"), 5e-324]
COUNTS = [-(2**31), -2, -1, 0, 1, 2, 100, 65_536, 65_537, 1_000_000, 2**31 - 1]
_BITS = {
    "SByte": (1, True), "Byte": (1, False), "Int16": (2, True), "UInt16": (2, False), "Int32": (4, True), "UInt32": (4, False),
    "Int64": (8, True), "UInt64": (8, False),
}  # fmt: skip
_FILTERS = [ua.EventFilter, ua.uaprotocol_auto.DataChangeFilter, ua.AggregateFilter, ua.Range, ua.UserNameIdentityToken]
_OPERANDS = [ua.SimpleAttributeOperand, ua.LiteralOperand, ua.ElementOperand, ua.AttributeOperand]


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    found: dict[str, Any] = get_safe_type_hints(kind, {"ua": ua})
    return found


class Mutants:
    """``source``: of all choices. ``nodes``: NodeIds that exist, beside the usual ones."""

    def __init__(self, seed: int, nodes: list[Any] = []) -> None:  # noqa: B006 - never changed
        self.source = random.Random(seed)  # noqa: S311 - a seed, so that a failure can be repeated
        self.nodes = [*NODES, *nodes]

    def request(self, token: Any = None, *, kind: Any = None, damage: bool = True) -> bytes:
        """The body of a message of ``kind``, or of any: type id, header with ``token``, parameters."""
        made = (kind or self.source.choice(REQUESTS))()
        if hasattr(made, "Parameters"):
            made.Parameters = self.fill(type(made.Parameters), 0)
        made.RequestHeader.RequestHandle = ua.UInt32(self.source.choice([0, 1, 7]))
        if token is not None:
            made.RequestHeader.AuthenticationToken = token
        return self.bytes_of(made, damage=damage)

    def bytes_of(self, value: Any, *, damage: bool = True) -> bytes:
        """The encoding of a value, damaged at a few of its fields."""
        pieces: list[bytes] = []
        encoder(type(value))(value, pieces.append)
        first = min(len(pieces) - 1, 3)  # the type id and the token stay, or no request would come through
        for _ in range(self.source.choice([0, 1, 1, 2]) if damage else 0):
            at = self.source.randrange(first, len(pieces))
            pieces[at] = self._damaged(pieces[at], pieces)
        body = b"".join(pieces)
        if damage and self.source.random() < 0.1:
            body = (
                body[: self.source.randrange(len(body))] if self.source.random() < 0.5 else body + bytes(self.source.randrange(9))
            )
        return body

    def _damaged(self, piece: bytes, pieces: list[bytes]) -> bytes:
        chosen = self.source.randrange(6)
        if chosen == 0 and len(piece) == 4:
            return struct.pack("<i", self.source.choice(COUNTS))
        if chosen == 1:
            return b""
        if chosen == 2:
            return piece * (self.source.choice([2, 3, 200]) if len(piece) < 40 else 2)
        if chosen == 3:
            return self.source.choice(pieces)
        if chosen == 4:
            return self.source.choice([b"\xff", b"\x00", b"\x7f"]) * len(piece)
        return bytes(self.source.randrange(256) for _ in piece)

    # Values by type -------------------------------------------------------------------------------------------------

    def fill(self, hint: Any, depth: int) -> Any:
        """A value that a field of this type may have."""
        source = self.source
        if get_origin(hint) is list:
            return [self.fill(get_args(hint)[0], depth + 1) for _ in range(source.choice([0, 1, 1, 2, 3] if depth < 4 else [0]))]
        if get_origin(hint) is type or hint is ua.ExtensionObject:
            return self._structure(depth)
        members = [one for one in get_args(hint) if one is not type(None)]
        if members:
            return None if source.random() < 0.3 else self.fill(members[0], depth)
        name = getattr(hint, "__name__", "")
        if name in _BITS:
            size, signed = _BITS[name]
            fitting = [
                one
                for one in NUMBERS
                if (-(2 ** (8 * size - 1)) <= one < 2 ** (8 * size - 1) if signed else 0 <= one < 2 ** (8 * size))
            ]
            return source.choice(fitting)
        simple = {
            "Boolean": lambda: source.random() < 0.5, "Double": lambda: source.choice(DOUBLES), "Float": lambda: 1.5,
            "String": lambda: source.choice(TEXTS), "CharArray": lambda: source.choice(TEXTS), "str": lambda: source.choice(TEXTS),
            "ByteString": lambda: source.choice([None, b"", b"\x01" * 8, bytes(300)]), "bytes": lambda: b"\x02",
            "DateTime": lambda: datetime(2026, 1, 1), "Guid": lambda: uuid.UUID(int=source.randrange(2**128)),
            "StatusCode": lambda: ua.StatusCode(source.choice([0, 0x80000000, 0x40000000, 0x80320000])),
            "NodeId": lambda: source.choice(self.nodes), "ExpandedNodeId": lambda: source.choice(self.nodes),
            "Variant": lambda: self.variant(depth), "DiagnosticInfo": ua.DiagnosticInfo,
            "XmlElement": lambda: ua.XmlElement("<x/>"),
        }.get(name)  # fmt: skip
        if simple is not None:
            return simple()
        if isinstance(hint, type) and issubclass(hint, Enum):
            return source.choice(list(hint))
        return self._dataclass(hint, depth)

    def _dataclass(self, kind: Any, depth: int) -> Any:
        made = kind()
        if not is_dataclass(kind) or depth > 6:
            return made
        hints = _hints(kind)
        for item in fields(kind):
            if item.name not in ("Encoding", "TypeId", "NodeIdType"):
                setattr(made, item.name, self.fill(hints[item.name], depth + 1))
        return made

    def _structure(self, depth: int) -> Any:
        kind = self.source.choice(_FILTERS if depth < 3 else _OPERANDS) if depth < 6 else ua.ExtensionObject
        return self._dataclass(kind, depth + 1)

    def variant(self, depth: int) -> Any:
        """A scalar, an array, a matrix, or Variants in Variants."""
        kind = self.source.choice(["Null", "Boolean", "Int32", "UInt32", "Double", "String", "NodeId", "ByteString", "Variant"])
        if kind == "Null" or depth > 8:
            return ua.Variant()
        if kind == "Variant":
            return ua.Variant(
                [self.variant(depth + 2) for _ in range(self.source.randrange(4))], ua.VariantType.Variant, is_array=True
            )
        variant_type = ua.VariantType[kind]
        if self.source.random() < 0.6:
            return ua.Variant(self.fill(getattr(ua, kind), depth), variant_type)
        count = self.source.choice([0, 1, 4, 200])
        dimensions = [2, 2] if count == 4 and self.source.random() < 0.5 else None
        values = [self.fill(getattr(ua, kind), depth) for _ in range(count)]
        return ua.Variant([values[:2], values[2:]] if dimensions else values, variant_type, dimensions, is_array=True)


def nested(levels: int) -> bytes:
    """A Variant that holds an array of one Variant, and so on."""
    return (bytes([24 | 0x80]) + struct.pack("<i", 1)) * levels + b"\x00"


def nested_structures(levels: int) -> bytes:
    """A structure whose field is a structure, and so on: LiteralOperand in an ExtensionObject in a Variant."""
    body = b"\x00"
    for _ in range(levels):
        body = bytes([22]) + b"\x01\x00" + struct.pack("<H", 597) + b"\x01" + struct.pack("<i", len(body)) + body
    return body


def diagnostic(levels: int) -> bytes:
    """A DiagnosticInfo in a DiagnosticInfo, and so on."""
    return b"\x40" * levels + b"\x00"
