"""The control: which state the machine is in, what may be commanded in it, and what each command and each NC event does.

                 Start            M30           blank loaded, repeat
        IDLE ----------> RUNNING -----> LOADING ---------------------> RUNNING
         ^  ^             |   ^            '--- blank loaded ---> IDLE
         |  '-- Stop -----|   | Start
         |            Hold v  |
         |  <--- Stop --- HELD                      any --EmergencyStop--> EMERGENCY_STOP --Reset--> IDLE
         '---- Reset ---- ALARM  <-- NC alarm, machine alarm

        IDLE --BeginMaintenance--> MAINTENANCE --EndMaintenance--> IDLE
        standing --SwitchOff--> OFF --SwitchOn--> IDLE, or MAINTENANCE, which lasts over it and over an emergency stop

``ALLOWED`` (in ``allowed``) is the table; ``Controller`` carries it out. It owns motion, spindle, coolant valve and magazine as far
as they are commanded; what they then do is physics and happens in ``machine``. What may be set at any time is its ``panel``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from cnctwin.reading import Value
from nodesets.methods import BY_NAME
from nodesets.states import MachineState
from opcua_server.machine.allowed import ALLOWED
from opcua_server.machine.arguments import checked
from opcua_server.machine.auxiliaries import Hydraulics
from opcua_server.machine.coolant import CoolantUnit
from opcua_server.machine.faults.active import ActiveFaults
from opcua_server.machine.happened import Alarm
from opcua_server.machine.maintenance import KINDS, serve
from opcua_server.machine.motion.block import ON_THE_WAY, MotionBlock, MotionEvent
from opcua_server.machine.motion.motion import Motion
from opcua_server.machine.moves import OPTIONAL, Modal, Move, NcAlarm
from opcua_server.machine.panel import OperatorPanel
from opcua_server.machine.part_change import PartChange
from opcua_server.machine.pneumatics import AirUnit
from opcua_server.machine.progress import Progress
from opcua_server.machine.spindle import Spindle
from opcua_server.machine.tool_arm import ToolArm
from opcua_server.machine.tools import Tool
from opcua_server.machine.upkeep import Upkeep
from opcua_server.machine.work import Job, Library, power_on_modal
from opcua_server.sources.source import CommandRefused

S = MachineState
_RUNNING, _HELD, _LOADING, _OFF = S.RUNNING, S.HELD, S.LOADING, S.OFF
"""What each block asks for; a member of an enumeration is looked up slowly."""


def nothing() -> None:
    """Nothing is behind."""


class Controller(OperatorPanel):
    """The control of one machine. Times are machine time in s. ``maintenance``: the kind that somebody is at, empty for none."""

    def __init__(
        self, motion_for: Callable[[Callable[[Move], float | None]], Motion], library: Library, spindle: Spindle,
        coolant: CoolantUnit, magazine: dict[int, Tool], faults: ActiveFaults, hydraulics: Hydraulics, upkeep: Upkeep,
        air: AirUnit, *, repeat: bool,
    ) -> None:  # fmt: skip
        super().__init__(motion_for(self._wait), spindle, magazine, faults, ToolArm(air))
        self.library, self.coolant, self.upkeep, self.air = library, coolant, upkeep, air
        self.hydraulics, self.part_change = hydraulics, PartChange(hydraulics)
        self.repeat = repeat
        self.maintenance = ""
        self.off_s = 0.0
        """How long it has been switched off, of the time since it was first switched on."""
        self.alarms: list[Alarm] = []
        self.job: Job | None = None
        self.active: Move | None = None
        self.operation_s = 0.0
        self.cycles_started = self.parts = 0
        self.cycle_s = self.last_cycle_s = 0.0
        self._last_name = ""
        self.tool_changes = 0
        """Since the machine was first switched on: each one seats its holder anew."""
        self.new_blank = True
        """A fresh blank is on the table, and has to be made when the program is known."""
        self.progress = Progress()
        self._start_pending = False
        self.settle: Callable[[], None] = nothing  # before the air is looked at: it may be behind
        self.goes_on = False
        """Nothing but time and moves of a program passed in the last block."""

    # --- commands -------------------------------------------------------------------------------------------------
    def call(self, method: str, arguments: Sequence[Value]) -> None:
        """Carry out a method of ``nodesets.methods``; CommandRefused when it is not allowed now or makes no sense."""
        if method not in BY_NAME:
            raise CommandRefused("not_found", f"There is no command {method}")
        values = checked(method, arguments)
        if self.state not in ALLOWED[method]:
            why = "".join(f": {alarm.code} {alarm.text}" for alarm in self.alarms[:1])
            raise CommandRefused("state", f"{method} is not possible in state {self.state.name}{why}")
        self._COMMANDS[method](self, *values)

    def _load_program(self, name: str) -> None:
        if name not in self.library:
            raise CommandRefused("not_found", f"There is no program {name}")
        self.library.select(name)
        self.job = None
        self.new_blank = True
        self.prepare()

    def _load_program_text(self, name: str, text: str) -> None:
        try:
            self.library.store(name, text)
        except ValueError as error:
            raise CommandRefused("argument", str(error)) from None
        self._load_program(name)

    def _start(self) -> None:
        if self.state is S.HELD:
            self._enter(S.RUNNING)
            if self.motion.waiting_for is not None and self.motion.waiting_for.kind == "stop":
                self.motion.resume()
            self.motion.cycle_start()
            return
        self.start_program()

    def start_program(self) -> None:
        """Cycle start from the beginning of the loaded program; CommandRefused when there is none or an alarm is on."""
        self.prepare()
        if self.job is None:
            raise CommandRefused("state", "No program is loaded")
        self._start_pending = not self.motion.idle
        if self._start_pending:
            return  # the axes still brake after a RESET: it starts when they stand
        start = self.motion.position_mm
        moves = self.library.moves(self.job.name, start, block_skip=self.modifiers["BlockSkip"])
        self.active = None
        self.cycle_s = 0.0
        self.motion.load(self.progress.counted(moves, start))
        self.cycles_started += 1
        self._enter(S.RUNNING)
        self._report("program_started", 100, self.job.name, f"Program {self.job.name} started", {"Name": self.job.name})

    def _hold(self) -> None:
        self.motion.feed_hold()
        self._enter(S.HELD)

    def _stop(self) -> None:
        running = self.state in (S.RUNNING, S.HELD)
        self.new_blank = self.new_blank or self.state is S.LOADING
        self._end_everything()
        self._enter(S.IDLE)
        if running and self.job:
            self._report("program_ended", 200, self.job.name, f"Program {self.job.name} stopped", {"Completed": False})

    def _reset(self) -> None:
        self._end_everything()
        self._clear_alarms()
        self._rest()

    def _clear_alarms(self) -> None:
        for alarm in self.alarms:
            self._report("alarm_cleared", 100, alarm.code, alarm.text)
        self.alarms.clear()

    def _rest(self) -> None:
        """Nothing is done and nothing is wrong. Maintenance lasts: nothing must start while somebody works on it."""
        self._enter(S.MAINTENANCE if self.maintenance else S.IDLE)

    def _emergency_stop(self) -> None:
        self._end_everything()  # drives brake before their contactors fall (stop category 1 of IEC 60204-1)
        if self.state is not S.EMERGENCY_STOP:
            self._enter(S.EMERGENCY_STOP)
            self.raise_alarm("EX1000", "EMERGENCY STOP", severity=900, stops=False)

    def _switch_off(self) -> None:
        self._end_everything()
        self._clear_alarms()
        self._enter(S.OFF)

    def _switch_on(self) -> None:
        self.modal = power_on_modal()
        self._rest()

    def _begin_maintenance(self, kind: str) -> None:
        if kind not in KINDS:
            raise CommandRefused("argument", f"Kind must be one of {', '.join(KINDS)}")
        self.maintenance = kind
        self._end_everything()
        self._enter(S.MAINTENANCE)
        self._report("message", 100, "MAINTENANCE", f"Maintenance: {kind}", {"Kind": kind})

    def _end_maintenance(self) -> None:
        done = serve(self.maintenance, self.upkeep, self.coolant)
        self._report("message", 100, "MAINTENANCE", f"{self.maintenance} is over" + (f": {done}" if done else ""))
        self.maintenance = ""
        self._enter(S.IDLE)

    def _change_tool(self, number: int) -> None:
        if not self._arm.rests:
            raise CommandRefused("state", "A tool change is under way")
        self.spindle.command(0.0, 0)
        self._arm.wanted = number
        self._rise_to_the_arm()
        self._enter(S.MANUAL)

    def _set_spindle_speed(self, speed_rpm: float) -> None:
        if not self._arm.rests:
            raise CommandRefused("state", "A tool change is under way")
        self.spindle.command(speed_rpm, 1 if speed_rpm > 0.0 else 0)
        self._enter(S.MANUAL if speed_rpm > 0.0 else S.IDLE)

    _COMMANDS: Final[dict[str, Callable[..., None]]] = {
        "LoadProgram": _load_program,
        "LoadProgramText": _load_program_text,
        "Start": _start,
        "Hold": _hold,
        "Stop": _stop,
        "Reset": _reset,
        "EmergencyStop": _emergency_stop,
        "SwitchOff": _switch_off,
        "SwitchOn": _switch_on,
        "BeginMaintenance": _begin_maintenance,
        "EndMaintenance": _end_maintenance,
        "ChangeTool": _change_tool,
        "SetFeedOverride": OperatorPanel._set_feed_override,
        "SetRapidOverride": OperatorPanel._set_rapid_override,
        "SetSpindleOverride": OperatorPanel._set_spindle_override,
        "SetSpindleSpeed": _set_spindle_speed,
        "SetModifier": OperatorPanel._set_modifier,
        "ReplaceTool": OperatorPanel._replace_tool,
        "InjectFault": OperatorPanel._inject_fault,
        "ClearFault": OperatorPanel._clear_fault,
    }

    def set_repeat(self, on: bool) -> None:
        """Whether each finished part is followed by the next; a part change that is under way is then the last."""
        self.repeat = on
        self.part_change.goes_on = self.part_change.goes_on and on

    # --- what happens by itself -----------------------------------------------------------------------------------
    def step(self, block: MotionBlock, dt_s: float) -> None:
        """Take in what motion did in one block and let the control's own times pass. Called once for each block."""
        self.now_s += dt_s
        if self.state is _RUNNING or self.state is _HELD:
            self.cycle_s += dt_s
        if self.state is _RUNNING:
            self.operation_s += dt_s
        elif self.state is _OFF:
            self.off_s += dt_s
        self.goes_on = self.cuts
        if block.moves:
            self._follow(block.moves[-1])
        for event in block.events:
            if event.kind not in ON_THE_WAY:
                self.goes_on = False
            self._on_event(event)
        if self.state is _RUNNING:
            self.progress.along(block)
        if self._waiting_speed and self.spindle.at_speed:
            self._speed_reached(dt_s)
        arm = self._arm
        if arm.wanted is not None:
            self._rise_to_the_arm()
        if arm.is_done(self.now_s):
            self._end_tool_change(arm.brings or 0, arm.modal)
        if self._start_pending and self.motion.idle:
            self.start_program()
        if self.state is _LOADING and self.part_change.step(self.now_s):
            self._end_part_change()

    def _wait(self, move: Move) -> float | None:
        """How long motion waits at a synchronising move; None until ``resume``."""
        if move.kind == "toolchange":
            self.settle()
            return self._arm.change_s(self.spindle.speed_rpm) if move.tool != self.tool_number else 0.3
        if move.kind in ("coolant", "message"):
            return 0.0
        if move.kind == "spindle":
            return 0.0 if self._turns_as(move.modal) else None
        if move.kind == "index":
            self.settle()
            full = self.spindle.speed_rpm == move.modal.spindle_speed and self._threads
            return self.spindle.index_in_s(self.motion.asked_s) if full else None
        return 0.0 if self._passes(move) else None

    def _follow(self, move: Move) -> None:
        """Where a tap goes into its thread, turns back in it or has come out, the spindle is told so."""
        self.active, self.modal = move, modal = move, move.modal
        if move.thread != self.thread and (self.state is _RUNNING or self.state is _HELD):
            self.thread, self.goes_on, in_step = move.thread, False, move.turns_per_mm
            if in_step:
                self.spindle.command(modal.spindle_speed, 1 if in_step > 0.0 else -1)
            else:
                self._turn(modal)

    def _on_event(self, event: MotionEvent) -> None:
        move = event.move
        if move is not None:
            self.progress.begun(move, event.sample)
        if event.kind == "sync" and move is not None:
            self._synchronise(move)
        elif event.kind == "block" and self.state is S.RUNNING:
            if move is not None:
                self._follow(move)  # it may have gone nowhere
            self._enter(S.HELD)
        elif event.kind == "alarm" and event.alarm is not None:
            self._nc_alarm(event.alarm)
        elif event.kind == "done" and self.state in (S.RUNNING, S.HELD):
            self._program_end()

    def _synchronise(self, move: Move) -> None:
        self._follow(move)
        match move.kind:
            case "spindle":
                self._turn(move.modal)
                self._waiting_speed = True
            case "index":
                self._waiting_speed = self.motion.waiting_for is not None
            case "coolant":
                self.coolant.on = move.modal.coolant_flood or move.modal.coolant_mist
            case "toolchange":
                if move.tool != self.tool_number:
                    self._begin_tool_change(move.tool, move.modal)
            case "stop" if not self._passes(move):
                code, words = ("M1", "Optional stop") if move.text == OPTIONAL else ("M0", "Program stop")
                self._report("message", 200, code, f"{words} in line {move.line}")
                self._enter(S.HELD)
            case "message":
                self._report("message", 150, "2000", move.text or move.block.strip())
            case "end":
                self._program_end()
            case _:
                self.motion.resume()

    def _end_tool_change(self, number: int, modal: Modal | None) -> None:
        self._arm.rest()
        if self.tool_number in self.magazine:
            old = self.magazine[self.tool_number]
            old.measure()
            old.last_used_s = self.now_s
            if old.broken:
                self._report("message", 333, "2002", f"TOOL {old.type.number} BROKEN", {"Tool": old.type.number})
            elif old.measured_percent >= 100.0:
                self._report("message", 300, "2001", f"LIFE OF TOOL {old.type.number} EXPIRED", {"Tool": old.type.number})
        self.tool_number = number if number in self.magazine else 0
        self.tool_changes += 1
        if self.tool_number:
            self.magazine[self.tool_number].uses += 1
        name = self.magazine[number].type.name if number in self.magazine else "none"
        self._report("tool_changed", 100, f"T{number}", f"Tool {number} ({name}) in spindle", {"Tool": number})
        if modal is not None and modal.spindle_direction:
            self._turn(modal)
        if self.state is S.MANUAL:
            self._enter(S.IDLE)

    def _program_end(self) -> None:
        self.parts += 1
        self.last_cycle_s = self.cycle_s
        self._last_name = self.job.name if self.job else ""
        self.spindle.command(0.0, 0)
        self.coolant.on = False
        self.motion.reset()
        if self.job:
            self._report(
                "program_ended", 100, self.job.name, f"Program {self.job.name} finished", {"Completed": True, "Time": self.cycle_s}
            )  # fmt: skip
        if self.tool_number in self.magazine:
            self.magazine[self.tool_number].measure()
        worn = [tool for tool in self.magazine.values() if tool.measured_percent >= 100.0 and not tool.locked]
        for tool in worn:
            self._renew(tool)
        self.part_change.begin(self.now_s, len(worn), goes_on=self.repeat)
        self._enter(S.LOADING)

    def _end_part_change(self) -> None:
        if not self.motion.idle or self.spindle.speed_rpm > 0.0:
            return
        self.new_blank = True
        goes_on = self.part_change.goes_on
        if goes_on and self.library.part_done():
            self.job = None
        self._enter(S.IDLE)
        if goes_on:
            self.start_program()

    def prepare(self) -> None:
        """Read the selected program ahead, unless that is done: its blank and its planned time."""
        if self.job is None and self.library.selected is not None:
            self.job = self.library.job(self.library.selected)

    # --- alarms and state -----------------------------------------------------------------------------------------
    def _nc_alarm(self, alarm: NcAlarm) -> None:
        where = f"{alarm.program or (self.job.name if self.job else '')} line {alarm.line}".strip()
        at = self.motion.position_mm
        self.active = Move("stop", alarm.line, at, at, program=alarm.program, block=alarm.block, modal=self.modal)
        self.raise_alarm(alarm.number, f"{alarm.text} ({where}: {alarm.block.strip()})", details={"Line": alarm.line})

    def raise_alarm(
        self, code: str, text: str, *, severity: int = 700, stops: bool = True, details: dict[str, Value] | None = None
    ) -> None:
        """An alarm of the control or of the machine ("EX..."): with ``stops`` the axes brake and the program is over."""
        if any(alarm.code == code for alarm in self.alarms):
            return
        self.alarms.append(Alarm(code, text, self.now_s))
        self._report("alarm", severity, code, text, details)
        if stops:
            if not self.motion.idle and self.motion.alarm is None:
                self.motion.feed_hold()
            if code.startswith("EX"):
                self.spindle.command(0.0, 0)
                self.coolant.on = False
            self._enter(S.ALARM)

    def _end_everything(self) -> None:
        self.motion.reset()
        self.spindle.command(0.0, 0)
        self.coolant.on = False
        self._waiting_speed = False
        self.thread = ""
        self._arm.rest()
        self.part_change.goes_on = self._start_pending = False

    def _enter(self, state: MachineState) -> None:
        if state is self.state:
            return
        before, self.state = self.state, state
        if before is S.LOADING:
            self.part_change.end(self.now_s)
        self.hydraulics.switch(self.now_s, state not in (S.OFF, S.EMERGENCY_STOP))
        self._report(
            "state_changed", 50, state.name, f"From {before.words} to {state.words}", {"From": int(before), "To": int(state)}
        )

    @property
    def cuts(self) -> bool:
        """Whether a program runs and waits for nothing: only its own moves can change something."""
        return self.state is _RUNNING and not (self._waiting_speed or self._arm.brings is not None or self._start_pending)

    def remaining_s(self, done_percent: float) -> float:
        """Run time of the active program that is left, of which so much is done: by its last run where it was this one, else by
        what is planned."""
        if self.job is None or self.state not in (S.RUNNING, S.HELD):
            return 0.0
        whole_s = self.last_cycle_s if self._last_name == self.job.name and self.last_cycle_s > 0.0 else self.job.total_s
        return max(whole_s * (1.0 - done_percent / 100.0), 0.0)
