"""A simulated machine as a source: the pure machine model behind the contract of ``sources.source``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from cnctwin.reading import BAD_NOT_READABLE, GOOD, UNCERTAIN_NO_COMMUNICATION, Columns, Value
from nodesets.catalogue import MACHINE
from nodesets.states import MachineState
from opcua_server.machine.faults.active import TruthEvent
from opcua_server.machine.fleet import Group
from opcua_server.machine.happened import Happened
from opcua_server.machine.machine import BLOCK_S, SAMPLES, Machine
from opcua_server.machine.signals import View, numbers, objects
from opcua_server.machine.tools import Tool
from opcua_server.sources.source import CommandRefused, Identity, SourceEvent, ToolState

Floats = npt.NDArray[np.float64]

BLOCK_NS: Final = round(BLOCK_S * 1e9)
SAMPLE_NS: Final = BLOCK_NS // SAMPLES
PROGRAM_SUFFIXES: Final = (".nc", ".ngc", ".gcode", ".tap", ".cnc", ".txt")
SHIPPED: Final = Path(__file__).resolve().parent.parent / "programs"
"""The programs that come with the product."""

_AT: Final = {signal.name: index for index, signal in enumerate(MACHINE)}
_COMPONENTS: Final = ("Spindle1", "AxisX", "AxisY", "AxisZ", "ToolMagazine", "CoolantUnit")
_MAKER: Final = "cnctwin"


def read_programs(folder: Path) -> dict[str, str]:
    """NC programs of a folder by file name; bytes that are no UTF-8 are kept as Latin-1."""
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in PROGRAM_SUFFIXES and path.is_file():
            raw = path.read_bytes()
            try:
                found[path.name] = raw.decode("utf-8")
            except UnicodeDecodeError:
                found[path.name] = raw.decode("latin-1")
    return found


def machine_number(machine_id: str) -> int:
    """What makes a machine's random streams its own: the number at the end of its id, else one made from its letters."""
    match = re.search(r"(\d{1,9})$", machine_id)
    return int(match[1]) if match else int.from_bytes(machine_id.encode()[-6:], "big")


class SimulatedSource:
    """One simulated machine.

    ``programs``: NC programs by name, or the folder they lie in. ``program``: the one that is cut; None lets the machine take
    them in an order of its own, in batches. With ``repeat`` the first cycle starts at once and each finished part is
    followed by the next. ``state``: a ``checkpoint`` to go on from. ``speed`` is only shown (Simulation/Speed). Without
    ``ground_truth`` nothing says which faults are active: no severities, no events of theirs.

    Raises KeyError for a ``program`` that is not in ``programs``, ValueError for a ``state`` of another version.
    """

    def __init__(
        self, machine_id: str, seed: int, programs: Mapping[str, str] | Path | str = SHIPPED, program: str | None = None,
        repeat: bool = True, state: Mapping[str, object] | None = None, *, speed: float = 1.0,
        ground_truth: bool = True,
    ) -> None:  # fmt: skip
        if isinstance(programs, str | Path):
            programs = read_programs(Path(programs))
        self._machine = Machine(machine_number(machine_id), seed, programs, program, repeat=repeat)
        if state is not None:
            self._machine.restore(state)
        self.speed = speed
        self.started_block = self._machine.block
        """When the server started."""
        self._ahead: Floats | Exception | None = None
        """What the machine shows at the end of its last block, or failed with, where that was worked out in step with others."""
        self._due_ns = 0
        """Machine time that has passed since the start."""
        self._done_ns = 0
        """Machine time that is simulated: the end of the last block."""
        self._now_ns = 0
        """Wall-clock time of the last ``advance``; 0 before the first."""
        self._events: list[SourceEvent] = []
        self._statuses = np.zeros(len(MACHINE), dtype=np.uint32)
        self._ground_truth = ground_truth
        if not ground_truth:
            self._statuses[_AT["Simulation/FaultSeverities"]] = BAD_NOT_READABLE
        self._marked: list[int] = []
        self._shown: Columns | None = None
        number = self._machine.number
        self._identity = Identity(
            machine_id=machine_id,
            manufacturer=_MAKER,
            model="VMC 762 simulated",
            serial_number=f"{_MAKER.upper()}-{number:06d}",
            product_instance_uri=f"urn:cnctwin:product:vmc762:{number:06d}",
            year_of_construction=2026,
            location="N 51.257315 E 6.740885",
            software_revision="0.1.0",
            components=tuple((name, _MAKER, f"{number:06d}-{k}") for k, name in enumerate(_COMPONENTS, 1)),
        )
        controller = self._machine.controller
        if controller.repeat and controller.job is not None and controller.state is MachineState.IDLE:
            controller.start_program()

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def machine(self) -> Machine:
        """The model itself, for tests and tools; the server needs only the contract."""
        return self._machine

    def advance(self, dt_s: float, now_ns: int) -> None:
        """Let ``dt_s`` seconds of machine time pass. The machine is simulated in whole blocks of 100 ms, up to 100 ms ahead."""
        blocks = self.due_blocks(dt_s)
        self._now_ns = now_ns
        self._due_ns += max(round(dt_s * 1e9), 0)
        if isinstance(self._ahead, Exception):
            raise self._ahead
        if blocks > 0:
            self._ahead = None
            self._machine.run(blocks)
            self._done_ns += blocks * BLOCK_NS
        self._collect()

    def due_blocks(self, dt_s: float) -> int:
        """Blocks that are left to be simulated when ``dt_s`` seconds more pass."""
        return -((self._done_ns - self._due_ns - max(round(dt_s * 1e9), 0)) // BLOCK_NS)

    @property
    def runs_ahead(self) -> bool:
        """Whether ``run`` may be called: no fault makes a block show something else than what it did."""
        return self._done_ns == self._due_ns and not self._machine.faults.any

    def run(self, blocks: int, now_ns: int) -> Iterator[tuple[Columns, list[SourceEvent]]]:
        """So many times ``advance`` by 100 ms, the first of them at ``now_ns``: what was shown after each, and what happened in it.

        With the same bytes as one by one, in little more than half of the time.
        """
        machine, happened = self._machine, self._machine.controller.happened
        seen: list[tuple[dict[str, Value], int]] = []
        rows = Group([machine], [self.started_block], self.speed).run(
            blocks, lambda view: seen.append((self._objects(view), len(happened)))
        )
        self._due_ns += blocks * BLOCK_NS
        self._done_ns += blocks * BLOCK_NS
        first, block = 0, machine.block - blocks
        for row, (shown, last) in zip(rows[:, 0], seen, strict=True):
            block += 1
            self._now_ns = now_ns
            self._shown = Columns(row, shown, self._mark(), now_ns)
            earlier, self._events = self._events, []
            yield self._shown, earlier + [self._stamped(one, block * BLOCK_S) for one in happened[first:last] if self._tells(one)]
            first, now_ns = last, now_ns + BLOCK_NS
        happened.clear()

    def take(self, blocks: int, shown: Floats | Exception) -> None:
        """So many blocks were simulated ahead of ``advance``: what the machine shows at their end, or what it raised."""
        self._ahead = shown
        self._done_ns += blocks * BLOCK_NS

    def columns(self) -> Columns:
        """While the line to the control is down: what was read last, with the time it had, marked as no longer current."""
        link = self._machine.link
        if not link.up and self._shown is not None:
            last = self._shown
            statuses = np.where(last.statuses == GOOD, UNCERTAIN_NO_COMMUNICATION, last.statuses).astype(np.uint32)
            return Columns(last.numbers, last.objects, statuses, last.source_time_ns)
        view, ahead = self._view(), self._ahead
        shown = self._objects(view)
        late_ns = round(link.late_s * 1e9)
        if self._shown is not None and late_ns:
            late_ns = min(late_ns, max(self._now_ns - self._shown.source_time_ns, 0))  # stamps never go back
        row = ahead if view.sample == SAMPLES - 1 and isinstance(ahead, np.ndarray) else numbers(view)
        self._shown = Columns(row, shown, self._mark(), self._now_ns - late_ns)
        return self._shown

    def _objects(self, view: View) -> dict[str, Value]:
        shown = objects(view)
        if not self._ground_truth:
            shown["Simulation/FaultSeverities"] = []
        return shown

    def _mark(self) -> npt.NDArray[np.uint32]:
        """Statuses of all signals: good, but for what the control itself finds wrong."""
        found = self._machine.shown.statuses
        if found or self._marked:
            self._statuses = self._statuses.copy()
            self._statuses[self._marked] = GOOD
            self._marked = [_AT[name] for name in found]
            self._statuses[self._marked] = list(found.values())
        return self._statuses

    def _view(self) -> View:
        sample = (self._due_ns - (self._done_ns - BLOCK_NS)) // SAMPLE_NS - 1
        return View(self._machine, min(max(sample, 0), SAMPLES - 1), self.started_block, self.speed)

    def tools(self) -> Sequence[ToolState]:
        controller = self._machine.controller
        spindle = controller.tool_number
        planned = controller.job.tools if controller.job is not None else frozenset()
        return [
            ToolState(
                number=number,
                name=tool.type.name,
                kind=tool.type.kind,
                diameter=tool.type.diameter_mm,
                teeth=tool.type.teeth,
                length=tool.type.length_mm,
                wear_percent=tool.measured_percent,
                cutting_time=tool.cutting_time_s / 60.0,
                life=tool.nominal_life_min,
                in_spindle=number == spindle,
                locked=tool.locked or (tool.broken and tool.measured_percent >= 100.0),
                broken=tool.broken,
                uses=tool.uses,
                cut_m=tool.cut_mm / 1000.0,
                last_used_ns=self._last_used_ns(tool, number == spindle),
                planned=number in planned,
            )
            for number, tool in self._machine.magazine.items()
        ]

    def _last_used_ns(self, tool: Tool, is_in_spindle: bool) -> int:
        if is_in_spindle:
            return self._now_ns
        return self._wall_ns(tool.last_used_s, self._machine.time_s) if tool.last_used_s >= 0.0 else 0

    def program_names(self) -> list[str]:
        """Names that ``LoadProgram`` takes."""
        return self._machine.controller.library.names()

    def take_events(self) -> list[SourceEvent]:
        self._collect()
        events, self._events = self._events, []
        return events

    def _collect(self) -> None:
        happened = self._machine.controller.happened
        if happened and self._now_ns:  # before the first advance there is no wall-clock time to stamp them with
            self._events.extend(self._stamped(one, self._machine.time_s) for one in happened if self._tells(one))
            del self._events[:-1000]  # a server that never takes them must not grow
            happened.clear()

    def _tells(self, one: Happened) -> bool:
        return self._ground_truth or one.kind != "fault"

    def _stamped(self, one: Happened, machine_s: float) -> SourceEvent:
        """``machine_s``: machine time now."""
        return SourceEvent(one.kind, self._wall_ns(one.time_s, machine_s), one.severity, one.code, one.text, one.details)

    def _wall_ns(self, time_s: float, machine_s: float) -> int:
        """Wall-clock time of a moment of machine time: as long before now as it is, at the speed things run at."""
        behind_s = max(machine_s - time_s, 0.0) / max(self.speed, 1e-9)
        return max(self._now_ns - round(behind_s * 1e9), 0)

    def call(self, method: str, arguments: Sequence[Value]) -> None:
        """Carry out a method of ``nodesets.methods``; it acts from the next block of 100 ms on."""
        if not isinstance(self._ahead, Exception):
            self._ahead = None  # switches show at once how they stand
        self._machine.controller.call(method, arguments)

    def program(self, name: str) -> str:
        return self._machine.controller.library.text(name)

    def flaw(self, name: str, text: str | None = None) -> str:
        alarm = self._machine.controller.library.job(name, text).alarm
        return "" if alarm is None else str(alarm)

    def set_repeat(self, on: bool) -> None:
        self._machine.controller.set_repeat(on)

    def ground_truth(self) -> list[TruthEvent]:
        """The record of what was injected and cleared when, oldest first: the stream that detectors are judged by."""
        return list(self._machine.faults.record)

    def checkpoint(self) -> dict[str, object]:
        if isinstance(self._ahead, Exception):
            raise self._ahead  # what it left behind is no state to go on from
        return self._machine.save()


__all__ = ["SHIPPED", "CommandRefused", "SimulatedSource", "machine_number", "read_programs"]
