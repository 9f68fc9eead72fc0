"""From machine state to catalogue signals: one row for each signal of ``nodesets.catalogue.MACHINE``.

A row is a function of the ``View``, the machine at one moment: the block it is in, and which of the block's samples. Adding a
signal is a row in the catalogue and a row here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt

from cnctwin.reading import Value
from nodesets.catalogue import AXES, NUMERIC, OBJECTS, STACKLIGHT
from nodesets.states import SHOWN, MachineState
from opcua_server.machine import guard
from opcua_server.machine.faults import FAULTS
from opcua_server.machine.machine import BLOCK_S, SAMPLES, Machine
from opcua_server.machine.moves import Move

STANDING_MM_S: Final = 0.02
CURRENT_RIPPLE_NM: Final = 0.3
_PROGRAM_STATES: Final = frozenset({MachineState.RUNNING, MachineState.HELD, MachineState.ALARM})
_NONE: Final = (0.0, 0.0, 0.0)


class View:
    """A machine at one sample of its last block.

    ``sample``: 0 to 99, index into that block; ``started_block``: block at which the server started; ``speed``: simulated
    seconds per second.
    """

    def __init__(self, machine: Machine, sample: int = SAMPLES - 1, started_block: int = 0, speed: float = 1.0) -> None:
        self.machine, self.speed = machine, speed
        self.controller, self.shown = machine.controller, machine.shown
        self.spindle, self.meter, self.coolant = machine.spindle, machine.meter, machine.coolant
        self.state = self.controller.state
        self.official = SHOWN[self.state]
        self.tool = self.controller.tool
        self.since_start_s = (machine.block - started_block) * BLOCK_S - (SAMPLES - 1 - sample) * BLOCK_S / SAMPLES
        position = list(machine.controller.motion.position_mm)
        self.command: list[float] = position
        self.actual: list[float] = position
        self.motor: list[float] = position
        self.velocity = self.lag = self.torque = self.power = self.load = self.remaining = list(_NONE)
        self.feed_mm_s = 0.0
        motion, axes = self.shown.motion, self.shown.axes
        self.move: Move | None = self.controller.active if self.state in _PROGRAM_STATES else None
        if motion is None or axes is None:
            return
        index = int(motion.move_index[sample])
        if index >= 0 and self.move is not None:
            self.move = motion.moves[index]
        self.command = motion.position_mm[sample].tolist()
        self.remaining = motion.remaining_mm(sample)
        self.feed_mm_s = float(motion.feed_mm_s[sample])
        self.actual = axes.position_mm[sample].tolist()
        self.motor = axes.motor_position_mm[sample].tolist()
        self.velocity = axes.velocity_mm_s[sample].tolist()
        self.lag = axes.following_error_mm[sample].tolist()
        self.torque = axes.torque_nm[sample].tolist()
        self.power = (axes.power_w.sum(axis=0) / SAMPLES).tolist()
        self.load = (axes.load_percent.sum(axis=0) / SAMPLES).tolist()

    @property
    def runs(self) -> bool:
        return self.move is not None

    def axis_load_percent(self, axis: int) -> float:
        """Mean of the block; the drive's load meter is good to a few per cent of what it shows and half a per cent."""
        noise = self.shown.axis_load_noise[axis]
        return min(max(self.load[axis] * (1.0 + 0.03 * noise) + 0.4 * noise, 0.0), 200.0)

    def axis_power_w(self, axis: int) -> float:
        """Mean of the block as the drive's meter has it, bounded by what the drive can give or take back."""
        noise = self.shown.axis_load_noise[axis]
        return min(max(self.power[axis] * (1.0 + 0.03 * noise) + 4.0 * noise, -8000.0), 8000.0)

    def axis_torque_nm(self, axis: int) -> float:
        """At this moment, from the current: with the current controller's ripple, which a mill's telemetry shows unfiltered."""
        torque, noise = self.torque[axis], self.shown.axis_load_noise[axis]
        torque += (0.03 * abs(torque) + CURRENT_RIPPLE_NM) * noise
        # The drive's current limit: what a crash would need beyond it, the motor does not give.
        return min(max(torque, -40.0), 40.0)

    def axis_status(self, axis: int) -> int:
        if self.state is MachineState.EMERGENCY_STOP:
            return 2
        return 1 if abs(self.velocity[axis]) > STANDING_MM_S else 0

    def spindle_status(self) -> int:
        spindle = self.spindle
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

    def lamp(self, light: str) -> bool:
        """A blinking lamp is on for half of each second."""
        on = self.official.lamp == light
        return on and not (self.official.blinking and self.machine.block % 10 >= 5)

    def alarm(self, field: str) -> str:
        alarms = self.controller.alarms
        return str(getattr(alarms[0], field)) if alarms else ""


Row = Callable[[View], Value]


def _axis(axis: str, i: int) -> dict[str, Row]:
    name = f"Axes/{axis}/"
    return {
        name + "ActPos": lambda v: v.actual[i],
        name + "CmdPos": lambda v: v.command[i],
        name + "RemDist": lambda v: v.remaining[i],
        name + "MotorPos": lambda v: v.motor[i],
        name + "ZeroOffset": lambda v: v.controller.modal.zero_offset[i],
        name + "ActVelocity": lambda v: v.velocity[i] * 60.0,
        name + "FollowingError": lambda v: v.lag[i],
        name + "ActLoad": lambda v: v.axis_load_percent(i),
        name + "ActTorque": lambda v: v.axis_torque_nm(i),
        name + "ActPower": lambda v: v.axis_power_w(i),
        name + "Temperature": lambda v: v.shown.screws_c[i],
        name + "ActStatus": lambda v: v.axis_status(i),
        name + "IsReferenced": lambda v: True,
    }


def _lamp(light: str) -> Row:
    return lambda v: v.lamp(light)


ROWS: Final[dict[str, Row]] = {
    "Machine/State": lambda v: int(v.state),
    "Machine/PowerOnDuration": lambda v: v.machine.time_s / 3600.0,
    "Machine/OperationDuration": lambda v: v.controller.operation_s / 3600.0,
    "Machine/OperationCycleCounter": lambda v: v.controller.cycles_started,
    "Machine/PartsProduced": lambda v: v.controller.parts,
    "Machine/CycleTime": lambda v: min(v.controller.cycle_s, 86400.0),
    "Machine/LastCycleTime": lambda v: min(v.controller.last_cycle_s, 86400.0),
    "Machine/AlarmCount": lambda v: len(v.controller.alarms),
    "Machine/AlarmCode": lambda v: v.alarm("code"),
    "Machine/AlarmText": lambda v: v.alarm("text"),
    **{f"Machine/Stacklight{light}": _lamp(light) for light, _ in STACKLIGHT},
    "Channel/ActFeedrate": lambda v: v.feed_mm_s * 60.0,
    "Channel/CmdFeedrate": lambda v: min(v.move.feed, 25400.0) if v.move else 0.0,
    "Channel/FeedOverride": lambda v: v.controller.feed_override,
    "Channel/RapidOverride": lambda v: v.controller.rapid_override,
    "Channel/DryRunFeed": lambda v: v.controller.motion.machine.path.dry_run_mm_s * 60.0,
    "Channel/ChannelState": lambda v: int(v.official.channel),
    "Channel/ChannelMode": lambda v: 1 if v.state is MachineState.MANUAL else 0,
    "Channel/ActStatus": lambda v: int(v.official.channel),
    "Channel/ActProgramStatus": lambda v: int(v.official.program_status),
    "Channel/ActOperationMode": lambda v: 1 if v.state is MachineState.MANUAL else 2,
    "Channel/FeedHold": lambda v: v.controller.motion.holding,
    "Channel/SingleBlock": lambda v: v.controller.modifiers["SingleBlock"],
    "Channel/DryRun": lambda v: v.controller.modifiers["DryRun"],
    "Channel/OptionalStop": lambda v: v.controller.modifiers["OptionalStop"],
    "Channel/BlockSkip": lambda v: v.controller.modifiers["BlockSkip"],
    "Channel/ActProgramName": lambda v: (v.move.program if v.move else "") or v.main_name(),
    "Channel/ActMainProgramName": lambda v: v.main_name(),
    "Channel/ProgramNames": lambda v: v.controller.library.names(),
    "Channel/ActProgramLine": lambda v: str(v.move.line if v.move else 0),
    "Channel/ActProgramBlock": lambda v: v.block_text(),
    "Channel/ActGFunctions": lambda v: list(v.controller.modal.g_codes),
    "Channel/ActMFunctions": lambda v: list(v.controller.modal.m_codes),
    "Channel/ActModalOffsetFunction": lambda v: v.controller.modal.work_offset,
    "Channel/Progress": lambda v: v.controller.progress.percent(v.controller.job),
    "Channel/RemainingTime": lambda v: min(v.controller.remaining_s, 86400.0),
    **{name: row for i, axis in enumerate(AXES) for name, row in _axis(axis, i).items()},
    "Spindle/ActSpeed": lambda v: min(v.shown.spindle_rpm, 12_000.0),
    "Spindle/CmdSpeed": lambda v: v.spindle.commanded_rpm,
    "Spindle/Override": lambda v: v.controller.spindle_override,
    "Spindle/AnglePos": lambda v: v.spindle.angle_deg,
    "Spindle/ActLoad": lambda v: min(v.shown.spindle_load_percent, 200.0),
    "Spindle/ActPower": lambda v: min(v.shown.spindle_w, 30_000.0),
    "Spindle/ActTorque": lambda v: v.shown.spindle_torque_nm,
    "Spindle/ActStatus": lambda v: v.spindle_status(),
    "Spindle/ActTurnDirection": lambda v: v.spindle.direction % 3,
    "Spindle/ActGear": lambda v: 1,
    "Spindle/IsRotating": lambda v: v.spindle.speed_rpm > 0.0,
    "Spindle/Temperature": lambda v: v.shown.bearing_c,
    "Spindle/MotorTemperature": lambda v: v.shown.motor_c,
    "Spindle/VibrationVelocity": lambda v: min(v.shown.velocity_rms, 20.0),
    "Spindle/VibrationAcceleration": lambda v: min(v.shown.acceleration_rms, 200.0),
    "Spindle/VibrationKurtosis": lambda v: min(v.shown.kurtosis, 50.0),
    "Spindle/VibrationBearing": lambda v: min(v.shown.bearing_line, 100.0),
    "Spindle/VibrationTooth": lambda v: min(v.shown.tooth_line, 100.0),
    "Spindle/VibrationUnbalance": lambda v: min(v.shown.unbalance, 20.0),
    "Tool/Number": lambda v: v.controller.tool_number,
    "Tool/Type": lambda v: v.tool.type.kind if v.tool else "none",
    "Tool/Diameter": lambda v: v.tool.type.diameter_mm if v.tool else 0.0,
    "Tool/Teeth": lambda v: v.tool.type.teeth if v.tool else 0,
    "Tool/WearPercent": lambda v: v.tool.measured_percent if v.tool else 0.0,
    "Tool/CuttingTime": lambda v: v.tool.cutting_time_s / 60.0 if v.tool else 0.0,
    "Tool/CuttingSpeed": lambda v: v.shown.cut.cutting_speed_m_min,
    "Tool/ChipLoad": lambda v: v.shown.cut.chip_load_mm,
    "Tool/IsClamped": lambda v: v.controller.is_tool_clamped,
    "Tool/InCut": lambda v: v.shown.cut.in_cut_s > 0.0,
    "Coolant/IsOn": lambda v: v.coolant.on,
    "Coolant/Flow": lambda v: v.shown.coolant_flow,
    "Coolant/Pressure": lambda v: v.shown.coolant_bar,
    "Coolant/Temperature": lambda v: v.shown.coolant_c,
    "Coolant/Level": lambda v: v.shown.coolant_level,
    "Upkeep/SpindleBearing": lambda v: v.machine.upkeep.spindle_h,
    "Upkeep/CoolantFilter": lambda v: 100.0 * v.coolant.filter_load,
    "Upkeep/WayLube": lambda v: v.machine.upkeep.lube_percent,
    "Air/Pressure": lambda v: min(max(v.shown.air_bar, 0.0), 12.0),
    "Hydraulics/Pressure": lambda v: min(v.shown.hydraulic_bar, 100.0),
    "Hydraulics/IsCharging": lambda v: v.shown.hydraulics_charge,
    "Lubrication/Pressure": lambda v: min(v.shown.lubrication_bar, 40.0),
    "Lubrication/Level": lambda v: 100.0 - v.machine.upkeep.lube_percent,
    "Door/IsClosed": lambda v: guard.is_closed(v.controller),
    "Door/IsLocked": lambda v: guard.is_locked(v.controller),
    "Fixture/IsClamped": lambda v: v.controller.part_change.is_clamped,
    "Magazine/Pocket": lambda v: v.controller.pocket,
    "Magazine/IsMoving": lambda v: v.controller.changing_tool,
    "ChipConveyor/Current": lambda v: min(max(v.shown.conveyor_a, 0.0), 10.0),
    "Part/Roughness": lambda v: min(v.shown.part_roughness_um, 25.0),
    "Power/EnergyState": lambda v: v.shown.energy_state,
    "Power/Total": lambda v: v.meter.total_w / 1000.0,
    "Power/Spindle": lambda v: min(v.meter.spindle_w, 30_000.0) / 1000.0,
    "Power/Servo": lambda v: v.meter.servo_w / 1000.0,
    "Power/Auxiliary": lambda v: v.meter.auxiliary_w / 1000.0,
    "Power/Energy": lambda v: v.meter.energy_j / 3.6e6,
    "Environment/Temperature": lambda v: v.shown.ambient_c,
    "Structure/Temperature": lambda v: v.shown.column_c,
    "Structure/ThermalGrowthZ": lambda v: v.shown.growth_um,
    "Simulation/Time": lambda v: max(v.since_start_s, 0.0),
    "Simulation/Speed": lambda v: v.speed,
    "Simulation/FaultNames": lambda v: list(FAULTS),
    "Simulation/FaultSeverities": lambda v: list(v.shown.fault_severities) or [0.0] * len(FAULTS),
}

_NUMBERS: Final = tuple(ROWS[signal.name] for signal in NUMERIC)
_OBJECTS: Final = tuple((signal.name, ROWS[signal.name]) for signal in OBJECTS)


def numbers(view: View) -> npt.NDArray[np.float64]:
    """Values of the numeric signals, in the order of ``catalogue.NUMERIC``."""
    return np.array([row(view) for row in _NUMBERS], dtype=np.float64)


def objects(view: View) -> dict[str, Value]:
    """Values of the other signals by name."""
    return {name: row(view) for name, row in _OBJECTS}
