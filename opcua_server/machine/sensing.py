"""What the sensors of a machine say after a block, each with its own error, and what a broken one says.

The state goes in, ``Shown`` comes out. Sensors that fail do so here: the state behind them stays as it is.
"""

from __future__ import annotations

import math
from math import exp
from typing import TYPE_CHECKING, Final

from opcua_server.machine.energy import ENERGY_STATES
from opcua_server.machine.motion.axes import AxisBlock
from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.noise import TAPER_SEAT, Channel, Index, generator
from opcua_server.machine.physics import Physics
from opcua_server.machine.process.process import CutBlock
from opcua_server.machine.sensors import StickingSensor, loose_plug
from opcua_server.machine.spindle import EFFICIENCY, EXCITATION_W, friction_nm, rated_power_w
from opcua_server.machine.thermal import BEARING, COLUMN, COOLANT, MOTOR, SCREW_X, SCREW_Y, SCREW_Z, growth_z_um
from opcua_server.machine.vibration import STILL, Parts, features, parts

if TYPE_CHECKING:
    from opcua_server.machine.machine import Machine

BARE_UNBALANCE_MM_S: Final = 0.2
"""Of the spindle without a holder."""


class Sensing:
    """Sensors of one machine that have a memory, and the vibration of the last block."""

    def __init__(self) -> None:
        self.vibration: Parts = STILL
        self._flow_meter = StickingSensor()
        self._seat = (-1, 0.0)
        """Which tool change, and the angle between dirt in the taper and the tool's own unbalance."""

    def read_flow(self, machine: Machine, physics: Physics, noise: list[float]) -> None:
        """The flow meter, which has a memory: to be read in every block."""
        coolant = machine.coolant
        flow = max(coolant.flow_l_min * (1.0 + 0.012 * noise[Index.COOLANT_FLOW]), 0.0)
        shown, sticks = machine.shown, physics.flow_sensor_sticks
        shown.coolant_flow = self._flow_meter.read(flow, sticks, machine.block, machine.seed, machine.number)

    def read_column(self, machine: Machine, physics: Physics, noise: list[float], step: int) -> None:
        """The column's sensor, whose last good value the control keeps: to be read in every block."""
        shown, looseness = machine.shown, physics.column_sensor_loose
        true_c = machine.thermal.nodes.item(COLUMN) + 0.05 * noise[Index.COLUMN_TEMPERATURE]
        if shown.statuses:
            shown.statuses.clear()
        if looseness <= 0.0:
            shown.column_c = true_c
            return
        drawn = machine.noise.at(step)
        shown.column_c, status = loose_plug(
            true_c, shown.column_c, looseness, drawn[Channel.LOOSE_PLUG], drawn[Channel.LOOSE_PLUG_SIZE]
        )
        if status:
            shown.statuses["Structure/Temperature"] = status

    def sense(
        self, machine: Machine, motion: MotionBlock, axes: AxisBlock, cut: CutBlock, torque_nm: float, physics: Physics,
        noise: list[float],
    ) -> None:  # fmt: skip
        """Fill ``machine.shown``."""
        at, shown, coolant, speed = Index, machine.shown, machine.coolant, machine.spindle.speed_rpm
        nodes: list[float] = machine.thermal.nodes.tolist()
        shown.motion, shown.axes, shown.cut = motion, axes, cut
        if speed > 0.0:
            shown.spindle_rpm = speed * (1.0 + 0.0018 * noise[at.SPINDLE_SPEED])
            mechanical = max(machine.meter.spindle_w - EXCITATION_W, 0.0) * EFFICIENCY
            shown.spindle_load_percent = 100.0 * mechanical / rated_power_w(speed)
        else:
            shown.spindle_rpm = shown.spindle_load_percent = 0.0
        friction = friction_nm(speed, 1.0, nodes[BEARING])
        shown.spindle_torque_nm = torque_nm + (0.05 * friction + 0.02 * abs(torque_nm)) * noise[at.SPINDLE_TORQUE]
        shown.spindle_w = machine.meter.spindle_w
        self.vibration = self._parts(machine, motion, cut, physics)
        found = features(self.vibration)
        # What neighbours in the table of channels have in common is drawn apart in one go. Of the vibration each is an estimate
        # from a window of 100 ms: the spread of such estimates, not of the state.
        bearing, motor, velocity, acceleration, kurtosis, line, tooth, unbalance = noise[
            at.SPINDLE_TEMPERATURE : at.VIBRATION_UNBALANCE + 1
        ]
        shown.bearing_c = nodes[BEARING] + 0.08 * bearing + physics.bearing_sensor_drift_k
        shown.motor_c = nodes[MOTOR] + 0.15 * motor
        shown.velocity_rms = found.velocity_rms_mm_s * exp(0.05 * velocity)
        shown.acceleration_rms = found.acceleration_rms_m_s2 * exp(0.04 * acceleration)
        shown.kurtosis = max(found.kurtosis * exp(0.05 * kurtosis), 1.2)
        shown.bearing_line = found.bearing_line_m_s2 * exp(0.22 * line)
        shown.tooth_line = found.tooth_line_m_s2 * exp(0.09 * tooth)
        shown.unbalance = found.unbalance_mm_s * exp(0.06 * unbalance)
        pressure, temperature, level = noise[at.COOLANT_PRESSURE : at.COOLANT_LEVEL + 1]
        shown.coolant_bar = max(coolant.pressure_bar + coolant.ripple_bar * pressure, 0.0)
        shown.coolant_c = nodes[COOLANT] + 0.07 * temperature
        shown.coolant_level = min(max(coolant.level_percent + 0.15 * level, 0.0), 100.0)
        shown.air_bar = machine.air.pressure_bar + 0.02 * noise[at.AIR_PRESSURE]
        pressure, shown.hydraulics_charge = machine.controller.hydraulics.at(machine.time_s)
        shown.hydraulic_bar = max(pressure + 0.25 * noise[at.HYDRAULIC_PRESSURE], 0.0)
        shown.lubrication_bar = max(machine.lubrication_bar(physics) + 0.08 * noise[at.LUBRICATION_PRESSURE], 0.0)
        # Chips come in clumps: the torque of the belt varies by a tenth.
        shown.conveyor_a = machine.conveyor.current_a * (1.0 + 0.1 * noise[at.CONVEYOR_CURRENT])
        shown.ambient_c = machine.ambient_c + 0.06 * noise[at.AMBIENT_SENSOR]
        growth, x, y, z, x_load, y_load, z_load = noise[at.GROWTH : at.AXIS_Z_LOAD + 1]
        shown.growth_um = growth_z_um(nodes) + 0.25 * growth
        shown.screws_c = (nodes[SCREW_X] + 0.06 * x, nodes[SCREW_Y] + 0.06 * y, nodes[SCREW_Z] + 0.06 * z)
        shown.axis_load_noise = (x_load, y_load, z_load)
        shown.energy_state = ENERGY_STATES.index(machine.energy_state)
        shown.fault_severities = machine.faults.severities(machine.time_s)

    def _parts(self, machine: Machine, motion: MotionBlock, cut: CutBlock, physics: Physics) -> Parts:
        tool, chattering = machine.controller.tool, cut.chatter
        own = (tool.unbalance_mm_s if tool else BARE_UNBALANCE_MM_S) * machine.balance
        if physics.taper_dirt_mm_s > 0.0:
            own = abs(own + physics.taper_dirt_mm_s * complex(math.cos(angle := self._seat_angle(machine)), math.sin(angle)))
        return parts(
            machine.spindle.speed_rpm, own, cut.tooth_force_n, tool.type.teeth if tool else 0, float(motion.feed_mm_s[-1]),
            tool.flank_wear_mm if tool else 0.0, physics.bearing_defect, once_per_turn_n=cut.once_per_turn_n,
            chatter=chattering.growth, chatter_hz=chattering.frequency_hz, chip_mm=cut.chip_mm,
        )  # fmt: skip

    def _seat_angle(self, machine: Machine) -> float:
        change = machine.controller.tool_changes
        if self._seat[0] != change:
            born = generator(machine.seed, machine.number, TAPER_SEAT, change)
            self._seat = (change, float(born.uniform(0.0, 2.0 * math.pi)))
        return self._seat[1]
