"""A bare server that has a node of every kind the services are tried on, in a thread; and raw requests of asyncua's client.

Conformance                    one variable per name below; Array, Matrix, Text, Bytes, Structure ... written by who connects
  Many                         250 children, for continuation points
  Twins                        two children of one browse name
  Events                       emits events
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from asyncua import Client, ua
from asyncua.common.events import Event
from asyncua.ua.ua_binary import struct_from_binary

from benchmarks.opcua.ours import own_certificate
from nodesets.methods import BY_NAME
from opcua_server.engine import diagnostics
from opcua_server.engine.contract import Limits
from opcua_server.engine.discovery import Application
from opcua_server.engine.engine import Engine
from opcua_server.engine.subscriptions import service as subscriptions
from opcua_server.security.rights import Rights
from opcua_server.security.users import Person, Users
from opcua_server.sources.source import CommandRefused
from opcua_server.space.commands import handler
from opcua_server.space.publish import put
from tests.opcua_server.engine.conformance.past import KINDS, Past

V = ua.VariantType
URI: Final = "urn:conformance"
INDEX: Final = 2
MANY: Final = 250
LIMITS: Final = Limits(
    nodes_per_browse=300, nodes_per_read=500, nodes_per_write=300, methods_per_call=10, continuation_points=4, history_nodes=10,
    history_points=4,
    items_per_session=400, subscriptions_per_session=20, publish_requests_per_session=8, retransmission_messages=5,
)  # fmt: skip
VALUES: Final[dict[str, tuple[Any, Any, int]]] = {  # name -> value, data type, rank
    "Double": (1.5, V.Double, -1),
    "Count": (0, V.Int32, -1),
    "Small": (7, V.UInt16, -1),
    "Flag": (False, V.Boolean, -1),
    "Text": ("abcdefgh", V.String, -1),
    "Bytes": (b"0123456789", V.ByteString, -1),
    "Array": ([float(n) for n in range(10)], V.Double, 1),
    "Texts": (["alpha", "beta", "gamma"], V.String, 1),
    "Words": (["", "ab", "abcd"], V.String, 1),
    "Octets": ([1, 2, 3], V.Byte, 1),
    "Matrix": ([[0, 1, 2, 3], [10, 11, 12, 13], [20, 21, 22, 23]], V.Int32, 2),
    "Structure": (ua.Range(0.0, 10.0), V.ExtensionObject, -1),
    "Analog": (50.0, V.Double, -1),
    "Analogs": ([50.0, 60.0], V.Double, 1),
    "Any": (1.0, V.Double, -1),
    "Number": (1.0, V.Double, -1),
    "Fixed": (1.0, V.Double, -1),
    "Hidden": (1.0, V.Double, -1),
    "Open": (1.0, V.Double, -1),
    "Past": (6.0, V.Double, -1),
    "Edited": (6.0, V.Double, -1),
    "Even": (90.0, V.Double, -1),
    "Long": (0, V.Int32, -1),
    "Sayings": ("", V.String, -1),
    "Flags": (False, V.Boolean, -1),
    "Nothing": (0.0, V.Double, -1),
    "Recent": (0.0, V.Double, -1),
}
_TYPES: Final = {"Any": 24, "Number": 26, "Structure": 884}
WRITABLE: Final = frozenset(VALUES) - {"Fixed", "Hidden", "Open", *KINDS}


def node(name: str) -> ua.NodeId:
    return ua.NodeId(name, INDEX)


async def _build(server: Any) -> None:
    await server.register_namespace(URI)
    objects = server.nodes.objects
    folder = await objects.add_object(node("Conformance"), ua.QualifiedName("Conformance", INDEX))
    for name, (value, kind, rank) in VALUES.items():
        variant = ua.Variant(value, kind, is_array=rank >= 1)
        made = await folder.add_variable(
            node(name), ua.QualifiedName(name, INDEX), variant, datatype=ua.NodeId(_TYPES[name]) if name in _TYPES else None
        )
        await made.write_attribute(ua.AttributeIds.ValueRank, ua.DataValue(ua.Variant(rank, V.Int32)))
        level = 1 if name in KINDS else {"Fixed": 1, "Hidden": 0, "Open": 3}.get(name, 3)
        for attribute in (ua.AttributeIds.AccessLevel, ua.AttributeIds.UserAccessLevel):
            await made.write_attribute(attribute, ua.DataValue(ua.Variant(level, V.Byte)))
        if name.startswith("Analog"):
            await made.add_property(ua.NodeId(f"{name}.EURange", INDEX), ua.QualifiedName("EURange", 0), ua.Range(0.0, 200.0))
    many = await folder.add_folder(node("Many"), ua.QualifiedName("Many", INDEX))
    for number in range(MANY):
        await many.add_variable(node(f"Many{number}"), ua.QualifiedName(f"Many{number}", INDEX), number)
    twins = await folder.add_folder(node("Twins"), ua.QualifiedName("Twins", INDEX))
    for number in range(2):
        await twins.add_object(node(f"Twin{number}"), ua.QualifiedName("Twin", INDEX))
    for name in METHODS:
        await folder.add_method(node(name), ua.QualifiedName(name, INDEX), handler(BY_NAME[name], _called), [], [])
    await folder.add_method(node("Undone"), ua.QualifiedName("Undone", INDEX), _nothing, [], [])


CALLED: Final[list[tuple[str, list[Any]]]] = []
"""What reached the machine."""
METHODS: Final = ("Hold", "SetFeedOverride", "InjectFault")


def _called(method: str, arguments: Any) -> None:
    CALLED.append((method, list(arguments)))
    if method == "Hold" and len(CALLED) > 1 and CALLED[-2][0] == "Hold":
        raise CommandRefused("state", "it is held")


async def _nothing(_parent: Any) -> list[Any]:
    return []


class ByName(Users):
    """Whoever says the name of a role has it; without a name one is Analytics, who may write."""

    async def with_password(self, user: str | None, *_: Any) -> Person:
        role: Any = user
        return Person(user, role)


P = TypeVar("P", bound="Plant")


@dataclass
class Plant:
    """The running server. Everything that changes it is done in its own loop, and is done when the call returns."""

    engine: Engine
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.engine.port}"

    def do(self, work: Callable[[], Any]) -> Any:
        """``work()`` in the server's loop; what it returns is awaited there when it can be."""

        async def run() -> Any:
            result = work()
            return await result if asyncio.iscoroutine(result) else result

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(20)

    def show(self, name: str, *values: Any, status: int = 0, source: datetime | None = None, pause: bool = False) -> None:
        """Show values one after another, without letting anybody in between."""
        held = self.engine.aspace.get(node(name)).attributes[ua.AttributeIds.Value]

        def work() -> None:
            for value in values:
                now = datetime.now(UTC)
                old = held.value.Value
                variant = ua.Variant(value, VALUES[name][1], is_array=VALUES[name][2] >= 1) if value is not None else old
                put(held, ua.DataValue(variant, ua.StatusCode(status), source or now, now))

        self.do(work)

    def reset(self, *names: str) -> None:
        for name in names:
            self.show(name, VALUES[name][0])

    def _hub(self) -> Any:
        return self.engine.table[787].service.handler.__self__  # type: ignore[attr-defined]  # CreateSubscription

    def engine_subscriptions(self) -> set[int]:
        """Numbers of the subscriptions there are."""
        return self.do(lambda: set(self._hub().subscriptions))  # type: ignore[no-any-return]

    def late(self, *numbers: int) -> int:
        """How many of the subscriptions have something to say, and no request."""

        def count() -> int:
            found = [self._hub().subscriptions[number] for number in numbers]
            return sum(one in one.owner.late for one in found)

        return int(self.do(count))

    def cycles_without_request(self, number: int) -> int:
        """What is counted against a subscription's lifetime."""
        return int(self.do(lambda: self._hub().subscriptions[number].without_request))

    def emit(self, severity: int, message: str, kind: int = 2041, **fields: tuple[Any, ua.VariantType]) -> None:
        """An event of the Server object."""
        event = Event(ua.NodeId(2253))
        event.add_property("EventId", message.encode(), V.ByteString)
        event.add_property("EventType", ua.NodeId(kind), V.NodeId)
        event.add_property("SourceName", "Server", V.String)
        event.add_property("Message", ua.LocalizedText(message), V.LocalizedText)
        event.add_property("Severity", severity, V.UInt16)
        for name, (value, variant_type) in fields.items():
            event.add_property(name, value, variant_type)
        self.do(lambda: self.engine.server.iserver.subscription_service.trigger_event(event))


def _rights() -> Rights:
    methods = {(node("Conformance"), node(name)): ("M", BY_NAME[name]) for name in METHODS}
    return Rights(methods, dict.fromkeys(map(node, WRITABLE), "M"))


async def _engine(limits: Limits, past: Past) -> Engine:
    from asyncua import Server

    server = Server()
    await server.init()
    await _build(server)
    own = own_certificate(URI)
    application = Application(URI, URI, "conformance", own.certificate, True, True, False)
    nobody: Any = None  # no vault and no trust list: nobody has a password, and only policy None is used
    return Engine(
        server, host="127.0.0.1", port=0, own=own, application=lambda: application, trust=nobody,
        users=ByName(nobody, "Analytics"), rights=_rights(), limits=limits,
        rooms=[subscriptions.services, diagnostics.services, past.room(node)],
    )  # fmt: skip


@contextlib.asynccontextmanager
async def serving(engine: Engine) -> AsyncIterator[asyncio.AbstractEventLoop]:
    """An engine that listens; the loop it is in."""
    await engine.start()
    try:
        yield asyncio.get_running_loop()
    finally:
        await engine.stop()
        engine.server.iserver.method_service.stop()


@contextlib.contextmanager
def in_thread(grown: Callable[[], contextlib.AbstractAsyncContextManager[P]]) -> Iterator[P]:
    """A plant in a loop and a thread of its own."""
    started: list[Any] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def main() -> None:
        async with grown() as plant:
            started.append(plant)
            ready.set()
            await stop.wait()

    def thread() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            started.append(error)
            ready.set()

    worker = threading.Thread(target=thread)
    worker.start()
    assert ready.wait(120)
    if not isinstance(started[0], Plant):
        raise started[0]
    try:
        yield started[0]  # type: ignore[misc]  # what was grown is a P
    finally:
        started[0].loop.call_soon_threadsafe(stop.set)
        worker.join(30)
        assert not worker.is_alive()


@dataclass
class Planted(Plant):
    """With what some of its variables were."""

    past: Past


def planted(**limits: Any) -> contextlib.AbstractContextManager[Planted]:
    @contextlib.asynccontextmanager
    async def grown() -> AsyncIterator[Planted]:
        past = Past()
        engine = await _engine(replace(LIMITS, **limits), past)
        async with serving(engine) as loop:
            yield Planted(engine, loop, past)
        past.close()

    return in_thread(grown)


# asyncua's client, request by request --------------------------------------------------------------------------------


class Caller:
    """Requests as they are, answers as they are; a refused service raises UaStatusCodeError."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def __call__(self, service: str, **parameters: Any) -> Any:
        """The response's parameters (its results, where it has no more). ``timeout_hint`` in ms and ``diagnostics`` go into the
        header."""
        request = getattr(ua, f"{service}Request")()
        hint = parameters.pop("timeout_hint", None)
        request.RequestHeader.ReturnDiagnostics = parameters.pop("diagnostics", 0)
        for name, value in parameters.items():
            target = request if name in request.__dataclass_fields__ else request.Parameters
            assert name in target.__dataclass_fields__, name
            setattr(target, name, value)
        timeout = 20 if hint is None else hint / 1000
        protocol: Any = self.client.uaclient.protocol
        future = protocol._send_request(request, timeout)
        data = await asyncio.wait_for(future, 20)
        protocol.check_answer(data, service)
        response = struct_from_binary(getattr(ua, f"{service}Response"), data)
        response.ResponseHeader.ServiceResult.check()
        return getattr(response, "Parameters", response)

    async def refused(self, service: str, **parameters: Any) -> str:
        """The name of the status with which a service is refused."""
        try:
            await self(service, **parameters)
        except ua.UaStatusCodeError as error:
            return ua.StatusCode(error.code).name
        raise AssertionError(f"{service} was not refused")

    async def read(self, *items: ua.ReadValueId, timestamps: Any = ua.TimestampsToReturn.Both, max_age: float = 0) -> list[Any]:
        done = await self("Read", MaxAge=max_age, TimestampsToReturn=timestamps, NodesToRead=list(items))
        return list(done.Results)

    async def value(self, name: str) -> Any:
        return (await self.read(item(name)))[0].Value.Value

    async def write(self, name: str, value: Any, kind: Any = None, index_range: str | None = None, **data: Any) -> str:
        """The name of the status of one written value."""
        variant = value if isinstance(value, ua.Variant) else ua.Variant(value, kind)
        one = ua.WriteValue(node(name), ua.AttributeIds.Value, index_range, ua.DataValue(variant, **data))
        (status,) = (await self("Write", NodesToWrite=[one])).Results
        return str(status.name)

    # Subscriptions ---------------------------------------------------------------------------------------------------

    async def subscribe(self, interval_ms: float = 20.0, **more: Any) -> Any:
        given = {"RequestedLifetimeCount": 3000, "RequestedMaxKeepAliveCount": 1000, "PublishingEnabled": True, **more}
        return await self("CreateSubscription", RequestedPublishingInterval=interval_ms, **given)

    async def monitor(self, subscription: Any, *wanted: Any, timestamps: Any = ua.TimestampsToReturn.Both) -> list[Any]:
        done = await self(
            "CreateMonitoredItems", SubscriptionId=subscription.SubscriptionId, TimestampsToReturn=timestamps,
            ItemsToCreate=list(wanted),
        )  # fmt: skip
        return list(done if isinstance(done, list) else done.Results)

    async def publish(self, *acknowledged: tuple[int, int], **more: Any) -> Any:
        acks = [ua.SubscriptionAcknowledgement(*one) for one in acknowledged]
        return await self("Publish", SubscriptionAcknowledgements=acks, **more)

    async def news(self) -> list[tuple[int, Any, int]]:
        """(client handle, value, status) of the next message; events as (client handle, fields, 0)."""
        return told(await self.publish())

    async def gather(self, count: int) -> list[tuple[int, Any, int]]:
        """Notifications until there are so many."""
        found: list[tuple[int, Any, int]] = []
        async with asyncio.timeout(20):
            while len(found) < count:
                found += await self.news()
        return found


def told(result: Any) -> list[tuple[int, Any, int]]:
    found: list[tuple[int, Any, int]] = []
    for data in result.NotificationMessage.NotificationData or []:
        for one in getattr(data, "MonitoredItems", None) or []:
            status = one.Value.StatusCode.value if one.Value.StatusCode is not None else 0
            found.append((one.ClientHandle, one.Value.Value.Value if one.Value.Value is not None else None, status))
        for event in getattr(data, "Events", None) or []:
            found.append((event.ClientHandle, [field.Value for field in event.EventFields], 0))
    return found


def item(name: str | ua.NodeId, attribute: int = 13, index_range: str | None = None, encoding: Any = None) -> ua.ReadValueId:
    target = name if isinstance(name, ua.NodeId) else node(name)
    return ua.ReadValueId(target, attribute, index_range, encoding or ua.QualifiedName())


_handles = itertools.count(1)


def monitored(
    name: str | ua.NodeId, handle: int | None = None, *, attribute: int = 13, index_range: str | None = None, mode: int = 2,
    sampling_ms: float = 0.0, queue: int = 1, discard_oldest: bool = True, wanted: Any = None,
) -> ua.MonitoredItemCreateRequest:  # fmt: skip
    parameters = ua.MonitoringParameters(next(_handles) if handle is None else handle, sampling_ms, wanted, queue, discard_oldest)
    return ua.MonitoredItemCreateRequest(item(name, attribute, index_range), ua.MonitoringMode(mode), parameters)


@contextlib.asynccontextmanager
async def calling(plant: Plant, role: str | None = None) -> AsyncIterator[Caller]:
    client = Client(plant.url, timeout=20)
    client.description = role or "anonymous"
    if role is not None:
        client.set_user(role)
        client.set_password("any")
    async with client:
        yield Caller(client)


def run(plant: Plant, act: Callable[[Caller], Awaitable[None]], role: str | None = None) -> None:
    """``act`` with a session of its own."""

    async def main() -> None:
        async with calling(plant, role) as caller:
            await act(caller)

    asyncio.run(main())
