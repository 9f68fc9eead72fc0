"""What a browser of another house finds in the whole server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from nodesets.catalogue import RESULTS
from nodesets.namespaces import instance_uri
from nodesets.paths import parse
from nodesets.states import MachineState
from opcua_server.run import results
from opcua_server.sources.simulated import SimulatedSource
from tests.opcua_server.bench import Bench, Machine, machine, running
from tests.opcua_server.engine.node import answer

PROGRAM = Path(__file__).with_name("node_crawl.js")
PART = "O1\nT6 M6\nG0 X0. Y0.\nG4 P2.\nM30\n"
FIRST: Mapping[str, Any] = {"Double": 0.5, "Boolean": False, "String": "", "DateTime": datetime(2027, 1, 1, tzinfo=UTC)}


def mill(machine_id: str, state: Mapping[str, object] | None) -> SimulatedSource:
    return SimulatedSource(machine_id, 1, {"part.nc": PART}, "part.nc", False, state)


async def write_results(client: Client) -> None:
    """The first verdict on the machine, as the analytics write it."""
    uri = (await client.get_namespace_array()).index(instance_uri("CNC-001"))
    moment = datetime.now(UTC)
    for signal in RESULTS:
        steps = [step.name for step in parse(signal.nodes[0])] if signal.nodes else ["Signals", *signal.name.split("/")]
        value = ua.Variant(FIRST[signal.type], ua.VariantType[signal.type])
        node = client.get_node(ua.NodeId(".".join(("CNC-001", *steps)), uri))
        await node.write_value(ua.DataValue(value, SourceTimestamp=moment))


async def make_a_part(there: Machine) -> None:
    await there.call("Start")
    parts, state = await there.signal("Machine/PartsProduced"), await there.signal("Machine/State")
    async with asyncio.timeout(60):
        while (await parts.read_value(), await state.read_value()) != (1, MachineState.IDLE):
            await asyncio.sleep(0.05)


async def crawl(bench: Bench, modules: Path, folder: Path) -> Any:
    program = [str(PROGRAM), bench.settings.endpoint, str(folder / "pki")]
    return await asyncio.to_thread(answer, modules, folder, [*program, "admin", bench.password("admin")])


def test_node_opcua_walks_the_whole_server_and_trips_over_nothing(
    modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As UaExpert does it: every attribute of every node, for an administrator, who sees most. The machine has made a part, the
    analytics have judged it, and somebody services it now: nothing is bad, without exception."""
    monkeypatch.setattr(results, "SILENT_S", 3_600.0)  # whoever judges is there all the time, however long the walk takes

    async def story(bench: Bench) -> Any:
        async with bench.client("operator", name="panel") as panel, bench.client("analytics", name="judge") as judge:
            there = await machine(panel)
            await make_a_part(there)
            await there.call("BeginMaintenance", "Service")
            await write_results(judge)
            return await crawl(bench, modules, tmp_path)

    with running(tmp_path / "crawl", mill, speed=20.0) as bench:
        found = asyncio.run(story(bench))
    assert (found["bad"], found["untyped"], found["nulls"], found["analogs"]) == ([], [], [], [])
    assert found["nodes"] > 5_000
    assert found["below"] > 1_000
    assert found["analog"] > 50
