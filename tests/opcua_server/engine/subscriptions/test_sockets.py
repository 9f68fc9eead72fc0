"""asyncua's client subscribes through a real socket to a bare address space behind our front."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from asyncua import Client
from asyncua.common.events import Event

from benchmarks.opcua.ours import BASE, bind, engine_of, space
from cnctwin.wire.scalars import ua
from opcua_server.engine.subscriptions.columns import Column, Columns
from opcua_server.engine.subscriptions.service import ticks_now


class Heard:
    def __init__(self) -> None:
        self.values: list[tuple[int, Any]] = []
        self.events: list[Any] = []
        self.news = asyncio.Event()

    def datachange_notification(self, node: Any, value: Any, _data: Any) -> None:
        self.values.append((node.nodeid.Identifier, value))
        self.news.set()

    def event_notification(self, event: Any) -> None:
        self.events.append(event)
        self.news.set()

    def status_change_notification(self, status: Any) -> None:
        raise AssertionError(status)

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.values) + len(self.events) < count:
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def running(columns: Columns | None = None) -> AsyncIterator[tuple[Any, Column, Client]]:
    server = await space(4)
    columns = columns or Columns()
    column = bind(server, columns, [ua.NodeId(BASE + row, 2) for row in range(3)])  # the fourth stays a node of its own
    engine = engine_of(server, columns, 0)
    await engine.start()
    try:
        async with Client(f"opc.tcp://127.0.0.1:{engine.port}", timeout=10) as client:
            yield server, column, client
    finally:
        await engine.stop()


def test_columns_and_nodes_are_told_and_read_the_same() -> None:
    async def run() -> None:
        async with running() as (server, column, client):
            heard = Heard()
            column.write(np.array([1.0, 2.0, 3.0]), 0, ticks_now(), ticks_now())
            subscription = await client.create_subscription(20, heard)
            nodes = [client.get_node(ua.NodeId(BASE + row, 2)) for row in range(4)]
            await subscription.subscribe_data_change(nodes, sampling_interval=0)
            await heard.until(4)
            assert sorted(heard.values) == [(BASE, 1.0), (BASE + 1, 2.0), (BASE + 2, 3.0), (BASE + 3, 3.0)]
            heard.values.clear()
            column.write(np.array([1.0, 5.0, 3.0]), 0, ticks_now(), ticks_now())
            await server.write_attribute_value(nodes[3].nodeid, ua.DataValue(ua.Variant(7.0, ua.VariantType.Double)))
            await heard.until(2)
            assert sorted(heard.values) == [(BASE + 1, 5.0), (BASE + 3, 7.0)]
            assert await nodes[1].read_value() == 5.0
            await subscription.delete()

    asyncio.run(run())


def test_ticks_that_come_close_together_are_all_told_to_who_samples_as_often_as_they_come() -> None:
    async def run() -> None:
        columns = Columns()
        columns.ticks.period_s = 0.5
        async with running(columns) as (_server, column, client):
            heard, slow = Heard(), Heard()
            node = client.get_node(ua.NodeId(BASE, 2))
            for who, interval_ms in ((heard, 500), (slow, 1_500)):
                subscription = await client.create_subscription(interval_ms, who)
                await subscription.subscribe_data_change(node, queuesize=10, sampling_interval=interval_ms)
                await who.until(1)
                who.values.clear()
            for value in (10.0, 11.0, 12.0):  # late ones, for which nobody waited
                with columns.ticks.one():
                    column.write(np.array([value, 0.0, 0.0]), 0, ticks_now(), ticks_now())
            await heard.until(3)
            await slow.until(1)
            assert [value for _, value in heard.values] == [10.0, 11.0, 12.0]
            assert [value for _, value in slow.values][-1] == 12.0
            assert len(slow.values) < 3

    asyncio.run(run())


def test_events_come_with_the_fields_asked_for() -> None:
    async def run() -> None:
        async with running() as (server, _column, client):
            heard = Heard()
            subscription = await client.create_subscription(20, heard)
            await subscription.subscribe_events()
            event = Event(ua.NodeId(2253, 0))
            event.add_property("EventType", ua.NodeId(2041, 0), ua.VariantType.NodeId)
            event.add_property("Severity", 300, ua.VariantType.UInt16)
            await server.iserver.subscription_service.trigger_event(event)
            await heard.until(1)
            assert heard.events[0].Severity == 300
            await subscription.delete()

    asyncio.run(run())


def test_revised_values_and_refusals_are_those_of_the_standard() -> None:
    async def run() -> None:
        async with running() as (_server, _column, client):
            for asked in (0.0, -5.0, float("nan")):
                parameters = ua.CreateSubscriptionParameters(RequestedPublishingInterval=asked, RequestedLifetimeCount=1)
                made = await client.uaclient.create_subscription(parameters, lambda _result: None)
                assert made.RevisedPublishingInterval == 10.0
                assert made.RevisedLifetimeCount >= 3 * made.RevisedMaxKeepAliveCount
            codes = await client.uaclient.delete_subscriptions([made.SubscriptionId, 99])
            assert [one.value for one in codes] == [0, ua.StatusCodes.BadSubscriptionIdInvalid]
            subscription = await client.create_subscription(100, Heard())
            with pytest.raises(ua.uaerrors.BadNodeIdUnknown):
                await subscription.subscribe_data_change(client.get_node("ns=2;s=nothing"))
            with pytest.raises(ua.uaerrors.BadMonitoredItemFilterUnsupported):
                await subscription.deadband_monitor(client.get_node(ua.NodeId(BASE, 2)), 10.0, deadbandtype=2)
            await subscription.delete()

    asyncio.run(run())
