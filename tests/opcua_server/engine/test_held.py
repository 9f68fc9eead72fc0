"""What requests leave behind in the server's memory: bytes that are kept for the next who asks, or until somebody takes them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
from asyncua import ua

from opcua_server.engine import attributes, view
from opcua_server.engine.contract import Limits
from opcua_server.engine.engine import Engine
from opcua_server.engine.subscriptions import service as subscriptions
from tests.opcua_server.bench import Bench, run
from tests.opcua_server.engine.bench import running

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


def _browses(masks: range) -> Any:
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
