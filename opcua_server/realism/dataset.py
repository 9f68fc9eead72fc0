"""A labelled table of a mill's telemetry: hours of several machines with faults that come and go, as fast as it goes.

    episode 1                                     episode 2
    |-- healthy --|-- fault A grows -- stays --|  |-- healthy --|-- fault B ...        one at a time, then it is repaired

Each row is what the machine showed at one moment, and what was wrong with it then: the label is the simulation's own record
(``machine/faults``), no detector's opinion. Whoever runs the machine is in it too: an alarm is reset after two minutes and the
program started again; what alarms a third time within an episode is repaired at once; with the repair, edges that the fault wore
are renewed, so that the next episode begins healthy; that of the tool in the spindle as soon as the program has laid it aside. Who
frees the conveyor takes the pile of chips out: by itself the belt is at it for an hour.

The same arguments give the same rows. Times are machine time in s since the machine was switched on.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from nodesets.catalogue import BY_NAME, MACHINE, NUMERIC
from nodesets.states import MachineState
from opcua_server.machine.faults import FAULTS
from opcua_server.machine.program_file import NoProgramError, read_main_program
from opcua_server.realism.table import Column, Kind
from opcua_server.sources.simulated import SHIPPED, SimulatedSource, read_programs
from opcua_server.sources.source import CommandRefused

HEALTHY: Final = "none"
ROWS: Final = 3600
"""Rows that are handed over together."""
ALARM_S: Final = 120.0
ALARMS: Final = 3
SEVERITY: Final = (0.3, 1.0)
ONSET: Final = (0.1, 0.7)
"""Bounds of a fault's severity, and of the part of its time in which it grows to it."""
STRETCH: Final = (0.6, 1.4)
"""Bounds of a stretch's length, as a part of the mean."""
TEXTS: Final = ("Machine/AlarmCode", "Channel/ActMainProgramName", "Channel/ActProgramLine", "Tool/Type")
"""Texts that are columns; lists, and the names of subprograms, are not."""
_SHOWN: Final = tuple(
    signal for signal in MACHINE if not signal.name.startswith("Simulation/") and (signal.is_numeric or signal.name in TEXTS)
)
_NUMBER_AT: Final = {signal.name: index for index, signal in enumerate(NUMERIC)}
_STATUS_AT: Final = {signal.name: index for index, signal in enumerate(MACHINE)}
_STOPPED: Final = frozenset({MachineState.ALARM, MachineState.EMERGENCY_STOP})


def _kind(type_: str) -> Kind:
    if type_ == "Boolean":
        return "flag"
    return "text" if type_ == "String" else "number" if type_ == "Double" else "count"


LABELS: Final = (
    Column("machine", "text", "", "which machine"),
    Column("time_s", "number", "s", "machine time since it was switched on"),
    Column("episode", "count", "", "number of the episode, from 1: a healthy stretch and the fault that ends it"),
    Column("fault", "text", "", f"the fault that acts now, by its name in Simulation/FaultNames; {HEALTHY}: nothing is wrong"),
    Column("severity", "number", "", "how severe the fault is now, 0 to 1"),
    Column("is_current", "flag", "", "false while the line to the control is down: signals are what was read last"),
)
COLUMNS: Final = LABELS + tuple(
    Column(signal.name, _kind(signal.type), signal.unit.symbol if signal.unit is not None else "", signal.doc) for signal in _SHOWN
)


COUNTERS: Final = (
    "Machine/PowerOnDuration", "Machine/OperationDuration", "Machine/OperationCycleCounter", "Machine/PartsProduced",
    "Upkeep/SpindleBearing", "Upkeep/CoolantFilter", "Upkeep/WayLube", "Lubrication/Level", "Power/Energy", "Power/ReactiveEnergy",
)  # fmt: skip
"""What only counts on, for days at least: it tells the minute, and so the label of the rows beside it."""


NOTES: Final = (
    "A simulated mill. Rows are period_s apart, in machine time; none is left out. Missing: the signal's status was bad.",
    "The label is the simulation's own record of what was wrong at that moment, whether it can be seen then or not.",
    "What a fault did may outlast it: heat flows out slowly, and the edge in the spindle is renewed when its tool is laid aside.",
    "Labels and counters are no features: both tell the label. Split by machine, never by row.",
    "Tables of one seed hold the same rows until the first fault; a machine of another seed is another one of the same name.",
    "A fault grows to its severity within onset_s from begun_s on; ended_s is null where the table ends first.",
)
"""For whoever has the files and nothing else."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked for. ``healthy_s`` and ``fault_s`` are the mean lengths of the two stretches of an episode; without ``faults``
    the machine is healthy throughout. ``program``: one of ``programs`` by name; None: all of them in turn."""

    seconds: float
    machines: int = 1
    period_s: float = 1.0
    faults: tuple[str, ...] = tuple(FAULTS)
    healthy_s: float = 1800.0
    fault_s: float = 1800.0
    seed: int = 1
    programs: Mapping[str, str] = field(default_factory=lambda: read_programs(SHIPPED))
    program: str | None = None

    @property
    def rows(self) -> int:
        return self.machines * self._rows_each

    @property
    def _rows_each(self) -> int:
        return max(round(self.seconds / self.period_s), 1)


@dataclass(slots=True)
class Episode:
    """One line of the record: times in s of the machine; ``ended_s`` is None where the table ends first."""

    machine: str
    episode: int
    fault: str
    root_cause: str
    severity: float
    begun_s: float
    onset_s: float
    ended_s: float | None = None


class Dataset:
    """The rows of a plan, machine after machine, and the record of what was wrong when."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.episodes: list[Episode] = []

    def chunks(self) -> Iterator[list[list[Any]]]:
        """Values of every column of ``COLUMNS``, ROWS rows at a time or fewer."""
        for number in range(1, self.plan.machines + 1):
            yield from _Run(self.plan, f"CNC-{number:03d}", number, self.episodes).chunks()

    def about(self) -> dict[str, Any]:
        """What a reader needs to know beside the rows: plan, columns with units, what is no feature, the episodes so far."""
        plan = {name: value for name, value in asdict(self.plan).items() if name != "programs"}
        return {
            "notes": list(NOTES),
            "plan": {**plan, "programs": sorted(self.plan.programs)},
            "columns": [asdict(column) for column in COLUMNS],
            "labels": [column.name for column in LABELS],
            "counters": list(COUNTERS),
            "episodes": [asdict(episode) for episode in self.episodes],
        }


class _Run:
    """One machine, with somebody who looks after it."""

    def __init__(self, plan: Plan, name: str, number: int, episodes: list[Episode]) -> None:
        self._plan, self._name, self._episodes = plan, name, episodes
        self._source = SimulatedSource(name, plan.seed, plan.programs, plan.program)
        self._random = np.random.Generator(np.random.Philox([plan.seed, number]))
        self._left: list[str] = []
        self._number = 1
        self._active: Episode | None = None
        self._until_s = self._stretch(plan.healthy_s)
        self._stopped_s = 0.0
        self._alarms = 0
        self._worn: list[int] = []
        """Tools that are to have a new edge."""

    def chunks(self) -> Iterator[list[list[Any]]]:
        columns: list[list[Any]] = [[] for _ in COLUMNS]
        count = self._plan._rows_each
        for row in range(1, count + 1):
            time_s = row * self._plan.period_s
            self._source.advance(self._plan.period_s, round(time_s * 1e9))
            for column, value in zip(columns, self._row(time_s), strict=True):
                column.append(value)
            if row % ROWS == 0 or row == count:
                yield columns
                columns = [[] for _ in COLUMNS]
            self._look_after(time_s)

    def _row(self, time_s: float) -> list[Any]:
        shown = self._source.columns()
        numbers, bad = shown.numbers.tolist(), (shown.statuses >> 30 >= 2).tolist()
        machine = self._source.machine
        severity = max(machine.faults.severities(machine.time_s))
        fault = self._active.fault if self._active is not None and severity > 0.0 else HEALTHY
        row: list[Any] = [self._name, round(time_s, 3), self._number, fault, severity, machine.link.up]
        for signal in _SHOWN:
            at = _NUMBER_AT.get(signal.name)
            value = shown.objects[signal.name] if at is None else numbers[at]
            row.append(None if bad[_STATUS_AT[signal.name]] or value != value else value)
        return row

    def _look_after(self, now_s: float) -> None:
        self._renew()
        if self._source.machine.controller.state in _STOPPED:
            self._stopped_s += self._plan.period_s
            if self._stopped_s >= ALARM_S:
                self._alarms += 1
                if self._alarms >= ALARMS:
                    self._repair(now_s)
                self._go_on()
        if now_s < self._until_s or not self._plan.faults:
            return
        if self._active is None:
            self._break(now_s)
        else:
            self._repair(now_s)

    def _break(self, now_s: float) -> None:
        if not self._left:  # every fault once before one comes again
            self._left = [str(name) for name in self._random.permutation(self._plan.faults)]
        name = self._left.pop()
        lasts_s = self._stretch(self._plan.fault_s)
        severity, share = float(self._random.uniform(*SEVERITY)), float(self._random.uniform(*ONSET))
        self._active = Episode(self._name, self._number, name, FAULTS[name].root_cause, severity, now_s, share * lasts_s)
        self._episodes.append(self._active)
        self._do("InjectFault", name, severity, share * lasts_s)
        self._until_s = now_s + lasts_s

    def _repair(self, now_s: float) -> None:
        if self._active is None:
            return
        self._do("ClearFault", "All")
        if self._active.fault == "chip_jam":
            self._source.machine.conveyor.pile_kg = 0.0
        self._worn = [
            number
            for number, tool in self._source.machine.magazine.items()
            if tool.broken or tool.locked or self._active.fault == "accelerated_tool_wear"
        ]
        self._renew()
        self._active.ended_s = now_s
        self._active = None
        self._number += 1
        self._alarms = 0
        self._until_s = now_s + self._stretch(self._plan.healthy_s)
        self._go_on()

    def _renew(self) -> None:
        """New edges; none for the tool in the spindle while a program runs."""
        self._worn = [number for number in self._worn if not self._do("ReplaceTool", number)]

    def _go_on(self) -> None:
        """Reset what stands, and start its program again."""
        self._stopped_s = 0.0
        if self._source.machine.controller.state in _STOPPED:
            self._do("Reset")
            self._do("Start")

    def _do(self, method: str, *arguments: Any) -> bool:
        """Whether it was possible in the machine's state; if not, whoever runs it looks again at the next row."""
        try:
            self._source.call(method, arguments)
        except CommandRefused:
            return False
        return True

    def _stretch(self, mean_s: float) -> float:
        return mean_s * float(self._random.uniform(*STRETCH))


def plan_of(
    seconds: float, faults: Sequence[str], program: str | None, programs: Mapping[str, str] | None = None, **more: Any
) -> Plan:
    """A plan from names as they are typed. ``faults``: names, or the one word all or none; ``program``: a shipped one's name, or a
    file. Raises ValueError that names what there is, OSError."""
    known, program = chosen(program, dict(programs) if programs is not None else read_programs(SHIPPED))
    names = tuple(FAULTS) if list(faults) == ["all"] else () if list(faults) == [HEALTHY] else tuple(faults)
    unknown = [name for name in names if name not in FAULTS]
    if unknown:
        raise ValueError(f"{', '.join(unknown)}: there is no such fault; faults are all, {HEALTHY}, {', '.join(FAULTS)}")
    return Plan(seconds, faults=names, program=program, programs=known, **more)


def chosen(program: str | None, known: dict[str, str]) -> tuple[dict[str, str], str | None]:
    """The programs that a machine has, and which of them it runs: one of ``known`` by its name, one in a file, or none alone.
    Raises ValueError that names what there is, OSError."""
    if program is None or program in known:
        return known, program
    path = Path(program)
    if not path.is_file():
        raise ValueError(f"{program}: there is no such program or file; programs are {', '.join(sorted(known))}")
    try:
        return {path.name: read_main_program(path).text}, path.name
    except NoProgramError as error:
        raise ValueError(f"{program}: {error}") from error


assert all(name in BY_NAME for name in TEXTS)  # noqa: S101 - a name that the catalogue lost must not vanish from the table
