"""Items on a value that becomes a large one while they watch it: a message tells some of it, queues keep what there is room for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.opcua_server.engine.conformance.plant import Caller, Plant, calling, monitored, planted, run, told
from tests.opcua_server.engine.conformance.test_items import OVERFLOW, mode

MOST, LARGE, ITEMS = 25_000, 10_000, 40
"""Bytes of values with which a message is full, bytes of the value that grows, and how many items watch it."""
OWN = 600_000
"""Bytes that a session may hold. There is no more in the pool."""


@pytest.fixture(scope="module")
def plant() -> Iterator[Plant]:
    with planted(large_bytes_per_session=4 * MOST, held_bytes_per_session=OWN, held_bytes=100 * OWN) as made:
        yield made


@pytest.fixture(autouse=True)
def _small(plant: Plant) -> None:
    plant.reset("Bytes", "Count")


def grown(number: int) -> bytes:
    return bytes([number]) * LARGE


def held(plant: Plant) -> int:
    return int(plant.do(lambda: plant.engine.shares.total))


def kinds() -> list[dict[str, Any]]:
    return [{}, {"index_range": "0:99999"}, {"queue": 5}]


@pytest.mark.parametrize("kind", kinds(), ids=["newest", "range", "queue"])
def test_a_value_that_grows_is_told_in_messages_of_their_size(plant: Plant, kind: dict[str, Any]) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        items = [monitored("Bytes", handle, **kind) for handle in range(ITEMS)]
        assert {one.StatusCode.name for one in await call.monitor(made, *items, monitored("Count", 99))} == {"Good"}
        await call.gather(ITEMS + 1)
        plant.show("Bytes", grown(1))
        plant.show("Count", 7)
        found: list[Any] = []
        while True:
            result = await call.publish()
            news = told(result)
            found += news
            assert sum(len(value) for handle, value, _ in news if handle != 99) < MOST + LARGE
            assert result.MoreNotifications == (len(found) < ITEMS + 1)
            if not result.MoreNotifications:
                break
        assert sorted((handle, value) for handle, value, _ in found) == [
            *((handle, grown(1)) for handle in range(ITEMS)), (99, 7),
        ]  # fmt: skip
        assert told(await call.publish()) == []

    run(plant, act)


def test_a_value_that_grows_anew_while_it_is_told_is_told_as_it_is_then(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        await call.monitor(made, *(monitored("Bytes", handle) for handle in range(ITEMS)))
        await call.gather(ITEMS)
        plant.show("Bytes", grown(1))
        newest = dict(await parts(call, 1))
        plant.show("Bytes", grown(2))
        while len(newest) < ITEMS or set(newest.values()) != {grown(2)}:
            newest.update(await parts(call, 1))

    run(plant, act)


async def parts(call: Caller, count: int) -> list[tuple[int, Any]]:
    return [(handle, value) for handle, value, _ in await call.gather(count)]


@pytest.mark.parametrize("discard_oldest", [True, False])
def test_a_queue_of_values_that_grow_is_full_when_its_session_holds_what_it_may(plant: Plant, discard_oldest: bool) -> None:
    async def act(call: Caller) -> None:
        before = held(plant)
        made = await call.subscribe()
        (one,) = await call.monitor(made, monitored("Bytes", 1, queue=100, mode=1, discard_oldest=discard_oldest))
        assert one.RevisedQueueSize == 100
        plain = held(plant)
        plant.show("Bytes", *(grown(number) for number in range(1, 100)))
        assert 0 < held(plant) - plain <= OWN - plain
        await mode(call, made, 2, one)
        found = await call.gather(1)
        assert 40 < len(found) <= OWN // LARGE + 1
        assert found[-1][1] == grown(99)
        flagged = [place for place, (_, _, status) in enumerate(found) if status == OVERFLOW]
        assert flagged == [0 if discard_oldest else len(found) - 1]
        assert held(plant) == plain
        await mode(call, made, 1, one)
        plant.show("Bytes", *(grown(number) for number in range(1, 5)))
        assert held(plant) > plain
        await call("DeleteSubscriptions", SubscriptionIds=[made.SubscriptionId])
        assert held(plant) == before

    run(plant, act)


def test_what_a_queue_holds_of_large_values_moves_with_its_subscription(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        before = held(plant)
        async with calling(plant, "Admin") as other:
            made = await other.subscribe()
            await other.monitor(made, monitored("Bytes", 1, queue=100, mode=1))
            plant.show("Bytes", *(grown(number) for number in range(1, 5)))
            holding = held(plant)
            result = await call("TransferSubscriptions", SubscriptionIds=[made.SubscriptionId], SendInitialValues=False)
            assert result.Results[0].StatusCode.is_good()
        assert held(plant) == holding
        await call("DeleteSubscriptions", SubscriptionIds=[made.SubscriptionId])
        assert held(plant) == before

    run(plant, act, "Admin")
