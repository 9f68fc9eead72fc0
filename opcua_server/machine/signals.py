"""From machine state to catalogue signals: one row for each signal of ``nodesets.catalogue.MACHINE``.

A row is an attribute of one of the machine's parts, or an expression of the ``View``: the machine at one moment, the block it is in
and which of the block's samples. What sensors measure has its rows in ``readings``. Adding a signal is a row in the catalogue and
a row in ``standing``, there or here.

    state ----------- state_rows --.
    what stands ----- standing     +-- when a block has begun ------------.
    what passes ----- standing ----'                                      |
    meter, column --- Known ---------- of_ended, when its axes are known -+--> table of many machines or blocks (n, signals),
    sensors --------- SIGNALS --------------------------------------------+    or numbers of one
    axes at a sample  MOVING ---------------------------------------------'
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any, Final

import numpy as np

from cnctwin.reading import Value
from nodesets import states
from nodesets.catalogue import AXES, NUMERIC, PHASES, STACKLIGHT
from nodesets.states import MachineState
from opcua_server.machine.begun import Begun, Passed
from opcua_server.machine.controller import Controller
from opcua_server.machine.energy import BY_STATE, ENERGY_STATES
from opcua_server.machine.faults import FAULTS
from opcua_server.machine.machine import BLOCK_S, SAMPLES, STANDING_MM_S, Machine
from opcua_server.machine.motion.axes import COMMAND, LAG, MOTOR, POSITION, TORQUE, VELOCITY
from opcua_server.machine.moves import Move
from opcua_server.machine.readings import SIGNALS, SWING, Floats
from opcua_server.machine.standing import (
    ALONG,
    COUNTERS,
    CUT,
    PASSED,
    PASSING,
    PATH,
    SETTINGS,
    STANDING,
    Known,
    of_passing,
    of_standing,
)
from opcua_server.machine.standing import MACHINE as OF_MACHINE

CURRENT_RIPPLE_NM: Final = 0.3
CURRENT_LIMIT_NM: Final = 40.0
_EMERGENCY_STOP, _OFF, _RUNNING = MachineState.EMERGENCY_STOP, MachineState.OFF, MachineState.RUNNING
_PROGRAM_STATES: Final = frozenset({MachineState.RUNNING, MachineState.HELD, MachineState.ALARM})
_NONE: Final = (0.0, 0.0, 0.0)
_TURNS: Final = {1: 3, -1: 4, 0: 5}


class View:
    """A machine at one sample of its last block.

    ``sample``: 0 to 99, index into that block; ``started_block``: block at which the server started; ``speed``: simulated
    seconds per second; ``begun``: the last block, where it has not ended yet.
    """

    __slots__ = ("controller", "cut", "feed_mm_s", "machine", "move", "remaining_mm", "sample", "since_start_s", "speed", "state")

    def __init__(
        self,
        machine: Machine,
        sample: int = SAMPLES - 1,
        started_block: int = 0,
        speed: float = 1.0,
        begun: Begun | Passed | None = None,
    ) -> None:
        self.machine, self.sample, self.speed = machine, sample, speed
        self.controller = control = machine.controller
        self.state = state = control.state
        self.since_start_s = (machine.block - started_block) * BLOCK_S - (SAMPLES - 1 - sample) * BLOCK_S / SAMPLES
        motion, self.cut = (machine.shown.motion, machine.shown.cut) if begun is None else (begun.motion, begun.cut)
        self.move: Move | None = control.active if state in _PROGRAM_STATES else None
        if motion is None:
            self.remaining_mm, self.feed_mm_s = _NONE, 0.0
            return
        move, self.remaining_mm, self.feed_mm_s = motion.at(sample)
        if move is not None and self.move is not None:
            self.move = move
        if control.locked_mm is not None:
            self.feed_mm_s = 0.0

    def axes(self) -> Floats:
        """What the axes do at the sample (6, axes); see ``motion.axes.as_read``. Before the first block they stand."""
        if self.machine.shown.axes is not None:
            return self.machine.shown.axes.at(self.sample)
        at = np.zeros((6, len(AXES)))
        at[[COMMAND, POSITION, MOTOR]] = self.controller.motion.position_mm
        return at

    def spindle_status(self) -> int:
        spindle = self.machine.spindle
        if spindle.speed_rpm < 1.0 and spindle.target_rpm == 0.0:
            return 0
        if spindle.speed_rpm == spindle.target_rpm:
            return 1
        return 2 if spindle.speed_rpm < spindle.target_rpm else 3

    def block_text(self) -> list[str]:
        """The block that is executed and the two after it; at a stand the first three of the program."""
        job = self.controller.job
        if job is None:
            return ["", "", ""]
        first = self.move.line - 1 if self.move is not None else 0
        lines = [line.strip() for line in job.lines[first : first + 3]]
        return lines + [""] * (3 - len(lines))

    def main_name(self) -> str:
        return self.controller.job.name if self.controller.job else ""

    def alarm(self, field: str) -> str:
        alarms = self.controller.alarms
        return str(getattr(alarms[0], field)) if alarms else ""


def state_rows(state: MachineState, dark: bool) -> dict[str, float]:
    """What a machine's state alone says, and what never changes, by name of the signal. ``dark``: in the half of each second in
    which lamps that blink are off."""
    shown, manual = states.SHOWN[state], state is MachineState.MANUAL
    rows: dict[str, float] = {
        "Machine/State": int(state),
        "Channel/ChannelState": int(shown.channel),
        "Channel/ChannelMode": 1 if manual else 0,
        "Channel/ActStatus": int(shown.channel),
        "Channel/ActProgramStatus": int(shown.program_status),
        "Channel/ActOperationMode": 1 if manual else 2,
        "Spindle/ActGear": 1,
        "Power/EnergyState": ENERGY_STATES.index(BY_STATE[state]),
    }
    for axis in AXES:
        rows[f"Axes/{axis}/IsReferenced"] = True
    for light, _ in STACKLIGHT:
        rows[f"Machine/Stacklight{light}"] = shown.lamp == light and not (shown.blinking and dark)
    return rows


MOVING: Final = ("CmdPos", "ActPos", "MotorPos", "ActVelocity", "FollowingError", "ActTorque", "ActStatus")
"""Of each axis: what depends on the sample and comes in columns. The first are in the order of ``motion.axes.as_read``."""


MAINS: Final = (
    *(Known(f"Power/Voltage{phase}", "volts") for phase in PHASES),
    *(Known(f"Power/Current{phase}", "amperes", high=125.0) for phase in PHASES),
    *(Known(f"Power/Active{phase}", "active_w", per=1000.0, high=20.0) for phase in PHASES),
    Known("Power/Reactive", "reactive_var", per=1000.0, high=60.0),
    Known("Power/Factor", "power_factor"),
    Known("Power/ReactiveEnergy", "reactive_vars", per=3.6e6),
)
"""In the order of ``Mains.row``."""
ENDED: Final = (
    Known("Spindle/ActPower", "meter.spindle_w", high=30_000.0),
    Known("Power/Total", "meter.total_w", per=1000.0),
    Known("Power/Spindle", "meter.spindle_w", per=1000.0, high=30.0),
    Known("Power/Servo", "meter.servo_w", per=1000.0),
    Known("Power/Auxiliary", "meter.auxiliary_w", per=1000.0),
    Known("Power/Energy", "meter.energy_j", per=3.6e6),
    Known("Structure/Temperature", "shown.column_c"),
    Known("Coolant/Flow", "shown.coolant_flow"),
    Known("Spindle/ActLoad", "spindle_load_percent"),
)
"""What a machine has when the axes of its block are known; ``ending`` has it of many."""
_KNOWN: Final = (*SETTINGS, *COUNTERS, *CUT, *OF_MACHINE, *ENDED, *MAINS)
_of_ended = attrgetter(*(one.attribute for one in ENDED))


def of_ended(machine: Machine) -> tuple[float, ...]:
    """What a block shows when it has ended, ``AFTER`` values: ``ENDED`` and ``MAINS``."""
    return (*_of_ended(machine), *machine.mains.row())


AFTER: Final = len(ENDED) + len(MAINS)


def m_functions(control: Controller) -> list[int]:
    """M codes of the spindle and of the coolant, as they are commanded: the control has also stopped them by itself."""
    modal, wet = control.modal, control.coolant.on
    coolant = [7] * (wet and modal.coolant_mist) + [8] * (wet and modal.coolant_flood)
    stands_at = modal.spindle_angle_deg is not None and control.spindle.stop_deg is not None
    return [19 if stands_at else _TURNS[control.spindle.commanded_direction], *(coolant or [9])]


def objects(v: View) -> dict[str, Value]:
    """Values of the other signals by name."""
    control, move, severities = v.controller, v.move, v.machine.shown.fault_severities
    tool, job = control.tool, control.job
    blank = job.blank if job else None
    return {
        "Machine/AlarmCode": v.alarm("code"),
        "Machine/AlarmText": v.alarm("text"),
        "Machine/MaintenanceMode": control.maintenance,
        "Channel/ActProgramName": (move.program if move else "") or v.main_name(),
        "Channel/ActMainProgramName": v.main_name(),
        "Channel/ProgramNames": control.library.names(),
        "Channel/ActProgramLine": str(move.line if move else 0),
        "Channel/ActProgramBlock": v.block_text(),
        "Channel/ActGFunctions": list(control.modal.g_codes),
        "Channel/ActMFunctions": m_functions(control),
        "Tool/Type": tool.type.kind if tool else "none",
        "Part/Material": blank.material.name if blank else "",
        "Part/BlankLow": [zero + at for zero, at in zip(job.origin_mm, blank.low, strict=True)] if job and blank else [],
        "Part/BlankHigh": [zero + at for zero, at in zip(job.origin_mm, blank.high, strict=True)] if job and blank else [],
        "Simulation/FaultNames": list(FAULTS),
        "Simulation/FaultSeverities": list(severities) or [0.0] * len(FAULTS),
    }


_PLACE: Final = {signal.name: place for place, signal in enumerate(NUMERIC)}
_ANGLE_AT: Final = _PLACE["Spindle/AnglePos"]
_STATES: Final = np.array([list(state_rows(state, dark).values()) for state in MachineState for dark in (False, True)])
"""By twice the number of the state, and one more in the dark."""
_STATE_AT: Final = np.array([_PLACE[name] for name in state_rows(MachineState.IDLE, False)])
_READ_AT: Final = np.array([_PLACE[name] for name in SIGNALS])
_MOVING_AT: Final = np.array([[_PLACE[f"Axes/{axis}/{name}"] for axis in AXES] for name in MOVING])
_DRIVES_AT: Final = [_PLACE[f"Axes/{axis}/{name}"] for axis in AXES for name in ("ActLoad", "ActPower", "ActTorque")]
"""What drives say that are without power when the machine is switched off, or stands after an emergency stop."""
_KNOWN_AT: Final = np.array([_PLACE[one.signal] for one in _KNOWN])
_PER: Final = np.array([one.per for one in _KNOWN])[:, None]
_MOST: Final = np.array([one.high for one in _KNOWN])[:, None]
_STANDING_AT: Final = np.array([_PLACE[name] for name in STANDING])
_ALONG_AT: Final = np.array([_PLACE[name] for name in ALONG])
_PASSING_AT: Final = np.array([_PLACE[name] for name in PASSING])
_SETTINGS: Final = slice(1, 1 + len(SETTINGS))
_COUNTERS, _ALONG = slice(0, len(COUNTERS)), slice(len(COUNTERS), PATH)
_PHYSICS, _PASSING = slice(PATH, PASSED - len(PASSING)), slice(PASSED - len(PASSING), PASSED)


def numbers(view: View) -> Floats:
    """Values of the numeric signals, in the order of ``catalogue.NUMERIC``."""
    shown = view.machine.shown
    stood, passed = np.array([of_standing(view)], np.float64), np.array([of_passing(view)], np.float64)
    ended = np.array([of_ended(view.machine)])
    row: Floats = table(stood, passed, view.machine.block, ended, shown.read[:, None], view.axes()[:, :, None])[0]
    if view.sample != SAMPLES - 1:
        row[_ANGLE_AT] = view.machine.spindle.angle_before(SAMPLES - 1 - view.sample)
    return row


def table(stood: Floats, passed: Floats, block: Any, ended: Floats, read: Floats, axes: Floats) -> Floats:
    """As ``numbers`` of many machines or blocks at once (n, signals).

    ``stood``: ``of_standing`` of each (n, STOOD); ``passed``: ``of_passing`` (n, PASSED); ``block``: which of the machine's it is
    (n,); ``ended``: ``of_ended`` (n, AFTER); ``read``: what sensors say (READ, n); ``axes``: what the axes do (6, axes, n).
    """
    out = np.empty((len(NUMERIC), len(stood)))
    stands, passes = stood.T, passed.T
    state = stands[0].astype(np.intp)
    out[_STATE_AT] = _STATES.take(2 * state + (block % 10 >= 5), axis=0).T
    known = np.concatenate((stands[_SETTINGS], passes[_COUNTERS], passes[_PHYSICS], ended.T))
    known /= _PER
    np.minimum(known, _MOST, out=known)
    out[_KNOWN_AT] = known
    out[_STANDING_AT] = stands[_SETTINGS.stop :]
    out[_ALONG_AT], out[_PASSING_AT] = passes[_ALONG], passes[_PASSING]
    out[_READ_AT] = read[: len(SIGNALS)]
    moving = np.empty((len(MOVING), *axes.shape[1:]))
    moving[:VELOCITY] = axes[:VELOCITY]
    velocity, torque = axes[VELOCITY], axes[TORQUE]
    np.multiply(velocity, 60.0, out=moving[VELOCITY])
    moving[LAG] = axes[LAG]
    # At this moment, from the current: with the current controller's ripple, which a mill's telemetry shows unfiltered. The limit
    # is the drive's: what a crash would need beyond it, the motor does not give.
    swing = np.abs(torque)
    swing *= 0.03
    swing += CURRENT_RIPPLE_NM
    swing *= read[SWING]
    swing += torque
    np.minimum(np.maximum(swing, -CURRENT_LIMIT_NM), CURRENT_LIMIT_NM, out=moving[TORQUE])
    status = moving[-1]
    status[:] = np.abs(velocity) > STANDING_MM_S
    without_power = state == _OFF
    stopped = state == _EMERGENCY_STOP
    if stopped.any():
        without_power |= stopped & ~status.any(axis=0)
        status[:, stopped] = 2.0
    out[_MOVING_AT] = moving
    off = without_power.nonzero()[0]
    if off.size:
        out[np.ix_(_DRIVES_AT, off)] = 0.0
    return out.T.copy()
