"""Alarms and messages, as subscribers of Server, machine, Messages and the CNC interface get them."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from asyncua import ua

from nodesets.namespaces import URI
from opcua_server.jobs.results import RunResult
from opcua_server.sources.source import SourceEvent


class Handler:
    def __init__(self) -> None:
        self.events: asyncio.Queue[Any] = asyncio.Queue()

    def event_notification(self, event: Any) -> None:
        self.events.put_nowait(event)


def test_an_alarm_reaches_server_machine_messages_and_cnc_interface(running: Any) -> None:
    async def session() -> None:
        async with running() as run:
            machine, client = run.spaces["CNC-001"], run.client
            mt, cnc = [await client.get_namespace_index(URI[prefix]) for prefix in ("MT", "CNC")]
            ns = machine.node_id.NamespaceIndex
            alert, cnc_alarm = client.get_node(ua.NodeId(39, mt)), client.get_node(ua.NodeId(1006, cnc))
            listeners = []
            for node_id, event_type in (
                (ua.NodeId(2253, 0), alert),
                (machine.node_id, alert),
                (ua.NodeId("CNC-001.Notification.Messages", ns), alert),
                (ua.NodeId("CNC-001.CncInterface", ns), cnc_alarm),
            ):
                handler = Handler()
                subscription = await client.create_subscription(50, handler)
                await subscription.subscribe_events(client.get_node(node_id), event_type)
                listeners.append(handler)
            raised = time.time_ns()
            await machine.send_event(SourceEvent("alarm", raised, 700, "PS0020", "Over tolerance of radius (O1000 line 12)"))
            for handler, field in zip(listeners, ("ErrorCode", "ErrorCode", "ErrorCode", "AlarmIdentifier"), strict=True):
                event = await asyncio.wait_for(handler.events.get(), 10)
                assert getattr(event, field) == "PS0020"
                assert event.Message.Text == "Over tolerance of radius (O1000 line 12)"
                assert event.Severity == 700
                assert event.SourceName == "CNC-001"
                assert event.SourceNode == machine.node_id
                assert event.Retain is True
                assert abs(event.Time.timestamp() - raised / 1e9) < 1e-3
            await machine.send_event(SourceEvent("alarm_cleared", time.time_ns(), 700, "PS0020", "cleared"))
            event = await asyncio.wait_for(listeners[0].events.get(), 10)
            assert event.Retain is True, "nobody has acknowledged it"
            assert getattr(event, "ActiveState/Id") is False

    asyncio.run(session())


def test_what_the_program_says_is_told_at_the_cnc_interface_too(running: Any) -> None:
    """OPC 40502, 6.11: messages that are no alarms, such as those that a part program makes."""

    async def session() -> None:
        async with running() as run:
            machine, client = run.spaces["CNC-001"], run.client
            cnc = await client.get_namespace_index(URI["CNC"])
            message = client.get_node(ua.NodeId(1011, cnc))
            at_interface, at_messages = Handler(), Handler()
            for name, handler, kind in (
                ("CNC-001.CncInterface", at_interface, [message]), ("CNC-001.Notification.Messages", at_messages, []),
            ):  # fmt: skip
                subscription = await client.create_subscription(50, handler)
                node = client.get_node(ua.NodeId(name, machine.node_id.NamespaceIndex))
                await subscription.subscribe_events(node, *kind)
            await machine.send_event(SourceEvent("tool_changed", time.time_ns(), 100, "T6", "Tool 6 in spindle"))
            await machine.send_event(SourceEvent("message", time.time_ns(), 150, "2000", "TURN THE PART"))
            there = await asyncio.wait_for(at_interface.events.get(), 10)
            assert (there.EventType, there.Message.Text) == (message.nodeid, "TURN THE PART")
            await asyncio.wait_for(at_messages.events.get(), 10)
            assert (await asyncio.wait_for(at_messages.events.get(), 10)).EventId == there.EventId
            assert at_interface.events.empty(), "a tool change is no message to the operator"

    asyncio.run(session())


def test_an_event_is_one_wherever_it_is_heard_and_says_when_it_was_there(running: Any) -> None:
    """By its EventId a client that listens at several nodes knows what it has seen (OPC 10000-5, 6.4.2)."""

    async def session() -> None:
        async with running() as run:
            machine, client = run.spaces["CNC-001"], run.client
            listeners = []
            for node_id in (ua.NodeId(2253, 0), machine.node_id):
                handler = Handler()
                subscription = await client.create_subscription(50, handler)
                await subscription.subscribe_events(client.get_node(node_id))
                listeners.append(handler)
            moment_ns = time.time_ns()
            await machine.send_event(SourceEvent("state_changed", moment_ns, 50, "HELD", "From running to held"))
            await machine.results.tell(RunResult(7, "O1", "", moment_ns, moment_ns, True, "done", 1.0, 0.5, 0.0))
            for _ in range(2):
                first, second = [await asyncio.wait_for(one.events.get(), 10) for one in listeners]
                assert first.EventId == second.EventId
                assert (first.Message, first.ReceiveTime) == (second.Message, second.ReceiveTime)
                there = time.localtime(moment_ns / 1e9)
                assert (first.LocalTime.Offset, first.LocalTime.DaylightSavingInOffset) == (
                    there.tm_gmtoff // 60, bool(there.tm_isdst),
                )  # fmt: skip

    asyncio.run(session())


def test_a_message_never_has_the_severity_of_an_alert(running: Any) -> None:
    async def session() -> None:
        async with running() as run:
            machine, client = run.spaces["CNC-001"], run.client
            mt = await client.get_namespace_index(URI["MT"])
            handler = Handler()
            subscription = await client.create_subscription(50, handler)
            await subscription.subscribe_events(client.nodes.server, client.get_node(ua.NodeId(35, mt)))
            await machine.send_event(SourceEvent("program_started", time.time_ns(), 900, "O1000", "Program O1000 started"))
            event = await asyncio.wait_for(handler.events.get(), 10)
            assert event.Severity == 333
            assert event.Identifier == "O1000"

    asyncio.run(session())
