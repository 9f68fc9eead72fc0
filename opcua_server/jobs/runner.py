"""Carries job orders out on a machine, with the commands that anybody has, and follows what becomes of them.

    due, machine IDLE --LoadProgram, Start--> program_started: RUNNING --> program_ended: one run done --> next run, or ENDED
                         HELD, ALARM, MAINTENANCE, OFF: INTERRUPTED  |
                                                    '-- EMERGENCY_STOP, RESET: ABORTED; Stop: ENDED

While orders are carried out the machine does not go on by itself after each part; it does again when somebody starts it by hand.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final

from cnctwin.reading import Value
from nodesets.states import MachineState
from opcua_server.jobs.book import JobBook
from opcua_server.jobs.orders import BEGUN, OVER, PREPARED, TRANSITIONS, Job, JobState, ReturnStatus
from opcua_server.sources.source import CommandRefused, SourceEvent

_logger = logging.getLogger(__name__)
_M = MachineState
_S = JobState
_R = ReturnStatus
_INTERRUPTS: Final = {
    _M.HELD: "", _M.ALARM: "Alarm on the machine", _M.MAINTENANCE: "Maintenance", _M.OFF: "The machine is switched off",
}  # fmt: skip

Call = Callable[[str, Sequence[Value]], Awaitable[None]]
"""(command, arguments); raises CommandRefused."""


class JobRunner:
    """``call`` commands the machine; ``set_repeat`` says whether it goes on by itself; ``flaw`` finds a program's alarm ahead."""

    def __init__(
        self, book: JobBook, call: Call, set_repeat: Callable[[bool], None], flaw: Callable[[str], Awaitable[str]]
    ) -> None:
        self.book = book
        self.state = MachineState.OFF
        self._call = call
        self._set_repeat = set_repeat
        self._flaw = flaw
        self._ordered: Job | None = None
        """Loaded and commanded to start; the machine has not said yet that it runs."""
        self._between = False
        """A run of the order at work is done, and the next one has not begun."""
        self._drives = False

    # Methods --------------------------------------------------------------------------------------------------------

    async def start(self, order_id: str) -> tuple[int, str]:
        """Allow an order to start, unless its program is known to end in an alarm: a status, and why not."""
        status = self.book.check(order_id, {_S.NOT_ALLOWED_TO_START})
        if status != _R.NO_ERROR:
            return status, ""
        if flaw := await self._flaw(self.book.jobs[order_id].program):
            return _R.INVALID_REQUEST, flaw
        return self.book.allow(order_id), ""

    def revoke(self, order_id: str) -> int:
        return _R.INVALID_STATE if self._is_ordered(order_id) else self.book.revoke(order_id)

    def cancel(self, order_id: str) -> int:
        return _R.INVALID_STATE if self._is_ordered(order_id) else self.book.cancel(order_id)

    async def pause(self, order_id: str, now_ns: int) -> tuple[int, str]:
        return await self._command(order_id, {_S.RUNNING}, "Hold", _S.INTERRUPTED, now_ns, "Paused by the client")

    async def resume(self, order_id: str, now_ns: int) -> tuple[int, str]:
        return await self._command(order_id, {_S.INTERRUPTED}, "Start", _S.RUNNING, now_ns, "")

    async def stop(self, order_id: str, now_ns: int) -> tuple[int, str]:
        """End what runs; the order counts as ended, with the runs that were done."""
        return await self._command(order_id, BEGUN, "Stop", _S.ENDED, now_ns, "Stopped by the client")

    async def abort(self, order_id: str, now_ns: int) -> tuple[int, str]:
        """End an order in any state but those where it is over; a program of its that runs is reset."""
        status = self.book.check(order_id, PREPARED | BEGUN)
        if status != _R.NO_ERROR:
            return status, ""
        job = self.book.jobs[order_id]
        if (job.state in BEGUN or job is self._ordered) and self.state in (_M.RUNNING, _M.HELD, _M.LOADING):
            try:
                await self._call("Reset", [])
            except CommandRefused as refused:
                return _R.INVALID_REQUEST, str(refused)
        self._ordered = None if job is self._ordered else self._ordered
        if job.state in PREPARED | BEGUN:
            self.book.enter(job, _S.ABORTED, now_ns, "Aborted by the client")
        return _R.NO_ERROR, ""

    async def _command(
        self, order_id: str, states: Iterable[JobState], command: str, to: JobState, now_ns: int, reason: str
    ) -> tuple[int, str]:
        """Command the machine for an order in one of ``states``, which is then in another."""
        status = self.book.check(order_id, frozenset(states))
        if status != _R.NO_ERROR:
            return status, ""
        try:
            await self._call(command, [])
        except CommandRefused as refused:
            return _R.INVALID_REQUEST, str(refused)
        job = self.book.jobs[order_id]
        if to in TRANSITIONS[job.state] and job.state is not to:
            self.book.enter(job, to, now_ns, reason)
        self._between = self._between and to not in OVER
        return _R.NO_ERROR, ""

    def _is_ordered(self, order_id: str) -> bool:
        return self._ordered is not None and self._ordered.order.order_id == order_id

    # Following ------------------------------------------------------------------------------------------------------

    def commanded(self, command: str, now_ns: int) -> None:
        """Somebody commanded the machine by hand."""
        job = self.book.begun
        if command in ("Start", "LoadProgram", "LoadProgramText") and job is None and self._ordered is None and self._drives:
            self._drives = False
            self._set_repeat(True)
        elif command in ("Stop", "Reset", "EmergencyStop"):
            self._ordered = None
            if command == "Stop" and job is not None and self._between:
                self.book.enter(job, _S.ENDED, now_ns, "Stopped at the machine")
            self._between = False

    async def follow(self, state: MachineState, events: Iterable[SourceEvent], now_ns: int) -> None:
        """One tick of the machine: its state now, and what happened since the last one."""
        self.state = state
        for event in events:
            if event.kind == "program_started":
                self._started(event.code, event.source_time_ns)
            elif event.kind == "program_ended":
                self._ended(bool(event.details.get("Completed")), event.source_time_ns)
        job = self.book.begun
        if job is not None:
            self._observe(job, state, now_ns)
        await self._go_on(now_ns)

    def _started(self, program: str, moment_ns: int) -> None:
        job, self._ordered = self._ordered, None
        self._between = False
        if job is None or job.program != program:
            return
        if job.state is _S.ALLOWED_TO_START:
            self.book.enter(job, _S.RUNNING, moment_ns)

    def _ended(self, completed: bool, moment_ns: int) -> None:
        job = self.book.begun
        if job is None:
            return
        if not completed:
            self.book.enter(job, _S.ENDED, moment_ns, "Stopped at the machine")
            return
        job.runs_completed += 1
        if job.state is _S.INTERRUPTED:
            self.book.enter(job, _S.RUNNING, moment_ns)
        if job.runs_completed >= job.order.runs:
            self.book.enter(job, _S.ENDED, moment_ns)
        else:
            self._between = True
            self.book.note(job)

    def _observe(self, job: Job, state: MachineState, now_ns: int) -> None:
        if state is _M.RUNNING and job.state is _S.INTERRUPTED:
            self.book.enter(job, _S.RUNNING, now_ns)
        elif state in _INTERRUPTS and job.state is _S.RUNNING:
            self.book.enter(job, _S.INTERRUPTED, now_ns, _INTERRUPTS[state])
        elif state is _M.EMERGENCY_STOP:
            self.book.enter(job, _S.ABORTED, now_ns, "Emergency stop")
        elif state is _M.IDLE and job is not self._ordered and not self._between:
            self.book.enter(job, _S.ABORTED, now_ns, "RESET at the machine")

    async def _go_on(self, now_ns: int) -> None:
        """Start what is due, when the machine is ready for it."""
        job = self.book.begun
        if job is None:
            job = self.book.due(now_ns)
            if job is not None and not self._drives:
                self._drives = True
                self._set_repeat(False)
        if self.state in (_M.ALARM, _M.EMERGENCY_STOP):
            self._ordered = None  # it did not come to a start
        if job is None or self.state is not _M.IDLE or self._ordered is not None:
            return
        self._ordered = job
        try:
            await self._call("LoadProgram", [job.program])
            if self._ordered is job:  # else it was taken back meanwhile
                await self._call("Start", [])
        except CommandRefused as refused:
            self._ordered = None
            if refused.reason != "state":  # else it is tried again
                _logger.warning("job order %s cannot be carried out: %s", job.order.order_id, refused)
                self.book.enter(job, _S.ABORTED, now_ns, str(refused))
