"""What a browser of another house finds in the whole server."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nodesets.catalogue import RESULTS
from nodesets.paths import parse
from nodesets.states import MachineState
from opcua_server.sources.simulated import SimulatedSource
from tests.opcua_server.bench import Bench, Machine, machine, running
from tests.opcua_server.engine.node import answer

PROGRAM = Path(__file__).with_name("node_crawl.js")
PART = "O1\nT6 M6\nG0 X0. Y0.\nG4 P2.\nM30\n"


def mill(machine_id: str, state: Mapping[str, object] | None) -> SimulatedSource:
    return SimulatedSource(machine_id, 1, {"part.nc": PART}, "part.nc", False, state)


async def make_a_part(there: Machine) -> None:
    await there.call("Start")
    parts, state = await there.signal("Machine/PartsProduced"), await there.signal("Machine/State")
    async with asyncio.timeout(60):
        while (await parts.read_value(), await state.read_value()) != (1, MachineState.IDLE):
            await asyncio.sleep(0.05)


async def crawl(bench: Bench, modules: Path, folder: Path) -> Any:
    program = [str(PROGRAM), bench.settings.endpoint, str(folder / "pki")]
    return await asyncio.to_thread(answer, modules, folder, [*program, "admin", bench.password("admin")])


def test_node_opcua_walks_the_whole_server_and_trips_over_nothing(modules: Path, tmp_path: Path) -> None:
    """As UaExpert does it: every attribute of every node, for an administrator, who sees most. The machine has made its first part,
    the analytics have judged nothing yet, and somebody services it: nothing is bad, without exception, and nothing is Null."""

    async def story(bench: Bench) -> Any:
        async with bench.client("operator", name="panel") as panel:
            there = await machine(panel)
            await make_a_part(there)
            await there.call("BeginMaintenance", "Service")
            return await crawl(bench, modules, tmp_path)

    with running(tmp_path / "crawl", mill, speed=20.0) as bench:
        found = asyncio.run(story(bench))
    assert (found["bad"], found["untyped"], found["nulls"], found["analogs"]) == ([], [], [], [])
    results = {parse(signal.nodes[0])[-1].name if signal.nodes else signal.name.partition("/")[2] for signal in RESULTS}
    quality = "Quality"  # of the alarm at a score that there is not yet
    assert set(found["uncertain"]) <= {f"{name} UncertainInitialValue" for name in (*results, quality)}
    assert len(found["uncertain"]) >= len(RESULTS)
    assert found["nodes"] > 5_000
    assert found["below"] > 1_000
    assert found["analog"] > 50
