"""What a server does when its clock is set, and when its disk takes nothing any more."""

from __future__ import annotations

import asyncio
import contextlib
import errno
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cnctwin.program import Status
from cnctwin.settings import Settings
from opcua_server.program import Clock, Plant
from opcua_server.run import serverstate
from opcua_server.run.checkpoints import Checkpoints


def test_alarms_hear_that_the_clock_was_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, wall_ns, heard = [100.0], [10**18], []
    server = SimpleNamespace(columns=SimpleNamespace(ticks=SimpleNamespace(one=contextlib.nullcontext)))
    monkeypatch.setattr(serverstate, "show_service_level", lambda *_: None)
    clock = Clock(lambda: now_s[0], lambda: wall_ns[0])
    plant = Plant(Settings(data=tmp_path), Status("server"), clock, cast(Any, server), Checkpoints(tmp_path))
    plant._spaces = cast(Any, {"M": SimpleNamespace(alarms=SimpleNamespace(clock_set=heard.append))})
    for by_ns in (0, 0, -3_600_000_000_000, 0, 86_400_000_000_000):
        now_s[0] += 1.0
        wall_ns[0] += 1_000_000_000 + by_ns
        asyncio.run(plant.tick())
    assert heard == [-3_600_000_000_000, 86_400_000_000_000]


def test_a_disk_that_takes_nothing_is_told_in_the_same_words_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A file is written under another name each time, which made the same news every five seconds."""
    monkeypatch.setattr("opcua_server.program.CHECKPOINT_EVERY_S", 0.0)
    tried: list[str] = []

    def write(machine_id: str, _state: Any, **_: Any) -> None:
        tried.append(machine_id)
        raise OSError(errno.EROFS, "Read-only file system", f".{machine_id}.json-{len(tried)}")

    checkpoints = Checkpoints(tmp_path)
    monkeypatch.setattr(checkpoints, "write", write)
    plant = Plant(Settings(data=tmp_path), Status("server"), Clock(), cast(Any, None), checkpoints)
    plant.machines = [cast(Any, SimpleNamespace(machine_id="M", problem="", checkpoint=dict))]
    told: set[str] = set()

    async def run() -> None:
        keeping = asyncio.create_task(plant.keep())
        while len(tried) < 4:
            await asyncio.sleep(0.01)
            told.update(plant._problems())
        keeping.cancel()

    asyncio.run(asyncio.wait_for(run(), 60))
    assert told == {f"state cannot be kept: {tmp_path / 'server'}: Read-only file system"}
    assert len(caplog.records) == 1
