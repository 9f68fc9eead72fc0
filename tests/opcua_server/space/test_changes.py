"""Nodes that come and go while the server runs: clients read what there is, and hear what it means."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from asyncua import ua

from opcua_server.space import blank_columns
from opcua_server.space.instances import wanted
from opcua_server.space.types import HAS_COMPONENT


class Heard:
    """Events as a subscriber gets them."""

    def __init__(self) -> None:
        self.changes: list[list[Any]] = []
        self.words: list[str] = []

    def event_notification(self, event: Any) -> None:
        self.changes.append(event.Changes)
        self.words.append(event.Message.Text)


def test_clients_hear_when_a_machine_is_called_something_else(running: Any) -> None:
    async def story() -> None:
        async with running() as run:
            shown, heard = run.spaces["CNC-001"], Heard()
            subscription = await run.client.create_subscription(20, heard)
            kind = run.client.get_node(ua.ObjectIds.SemanticChangeEventType)
            await subscription.subscribe_events(run.client.nodes.server, evtypes=kind)
            plate = ua.NodeId("CNC-001.Identification", shown.node_id.NamespaceIndex)
            location = run.client.get_node(ua.NodeId(f"{plate.Identifier}.Location", plate.NamespaceIndex))
            assert (await location.read_attribute(ua.AttributeIds.AccessLevel)).Value.Value & 16, "its meaning may change"
            columns = blank_columns(time.time_ns())
            for place in ("hall 1", "hall 2"):
                held = run.server.iserver.aspace[location.nodeid].attributes[ua.AttributeIds.Value]
                held.value = ua.DataValue(ua.Variant(place))
                for _ in range(2):  # it is told once
                    await shown.watch(columns, columns.source_time_ns)
            async with asyncio.timeout(30):
                while len(heard.changes) < 2:
                    await asyncio.sleep(0.01)
            assert [[one.Affected for one in changes] for changes in heard.changes] == [[plate], [plate]]

    asyncio.run(story())


LISTS = (
    "FileSystem.WorkMasters", "MachineryBuildingBlocks.ResultManagement.Results", "MachineryBuildingBlocks.MachineryOperationMode",
    "Notification.Prognoses", "Production.ProductionPlan",
)  # fmt: skip
"""Below a machine: what nodes come to and go from."""


def test_what_comes_and_goes_is_told_with_the_list_it_belongs_to_whose_version_rises(running: Any) -> None:
    async def story() -> None:
        async with running() as run:
            shown, heard = run.spaces["CNC-001"], Heard()
            changes, namespace = shown._changes, shown.node_id.NamespaceIndex
            type_id = changes._make_builder().types.type_id("MT:MaintenancePrognosisType")
            subscription = await run.client.create_subscription(20, heard)
            kind = run.client.get_node(ua.ObjectIds.GeneralModelChangeEventType)
            await subscription.subscribe_events(run.client.nodes.server, evtypes=kind)
            for place in LISTS:
                heard.changes.clear()
                parent = run.client.get_node(ua.NodeId(f"CNC-001.{place}", namespace))
                version = await parent.get_child("0:NodeVersion")
                versions = [await version.read_value()]
                _, node_id = changes.add(parent.nodeid, HAS_COMPONENT, ua.QualifiedName("Once", namespace), type_id, wanted([]))
                await changes.tell()
                versions.append(await version.read_value())
                changes.remove(node_id)
                await changes.tell()
                versions.append(await version.read_value())
                async with asyncio.timeout(30):
                    while len(heard.changes) < 2:
                        await asyncio.sleep(0.01)
                of_list = (parent.nodeid, await parent.read_type_definition())
                told = [[(one.Affected, one.AffectedType, one.Verb) for one in rows] for rows in heard.changes]
                assert heard.words[-2:] == ["CNC-001: Once came", "CNC-001: Once went"]
                assert told == [[(*of_list, 4), (node_id, type_id, 1)], [(*of_list, 8), (node_id, type_id, 2)]], place
                assert [int(one) - int(versions[0]) for one in versions] == [0, 1, 2]
                assert int(versions[0]) > 1_700_000_000, "after a restart it is another one than before"
            for number in range(5):
                name = ua.QualifiedName(f"P{number}", namespace)
                changes.add(parent.nodeid, HAS_COMPONENT, name, type_id, wanted([]))
            await changes.tell()
            async with asyncio.timeout(30):
                while len(heard.changes) < 3:
                    await asyncio.sleep(0.01)
            assert heard.words[-1] == "CNC-001: P0 came, P1 came, P2 came, and 2 more"
            assert len(heard.changes[-1]) == 6

    asyncio.run(story())


def test_a_node_that_went_and_came_back_between_two_reads_is_read_anew(running: Any) -> None:
    async def story() -> None:
        async with running() as run:
            shown = run.spaces["CNC-001"]
            changes = shown._changes
            parent = ua.NodeId("CNC-001.Notification.Prognoses", shown.node_id.NamespaceIndex)
            kind = changes._make_builder().types.type_id("MT:MaintenancePrognosisType")
            name = ua.QualifiedName("Twice", shown.node_id.NamespaceIndex)

            def add(text: str) -> ua.NodeId:
                made, node_id = changes.add(parent, HAS_COMPONENT, name, kind, wanted([]))
                made.set(made.at(node_id, "MT:Activity"), ua.LocalizedText(text, "en"))
                return node_id

            first = add("one")
            node = run.client.get_node(ua.NodeId(f"{first.Identifier}.Activity", first.NamespaceIndex))
            assert (await node.read_value()).Text == "one"
            changes.remove(first)
            add("two")
            assert (await node.read_value()).Text == "two"

    asyncio.run(story())
