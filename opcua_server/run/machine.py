"""One machine in the server: its source, its nodes, and what happens when one of them fails.

    running --exception--> out of service (all signals BadOutOfService) --after a while--> rebuilt from its last good state

Nothing that a machine does wrong reaches another one: the exception ends here, and is told in ``problem``.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from cnctwin.reading import BAD_OUT_OF_SERVICE, Value
from opcua_server.run.programs import ProgramFolder
from opcua_server.run.schedule import Tick
from opcua_server.sources.source import CommandRefused, Source
from opcua_server.space import MachineSpace, blank_columns

_logger = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 5.0
MAX_RETRY_S: Final = 60.0
TOOLS_EVERY_S: Final = 1.0

MakeSource = Callable[[Mapping[str, object] | None], Source]
"""Makes the source, fresh or from a checkpoint."""


class RunningMachine:
    """``problem`` is why it is out of service, empty while it runs. ``good_state`` is its last checkpoint."""

    def __init__(
        self, machine_id: str, source: Source, space: MachineSpace, make_source: MakeSource, programs: ProgramFolder
    ) -> None:
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
        space.bind_methods(self.call)

    async def step(self, dt_s: float, tick: Tick, steady_s: float) -> None:
        """Let machine time pass and show it; never raises what the machine does wrong."""
        if self.problem and not self._rebuild(steady_s):
            return
        try:
            self._source.advance(dt_s, tick.source_time_ns)
            self._space.write(self._source.columns())
            if steady_s >= self._tools_at_s:
                self._tools_at_s = steady_s + TOOLS_EVERY_S
                self._space.write_tools(self._source.tools(), tick.source_time_ns)
            for event in self._source.take_events():
                await self._space.send_event(event)
        except Exception as error:
            self._fail(error, tick, steady_s)

    def checkpoint(self) -> Mapping[str, object] | None:
        """What must survive; None when there is nothing, and while it is out of service: no state must replace a good one."""
        if self.problem:
            return None
        try:
            self.good_state = self._source.checkpoint() or None
        except Exception:
            _logger.exception("%s: its state cannot be taken", self.machine_id)
            return None
        return self.good_state

    async def call(self, method: str, arguments: Sequence[Value]) -> None:
        """Carry out a command. Raises CommandRefused."""
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

    def _fail(self, error: Exception, tick: Tick, steady_s: float) -> None:
        _logger.error("%s is out of service", self.machine_id, exc_info=error)
        self.problem = f"{type(error).__name__}: {error}"[:200]
        self._retry_at_s = steady_s + self._retry_s
        self._retry_s = min(self._retry_s * 2, MAX_RETRY_S)
        try:
            columns = blank_columns(tick.source_time_ns)
            columns.statuses[:] = BAD_OUT_OF_SERVICE
            self._space.write(columns)
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
        _logger.warning("%s is in service again, from its last good state", self.machine_id)
        self.problem = ""
        return True

    @property
    def identity(self) -> Any:
        return self._source.identity
