"""``cnctwin bench attacks``: attackers go on when they are refused, leave nothing, and say what they were answered."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from opcua_server.engine.contract import Limits
from opcua_server.engine.engine import Engine
from opcua_server.engine.subscriptions import service as subscriptions
from tests.opcua_server.bench import Bench
from tests.opcua_server.engine.bench import running


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("attacks")
    with running(folder, engines, limits=Limits(sessions=3), rooms=[subscriptions.services], insecure=True) as made:
        yield made


def attacked(bench: Bench, name: str) -> dict[str, Any]:
    port = str(bench.settings.opcua_port)
    command = [sys.executable, "-m", "benchmarks.security.attacks", name, port, "1.5"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_who_gets_no_session_goes_on_asking_and_what_is_left_goes(bench: Bench, engines: list[Engine]) -> None:
    found = attacked(bench, "reads of 10,000")  # five sessions, where there are three
    assert found["answers"]["BadTooManySessions"] > 10
    assert found["frames"] > 0
    until = time.monotonic() + 30
    while engines[0].sessions and time.monotonic() < until:
        time.sleep(0.1)
    assert not engines[0].sessions
