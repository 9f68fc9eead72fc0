"""History as OPC UA binary (OPC 10000-6, 5.2): runs of DataValues are one packed array each, not one object a value. Pure."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from cnctwin.wire import encoder
from cnctwin.wire.scalars import ua
from opcua_server.history.aggregates import BAD_INVALID_INPUTS
from opcua_server.history.series import DTYPES, OBJECTS, Series, is_bad
from opcua_server.history.window import Point

SOURCE, SERVER, BOTH = range(3)
"""TimestampsToReturn (OPC 10000-4, 7.40)."""
HISTORY_DATA, MODIFIED_DATA, HISTORY_EVENT = 658, 11227, 661
TYPE_IDS: Final = {"Boolean": 1, "Byte": 3, "UInt16": 5, "Int32": 6, "UInt32": 7, "Double": 11, "String": 12, "StatusCode": 19}
_FORMATS: Final = {"Boolean": "?", "Byte": "B", "UInt16": "<H", "Int32": "<i", "UInt32": "<I", "Double": "<d", "StatusCode": "<I"}
_COUNT: Final = struct.Struct("<i").pack
_HAS_VALUE, _HAS_STATUS, _HAS_SOURCE, _HAS_SERVER = 1, 2, 4, 8
_write_text: Final = encoder(ua.String)


def extension(type_id: int, body: bytes) -> bytes:
    """An ExtensionObject; ``type_id`` is that of a binary encoding in namespace 0."""
    return b"".join((struct.pack("<BBHBi", 1, 0, type_id, 1, len(body)), body))


def history_data(values: Sequence[bytes] | bytes, count: int) -> bytes:
    """A HistoryData of DataValues that are encoded."""
    return extension(HISTORY_DATA, b"".join((_COUNT(count), values if isinstance(values, bytes) else b"".join(values))))


def modified_data(values: Sequence[bytes], infos: Sequence[tuple[int, int, str]]) -> bytes:
    """A HistoryModifiedData of DataValues that are encoded and of (when, HistoryUpdateType, who)."""
    parts = [_COUNT(len(values)), *values, _COUNT(len(infos))]
    for when, kind, user in infos:
        parts += [struct.pack("<qi", when, kind), _scalar(user, "String")]
    return extension(MODIFIED_DATA, b"".join(parts))


def no_data() -> bytes:
    """An ExtensionObject without a body."""
    return b"\x00\x00\x00"


def series(found: Series, kind: str, timestamps: int) -> bytes:
    """The DataValues of a series, in its order. Under a Bad status there is no value."""
    if kind in OBJECTS:
        return b"".join(_texts(found, timestamps))
    bad = is_bad(found.statuses)
    if not bad.any():
        return _packed(found, kind, timestamps).tobytes()
    if bad.all():
        return _packed(found, "", timestamps).tobytes()
    pieces: list[bytes] = [b""] * len(found)
    for chosen, has_value in ((~bad, kind), (bad, "")):
        places = np.flatnonzero(chosen)
        part = Series(found.times[places], found.values[places], found.statuses[places], found.servers[places])
        packed = _packed(part, has_value, timestamps)
        content, size = packed.tobytes(), packed.dtype.itemsize
        for number, place in enumerate(places.tolist()):
            pieces[place] = content[number * size : number * size + size]
    return b"".join(pieces)


def _packed(found: Series, kind: str, timestamps: int) -> Any:
    has_source, has_server = timestamps in (SOURCE, BOTH), timestamps in (SERVER, BOTH)
    layout: list[Any] = [("mask", "u1")]
    layout += [("type", "u1"), ("value", DTYPES[kind])] if kind else []
    layout += [("status", "<u4")]
    layout += [("source", "<i8")] if has_source else []
    layout += [("server", "<i8")] if has_server else []
    packed = np.empty(len(found), np.dtype(layout))
    packed["mask"] = _HAS_STATUS | _HAS_VALUE * bool(kind) | _HAS_SOURCE * has_source | _HAS_SERVER * has_server
    if kind:
        packed["type"] = TYPE_IDS[kind]
        packed["value"] = found.values
    packed["status"] = found.statuses
    if has_source:
        packed["source"] = found.times
    if has_server:
        packed["server"] = found.servers
    return packed


def _texts(found: Series, timestamps: int) -> list[bytes]:
    parts = []
    rows = zip(found.times.tolist(), found.values.tolist(), found.statuses.tolist(), found.servers.tolist(), strict=True)
    for time, value, status, server in rows:
        parts.append(data_value(None if status >> 31 else value, "String", status, time, server, timestamps))
    return parts


def points(found: Sequence[Point], kind: str, now: int, timestamps: int) -> bytes:
    """The DataValues of aggregates; they are known to the server since ``now``."""
    return b"".join(data_value(point.value, kind, point.status, point.time, now, timestamps) for point in found)


def data_value(value: Any, kind: str, status: int, source: int, server: int, timestamps: int) -> bytes:
    """One DataValue. A number that its type cannot hold becomes BadAggregateInvalidInputs."""
    content = b""
    if value is not None:
        try:
            content = bytes((TYPE_IDS[kind],)) + _scalar(value, kind)
        except (struct.error, OverflowError):
            content, status = b"", BAD_INVALID_INPUTS
    mask = _HAS_STATUS | _HAS_VALUE * bool(content)
    parts = [content, struct.pack("<I", status)]
    if timestamps in (SOURCE, BOTH):
        mask |= _HAS_SOURCE
        parts.append(struct.pack("<q", source))
    if timestamps in (SERVER, BOTH):
        mask |= _HAS_SERVER
        parts.append(struct.pack("<q", server))
    return bytes((mask,)) + b"".join(parts)


def _scalar(value: Any, kind: str) -> bytes:
    if kind == "String":
        out: list[bytes] = []
        _write_text(value, out.append)
        return b"".join(out)
    if kind in ("Double", "Boolean"):
        return struct.pack(_FORMATS[kind], value)
    return struct.pack(_FORMATS[kind], round(value))
