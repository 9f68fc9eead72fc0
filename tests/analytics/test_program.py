"""The program against a server in a process of its own: results appear there, and what was learned is on disk at the end."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import weakref
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from asyncua import Client, ua

import analytics.program
from analytics import memory
from analytics.features import SIGNALS
from analytics.program import QUEUE, _Analytics, watch
from analytics.watcher import Watcher
from cnctwin.link import Link, LinkSettings, MethodFailed, Remark
from cnctwin.link.readers import BatchReader
from cnctwin.program import Status
from cnctwin.reading import Batch, Reading
from cnctwin.results_file import ResultsFile
from nodesets.binding import Bound
from nodesets.catalogue import MACHINE, RESULTS

SERVER = Path(__file__).parents[1] / "cnctwin" / "link" / "small_server.py"
WAITING = 0x80320000


async def bind(client: Client) -> dict[str, Bound]:
    index = await client.get_namespace_index("urn:small")
    folder = await client.nodes.objects.get_child(f"{index}:Machines")
    found = {}
    for machine in await folder.get_children():
        bound = found.setdefault((await machine.read_browse_name()).Name, Bound("M1", machine.nodeid))
        for child in await machine.get_children():
            if await child.read_node_class() is ua.NodeClass.Variable:
                bound.nodes[(await child.read_browse_name()).Name] = child.nodeid
    return found


def test_results_reach_the_server_and_survive_it(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, str(SERVER), str(port), str(tmp_path / "server"), "--tick", "0.1"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline() == "ready\n"
            asyncio.run(scenario(port, tmp_path))
        finally:
            server.kill()


async def scenario(port: int, tmp_path: Path) -> None:
    url = f"opc.tcp://127.0.0.1:{port}"
    status = Status("analytics")
    link = Link(LinkSettings(url, "analytics", tmp_path, publishing_interval=0.1, insecure=True), bind=bind)
    program = asyncio.create_task(watch(link, tmp_path, 1, status))
    reader = Link(LinkSettings(url, "reader", tmp_path, publishing_interval=0.1, insecure=True), bind=bind)
    reading = asyncio.create_task(reader.run())
    try:
        async with asyncio.timeout(30):
            await _until(lambda: status.state == "ready" and status.facts.get("machines") == 1)
            # The small server has two results and no rows to learn from for minutes: they say that they wait.
            await _until(lambda: "M1" in reader.machines and set(_statuses(reader)) == {WAITING})
            await _until(lambda: int(status.facts.get("rows", 0)) > 2)
            # Those that it has no node for lie beside it.
            beside = {reading.signal for reading in ResultsFile(tmp_path, "M1").news()}
            assert {"Analytics/ZScore", "Analytics/Anomalous"} <= beside
            assert "Analytics/AnomalyScore" not in beside
    finally:
        program.cancel()
        reading.cancel()
        await asyncio.gather(program, reading, return_exceptions=True)
    state = memory.load(memory.path_of(tmp_path / "analytics", "M1"))
    assert state is not None
    assert state["rows"] > 2


def _statuses(link: Link) -> list[int]:
    return [item.status for name, item in link.latest("M1").items() if name.startswith("Analytics/")]


async def _until(condition) -> None:  # type: ignore[no-untyped-def]
    while not condition():
        await asyncio.sleep(0.02)


def test_results_that_are_older_than_what_the_link_knows_are_told_as_behind(tmp_path: Path) -> None:
    def reading(when_s: int) -> Reading:
        return Reading("Spindle/ActSpeed", 1.0, 0, when_s * 10**9, when_s * 10**9)

    newest = reading(170)
    link = SimpleNamespace(
        state="connected", reason="", remarks=(), dropped=7, reconnects=0, machines={}, latest=lambda _: {newest.signal: newest}
    )
    status = Status("analytics")
    program = _Analytics(cast(Link, link), tmp_path, 1, status)
    watcher = program._watchers["M1"] = Watcher("M1", 1)
    reader = program._readers["M1"] = BatchReader(QUEUE, None, None)
    for when_s in range(100, 112):
        assert not list(watcher.add(Batch("M1", when_s * 10**9, (reading(when_s),))))
    program._tell()
    assert status.state == "ready", "nothing waits: a clock that has jumped, not a slow computer"
    link.remarks = (Remark("", "the server's clock is 60 s ahead of ours"),)
    program._tell()
    assert (status.state, status.reason) == ("ready", "the server's clock is 60 s ahead of ours")
    for when_s in range(112, 170):
        reader.offer(Batch("M1", when_s * 10**9, (reading(when_s),)))
    program._tell()
    assert (status.state, status.reason) == ("degraded", "M1: 50 s behind, this computer is too slow for its analytics")
    newest = reading(112)
    program._tell()
    assert status.state == "ready"
    program.end()


def test_what_waits_for_ever_is_told_with_what_it_lacks(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A server of another maker: it shows its spindle, and no tool, no structure and no way oil."""
    caplog.set_level("INFO", "analytics.program")
    shown = frozenset({"Spindle/ActSpeed", "Spindle/Temperature", "Spindle/VibrationVelocity", "Coolant/Flow"})
    machines = {"MILL-7": SimpleNamespace(signals=shown)}
    link = SimpleNamespace(state="connected", reason="", remarks=(), dropped=0, reconnects=0, machines=machines)
    status = Status("analytics")
    program = _Analytics(cast(Link, link), tmp_path, 1, status)
    program._watchers["MILL-7"] = Watcher("MILL-7", 1)
    program._tell()
    program._tell()
    assert status.state == "ready"
    assert status.reason == (
        "MILL-7: the server shows too little for drift, wear, chatter, lubrication, sensor, tool life; the log says what is missing"
    )
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == 6
    assert "MILL-7: nothing of drift without Structure/Temperature or Coolant/Level" in told
    assert "MILL-7: nothing of tool life without Tool/Number, Tool/CuttingTime, Tool/WearPercent" in told
    machines["MILL-7"].signals = frozenset(row.name for row in MACHINE)
    program._tell()
    assert status.reason == ""
    program.end()


def test_what_cannot_be_saved_is_told_until_it_can(tmp_path: Path) -> None:
    link = SimpleNamespace(state="connected", reason="", remarks=(), dropped=0, reconnects=0, machines={}, latest=lambda _: {})
    status = Status("analytics")
    program = _Analytics(cast(Link, link), tmp_path, 1, status)
    watcher = program._watchers["M1"] = Watcher("M1", 1)
    watcher.rows = 1
    (tmp_path / "analytics").write_text("a file where the folder belongs")
    program.save()
    program._tell()
    assert (status.state, status.reason) == ("degraded", "M1: what was learned cannot be saved: File exists")
    (tmp_path / "analytics").unlink()
    program.save()
    program._tell()
    assert status.state == "ready"
    program.end()


def test_nothing_of_what_was_saved_is_held_until_the_next_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics.program, "SAVE_S", 0.0)
    made: list[weakref.ref[np.ndarray]] = []

    def state() -> dict[str, np.ndarray]:
        monkeypatch.setattr(analytics.program, "SAVE_S", 3600.0)
        rows = np.zeros(1000)
        made.append(weakref.ref(rows))
        return {"rows": rows}

    program = _Analytics(cast(Link, SimpleNamespace()), tmp_path, 1, Status("analytics"))
    program._watchers["M1"] = cast(Watcher, SimpleNamespace(machine_id="M1", state=state))

    async def scenario() -> None:
        saving = asyncio.create_task(program.save_now_and_then())
        async with asyncio.timeout(30):
            await _until(lambda: "M1" in program._saved)
            await _until(lambda: made[0]() is None)
        saving.cancel()

    asyncio.run(scenario())
    program.end()
    assert memory.load(memory.path_of(tmp_path / "analytics", "M1")) is not None


def test_results_that_the_server_refuses_lie_beside_it_and_are_offered_again_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics.program, "WRITE_S", 0.0)
    offered: list[int] = []
    is_refused = True

    async def write(_: str, readings: list[Reading]) -> None:
        await asyncio.sleep(0)
        if readings:
            offered.append(len(readings))
            if is_refused:
                raise MethodFailed(0x801F0000, "BadUserAccessDenied", "no")

    machine = SimpleNamespace(signals=frozenset((*SIGNALS, *(row.name for row in RESULTS))))
    link = SimpleNamespace(state="connected", reason="", remarks=(), dropped=0, reconnects=0, machines={"M1": machine}, write=write)
    status = Status("analytics")
    program = _Analytics(cast(Link, link), tmp_path, 1, status)
    watcher = program._watchers["M1"] = Watcher("M1", 1)
    beside = ResultsFile(tmp_path, "M1")

    async def scenario() -> None:
        nonlocal is_refused
        writing = asyncio.create_task(program._write(watcher))
        async with asyncio.timeout(30):
            await _until(lambda: len(beside.news()) == len(RESULTS))
            await _until(lambda: len(beside.news()) == len(RESULTS))
            assert offered == [len(RESULTS)], "once, until it is time again"
            program._tell()
            assert status.state == "ready"
            assert "takes no results (BadUserAccessDenied), the gateway shows them" in status.reason
            is_refused = False
            program._again.clear()
            await _until(lambda: len(offered) > 2 and not beside.path.exists())
        program._tell()
        assert status.reason == ""
        writing.cancel()

    asyncio.run(scenario())
    program.end()
