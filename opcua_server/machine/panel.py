"""What is set on the control beside its cycle: overrides, modifiers of the program, tools and their edges; the simulation's faults.

    override    of feed, rapids, spindle         any time
    modifier    SingleBlock, DryRun, OptionalStop  any time
                BlockSkip                        not while a program runs: blocks ahead are read already
                TestMode (machine lock)          only while the axes stand and no program is under way

Under machine lock a program runs, the spindle turns and tools change, but no axis moves: the drives are told to stay where they
stood. The path goes on by the program; when the lock is taken off, it begins once more where the axes are.
"""

from __future__ import annotations

from typing import Final, Literal

from cnctwin.reading import Value
from nodesets.states import MachineState
from opcua_server.machine.faults import FAULTS
from opcua_server.machine.faults.active import ActiveFaults
from opcua_server.machine.happened import Happened
from opcua_server.machine.motion.motion import Motion
from opcua_server.machine.moves import OPTIONAL, ORIENTED_DEG, Modal, Move, Point
from opcua_server.machine.spindle import Spindle
from opcua_server.machine.tool_arm import ToolArm
from opcua_server.machine.tools import Tool
from opcua_server.machine.work import ARM_Z_MM, power_on_modal
from opcua_server.sources.source import CommandRefused, EventKind

MODIFIERS: Final = ("SingleBlock", "DryRun", "OptionalStop", "BlockSkip", "TestMode")
_ACTIVE: Final = frozenset({MachineState.RUNNING, MachineState.HELD})


class OperatorPanel:
    """``now_s``: machine time in s. ``locked_mm``: where the axes stand under machine lock, else None."""

    def __init__(self, motion: Motion, spindle: Spindle, magazine: dict[int, Tool], faults: ActiveFaults, arm: ToolArm) -> None:
        self.motion, self.spindle, self.magazine, self.faults, self._arm = motion, spindle, magazine, faults, arm
        self.state = MachineState.IDLE
        self.now_s = 0.0
        self.happened: list[Happened] = []
        self.tool_number = 0
        self.feed_override, self.rapid_override, self.spindle_override = 100.0, 100.0, 100.0
        self.modifiers = dict.fromkeys(MODIFIERS, False)
        self.locked_mm: Point | None = None
        self.modal = power_on_modal()
        self._waiting_speed = False
        self.thread: Literal["", "in", "out"] = ""
        """As of ``Move.thread``: no override acts while a tap is in its thread."""

    @property
    def changing_tool(self) -> bool:
        return self._arm.brings is not None

    @property
    def is_tool_clamped(self) -> bool:
        return self._arm.clamps(self.now_s)

    @property
    def pocket(self) -> int:
        """Number of the tool whose pocket is at the change position: what the arm brings, or the home of what is in the spindle."""
        return self.tool_number if self._arm.brings is None else self._arm.brings

    @property
    def tool(self) -> Tool | None:
        """The tool in the spindle."""
        return self.magazine.get(self.tool_number)

    def _wanted_speed(self, modal: Modal) -> float:
        percent = 100.0 if self.thread or not modal.overrides else self.spindle_override
        return modal.spindle_speed * percent / 100.0 if modal.spindle_direction else 0.0

    def _turns_as(self, modal: Modal) -> bool:
        """Whether the spindle does already what a block says of it."""
        if modal.spindle_angle_deg is not None:
            return self.spindle.stop_deg == modal.spindle_angle_deg and not self.spindle.seeks
        return abs(self._wanted_speed(modal) - self.spindle.speed_rpm) < 1.0

    @property
    def _threads(self) -> bool:
        """Whether the spindle turns and keeps its speed, so that it is known when its index pulse comes."""
        return self.spindle.is_steady and self.spindle.speed_rpm > 0.0

    def _speed_reached(self, dt_s: float) -> None:
        """Go on, for a thread with the next index pulse behind this block; beside a spindle that stands there is none."""
        move, after_s = self.motion.waiting_for, 0.0
        if move is not None and move.kind == "index":
            if not self._threads:
                return
            after_s = self.spindle.index_in_s(dt_s)
        self._waiting_speed = False
        self.motion.resume(after_s)

    def _passes(self, move: Move) -> bool:
        """An optional stop that nobody asks for, now that it is reached."""
        return move.kind == "stop" and move.text == OPTIONAL and not self.modifiers["OptionalStop"]

    def _turn(self, modal: Modal) -> None:
        """Let the spindle do what a block says of it."""
        if modal.spindle_angle_deg is None:
            self.spindle.command(self._wanted_speed(modal), modal.spindle_direction)
        else:
            self.spindle.orient(modal.spindle_angle_deg)

    def _rise_to_the_arm(self) -> None:
        """By hand: the change begins when the axes stand and Z is up."""
        number, (x, y, z) = self._arm.wanted, self.motion.position_mm
        if number is None or not self.motion.idle:
            return
        if z == ARM_Z_MM or self.locked_mm is not None:
            self._begin_tool_change(number, None)
        else:
            above = (x, y, ARM_Z_MM)
            self.motion.load([Move("rapid", 0, above, above, modal=self.modal)])

    def _begin_tool_change(self, number: int, modal: Modal | None) -> None:
        self.spindle.orient(ORIENTED_DEG)
        self._arm.begin(self.now_s, number, modal, self.spindle.speed_rpm)

    def _set_feed_override(self, percent: float) -> None:
        self.feed_override = percent
        self.motion.feed_override = percent / 100.0

    def _set_rapid_override(self, percent: float) -> None:
        self.rapid_override = percent
        self.motion.rapid_override = percent / 100.0

    def _set_spindle_override(self, percent: float) -> None:
        if self.spindle.commanded_rpm > 0.0 and not self.thread and self.modal.overrides:
            programmed = self.spindle.commanded_rpm / self.spindle_override * 100.0
            self.spindle.command(programmed * percent / 100.0, self.spindle.commanded_direction)
        self.spindle_override = percent

    def _set_modifier(self, name: str, on: bool) -> None:
        if name not in MODIFIERS:
            raise CommandRefused("argument", f"Name must be one of {', '.join(MODIFIERS)}")
        if name == "BlockSkip" and self.state in _ACTIVE:
            raise CommandRefused("state", "BlockSkip cannot change while a program runs: blocks ahead are read already")
        if name == "TestMode" and on is not self.modifiers[name]:
            self._lock(on)
        self.modifiers[name] = on
        self.motion.single_block = self.modifiers["SingleBlock"]
        self.motion.dry_run = self.modifiers["DryRun"]

    def _lock(self, on: bool) -> None:
        if self.state in _ACTIVE or not self.motion.idle:
            raise CommandRefused("state", "TestMode cannot change while a program runs or an axis moves")
        if on:
            self.locked_mm = self.motion.position_mm
        elif self.locked_mm is not None:
            self.motion.set_position(self.locked_mm)
            self.locked_mm = None

    def _replace_tool(self, number: int) -> None:
        if number == self.tool_number and self.state is MachineState.RUNNING:
            raise CommandRefused("state", f"Tool {number} is in the spindle and a program runs")
        self._renew(self.magazine[number])

    def _renew(self, tool: Tool) -> None:
        tool.renew()
        number = tool.type.number
        self._report("tool_changed", 150, f"T{number}", f"New edge in tool {number} ({tool.type.name})", {"Tool": number})

    def _inject_fault(self, name: str, severity: float, onset_s: float) -> None:
        if name not in FAULTS:
            raise CommandRefused("not_found", f"There is no fault {name}")
        self.faults.inject(name, severity, onset_s, self.now_s)
        self._report("fault", 100, name, f"Fault {FAULTS[name].title} injected", {"Severity": severity, "Onset": onset_s})

    def _clear_fault(self, name: str) -> None:
        if name != "All" and name not in FAULTS:
            raise CommandRefused("not_found", f"There is no fault {name}")
        for ended in self.faults.clear(name, self.now_s):
            for tool in self.magazine.values() if FAULTS[ended].renews_tools else ():
                if tool.broken:
                    self._renew(tool)
            self._report("fault", 100, ended, f"Fault {FAULTS[ended].title} cleared", {"Severity": 0.0})

    def _report(self, kind: EventKind, severity: int, code: str, text: str, details: dict[str, Value] | None = None) -> None:
        self.happened.append(Happened(kind, self.now_s, severity, code, text, details or {}))
        del self.happened[:-1000]  # nobody takes them: keep the newest
