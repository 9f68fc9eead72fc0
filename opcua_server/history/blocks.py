"""A series as the bytes of a block, and back. Pure.

    count  flags | times: differences | statuses: one, or each | servers: ms behind the time | values      all deflated as one
                    numbers of more than a byte are shuffled: first bytes of all, then second bytes ... so that like stands by like

Server times are kept to the millisecond. Signals that a machine shows 10 times a second take 4 to 9 bytes a sample.
"""

from __future__ import annotations

import json
import struct
import zlib
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from opcua_server.history.series import DTYPES, OBJECTS, TICKS_PER_MS, Series, empty

_HEAD: Final = struct.Struct("<IBq")
_WIDE_TIMES, _MANY_STATUSES, _WIDE_SERVERS = 1, 2, 4
_LEVEL: Final = 1
"""Of zlib: more takes several times as long for a few percent."""


class BlockError(ValueError):
    """Bytes that are no block."""


def pack(series: Series, kind: str) -> bytes:
    """A block of a series that is not empty. The first time is in it."""
    times = np.diff(series.times, prepend=series.times[:1])
    late_ms = (series.servers - series.times) // TICKS_PER_MS
    is_wide = bool(len(times)) and (times.min() < 0 or times.max() > 0xFFFF_FFFF)
    is_late = bool(late_ms.min() < -0x8000 or late_ms.max() > 0x7FFF)
    is_one = bool((series.statuses == series.statuses[0]).all())
    flags = _WIDE_TIMES * is_wide | _MANY_STATUSES * (not is_one) | _WIDE_SERVERS * is_late
    parts = [
        _HEAD.pack(len(series), flags, int(series.times[0])),
        _shuffled(times.astype("<i8" if is_wide else "<u4")),
        _shuffled((series.statuses[:1] if is_one else series.statuses).astype("<u4")),
        _shuffled(late_ms.astype("<i8" if is_late else "<i2")),
        json.dumps(series.values.tolist()).encode() if kind in OBJECTS else _shuffled(series.values.astype(DTYPES[kind])),
    ]
    return zlib.compress(b"".join(parts), _LEVEL)


def unpack(content: bytes, kind: str) -> Series:
    """Raises BlockError for what was damaged."""
    try:
        raw = zlib.decompress(content)
        count, flags, first = _HEAD.unpack_from(raw)
        if not count:
            return empty(kind)
        p = _HEAD.size
        steps, p = _read(raw, p, count, "<i8" if flags & _WIDE_TIMES else "<u4")
        statuses, p = _read(raw, p, count if flags & _MANY_STATUSES else 1, "<u4")
        late_ms, p = _read(raw, p, count, "<i8" if flags & _WIDE_SERVERS else "<i2")
        times = first + np.cumsum(steps.astype(np.int64)) - int(steps[0])
        values: NDArray[Any]
        if kind in OBJECTS:
            values = np.empty(count, object)
            values[:] = json.loads(raw[p:])
        else:
            values, p = _read(raw, p, count, DTYPES[kind].str)
    except (zlib.error, struct.error, ValueError) as error:
        raise BlockError(f"a block of {len(content)} bytes: {error}") from error
    full = statuses if len(statuses) == count else np.full(count, statuses[0], np.uint32)
    return Series(times, values, full.astype(np.uint32), times + late_ms.astype(np.int64) * TICKS_PER_MS)


def _shuffled(numbers: NDArray[Any]) -> bytes:
    size = numbers.dtype.itemsize
    if size == 1:
        return numbers.tobytes()
    return np.ascontiguousarray(numbers).view(np.uint8).reshape(-1, size).T.tobytes()


def _read(raw: bytes, p: int, count: int, dtype: str) -> tuple[NDArray[Any], int]:
    size = np.dtype(dtype).itemsize
    end = p + count * size
    if end > len(raw):
        raise ValueError(f"{count} numbers of {size} bytes in {len(raw) - p}")
    content = np.frombuffer(raw, np.uint8, count * size, p)
    if size > 1:
        content = np.ascontiguousarray(content.reshape(size, -1).T)
    return content.reshape(-1).view(dtype), end
