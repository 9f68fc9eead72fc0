"""Nodes that come and go while the server runs: clients read what there is."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncua import ua

from opcua_server.space.instances import wanted
from opcua_server.space.types import HAS_COMPONENT


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
