"""A simulated machine in a server that is stepped by hand, with one client: time passes only when a test says so."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncua import Client, Node, ua

from cnctwin.settings import Settings
from nodesets.catalogue import NUMERIC
from nodesets.namespaces import URI
from nodesets.states import MachineState
from opcua_server import program, space
from opcua_server.run.machine import RunningMachine
from opcua_server.run.programs import ProgramFolder
from opcua_server.run.schedule import Tick
from opcua_server.sources.simulated import SimulatedSource
from opcua_server.space.jobs_values import JobTypes
from opcua_server.space.types import TypeSpace
from tests.harness import free_ports

SHORT = "O1\nT6 M6\nG0 X0. Y0.\nG4 P2.\nM30\n"
LONG = "O2\nG0 X0. Y0.\nG4 P600.\nM30\n"
BAD = "O3\nG0 X0.\nG1 X(\nM30\n"
STATE = [signal.name for signal in NUMERIC].index("Machine/State")


@dataclass
class Plant:
    server: Any
    client: Client
    machine: RunningMachine
    source: SimulatedSource
    shown: space.MachineSpace
    types: JobTypes
    index: dict[str, int]
    kept: list[Mapping[str, object]] = field(default_factory=list)
    _ticks: Any = field(default_factory=lambda: itertools.count(1))

    @property
    def state(self) -> MachineState:
        return MachineState(int(self.source.columns().numbers[STATE]))

    async def pass_s(self, seconds: float) -> None:
        """Let machine time pass, a second a tick."""
        for _ in range(round(seconds)):
            number = next(self._ticks)
            await self.machine.step(1.0, Tick(number, 1_790_000_000_000_000_000 + number * 1_000_000_000, 0), float(number))
            assert not self.machine.problem

    async def until(self, condition: Callable[[], bool], most_s: int = 200) -> None:
        for _ in range(most_s):
            if condition():
                return
            await self.pass_s(1)
        raise AssertionError(f"not within {most_s} s of the machine; it is {self.state.name}")

    def node(self, *path: str) -> Node:
        """A node below the machine by its browse names; asked for by its NodeId, which is its path."""
        return self.client.get_node(ua.NodeId(".".join(("CNC-001", *path)), self.shown.node_id.NamespaceIndex))

    async def call(self, method: str, *arguments: Any) -> Any:
        """A method of job management; its output arguments."""
        owner, method_id = self.shown.jobs.methods[method]
        return await self.client.get_node(owner).call_method(method_id, *arguments)

    async def do(self, method: str, order_id: str) -> int:
        return int(await self.call(method, order_id, ua.Variant([], ua.VariantType.LocalizedText, is_array=True)))

    async def order(self, method: str, order_id: str, *programs: str, **more: Any) -> int:
        """Store, StoreAndStart or Update."""
        master = self.types._work_master
        made = self.types.order_class(JobOrderID=order_id, WorkMasterID=[master(ID=name) for name in programs], **more)
        comment = ua.Variant([ua.LocalizedText("a test", "en")], ua.VariantType.LocalizedText)
        return int(await self.call(method, made, comment))

    def runs(self, number: int) -> list[Any]:
        return [self.types._parameter(ID="RunsPlanned", Value=ua.Variant(number, ua.VariantType.UInt32))]

    async def states(self) -> dict[str, str]:
        """JobOrderID -> state, as JobOrderList has it."""
        control = self.node("MachineryBuildingBlocks", "JobManagement", "JobOrderControl", "JobOrderList")
        return {row.JobOrder.JobOrderID: row.State[0].StateText.Text for row in await control.read_value()}

    async def plan(self) -> dict[str, tuple[str, int]]:
        """Identifier -> (state, runs completed), as MT:ProductionPlan has it."""
        found = {}
        for job in await self.node("Production", "ProductionPlan").get_children(ua.ObjectIds.HasOrderedComponent):
            names = {(await child.read_browse_name()).Name: child for child in await job.get_children()}
            state = await names["State"].get_child("0:CurrentState")
            said = (await state.read_value()).Text, await names["RunsCompleted"].read_value()
            found[await names["Identifier"].read_value()] = said
        return found


@asynccontextmanager
async def plant(folder: Path, saved: Mapping[str, object] | None = None, *, repeat: bool = False) -> AsyncIterator[Plant]:
    settings = Settings(data=folder, opcua_port=free_ports(1)[0], insecure=True)
    with space.without_collector():
        server = await program._make_server(settings)
    programs = ProgramFolder(folder)
    for name, text in (("short.nc", SHORT), ("long.nc", LONG), ("bad.nc", BAD)):
        programs.store(name, text)
    kept: list[Mapping[str, object]] = []

    def make(state: Mapping[str, object] | None) -> SimulatedSource:
        return SimulatedSource("CNC-001", 1, {"own.nc": SHORT}, None, repeat, state)

    source = make(saved)
    shown = space.build(server, [source.identity], live=server.columns)["CNC-001"]
    program.give_rights(server, "CNC-001", shown)

    async def keep() -> None:
        state = machine.checkpoint()
        assert state is not None
        kept.append(state)

    machine = RunningMachine("CNC-001", source, shown, make, programs, saved, keep)  # type: ignore[arg-type]
    program.offer_files(server, machine, shown, programs)
    engine = program.make_front(server)
    await engine.start()
    await server.start()
    try:
        async with Client(
            settings.endpoint, timeout=60, watchdog_intervall=60
        ) as client:  # its structures are known here: the server is in this process
            types = TypeSpace(server.iserver.aspace)
            made = Plant(
                server, client, machine, source, shown, JobTypes(types), {p: types.index[p] for p in URI if p in types.index}, kept
            )
            await made.pass_s(1)
            yield made
    finally:
        await engine.stop()
        await server.stop()
