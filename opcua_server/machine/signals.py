"""From machine state to catalogue signals: one row for each signal of ``nodesets.catalogue.MACHINE``.

A row is an attribute of one of the machine's parts, or an expression of the ``View``: the machine at one moment, the block it is in
and which of the block's samples. What sensors measure has its rows in ``readings``. Adding a signal is a row in the catalogue and
a row here or there.

    state ----------- state_rows   --.
    attributes ------ known        --+
    expressions ----- worked_out   --+--> table of many machines (machines, signals), or numbers of one
    sensors --------- SIGNALS      --+
    axes at a sample  MOVING       --'
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from operator import attrgetter, itemgetter
from typing import Final, NamedTuple

import numpy as np

from cnctwin.reading import Value
from nodesets import states
from nodesets.catalogue import AXES, NUMERIC, PHASES, STACKLIGHT
from nodesets.states import MachineState
from opcua_server.machine import guard
from opcua_server.machine.energy import BY_STATE, ENERGY_STATES
from opcua_server.machine.faults import FAULTS
from opcua_server.machine.machine import BLOCK_S, SAMPLES, Machine
from opcua_server.machine.maintenance import obligated
from opcua_server.machine.motion.axes import COMMAND, LAG, MOTOR, POSITION, TORQUE, VELOCITY
from opcua_server.machine.moves import Move
from opcua_server.machine.readings import SIGNALS, SWING, Floats
from opcua_server.machine.spindle import EFFICIENCY, EXCITATION_W, rated_power_w

STANDING_MM_S: Final = 0.02
CURRENT_RIPPLE_NM: Final = 0.3
CURRENT_LIMIT_NM: Final = 40.0
_EMERGENCY_STOP, _OFF = MachineState.EMERGENCY_STOP, MachineState.OFF
_PROGRAM_STATES: Final = frozenset({MachineState.RUNNING, MachineState.HELD, MachineState.ALARM})
_NONE: Final = [0.0, 0.0, 0.0]


class View:
    """A machine at one sample of its last block.

    ``sample``: 0 to 99, index into that block; ``started_block``: block at which the server started; ``speed``: simulated
    seconds per second.
    """

    def __init__(self, machine: Machine, sample: int = SAMPLES - 1, started_block: int = 0, speed: float = 1.0) -> None:
        self.machine, self.sample, self.speed = machine, sample, speed
        self.controller, self.shown = machine.controller, machine.shown
        self.state = self.controller.state
        self.tool = self.controller.tool
        self.since_start_s = (machine.block - started_block) * BLOCK_S - (SAMPLES - 1 - sample) * BLOCK_S / SAMPLES
        self.remaining_mm, self.feed_mm_s = _NONE, 0.0
        motion = self.shown.motion
        self.move: Move | None = self.controller.active if self.state in _PROGRAM_STATES else None
        if motion is None:
            return
        index = motion.move_index.item(sample)
        if index >= 0 and self.move is not None:
            self.move = motion.moves[index]
        self.remaining_mm = motion.remaining_mm(sample)
        self.feed_mm_s = motion.feed_mm_s.item(sample) if self.controller.locked_mm is None else 0.0

    def axes(self) -> Floats:
        """What the axes do at the sample (6, axes); see ``motion.axes.as_read``. Before the first block they stand."""
        if self.shown.axes is not None:
            return self.shown.axes.at(self.sample)
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

    def spindle_load_percent(self) -> float:
        """Mean of the block."""
        speed_rpm = self.machine.spindle.speed_rpm
        if speed_rpm == 0.0:
            return 0.0
        mechanical_w = max(self.machine.meter.spindle_w - EXCITATION_W, 0.0) * EFFICIENCY
        return min(100.0 * mechanical_w / rated_power_w(speed_rpm), 200.0)

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


class Known(NamedTuple):
    """An attribute that a signal shows, in units of ``per``, at most ``high``."""

    signal: str
    attribute: str
    per: float = 1.0
    high: float = inf


CONTROL: Final = (
    Known("Machine/OperationDuration", "operation_s", per=3600.0),
    Known("Machine/OperationCycleCounter", "cycles_started"),
    Known("Machine/PartsProduced", "parts"),
    Known("Machine/CycleTime", "cycle_s", high=86_400.0),
    Known("Machine/LastCycleTime", "last_cycle_s", high=86_400.0),
    Known("Channel/FeedOverride", "feed_override"),
    Known("Channel/RapidOverride", "rapid_override"),
    Known("Channel/ActModalOffsetFunction", "modal.work_offset"),
    Known("Channel/FeedHold", "motion.holding"),
    Known("Spindle/Override", "spindle_override"),
    Known("Tool/Number", "tool_number"),
    Known("Tool/IsClamped", "is_tool_clamped"),
    Known("Fixture/IsClamped", "part_change.is_clamped"),
    Known("Magazine/Pocket", "pocket"),
    Known("Magazine/IsMoving", "changing_tool"),
)
SPINDLE: Final = (
    Known("Spindle/CmdSpeed", "commanded_rpm"),
    Known("Spindle/AnglePos", "angle_deg"),
)
METER: Final = (
    Known("Spindle/ActPower", "spindle_w", high=30_000.0),
    Known("Power/Total", "total_w", per=1000.0),
    Known("Power/Spindle", "spindle_w", per=1000.0, high=30.0),
    Known("Power/Servo", "servo_w", per=1000.0),
    Known("Power/Auxiliary", "auxiliary_w", per=1000.0),
    Known("Power/Energy", "energy_j", per=3.6e6),
)
MAINS: Final = (
    *(Known(f"Power/Voltage{phase}", "volts") for phase in PHASES),
    *(Known(f"Power/Current{phase}", "amperes", high=125.0) for phase in PHASES),
    *(Known(f"Power/Active{phase}", "active_w", per=1000.0, high=20.0) for phase in PHASES),
    Known("Power/Reactive", "reactive_var", per=1000.0, high=60.0),
    Known("Power/Factor", "power_factor"),
    Known("Power/ReactiveEnergy", "reactive_vars", per=3.6e6),
)
"""In the order of ``Mains.row``."""
SHOWN: Final = (
    Known("Tool/CuttingSpeed", "cut.cutting_speed_m_min"),
    Known("Tool/ChipLoad", "cut.chip_load_mm"),
    Known("Coolant/Flow", "coolant_flow"),
    Known("Hydraulics/IsCharging", "hydraulics_charge"),
    Known("Part/Roughness", "part_roughness_um", high=25.0),
    Known("Structure/Temperature", "column_c"),
)
MACHINE: Final = (
    Known("Coolant/IsOn", "coolant.on"),
    Known("Upkeep/SpindleBearing", "upkeep.spindle_h"),
    Known("Upkeep/CoolantFilter", "coolant.filter_load", per=0.01, high=100.0),
    Known("Upkeep/WayLube", "upkeep.lube_percent"),
    Known("Lubrication/FallTime", "fall_timer.last_s", high=600.0),
)
_KNOWN: Final = (*CONTROL, *SPINDLE, *METER, *MAINS, *SHOWN, *MACHINE)
_of_control, _of_spindle, _of_meter, _of_shown, _of_machine = (
    attrgetter(*(one.attribute for one in table)) for table in (CONTROL, SPINDLE, METER, SHOWN, MACHINE)
)


def known(v: View) -> tuple[float, ...]:
    """Values of the attributes in the tables above."""
    machine = v.machine
    return (
        *_of_control(v.controller), *_of_spindle(machine.spindle), *_of_meter(machine.meter), *machine.mains.row(),
        *_of_shown(v.shown), *_of_machine(machine),
    )  # fmt: skip


def worked_out(v: View) -> dict[str, float]:
    """What has to be worked out for one machine, by name of the signal."""
    control, spindle, tool, move, locked = v.controller, v.machine.spindle, v.tool, v.move, guard.is_locked(v.controller)
    done_percent, modifiers, upkeep = control.progress.percent(control.job), control.modifiers, v.machine.upkeep
    by_user, by_builder = obligated(v.state, control.maintenance, upkeep)
    (left_x, left_y, left_z), (zero_x, zero_y, zero_z) = v.remaining_mm, control.modal.zero_offset
    return {
        "Machine/EndUserObligated": by_user,
        "Machine/BuilderObligated": by_builder,
        "Machine/PowerOnDuration": (v.machine.time_s - control.off_s) / 3600.0,
        "Machine/AlarmCount": len(control.alarms),
        "Channel/ActFeedrate": v.feed_mm_s * 60.0,
        "Channel/CmdFeedrate": min(move.feed, 25400.0) if move else 0.0,
        "Channel/DryRunFeed": control.motion.machine.path.dry_run_mm_s * 60.0,
        "Channel/SingleBlock": modifiers["SingleBlock"],
        "Channel/DryRun": modifiers["DryRun"],
        "Channel/OptionalStop": modifiers["OptionalStop"],
        "Channel/BlockSkip": modifiers["BlockSkip"],
        "Channel/TestMode": modifiers["TestMode"],
        "Channel/Progress": done_percent,
        "Channel/RemainingTime": min(control.remaining_s(done_percent), 86400.0),
        "Spindle/ActLoad": v.spindle_load_percent(),
        "Spindle/ActStatus": v.spindle_status(),
        "Spindle/ActTurnDirection": spindle.direction % 3,
        "Spindle/IsRotating": spindle.speed_rpm > 0.0,
        "Tool/Diameter": tool.type.diameter_mm if tool else 0.0,
        "Tool/Teeth": tool.type.teeth if tool else 0,
        "Tool/WearPercent": tool.measured_percent if tool else 0.0,
        "Tool/CuttingTime": tool.cutting_time_s / 60.0 if tool else 0.0,
        "Tool/InCut": v.shown.cut.in_cut_s > 0.0,
        "Lubrication/Level": 100.0 - upkeep.lube_percent,
        "Door/IsClosed": guard.is_closed(control, locked),
        "Door/IsLocked": locked,
        "Simulation/Time": max(v.since_start_s, 0.0),
        "Simulation/Speed": v.speed,
        "Axes/X/RemDist": left_x,
        "Axes/Y/RemDist": left_y,
        "Axes/Z/RemDist": left_z,
        "Axes/X/ZeroOffset": zero_x,
        "Axes/Y/ZeroOffset": zero_y,
        "Axes/Z/ZeroOffset": zero_z,
    }


def objects(v: View) -> dict[str, Value]:
    """Values of the other signals by name."""
    control, move, tool, severities = v.controller, v.move, v.tool, v.shown.fault_severities
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
        "Channel/ActMFunctions": list(control.modal.m_codes),
        "Tool/Type": tool.type.kind if tool else "none",
        "Simulation/FaultNames": list(FAULTS),
        "Simulation/FaultSeverities": list(severities) or [0.0] * len(FAULTS),
    }


_PLACE: Final = {signal.name: place for place, signal in enumerate(NUMERIC)}
_STATES: Final = {(state, dark): list(state_rows(state, dark).values()) for state in MachineState for dark in (False, True)}
_STATE_AT: Final = np.array([_PLACE[name] for name in state_rows(MachineState.IDLE, False)])
_READ_AT: Final = np.array([_PLACE[name] for name in SIGNALS])
_MOVING_AT: Final = np.array([[_PLACE[f"Axes/{axis}/{name}"] for axis in AXES] for name in MOVING])
_DRIVES_AT: Final = [_PLACE[f"Axes/{axis}/{name}"] for axis in AXES for name in ("ActLoad", "ActPower", "ActTorque")]
"""What drives say that are without power when the machine is switched off."""
_KNOWN_AT: Final = np.array([_PLACE[one.signal] for one in _KNOWN])
_PER: Final = np.array([one.per for one in _KNOWN])[:, None]
_MOST: Final = np.array([one.high for one in _KNOWN])[:, None]
_ELSEWHERE: Final = {int(place) for at in (_STATE_AT, _READ_AT, _KNOWN_AT, _MOVING_AT.ravel()) for place in at}
_WORKED_OUT_AT: Final = np.array(sorted(set(_PLACE.values()) - _ELSEWHERE))
_WORKED_OUT: Final = itemgetter(*(NUMERIC[place].name for place in _WORKED_OUT_AT))


def numbers(view: View) -> Floats:
    """Values of the numeric signals, in the order of ``catalogue.NUMERIC``."""
    row: Floats = table([view], view.shown.read[:, None], view.axes()[:, :, None])[0]
    return row


def table(views: Sequence[View], read: Floats, axes: Floats) -> Floats:
    """As ``numbers`` of many machines at once (machines, signals).

    ``read``: what their sensors say (READ, machines); ``axes``: what their axes do (6, axes, machines).
    """
    out = np.empty((len(NUMERIC), len(views)))
    out[_STATE_AT] = np.array([_STATES[view.state, view.machine.block % 10 >= 5] for view in views]).T
    out[_KNOWN_AT] = np.minimum(np.array([known(view) for view in views]).T / _PER, _MOST)
    out[_WORKED_OUT_AT] = np.array([_WORKED_OUT(worked_out(view)) for view in views]).T
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
    stopped = [k for k, view in enumerate(views) if view.state is _EMERGENCY_STOP]
    if stopped:
        status[:, stopped] = 2.0
    out[_MOVING_AT] = moving
    off = [k for k, view in enumerate(views) if view.state is _OFF]
    if off:
        out[np.ix_(_DRIVES_AT, off)] = 0.0
    return out.T.copy()
