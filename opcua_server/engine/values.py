"""The address space as slots: one per attribute, shared by all who read or monitor it, encoded once per change.

A value in asyncua's address space is replaced, never changed; so the identity of the DataValue tells whether the encoded bytes
still hold, and nothing has to be told about changes. Who wants to be told watches: the AttributeValue then becomes one that
tells (its class is exchanged), whoever writes it, and nothing is paid for the others.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from asyncua.server.address_space import AttributeValue

from cnctwin.wire import encoder
from cnctwin.wire.encode import to_ticks
from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import ServiceFault, Session
from opcua_server.engine.passing import NOTHING, Passing
from opcua_server.engine.subscriptions.columns import Columns, ColumnSlot

_C = ua.StatusCodes
VALUE: Final = 13
ACCESS_LEVEL: Final = 17
DATA_TYPE_DEFINITION: Final = 23
LAST_ATTRIBUTE: Final = 27
ATTRIBUTES: Final = {int(member): member for member in ua.AttributeIds}
_encode_data_value = encoder(ua.DataValue)
_DOUBLE: Final = struct.Struct("<BBdIqq").pack
_VARIANT_DOUBLE: Final = ua.VariantType.Double


class WatchedValue(AttributeValue):
    """An AttributeValue that tells its slot of each new value."""

    def __setattr__(self, name: str, value: Any) -> None:
        self.__dict__[name] = value
        if name == "value":
            slot = self.__dict__["slot"]
            for changed in slot.watchers:
                changed(slot)


def encode_data_value(value: Any) -> bytes:
    """A DataValue in OPC UA binary; the bytes are those of asyncua's encoder."""
    variant = value.Value
    if (
        variant is not None
        and variant.VariantType is _VARIANT_DOUBLE
        and type(variant.Value) is float
        and not variant.is_array
        and value.StatusCode is not None
        and value.SourceTimestamp is not None
        and value.ServerTimestamp is not None
        and value.SourcePicoseconds is None
        and value.ServerPicoseconds is None
    ):
        source, server = to_ticks(value.SourceTimestamp), to_ticks(value.ServerTimestamp)
        return _DOUBLE(0x0F, 11, variant.Value, value.StatusCode.value, source, server)
    parts: list[bytes] = []
    _encode_data_value(value, parts.append)
    return b"".join(parts)


def without_times(encoded: bytes, timestamps: int) -> bytes:
    """An encoded DataValue with the timestamps asked for: 0 source, 1 server, 2 both, 3 neither. They are its last fields."""
    mask = encoded[0]
    source = (8 if mask & 0x04 else 0) + (2 if mask & 0x10 else 0)
    server = (8 if mask & 0x08 else 0) + (2 if mask & 0x20 else 0)
    end = len(encoded)
    if timestamps == 2 or not (source or server):
        return encoded
    if timestamps == 0:
        return bytes((mask & ~0x28,)) + encoded[1 : end - server]
    head = bytes((mask & (~0x14 if timestamps == 1 else ~0x3C),)) + encoded[1 : end - server - source]
    return head + (encoded[end - server :] if timestamps == 1 and server else b"")


class AttributeSlot:
    """One attribute of one node; ``held`` is asyncua's place for it. ``is_live``: the value is made when it is asked for."""

    __slots__ = ("_bytes", "_encoded", "attribute", "held", "node_id", "watchers")

    def __init__(self, node_id: Any, attribute: int, held: AttributeValue) -> None:
        self.node_id = node_id
        self.attribute = attribute
        self.held = held
        self.watchers: tuple[Callable[[Any], None], ...] = ()
        self._encoded: Any = None
        self._bytes = b""

    @property
    def is_live(self) -> bool:
        return self.held.value_callback is not None

    @property
    def value(self) -> Any:
        callback = self.held.value_callback
        return self.held.value if callback is None else callback(self.node_id, ATTRIBUTES[self.attribute])

    def encoded(self) -> bytes:
        value = self.value
        if value is not self._encoded:
            self._bytes = encode_data_value(value)
            self._encoded = value
        return self._bytes

    def watch(self, changed: Callable[[Any], None]) -> None:
        self.watchers = (*self.watchers, changed)
        if type(self.held) is AttributeValue:
            self.held.__dict__["slot"] = self
            self.held.__class__ = WatchedValue

    def unwatch(self, changed: Callable[[Any], None]) -> None:
        left = list(self.watchers)
        if changed in left:
            left.remove(changed)
        self.watchers = tuple(left)
        if not left and type(self.held) is WatchedValue:
            object.__setattr__(self.held, "__class__", AttributeValue)
            self.held.__dict__.pop("slot", None)


class PassingSlot(AttributeSlot):
    """Of a node that comes and goes; everybody has one of their own."""

    __slots__ = ()
    is_passing = True


class Values:
    """Slots of an address space, made when they are first asked for."""

    def __init__(self, aspace: Any, columns: Columns | None = None) -> None:
        """``columns``: the live variables that are rows of numpy columns."""
        self.aspace = aspace
        self.columns = columns or Columns()
        self.passing: Passing = NOTHING
        """Nodes that are not in the address space, as they come and go."""
        self._slots: dict[tuple[Any, int], AttributeSlot] = {}

    def slot(self, node_id: Any, attribute: int = VALUE) -> AttributeSlot | ColumnSlot:
        """The slot of a readable attribute. Raises ServiceFault: BadNodeIdUnknown, BadAttributeIdInvalid, BadNotReadable."""
        node = self.aspace.get(node_id)
        if node is None:
            return self._passing(node_id, attribute)
        held = node.attributes.get(ATTRIBUTES.get(attribute))
        if held is None or (held.value is None and held.value_callback is None):
            raise ServiceFault(_C.BadAttributeIdInvalid)
        if attribute == VALUE:
            level = node.attributes.get(ua.AttributeIds.AccessLevel)
            if level is not None and level.value is not None and level.value.Value is not None:
                number = level.value.Value.Value
                if number is not None and not int(number) & 1:
                    raise ServiceFault(_C.BadNotReadable)
            row = self.columns.slot(node_id)
            if row is not None:
                return row
        elif attribute == DATA_TYPE_DEFINITION and (held.value is None or held.value.Value.Value is None):
            raise ServiceFault(_C.BadAttributeIdInvalid)
        known = self._slots.get((node_id, attribute))
        if known is None or known.held is not held:
            if held.value is not None and held.value.ServerTimestamp is None:
                # A constant that was never written is known to be so from now on; some clients show no value without a source time.
                held.value = stamped(held.value, is_value=attribute == VALUE)
            known = self._slots[(node.nodeid, attribute)] = AttributeSlot(node.nodeid, attribute, held)
        return known

    def node(self, node_id: Any, session: Session | None) -> Any:
        """asyncua's NodeData, also of a node that comes and goes. Raises ServiceFault where there is none for a session."""
        node = self.aspace.get(node_id)
        if node is None:
            node = self.passing.node(node_id)
            if node is None or self.passing.hides(node_id, session):
                raise ServiceFault(_C.BadNodeIdUnknown)
        return node

    def _passing(self, node_id: Any, attribute: int) -> AttributeSlot:
        node = self.passing.node(node_id)
        if node is None:
            raise ServiceFault(_C.BadNodeIdUnknown)
        held = node.attributes.get(ATTRIBUTES.get(attribute))
        if held is None:
            raise ServiceFault(_C.BadAttributeIdInvalid)
        return PassingSlot(node_id, attribute, held)


def failed(status: int) -> Any:
    return ua.DataValue(StatusCode=ua.StatusCode(status))


def stamped(value: Any, *, is_value: bool = False) -> Any:
    """What has no server time, as known now; the value of a variable also has a source time."""
    now = datetime.now(UTC)
    return replace(
        value, ServerTimestamp=now, SourceTimestamp=(value.SourceTimestamp or now) if is_value else value.SourceTimestamp
    )
