"""What the sensors of a machine say after a block: the values that ``signals`` turns into catalogue signals."""

from __future__ import annotations

from dataclasses import dataclass, field

from opcua_server.machine.motion.axes import AxisBlock
from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.process.process import IDLE, CutBlock


@dataclass(slots=True)
class Shown:
    """Measured values with their sensors' errors; units as in the names, else those of the catalogue.

    ``motion`` and ``axes`` hold all samples of the block; they are None before the first one.
    """

    motion: MotionBlock | None = None
    axes: AxisBlock | None = None
    cut: CutBlock = field(default_factory=lambda: CutBlock(IDLE, None, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0))
    spindle_rpm: float = 0.0
    spindle_torque_nm: float = 0.0
    spindle_w: float = 0.0
    spindle_load_percent: float = 0.0
    bearing_c: float = 20.0
    motor_c: float = 20.0
    velocity_rms: float = 0.0
    acceleration_rms: float = 0.0
    kurtosis: float = 3.0
    bearing_line: float = 0.0
    tooth_line: float = 0.0
    unbalance: float = 0.0
    coolant_flow: float = 0.0
    coolant_bar: float = 0.0
    coolant_c: float = 20.0
    coolant_level: float = 90.0
    ambient_c: float = 20.0
    column_c: float = 20.0
    growth_um: float = 0.0
    screws_c: tuple[float, float, float] = (20.0, 20.0, 20.0)
    axis_load_noise: tuple[float, float, float] = (0.0, 0.0, 0.0)
    air_bar: float = 6.0
    conveyor_a: float = 0.0
    hydraulic_bar: float = 0.0
    hydraulics_charge: bool = False
    lubrication_bar: float = 0.0
    energy_state: int = 0
    part_roughness_um: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    """Status codes of signals that the control knows to be wrong; all others are good."""
    fault_severities: list[float] = field(default_factory=list)
