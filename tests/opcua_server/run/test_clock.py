"""The wall clock is set under a running server."""

from __future__ import annotations

import asyncio
import contextlib
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
