"""What namespace 0 says of its own structures and enumerations."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterator

import pytest
from asyncua import ua
from asyncua.server.address_space import AddressSpace

from nodesets.typed import TypedServer

A = ua.AttributeIds
STRUCTURE, UNION, ENUMERATION = ua.NodeId(22), ua.NodeId(12756), ua.NodeId(29)


@pytest.fixture(scope="module")
def aspace() -> Iterator[AddressSpace]:
    server = TypedServer()
    asyncio.run(server.init())
    yield server.aspace
    server.method_service.stop()


def below(aspace: AddressSpace, base: ua.NodeId) -> list[ua.NodeId]:
    found, waiting = [], [base]
    while waiting:
        for reference in aspace[waiting.pop()].references:
            if reference.IsForward and reference.ReferenceTypeId == ua.NodeId(45) and reference.NodeId.NamespaceIndex == 0:
                found.append(reference.NodeId)
                waiting.append(reference.NodeId)
    return found


def definition(aspace: AddressSpace, node_id: ua.NodeId) -> ua.StructureDefinition | ua.EnumDefinition:
    value = aspace[node_id].attributes[A.DataTypeDefinition].value
    assert value is not None
    assert value.Value is not None
    found: ua.StructureDefinition | ua.EnumDefinition = value.Value.Value
    return found


def test_every_structure_and_enumeration_has_a_definition(aspace: AddressSpace) -> None:
    structures, enumerations = {*below(aspace, STRUCTURE)} - {UNION}, below(aspace, ENUMERATION)
    assert len(structures) > 300
    assert len(enumerations) > 40
    assert {type(definition(aspace, one)) for one in structures} == {ua.StructureDefinition}
    assert {type(definition(aspace, one)) for one in enumerations} == {ua.EnumDefinition}
    state = definition(aspace, ua.NodeId(852))
    assert [(one.Name, one.Value) for one in state.Fields][:2] == [("Running", 0), ("Failed", 1)]


def test_a_structure_has_the_fields_with_which_it_is_encoded(aspace: AddressSpace) -> None:
    classes = {cls.data_type: cls for cls in vars(ua.uaprotocol_auto).values() if hasattr(cls, "data_type")}
    looked_at = 0
    for one in {*below(aspace, STRUCTURE)} - {UNION}:
        encoded = [field.name.lower() for field in dataclasses.fields(classes[one])] if one in classes else ["parameters"]
        if encoded[-1:] != ["parameters"]:  # requests and responses have theirs in a class of their own
            told = [field.Name.lower() for field in definition(aspace, one).Fields]
            assert [name for name in told if name != "encoding"] == [name for name in encoded if name not in ("encoding", "typeid")]
            looked_at += 1
    assert looked_at > 200
