"""A server with one machine that is not started, and a way to start one on a free port."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, Server

from cnctwin.reading import Columns
from cnctwin.settings import Settings
from nodesets.catalogue import MACHINE, NUMERIC
from opcua_server import program, space
from opcua_server.sources.source import Identity
from tests.harness import free_ports

NUMERIC_INDEX = {signal.name: index for index, signal in enumerate(NUMERIC)}
STATUS_INDEX = {signal.name: index for index, signal in enumerate(MACHINE)}


def make_identity(number: int = 1) -> Identity:
    parts = ("Spindle1", "AxisX", "AxisY", "AxisZ", "ToolMagazine", "CoolantUnit")
    return Identity(
        machine_id=f"CNC-{number:03}",
        manufacturer="Example Machine Works",
        model="VMC-762",
        serial_number=f"SN-{number:04}",
        product_instance_uri=f"urn:example:VMC-762:{number}",
        year_of_construction=2024,
        location="N 51.257315 E 6.740885",
        software_revision="1.0.0",
        components=tuple((part, "Example Drives", f"{part}-{number}") for part in parts),
    )


class Tick:
    """Columns that a test fills by name; each ``next`` is one tenth of a second later."""

    def __init__(self) -> None:
        self.columns = space.blank_columns(time.time_ns() // 10**8 * 10**8)

    def number(self, name: str, value: float) -> Tick:
        self.columns.numbers[NUMERIC_INDEX[name]] = value
        return self

    def object(self, name: str, value: Any) -> Tick:
        self.columns.objects[name] = value  # type: ignore[index]
        return self

    def status(self, name: str, code: int) -> Tick:
        self.columns.statuses[STATUS_INDEX[name]] = code
        return self

    def next(self) -> Columns:
        self.columns.source_time_ns += 100_000_000
        return self.columns


@dataclass(frozen=True)
class Running:
    server: Server
    spaces: dict[str, space.MachineSpace]
    client: Client


@asynccontextmanager
async def running_server(machines: int = 1) -> AsyncIterator[Running]:
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder), opcua_port=free_ports(1)[0], insecure=True)
        server = await program._make_server(settings)
        spaces = space.build(server, [make_identity(number) for number in range(1, machines + 1)], live=server.columns)
        for machine_id, shown in spaces.items():
            program.give_rights(server, machine_id, shown)
        engine = program.make_front(server)
        await engine.start()
        await server.start()
        try:
            async with Client(settings.endpoint, timeout=60, watchdog_intervall=60) as client:
                yield Running(server, spaces, client)
        finally:
            await engine.stop()
            await server.stop()


@pytest.fixture
def running() -> Callable[..., AbstractAsyncContextManager[Running]]:
    return running_server


@pytest.fixture(scope="module")
def module_running() -> Callable[..., AbstractAsyncContextManager[Running]]:
    return running_server


@pytest.fixture
def tick() -> Tick:
    return Tick()


@pytest.fixture
def identity() -> Callable[[int], Identity]:
    return make_identity


async def _initialised() -> Server:
    server = Server()
    await server.init()
    return server


@pytest.fixture(scope="package")
def server() -> Iterator[Server]:
    """A server with CNC-001, never started: for what needs no client. Each module leaves the machine's id and nodes as they are;
    what it shows is what a test wrote last."""
    made = asyncio.run(_initialised())
    yield made
    made.iserver.method_service.stop()


@pytest.fixture(scope="package")
def machine(server: Server) -> space.MachineSpace:
    return space.build(server, [make_identity()])["CNC-001"]
