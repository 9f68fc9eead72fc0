"""All job orders of one machine: what the methods of OPC 10031-4 do to them. Pure: time and the machine's programs come in.

Every method returns a ``ReturnStatus``. What changed is noted in ``changed``, oldest first, until somebody takes it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Container, Mapping
from dataclasses import replace
from typing import Any, Final

from opcua_server.jobs.orders import BEGUN, OVER, PREPARED, TRANSITIONS, Job, JobState, Order, ReturnStatus

MOST: Final = 100
"""MaxDownloadableJobOrders."""
LONGEST_ID: Final = 256
LONGEST_CONTENT: Final = 64 << 10
"""Bytes of an order, with all its requirements."""
LARGEST_RUNS: Final = 1_000_000
_S = JobState
_R = ReturnStatus


class JobBook:
    """``programs``: names of the NC programs that the machine has now."""

    def __init__(self, programs: Callable[[], Container[str]]) -> None:
        self.jobs: dict[str, Job] = {}
        self.changed: list[Job] = []
        """Jobs as they were when they had changed: one of them twice when it changed twice before anybody looked."""
        self.is_listed_anew = False
        """Whether jobs came or went since somebody looked."""
        self._programs = programs
        self._numbers = 0

    # Methods --------------------------------------------------------------------------------------------------------

    def store(self, order: Order, *, allowed: bool) -> int:
        """A new order; ``allowed``: it may start at once (StoreAndStart)."""
        program = self._program(order)
        if not 0 < len(order.order_id) <= LONGEST_ID or len(order.content) > LONGEST_CONTENT or not 0 < order.runs <= LARGEST_RUNS:
            return _R.INVALID_REQUEST
        if order.order_id in self.jobs or len(self.jobs) >= MOST or program is None:
            return _R.NOT_ACCEPTED
        self._numbers += 1
        job = self.jobs[order.order_id] = Job(order, self._numbers, program)
        if allowed:
            job.state = _S.ALLOWED_TO_START
        self.is_listed_anew = True
        self.note(job)
        return _R.NO_ERROR

    def objection(self, order: Order, *, is_new: bool) -> str:
        """Why an order is not taken, in words; empty where nothing speaks against it."""
        if not 0 < len(order.order_id) <= LONGEST_ID:
            return f"A JobOrderID has 1 to {LONGEST_ID} characters"
        if not 0 < order.runs <= LARGEST_RUNS:
            return f"RunsPlanned must be 1 to {LARGEST_RUNS}"
        if len(order.content) > LONGEST_CONTENT:
            return f"A job order has up to {LONGEST_CONTENT} bytes, this one {len(order.content)}"
        if is_new and order.order_id in self.jobs:
            return f"There is a job order {order.order_id}"
        if is_new and len(self.jobs) >= MOST:
            return f"There are {MOST} job orders; cancel or clear some"
        if self._program(order) is None:
            return f"The machine has no program of the work masters {', '.join(order.work_masters) or '(none)'}"
        return ""

    def update(self, order: Order) -> int:
        """Replace an order that has not begun."""
        job = self.jobs.get(order.order_id)
        if job is None:
            return _R.UNKNOWN_ORDER
        if job.state not in PREPARED:
            return _R.INVALID_STATE
        program = self._program(order)
        if program is None or len(order.content) > LONGEST_CONTENT or not 0 < order.runs <= LARGEST_RUNS:
            return _R.NOT_ACCEPTED
        job.order, job.program = order, program
        self.note(job)
        return _R.NO_ERROR

    def allow(self, order_id: str) -> int:
        """Start: it may begin as soon as the machine is ready."""
        return self._move(order_id, {_S.NOT_ALLOWED_TO_START}, _S.ALLOWED_TO_START)

    def revoke(self, order_id: str) -> int:
        return self._move(order_id, {_S.ALLOWED_TO_START}, _S.NOT_ALLOWED_TO_START)

    def cancel(self, order_id: str) -> int:
        """Forget an order that has not begun."""
        return self._forget(order_id, PREPARED)

    def clear(self, order_id: str) -> int:
        """Forget an order that is over, and its response."""
        return self._forget(order_id, OVER)

    def withdraw(self, order_id: str) -> None:
        """Take back an order that was stored a moment ago: nobody has seen it."""
        job = self.jobs.pop(order_id)
        self.changed = [one for one in self.changed if one.number != job.number]

    def began_allowed(self, order_id: str) -> None:
        """An order that was stored and started in one was never anything else than allowed to start (StoreAndStart)."""
        self.changed = [
            one for one in self.changed if one.order.order_id != order_id or one.state is not _S.NOT_ALLOWED_TO_START
        ]  # fmt: skip

    def note(self, job: Job) -> None:
        """A job has changed: remember how it is now."""
        self.changed.append(replace(job))

    def check(self, order_id: str, states: Container[JobState]) -> int:
        """NO_ERROR when there is such an order and it is in one of the states."""
        job = self.jobs.get(order_id)
        if job is None:
            return _R.UNKNOWN_ORDER
        return _R.NO_ERROR if job.state in states else _R.INVALID_STATE

    def enter(self, job: Job, state: JobState, now_ns: int, reason: str = "") -> None:
        """Put a job into another state. ValueError for a transition that the state machine does not have."""
        if state not in TRANSITIONS[job.state]:
            raise ValueError(f"{job.order.order_id}: no transition from {job.state.name} to {state.name}")
        job.state, job.reason = state, reason
        if state is _S.RUNNING and not job.started_ns:
            job.started_ns = now_ns
        elif state in OVER:
            job.ended_ns = now_ns
        self.note(job)

    # Looking --------------------------------------------------------------------------------------------------------

    @property
    def begun(self) -> Job | None:
        """The one that is carried out: one machine works at one order at a time."""
        return next((job for job in self.jobs.values() if job.state in BEGUN), None)

    def due(self, now_ns: int) -> Job | None:
        """What comes next: by priority, then by StartTime, then as they came (6.2.1.5)."""
        waiting = [job for job in self.jobs.values() if job.state is _S.ALLOWED_TO_START and job.order.not_before_ns <= now_ns]
        return min(waiting, key=lambda job: (-job.order.priority, job.order.not_before_ns, job.number), default=None)

    def foremost(self) -> Job | None:
        """The job whose state JobOrderControl shows: the one at work, else the next, else the one that was over last."""
        jobs = list(self.jobs.values())
        waiting = [job for job in jobs if job.state in PREPARED]
        first = min(waiting, key=lambda job: (-job.state, -job.order.priority, job.number), default=None)
        return self.begun or first or max(jobs, key=lambda job: job.ended_ns, default=None)

    # Keeping --------------------------------------------------------------------------------------------------------

    def save(self) -> dict[str, Any]:
        return {"numbers": self._numbers, "jobs": [_saved(job) for job in self.jobs.values()]}

    def restore(self, saved: Mapping[str, Any], now_ns: int) -> None:
        """Take up a ``save``. What was at work is aborted: the machine stands at home and no program runs."""
        for row in saved["jobs"]:
            job = _restored(row)
            self.jobs[job.order.order_id] = job
            if job.state in BEGUN:
                self.enter(job, _S.ABORTED, now_ns, "The server ended while it was carried out")
        self._numbers = int(saved["numbers"])
        self.is_listed_anew = True

    def _program(self, order: Order) -> str | None:
        programs = self._programs()
        return next((name for name in order.work_masters if name in programs), None)

    def _move(self, order_id: str, states: Container[JobState], to: JobState) -> int:
        status = self.check(order_id, states)
        if status == _R.NO_ERROR:
            self.enter(self.jobs[order_id], to, 0)
        return status

    def _forget(self, order_id: str, states: Container[JobState]) -> int:
        status = self.check(order_id, states)
        if status == _R.NO_ERROR:
            del self.jobs[order_id]
            self.is_listed_anew = True
        return status


def _saved(job: Job) -> dict[str, Any]:
    order = job.order
    return {
        "id": order.order_id, "content": base64.b64encode(order.content).decode(), "work_masters": list(order.work_masters),
        "runs": order.runs, "priority": order.priority, "not_before_ns": order.not_before_ns, "number": job.number,
        "program": job.program, "state": int(job.state), "runs_completed": job.runs_completed, "started_ns": job.started_ns,
        "ended_ns": job.ended_ns, "reason": job.reason,
    }  # fmt: skip


def _restored(row: Mapping[str, Any]) -> Job:
    order = Order(
        str(row["id"]), base64.b64decode(row["content"]), tuple(str(name) for name in row["work_masters"]), int(row["runs"]),
        int(row["priority"]), int(row["not_before_ns"]),
    )  # fmt: skip
    return Job(
        order, int(row["number"]), str(row["program"]), JobState(row["state"]), int(row["runs_completed"]),
        int(row["started_ns"]), int(row["ended_ns"]), str(row["reason"]),
    )  # fmt: skip
