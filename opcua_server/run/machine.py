"""One machine in the server: its source, its nodes, and what happens when one of them fails.

    running --exception--> out of service (all signals BadOutOfService) --after a while--> rebuilt from its last good state

Nothing that a machine does wrong reaches another one: the exception ends here, and is told in ``problem``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

from cnctwin.reading import BAD_OUT_OF_SERVICE, Columns, Value
from nodesets.catalogue import NUMERIC
from nodesets.states import MachineState
from opcua_server.files.register import MachineFiles
from opcua_server.jobs.book import JobBook
from opcua_server.jobs.runner import JobRunner
from opcua_server.run.jobs import JobDesk
from opcua_server.run.programs import ProgramFolder
from opcua_server.run.results_desk import ResultDesk
from opcua_server.run.schedule import Tick
from opcua_server.sources.source import CommandRefused, Source
from opcua_server.space import MachineSpace, blank_columns
from opcua_server.space.files import Program

_logger = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 5.0
MAX_RETRY_S: Final = 60.0
TOOLS_EVERY_S: Final = 1.0

_STATE: Final = [signal.name for signal in NUMERIC].index("Machine/State")

MakeSource = Callable[[Mapping[str, object] | None], Source]
"""Makes the source, fresh or from a checkpoint."""


class RunningMachine:
    """``problem`` is why it is out of service, empty while it runs. ``good_state`` is its last checkpoint."""

    def __init__(
        self, machine_id: str, source: Source, space: MachineSpace, make_source: MakeSource, programs: ProgramFolder,
        state: Mapping[str, object] | None = None, kept: Callable[[], Awaitable[None]] | None = None,
    ) -> None:  # fmt: skip
        """``state``: what the source was made from. ``kept``: writes the checkpoint now."""
        self.machine_id = machine_id
        self.problem = ""
        self.good_state: Mapping[str, object] | None = None
        self._source = source
        self._space = space
        self._make_source = make_source
        self._programs = programs
        self._retry_at_s = 0.0
        self._retry_s = FIRST_RETRY_S
        self._tools_at_s = 0.0
        self._names: tuple[str, ...] = ()
        """Programs that LoadProgram takes: the machine's own, and those of the folder."""
        self._own_names: tuple[str, ...] = ()
        self._own_sizes: dict[str, int] = {}
        book = JobBook(lambda: self._names)
        runner = JobRunner(book, self._command, self._set_repeat, self._flaw)
        self._jobs = JobDesk(space.jobs, book, runner, self._list_programs, kept or _nothing)
        self._results = ResultDesk(space.results)
        if state is not None and "results" in state:
            self._results.restore(state["results"])  # type: ignore[arg-type]
        if state is not None and "jobs" in state:
            self._jobs.restore(state["jobs"])  # type: ignore[arg-type]
        if state is not None and "plate" in state:
            space.plate.restore(state["plate"])  # type: ignore[arg-type]
        space.bind_methods(self.call)
        space.bind_jobs(self._jobs.call)
        space.bind_results(self._results.call)

    async def step(self, dt_s: float, tick: Tick, steady_s: float) -> None:
        """Let machine time pass and show it; never raises what the machine does wrong."""
        if self.problem and not self._rebuild(steady_s):
            return
        try:
            self._source.advance(dt_s, tick.source_time_ns)
            columns = self._source.columns()
            self._space.write(columns)
            if steady_s >= self._tools_at_s:
                self._tools_at_s = steady_s + TOOLS_EVERY_S
                self._space.write_tools(self._source.tools(), tick.source_time_ns)
                self._own_names = tuple(columns.objects.get("Channel/ProgramNames") or ())  # type: ignore[arg-type]
                await self._list_programs()
            events = self._source.take_events()
            for event in events:
                await self._space.send_event(event)
            await self._jobs.follow(_state_of(columns), events, tick.source_time_ns)
            await self._results.follow(_state_of(columns), events, columns, tick.source_time_ns, self._jobs.book)
            job = self._jobs.book.begun
            if job is not None:
                self._space.show_job_end(job.order.order_id, max(job.order.runs - job.runs_completed - 1, 0))
            else:
                self._space.show_job_end("", 0)
            await self._space.watch(columns, tick.source_time_ns)
        except Exception as error:
            await self._fail(error, tick, steady_s)

    @property
    def source(self) -> Source | None:
        """Of a machine that is in service."""
        return None if self.problem else self._source

    def checkpoint(self) -> Mapping[str, object] | None:
        """What must survive; None when there is nothing, and while it is out of service: no state must replace a good one."""
        if self.problem:
            return None
        try:
            state = self._source.checkpoint()
            kept = {"jobs": self._jobs.book.save(), "results": self._results.book.save(), **self._own_plate()}
            self.good_state = {**state, **kept} if state else None
        except Exception:
            _logger.exception("%s: its state cannot be taken", self.machine_id)
            return None
        return self.good_state

    def _own_plate(self) -> dict[str, object]:
        plate = self._space.plate
        return {"plate": plate.save()} if plate.is_changed else {}

    async def call(self, method: str, arguments: Sequence[Value]) -> None:
        """Carry out a command that somebody gave. Raises CommandRefused."""
        await self._command(method, arguments)
        self._jobs.runner.commanded(method, time.time_ns())

    async def _command(self, method: str, arguments: Sequence[Value]) -> None:
        if self.problem:
            raise CommandRefused("state", f"{self.machine_id} is out of service: {self.problem}")
        if method == "LoadProgram":
            await self._load(str(arguments[0]))
        elif method == "LoadProgramText":
            name, text = str(arguments[0]), str(arguments[1])
            await asyncio.to_thread(self._programs.check, name, text)
            self._source.call(method, arguments)
            await asyncio.to_thread(self._programs.store, name, text)
        else:
            self._source.call(method, arguments)

    async def _load(self, name: str) -> None:
        """From the folder when it has the program, else what the machine itself knows by that name."""
        text = await asyncio.to_thread(self._programs.read, name)
        if text is None:
            self._source.call("LoadProgram", [name])
        else:
            self._source.call("LoadProgramText", [name, text])

    async def _list_programs(self) -> tuple[str, ...]:
        """What there is to run, as of now."""
        entries = await asyncio.to_thread(self._programs.entries)
        self._names = tuple(sorted({*self._own_names, *entries}))
        self._space.jobs.show_programs(self._names)
        programs = {}
        for name in self._names:
            if name in entries:
                programs[name] = Program(*entries[name])
            elif name in self._own_sizes or self._measure(name):
                programs[name] = Program(self._own_sizes[name])
        await self._space.files.show(programs)
        return self._names

    def _measure(self, name: str) -> bool:
        """Whether a program that comes with the machine can be read; its size is noted."""
        try:
            self._own_sizes[name] = len(self._source.program(name).encode())
        except KeyError:
            return False
        return True

    def files(self) -> MachineFiles:
        """What the methods of files need of this machine."""
        shown = self._space.files
        return MachineFiles(
            shown.directory, lambda name: self._source.program(name), self._list_programs, shown.node_of, shown.opened
        )

    def result_file(self, result_id: str) -> bytes:
        """What a run came to, as a file. Raises KeyError."""
        return self._results.file(result_id)

    async def _flaw(self, name: str) -> str:
        """The alarm that a program is known to end in. Read ahead in a thread: a long one takes a second."""
        try:
            text = await asyncio.to_thread(self._programs.read, name)
            return await asyncio.to_thread(self._source.flaw, name, text)
        except KeyError:
            return f"There is no program {name}"
        except CommandRefused as refused:
            return str(refused)

    def _set_repeat(self, on: bool) -> None:
        self._source.set_repeat(on)

    async def _fail(self, error: Exception, tick: Tick, steady_s: float) -> None:
        _logger.error("%s is out of service", self.machine_id, exc_info=error)
        self.problem = f"{type(error).__name__}: {error}"[:200]
        self._retry_at_s = steady_s + self._retry_s
        self._retry_s = min(self._retry_s * 2, MAX_RETRY_S)
        try:
            columns = blank_columns(tick.source_time_ns)
            columns.statuses[:] = BAD_OUT_OF_SERVICE
            self._space.write(columns)
            await self._space.watch(columns, tick.source_time_ns)
        except Exception:
            _logger.exception("%s: its signals cannot be marked", self.machine_id)

    def _rebuild(self, steady_s: float) -> bool:
        if steady_s < self._retry_at_s:
            return False
        try:
            self._source = self._make_source(self.good_state)
        except Exception as error:
            self.problem = f"{type(error).__name__}: {error}"[:200]
            self._retry_at_s = steady_s + self._retry_s
            self._retry_s = min(self._retry_s * 2, MAX_RETRY_S)
            return False
        self._space.alarms.doubt()
        _logger.warning("%s is in service again, from its last good state", self.machine_id)
        self.problem = ""
        return True

    @property
    def identity(self) -> Any:
        return self._source.identity


def _state_of(columns: Columns) -> MachineState:
    number = columns.numbers[_STATE]
    return MachineState(int(number)) if number == number else MachineState.OFF


async def _nothing() -> None:
    """Where nobody keeps what is accepted."""
