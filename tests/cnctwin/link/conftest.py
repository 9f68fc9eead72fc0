"""A small server in a process of its own, and a binding by browse name for its space."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua

from nodesets.binding import Bound

SCRIPT = Path(__file__).with_name("small_server.py")


async def bind_small(client: Client) -> dict[str, Bound]:
    """By browse names alone: the namespace index may be another one after a restart."""
    index = await client.get_namespace_index("urn:small")
    folder = await client.nodes.objects.get_child(f"{index}:Machines")
    found = {}
    for machine in await folder.get_children():
        name = (await machine.read_browse_name()).Name
        bound = Bound(name, machine.nodeid, manufacturer="Small", model="S1")
        for child in await machine.get_children():
            child_name = (await child.read_browse_name()).Name
            if await child.read_node_class() is ua.NodeClass.Method:
                bound.methods[child_name] = (machine.nodeid, child.nodeid)
            else:
                bound.nodes[child_name] = child.nodeid
        found[name] = bound
    return found


class SmallServer:
    def __init__(self, folder: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder = folder
        self.process: subprocess.Popen[str] | None = None

    @property
    def url(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.port}"

    def start(self, *options: str) -> None:
        command = [sys.executable, str(SCRIPT), str(self.port), str(self.folder), *options]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def tell(self, line: str) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(BrokenPipeError):
                        pipe.close()
            self.process = None


@pytest.fixture
def small(tmp_path: Path) -> Iterator[SmallServer]:
    server = SmallServer(tmp_path / "server")
    yield server
    server.kill()


@pytest.fixture
def bind() -> Callable[[Client], Awaitable[dict[str, Bound]]]:
    return bind_small


async def until(condition: Callable[[], Any], what: str = "", timeout_s: float = 20.0) -> Any:
    """Wait for a condition, looking every 10 ms."""
    async with asyncio.timeout(timeout_s):
        while not (found := condition()):
            await asyncio.sleep(0.01)
    return found


@pytest.fixture
def eventually() -> Callable[..., Awaitable[Any]]:
    return until
