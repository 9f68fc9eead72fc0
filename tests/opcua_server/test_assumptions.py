"""What the server takes for granted about asyncua 2.1.0: one test each, so that an upgrade says what it breaks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.server.address_space import AttributeValue

from opcua_server.engine.values import WatchedValue

STATE = ua.NodeId(ua.ObjectIds.Server_ServerStatus_State)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    async def made() -> Server:
        one = Server()
        await one.init()
        return one

    built = asyncio.run(made())
    yield built
    built.iserver.method_service.stop()


def test_version_is_the_one_that_was_read() -> None:
    assert version("asyncua") == "2.1.0"


def test_a_place_for_a_value_can_become_one_that_tells() -> None:
    """``engine.values`` exchanges its class: it has a __dict__, no slots, and sets its value as an attribute."""

    class Slot:
        told = 0
        watchers = (lambda _slot: setattr(Slot, "told", Slot.told + 1),)

    place = AttributeValue(ua.DataValue(1.0))
    place.__dict__["slot"] = Slot()
    place.__class__ = WatchedValue
    place.value = ua.DataValue(2.0)
    assert Slot.told == 1
    assert place.value.Value.Value == 2.0


def test_nodes_are_found_in_a_dictionary_with_attributes_references_and_callback(server: Server) -> None:
    aspace = server.iserver.aspace
    node = aspace.get(STATE)
    assert aspace._nodes[STATE] is node
    assert isinstance(node.attributes[ua.AttributeIds.Value], AttributeValue)
    assert isinstance(node.references, list)
    method = aspace.get(ua.NodeId(ua.ObjectIds.Server_GetMonitoredItems))
    assert hasattr(method, "call")


def test_a_written_value_is_a_new_object_in_the_same_place(server: Server) -> None:
    place = server.iserver.aspace.get(STATE).attributes[ua.AttributeIds.Value]
    before = place.value
    asyncio.run(server.get_node(STATE).write_value(ua.ServerState.Suspended, ua.VariantType.Int32))
    assert server.iserver.aspace.get(STATE).attributes[ua.AttributeIds.Value] is place
    assert place.value is not before
    assert place.value.Value.Value == ua.ServerState.Suspended


def test_events_of_the_generators_go_through_one_method(server: Server) -> None:
    """The engine hears of events by taking the place of ``subscription_service.trigger_event``."""
    told: list[Any] = []

    async def send() -> None:
        generator = await server.get_event_generator()
        generator.event.Message = ua.LocalizedText("x", "en")
        await generator.trigger()

    service = server.iserver.subscription_service
    original = service.trigger_event

    async def trigger_event(event: Any, subscription_id: int | None = None) -> None:
        told.append(event)
        await original(event, subscription_id)

    service.trigger_event = trigger_event
    try:
        asyncio.run(send())
    finally:
        service.trigger_event = original
    (event,) = told
    assert event.Message.Text == "x"
    assert event.emitting_node == ua.NodeId(ua.ObjectIds.Server)


def test_the_inner_server_keeps_the_clock_and_opens_nothing() -> None:
    async def run() -> tuple[Any, Any]:
        one = Server()
        await one.init()
        await one.iserver.start()
        try:
            await asyncio.sleep(0)
            state = await one.get_node(STATE).read_value()
            current = await one.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)).read_value()
            assert one.bserver is None
            return state, current
        finally:
            one.iserver.time_task.cancel()
            await asyncio.wait([one.iserver.time_task])
            one.iserver.time_task = None
            await one.iserver.stop()

    state, current = asyncio.run(run())
    assert state == ua.ServerState.Running
    assert abs((datetime.now(UTC) - current).total_seconds()) < 60
