"""Items that are changed while they are there go on with what they were told: nothing is told twice, and nothing is lost."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from benchmarks.opcua.ours import BASE
from opcua_server.engine.subscriptions.service import ticks_now
from tests.opcua_server.engine.conformance.plant import Caller, Plant, monitored, run, told, ua
from tests.opcua_server.engine.conformance.test_items import ABSOLUTE, OVERFLOW, data_change, mode, modify
from tests.opcua_server.engine.subscriptions.test_sockets import running

NEVER_MS = 3_600_000.0
"""A sampling interval that does not end during a test."""


async def quiet(call: Caller) -> bool:
    """Whether a keep-alive comes, and nothing before it."""
    return told(await call.publish()) == []


@pytest.mark.parametrize("trigger", [1, 2])
def test_a_deadband_holds_whatever_the_time_of_a_value(plant: Plant, trigger: int) -> None:
    """OPC 10000-4, 7.10 and 7.22.2: with a deadband the trigger StatusValueTimestamp is StatusValue."""

    async def act(call: Caller) -> None:
        moment = datetime(2026, 1, 2, tzinfo=UTC)
        plant.show("Double", 1.0, source=moment)
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        await call.monitor(made, monitored("Double", 1, queue=20, wanted=data_change(trigger, ABSOLUTE, 5.0)))
        await call.gather(1)
        for later, value in enumerate((1.0, 2.0, 5.5, 7.0), 1):
            plant.show("Double", value, source=moment + timedelta(seconds=later))
        assert await call.gather(1) == [(1, 7.0, 0)]

    run(plant, act)


def test_an_item_whose_filter_stays_goes_on_comparing_with_what_it_told(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        filters = {"Filter": data_change(1, ABSOLUTE, 5.0)}
        (one,) = await call.monitor(made, monitored("Count", 1, queue=10, wanted=filters["Filter"]))
        await call.gather(1)
        await modify(call, made, one, QueueSize=5, **filters)
        plant.show("Count", 4)
        assert await quiet(call)
        await modify(call, made, one, QueueSize=5, SamplingInterval=20.0, **filters)
        assert await quiet(call)
        plant.show("Count", 6)
        assert await call.gather(1) == [(1, 6, 0)], "4 was never told: it is compared with 0"

    run(plant, act)


WAYS = [{}, {"queue": 5}, {"queue": 5, "wanted": data_change(1, ABSOLUTE, 0.1)}]


@pytest.mark.parametrize("way", WAYS, ids=["newest", "queue", "deadband"])
@pytest.mark.parametrize("interval_ms", [0.0, 50.0])
def test_a_change_that_was_not_sampled_yet_is_told_by_an_item_that_is_sampled_in_another_way(
    plant: Plant, way: dict[str, Any], interval_ms: float
) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        (one,) = await call.monitor(made, monitored("Double", 1, sampling_ms=NEVER_MS, **way))
        await call.gather(1)
        plant.show("Double", 8.0)
        assert await quiet(call)
        await modify(call, made, one, SamplingInterval=interval_ms, QueueSize=way.get("queue", 1), Filter=way.get("wanted"))
        assert await call.gather(1) == [(1, 8.0, 0)]
        assert await quiet(call)

    run(plant, act)


@pytest.mark.parametrize("what", ["mode", "links"])
def test_a_change_that_was_not_sampled_yet_is_told_by_an_item_that_reports_or_triggers_from_now_on(plant: Plant, what: str) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        one, other = await call.monitor(made, monitored("Double", 1, sampling_ms=NEVER_MS), monitored("Count", 2))
        await call.gather(2)
        if what == "mode":
            await mode(call, made, 1, one)
        plant.show("Double", 8.0)
        assert await quiet(call)
        if what == "mode":
            await mode(call, made, 2, one)
        else:
            await call(
                "SetTriggering", SubscriptionId=made.SubscriptionId, TriggeringItemId=one.MonitoredItemId,
                LinksToAdd=[other.MonitoredItemId],
            )  # fmt: skip
        assert await call.gather(1) == [(1, 8.0, 0)]
        assert await quiet(call)

    run(plant, act)


def test_what_a_queue_lost_is_still_said_when_its_item_is_sampled_in_another_way(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, monitored("Count", 1, queue=3, mode=1))
        plant.show("Count", 1, 2, 3, 4)
        await modify(call, made, one, QueueSize=3, SamplingInterval=50.0)
        await mode(call, made, 2, one)
        assert await call.gather(3) == [(1, 2, OVERFLOW), (1, 3, 0), (1, 4, 0)]

    run(plant, act)


def on_a_column(act: Any) -> None:
    """``act(call, show)`` at a server whose first three variables are a column."""

    async def main() -> None:
        async with running() as (_server, column, client):

            def show(*values: float) -> None:
                for value in values:
                    column.write(np.array([value, 0.0, 0.0]), 0, ticks_now(), ticks_now())

            show(0.0)
            await act(Caller(client), show)

    asyncio.run(main())


def on(**more: Any) -> Any:
    return monitored(ua.NodeId(BASE, 2), 1, **more)


def test_what_an_item_on_a_column_sampled_is_told_when_it_reports() -> None:
    async def act(call: Caller, show: Any) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        (one,) = await call.monitor(made, on(queue=5, mode=1))
        show(1.0, 2.0, 3.0)
        await mode(call, made, 2, one)
        assert await call.gather(4) == [(1, 0.0, 0), (1, 1.0, 0), (1, 2.0, 0), (1, 3.0, 0)]
        assert await quiet(call)

    on_a_column(act)


def test_an_item_on_a_column_that_is_sampled_in_another_way_tells_no_value_twice_and_none_too_few() -> None:
    async def act(call: Caller, show: Any) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        (one,) = await call.monitor(made, on(sampling_ms=NEVER_MS))
        await call.gather(1)
        await modify(call, made, one, SamplingInterval=50.0)
        assert await quiet(call)
        await modify(call, made, one, SamplingInterval=NEVER_MS)
        assert await quiet(call)
        show(5.0)
        assert await quiet(call)
        await modify(call, made, one, SamplingInterval=0.0)
        assert await call.gather(1) == [(1, 5.0, 0)]
        assert await quiet(call)

    on_a_column(act)
