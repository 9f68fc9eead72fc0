"""Between OPC UA's values and readings: variants, status codes and times.

    DataValue  --reading()-->  Reading          Value  --variant()-->  Variant of the catalogue's type

A DataValue's lower 16 status bits are flags, not quality (OPC 10000-4, 7.38.2). The overflow flag is taken off and handed on, so
that equal qualities compare equal; the others stay.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import BAD_WAITING_FOR_INITIAL_DATA, UNCERTAIN_INITIAL_VALUE, Reading, Value
from nodesets.catalogue import BY_NAME

BAD_NO_DATA: Final = 0x809B0000
BAD_ENCODING_LIMITS_EXCEEDED: Final = 0x80080000
MOST_TEXT: Final = 65_536
"""Characters or bytes of a value, all elements of a list together. What is longer is nothing that a machine shows, and all who read
it here would keep it: stores, messages, every client."""
MOST_ELEMENTS: Final = 10_000
"""Of a list."""
_EPOCH_TICKS: Final = 116_444_736_000_000_000
LAST_NS: Final = 9_214_646_400_000_000_000
"""The first moment of 2262: what comes after 2262-04-11 does not fit into 64 bits of nanoseconds."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INFO_TYPE: Final = 0x0C00
_DATA_VALUE: Final = 0x0400
_OVERFLOW: Final = 0x0080
_OTHER_FLAGS: Final = 0x037F

_EMPTY: Final[dict[str, Value]] = {"String": "", "LocalizedText": "", "String[]": [], "UInt32[]": [], "Double[]": []}


def nanoseconds(when: datetime) -> int:
    """Nanoseconds since the epoch; OPC UA's times carry no zone and are UTC."""
    delta = when.replace(tzinfo=UTC) - _EPOCH if when.tzinfo is None else when - _EPOCH
    return ((delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds) * 1000


def timestamp(time_ns: int) -> datetime:
    """The time as asyncua encodes it (aware, cut to microseconds)."""
    return _EPOCH + timedelta(microseconds=time_ns // 1000)


def plain(value: Any) -> Value | None:
    """What a variant holds, as one of our types: texts lose their locale, anything structured becomes text."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, ua.LocalizedText):
        return value.Text or ""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value
    if isinstance(value, list):
        return [item if isinstance(item, int | float | str) else str(plain(item)) for item in value]  # type: ignore[return-value]
    return str(value)


def is_beyond(value: Any, most: int = MOST_TEXT) -> bool:
    """Whether a value of a variant, or what is made of it, is longer than anything of ours may be."""
    if isinstance(value, ua.LocalizedText):
        value = value.Text
    if isinstance(value, ua.NodeId):
        value = value.Identifier
    if isinstance(value, str | bytes):
        return len(value) > most
    if isinstance(value, list):
        if len(value) > MOST_ELEMENTS:
            return True
        left = most
        for item in value:
            if is_beyond(item, left):
                return True
            left -= len(item) if isinstance(item, str | bytes) else 0
    return False


def quality(status: int) -> tuple[int, bool]:
    """A status without the overflow flag, and whether it had it."""
    if status & _INFO_TYPE != _DATA_VALUE or not status & _OVERFLOW:
        return status, False
    status &= ~_OVERFLOW
    return (status if status & _OTHER_FLAGS else status & ~_DATA_VALUE), True


def from_ticks(ticks: int) -> int:
    """Nanoseconds since 1970 of 100 ns since 1601."""
    return (ticks - _EPOCH_TICKS) * 100


def usable(time_ns: int, otherwise_ns: int) -> int:
    """A time that is one; the other in place of those before 1970 and after 2261, which say that there is none: servers give the
    first and the last moment that the protocol knows."""
    return time_ns if 0 < time_ns < LAST_NS else otherwise_ns


def reading(signal: str, data: ua.DataValue, received_ns: int) -> tuple[Reading, bool]:
    """The reading of a DataValue, and whether the server's queue has overflowed before it.

    Without a source time the server's holds, without either the moment it came. A value that is missing under a Good or
    Uncertain status is BadNoData: None never passes for something measured; one that is too long to be kept is
    BadEncodingLimitsExceeded, as a part of it would pass for the whole. An initial value, which nobody has measured or worked
    out yet, is none either: it is waited for.
    """
    status, overflow = quality(data.StatusCode.value if data.StatusCode is not None else 0)
    raw = data.Value.Value if data.Value is not None else None
    value = None if is_beyond(raw) else plain(raw)
    if raw is not None and (value is None or is_beyond(value)):
        value, status = None, status if status >> 31 else BAD_ENCODING_LIMITS_EXCEEDED
    if status == UNCERTAIN_INITIAL_VALUE:
        value, status = None, BAD_WAITING_FOR_INITIAL_DATA
    elif status >> 31:
        value = None
    elif value is None:
        row = BY_NAME.get(signal)
        value = _EMPTY.get(row.type) if row is not None else None
        if value is None:
            status = BAD_NO_DATA
    server_ns = usable(nanoseconds(data.ServerTimestamp), received_ns) if data.ServerTimestamp is not None else received_ns
    source_ns = usable(nanoseconds(data.SourceTimestamp), server_ns) if data.SourceTimestamp is not None else server_ns
    return Reading(signal, value, status, source_ns, server_ns), overflow


_VARIANT: Final = {
    "Double": ua.VariantType.Double,
    "Boolean": ua.VariantType.Boolean,
    "Int32": ua.VariantType.Int32,
    "UInt16": ua.VariantType.UInt16,
    "UInt32": ua.VariantType.UInt32,
    "Byte": ua.VariantType.Byte,
    "String": ua.VariantType.String,
    "LocalizedText": ua.VariantType.LocalizedText,
    "DateTime": ua.VariantType.DateTime,
}


def variant(value: Value | None, type_name: str) -> ua.Variant:
    """A variant of a catalogue type; None is the null variant (what a Bad status carries)."""
    if value is None:
        return ua.Variant(None, ua.VariantType.Null)
    kind = _VARIANT[type_name.removesuffix("[]")]
    if kind is ua.VariantType.Double and isinstance(value, int):
        return ua.Variant(float(value), kind)
    if kind is ua.VariantType.LocalizedText:
        return ua.Variant(ua.LocalizedText(str(value)), kind)
    return ua.Variant(value, kind, is_array=type_name.endswith("[]"))


def data_value(item: Reading) -> ua.DataValue:
    """What is written for a reading: value, status and source time; the server stamps its own."""
    return ua.DataValue(
        Value=variant(item.value, BY_NAME[item.signal].type),
        StatusCode=ua.StatusCode(item.status),
        SourceTimestamp=timestamp(item.source_time_ns),
    )
