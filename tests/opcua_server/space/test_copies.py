"""A machine that is copied from another one is the same, node by node, as one that was built from the types."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import is_dataclass, replace
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Server, ua

from opcua_server import space
from opcua_server.sources.source import Identity
from opcua_server.space.files import Program

_A = ua.AttributeIds


class Facts:
    """What the nodes of one machine say, with the machine's name and namespace written alike for all machines."""

    def __init__(self, server: Server, shown: space.MachineSpace) -> None:
        self._aspace = server.iserver.aspace
        self._name = shown.identity.machine_id
        self._namespace = shown.node_id.NamespaceIndex
        self.nodes = {self._plain(node_id): self._aspace[node_id] for node_id in shown.made}

    def attributes(self, name: str) -> dict[str, Any]:
        node = self.nodes[name]
        return {attribute.name: self._plain(held.value) for attribute, held in node.attributes.items()}

    def references(self, name: str) -> list[Any]:
        return [self._plain(reference) for reference in self.nodes[name].references]

    def inverse(self, name: str) -> list[tuple[Any, ...]]:
        """References at nodes outside the machine that lead to this one."""
        node = self.nodes[name]
        found = []
        for reference in node.references:
            if reference.NodeId.NamespaceIndex != self._namespace:
                there = self._aspace[reference.NodeId].references
                found += [(self._plain(reference.NodeId), self._plain(one)) for one in there if one.NodeId == node.nodeid]
        return found

    def _plain(self, value: Any) -> Any:
        if isinstance(value, ua.NodeId):
            return self._own(value.NamespaceIndex), self._plain(value.Identifier)
        if isinstance(value, ua.QualifiedName):
            return self._own(value.NamespaceIndex), self._plain(value.Name)
        if isinstance(value, str):
            return value.replace(self._name, "MACHINE")
        if isinstance(value, datetime):
            return "a moment"
        if isinstance(value, bytes) and len(value) == 16:
            return "an EventId"
        if isinstance(value, list):
            return [self._plain(one) for one in value]
        if is_dataclass(value):
            fields = value.__dataclass_fields__
            return type(value).__name__, *((name, self._plain(getattr(value, name))) for name in fields if name != "Encoding")
        return value

    def _own(self, namespace: int) -> Any:
        return "own" if namespace == self._namespace else namespace


@pytest.fixture(scope="module")
def built_and_copied(server: Server, machine: space.MachineSpace) -> tuple[Facts, Facts]:
    identity = machine.identity
    alone = space.build(server, [replace(identity, machine_id="CNC-901")])["CNC-901"]
    several = space.build(server, [replace(identity, machine_id=f"CNC-90{number}") for number in (2, 3)])
    return Facts(server, alone), Facts(server, several["CNC-903"])


def test_a_copied_machine_has_the_nodes_of_one_that_was_built(built_and_copied: tuple[Facts, Facts]) -> None:
    built, copied = built_and_copied
    assert list(copied.nodes) == list(built.nodes)
    assert len(copied.nodes) > 2000


def test_a_copied_machine_says_what_one_that_was_built_says(built_and_copied: tuple[Facts, Facts]) -> None:
    built, copied = built_and_copied
    assert [name for name in built.nodes if copied.attributes(name) != built.attributes(name)] == []


def test_a_copied_machine_is_found_wherever_one_that_was_built_is_found(built_and_copied: tuple[Facts, Facts]) -> None:
    built, copied = built_and_copied
    assert [name for name in built.nodes if copied.references(name) != built.references(name)] == []
    assert [name for name in built.nodes if copied.inverse(name) != built.inverse(name)] == []
    assert sum(len(built.inverse(name)) for name in built.nodes) > 1


def test_what_a_copy_says_later_its_pattern_does_not_say(server: Server, machine: space.MachineSpace) -> None:
    several = space.build(server, [replace(machine.identity, machine_id=f"CNC-90{number}") for number in (4, 5)])
    aspace = server.iserver.aspace
    pattern, copy = (aspace[one.nodes["Channel/ActProgramName"]].attributes[_A.Value] for one in several.values())
    before = pattern.value
    columns = space.blank_columns(10**18)
    columns.objects["Channel/ActProgramName"] = "O0003"  # type: ignore[index]
    several["CNC-905"].write(columns)
    assert pattern.value is before
    assert copy.value is not None
    assert copy.value.Value.Value == "O0003"


def test_what_a_pattern_says_later_a_copy_that_is_looked_at_only_then_does_not_say(
    server: Server, machine: space.MachineSpace
) -> None:
    several = space.build(server, [replace(machine.identity, machine_id=f"CNC-91{number}") for number in (1, 2)])
    aspace = server.iserver.aspace
    first, copy = several.values()
    built = space.build(server, [replace(machine.identity, machine_id="CNC-913")])["CNC-913"]
    was = Facts(server, built)
    for node_id in first.made:
        node = aspace[node_id]
        del node.references[1:]
        node.attributes.pop(_A.Description, None)
        if (held := node.attributes.get(_A.Value)) is not None:
            held.value = ua.DataValue(ua.Variant("another", ua.VariantType.String))
    copied = Facts(server, copy)
    assert [name for name in was.nodes if copied.attributes(name) != was.attributes(name)] == []
    assert [name for name in was.nodes if copied.references(name) != was.references(name)] == []


def test_machines_with_other_components_are_not_copied_from_each_other(
    server: Server, machine: space.MachineSpace, identity: Callable[[int], Identity]
) -> None:
    full, less = replace(identity(1), machine_id="CNC-906"), replace(identity(1), machine_id="CNC-907")
    less = replace(less, components=less.components[:2])
    several = space.build(server, [full, less])
    assert len(several["CNC-907"].made) < len(several["CNC-906"].made)


SIZE = Program(size=7)


def test_files_of_all_machines_are_alike_and_each_is_as_of_when_it_came(server: Server, machine: space.MachineSpace) -> None:
    several = space.build(server, [replace(machine.identity, machine_id=f"CNC-90{number}") for number in (8, 9)])
    aspace = server.iserver.aspace
    facts = []
    for shown in several.values():
        begun = datetime.now(UTC)
        asyncio.run(shown.files.show({"a.nc": SIZE, "b.nc": SIZE}))
        for name in ("a.nc", "b.nc"):
            one = Facts(server, shown)
            made = [ua.NodeId(node_id, shown.node_id.NamespaceIndex) for node_id in _below(aspace, shown.files.node_of(name))]
            one.nodes = {str(one._plain(node_id)).replace(name, "FILE"): aspace[node_id] for node_id in made}
            rows = {node: (one.attributes(node), one.references(node)) for node in one.nodes}
            facts.append(str(rows).replace(name, "FILE"))
            stamps = [held.value.SourceTimestamp for node in one.nodes.values() if (held := node.attributes.get(_A.Value))]
            assert min(stamps) >= begun  # type: ignore[type-var]
            assert len(stamps) > 5
    assert len(set(facts)) == 1


def test_a_file_with_the_name_of_another_ones_part_has_a_node_of_its_own(server: Server, machine: space.MachineSpace) -> None:
    shown = space.build(server, [replace(machine.identity, machine_id="CNC-910")])["CNC-910"]
    aspace = server.iserver.aspace
    asyncio.run(shown.files.show({"first.nc": SIZE, "a": SIZE}))
    part = ua.NodeId(f"{shown.files.node_of('a').Identifier}.Size", shown.node_id.NamespaceIndex)
    before = aspace[part]
    asyncio.run(shown.files.show({"first.nc": SIZE, "a": SIZE, "a.Size": SIZE}))
    assert aspace[part] is before
    assert shown.files.node_of("a.Size") not in (part, shown.files.node_of("a"))
    assert aspace[shown.files.node_of("a.Size")].attributes[_A.BrowseName].value.Value.Value.Name == "a.Size"  # type: ignore[union-attr]


def _below(aspace: Any, root: ua.NodeId) -> list[str]:
    """Texts of the NodeIds of a node and of what hangs below it."""
    found, waiting = [], [root]
    while waiting:
        node_id = waiting.pop()
        found.append(str(node_id.Identifier))
        waiting += [
            r.NodeId
            for r in aspace[node_id].references
            if r.IsForward and r.NodeId.NamespaceIndex == root.NamespaceIndex and r.NodeId.Identifier.startswith(found[-1])
        ]
    return found
