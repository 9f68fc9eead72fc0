"""From machine state to catalogue signals: one row for each signal of ``nodesets.catalogue.MACHINE``.

A row is an expression of the ``View``, the machine at one moment: the block it is in, and which of the block's samples. Adding a
signal is a row in the catalogue and a row here.
"""

from __future__ import annotations

from operator import itemgetter
from typing import Final

import numpy as np
import numpy.typing as npt

from cnctwin.reading import Value
from nodesets.catalogue import AXES, NUMERIC, STACKLIGHT
from nodesets.states import SHOWN, MachineState
from opcua_server.machine import guard
from opcua_server.machine.faults import FAULTS
from opcua_server.machine.machine import BLOCK_S, SAMPLES, Machine
from opcua_server.machine.moves import Move

STANDING_MM_S: Final = 0.02
CURRENT_RIPPLE_NM: Final = 0.3
_MANUAL: Final = MachineState.MANUAL
_EMERGENCY_STOP: Final = MachineState.EMERGENCY_STOP
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
        self.command = motion.rows[:3, sample].tolist()
        self.remaining = motion.remaining_mm(sample)
        self.feed_mm_s = motion.feed_mm_s.item(sample)
        self.actual, self.motor, self.velocity, self.lag, self.torque = axes.at(sample)
        self.power, self.load = axes.mean_power_w.tolist(), axes.mean_load_percent.tolist()

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
        if self.state is _EMERGENCY_STOP:
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


_LAMPS: Final = tuple((light, f"Machine/Stacklight{light}") for light, _ in STACKLIGHT)
_AXIS_ROWS: Final = tuple(
    tuple(
        f"Axes/{axis}/{name}"
        for name in (
            "ActPos", "CmdPos", "RemDist", "MotorPos", "ZeroOffset", "ActVelocity", "FollowingError", "ActLoad", "ActTorque",
            "ActPower", "Temperature", "ActStatus", "IsReferenced",
        )
    )
    for axis in AXES
)  # fmt: skip


def _axis(v: View, i: int) -> tuple[float, ...]:
    return (
        v.actual[i], v.command[i], v.remaining[i], v.motor[i], v.controller.modal.zero_offset[i], v.velocity[i] * 60.0, v.lag[i],
        v.axis_load_percent(i), v.axis_torque_nm(i), v.axis_power_w(i), v.shown.screws_c[i], v.axis_status(i), True,
    )  # fmt: skip


def numeric_rows(v: View) -> dict[str, float]:
    """Values of the numeric signals by name."""
    control, shown, spindle, meter, coolant = v.controller, v.shown, v.spindle, v.meter, v.coolant
    official, tool, move, upkeep, cut = v.official, v.tool, v.move, v.machine.upkeep, v.shown.cut
    rows: dict[str, float] = {
        "Machine/State": int(v.state),
        "Machine/PowerOnDuration": v.machine.time_s / 3600.0,
        "Machine/OperationDuration": control.operation_s / 3600.0,
        "Machine/OperationCycleCounter": control.cycles_started,
        "Machine/PartsProduced": control.parts,
        "Machine/CycleTime": min(control.cycle_s, 86400.0),
        "Machine/LastCycleTime": min(control.last_cycle_s, 86400.0),
        "Machine/AlarmCount": len(control.alarms),
        "Channel/ActFeedrate": v.feed_mm_s * 60.0,
        "Channel/CmdFeedrate": min(move.feed, 25400.0) if move else 0.0,
        "Channel/FeedOverride": control.feed_override,
        "Channel/RapidOverride": control.rapid_override,
        "Channel/DryRunFeed": control.motion.machine.path.dry_run_mm_s * 60.0,
        "Channel/ChannelState": int(official.channel),
        "Channel/ChannelMode": 1 if v.state is _MANUAL else 0,
        "Channel/ActStatus": int(official.channel),
        "Channel/ActProgramStatus": int(official.program_status),
        "Channel/ActOperationMode": 1 if v.state is _MANUAL else 2,
        "Channel/FeedHold": control.motion.holding,
        "Channel/SingleBlock": control.modifiers["SingleBlock"],
        "Channel/DryRun": control.modifiers["DryRun"],
        "Channel/OptionalStop": control.modifiers["OptionalStop"],
        "Channel/BlockSkip": control.modifiers["BlockSkip"],
        "Channel/ActModalOffsetFunction": control.modal.work_offset,
        "Channel/Progress": control.progress.percent(control.job),
        "Channel/RemainingTime": min(control.remaining_s, 86400.0),
        "Spindle/ActSpeed": min(shown.spindle_rpm, 12_000.0),
        "Spindle/CmdSpeed": spindle.commanded_rpm,
        "Spindle/Override": control.spindle_override,
        "Spindle/AnglePos": spindle.angle_deg,
        "Spindle/ActLoad": min(shown.spindle_load_percent, 200.0),
        "Spindle/ActPower": min(shown.spindle_w, 30_000.0),
        "Spindle/ActTorque": shown.spindle_torque_nm,
        "Spindle/ActStatus": v.spindle_status(),
        "Spindle/ActTurnDirection": spindle.direction % 3,
        "Spindle/ActGear": 1,
        "Spindle/IsRotating": spindle.speed_rpm > 0.0,
        "Spindle/Temperature": shown.bearing_c,
        "Spindle/MotorTemperature": shown.motor_c,
        "Spindle/VibrationVelocity": min(shown.velocity_rms, 20.0),
        "Spindle/VibrationAcceleration": min(shown.acceleration_rms, 200.0),
        "Spindle/VibrationKurtosis": min(shown.kurtosis, 50.0),
        "Spindle/VibrationBearing": min(shown.bearing_line, 100.0),
        "Spindle/VibrationTooth": min(shown.tooth_line, 100.0),
        "Spindle/VibrationUnbalance": min(shown.unbalance, 20.0),
        "Tool/Number": control.tool_number,
        "Tool/Diameter": tool.type.diameter_mm if tool else 0.0,
        "Tool/Teeth": tool.type.teeth if tool else 0,
        "Tool/WearPercent": tool.measured_percent if tool else 0.0,
        "Tool/CuttingTime": tool.cutting_time_s / 60.0 if tool else 0.0,
        "Tool/CuttingSpeed": cut.cutting_speed_m_min,
        "Tool/ChipLoad": cut.chip_load_mm,
        "Tool/IsClamped": control.is_tool_clamped,
        "Tool/InCut": cut.in_cut_s > 0.0,
        "Coolant/IsOn": coolant.on,
        "Coolant/Flow": shown.coolant_flow,
        "Coolant/Pressure": shown.coolant_bar,
        "Coolant/Temperature": shown.coolant_c,
        "Coolant/Level": shown.coolant_level,
        "Upkeep/SpindleBearing": upkeep.spindle_h,
        "Upkeep/CoolantFilter": 100.0 * coolant.filter_load,
        "Upkeep/WayLube": upkeep.lube_percent,
        "Air/Pressure": min(max(shown.air_bar, 0.0), 12.0),
        "Hydraulics/Pressure": min(shown.hydraulic_bar, 100.0),
        "Hydraulics/IsCharging": shown.hydraulics_charge,
        "Lubrication/Pressure": min(shown.lubrication_bar, 40.0),
        "Lubrication/Level": 100.0 - upkeep.lube_percent,
        "Door/IsClosed": guard.is_closed(control),
        "Door/IsLocked": guard.is_locked(control),
        "Fixture/IsClamped": control.part_change.is_clamped,
        "Magazine/Pocket": control.pocket,
        "Magazine/IsMoving": control.changing_tool,
        "ChipConveyor/Current": min(max(shown.conveyor_a, 0.0), 10.0),
        "Part/Roughness": min(shown.part_roughness_um, 25.0),
        "Power/EnergyState": shown.energy_state,
        "Power/Total": meter.total_w / 1000.0,
        "Power/Spindle": min(meter.spindle_w, 30_000.0) / 1000.0,
        "Power/Servo": meter.servo_w / 1000.0,
        "Power/Auxiliary": meter.auxiliary_w / 1000.0,
        "Power/Energy": meter.energy_j / 3.6e6,
        "Environment/Temperature": shown.ambient_c,
        "Structure/Temperature": shown.column_c,
        "Structure/ThermalGrowthZ": shown.growth_um,
        "Simulation/Time": max(v.since_start_s, 0.0),
        "Simulation/Speed": v.speed,
    }
    for light, name in _LAMPS:
        rows[name] = v.lamp(light)
    for i, names in enumerate(_AXIS_ROWS):
        rows.update(zip(names, _axis(v, i), strict=True))
    return rows


def objects(v: View) -> dict[str, Value]:
    """Values of the other signals by name."""
    control, move, tool, severities = v.controller, v.move, v.tool, v.shown.fault_severities
    return {
        "Machine/AlarmCode": v.alarm("code"),
        "Machine/AlarmText": v.alarm("text"),
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


_IN_ORDER: Final = itemgetter(*(signal.name for signal in NUMERIC))


def numbers(view: View) -> npt.NDArray[np.float64]:
    """Values of the numeric signals, in the order of ``catalogue.NUMERIC``."""
    return np.array(_IN_ORDER(numeric_rows(view)), dtype=np.float64)
