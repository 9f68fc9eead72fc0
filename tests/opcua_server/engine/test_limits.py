"""What one client may ask for, and what all together may. Limits are small, to be reached fast."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary

from nodesets.sharing import FixedValue
from opcua_server.engine.configuration import room as configuration
from opcua_server.engine.connection import Connection
from opcua_server.engine.contract import LARGE, Limits
from opcua_server.engine.engine import COMPLAINTS_PER_S, Engine
from opcua_server.engine.subscriptions import service as subscriptions
from opcua_server.engine.subscriptions import wanted
from tests.harness import wait_for
from tests.opcua_server.bench import Bench, machine, run
from tests.opcua_server.engine.bench import browses, running, writes
from tests.opcua_server.engine.raw import Raw, opened, request

C = ua.StatusCodes
SMALL = Limits(
    connections=30, subscriptions_per_session=3, items_per_session=20, nodes_per_browse=1_000, nodes_per_read=50, nodes_per_write=5,
    methods_per_call=4, message_bytes=1 << 20, array_elements=2_000, string_bytes=2_000, continuation_points=4, handshake_s=60.0,
    response_bytes=900_000,
)  # fmt: skip


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    rooms = [subscriptions.services, configuration.services]
    with running(tmp_path_factory.mktemp("limits"), engines, limits=SMALL, rooms=rooms) as made:
        yield made


def test_limits_are_those_of_the_page() -> None:
    limits = Limits()
    assert (limits.connections, limits.pending_per_address, limits.sessions) == (100, 10, 100)
    assert (limits.subscriptions_per_session, limits.items_per_session) == (50, 10_000)
    assert (limits.nodes_per_browse, limits.nodes_per_read) == (1_000, 10_000)
    assert (limits.message_bytes, limits.array_elements, limits.string_bytes) == (4 << 20, 64 << 10, 1 << 20)


def test_a_connection_that_ends_leaves_nothing_that_waits_for_the_collector(bench: Bench) -> None:
    def there() -> int:
        return sum(type(one) is Connection for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = there()
        with opened(bench) as raw:
            raw.message(request(ua.GetEndpointsRequest()))
            raw.frame()
            assert there() == before + 1
        wait_for(lambda: there() == before, "the connection is gone", 10)
    finally:
        gc.enable()


def _reads(count: int) -> Any:
    return ua.ReadRequest(
        Parameters=ua.ReadParameters(NodesToRead=[ua.ReadValueId(ua.NodeId(2258), ua.AttributeIds.Value)] * count)
    )


def _calls(count: int) -> Any:
    one = ua.CallMethodRequest(ua.NodeId(2253), ua.NodeId(11492), [])
    return ua.CallRequest(Parameters=ua.CallParameters([one] * count))


TOO_MUCH = {
    "nodes to read": (_reads(51), C.BadTooManyOperations),
    "nodes to write": (writes(ua.Variant(1), 6), C.BadTooManyOperations),
    "nodes to browse": (browses(1_001), C.BadTooManyOperations),
    "methods to call": (_calls(5), C.BadTooManyOperations),
    "elements of an array": (writes(ua.Variant([True] * 2_001)), C.BadEncodingLimitsExceeded),
    "a text": (writes(ua.Variant("x" * 2_001)), C.BadEncodingLimitsExceeded),
}


@pytest.mark.parametrize("name", TOO_MUCH)
def test_a_request_for_too_much_is_refused_as_a_whole(bench: Bench, name: str) -> None:
    asked, status = TOO_MUCH[name]

    async def session() -> None:
        async with bench.client() as client:
            with pytest.raises(ua.UaStatusCodeError) as refused:
                await client.uaclient.protocol.send_request(asked)
            assert refused.value.code == status
            assert await client.nodes.server_state.read_value() == ua.ServerState.Running

    run(session)


def test_subscriptions_items_and_continuation_points_of_a_session_are_limited(bench: Bench) -> None:
    class Nothing:
        def datachange_notification(self, *_: Any) -> None: ...

    async def session() -> None:
        async with bench.client() as client:
            made = [await client.create_subscription(1_000, Nothing()) for _ in range(3)]
            with pytest.raises(ua.uaerrors.BadTooManySubscriptions):
                await client.create_subscription(1_000, Nothing())
            await made[0].subscribe_data_change([client.nodes.server_state] * 15)
            found = await made[1].subscribe_data_change([client.nodes.server_state] * 10)
            refused = [one for one in found if isinstance(one, ua.StatusCode)]
            assert [one.value for one in refused] == [C.BadTooManyMonitoredItems] * 5
            results = await client.uaclient.protocol.send_request(browses(6, most=1))
            assert sum(one.is_good() for one in _statuses(results)) == 4

    def _statuses(data: Any) -> list[ua.StatusCode]:
        return [one.StatusCode for one in struct_from_binary(ua.BrowseResponse, data).Results]

    run(session)


LARGE_NODE = ua.NodeId(8252)
"""The dictionary of namespace 0's types: 300 kB that everybody may read."""


def test_a_read_of_the_same_large_value_without_end_is_refused(bench: Bench, engines: list[Engine]) -> None:
    """A request of 150 kB could ask for 3.4 GB; and what was read once more in each combination was kept for the next time."""

    async def session() -> None:
        async with bench.client() as client:

            async def read(count: int, timestamps: int = 2) -> Any:
                nodes = [ua.ReadValueId(LARGE_NODE, ua.AttributeIds.Value)] * count
                asked = ua.ReadParameters(NodesToRead=nodes, TimestampsToReturn=ua.TimestampsToReturn(timestamps))
                return await client.uaclient.read(asked)

            (one,) = await read(1)
            size = len(one.Value.Value)
            assert size > LARGE
            most = SMALL.response_bytes // (size + 100)
            assert len(await read(most)) == most
            with pytest.raises(ua.uaerrors.BadResponseTooLarge):
                await read(SMALL.nodes_per_read)
            for count in range(1, most + 1):
                for timestamps in range(4):
                    assert len(await read(count, timestamps)) == count
        plans = engines[0].attributes._plans.values()
        assert sum(len(plan._body) + sum(map(len, plan._parts)) for plan in plans) < size

    run(session)


def test_items_on_large_values_are_limited_by_their_bytes(bench: Bench) -> None:
    """10,000 on one of 300 kB were a first message of 3.4 GB."""

    class Nothing:
        def datachange_notification(self, *_: Any) -> None: ...

    async def session() -> None:
        async with bench.client() as client:
            size = len(await client.get_node(LARGE_NODE).read_value())
            most = SMALL.large_bytes_per_session // (size + 100)
            assert most < SMALL.items_per_session
            first = await client.create_subscription(1_000, Nothing())
            second = await client.create_subscription(1_000, Nothing())
            nodes = [client.get_node(LARGE_NODE)]
            made = await first.subscribe_data_change(nodes * (most - 1))
            found = await second.subscribe_data_change(nodes * 3)
            refused = [one.value for one in found if isinstance(one, ua.StatusCode)]
            assert refused == [C.BadTooManyMonitoredItems] * 2
            assert isinstance(await second.subscribe_data_change(client.nodes.server_state), int)
            await first.unsubscribe(made[0])
            assert isinstance(await second.subscribe_data_change(nodes[0]), int)

    run(session)


def test_links_of_a_subscription_are_limited(bench: Bench) -> None:
    """Each item may trigger each other one: 10,000 items could have 100 million links."""

    class Nothing:
        def datachange_notification(self, *_: Any) -> None: ...

    async def session() -> None:
        async with bench.client() as client:
            subscription = await client.create_subscription(1_000, Nothing())
            numbers = await subscription.subscribe_data_change([client.nodes.server_state] * SMALL.items_per_session)

            async def link(one: int, others: list[int], removed: list[int]) -> list[ua.StatusCode]:
                asked = ua.SetTriggeringParameters(subscription.subscription_id, one, others, removed)
                data = await client.uaclient.protocol.send_request(ua.SetTriggeringRequest(Parameters=asked))
                return list(struct_from_binary(ua.SetTriggeringResponse, data).Parameters.AddResults)

            assert all(one.is_good() for one in await link(numbers[0], numbers[1:], []))
            with pytest.raises(ua.uaerrors.BadTooManyOperations):
                await link(numbers[1], numbers[2:4], [])
            assert all(one.is_good() for one in await link(numbers[1], numbers[2:3], []))
            await link(numbers[0], [], numbers[1:])
            assert all(one.is_good() for one in await link(numbers[1], numbers[2:4], []))

    run(session)


def test_subscriptions_that_closed_sessions_left_are_bounded(bench: Bench, engines: list[Engine]) -> None:
    """As those of one session: whoever closes session after session and leaves what it had, leaves no more than that."""
    hub = engines[0].table[787].service.handler.__self__  # type: ignore[attr-defined]

    async def leave(client: Client, count: int) -> None:
        """Two subscriptions of a session that is closed; by requests, since the client would end its connection."""
        own = client.uaclient.session.authentication_token
        await client.create_session()
        await client.activate_session(username="operator", password=bench.password("operator"))
        ask = client.uaclient.protocol.send_request
        for _ in range(count):
            await ask(ua.CreateSubscriptionRequest(Parameters=ua.CreateSubscriptionParameters(1_000, 100, 10)))
        await ask(ua.CloseSessionRequest(DeleteSubscriptions=False))
        client.uaclient.session.restore_authentication_token(own)

    async def session() -> None:
        async with bench.client("operator", name="leaver") as client, bench.client(name="other") as other:
            asked = ua.CreateSubscriptionRequest(Parameters=ua.CreateSubscriptionParameters(1_000, 100, 10))
            made = struct_from_binary(ua.CreateSubscriptionResponse, await other.uaclient.protocol.send_request(asked))
            kept = made.Parameters.SubscriptionId
            for _ in range(3):
                await leave(client, 2)
            assert len(hub.subscriptions) == 1 + SMALL.subscriptions_per_session
            assert kept in hub.subscriptions

    run(session)


def test_what_may_not_be_read_or_executed_is_refused_to_everybody(bench: Bench, engines: list[Engine]) -> None:
    """Also to administrators: AccessLevel and Executable are no matter of roles."""

    async def session() -> None:
        async with bench.client("admin") as client:
            mill = await machine(client)
            signal, hold = await mill.signal("Axes/X/ActPos"), await mill._at("Commands", "Hold")
            aspace = engines[0].aspace
            for node_id, attribute, value in (
                (signal.nodeid, ua.AttributeIds.AccessLevel, ua.Variant(0, ua.VariantType.Byte)),
                (hold.nodeid, ua.AttributeIds.Executable, ua.Variant(False, ua.VariantType.Boolean)),
            ):
                attributes = aspace.get(node_id).attributes
                before, attributes[attribute] = attributes[attribute], FixedValue(ua.DataValue(value))
                try:
                    with pytest.raises((ua.uaerrors.BadNotReadable, ua.uaerrors.BadNotExecutable)):
                        await (signal.read_value() if node_id == signal.nodeid else mill.call("Hold"))
                finally:
                    attributes[attribute] = before
            await mill.call("Hold")

    run(session)


def _listening(subscription: int, count: int, fields: int) -> Any:
    """Items on the events of the Server object, each with so many fields and a where clause of seven terms."""
    field = ua.SimpleAttributeOperand(ua.NodeId(2041), [ua.QualifiedName("Message")], ua.UInt32(13), "")
    like = ua.ContentFilterElement(ua.FilterOperator.Like, [field, ua.LiteralOperand(ua.Variant("%x"))])
    either = ua.ContentFilterElement(ua.FilterOperator.Not, [ua.ElementOperand(ua.UInt32(1))])
    chosen = ua.EventFilter([field] * fields, ua.ContentFilter([either, like, like]))  # 2 + 3 + 3 terms
    one = ua.MonitoredItemCreateRequest(
        ua.ReadValueId(ua.NodeId(2253), ua.UInt32(12)),
        ua.MonitoringMode.Reporting,
        ua.MonitoringParameters(1, 0.0, chosen, 10, True),
    )
    return ua.CreateMonitoredItemsRequest(
        Parameters=ua.CreateMonitoredItemsParameters(subscription, ua.TimestampsToReturn.Both, [one] * count)
    )


def test_event_filters_of_a_session_are_bounded_together(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kilobyte a term: thousands of items with the longest filters would take gigabytes."""
    monkeypatch.setattr(wanted, "_TERMS_PER_SESSION", 100)

    async def session() -> None:
        async with bench.client() as client:
            ask = client.uaclient.protocol.send_request
            numbers = []
            for _ in range(2):
                asked = ua.CreateSubscriptionRequest(Parameters=ua.CreateSubscriptionParameters(1_000, 100, 10))
                made = struct_from_binary(ua.CreateSubscriptionResponse, await ask(asked))
                numbers.append(made.Parameters.SubscriptionId)
            for number, good in ((numbers[0], 3), (numbers[1], 2)):  # 20 terms each: five items are all
                found = struct_from_binary(ua.CreateMonitoredItemsResponse, await ask(_listening(number, 3, 12))).Results
                assert [one.StatusCode.value for one in found] == [0] * good + [C.BadTooManyMonitoredItems] * (3 - good)
            dropped = ua.DeleteMonitoredItemsRequest(
                Parameters=ua.DeleteMonitoredItemsParameters(numbers[1], [one.MonitoredItemId for one in found[:2]])
            )
            await ask(dropped)
            found = struct_from_binary(ua.CreateMonitoredItemsResponse, await ask(_listening(numbers[1], 3, 12))).Results
            assert [one.StatusCode.value for one in found] == [0, 0, C.BadTooManyMonitoredItems], (
                "what was given back is there again"
            )

    run(session)


def test_a_call_whose_results_would_be_too_long_is_refused(tmp_path: Path) -> None:
    """A thousand lists of ten thousand items are 80 MB."""
    limits = replace(SMALL, items_per_session=2_000, methods_per_call=100, message_bytes=65_536)
    rooms = [subscriptions.services]

    async def session(bench: Bench) -> None:
        async with bench.client() as client:
            ask = client.uaclient.protocol.send_request
            asked = ua.CreateSubscriptionRequest(Parameters=ua.CreateSubscriptionParameters(1_000, 100, 10))
            number = struct_from_binary(ua.CreateSubscriptionResponse, await ask(asked)).Parameters.SubscriptionId
            wanted = ua.MonitoredItemCreateRequest(ua.ReadValueId(ua.NodeId(2258), ua.UInt32(13)), ua.MonitoringMode.Disabled)
            await ask(
                ua.CreateMonitoredItemsRequest(
                    Parameters=ua.CreateMonitoredItemsParameters(number, ua.TimestampsToReturn.Both, [wanted] * 250)
                )
            )  # 2 kB a list
            one = ua.CallMethodRequest(ua.NodeId(2253), ua.NodeId(11492), [ua.Variant(number, ua.VariantType.UInt32)])
            answered = await ask(ua.CallRequest(Parameters=ua.CallParameters([one] * 30)))
            assert len(struct_from_binary(ua.CallResponse, answered).Results) == 30
            with pytest.raises(ua.uaerrors.BadResponseTooLarge):
                await ask(ua.CallRequest(Parameters=ua.CallParameters([one] * 40)))

    with running(tmp_path, limits=limits, rooms=rooms) as bench:
        run(lambda: session(bench))


@pytest.mark.skipif(sys.platform != "linux", reason="other addresses of loopback are there on Linux only")
def test_many_addresses_that_say_nothing_keep_nobody_out(bench: Bench, engines: list[Engine]) -> None:
    port = bench.settings.opcua_port
    held = [
        socket.create_connection(("127.0.0.1", port), 10, (f"127.0.0.{2 + number // 9}", 0)) for number in range(SMALL.connections)
    ]
    wait_for(lambda: len(engines[0].connections) >= SMALL.connections, "the house is full")

    async def session() -> Any:
        async with bench.client("operator") as client:
            return await client.nodes.server_state.read_value()

    try:
        assert run(session) == ua.ServerState.Running
        assert len(engines[0].connections) <= SMALL.connections
    finally:
        for each in held:
            each.close()


def test_sessions_that_nobody_logs_in_to_keep_no_place(bench: Bench, engines: list[Engine]) -> None:
    """Who makes one after another and activates none waits all the same, and makes room before who came later."""
    (engine,) = engines

    async def creates() -> None:
        async with bench.channel("creates") as client:
            await client.create_session()
            (pending,) = (one for one in engine.connections if one.is_pending and one.sessions)
            opened_s = pending.waits_since_s
            while pending.since_s == opened_s:  # it is not closed for silence yet
                await asyncio.sleep(0.05)
            assert pending.waits_since_s == opened_s

    run(creates)


def test_complaints_are_short_and_few(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "opcua_server.engine.engine")
    begun = time.monotonic()
    for _ in range(60):
        with Raw(bench) as raw:
            raw.send(b"GET /" + b"\r\n" * 200)
            assert raw.end() == C.BadTcpMessageTypeInvalid
    took_s = time.monotonic() - begun
    lines = [record.getMessage() for record in caplog.records if record.name == "opcua_server.engine.engine"]
    assert 1 <= len(lines) <= COMPLAINTS_PER_S * (took_s + 2)
    assert all(len(line) < 200 and "\n" not in line for line in lines)


def test_a_password_is_taken_in_oaep_only(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    rsa_15 = "http://www.w3.org/2001/04/xmlenc#rsa-1_5"
    monkeypatch.setattr(Client, "_encrypt_password", lambda self, password, policy: (bytes(256), rsa_15))

    async def session() -> None:
        async with bench.client("operator"):
            pass

    with pytest.raises(ua.uaerrors.BadIdentityTokenInvalid):
        run(session)


def test_a_session_whose_activation_fails_stays_as_it_was(bench: Bench) -> None:
    """A wrong password on an activated session changes neither its user nor its connection."""

    async def session() -> None:
        async with bench.client("operator") as client:
            nonce = client._server_nonce
            with pytest.raises(ua.UaStatusCodeError):
                await client.activate_session(username="engineer", password="wrong")
            client._server_nonce = nonce
            mill = await machine(client)
            await mill.call("Hold")
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await mill.call("InjectFault", "coolant", 0.5, 10.0)

    run(session)
