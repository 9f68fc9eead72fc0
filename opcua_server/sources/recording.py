"""A run that was kept: what a machine showed, row by row, in a file, and a source that shows it again.

    source --record--> Recording --save--> run.npz --load--> ReplaySource --> address space, as if it were the machine

A file is a numpy archive without pickles: numbers and statuses of every row, the other signals where they changed, events with
their rows, name plate and tools. It holds the names of its signals, so a file of another version is served as far as it goes; what
it lacks is Bad. A replay begins anew at its end and takes no commands.
"""

from __future__ import annotations

import dataclasses
import json
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cnctwin.reading import BAD_NOT_CONNECTED, Columns, Value
from nodesets.catalogue import MACHINE, NUMERIC, OBJECTS
from opcua_server.machine.machine import BLOCK_S, THERMAL_BLOCKS
from opcua_server.sources.simulated import SimulatedSource
from opcua_server.sources.source import CommandRefused, Identity, Source, SourceEvent, ToolState

FORMAT: Final = 1
_EMPTY: Final[dict[str, Value]] = {"String": "", "LocalizedText": "", "String[]": [], "UInt32[]": [], "Double[]": []}


@dataclass(frozen=True, slots=True)
class Recording:
    """``numbers`` (n, n_numeric) and ``statuses`` (n, n_machine), in the order of the catalogue; ``step_s`` between two rows.

    ``changes``: for each row the other signals that are new in it; ``events``: (row, event).
    """

    identity: Identity
    step_s: float
    numbers: npt.NDArray[np.float64]
    statuses: npt.NDArray[np.uint32]
    changes: list[dict[str, Value]]
    events: list[tuple[int, SourceEvent]]
    tools: list[ToolState]

    def save(self, path: Path) -> None:
        about = {
            "format": FORMAT,
            "step_s": self.step_s,
            "numeric": [signal.name for signal in NUMERIC],
            "signals": [signal.name for signal in MACHINE],
            "identity": dataclasses.asdict(self.identity),
            "changes": [[row, new] for row, new in enumerate(self.changes) if new],
            "events": [[row, dataclasses.asdict(event)] for row, event in self.events],
            "tools": [dataclasses.asdict(tool) for tool in self.tools],
        }
        text = np.frombuffer(json.dumps(about).encode(), dtype=np.uint8)
        with path.open("wb") as file:
            np.savez_compressed(file, about=text, numbers=self.numbers, statuses=self.statuses)


def record(source: Source, seconds: float, step_s: float = 0.1, advance: Callable[[float], None] | None = None) -> Recording:
    """Let a source run and keep what it shows every ``step_s`` seconds of its own time. ``advance`` is told each step, s."""
    numbers, statuses = [], []
    changes: list[dict[str, Value]] = []
    events: list[tuple[int, SourceEvent]] = []
    before: Mapping[str, Value] = {}
    for row, (columns, happened) in enumerate(_rows(source, max(round(seconds / step_s), 1), step_s)):
        numbers.append(columns.numbers.copy())
        statuses.append(columns.statuses.copy())
        changes.append({name: value for name, value in columns.objects.items() if row == 0 or before[name] != value})
        before = dict(columns.objects)
        events.extend((row, event) for event in happened)
        if advance is not None:
            advance(step_s)
    return Recording(source.identity, step_s, np.array(numbers), np.array(statuses), changes, events, list(source.tools()))


def _rows(source: Source, count: int, step_s: float) -> Iterator[tuple[Columns, list[SourceEvent]]]:
    """What a source shows after each step, and what happened in it: of a simulated machine a second at a time where it can."""
    row = 0
    while row < count:
        now_ns = round((row + 1) * step_s * 1e9)
        if isinstance(source, SimulatedSource) and step_s == BLOCK_S and source.runs_ahead:
            some = min(THERMAL_BLOCKS, count - row)
            yield from source.run(some, now_ns)
            row += some
            continue
        source.advance(step_s, now_ns)
        yield source.columns(), source.take_events()
        row += 1


def load(path: Path) -> Recording:
    """Raises OSError, and ValueError when the file is no recording."""
    is_archive = zipfile.is_zipfile(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            about: dict[str, Any] = json.loads(archive["about"].tobytes())
            numbers, statuses = archive["numbers"], archive["statuses"]
        if about["format"] != FORMAT:
            raise ValueError(f"it has format {about['format']}, not {FORMAT}")
        changes: list[dict[str, Value]] = [{} for _ in range(len(numbers))]
        for row, new in about["changes"]:
            changes[row] = new
        return Recording(
            Identity(**{**about["identity"], "components": tuple(tuple(one) for one in about["identity"]["components"])}),
            float(about["step_s"]),
            _sorted(numbers, about["numeric"], [signal.name for signal in NUMERIC], 0.0).astype(np.float64),
            _sorted(statuses, about["signals"], [signal.name for signal in MACHINE], BAD_NOT_CONNECTED).astype(np.uint32),
            changes,
            [(row, SourceEvent(**event)) for row, event in about["events"]],
            [ToolState(**tool) for tool in about["tools"]],
        )
    except (KeyError, TypeError, ValueError, EOFError, zipfile.BadZipFile) as error:
        why = error if is_archive else "it is no numpy archive; make one with `cnctwin machine record`"
        raise ValueError(f"{path.name} is no recording: {why}") from error


def _sorted(table: npt.NDArray[Any], had: Sequence[str], wanted: Sequence[str], missing: float) -> npt.NDArray[Any]:
    """Columns by name, in the order of today's catalogue."""
    out = np.full((len(table), len(wanted)), missing, dtype=table.dtype)
    at = {name: column for column, name in enumerate(had)}
    for column, name in enumerate(wanted):
        if name in at:
            out[:, column] = table[:, at[name]]
    return out


class ReplaySource:
    """A recording as a source, under a machine id of its own."""

    def __init__(self, machine_id: str, recording: Recording) -> None:
        if not len(recording.numbers):
            raise ValueError("the recording is empty")
        self._recording = recording
        self._identity = dataclasses.replace(recording.identity, machine_id=machine_id)
        self._passed_s = 0.0
        self._row = -1
        """Rows shown since the start, over all rounds; -1 before the first."""
        self._now_ns = 0
        self._objects: dict[str, Value] = {signal.name: _EMPTY[signal.type] for signal in OBJECTS}
        self._events: list[SourceEvent] = []

    @property
    def identity(self) -> Identity:
        return self._identity

    def advance(self, dt_s: float, now_ns: int) -> None:
        recording, self._now_ns = self._recording, now_ns
        self._passed_s += max(dt_s, 0.0)
        target = max(int(self._passed_s / recording.step_s + 1e-9) - 1, 0)
        n = len(recording.numbers)
        for row in range(max(self._row + 1, target - n + 1), target + 1):
            self._objects.update({name: value for name, value in recording.changes[row % n].items() if name in self._objects})
            for at, event in recording.events:
                if at == row % n:
                    self._events.append(dataclasses.replace(event, source_time_ns=now_ns))
        del self._events[:-1000]
        self._row = max(target, self._row)

    def columns(self) -> Columns:
        row = max(self._row, 0) % len(self._recording.numbers)
        return Columns(self._recording.numbers[row], dict(self._objects), self._recording.statuses[row], self._now_ns)

    def tools(self) -> Sequence[ToolState]:
        return self._recording.tools

    def take_events(self) -> list[SourceEvent]:
        events, self._events = self._events, []
        return events

    def call(self, method: str, arguments: Sequence[Value]) -> None:
        raise CommandRefused("state", f"{method} is not possible: this is a recording")

    def program(self, name: str) -> str:
        raise KeyError(name)

    def flaw(self, name: str, text: str | None = None) -> str:
        return ""

    def set_repeat(self, on: bool) -> None:
        pass

    def checkpoint(self) -> dict[str, object]:
        return {}
