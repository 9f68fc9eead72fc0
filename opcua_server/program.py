"""The server program: machines and their OPC UA server, one task that steps them all, one that keeps their state.

    settings, secrets, certificate --checked--> address space --built--> port --opened--> first tick --> ready
                                                                                            |
              every period: schedule.take -> some: simulated; each: columns, nodes, events  +-> checkpoints every few seconds
                                             (the loop serves clients in between)

Nothing listens before everything that can be wrong with the configuration was looked at.
"""

from __future__ import annotations

import asyncio
import errno
import functools
import gc
import logging
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from certs.kinds import CURVES
from certs.pki import CertificateProblem, application_uri
from cnctwin.errors import ConfigurationError, StartError
from cnctwin.program import Status
from cnctwin.reading import UNCERTAIN_LAST_USABLE
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from nodesets import loader
from nodesets.methods import BY_NAME, JOB_METHODS, RESULT_METHODS
from nodesets.model_file import read_model
from nodesets.namespaces import instance_uri
from nodesets.nodeset_xml import NodesetError
from nodesets.official import OfficialNodesetMissing
from opcua_server import space
from opcua_server.alarms import limits_file
from opcua_server.alarms import methods as alarms
from opcua_server.alarms.keeper import Keeper
from opcua_server.alarms.table import TABLE, LimitAlarm
from opcua_server.engine import diagnostics
from opcua_server.engine.configuration import room as configuration
from opcua_server.engine.contract import Limits, Room
from opcua_server.engine.engine import Engine
from opcua_server.engine.reverse import Reverse
from opcua_server.engine.subscriptions import service as subscriptions
from opcua_server.files import room as files
from opcua_server.files.transfer import TRANSFER_METHODS, Offer
from opcua_server.history.historian import Historian, database_of, limits_of
from opcua_server.history.nodes import show_aggregates
from opcua_server.history.writer import Writer
from opcua_server.run import memory, offered, serverinfo, serverstate
from opcua_server.run.certificates import OwnCertificates, ensure_own
from opcua_server.run.checkpoints import Checkpoints
from opcua_server.run.machine import RunningMachine
from opcua_server.run.programs import ProgramFolder, read_program_file
from opcua_server.run.registration import Registration
from opcua_server.run.results import ResultsWatch
from opcua_server.run.schedule import Schedule
from opcua_server.security.roles import show_permissions, show_role_set
from opcua_server.security.server import SecureServer, make
from opcua_server.sources.in_step import InStep, at_once
from opcua_server.sources.recording import ReplaySource, load
from opcua_server.sources.simulated import SHIPPED, SimulatedSource, read_programs
from opcua_server.sources.source import Source
from opcua_server.space import profiles

CHECKPOINT_EVERY_S: Final = 5.0
TELL_EVERY_S: Final = 5.0
OVERLOADED_SHARE: Final = 0.2
"""Share of ticks that are skipped from which on the server says it is overloaded."""
FIRST_TICKS: Final = 20
"""Not judged: they are late while all programs start at once."""

LIMITS: Final = Limits()
_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Clock:
    """The time the server lives by: one that never goes back, in seconds, and the wall clock, in ns since the epoch, UTC."""

    steady_s: Callable[[], float] = time.monotonic
    wall_ns: Callable[[], int] = time.time_ns


MakeSource = Callable[[str, Mapping[str, object] | None], Source]
"""(machine id, state or None) -> its source."""


async def serve(settings: Settings, status: Status, *, clock: Clock | None = None, make_source: MakeSource | None = None) -> None:
    """Run until cancelled. Raises ConfigurationError or StartError before anything listens."""
    clock = clock or Clock()
    memory.keep_huge_apart()
    make_source = make_source or simulated(settings)
    checkpoints, programs = _folders(settings)
    table = limits_file.read(settings.data)
    with space.without_collector():
        server = await _begin_server(settings)
        try:
            plant = await Plant.build(settings, status, clock, server, make_source, checkpoints, programs, table)
            show_aggregates(server.iserver.aspace)
            engine = make_front(server, plant.historian(server))
            offered.take_out(server.iserver.aspace, {*engine.methods, *(method for _, method in server.rights.methods)})
            await _listen(engine, settings)
        except BaseException:
            server.iserver.method_service.stop()
            raise
        await server.start()
        memory.give_back()
        gc.freeze()  # the address space lives as long as we do: walking its half a million objects holds up everybody
    try:
        await plant.tick()
        status.ready(url=settings.endpoint, machines=len(plant.machines), **plant.facts())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(plant.run(), name="machines")
            tasks.create_task(plant.keep(), name="checkpoints")
            tasks.create_task(plant.alarms.keep(), name="alarms")
            own = OwnCertificates(
                engine, settings.data / "pki" / "server", server.application_uri, _hosts(settings), settings.curves
            )
            plant.certificates = own
            tasks.create_task(own.run(), name="own certificates")
            announced = settings.announced_url
            if settings.reverse_connect:
                reverse = Reverse(engine, settings.reverse_connect, server.application_uri, announced)
                tasks.create_task(reverse.run(), name="reverse connections")
            if settings.discovery_server is not None:
                registration = Registration(settings.discovery_server, server, announced, server.trust)
                tasks.create_task(registration.run(), name="registration")
    finally:
        gc.unfreeze()
        plant.save_all()
        if engine.sessions:
            await serverstate.announce_end(server)
        await engine.stop()
        await server.stop()


def simulated(settings: Settings) -> MakeSource:
    """Makes simulated machines with the programs of the product and the user's, or replays. Raises ConfigurationError."""
    if settings.replay is not None:
        try:
            recording = load(settings.replay)
        except (OSError, ValueError) as error:
            raise ConfigurationError([f"replay: {error}"]) from error
        return lambda machine_id, state: ReplaySource(machine_id, recording)
    library = read_programs(SHIPPED)
    chosen: str | None = None
    if settings.program is not None:
        chosen, text = read_program_file(settings.program)
        library = {**library, chosen: text}

    def make_one(machine_id: str, state: Mapping[str, object] | None) -> Source:
        return SimulatedSource(
            machine_id, settings.seed, library, chosen, True, state, speed=settings.speed, ground_truth=settings.ground_truth
        )

    return make_one


class Plant:
    """All machines of the server."""

    def __init__(self, settings: Settings, status: Status, clock: Clock, server: SecureServer, checkpoints: Checkpoints) -> None:
        self.machines: list[RunningMachine] = []
        self._together: list[tuple[list[RunningMachine], InStep]] = []
        """Those that are simulated at once."""
        self._server = server
        self.alarms = Keeper(Checkpoints(settings.data, "alarms"))
        self._settings = settings
        self._status = status
        self._clock = clock
        self._checkpoints = checkpoints
        self._spaces: dict[str, space.MachineSpace] = {}
        self._results = ResultsWatch()
        self._dt_s = settings.publication_period * settings.speed
        self._schedule = Schedule.before_publishing(settings.publication_period, clock.steady_s(), clock.wall_ns())
        self._told = (0.0, 0, 0)
        self._disk_problem = ""
        self._writer: Writer | None = None
        """Of the history, where one is kept."""
        self.certificates: OwnCertificates | None = None

    @classmethod
    async def build(
        cls, settings: Settings, status: Status, clock: Clock, server: SecureServer, make_source: MakeSource,
        checkpoints: Checkpoints, programs: ProgramFolder, table: Sequence[LimitAlarm] = TABLE,
    ) -> Plant:  # fmt: skip
        """Sources and alarms from their last states, nodes for all of them, rights for their commands and results."""
        plant = cls(settings, status, clock, server, checkpoints)
        sources: dict[str, Source] = {}
        states: dict[str, Mapping[str, object] | None] = {}
        for machine_id in settings.machine_ids:
            sources[machine_id], states[machine_id] = _from_state(machine_id, make_source, checkpoints)
            await asyncio.sleep(0)
        try:
            taken = (*loader.standard_namespaces(), *map(instance_uri, settings.machine_ids))
            more = [] if settings.model is None else [read_model(settings.model, taken)]
            identities = [source.identity for source in sources.values()]
            plant._spaces = space.build(server, identities, more=more, live=server.columns, table=table)
        except (NodesetError, OfficialNodesetMissing) as error:
            raise ConfigurationError([f"NodeSets: {error}"]) from error
        profiles.claim(server.iserver.aspace, plant._spaces.values())
        for machine_id, source in sources.items():
            shown = plant._spaces[machine_id]
            give_rights(server, machine_id, shown)
            remake = functools.partial(make_source, machine_id)
            kept = functools.partial(plant.keep_now, machine_id)
            plant.machines.append(RunningMachine(machine_id, source, shown, remake, programs, states[machine_id], kept))
            offer_files(server, plant.machines[-1], shown, programs)
        count = at_once(plant._dt_s)
        plant._together = [(plant.machines[k : k + count], InStep()) for k in range(0, len(plant.machines), count)]
        if settings.replay is None:  # what happened once is no state to go on from
            plant.alarms.restore({machine_id: shown.alarms for machine_id, shown in plant._spaces.items()})
        await server.guard()
        await show_role_set(server)
        configuration.claim(server)
        show_permissions(server.iserver.aspace, server.rights)
        server.rights.on_results = plant._results_written
        server.columns.ticks.period_s = settings.publication_period
        plant._schedule = Schedule.before_publishing(settings.publication_period, clock.steady_s(), clock.wall_ns())
        return plant

    def historian(self, server: SecureServer) -> Historian | None:
        """Who keeps what the machines show; None where nothing is to be kept."""
        settings = self._settings
        if not settings.history_days:
            return None
        made = Historian(
            database_of(settings.data, settings.history_url), limits_of(settings.history_days, settings.history_size_mb)
        )
        made.follow(server, self._spaces)
        self._writer = made.writer
        return made

    async def run(self) -> None:
        """Step all machines for ever, every period."""
        while True:
            await self._server.columns.ticks.pause(self._schedule.wait_s(self._clock.steady_s()))
            await self.tick()
            self._tell()

    async def tick(self) -> None:
        """One step of every machine, and the results that nobody keeps up. Clients are served between two machines."""
        tick = self._schedule.take(self._clock.steady_s(), self._clock.wall_ns())
        if tick.clock_stepped_ns:
            _logger.warning("the clock was set by %+.1f s; source times follow it", tick.clock_stepped_ns / 1e9)
            for shown in self._spaces.values():
                shown.alarms.clock_set(tick.clock_stepped_ns)
        with self._server.columns.ticks.one():
            for those, in_step in self._together:
                in_step.ahead([source for machine in those if (source := machine.source) is not None], self._dt_s)
                for machine in those:
                    await asyncio.sleep(0)
                    await machine.step(self._dt_s, tick, self._clock.steady_s())
        await asyncio.sleep(0)
        for machine_id in self._results.lost(self._clock.steady_s()):
            self._spaces[machine_id].set_results_status(UNCERTAIN_LAST_USABLE)
        serverstate.show_service_level(self._server, [not machine.problem for machine in self.machines])

    async def keep(self) -> None:
        """Write the state of one machine after another, each every few seconds, without holding up the loop."""
        pause_s = CHECKPOINT_EVERY_S / max(len(self.machines), 1)
        while True:
            for machine in self.machines:
                await asyncio.sleep(pause_s)
                state = machine.checkpoint()
                if state is None:
                    continue
                try:
                    await asyncio.to_thread(self._checkpoints.write, machine.machine_id, state)
                    self._disk_problem = ""
                except OSError as error:
                    if not self._disk_problem:
                        _logger.warning("state cannot be kept: %s", error)
                    # Without the name of a file that is another one each time: it would be told anew each time.
                    self._disk_problem = f"{self._checkpoints.folder}: {error.strerror or error}"

    async def keep_now(self, machine_id: str) -> None:
        """Write one machine's state before somebody is told that it will not be lost."""
        machine = next(machine for machine in self.machines if machine.machine_id == machine_id)
        state = machine.checkpoint()
        if state is not None:
            try:
                await asyncio.to_thread(self._checkpoints.write, machine_id, state)
            except OSError as error:
                _logger.warning("%s: state cannot be kept: %s", machine_id, error)

    def save_all(self) -> None:
        """Write every machine's state, at the end, without waiting for the disk: two seconds are all there is."""
        for machine in self.machines:
            state = machine.checkpoint()
            if state is not None:
                try:
                    self._checkpoints.write(machine.machine_id, state, durable=False)
                except OSError as error:
                    _logger.warning("%s: state cannot be kept: %s", machine.machine_id, error)
        self.alarms.save_all()

    def facts(self) -> dict[str, Any]:
        return {"ticks": self._schedule.done, "skipped_ticks": self._schedule.skipped}

    def _results_written(self, machine_id: str, session: Any) -> None:
        self._results.wrote(machine_id, self._clock.steady_s(), lambda: session.is_closed)

    def _tell(self) -> None:
        """Say every few seconds how it goes: ready, or what is not served and why."""
        now_s = self._clock.steady_s()
        at_s, done, skipped = self._told
        if now_s - at_s < TELL_EVERY_S and not (self._problems() and self._status.state == "ready"):
            return
        new_done, new_skipped = self._schedule.done - done, self._schedule.skipped - skipped
        self._told = (now_s, self._schedule.done, self._schedule.skipped)
        problems = self._problems()
        is_begin = self._schedule.done + self._schedule.skipped < FIRST_TICKS
        if not is_begin and new_skipped > OVERLOADED_SHARE * (new_done + new_skipped):
            share = f"{new_skipped} of {new_done + new_skipped} ticks skipped"
            problems.append(f"overloaded: {share}; fewer machines, less speed or a longer period help")
        if problems:
            self._status.degraded("; ".join(problems), **self.facts())
        else:
            self._status.ready(**self.facts())

    def _problems(self) -> list[str]:
        problems = [f"{machine.machine_id} is out of service: {machine.problem}" for machine in self.machines if machine.problem]
        if self._disk_problem:
            problems.append(f"state cannot be kept: {self._disk_problem}")
        if self.alarms.problem:
            problems.append(f"alarms cannot be kept: {self.alarms.problem}")
        if self._writer is not None and self._writer.problem:
            problems.append(f"history waits in memory: {self._writer.problem}")
        if self.certificates is not None and self.certificates.problem:
            problems.append(self.certificates.problem)
        return problems


def _from_state(machine_id: str, make_source: MakeSource, checkpoints: Checkpoints) -> tuple[Source, Mapping[str, object] | None]:
    """A source, and the state that it goes on from."""
    state = checkpoints.read(machine_id)
    if state is not None:
        try:
            return make_source(machine_id, state), state
        except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
            checkpoints.set_aside(machine_id, f"{type(error).__name__}: {error}")
    return make_source(machine_id, None), None


def _folders(settings: Settings) -> tuple[Checkpoints, ProgramFolder]:
    try:
        return Checkpoints(settings.data), ProgramFolder(settings.data)
    except OSError as error:
        raise StartError(f"data folder {settings.data}: cannot be used: {error.strerror}") from error


async def _make_server(settings: Settings) -> SecureServer:
    server = await _begin_server(settings)
    await server.guard()
    return server


async def _begin_server(settings: Settings) -> SecureServer:
    """One whose secrets are still being made."""
    vault = Vault(settings.data)
    uri = application_uri("server", settings.data / "pki" / "server")
    secrets = asyncio.get_running_loop().run_in_executor(None, _make_secrets, settings, vault, uri)  # begins now
    try:
        server = await make(settings, vault, uri, secrets)
    except (NodesetError, OfficialNodesetMissing) as error:
        raise ConfigurationError([f"NodeSets: {error}"]) from error
    await serverinfo.describe(server, LIMITS, datetime.now(UTC))
    return server


def _make_secrets(settings: Settings, vault: Vault, uri: str) -> tuple[Path, Path]:
    """What a first start makes: passwords, keys and certificates. The paths of certificate and key."""
    try:
        first = vault.ensure()
        folder = settings.data / "pki" / "server"
        certificate, key = ensure_own(folder, uri, _hosts(settings))
        for curve in settings.curves:
            ensure_own(folder, uri, _hosts(settings), CURVES[curve])
    except CertificateProblem as problem:
        raise ConfigurationError([str(problem)]) from problem
    except OSError as error:
        raise StartError(f"data folder {settings.data}: cannot be used: {error.strerror}") from error
    if first is not None:  # `cnctwin up` makes them before it starts the server, and shows them itself
        shown = "  ".join(f"{login.user}: {login.password}" for login in (*first.logins, first.reader))
        print(f"first start; passwords, shown once: {shown}  API key: {first.api_key}", file=sys.stderr)
    return certificate, key


def _hosts(settings: Settings) -> tuple[str, ...]:
    """What our certificates are for, beside the host's own name."""
    return "localhost", "127.0.0.1", settings.host


def give_rights(server: SecureServer, machine_id: str, shown: space.MachineSpace) -> None:
    """Let the doors know a machine's commands, alarms and results."""
    server.rights.add_machine(
        machine_id, {BY_NAME[name]: nodes for name, nodes in shown.methods.items()}, shown.result_nodes.values()
    )
    server.rights.plate.update(shown.plate.nodes)
    server.rights.add_methods(machine_id, {JOB_METHODS[name]: nodes for name, nodes in shown.jobs.methods.items()})
    server.rights.add_methods(machine_id, {RESULT_METHODS[name]: nodes for name, nodes in shown.results.methods.items()})
    server.rights.operator_methods |= alarms.operator_methods()


def offer_files(server: SecureServer, machine: RunningMachine, shown: space.MachineSpace, programs: ProgramFolder) -> None:
    """Let the methods of files find a machine's programs and results."""
    server.files.folder = programs
    server.files.machines[machine.machine_id] = machine.files()
    shown.files.register(server.files.programs, server.rights.user_writable)
    results, transfers = shown.results, server.files.transfers
    transfers.offers[results.transfer] = Offer(results.transfer_options, machine.result_file)
    transfers.methods = results.transfer_methods
    server.rights.operator_methods |= {
        method for methods in results.transfer_methods.values() for method in methods
    } | TRANSFER_METHODS


def make_front(server: SecureServer, historian: Historian | None = None) -> Engine:
    """What listens: the engine with its rooms."""
    rooms: list[Room] = [
        subscriptions.services, diagnostics.services, configuration.services, files.services, alarms.services,
    ]  # fmt: skip
    limits = replace(LIMITS, held_bytes=server.session_bytes)
    return Engine.of(server, limits=limits, rooms=rooms if historian is None else [*rooms, historian.services])


async def _listen(engine: Engine, settings: Settings) -> None:
    try:
        await engine.start()
    except OSError as error:
        what = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened: {error.strerror or error}"
        raise StartError(f"port {settings.opcua_port} on {settings.host} {what}; give another with --opcua-port") from error
