"""Sessions that ask for as much as they may, as often as they are answered: each service with what makes it work hardest.

Names say what is asked; a server answers or refuses, and goes on serving others.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar
from weakref import WeakSet

from benchmarks.opcua.link import Link, Refused
from cnctwin.wire.scalars import ua
from nodesets.catalogue import NUMERIC

SERVER = ua.NodeId(2253)
CHUNK = 60_000
CURRENT_TIME = ua.NodeId(2258)
CONDITION, REFRESH = ua.NodeId(2782), ua.NodeId(3875)
GET_ITEMS = ua.NodeId(11492)
ORGANIZES = ua.NodeId(35)
AVERAGE = ua.NodeId(2342)
PUBLISHED = 829
Attack = Callable[[int, float], Awaitable[int]]
Make = Callable[["Stranger"], Awaitable[Any]]


class Idle(RuntimeError):
    """What is asked makes the server do nothing: the row would say nothing."""


class Stranger(Link):
    """A client from another address, with a session without a login, that cuts long requests into chunks.

    ``lasts_s``: how long a session that is not used any more stays, and a subscription whose messages nobody fetches.
    ``answers``: how often requests that were waited for were served, and refused, by the reason, of all of them. ``held``: those
    with a session.
    """

    address = "127.0.0.2"
    lasts_s: ClassVar[float] = 60.0
    answers: ClassVar[Counter[str]] = Counter()
    held: ClassVar[WeakSet[Stranger]] = WeakSet()

    def built(self, request: Any) -> bytes:
        if isinstance(request, ua.CreateSessionRequest):
            request.Parameters.RequestedSessionTimeout = 1e3 * self.lasts_s
        return super().built(request)

    async def answer(self, body: bytes) -> bytes:
        try:
            message = await super().answer(body)
        except Refused as refusal:
            self.answers[str(refusal)] += 1
            raise
        self.answers["served"] += 1
        return message

    async def connect(self, port: int) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port, local_addr=(self.address, 0))
        url = b"opc.tcp://127.0.0.1"
        hello = struct.pack("<IIIIIi", 0, 1 << 16, 1 << 16, 0, 0, len(url)) + url
        self._transport.write(struct.pack("<4sI", b"HELF", len(hello) + 8) + hello)
        await self._next()
        await self._open_channel()

    def send(self, body: bytes) -> None:
        number = self._sequence + 1
        for start in range(0, len(body), CHUNK):
            self.send_part(body[start : start + CHUNK], number, is_last=start + CHUNK >= len(body))

    def send_part(self, part: bytes, number: int, *, is_last: bool = False) -> None:
        """A chunk of the message with that request id."""
        self._sequence += 1
        kind = b"MSGF" if is_last else b"MSGC"
        self._transport.write(struct.pack("<4sI8sII", kind, len(part) + 24, self._channel, self._sequence, number) + part)

    @property
    def transport(self) -> Any:
        return self._transport

    async def subscription(self) -> int:
        create = ua.CreateSubscriptionRequest()
        create.Parameters.RequestedPublishingInterval = 10.0
        create.Parameters.RequestedLifetimeCount, create.Parameters.RequestedMaxKeepAliveCount = int(100 * self.lasts_s), 100
        return int((await self.ask(create, ua.CreateSubscriptionResponse)).Parameters.SubscriptionId)


async def session(port: int) -> Stranger:
    made = Stranger()
    try:
        await made.open(port)
    except BaseException:
        made.close()
        raise
    Stranger.held.add(made)
    return made


async def end_all() -> None:
    """Close the sessions whose connections are there still; those of lost ones last ``lasts_s``."""
    await asyncio.gather(*(link.end() for link in list(Stranger.held) if not link.transport.is_closing()))


# What is asked again and again ----------------------------------------------------------------------------------------


async def reads(_link: Stranger, count: int = 10_000) -> Any:
    asked = ua.ReadRequest()
    asked.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    asked.Parameters.NodesToRead = [ua.ReadValueId(CURRENT_TIME, ua.UInt32(13))] * count
    return asked


async def browses(_link: Stranger) -> Any:
    asked = ua.BrowseRequest()
    one = ua.BrowseDescription(ua.NodeId(85), ua.BrowseDirection.Both, ua.NodeId(), True, ua.UInt32(0), ua.UInt32(63))
    asked.Parameters.NodesToBrowse = [one] * 1_000
    return asked


async def long_paths(_link: Stranger) -> Any:
    """Up to the root and down again, without end."""
    up, down = (
        ua.RelativePathElement(ORGANIZES, is_inverse, True, ua.QualifiedName(name))
        for is_inverse, name in ((True, "Root"), (False, "Objects"))
    )
    asked = ua.TranslateBrowsePathsToNodeIdsRequest()
    asked.Parameters.BrowsePaths = [ua.BrowsePath(ua.NodeId(85), ua.RelativePath([up, down] * 40))] * 500
    return asked


async def nested_values(_link: Stranger) -> Any:
    asked = ua.WriteRequest()
    inner = ua.Variant()
    for _ in range(90):
        inner = ua.Variant([inner], ua.VariantType.Variant, is_array=True)
    asked.Parameters.NodesToWrite = [ua.WriteValue(SERVER, ua.UInt32(13), None, ua.DataValue(inner))] * 200
    return asked


async def refreshes(link: Stranger) -> Any:
    """ConditionRefresh, a thousand times in a request, for a subscription that hears of all conditions."""
    number = await link.subscription()
    await link.ask(listening(number, ua.ContentFilter(), 1), ua.CreateMonitoredItemsResponse)
    return calls(CONDITION, REFRESH, number)


async def item_lists(link: Stranger) -> Any:
    """GetMonitoredItems of a full subscription, a thousand times in a request."""
    number = await link.subscription()
    for _ in range(4):
        asked = ua.CreateMonitoredItemsRequest()
        asked.Parameters.SubscriptionId = number
        one = ua.MonitoredItemCreateRequest(ua.ReadValueId(CURRENT_TIME, ua.UInt32(13)), ua.MonitoringMode.Disabled)
        asked.Parameters.ItemsToCreate = [one] * 500
        await link.ask(asked, ua.CreateMonitoredItemsResponse)
    return calls(SERVER, GET_ITEMS, number)


def calls(object_id: Any, method: Any, number: int) -> Any:
    asked = ua.CallRequest()
    one = ua.CallMethodRequest(object_id, method, [ua.Variant(number, ua.VariantType.UInt32)])
    asked.Parameters.MethodsToCall = [one] * 1_000
    return asked


def listening(subscription: int, where: Any, count: int) -> Any:
    """Items on the events of the server, all with the same where clause."""
    select = [ua.SimpleAttributeOperand(ua.NodeId(2041), [ua.QualifiedName("Message")], ua.UInt32(13), "")] * 50
    terms = ua.MonitoringParameters(1, 0.0, ua.EventFilter(select, where), 1_000, True)
    asked = ua.CreateMonitoredItemsRequest()
    asked.Parameters.SubscriptionId = subscription
    one = ua.MonitoredItemCreateRequest(ua.ReadValueId(SERVER, ua.UInt32(12)), ua.MonitoringMode.Reporting, terms)
    asked.Parameters.ItemsToCreate = [one] * count
    return asked


async def filters(link: Stranger) -> Any:
    """Where clauses of a hundred terms: patterns that fit in many ways, each an operand of the next."""
    field = ua.SimpleAttributeOperand(ua.NodeId(2041), [ua.QualifiedName("SourceName")], ua.UInt32(13), "")
    pattern = ua.LiteralOperand(ua.Variant("%e%e%e%e%e%e%e%e%e%e%e%e%x", ua.VariantType.String))
    like = ua.ContentFilterElement(ua.FilterOperator.Like, [field, pattern])
    either = [
        ua.ContentFilterElement(ua.FilterOperator.Or, [ua.ElementOperand(ua.UInt32(99)), ua.ElementOperand(ua.UInt32(index + 1))])
        for index in range(99)
    ]
    return listening(await link.subscription(), ua.ContentFilter([*either, like]), 50)


async def averages(link: Stranger) -> Any:
    """Means of every millisecond of a day, of a hundred nodes. Raises Idle when none is worked out."""
    nodes = await _signals(link)
    now = datetime.now(UTC)
    details = ua.ReadProcessedDetails(now - timedelta(days=1), now, 1.0, [AVERAGE] * 100, ua.AggregateConfiguration())
    asked = ua.HistoryReadRequest()
    asked.Parameters.HistoryReadDetails = details
    asked.Parameters.ReleaseContinuationPoints = False
    details.AggregateType = [AVERAGE]
    asked.Parameters.NodesToRead = [ua.HistoryReadValueId(nodes[0])]
    found = (await link.ask(asked, ua.HistoryReadResponse)).Results[0]
    if found.StatusCode.value >> 31:
        raise Idle(f"no mean is worked out of {nodes[0]}: {found.StatusCode.name}")
    details.AggregateType = [AVERAGE] * 100
    asked.Parameters.NodesToRead = [ua.HistoryReadValueId(nodes[place % len(nodes)]) for place in range(100)]
    return asked


async def _machine(link: Stranger) -> int:
    """The index of the machine's namespace."""
    asked = ua.ReadRequest()
    asked.Parameters.NodesToRead = [ua.ReadValueId(ua.NodeId(2255), ua.UInt32(13))]
    uris = (await link.ask(asked, ua.ReadResponse)).Results[0].Value.Value
    return next(number for number, uri in enumerate(uris) if "CNC-001" in uri)


def repeated(make: Make) -> Attack:
    """One big request after the other, on five sessions."""

    async def run(port: int, until: float) -> int:
        async def one() -> int:
            link, body, count = None, b"", 0
            while time.monotonic() < until:
                with contextlib.suppress(Refused, OSError):  # refused is an answer
                    if link is None or link.transport.is_closing():
                        made = await session(port)
                        link, body = made, made.built(await make(made))
                    count += 1
                    await link.answer(body)
            return count

        return sum(await asyncio.gather(*(one() for _ in range(5))))

    return run


# What is left behind ---------------------------------------------------------------------------------------------------


async def many_items(port: int, until: float) -> int:
    """10,000 items on one node, made and deleted again."""
    link, count = None, 0
    while time.monotonic() < until:
        with contextlib.suppress(Refused, OSError):
            if link is None or link.transport.is_closing():
                link = await session(port)
            number = await link.subscription()
            for start in range(0, 10_000, 500):
                asked = ua.CreateMonitoredItemsRequest()
                asked.Parameters.SubscriptionId = number
                for index in range(start, start + 500):
                    parameters = ua.MonitoringParameters(index, 10.0, ua.ExtensionObject(), 1, True)
                    target = ua.ReadValueId(CURRENT_TIME, ua.UInt32(13))
                    asked.Parameters.ItemsToCreate.append(
                        ua.MonitoredItemCreateRequest(target, ua.MonitoringMode.Reporting, parameters)
                    )
                with contextlib.suppress(Refused):
                    await link.ask(asked, ua.CreateMonitoredItemsResponse)
                count += 1
            delete = ua.DeleteSubscriptionsRequest()
            delete.Parameters.SubscriptionIds = [number]
            await link.ask(delete, ua.DeleteSubscriptionsResponse)
    return count


async def left_subscriptions(port: int, until: float) -> int:
    """Sessions that make subscriptions, with items, and close without them."""
    count = 0
    while time.monotonic() < until:
        try:
            link = await session(port)
        except (Refused, OSError):
            continue
        with contextlib.suppress(Refused):
            for _ in range(20):
                number = await link.subscription()
                asked = ua.CreateMonitoredItemsRequest()
                asked.Parameters.SubscriptionId = number
                terms = ua.MonitoringParameters(1, 10.0, ua.ExtensionObject(), 1, True)
                one = ua.MonitoredItemCreateRequest(ua.ReadValueId(CURRENT_TIME, ua.UInt32(13)), ua.MonitoringMode.Reporting, terms)
                asked.Parameters.ItemsToCreate = [one] * 100
                await link.ask(asked, ua.CreateMonitoredItemsResponse)
                count += 2
        with contextlib.suppress(Refused):
            await link.ask(ua.CloseSessionRequest(DeleteSubscriptions=False), ua.CloseSessionResponse)
        link.transport.abort()
    return count


async def sessions_never_used(port: int, until: float) -> int:
    """CreateSession without end, on ten connections."""
    count = 0

    async def one() -> None:
        nonlocal count
        create = ua.CreateSessionRequest()
        create.Parameters.EndpointUrl, create.Parameters.SessionName = f"opc.tcp://127.0.0.1:{port}", "never used"
        while time.monotonic() < until:
            with contextlib.suppress(Refused, OSError):
                link = await session(port)
                while time.monotonic() < until and not link.transport.is_closing():
                    with contextlib.suppress(Refused):
                        await link.ask(create, ua.CreateSessionResponse)
                    count += 1

    await asyncio.gather(*(one() for _ in range(10)))
    return count


async def endless_chunks(port: int, until: float) -> int:
    """Messages that never end, from many addresses, without a session."""
    held: list[Stranger] = []
    count = 0
    while time.monotonic() < until:
        link = Stranger()
        link.address = f"127.0.{1 + len(held) % 50}.4"
        with contextlib.suppress(Refused, OSError):
            await link.connect(port)
            held.append(link)
            for _ in range(7):
                link.send_part(bytes(8_000), 99)
                count += 1
        if len(held) > 90:
            held.pop(0).transport.abort()
    for link in held:
        link.transport.abort()
    return count


async def all_sessions(port: int, until: float) -> int:
    """All sessions that there are; in each as many items as it gets, with queues, on values that change each tick, published as
    fast as may be, and no message acknowledged."""
    held: list[Stranger] = []
    count = 0
    with contextlib.suppress(Refused, OSError):
        while time.monotonic() < until:
            held.append(await session(port))
    nodes = await _signals(held[0]) if held else []
    for number, link in enumerate(held):
        with contextlib.suppress(Refused):
            while time.monotonic() < until:
                made = await link.subscription()
                for start in range(0, 1_000, 500):
                    asked = _queued(made, nodes, number, range(start, start + 500))
                    results = (await link.ask(asked, ua.CreateMonitoredItemsResponse)).Results
                    count += 1
                    if any(one.StatusCode.value for one in results):
                        raise Refused("no more")
        _publish_for_ever(link)
    await asyncio.sleep(max(0.0, until - time.monotonic()))
    return count


def _queued(subscription: int, nodes: list[Any], session_number: int, places: range) -> Any:
    """Items with queues of 20, each with a handle of its own; the sampling interval is another one from session to session."""
    asked = ua.CreateMonitoredItemsRequest()
    asked.Parameters.SubscriptionId = subscription
    for place in places:
        handle = session_number * 1_000_000 + subscription * 1_000 + place
        terms = ua.MonitoringParameters(handle, 10.0 + session_number % 50, ua.ExtensionObject(), 20, place % 2 == 0)
        target = ua.ReadValueId(nodes[place % len(nodes)], ua.UInt32(13))
        asked.Parameters.ItemsToCreate.append(ua.MonitoredItemCreateRequest(target, ua.MonitoringMode.Reporting, terms))
    return asked


def _publish_for_ever(link: Stranger) -> None:
    body = link.built(ua.PublishRequest())

    def heard(message: bytes) -> None:
        if int.from_bytes(message[2:4], "little") == PUBLISHED:
            link.send(body)

    link.heard = heard
    for _ in range(20):
        link.send(body)


async def _signals(link: Stranger) -> list[Any]:
    """Signals of the machine that there are."""
    index = await _machine(link)
    asked = ua.ReadRequest()
    ids = [ua.NodeId("CNC-001.Signals." + signal.name.replace("/", "."), index) for signal in NUMERIC]
    asked.Parameters.NodesToRead = [ua.ReadValueId(node_id, ua.UInt32(13)) for node_id in ids]
    found = (await link.ask(asked, ua.ReadResponse)).Results
    return [node_id for node_id, one in zip(ids, found, strict=True) if one.Value is not None and one.Value.Value is not None]


ATTACKS: dict[str, Attack] = {
    "reads of 10,000": repeated(reads),
    "browses of 1,000": repeated(browses),
    "paths of 80 steps": repeated(long_paths),
    "nested values": repeated(nested_values),
    "condition refreshes": repeated(refreshes),
    "lists of items": repeated(item_lists),
    "where clauses": repeated(filters),
    "averages": repeated(averages),
    "10,000 items": many_items,
    "left subscriptions": left_subscriptions,
    "unused sessions": sessions_never_used,
    "endless chunks": endless_chunks,
    "all sessions": all_sessions,
}
