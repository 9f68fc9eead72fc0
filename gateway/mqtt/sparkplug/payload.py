"""Payloads of Sparkplug B 3.0 as bytes, and back: the part of ``sparkplug_b.proto`` that an edge node needs.

    Payload  1 timestamp, 2 metrics, 3 seq
    Metric   1 name, 3 timestamp, 4 datatype, 7 is_null, 9 properties, 10 int, 11 long, 13 double, 14 boolean, 15 string
    PropertySet  1 keys, 2 values        PropertyValue  1 type, 3 int, 6 double, 8 string

Protocol Buffers write a field as its number and wire type (0 varint, 1 eight bytes, 2 length and bytes), then the value. Whole
numbers go as Int32 or Int64 alone: peers disagree on the others. Times are milliseconds since 1970 UTC.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

MetricValue = float | int | bool | str | None


class DataType(IntEnum):
    INT32 = 3
    INT64 = 4
    DOUBLE = 10
    BOOLEAN = 11
    STRING = 12
    DATE_TIME = 13


@dataclass(frozen=True, slots=True)
class Metric:
    """``value`` None is null. ``properties``: names and numbers or texts, such as the unit."""

    name: str
    type: DataType
    value: MetricValue
    time_ms: int
    properties: Mapping[str, float | int | str] = field(default_factory=dict)


def encode(time_ms: int, metrics: Iterable[Metric], seq: int | None) -> bytes:
    """``seq`` None: a death has none."""
    out = [_varint_field(1, time_ms)]
    out += [_bytes_field(2, _metric(metric)) for metric in metrics]
    if seq is not None:
        out.append(_varint_field(3, seq))
    return b"".join(out)


_BITS: Final = {DataType.INT32: (10, (1 << 32) - 1), DataType.INT64: (11, (1 << 64) - 1), DataType.DATE_TIME: (11, (1 << 64) - 1)}


def _metric(metric: Metric) -> bytes:
    out = [_bytes_field(1, metric.name.encode()), _varint_field(3, metric.time_ms), _varint_field(4, metric.type)]
    value = metric.value
    if value is None:
        out.append(_varint_field(7, 1))
    if metric.properties:
        out.append(_bytes_field(9, _properties(metric.properties)))
    if value is None:
        return b"".join(out)
    if metric.type in _BITS:
        number, mask = _BITS[metric.type]
        out.append(_varint_field(number, int(value) & mask))  # two's complement
    elif metric.type is DataType.DOUBLE:
        out.append(_tag(13, 1) + struct.pack("<d", value))
    elif metric.type is DataType.BOOLEAN:
        out.append(_varint_field(14, int(bool(value))))
    else:
        out.append(_bytes_field(15, str(value).encode()))
    return b"".join(out)


def _properties(properties: Mapping[str, float | int | str]) -> bytes:
    keys = [_bytes_field(1, name.encode()) for name in properties]
    return b"".join(keys + [_bytes_field(2, _property(value)) for value in properties.values()])


def _property(value: float | int | str) -> bytes:
    if isinstance(value, str):
        return _varint_field(1, DataType.STRING) + _bytes_field(8, value.encode())
    if isinstance(value, float):
        return _varint_field(1, DataType.DOUBLE) + _tag(6, 1) + struct.pack("<d", value)
    return _varint_field(1, DataType.INT32) + _varint_field(3, value)


def commands(payload: bytes) -> dict[str, MetricValue]:
    """Names and values of the metrics in a command that a host sent; of other types than those above None. Raises ValueError for
    what is no payload."""
    found: dict[str, MetricValue] = {}
    for number, value in _fields(payload):
        if number != 2 or not isinstance(value, bytes):
            continue
        parts = dict(_fields(value))
        name, flag, text = parts.get(1), parts.get(14), parts.get(15)
        if isinstance(name, bytes):
            shown: MetricValue = bool(flag) if flag is not None else text.decode() if isinstance(text, bytes) else None
            found[name.decode()] = shown
    return found


def _fields(raw: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of each field, fixed-length ones as bytes. Raises ValueError: it ends too early, or is of no known form."""
    at = 0
    while at < len(raw):
        tag, at = _varint(raw, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(raw, at)
            yield tag >> 3, value
            continue
        if kind == 2:
            size, at = _varint(raw, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ValueError(f"wire type {kind}")
        if at + size > len(raw):
            raise ValueError("ends too early")
        yield tag >> 3, raw[at : at + size]
        at += size


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(raw):
            raise ValueError("ends too early")
        value |= (raw[at] & 0x7F) << shift
        at += 1
        if raw[at - 1] < 0x80:
            return value, at
    raise ValueError("a number without an end")


def _tag(number: int, kind: int) -> bytes:
    return _raw(number << 3 | kind)


def _varint_field(number: int, value: int) -> bytes:
    return _tag(number, 0) + _raw(value)


def _bytes_field(number: int, value: bytes) -> bytes:
    return _tag(number, 2) + _raw(len(value)) + value


def _raw(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
