"""Publish responses as a client reads them: runs of equal numbers as one numpy view on the message, the rest value by value.

    DataChangeNotification   | handle mask type value status source server | handle mask type value ...
                              '------------- one record of a run ----------'
    a run: records of the same mask and type  -->  Numbers, without a copy
    anything else (a text, an array, a missing timestamp)  -->  MonitoredItemNotification

A run is looked for in windows that double, so that the cost stays in proportion to the bytes whatever they hold.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from cnctwin.wire.budget import Budget, DecodingError
from cnctwin.wire.decode import array_reader, decoder, guarded
from cnctwin.wire.scalars import INT32, UINT32, read_node_id, ua

PUBLISH_RESPONSE: Final = 829
REPUBLISH_RESPONSE: Final = 835
_DATA_CHANGE: Final = 811
_FULL: Final = 0x0F
"""DataValue mask: value, status, source and server timestamp."""
_CODES: Final = {1: "?", 2: "i1", 3: "u1", 4: "<i2", 5: "<u2", 6: "<i4", 7: "<u4", 8: "<i8", 9: "<u8", 10: "<f4", 11: "<f8"}
_FIRST_WINDOW: Final = 8
_read_item: Final = decoder(ua.MonitoredItemNotification)
_read_header: Final = decoder(ua.ResponseHeader)
_read_extension: Final = decoder(ua.ExtensionObject)
_read_numbers: Final = array_reader(ua.UInt32)


@dataclass(frozen=True, slots=True)
class Numbers:
    """A run of values of one type, as views on the message: all have shape (n,). ``values`` is None where there are none (Null).

    ``statuses``: StatusCodes. ``sources``, ``servers``: timestamps in 100 ns since 1601.
    """

    handles: NDArray[np.uint32]
    values: NDArray[Any] | None
    statuses: NDArray[np.uint32]
    sources: NDArray[np.int64]
    servers: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Message:
    """A NotificationMessage. ``parts`` in the order of the message: Numbers, MonitoredItemNotification, EventNotificationList,
    StatusChangeNotification. A keep-alive has none; its ``number`` is that of the next message."""

    number: int
    parts: Sequence[Any]


@dataclass(frozen=True, slots=True)
class Published:
    """A PublishResponse. ``available``: sequence numbers that Republish still has. ``more``: another message waits."""

    subscription: int
    available: Sequence[int]
    more: bool
    message: Message


def read_published(body: bytes) -> Published:
    """What a PublishResponse says; ``body`` begins with its type. Raises DecodingError, UaStatusCodeError for a refusal."""
    return guarded(_published, body, _opened(body, PUBLISH_RESPONSE), Budget())[0]  # type: ignore[no-any-return]


def read_republished(body: bytes) -> Message:
    """The message in a RepublishResponse. Raises DecodingError, UaStatusCodeError for a refusal."""
    return guarded(_message, body, _opened(body, REPUBLISH_RESPONSE), Budget())[0]  # type: ignore[no-any-return]


def _opened(body: bytes, kind: int) -> int:
    """Where the parameters begin behind type and header."""
    budget = Budget()
    found, p = guarded(read_node_id, body, 0, budget)
    if found.NamespaceIndex != 0 or found.Identifier != kind:
        raise DecodingError(f"a response of type {found.to_string()}, not i={kind}")
    header, p = guarded(_read_header, body, p, budget)
    header.ServiceResult.check()
    return p


def _published(body: Any, p: int, budget: Budget) -> tuple[Published, int]:
    (subscription,) = UINT32(body, p)
    available, p = _read_numbers(body, p + 4, budget)
    more = body[p] != 0
    message, p = _message(body, p + 1, budget)
    return Published(subscription, available or (), more, message), p


def _message(body: Any, p: int, budget: Budget) -> tuple[Message, int]:
    number, _time, count = struct.unpack_from("<Iqi", body, p)
    p += 16
    parts: list[Any] = []
    if count > 0:
        budget.take(count, 3, len(body) - p)
    for _ in range(count):
        kind, at = read_node_id(body, p, budget)
        if kind.Identifier == _DATA_CHANGE and kind.NamespaceIndex == 0 and body[at] == 1:
            (size,) = INT32(body, at + 1)
            p = at + 5
            if not 0 <= size <= len(body) - p:
                raise DecodingError(f"notifications of {size} bytes in {len(body) - p}")
            _data_change(memoryview(body)[p : p + size], parts, budget)
            p += size
        else:
            part, p = _read_extension(body, p, budget)
            parts.append(part)
    return Message(number, parts), p


def _data_change(content: memoryview, parts: list[Any], budget: Budget) -> None:
    """The MonitoredItemNotifications of a DataChangeNotification, in their order."""
    (count,) = INT32(content, 0)
    p = 4
    if count > 0:
        budget.take(count, 5, len(content) - p)
    while count > 0:
        mask = content[p + 4]
        kind = content[p + 5]
        if mask == _FULL and (kind in _CODES or kind == 0):
            run = _run(content, p, kind, count)
            if run is not None:
                parts.append(_numbers(run, kind))
                count -= len(run)
                p += len(run) * run.dtype.itemsize
                continue
        item, p = _read_item(content, p, budget)
        parts.append(item)
        count -= 1


def _run(content: memoryview, p: int, kind: int, count: int) -> NDArray[Any] | None:
    """As many records as follow each other in the form of the first; None when not even that one is whole."""
    layout = _LAYOUTS[kind]
    most = min(count, (len(content) - p) // layout.itemsize)
    found, window = 0, _FIRST_WINDOW
    while found < most:
        size = min(window, most - found)
        view = np.frombuffer(content, layout, size, p + found * layout.itemsize)
        same = (view["mask"] == _FULL) & (view["type"] == kind)
        if not same.all():
            found += int(np.argmin(same))
            break
        found += size
        window *= 8
    return np.frombuffer(content, layout, found, p) if found else None


def _numbers(run: NDArray[Any], kind: int) -> Numbers:
    return Numbers(run["handle"], run["value"] if kind else None, run["status"], run["source"], run["server"])


def _layout(kind: int) -> np.dtype[Any]:
    value = [("value", _CODES[kind])] if kind else []
    times = [("source", "<i8"), ("server", "<i8")]
    return np.dtype([("handle", "<u4"), ("mask", "u1"), ("type", "u1"), *value, ("status", "<u4"), *times])


_LAYOUTS: Final = {kind: _layout(kind) for kind in (0, *_CODES)}
