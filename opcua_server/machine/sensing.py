"""What the sensors of a machine say after a block, each with its own error, and what a broken one says.

    block begun --look--> LOOK values --.
    heat -------- warm -----------------+--> readings.read --> Shown of each: a window of what all of them say
    axes -------------------------------'

Sensors that fail do so here: the state behind them stays as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from opcua_server.machine.drawn import flow_read_l_min
from opcua_server.machine.noise import TAPER_SEAT, Channel, Index, generator
from opcua_server.machine.physics import Physics
from opcua_server.machine.process.load import TICKS
from opcua_server.machine.process.process import SAMPLES_PER_TICK
from opcua_server.machine.readings import CAUSES, OF_BEGUN, TOOTH, Floats, read
from opcua_server.machine.sensors import BLOCK_S, StickingSensor, loose_plug
from opcua_server.machine.spindle import Values, friction_nm
from opcua_server.machine.thermal import COLUMN, growth_z_um
from opcua_server.machine.vibration import STILL, Parts

if TYPE_CHECKING:
    from opcua_server.machine.begun import Begun
    from opcua_server.machine.machine import Machine

BARE_UNBALANCE_MM_S: Final = 0.2
"""Of the spindle without a holder."""
ALONE: Final = -1
LAST_SAMPLE: Final = TICKS * SAMPLES_PER_TICK - 1
"""Of a block."""


LOOK: Final = OF_BEGUN.stop + CAUSES + 2


def sense(machine: Machine, begun: Begun) -> None:
    """Let the sensors of a machine read after a block, which must have ended."""
    looked, axes = machine.sensing.look(machine, begun), machine.shown.axes
    if axes is None:
        raise ValueError("no block has ended")
    *measured, spread_nm = warm(machine.thermal.nodes.tolist(), looked[-1], looked[0], looked[1])
    loads = (*axes.mean_load_percent, *axes.mean_power_w)
    true = np.array((
        *looked[OF_BEGUN], *measured, *loads, *looked[OF_BEGUN.stop : -2], spread_nm, looked[-2]
    ))  # fmt: skip
    true[TOOTH] = begun.cut.tooth_force_n
    said, vibration = read(true[:, None], machine.noise.row(begun.block - 1)[:, None])
    machine.shown.read = said[:, 0]
    machine.sensing.felt(vibration, ALONE)


def sense_all(
    looked: Floats, tooth_n: Floats, nodes: Floats, load_percent: Floats, watts: Floats, normal: Floats
) -> tuple[Floats, Parts]:
    """As ``sense`` of many machines or blocks: what sensors say, (READ, n), and their vibration.

    ``looked``: (n, LOOK); ``tooth_n``: force of a tooth in each; ``nodes``: temperatures, (n, NODES); ``load_percent``, ``watts``:
    of the axes, (3, n) each; ``normal``: (n, channels).
    """
    rows = looked.T
    *measured, spread_nm = warm(nodes.T, rows[-1], rows[0], rows[1])
    true = np.concatenate(
        (rows[OF_BEGUN], measured, load_percent, watts, rows[OF_BEGUN.stop : -2], spread_nm[None], rows[-2:-1])
    )  # fmt: skip
    true[TOOTH] = tooth_n
    return read(true, normal.T)


def warm(nodes_c: Iterable[Values], drift_k: Values, speed_rpm: Values, torque_nm: Values) -> tuple[Values, ...]:
    """What sensors of heat measure, in the order of ``readings.OF_HEAT``, and how the reading of the torque spreads (N m).

    ``nodes_c``: in the order of ``thermal``; ``drift_k``: of the bearing's sensor.
    """
    motor_c, bearing_c, housing_c, column_c, x_c, y_c, z_c, coolant_c = nodes_c
    spread_nm = 0.05 * friction_nm(speed_rpm, 1.0, bearing_c) + 0.02 * abs(torque_nm)
    return bearing_c + drift_k, motor_c, coolant_c, growth_z_um(bearing_c, housing_c, column_c), x_c, y_c, z_c, spread_nm


def column_read_c(column_c: Values, normal: Values) -> Any:
    """What the sensor of the column says while it is well."""
    return column_c + 0.05 * normal


class Sensing:
    """Sensors of one machine that have a memory, and the vibration of the last block."""

    def __init__(self) -> None:
        self._vibration: tuple[Parts, int] = (STILL, ALONE)
        self._flow_meter = StickingSensor()
        self._seat = (-1, 0.0)
        """Which tool change, and the angle between dirt in the taper and the tool's own unbalance."""

    def read(self, machine: Machine, begun: Begun) -> tuple[float, float]:
        """The sensors that have a memory, to be read in every block that has ended: what is shown of the coolant's flow and of the
        column's temperature."""
        return self._read_flow(machine, begun), self._read_column(machine, begun)

    def _read_flow(self, machine: Machine, begun: Begun) -> float:
        flow = flow_read_l_min(begun.drawn, begun.noise[Index.COOLANT_FLOW])
        sticks = begun.physics.flow_sensor_sticks
        machine.shown.coolant_flow = shown = self._flow_meter.read(flow, sticks, begun.block, machine.seed, machine.number)
        return shown

    def _read_column(self, machine: Machine, begun: Begun) -> float:
        """The control keeps the last good value."""
        shown, looseness = machine.shown, begun.physics.column_sensor_loose
        true_c: float = column_read_c(machine.thermal.nodes.item(COLUMN), begun.noise[Index.COLUMN_TEMPERATURE])
        if shown.statuses:
            shown.statuses.clear()
        if looseness <= 0.0:
            shown.column_c = true_c
            return true_c
        drawn = machine.noise.at(begun.block - 1)
        shown.column_c, status = loose_plug(
            true_c, shown.column_c, looseness, drawn[Channel.LOOSE_PLUG], drawn[Channel.LOOSE_PLUG_SIZE]
        )
        if status:
            shown.statuses["Structure/Temperature"] = status
        return shown.column_c

    def look(self, machine: Machine, begun: Begun) -> tuple[float, ...]:
        """What there is to be read of a block that has begun, ``LOOK`` values: what sensors measure (``readings.OF_BEGUN``), the
        causes of vibration but the force of a tooth, the ripple of the coolant's pressure, the drift of the bearing's sensor."""
        physics, cut, coolant = begun.physics, begun.cut, machine.coolant
        tool, chatter, speed = machine.controller.tool, cut.chatter, machine.spindle.speed_rpm
        now_s = begun.block * BLOCK_S
        hydraulic_bar, machine.shown.hydraulics_charge = machine.controller.hydraulics.at(now_s)
        teeth, wear_mm = (tool.type.teeth, tool.flank_wear_mm) if tool else (0, 0.0)
        return (
            speed,
            begun.torque_nm,
            coolant.pressure_bar,
            coolant.level_percent,
            machine.air.pressure_bar,
            hydraulic_bar,
            machine.lubrication_bar(now_s, physics),
            machine.conveyor.current_a,
            machine.ambient_c(now_s),
            speed,
            self._unbalance(machine, physics),
            0.0,
            teeth,
            begun.motion.at(LAST_SAMPLE)[2],
            wear_mm,
            physics.bearing_defect,
            cut.once_per_turn_n,
            chatter.growth, chatter.frequency_hz,
            cut.chip_mm,
            1.0 / physics.damping - 1.0,
            coolant.ripple_bar,
            physics.bearing_sensor_drift_k,
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
