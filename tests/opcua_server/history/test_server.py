"""History of a whole server: kept while it runs, there again after a restart, and read beside everything else."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from asyncua import ua

from opcua_server.sources.source import SourceEvent
from tests.harness import wait_for
from tests.opcua_server.bench import Bench, machine, run, running
from tests.opcua_server.engine.conformance.past import value_id

_SINCE = datetime.now(UTC) - timedelta(days=1)


async def history(client: Any, node_id: Any, details: Any) -> Any:
    params = ua.HistoryReadParameters(details, ua.TimestampsToReturn.Source, False, [value_id(node_id)])
    (result,) = await client.uaclient.history_read(params)
    result.StatusCode.check()
    return result.HistoryData


def positions(bench: Bench, least: int) -> list[tuple[datetime, float | None]]:
    """What is kept of X, oldest first, once it is so much."""

    async def read() -> Any:
        async with bench.client() as client:
            node = await (await machine(client)).signal("Axes/X/ActPos")
            details = ua.ReadRawModifiedDetails(
                IsReadModified=False,
                StartTime=_SINCE,
                EndTime=datetime.now(UTC) + timedelta(days=1),
                NumValuesPerNode=0,
                ReturnBounds=False,
            )
            while len(values := (await history(client, node.nodeid, details)).DataValues or []) < least:
                await asyncio.sleep(0.05)
            return [(value.SourceTimestamp, None if value.StatusCode.is_bad() else value.Value.Value) for value in values]

    return run(read)  # type: ignore[no-any-return]


def until_told(bench: Bench, text: str) -> None:
    """Read events of the machine until one of them says so."""

    async def read() -> None:
        async with bench.client() as client:
            found = await machine(client)
            node = (await client.nodes.root.get_child(found._path)).nodeid
            select = ua.SimpleAttributeOperand(ua.NodeId(2041), [ua.QualifiedName("Message", 0)], 13, None)
            details = ua.ReadEventDetails(
                0, _SINCE, datetime.now(UTC) + timedelta(days=1), ua.EventFilter([select], ua.ContentFilter())
            )
            while True:
                events = (await history(client, node, details)).Events or []
                if text in [event.EventFields[0].Value.Text for event in events]:
                    return
                await asyncio.sleep(0.05)

    run(read)


def every_node_of_a_signal_has_its_history(bench: Bench) -> None:
    async def read() -> None:
        async with bench.client() as client:
            found = await machine(client)
            index = {prefix: found._index[prefix] for prefix in ("MT", "CNC")}
            channel = await (await machine(client)).signal("Channel/FeedOverride")
            tool = [f"{index['MT']}:{step}" for step in ("Monitoring", "MachineTool", "FeedOverride")]
            lists = [f"{index['CNC']}:{step}" for step in ("CncInterface", "CncChannelList")]
            own = found._path[-1].partition(":")[0]
            paths = [tool, *([*lists, f"{own}:Channel1", f"{index['CNC']}:{name}"] for name in ("ActOverride", "CmdOverride"))]
            nodes = [channel, *[await client.nodes.root.get_child([*found._path, *path]) for path in paths]]
            assert len({node.nodeid for node in nodes}) == 4
            end = datetime.now(UTC) + timedelta(days=1)
            details = ua.ReadRawModifiedDetails(False, _SINCE, end, 0, False)
            told = [(await history(client, node.nodeid, details)).DataValues for node in nodes]
            assert len(told[0]) > 0
            assert told[1:] == told[:1] * 3
            for node in nodes:
                level = await node.read_attribute(ua.AttributeIds.AccessLevel)
                historizing = await node.read_attribute(ua.AttributeIds.Historizing)
                assert (level.Value.Value & 4, historizing.Value.Value) == (4, True)

    run(read)


def test_history_survives_a_restart_and_shows_when_the_server_did_not_run(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        bench.sources["CNC-001"].events.append(SourceEvent("message", time.time_ns(), 100, "M1", "door closed"))
        before = positions(bench, 5)
        numbers = [value for _, value in before if value is not None]
        assert numbers == sorted(set(numbers))  # each step is another position
        until_told(bench, "door closed")
        every_node_of_a_signal_has_its_history(bench)
    with running(tmp_path) as bench:
        # Where it did not run is said once the server is ready.
        wait_for(lambda: any(value is None for _, value in positions(bench, len(before) + 1)), "a gap")
        after = positions(bench, len(before) + 3)
        assert after[: len(before)] == before
        gap = [place for place, (_, value) in enumerate(after) if value is None]
        assert len(gap) == 1
        assert gap[0] >= len(before)
        assert after[gap[0]][0] - after[gap[0] - 1][0] == timedelta(milliseconds=1)
        until_told(bench, "door closed")
