"""What requests leave behind in the server's memory: bytes that are kept for the next who asks, or until somebody takes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.ua_binary import struct_from_binary
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.engine import attributes, engine, view
from opcua_server.engine.contract import Limits, Session
from opcua_server.engine.engine import Engine
from opcua_server.engine.points import Points
from opcua_server.engine.shares import Shares
from opcua_server.engine.subscriptions import items
from opcua_server.engine.subscriptions import service as subscriptions
from opcua_server.engine.subscriptions.costs import ENTRY, EVENT, FIELD, LINK, PLAIN, QUEUED, SUBSCRIPTION, TERM
from tests.harness import wait_for
from tests.opcua_server.bench import Bench, run
from tests.opcua_server.engine.bench import running
from tests.opcua_server.engine.raw import opened, request

C = ua.StatusCodes
CROWDED = ua.NodeId(22)
"""Structure, of which hundreds of types are made."""
WORDY = ua.NodeId(15633)
"""EnumValues of UserTokenType: nearly a kilobyte."""


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    with running(tmp_path_factory.mktemp("held"), engines, limits=Limits(handshake_s=60.0), rooms=[subscriptions.services]) as made:
        yield made


def _browses(masks: Sequence[int]) -> Any:
    """Browses of one node that differ in the NodeClassMask; each answers with one reference, and a continuation point."""
    nodes = [
        ua.BrowseDescription(CROWDED, ua.BrowseDirection.Both, ua.NodeId(), True, ua.UInt32(mask), ua.UInt32(63)) for mask in masks
    ]
    return ua.BrowseRequest(Parameters=ua.BrowseParameters(ua.ViewDescription(), 1, nodes))


def _answers(engine: Engine) -> dict[Any, Any]:
    browser = engine.table[527].service.handler.__self__  # type: ignore[attr-defined]
    return browser._answers  # type: ignore[no-any-return]


def test_one_node_browsed_in_every_way_there_is_does_not_fill_the_memory(
    bench: Bench, engines: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer is kept for whoever asks next: 50,000 of the largest node would be 1.7 GB, and masks have 32 bits."""
    monkeypatch.setattr(view, "MAX_KEPT", 100_000)

    async def session() -> None:
        async with bench.client() as client:
            ask = client.uaclient.protocol.send_request
            await ask(_browses(range(0x100, 0x100 * 51, 0x100)))  # none of these bits is a NodeClass
            assert sum(key[0] == CROWDED for key in _answers(engines[0])) == 1
            await ask(_browses(range(100)))
            held = _answers(engines[0]).values()
            assert 0 < sum(len(one) for _, _, references in held for one in references) < 2 * view.MAX_KEPT

    run(session)


def test_what_is_kept_of_reads_is_counted_with_the_bytes_of_the_answer(
    bench: Bench, engines: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """10,000 values of a kilobyte each, in a request of 180 kB: some dozens of them were 180 MB."""
    monkeypatch.setattr(attributes, "MAX_PLAN_BYTES", 4 << 20)

    async def session() -> None:
        async with bench.client() as client:
            for count in range(206, 230):
                nodes = [ua.ReadValueId(WORDY, ua.AttributeIds.Value)] * count
                data = await client.uaclient.protocol.send_request(ua.ReadRequest(Parameters=ua.ReadParameters(NodesToRead=nodes)))
                assert len(data) > 190_000
            plans = engines[0].attributes._plans.values()
            assert 0 < sum(len(plan._body) for plan in plans) <= attributes.MAX_PLAN_BYTES

    run(session)


def test_results_of_acknowledgements_that_wait_are_bounded(bench: Bench) -> None:
    """A hundred Publish requests wait, each with a result of four bytes for each acknowledgement: 25 MB for a session."""

    async def session() -> None:
        async with bench.client() as client, bench.client(name="other") as other:

            async def published(one: Any, count: int) -> Any:
                asked = ua.PublishRequest()
                asked.Parameters.SubscriptionAcknowledgements = [ua.SubscriptionAcknowledgement(1, 1)] * count
                asked.RequestHeader.TimeoutHint = 10_000
                return await one.uaclient.protocol.send_request(asked)

            for one in (client, other):
                parameters = ua.CreateSubscriptionParameters(3_600_000, 100, 10)
                await one.uaclient.protocol.send_request(ua.CreateSubscriptionRequest(Parameters=parameters))
            async with asyncio.TaskGroup() as group:
                waiting = [group.create_task(published(client, 4_000)) for _ in range(2)]
                waiting += [group.create_task(published(other, 4_000))]
                await asyncio.sleep(0)
                with pytest.raises(ua.uaerrors.BadTooManyOperations):
                    await published(client, 4_000)
                waiting += [group.create_task(published(client, 2))]
                await asyncio.sleep(0.1)
                assert not any(one.done() for one in waiting), "what is within the bounds waits, as it did"
                for one in waiting:
                    one.cancel()

    run(session)


def test_what_waits_for_peers_that_do_not_read_is_bounded_in_all(
    bench: Bench, engines: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight megabytes for each of a hundred connections; who has most waiting goes first."""
    monkeypatch.setattr(engine, "UNSENT_BYTES", 20_000)  # less than what a peer has waiting when it is noticed
    body = request(ua.GetEndpointsRequest())
    with opened(bench) as deaf, opened(bench) as hears:
        connection = next(
            one for one in engines[0].connections if one._transport.get_extra_info("peername") == deaf.socket.getsockname()
        )
        deaf.socket.settimeout(0.5)
        until_s = time.monotonic() + 60
        while connection.is_open and time.monotonic() < until_s:  # the server reads no more from who does not read
            deaf.message(body)
        wait_for(lambda: not connection.is_open, "it is closed")
        hears.message(body)
        assert hears.frame()[:3] == b"MSG"


# What sessions hold ---------------------------------------------------------------------------------------------------

FULL = C.BadTooManyMonitoredItems


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(-200, 300)), max_size=60))
def test_everybody_has_his_own_and_together_they_have_the_pool(steps: Sequence[tuple[int, int]]) -> None:
    shares, held = Shares(100, 250), dict.fromkeys(range(5), 0)
    for who, size in steps:
        size = max(size, -held[who])
        is_sure = held[who] + size <= 100
        if shares.take(who, size):
            held[who] += size
        else:
            assert not is_sure
        assert shares.beyond == sum(max(0, one - 100) for one in held.values()) <= 250
        assert shares.held == {who: size for who, size in held.items() if size}


def test_a_hundred_sessions_of_a_thousand_items_are_what_there_is_in_any_case() -> None:
    limits = Limits()
    assert limits.held_bytes_per_session >= SUBSCRIPTION + 1_000 * PLAIN
    assert limits.sessions * limits.held_bytes_per_session < limits.held_bytes <= 80 << 20


async def _subscribed(client: Client) -> int:
    asked = ua.CreateSubscriptionRequest(Parameters=ua.CreateSubscriptionParameters(1_000, 100, 10))
    data = await client.uaclient.protocol.send_request(asked)
    return int(struct_from_binary(ua.CreateSubscriptionResponse, data).Parameters.SubscriptionId)


async def _watched(
    client: Client, number: int, count: int, *, queue: int = 1, terms: Any = None, every_ms: Sequence[float] = (0.0,)
) -> list[Any]:
    """Results of items on the server's clock, or on its events where there is a filter."""
    target = ua.ReadValueId(ua.NodeId(2258), ua.UInt32(13)) if terms is None else ua.ReadValueId(ua.NodeId(2253), ua.UInt32(12))
    asked = [
        ua.MonitoredItemCreateRequest(
            target, ua.MonitoringMode.Disabled, ua.MonitoringParameters(1, every_ms[place % len(every_ms)], terms, queue, True)
        )
        for place in range(count)
    ]
    parameters = ua.CreateMonitoredItemsParameters(number, ua.TimestampsToReturn.Both, asked)
    data = await client.uaclient.protocol.send_request(ua.CreateMonitoredItemsRequest(Parameters=parameters))
    return list(struct_from_binary(ua.CreateMonitoredItemsResponse, data).Results)


def _statuses(results: list[Any]) -> list[int]:
    return [one.StatusCode.value for one in results]


@pytest.fixture
def shares(engines: list[Engine], bench: Bench, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shares]:
    """Those of the engine, that nobody holds anything of; afterwards again."""
    found: Shares = engines[0].shares
    wait_for(lambda: not found.held, "nobody holds anything")
    monkeypatch.setattr(items, "_SURE", 0)
    before = found.own, found.pool
    yield found
    found.own, found.pool = before
    wait_for(lambda: not found.held and not found.beyond, "what was theirs is free again")


def test_where_all_sessions_have_much_each_may_still_have_some(bench: Bench, shares: Shares) -> None:
    """A hundred sessions with all that one may have would be gigabytes; and who has it keeps nobody else from his."""

    async def session() -> None:
        async with bench.client() as one, bench.client(name="other") as other:
            first, second = await _subscribed(one), await _subscribed(other)
            shares.own, shares.pool = SUBSCRIPTION + 4 * PLAIN, 2 * PLAIN
            assert _statuses(await _watched(one, first, 8)) == [0] * 6 + [FULL] * 2
            assert _statuses(await _watched(other, second, 6)) == [0] * 4 + [FULL] * 2
            with pytest.raises(ua.uaerrors.BadTooManySubscriptions):
                await _subscribed(other)
            gone = ua.DeleteSubscriptionsRequest(Parameters=ua.DeleteSubscriptionsParameters([first]))
            await one.uaclient.protocol.send_request(gone)
            assert _statuses(await _watched(other, second, 4)) == [0] * 2 + [FULL] * 2

    run(session)


def test_continuation_points_make_room_for_later_ones_and_go_with_their_session() -> None:
    shares = Shares(100, 0)
    one, other = (Session(number, "s", "urn:c", None, None, 60_000.0) for number in (1, 2))
    points: Points[str] = Points("kept", 3, shares)
    made: set[bytes] = set()
    first, second = points.keep(one, "first", 40, made), points.keep(one, "second", 40, made)
    assert points.keep(one, "third", 40, made) is None, "the others are of this response"
    assert points.take(other, first) is None
    third = points.keep(one, "third", 40, set())
    assert [points.take(one, point) for point in (first, second, second, third)] == [None, "second", None, "third"]
    assert not shares.held
    small = [points.keep(one, str(place), 1, set()) for place in range(5)]
    assert [points.take(one, point) for point in small] == [None, None, "2", "3", "4"]
    points.keep(one, "left", 60, set())
    for closing in one.closing:
        closing(one, True)
    assert not shares.held


def test_what_continuation_points_hold_is_counted(bench: Bench, shares: Shares) -> None:
    """A hundred of a session, each of another way to browse the largest node: 3 MB, and there are a hundred sessions."""

    async def session() -> None:
        async with bench.client() as client:
            ask = client.uaclient.protocol.send_request
            masks = [0x40 + 0x80 * (place & 1) + 2 * (place & 0x1C) for place in range(16)]  # DataTypes, and what is not there
            made = struct_from_binary(ua.BrowseResponse, await ask(_browses(masks))).Results
            size = shares.total // len(masks)
            points = [one.ContinuationPoint for one in made if one.ContinuationPoint]
            assert len(points) == len(masks)
            await ask(ua.BrowseNextRequest(Parameters=ua.BrowseNextParameters(True, points)))
            assert not shares.total
            shares.own, shares.pool = 10 * size + size // 2, 0
            made = struct_from_binary(ua.BrowseResponse, await ask(_browses(masks))).Results
            points = [one.ContinuationPoint for one in made if one.ContinuationPoint]
            assert len(points) == 10
            assert shares.total == 10 * size
            going = ua.BrowseNextRequest(Parameters=ua.BrowseNextParameters(True, points[:4]))
            await ask(going)
            assert shares.total == 6 * size

    run(session)


def test_queues_are_as_long_as_there_is_room_and_one_entry_in_any_case(
    bench: Bench, shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(items, "_SURE", 3)

    async def session() -> None:
        async with bench.client() as client:
            number = await _subscribed(client)
            shares.own, shares.pool = SUBSCRIPTION + 3 * (PLAIN + QUEUED) + 100 * ENTRY, 0
            made = await _watched(client, number, 3, queue=80)
            assert [one.RevisedQueueSize for one in made] == [80, 22, 1]

    run(session)


def test_filters_and_queues_of_events_are_counted(bench: Bench, shares: Shares) -> None:
    field = ua.SimpleAttributeOperand(ua.NodeId(2041), [ua.QualifiedName("Message")], ua.UInt32(13), "")
    terms = ua.EventFilter([field] * 10, ua.ContentFilter([]))
    least = PLAIN + QUEUED + 10 * TERM

    async def session() -> None:
        async with bench.client() as client:
            number = await _subscribed(client)
            shares.own, shares.pool = SUBSCRIPTION + 2 * least + 100 * (EVENT + 10 * FIELD), 0
            made = await _watched(client, number, 3, queue=70, terms=terms)
            assert _statuses(made) == [0, 0, FULL]
            assert made[0].RevisedQueueSize == 70
            assert 1 <= made[1].RevisedQueueSize <= 40

    run(session)


def test_a_filter_counts_with_the_bytes_of_its_literals(bench: Bench, shares: Shares) -> None:
    """An operand was a kilobyte, whatever it was: 180 items with texts of a megabyte took 150 MB, and there may be thousands."""
    field = ua.SimpleAttributeOperand(ua.NodeId(2041), [ua.QualifiedName("Message")], ua.UInt32(13), "")
    same = ua.ContentFilterElement(ua.FilterOperator.Equals, [field, ua.LiteralOperand(ua.Variant("x" * 300_000))])
    terms = ua.EventFilter([field], ua.ContentFilter([same]))

    async def session() -> None:
        async with bench.client() as client:
            number = await _subscribed(client)
            shares.own, shares.pool = 1 << 20, 0
            assert _statuses(await _watched(client, number, 5, queue=2, terms=terms)) == [0] * 3 + [FULL] * 2

    run(session)


def test_who_asks_for_more_of_an_item_later_is_refused_as_well(bench: Bench, shares: Shares) -> None:
    """Links, a longer queue, another mode: what cannot be had leaves all as it was."""

    async def session() -> None:
        async with bench.client() as client:
            ask = client.uaclient.protocol.send_request
            number = await _subscribed(client)
            shares.own, shares.pool = SUBSCRIPTION + 3 * PLAIN, 0
            first, second, _third = [one.MonitoredItemId for one in await _watched(client, number, 3)]
            mode = ua.SetMonitoringModeParameters(number, ua.MonitoringMode.Sampling, [first])
            data = await ask(ua.SetMonitoringModeRequest(Parameters=mode))
            assert [one.value for one in struct_from_binary(ua.SetMonitoringModeResponse, data).Parameters.Results] == [FULL]
            mode = ua.SetMonitoringModeParameters(number, ua.MonitoringMode.Reporting, [first])
            data = await ask(ua.SetMonitoringModeRequest(Parameters=mode))
            assert [one.value for one in struct_from_binary(ua.SetMonitoringModeResponse, data).Parameters.Results] == [0]
            with pytest.raises(ua.uaerrors.BadTooManyOperations):
                await ask(ua.SetTriggeringRequest(Parameters=ua.SetTriggeringParameters(number, first, [second], [])))
            longer = ua.MonitoredItemModifyRequest(first, ua.MonitoringParameters(1, 0.0, None, 50, True))
            modify = ua.ModifyMonitoredItemsParameters(number, ua.TimestampsToReturn.Both, [longer])
            data = await ask(ua.ModifyMonitoredItemsRequest(Parameters=modify))
            (result,) = struct_from_binary(ua.ModifyMonitoredItemsResponse, data).Results
            assert (result.StatusCode.value, result.RevisedQueueSize) == (0, 1)
            shares.own += QUEUED + LINK
            await ask(ua.SetTriggeringRequest(Parameters=ua.SetTriggeringParameters(number, first, [second], [])))
            assert shares.total == shares.own

    run(session)


def test_a_subscription_that_moves_is_counted_where_it_is(bench: Bench, shares: Shares) -> None:
    async def session() -> None:
        async with bench.client("operator") as one:
            number = await _subscribed(one)
            await _watched(one, number, 5)
            async with bench.client("operator") as other:
                asked = ua.TransferSubscriptionsParameters([number], False)
                data = await other.uaclient.protocol.send_request(ua.TransferSubscriptionsRequest(Parameters=asked))
                (result,) = struct_from_binary(ua.TransferSubscriptionsResponse, data).Parameters.Results
                assert result.StatusCode.is_good()
                assert sorted(shares.held.values()) == [SUBSCRIPTION + 5 * PLAIN]
                await one.uaclient.protocol.send_request(ua.CloseSessionRequest(DeleteSubscriptions=True))
                assert sorted(shares.held.values()) == [SUBSCRIPTION + 5 * PLAIN]

    run(session)


def test_beyond_some_sampling_intervals_the_next_faster_of_a_series_is_taken(bench: Bench, shares: Shares) -> None:
    """Each is all rows of a column once more, and there are three and a half million: 3 GB for the items of all sessions."""

    async def session() -> None:
        async with bench.client() as client:
            number, most = await _subscribed(client), subscriptions.MOST_SAMPLERS
            asked = [101.0 + place for place in range(most + 20)]
            revised = [one.RevisedSamplingInterval for one in await _watched(client, number, len(asked), every_ms=asked)]
            exact = sum(one == other for one, other in zip(revised, asked, strict=True))
            assert most - 5 <= exact <= most, "some are there for others"
            assert revised[:exact] == asked[:exact]
            assert set(revised[exact:]) == {100.0}

    run(session)


def test_messages_that_nobody_acknowledges_are_bounded_in_all(
    bench: Bench, engines: list[Engine], shares: Shares, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100 for a subscription, 50 subscriptions for a session, 100 sessions, each message as long as its items make it."""
    hub = engines[0].table[787].service.handler.__self__  # type: ignore[attr-defined]
    monkeypatch.setattr(subscriptions, "LEAST_KEPT", 2_000)
    monkeypatch.setattr(shares, "held", {**shares.held, "somebody": engines[0].limits.held_bytes})

    async def session() -> None:
        async with bench.client() as client:
            numbers = [await _subscribed(client) for _ in range(3)]
            for number in numbers:
                await _watched(client, number, 20)
                found = hub.subscriptions[number]
                for sequence in range(1, 40):
                    found.sent[sequence] = (0, 1, bytes(100))
                    found._sent_bytes += 100
            for _ in range(100):
                if sum(hub.subscriptions[number].sent_bytes for number in numbers) <= 2_000:
                    break
                await asyncio.sleep(0.05)
            left = [list(hub.subscriptions[number].sent) for number in numbers]
            assert sum(len(one) for one in left) == 20
            assert all(one[-1] == 39 for one in left), "the newest stay"

    run(session)
    shares.held.pop("somebody")
