"""Our machines by the rules of the umati dashboard, and machines that break each of them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.server.address_space import AddressSpace

from cnctwin.check.machine_tool import machine_tools
from opcua_server.space import MachineSpace, profiles

GONE = {
    "Monitoring": "has no 7:Monitoring",
    "Production.ActiveProgram.State.CurrentState.Number": "has no 0:Number",
    "Monitoring.Stacklight.Red.NumberInList": "has no 0:NumberInList",
    "Equipment.Tools.T7.Locked.ReasonForLocking": "has no 7:ReasonForLocking",
    "Monitoring.Channel1.ChannelModifiers.DryRun": "has no 7:DryRun",
    "MachineryBuildingBlocks.JobManagement.JobOrderControl.WorkMaster": "has no 5:WorkMaster",
    "Components.Spindle1.Identification.SerialNumber": "has no 2:SerialNumber",
}
"""Mandatory members at every depth, also below placeholders and optional objects -> what is said."""


class Broken:
    """Takes one reference away for a while."""

    def __init__(self, aspace: AddressSpace, target: ua.NodeId) -> None:
        self._nodes = [(node, node.references) for node in (aspace[key] for key in aspace.keys()) if any(  # noqa: SIM118
            r.IsForward and r.NodeId == target for r in node.references
        )]  # fmt: skip
        self._target = target

    def __enter__(self) -> None:
        assert self._nodes
        for node, references in self._nodes:
            node.references = [r for r in references if r.NodeId != self._target]

    def __exit__(self, *_: object) -> None:
        for node, references in self._nodes:
            node.references = references


def test_our_machine_is_taken_in_and_one_that_lacks_anything_is_not(running: Any) -> None:
    async def look() -> None:
        async with running() as run:
            shown = run.spaces["CNC-001"]
            aspace, namespace = run.server.iserver.aspace, shown.node_id.NamespaceIndex
            (machine,) = await machine_tools(run.client)
            assert (machine.name, machine.problems) == ("CNC-001", [])
            assert len(machine.variables) > 500
            assert shown.nodes["Channel/FeedOverride"] in machine.variables
            for path, said in GONE.items():
                with Broken(aspace, ua.NodeId(f"CNC-001.{path}", namespace)):
                    (machine,) = await machine_tools(run.client)
                assert [problem for problem in machine.problems if said in problem], (path, machine.problems)
            plate = ua.NodeId("CNC-001.Identification", namespace)
            children = aspace[shown.node_id].references
            untyped = [replace(r, TypeDefinition=ua.NodeId()) if r.NodeId == plate else r for r in children]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(aspace[shown.node_id], "references", untyped)
                (machine,) = await machine_tools(run.client)
            assert "no child of MachineToolIdentificationType" in machine.problems
            folder = aspace[ua.NodeId(1001, machinery(aspace))]
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(folder, "references", [r for r in folder.references if r.NodeId != shown.node_id])
                assert await machine_tools(run.client) == []

    asyncio.run(look())


def test_facets_are_claimed_that_every_machine_has_the_nodes_for(server: Server, machine: MachineSpace) -> None:
    aspace, namespace = server.iserver.aspace, machine.node_id.NamespaceIndex
    assert profiles.claim(aspace, [machine]) == list(profiles.FACETS)
    assert profiles.claim(aspace, []) == []
    for facet, nodes in profiles.FACETS.items():
        for path in nodes:
            node_id = ua.NodeId(f"CNC-001.{path}", namespace)
            node = aspace[node_id]
            del aspace[node_id]
            try:
                assert facet not in profiles.claim(aspace, [machine])
            finally:
                aspace[node_id] = node
    shown = aspace[ua.NodeId(2269, 0)].attributes[ua.AttributeIds.Value].value.Value.Value
    assert len(set(shown)) == len(shown) >= len(profiles.FACETS)


def machinery(aspace: AddressSpace) -> int:
    """Namespace of OPC 40001-1."""
    uris = aspace[ua.NodeId(2255, 0)].attributes[ua.AttributeIds.Value].value.Value.Value
    return int(uris.index("http://opcfoundation.org/UA/Machinery/"))
