"""What each run of a program came to (OPC 40001-101). Pure: machine state, events and times come in.

    program_started --> a run --program_ended--> a result: came to its end, or was stopped
                          |-----EMERGENCY_STOP--> a result: aborted
                          '-----IDLE (RESET)----> a result: aborted

Hold and alarm end no run; maintenance and the main switch come at a stand only. A run that was going on when the server ended has
no result: nobody saw how it went on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Final

from nodesets.states import MachineState
from opcua_server.sources.source import SourceEvent

MOST: Final = 100
"""Results that are kept: of more, those that were acknowledged go first, then the oldest."""
_OVER: Final = frozenset({MachineState.EMERGENCY_STOP, MachineState.IDLE, MachineState.MAINTENANCE, MachineState.OFF})
"""States in which no program is under way."""
_KINDS: Final = {"int": int, "str": str, "bool": bool, "float": float}


@dataclass(frozen=True, slots=True)
class Measured:
    """What the machine shows at one moment: energy since first power-on, and roughness Ra of the last part that was gauged."""

    energy_kwh: float
    roughness_um: float


@dataclass(frozen=True, slots=True)
class RunResult:
    """``number``: of the run, counted over all restarts. ``job``: the order it belongs to, empty for none. Times in ns since the
    epoch. ``cycle_s``: in machine time, holds included, 0 for a run that did not come to its end. ``roughness_um``: 0 for a part
    that was not gauged."""

    number: int
    program: str
    job: str
    started_ns: int
    ended_ns: int
    completed: bool
    reason: str
    cycle_s: float
    energy_kwh: float
    roughness_um: float
    acknowledged: bool = False


@dataclass(slots=True)
class _Run:
    program: str
    started_ns: int
    before: Measured


class ResultBook:
    """``results``: oldest first, by number."""

    def __init__(self) -> None:
        self.results: dict[int, RunResult] = {}
        self._number = 0
        self._run: _Run | None = None

    @property
    def latest(self) -> RunResult | None:
        return next(reversed(self.results.values()), None)

    def follow(
        self, state: MachineState, events: Iterable[SourceEvent], shown: Measured, now_ns: int, job_of: Callable[[str, int], str]
    ) -> list[RunResult]:
        """One tick; the results that came of it. ``job_of``: (program, moment) -> the order that the run was made for."""
        found: list[RunResult] = []
        for event in events:
            if event.kind == "program_started":
                self._run = _Run(event.code, event.source_time_ns, shown)
            elif event.kind == "program_ended":
                completed, moment_ns = bool(event.details.get("Completed")), event.source_time_ns
                cycle_s = event.details.get("Time")
                reason = "The program came to its end" if completed else "Stopped at the machine"
                job = job_of(event.code, moment_ns)
                found += self._end(completed, reason, float(cycle_s) if isinstance(cycle_s, float) else 0.0, shown, moment_ns, job)
        if self._run is not None and state in _OVER:
            reason = "Emergency stop" if state is MachineState.EMERGENCY_STOP else "RESET"
            found += self._end(False, reason, 0.0, shown, now_ns, job_of(self._run.program, now_ns))
        return found

    def _end(self, completed: bool, reason: str, cycle_s: float, shown: Measured, now_ns: int, job: str) -> list[RunResult]:
        run, self._run = self._run, None
        if run is None:
            return []
        self._number += 1
        was_gauged = completed and shown.roughness_um != run.before.roughness_um  # a gauge never reads the same twice
        result = self.results[self._number] = RunResult(
            self._number, run.program, job, run.started_ns, now_ns, completed, reason, cycle_s,
            max(shown.energy_kwh - run.before.energy_kwh, 0.0), shown.roughness_um if was_gauged else 0.0,
        )  # fmt: skip
        while len(self.results) > MOST:
            spare = next((one for one in self.results.values() if one.acknowledged), next(iter(self.results.values())))
            del self.results[spare.number]
        return [result]

    def acknowledge(self, number: int) -> bool:
        """Somebody has stored the result: it may go first. False where there is none of that number."""
        found = self.results.get(number)
        if found is None:
            return False
        self.results[number] = replace(found, acknowledged=True)
        return True

    # What survives ----------------------------------------------------------------------------------------------------

    def save(self) -> dict[str, Any]:
        return {"number": self._number, "results": [asdict(one) for one in self.results.values()]}

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Go on from what ``save`` gave. Raises ValueError, KeyError or TypeError, and has changed nothing then."""
        results = [_read(one) for one in saved["results"]]
        number = saved["number"]
        if not isinstance(number, int) or number < max((one.number for one in results), default=0):
            raise ValueError(f"number of results is {number!r}")
        self.results = {one.number: one for one in sorted(results, key=lambda one: one.number)[-MOST:]}
        self._number = number


def _read(saved: Mapping[str, Any]) -> RunResult:
    for one in fields(RunResult):
        kind = _KINDS[str(one.type)]
        if type(saved[one.name]) is not kind:
            raise ValueError(f"{one.name} of a result is {saved[one.name]!r}"[:200])
    return RunResult(**saved)
