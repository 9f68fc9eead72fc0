"""The subscription's own bookkeeping against a scripted server: sequence numbers, republishing, splitting, batching of items."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from cnctwin.link.feed import MOST_IN_A_ROW, Feed
from cnctwin.link.state import MachineState
from cnctwin.reading import BAD_WAITING_FOR_INITIAL_DATA, Batch

START = datetime(2026, 1, 1, tzinfo=UTC)
BAD_NODE = 0x80340000
SIGNALS = ("Spindle/ActSpeed", "Spindle/Temperature", "Tool/Number")


class Scripted:
    """Answers Publish with the messages it is given, then keeps silent; hands out what Republish is asked for."""

    def __init__(self, limit: int = 0, refuse: frozenset[int] = frozenset(), revised: tuple[float, int] = (100.0, 10)) -> None:
        self.limit, self.refuse, self.revised = limit, refuse, revised
        self.answers: asyncio.Queue[ua.PublishResponse] = asyncio.Queue()
        self.kept: dict[int, ua.NotificationMessage] = {}
        self.acknowledged: list[int] = []
        self.batches_of_items: list[int] = []
        self.republished: list[int] = []
        self.session = SimpleNamespace(_send_request=self.send_request)

    async def create_subscription(self, parameters: Any, callback: Any) -> Any:
        return self._revised(parameters)

    async def modify_subscription(self, parameters: Any) -> Any:
        return self._revised(parameters)

    def _revised(self, parameters: Any) -> Any:
        interval_ms, least = self.revised
        keep_alive = max(parameters.RequestedMaxKeepAliveCount, least)
        return SimpleNamespace(SubscriptionId=7, RevisedPublishingInterval=interval_ms, RevisedMaxKeepAliveCount=keep_alive)

    async def create_monitored_items(self, parameters: Any) -> list[ua.MonitoredItemCreateResult]:
        self.batches_of_items.append(len(parameters.ItemsToCreate))
        handles = [request.RequestedParameters.ClientHandle for request in parameters.ItemsToCreate]
        return [ua.MonitoredItemCreateResult(StatusCode=ua.StatusCode(BAD_NODE if h in self.refuse else 0)) for h in handles]

    async def read_attributes(self, nodes: Any, attribute: Any) -> list[ua.DataValue]:
        return [ua.DataValue(ua.Variant(self.limit, ua.VariantType.UInt32))]

    async def send_request(self, request: Any, **_: Any) -> bytes:
        """Answers in the bytes that a server sends."""
        if isinstance(request, ua.PublishRequest):
            self.acknowledged += [item.SequenceNumber for item in request.Parameters.SubscriptionAcknowledgements]
            return struct_to_binary(await self.answers.get())
        number = request.Parameters.RetransmitSequenceNumber
        self.republished.append(number)
        if number not in self.kept:
            raise ua.uaerrors.BadMessageNotAvailable
        response = ua.RepublishResponse()
        response.NotificationMessage = self.kept[number]
        return struct_to_binary(response)

    def say(self, number: int, *values: tuple[int, float, int], available: tuple[int, ...] = (), more: bool = False) -> None:
        """values: (client handle, value, source time in ms)."""
        response = ua.PublishResponse()
        response.Parameters.SubscriptionId = 7
        response.Parameters.AvailableSequenceNumbers = list(available)
        response.Parameters.MoreNotifications = more
        response.Parameters.NotificationMessage = message(number, *values)
        self.answers.put_nowait(response)


def message(number: int, *values: tuple[int, float, int]) -> ua.NotificationMessage:
    items = [
        ua.MonitoredItemNotification(handle, ua.DataValue(ua.Variant(value), SourceTimestamp=START + timedelta(milliseconds=when)))
        for handle, value, when in values
    ]
    data = [ua.DataChangeNotification(MonitoredItems=items)] if items else []
    return ua.NotificationMessage(SequenceNumber=number, NotificationData=data)


def run(script: Any, expected: int, server: Scripted | None = None) -> tuple[list[Batch], Scripted]:
    """Subscribe to three signals, let ``script(server)`` speak, and wait for ``expected`` batches."""

    async def scenario() -> tuple[list[Batch], Scripted]:
        fake = server or Scripted()
        seen: list[Batch] = []
        state = {"M": MachineState("M")}
        feed = Feed(SimpleNamespace(uaclient=fake), state, seen.append, interval_s=0.1, sampling_s=0.1, max_age_s=3.0)  # type: ignore[arg-type]
        await feed.subscribe({"M": {name: ua.NodeId(name, 2) for name in SIGNALS}})
        script(fake)
        task = asyncio.create_task(feed.publish())
        async with asyncio.timeout(10):
            while len(seen) < expected or not fake.answers.empty():
                await asyncio.sleep(0)
            while not fake.acknowledged:
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return seen, fake

    return asyncio.run(scenario())


def first(server: Scripted) -> None:
    server.say(1, (1, 100.0, 0), (2, 30.0, 0), (3, 4.0, 0))


def test_items_are_created_in_batches_the_server_allows() -> None:
    _, server = run(first, 1, Scripted(limit=2))
    assert server.batches_of_items == [2, 1]


def test_an_item_that_is_refused_reads_as_its_refusal() -> None:
    seen, _ = run(lambda server: server.say(1, (1, 100.0, 0), (3, 4.0, 0)), 1, Scripted(refuse=frozenset([2])))
    assert [(item.signal, item.status) for item in seen[0] if item.status] == [("Spindle/Temperature", BAD_NODE)]


def test_a_message_is_sorted_into_batches_by_source_time_and_acknowledged() -> None:
    def script(server: Scripted) -> None:
        first(server)
        server.say(2, (1, 120.0, 200), (2, 31.0, 100), (1, 110.0, 100))
        server.say(3, (1, 130.0, 300))

    seen, server = run(script, 4)
    assert [[(item.signal, item.value) for item in batch] for batch in seen[1:]] == [
        [("Spindle/ActSpeed", 110.0), ("Spindle/Temperature", 31.0)],
        [("Spindle/ActSpeed", 120.0)],
        [("Spindle/ActSpeed", 130.0)],
    ]
    assert all(batch.gap is None for batch in seen)
    assert server.acknowledged[:2] == [1, 2]


def test_a_moment_that_comes_in_two_messages_is_one_batch() -> None:
    def script(server: Scripted) -> None:
        first(server)
        server.say(2, (1, 110.0, 100), more=True)
        server.say(3, (2, 31.0, 100))

    seen, _ = run(script, 2)
    assert len(seen[1].readings) == 2


def test_a_server_that_always_says_there_is_more_is_not_waited_for() -> None:
    """All that it said was kept until it said that this was all."""

    def script(server: Scripted) -> None:
        first(server)
        for number in range(2, 2 + 3 * MOST_IN_A_ROW):
            server.say(number, (1, float(number), number), more=True)

    seen, _ = run(script, 1 + 3 * MOST_IN_A_ROW)
    assert [batch.readings[0].value for batch in seen[1:]] == [float(number) for number in range(2, 2 + 3 * MOST_IN_A_ROW)]


def test_a_missing_message_is_fetched_while_the_server_has_it() -> None:
    def script(server: Scripted) -> None:
        first(server)
        server.kept = {2: message(2, (1, 110.0, 100))}
        server.say(3, (1, 120.0, 200), available=(2, 3))

    seen, server = run(script, 3)
    assert server.republished == [2]
    assert [batch.readings[0].value for batch in seen[1:]] == [110.0, 120.0]
    assert all(batch.gap is None for batch in seen)


def test_messages_that_are_gone_are_reported_and_not_asked_for() -> None:
    def script(server: Scripted) -> None:
        first(server)
        server.say(4, (1, 120.0, 200), available=(4,))
        server.say(5, (1, 130.0, 300))

    seen, server = run(script, 3)
    assert server.republished == []
    assert [batch.gap for batch in seen] == [None, "2 messages lost on the way", None]


def test_a_keep_alive_shows_a_loss_without_further_data() -> None:
    def script(server: Scripted) -> None:
        first(server)
        server.say(2)
        server.say(3)
        server.say(3, (1, 120.0, 200))

    seen, _ = run(script, 2)
    assert seen[1].gap == "1 messages lost on the way"


def test_sequence_numbers_begin_again_after_the_last_one() -> None:
    async def scenario() -> list[Batch]:
        fake = Scripted()
        seen: list[Batch] = []
        feed = Feed(SimpleNamespace(uaclient=fake), {"M": MachineState("M")}, seen.append, interval_s=1, sampling_s=1, max_age_s=3)  # type: ignore[arg-type]
        await feed.subscribe({"M": {name: ua.NodeId(name, 2) for name in SIGNALS}})
        feed._next = 2**32 - 1
        fake.say(2**32 - 1, (1, 1.0, 0), (2, 1.0, 0), (3, 1.0, 0))
        fake.say(1, (1, 2.0, 100))
        task = asyncio.create_task(feed.publish())
        async with asyncio.timeout(10):
            while len(seen) < 2:
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return seen

    assert [batch.gap for batch in asyncio.run(scenario())] == [None, None]


def test_a_signal_that_never_speaks_does_not_hold_up_the_others() -> None:
    state = MachineState("M")
    state.expect(SIGNALS)
    (batch,) = state.complete(5)
    assert {item.status for item in batch} == {BAD_WAITING_FOR_INITIAL_DATA}


@pytest.mark.parametrize(
    ("revised", "max_age_s"),
    [((100.0, 1), 3.0), ((1000.0, 1), 3.0), ((1000.0, 4), 12.0), ((5000.0, 1), 15.0)],
    ids=["as asked", "slower, but as often", "seldom", "slow"],
)
def test_a_server_that_publishes_more_slowly_than_it_was_asked_to_is_not_taken_for_silent(
    revised: tuple[float, int], max_age_s: float
) -> None:
    async def scenario() -> float:
        fake = Scripted(revised=revised)
        feed = Feed(SimpleNamespace(uaclient=fake), {}, lambda _: None, interval_s=0.1, sampling_s=0.1, max_age_s=3.0)  # type: ignore[arg-type]
        await feed.subscribe({})
        return feed.max_age_s

    assert asyncio.run(scenario()) == pytest.approx(max_age_s)


def test_times_that_are_none_do_not_reach_anybody() -> None:
    def script(server: Scripted) -> None:
        first(server)
        server.say(2, (1, 120.0, 200))
        run = server.answers._queue[1].Parameters.NotificationMessage.NotificationData[0].MonitoredItems  # type: ignore[attr-defined]
        for item, when in zip([*run, *run], (datetime.max, datetime.min), strict=True):
            item.Value.SourceTimestamp = when
            item.Value.ServerTimestamp = START

    seen, _ = run(script, 2)
    assert [batch.source_time_ns for batch in seen][1] == int(START.timestamp() * 1e9)
