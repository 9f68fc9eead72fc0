"""What takes long goes in turns, and others are served meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from asyncua import ua

from opcua_server.engine import turns
from opcua_server.engine.engine import Engine
from opcua_server.engine.subscriptions import events
from opcua_server.engine.subscriptions import service as subscriptions
from opcua_server.sources.source import SourceEvent
from tests.opcua_server.bench import Bench, run
from tests.opcua_server.engine.bench import browses, running, writes


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    with running(tmp_path_factory.mktemp("turns"), engines, rooms=[subscriptions.services]) as made:
        yield made


def test_events_told_in_turns_come_in_their_order(bench: Bench, engines: list[Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    """More items than are told at once: each hears of all events, one after the other, while others are served."""
    monkeypatch.setattr(events, "AT_ONCE", 2)
    monkeypatch.setattr(events, "STEP", 1)
    monkeypatch.setattr(turns, "TURN_S", 0.0)

    async def session() -> None:
        async with bench.client() as client:
            heard: dict[int, list[str]] = {}

            class Handler:
                def __init__(self, number: int) -> None:
                    self.number = number

                def event_notification(self, event: Any) -> None:
                    heard.setdefault(self.number, []).append(event.Message.Text)

            for number in range(3):
                subscription = await client.create_subscription(50, Handler(number))
                await subscription.subscribe_events(client.nodes.server, ua.ObjectIds.BaseEventType)
            texts = [f"event {number}" for number in range(5)]
            source = next(iter(bench.sources.values()))
            source.events += [SourceEvent("message", time.time_ns(), 100, "M1", text) for text in texts]
            until = time.monotonic() + 60
            while time.monotonic() < until and not (len(heard) == 3 and all(texts[-1] in one for one in heard.values())):
                await asyncio.sleep(0.05)
            assert [[one for one in told if one in texts] for told in heard.values()] == [texts] * 3

    run(session)


def test_others_are_served_while_somebody_browses_everything(bench: Bench) -> None:
    """Twenty browses of a thousand nodes, asked for at once: a read that comes after them is answered before the last."""

    async def session() -> None:
        async with bench.client() as greedy, bench.client(name="other") as other:
            order: list[str] = []

            async def one(number: int) -> None:
                await greedy.uaclient.protocol.send_request(browses(1_000), timeout=80)
                order.append(f"browse {number}")

            asking = [asyncio.create_task(one(number)) for number in range(20)]
            await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            await other.nodes.server_state.read_value()
            order.append("read")
            await asyncio.gather(*asking)
            assert order.index("read") < len(order) - 1

    run(session)


def test_others_are_served_while_a_long_request_is_decoded(
    bench: Bench, engines: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Values that are nested, a hundred kilobytes of them, ten times: a read that comes after them is answered before the last."""
    beside: list[Callable[[], Any]] = []
    in_decoder = engines[0].in_decoder

    async def counted(work: Callable[[], Any]) -> Any:
        beside.append(work)
        return await in_decoder(work)

    monkeypatch.setattr(engines[0], "in_decoder", counted)

    async def session() -> None:
        nested = ua.Variant()
        for _ in range(40):
            nested = ua.Variant([nested], ua.VariantType.Variant, is_array=True)
        asked = writes(ua.Variant([nested] * 400, ua.VariantType.Variant, is_array=True))
        async with bench.client() as greedy, bench.client(name="other") as other:
            order: list[str] = []

            async def one(number: int) -> None:
                with contextlib.suppress(ua.UaStatusCodeError):
                    await greedy.uaclient.protocol.send_request(asked, timeout=80)
                order.append(f"write {number}")

            asking = [asyncio.create_task(one(number)) for number in range(10)]
            await asyncio.wait(asking, return_when=asyncio.FIRST_COMPLETED)
            await other.nodes.server_state.read_value()
            order.append("read")
            await asyncio.gather(*asking)
            assert order.index("read") < len(order) - 1
            assert len(beside) == 10

    run(session)
