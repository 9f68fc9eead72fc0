"""What the sensors of a machine say after a block, each with its own error, and what a broken one says.

    machine --look--> its true values, a row --.
    machine --look--> ...                     --+--> readings.read --> Shown of each: a window of what all of them say

Sensors that fail do so here: the state behind them stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from opcua_server.machine.noise import TAPER_SEAT, Channel, Index, generator
from opcua_server.machine.physics import Physics
from opcua_server.machine.readings import Floats, read
from opcua_server.machine.sensors import StickingSensor, loose_plug
from opcua_server.machine.spindle import friction_nm
from opcua_server.machine.thermal import COLUMN, growth_z_um
from opcua_server.machine.vibration import STILL, Parts

if TYPE_CHECKING:
    from opcua_server.machine.begun import Begun
    from opcua_server.machine.machine import Machine

BARE_UNBALANCE_MM_S: Final = 0.2
"""Of the spindle without a holder."""
ALONE: Final = -1


def sense(machines: Sequence[Machine], begun: Sequence[Begun]) -> Floats:
    """Let the sensors of machines read, each after its block, which must have ended. What they say: (READ, machines)."""
    true = np.array([machine.sensing.look(machine, one) for machine, one in zip(machines, begun, strict=True)]).T.copy()
    normal = np.array([machine.noise.row(one.block - 1) for machine, one in zip(machines, begun, strict=True)]).T.copy()
    said, vibration = read(true, normal)
    for k, machine in enumerate(machines):
        machine.shown.read = said[:, k]
        machine.sensing.felt(vibration, k if len(machines) > 1 else ALONE)
    return said


class Sensing:
    """Sensors of one machine that have a memory, and the vibration of the last block."""

    def __init__(self) -> None:
        self._vibration: tuple[Parts, int] = (STILL, ALONE)
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

    def look(self, machine: Machine, begun: Begun) -> tuple[float, ...]:
        """What there is to be read after a block, in the order of ``readings.read``. Fills what of ``shown`` is no measurement."""
        shown, physics, cut, coolant = machine.shown, begun.physics, begun.cut, machine.coolant
        axes, tool, chatter, speed = shown.axes, machine.controller.tool, cut.chatter, machine.spindle.speed_rpm
        now_s = machine.time_s
        motor_c, bearing_c, housing_c, column_c, x_c, y_c, z_c, coolant_c = machine.thermal.nodes.tolist()
        hydraulic_bar, shown.hydraulics_charge = machine.controller.hydraulics.at(now_s)
        shown.fault_severities = machine.faults.severities(now_s)
        if axes is None:
            raise ValueError("no block has ended")
        axes.screws_c = (x_c, y_c, z_c)
        return (
            speed,
            begun.torque_nm,
            bearing_c + physics.bearing_sensor_drift_k,
            motor_c,
            coolant.pressure_bar,
            coolant_c,
            coolant.level_percent,
            machine.air.pressure_bar,
            hydraulic_bar,
            machine.lubrication_bar(physics),
            machine.conveyor.current_a,
            machine.ambient_c,
            growth_z_um(bearing_c, housing_c, column_c),
            x_c, y_c, z_c,
            *axes.mean_load_percent,
            *axes.mean_power_w,
            speed,
            self._unbalance(machine, physics),
            cut.tooth_force_n,
            tool.type.teeth if tool else 0,
            begun.motion.feed_mm_s.item(-1),
            tool.flank_wear_mm if tool else 0.0,
            physics.bearing_defect,
            cut.once_per_turn_n,
            chatter.growth, chatter.frequency_hz,
            cut.chip_mm,
            1.0 / physics.damping - 1.0,
            0.05 * friction_nm(speed, 1.0, bearing_c) + 0.02 * abs(begun.torque_nm),
            coolant.ripple_bar,
        )  # fmt: skip

    @property
    def vibration(self) -> Parts:
        """Of the last block that was looked at."""
        states, place = self._vibration
        return states if place == ALONE else states.of(place)

    def felt(self, states: Parts, place: int) -> None:
        """The vibration of many machines, of which this one's is at ``place``; of itself where it is ``ALONE``."""
        self._vibration = (states, place)

    def _unbalance(self, machine: Machine, physics: Physics) -> float:
        tool = machine.controller.tool
        own = (tool.unbalance_mm_s if tool else BARE_UNBALANCE_MM_S) * machine.balance
        if physics.taper_dirt_mm_s > 0.0:
            own = abs(own + physics.taper_dirt_mm_s * complex(math.cos(angle := self._seat_angle(machine)), math.sin(angle)))
        return own

    def _seat_angle(self, machine: Machine) -> float:
        change = machine.controller.tool_changes
        if self._seat[0] != change:
            born = generator(machine.seed, machine.number, TAPER_SEAT, change)
            self._seat = (change, float(born.uniform(0.0, 2.0 * math.pi)))
        return self._seat[1]
