"""Sessions that listen: each with a subscription of its own; what arrives is counted, checked, and timed.

``Var<n>`` shows n + k in tick k, and is monitored under the client handle n: value - handle is the tick. A session has lost
what is missing between the first and the last tick it saw. Latency is from SourceTimestamp to the arrival of the whole message.
"""

from __future__ import annotations

import asyncio
import functools
import struct
import time
from array import array
from typing import Any, Final

import numpy as np

from benchmarks.opcua.link import Link, Refused
from benchmarks.opcua.space import var
from cnctwin.wire import Budget, decoder, encode
from cnctwin.wire.encode import to_ticks
from cnctwin.wire.scalars import ua

PUBLISHING_MS: Final = 100.0
OUTSTANDING: Final = 3
"""Publish requests of a session that wait at the server."""
ITEMS_PER_REQUEST: Final = 500
_PUBLISH: Final = encode(ua.FourByteNodeId(826))
_EPOCH_TICKS: Final = 116_444_736_000_000_000
_DOUBLE: Final = 11
_decode: Final = decoder(ua.DataChangeNotification)
_HEADER: Final = 24
"""Bytes of the type id and of a ResponseHeader without diagnostics and strings."""


def publish_body(token: bytes, acknowledged: tuple[int, int] | None) -> bytes:
    head = _PUBLISH + token + struct.pack("<qIIiI", 0, 0, 0, -1, 600_000) + b"\x00\x00\x00"
    return head + (struct.pack("<iII", 1, *acknowledged) if acknowledged else struct.pack("<i", 0))


@functools.cache
def _items(namespace: int, items: range) -> bytes:
    """CreateMonitoredItems parameters behind the SubscriptionId: the same for every session."""
    asked = ua.CreateMonitoredItemsParameters()
    asked.TimestampsToReturn = ua.TimestampsToReturn.Source
    for index in items:
        parameters = ua.MonitoringParameters(index, PUBLISHING_MS, ua.ExtensionObject(), 1, True)
        target = ua.ReadValueId(var(index, namespace), ua.UInt32(13))
        asked.ItemsToCreate.append(ua.MonitoredItemCreateRequest(target, ua.MonitoringMode.Reporting, parameters))
    return encode(asked)[4:]


async def subscribe(link: Link, namespace: int, items: int) -> None:
    """A subscription with the first ``items`` variables, sampled as often as it publishes. Raises Refused."""
    create = ua.CreateSubscriptionRequest()
    create.Parameters.RequestedPublishingInterval = PUBLISHING_MS
    create.Parameters.RequestedLifetimeCount = 10_000
    create.Parameters.RequestedMaxKeepAliveCount = 100
    number = (await link.ask(create, ua.CreateSubscriptionResponse)).Parameters.SubscriptionId
    empty = link.built(ua.CreateMonitoredItemsRequest())
    head = empty[: len(empty) - len(encode(ua.CreateMonitoredItemsParameters()))]
    for start in range(0, items, ITEMS_PER_REQUEST):
        some = range(start, min(items, start + ITEMS_PER_REQUEST))
        message = await link.answer(head + struct.pack("<I", number) + _items(namespace, some))
        made = decoder(ua.CreateMonitoredItemsResponse)(message, 0, Budget())[0].Results
        if len(made) != len(some) or not all(one.StatusCode.is_good() for one in made):
            raise Refused(f"CreateMonitoredItems: {made[0].StatusCode.name if made else 'no results'}")


class Tally:
    """What arrived at all sessions of this process. ``latencies`` in ms, one per message."""

    def __init__(self) -> None:
        self.is_open = False
        self.told = self.lost = self.wrong = self.messages = 0
        self.ticks = 0
        """Ticks that sessions saw, added up."""
        self.latencies = array("d")
        self._read: tuple[bytes, tuple[Any, Any, int]] | None = None

    def read(self, body: bytes) -> tuple[Any, Any, int]:
        """Handles, ticks, and the last source time of a DataChangeNotification; sessions that get equal bytes share the work."""
        if self._read is None or self._read[0] != body:
            self._read = body, read_notification(body)
        return self._read[1]


def read_notification(body: bytes) -> tuple[Any, Any, int]:
    """``body``: a DataChangeNotification of good doubles with a source time. Raises Refused."""
    (count,) = struct.unpack_from("<i", body)
    mask = body[8]
    layout = [("handle", "<u4"), ("mask", "u1"), ("type", "u1"), ("value", "<f8")]
    layout += [("status", "<u4")] if mask & 2 else []
    layout += [("source", "<i8")] if mask & 4 else []
    layout += [("picoseconds", "<u2")] if mask & 16 else []
    layout += [("server", "<i8")] if mask & 8 else []
    layout += [("server_picoseconds", "<u2")] if mask & 32 else []
    record = np.dtype(layout)
    if len(body) != 4 + count * record.itemsize + 4 or not mask & 4:
        return _one_by_one(body)
    records = np.frombuffer(body, record, count, 4)
    if (records["mask"] != mask).any() or (records["type"] != _DOUBLE).any() or (mask & 2 and records["status"].any()):
        return _one_by_one(body)
    return records["handle"].astype(np.intp), records["value"] - records["handle"], int(records["source"].max())


def _one_by_one(body: bytes) -> tuple[Any, Any, int]:
    """The same of notifications that are encoded each in its own way."""
    told = _decode(body, 0, Budget())[0].MonitoredItems
    if any(one.Value.SourceTimestamp is None or one.Value.Value.VariantType is not ua.VariantType.Double for one in told):
        raise Refused("notifications that are no doubles with a source time")
    handles = np.array([one.ClientHandle for one in told], dtype=np.intp)
    values = np.array([one.Value.Value.Value for one in told])
    return handles, values - handles, max(to_ticks(one.Value.SourceTimestamp) for one in told)


class Listener:
    """One session's part: it answers each message with the next Publish request."""

    def __init__(self, link: Link, items: int, tally: Tally) -> None:
        self._link = link
        self._tally = tally
        self._last = np.full(items, -1.0)
        self.failed = ""

    def begin(self) -> None:
        self._link.heard = self._heard
        for _ in range(OUTSTANDING):
            self._link.send(publish_body(self._link.token, None))

    def _heard(self, message: bytes) -> None:
        (status,) = struct.unpack_from("<I", message, 16)
        if status >> 31:
            self.failed = ua.StatusCode(status).name
            return
        number, available = struct.unpack_from("<Ii", message, _HEADER + 4)
        p = _HEADER + 4 + 8 + 4 * max(available, 0) + 1
        sequence, _time, parts = struct.unpack_from("<Iqi", message, p)
        self._link.send(publish_body(self._link.token, (number, sequence) if parts > 0 else None))
        if parts > 0:
            try:
                self._count(message, p + 16 + 5 + 4)
            except (Refused, ValueError, IndexError) as problem:
                self.failed = str(problem)

    def _count(self, message: bytes, p: int) -> None:
        tally = self._tally
        handles, ticks, source = tally.read(message[p : p + struct.unpack_from("<i", message, p - 4)[0]])
        if tally.is_open:
            steps = ticks - self._last[handles]
            first = self._last[handles] < 0
            tally.lost += int(np.maximum(steps - 1, 0)[~first].sum())
            tally.wrong += int((steps < 0).sum())
            tally.told += len(handles)
            tally.ticks += int((ticks.max() > self._last).any())
            tally.messages += 1
            tally.latencies.append((time.time_ns() // 100 + _EPOCH_TICKS - source) / 10_000)
        self._last[handles] = ticks


class Listening:
    """``sessions`` sessions with ``items`` items each: a client's part of a scenario."""

    def __init__(self, port: int, identity: Any, namespace: int, sessions: int, items: int) -> None:
        self._terms = port, identity, namespace, sessions, items
        self._tally = Tally()
        self._links: list[Link] = []
        self._listeners: list[Listener] = []
        self._seconds = 0.0

    async def prepare(self) -> None:
        port, identity, namespace, sessions, items = self._terms
        for _ in range(sessions):
            link = await Link(identity).open(port)
            await subscribe(link, namespace, items)
            self._links.append(link)
            self._listeners.append(Listener(link, items, self._tally))
        for listener in self._listeners:
            listener.begin()

    async def start(self) -> None:
        self._tally.is_open = True
        self._seconds = time.perf_counter()

    async def stop(self) -> dict[str, float]:
        tally = self._tally
        tally.is_open = False
        seconds = time.perf_counter() - self._seconds
        failed = next((one.failed for one in self._listeners if one.failed), "")
        gone = sum(link.lost.done() for link in self._links)
        await asyncio.gather(*(link.end() for link in self._links))
        if failed or gone:
            raise Refused(failed or f"the server closed {gone} connections")
        p50, p99 = np.percentile(tally.latencies, (50, 99)) if tally.latencies else (float("nan"), float("nan"))
        return {
            "operations": tally.told, "seconds": seconds, "lost": tally.lost, "wrong": tally.wrong,
            "rate_hz": tally.ticks / len(self._links) / seconds, "p50_ms": float(p50), "p99_ms": float(p99),
        }  # fmt: skip
