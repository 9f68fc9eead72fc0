"""What was seen at one moment, of many tags; and many such moments as bytes. Pure.

frame    source time, server time | tag numbers, ascending | values | statuses          of tags of one type
journal  frames of about half a second, as they came; the frames of a minute become blocks, one a tag
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from opcua_server.history.blocks import BlockError
from opcua_server.history.series import DTYPES, OBJECTS, Series

KINDS: Final = tuple(DTYPES)
_HEAD: Final = struct.Struct("<BIqqq")
_LENGTH: Final = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Frame:
    """``serial`` numbers frames in the order in which they were recorded. Arrays have shape (n,); times in 100 ns since 1601."""

    serial: int
    kind: str
    source: int
    server: int
    tags: NDArray[np.int64]
    values: NDArray[Any]
    statuses: NDArray[np.uint32]


def pack(frames: Sequence[Frame]) -> bytes:
    parts = []
    for frame in frames:
        is_object = frame.kind in OBJECTS
        values = json.dumps(frame.values.tolist()).encode() if is_object else frame.values.tobytes()
        head = _HEAD.pack(KINDS.index(frame.kind), len(frame.tags), frame.serial, frame.source, frame.server)
        parts += [head, frame.tags.tobytes(), frame.statuses.tobytes(), _LENGTH.pack(len(values)), values]
    return zlib.compress(b"".join(parts), 1)


def unpack(content: bytes) -> Iterator[Frame]:
    """Raises BlockError."""
    try:
        raw = zlib.decompress(content)
        p = 0
        while p < len(raw):
            kind, count, serial, source, server = _HEAD.unpack_from(raw, p)
            p += _HEAD.size
            tags = np.frombuffer(raw, np.int64, count, p)
            statuses = np.frombuffer(raw, np.uint32, count, p + 8 * count)
            (size,) = _LENGTH.unpack_from(raw, p + 12 * count)
            p += 12 * count + _LENGTH.size
            dtype = DTYPES[KINDS[kind]]
            if dtype.hasobject:
                values = np.empty(count, object)
                values[:] = json.loads(raw[p : p + size])
            else:
                values = np.frombuffer(raw, dtype, count, p)
            p += size
            yield Frame(serial, KINDS[kind], source, server, tags, values, statuses)
    except (zlib.error, struct.error, ValueError, IndexError) as error:
        raise BlockError(f"a journal entry of {len(content)} bytes: {error}") from error


def of_tag(frames: Iterable[Frame], tag: int, kind: str) -> list[Series]:
    """The samples of a tag in frames of its type, as series that each are ascending, in the order of recording."""
    times, values, statuses, servers = [], [], [], []
    for frame in frames:
        place = int(np.searchsorted(frame.tags, tag))
        if place < len(frame.tags) and frame.tags[place] == tag:
            times.append(frame.source)
            servers.append(frame.server)
            values.append(frame.values[place])
            statuses.append(frame.statuses[place])
    if not times:
        return []
    held = np.empty(len(times), DTYPES[kind])
    held[:] = values
    whole = Series(np.array(times, np.int64), held, np.array(statuses, np.uint32), np.array(servers, np.int64))
    return _ascending(whole)


def by_tag(frames: Sequence[Frame]) -> Iterator[tuple[int, str, list[Series]]]:
    """All samples of frames, as (tag, type, ascending series); transposed a type at a time."""
    for kind in KINDS:
        chosen = [frame for frame in frames if frame.kind == kind]
        if not chosen:
            continue
        sizes = [len(frame.tags) for frame in chosen]
        tags = np.concatenate([frame.tags for frame in chosen])
        order = np.argsort(tags, kind="stable")
        tags = tags[order]
        times = np.repeat(np.array([frame.source for frame in chosen], np.int64), sizes)[order]
        servers = np.repeat(np.array([frame.server for frame in chosen], np.int64), sizes)[order]
        values = np.concatenate([frame.values for frame in chosen])[order]
        statuses = np.concatenate([frame.statuses for frame in chosen])[order]
        edges = np.flatnonzero(np.diff(tags, prepend=tags[0] - 1)).tolist()
        edges.append(len(tags))
        whole = Series(times, values, statuses, servers)
        for start, end in pairwise(edges):
            yield int(tags[start]), kind, _ascending(whole.part(start, end))


def _ascending(series: Series) -> list[Series]:
    """Cut where the clock was set back."""
    breaks = (np.flatnonzero(np.diff(series.times) <= 0) + 1).tolist()
    edges = [0, *breaks, len(series)]
    return [series.part(start, end) for start, end in pairwise(edges) if end > start]
