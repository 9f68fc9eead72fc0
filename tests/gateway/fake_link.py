"""A link that plays a machine: signals that move, commands that change its state, an outage on request. For tests and play.py."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

from cnctwin.link import Handling, LinkAlarm, LinkCondition, LinkState, Machine, MethodFailed, Remark
from cnctwin.reading import UNCERTAIN_NO_COMMUNICATION, Batch, Reading, Value
from nodesets import catalogue, methods
from nodesets.states import MachineState

_TEXTS: dict[str, Value] = {
    "Machine/AlarmCode": "",
    "Machine/AlarmText": "",
    "Channel/ActProgramName": "pocket.nc",
    "Channel/ActMainProgramName": "pocket.nc",
    "Channel/ProgramNames": ["contour.nc", "pocket.nc"],
    "Channel/ActProgramLine": "12",
    "Channel/ActProgramBlock": ["G1 X-350. F800", "Y-220.", "X-410."],
    "Channel/ActGFunctions": [10, 170, 210, 540, 900],
    "Channel/ActMFunctions": [3, 8],
    "Tool/Type": "end_mill",
    "Simulation/FaultNames": ["tool_wear", "spindle_bearing", "coolant", "thermal_drift", "axis_backlash"],
    "Simulation/FaultSeverities": [0.0] * 5,
    "Analytics/Explanation": "",
}


class FakeLink:
    """Plays ``machine_ids`` at ``period_s``; ``period_s`` None plays only what the test hands to ``play``."""

    def __init__(self, machine_ids: Sequence[str] = ("CNC-001",), period_s: float | None = 0.1) -> None:
        self.state: LinkState = "connecting"
        self.reason = ""
        self.remarks: tuple[Remark, ...] = ()
        self.dropped = 0
        self.period_s = period_s
        self.calls: list[tuple[str, str, tuple[Value, ...]]] = []
        self.refusal: Exception | None = None
        self.recorded: dict[tuple[str, str], list[Reading]] = {}
        """What the server's own history has."""
        self.machines = {
            machine_id: Machine(
                machine_id,
                "cnctwin",
                "VMC-40",
                f"SN-{number:04d}",
                "N 51.257315 E 6.740885",
                frozenset(catalogue.BY_NAME),
                frozenset(methods.BY_NAME),
            )
            for number, machine_id in enumerate(machine_ids, 1)
        }
        self.states = dict.fromkeys(machine_ids, MachineState.RUNNING)
        self.now: dict[str, dict[str, Reading]] = {machine_id: {} for machine_id in machine_ids}
        self._batches: asyncio.Queue[Batch] = asyncio.Queue()
        self._alarms: asyncio.Queue[LinkAlarm] = asyncio.Queue()
        self._conditions: asyncio.Queue[LinkCondition] = asyncio.Queue()
        self.handled: list[tuple[Handling, str, bytes, str]] = []
        self._began = time.monotonic()

    async def run(self) -> None:
        self.state = "connected"
        while True:
            if self.period_s is not None and self.state == "connected":
                for machine_id in self.machines:
                    self.play(machine_id, self.moment(machine_id))
            await asyncio.sleep(self.period_s or 3600)

    def play(self, machine_id: str, values: dict[str, Value | Reading], time_ns: int | None = None) -> Batch:
        """Hand out one batch with what changed."""
        time_ns = time.time_ns() // 1000 * 1000 if time_ns is None else time_ns
        known = self.now[machine_id]
        readings = []
        for name, value in values.items():
            reading = value if isinstance(value, Reading) else Reading(name, value, 0, time_ns, time_ns)
            if name not in known or known[name].value != reading.value or known[name].status != reading.status:
                known[name] = reading
                readings.append(reading)
        batch = Batch(machine_id, time_ns, tuple(readings))
        self._batches.put_nowait(batch)
        return batch

    def lose(self) -> None:
        """The server is gone: everything once more, Uncertain."""
        self.state = "lost"
        for machine_id, known in self.now.items():
            worse = tuple(reading.degraded(UNCERTAIN_NO_COMMUNICATION) for reading in known.values())
            self.now[machine_id] = {reading.signal: reading for reading in worse}
            if worse:
                self._batches.put_nowait(Batch(machine_id, max(r.source_time_ns for r in worse), worse))

    def return_(self) -> None:
        self.state = "connected"

    def raise_alarm(self, alarm: LinkAlarm) -> None:
        self._alarms.put_nowait(alarm)

    async def batches(self, machine_id: str | None = None, signals: Any = None) -> AsyncIterator[Batch]:
        while True:
            yield await self._batches.get()

    async def alarms(self) -> AsyncIterator[LinkAlarm]:
        while True:
            yield await self._alarms.get()

    def show_condition(self, condition: LinkCondition) -> None:
        self._conditions.put_nowait(condition)

    async def conditions(self) -> AsyncIterator[LinkCondition]:
        while True:
            yield await self._conditions.get()

    async def handle(self, act: Handling, condition: LinkCondition, event_id: bytes, comment: str = "") -> None:
        await asyncio.sleep(0)
        if self.refusal is not None:
            raise self.refusal
        self.handled.append((act, condition.id, event_id, comment))
        changed = {"comment": comment or condition.comment, "event_id": bytes(reversed(event_id))}
        if act == "Acknowledge":
            self.show_condition(replace(condition, acknowledged=True, confirmed=False, **changed))
        else:
            done = act == "Confirm"
            self.show_condition(
                replace(condition, confirmed=done or condition.confirmed, retain=not done or condition.active, **changed)
            )

    async def call(self, machine_id: str, method: str, arguments: Sequence[Value] = ()) -> None:
        await asyncio.sleep(0)
        if self.state != "connected":
            raise ConnectionError("the server is away")
        if self.refusal is not None:
            raise self.refusal
        state = self.states[machine_id]
        self.calls.append((machine_id, method, tuple(arguments)))
        if method in ("LoadProgram", "LoadProgramText", "ChangeTool", "SetSpindleSpeed") and state is MachineState.RUNNING:
            raise MethodFailed(0x80AF0000, "BadInvalidState", "a program runs")
        after = {"Start": MachineState.RUNNING, "Hold": MachineState.HELD, "Stop": MachineState.IDLE, "Reset": MachineState.IDLE}
        self.states[machine_id] = after.get(method, state)
        if method == "EmergencyStop":
            self.states[machine_id] = MachineState.EMERGENCY_STOP
            self.raise_alarm(LinkAlarm(machine_id, time.time_ns(), 900, "EX0001", "Emergency stop", True))

    async def past(self, machine_id: str, signal: str, start_ns: int, end_ns: int, most: int) -> list[Reading]:
        await asyncio.sleep(0)
        if self.state != "connected":
            raise ConnectionError("the server is away")
        if self.refusal is not None:
            raise self.refusal
        return [one for one in self.recorded[machine_id, signal] if start_ns <= one.source_time_ns < end_ns][-most:]

    def moment(self, machine_id: str) -> dict[str, Value | Reading]:
        """All signals now: a tool that circles, spindle and temperatures that breathe, wear that grows."""
        t = time.monotonic() - self._began
        running = self.states[machine_id] is MachineState.RUNNING
        values: dict[str, Value | Reading] = {}
        for row in catalogue.SIGNALS:
            if row.name in _TEXTS:
                values[row.name] = _TEXTS[row.name]
            elif row.type == "Boolean":
                values[row.name] = False
            elif row.type in ("Int32", "UInt16", "UInt32", "Byte"):
                values[row.name] = 1
            elif row.type == "Double":
                values[row.name] = 0.0
        angle = t * 0.8
        values |= {
            "Machine/State": int(self.states[machine_id]),
            "Machine/CycleTime": round(t, 1),
            "Machine/StacklightGreen": running,
            "Channel/ChannelMode": 0,
            "Channel/ActProgramLine": str(12 + int(t) % 80),
            "Channel/ActFeedrate": 800.0 if running else 0.0,
            "Channel/FeedOverride": 100.0,
            "Channel/Progress": t % 100.0,
            "Axes/X/ActPos": -381.0 + 60.0 * math.cos(angle),
            "Axes/Y/ActPos": -203.0 + 60.0 * math.sin(angle),
            "Axes/Z/ActPos": -300.0 - 2.0 * (int(t) % 10),
            "Axes/X/ActVelocity": -2880.0 * math.sin(angle),
            "Axes/Y/ActVelocity": 2880.0 * math.cos(angle),
            "Spindle/ActSpeed": 8000.0 + 20.0 * math.sin(t * 3.0) if running else 0.0,
            "Spindle/CmdSpeed": 8000.0,
            "Spindle/Override": 100.0,
            "Spindle/ActLoad": 35.0 + 5.0 * math.sin(t * 2.0),
            "Spindle/Temperature": 38.0 + 2.0 * math.sin(t * 0.1),
            "Spindle/VibrationVelocity": 0.8 + 0.1 * math.sin(t * 5.0),
            "Tool/Number": 3,
            "Tool/Diameter": 10.0,
            "Tool/Teeth": 4,
            "Tool/WearPercent": min(200.0, 10.0 + t * 0.05),
            "Tool/CuttingTime": 12.0 + t / 60.0,
            "Tool/CuttingSpeed": 251.3,
            "Tool/InCut": running,
            "Coolant/IsOn": True,
            "Coolant/Flow": 18.0,
            "Coolant/Pressure": 6.0,
            "Coolant/Temperature": 24.0,
            "Coolant/Level": 80.0,
            "Power/Total": 6.0 + 0.5 * math.sin(t),
            "Power/Spindle": 2.5,
            "Power/Servo": 0.4 * math.sin(t),
            "Power/Auxiliary": 2.0,
            "Analytics/AnomalyScore": 0.2 + 0.05 * math.sin(t),
            "Analytics/ToolRul": max(0.0, 40.0 - t / 60.0),
            "Analytics/ToolRulLow": max(0.0, 30.0 - t / 60.0),
            "Analytics/ToolRulHigh": max(0.0, 55.0 - t / 60.0),
            "Analytics/SpindleHealth": 93.0,
            "Analytics/SpindleDaysLeft": 300.0,
        }
        return values
