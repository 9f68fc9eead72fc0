"""The page of the model against the model: what it says is there is there, and what it says is not is not."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua
from asyncua.server.address_space import AddressSpace

from nodesets.states import MachineState
from opcua_server import space
from opcua_server.jobs.results import RunResult
from opcua_server.sources.source import Identity
from opcua_server.space import MachineSpace

_A = ua.AttributeIds
_HANGS = {ua.NodeId(number, 0) for number in (35, 46, 47, 49, 17604, 24136)} | {ua.NodeId(4002, 3)}
"""References by which a client browses down; the last is HasStatisticComponent of OPC 10000-200."""


def children(aspace: AddressSpace, node_id: ua.NodeId) -> dict[str, ua.NodeId]:
    return {r.BrowseName.Name: r.NodeId for r in aspace[node_id].references if r.IsForward and r.ReferenceTypeId in _HANGS}


def found(aspace: AddressSpace, root: ua.NodeId, path: str) -> ua.NodeId | None:
    """What is at a path of browse names."""
    node_id: ua.NodeId | None = root
    for name in path.split("/"):
        node_id = None if node_id is None else children(aspace, node_id).get(name)
    return node_id


def places(text: str) -> Iterator[str]:
    """``A/{B,C}/D`` is A/B/D and A/C/D."""
    for written in re.findall(r"`([^`]+)`", text):
        steps = [step.strip("{}").split(",") for step in re.findall(r"\{[^}]+\}|[^/{}]+", written)]
        yield from ("/".join(one) for one in itertools.product(*steps))


def rows(clone: Path, heading: str) -> list[list[str]]:
    table = (clone / "docs" / "model.md").read_text("utf-8").partition(f"## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]


def test_everything_that_the_page_names_is_there(clone: Path, server: Server, machine: MachineSpace) -> None:
    aspace = server.iserver.aspace
    named = {part: list(places(where)) for part, where, _, _ in rows(clone, "What is there")}
    assert len(named) > 35
    assert [path for paths in named.values() for path in paths if found(aspace, machine.node_id, path) is None] == []
    assert [part for part, paths in named.items() if not paths] == []


def test_nothing_that_the_page_calls_missing_is_there(clone: Path, server: Server, machine: MachineSpace) -> None:
    absent = rows(clone, "What is not there, and why")
    assert absent
    for part, where, why in absent:
        assert why, part
        for path in places(where):
            assert found(server.iserver.aspace, machine.node_id, path.rpartition("/")[0]) is not None, path
            assert found(server.iserver.aspace, machine.node_id, path) is None, path


def test_what_the_page_says_comes_and_goes_is_no_part_of_a_new_machine_and_comes(
    clone: Path, server: Server, identity: Callable[[int], Identity], tick: Any
) -> None:
    new = space.build(server, [identity(7)])["CNC-007"]
    aspace = server.iserver.aspace
    named = [path for _, where, _, _ in rows(clone, "What comes and goes") for path in places(where)]
    assert len(named) > 6
    assert [path for path in named if found(aspace, new.node_id, path)] == []
    tick.number("Machine/State", MachineState.MAINTENANCE).object("Machine/MaintenanceMode", "Repair")
    tick.number("Channel/RemainingTime", 60.0)
    for minute in range(25):
        columns = tick.number("Coolant/Level", 80.0 - 0.1 * minute).next()
        columns.source_time_ns += 60_000_000_000
        new.write(columns)
    new.results.show(RunResult(1, "part.nc", "", 1, 2, True, "", 1.0, 1.0, 0.0))
    assert [path for path in named if not found(aspace, new.node_id, path)] == []


def test_building_blocks_are_the_nodes_themselves(server: Server, machine: MachineSpace) -> None:
    """OPC 40001-1, 7.2: a second parent, never a copy."""
    aspace, block = server.iserver.aspace, "MachineryBuildingBlocks"
    pairs = [(f"{block}/{name}", name) for name in ("Identification", "Components")]
    pairs += [(f"Monitoring/MachineTool/{name}", f"{block}/{name}") for name in ("MachineryItemState", "OperationCounters")]
    status = f"{block}/Monitoring/Status"
    pairs += [(f"{status}/{name}", f"{block}/{name}") for name in ("MachineryItemState", "MachineryOperationMode")]
    pairs += [(f"{status}/Stacklight", "Monitoring/Stacklight"), (f"{block}/Notifications/Messages", "Notification/Messages")]
    pairs += [(f"{block}/Monitoring/Process/WearPercent", "Signals/Tool/WearPercent")]
    for second, first in pairs:
        node_id = found(aspace, machine.node_id, first)
        assert node_id is not None, first
        assert found(aspace, machine.node_id, second) == node_id, second


def test_the_name_plate_says_who_the_machine_is(
    server: Server, machine: MachineSpace, identity: Callable[[int], Identity]
) -> None:  # fmt: skip
    aspace, who = server.iserver.aspace, identity(1)

    def said(path: str) -> Any:
        node_id = found(aspace, machine.node_id, path)
        assert node_id is not None, path
        held = aspace[node_id].attributes[_A.Value].value
        assert held is not None
        content = held.Value.Value
        return content.Text if isinstance(content, ua.LocalizedText) else content

    expected: dict[str, Any] = {
        "Manufacturer": who.manufacturer, "Model": who.model, "SerialNumber": who.serial_number,
        "ProductInstanceUri": who.product_instance_uri, "SoftwareRevision": who.software_revision,
        "YearOfConstruction": who.year_of_construction, "MonthOfConstruction": who.month_of_construction,
        "InitialOperationDate": datetime(who.year_of_construction, who.month_of_construction, 1, tzinfo=UTC),
        "Location": who.location, "AssetId": who.machine_id, "ComponentName": who.machine_id,
    }  # fmt: skip
    assert {name: said(f"Identification/{name}") for name in expected} == expected
    for name in ("NC", "PLC", "Simulator"):
        assert said(f"Identification/SoftwareIdentification/{name}/Identifier") == name
        assert said(f"Identification/SoftwareIdentification/{name}/SoftwareRevision") == who.software_revision
    for name, manufacturer, serial in who.components:
        plate = f"Components/{name}/Identification"
        assert (said(f"{plate}/Manufacturer"), said(f"{plate}/SerialNumber")) == (manufacturer, serial)
    assert said("CncInterface/VendorName") == who.manufacturer
    assert said("CncInterface/VendorRevision") == who.software_revision


@pytest.mark.parametrize(("text", "expected"), [("`A`, `B/C`", ["A", "B/C"]), ("`A/{B,C}/D`", ["A/B/D", "A/C/D"]), ("none", [])])
def test_places_are_read_as_they_are_written(text: str, expected: list[str]) -> None:
    assert list(places(text)) == expected
