"""What the sensors of a machine say after a block: the values that ``signals`` turns into catalogue signals."""

from __future__ import annotations

from dataclasses import dataclass, field

from opcua_server.machine.motion.axes import AxisBlock
from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.process.process import CutBlock
from opcua_server.machine.readings import Floats, before_the_first


@dataclass(slots=True)
class Shown:
    """Measured values with their sensors' errors; units as in the names.

    ``motion`` and ``axes`` hold all samples of the block, until the next; they are None before the first one.
    """

    motion: MotionBlock | None = None
    axes: AxisBlock | None = None
    cut: CutBlock = field(default_factory=CutBlock)
    read: Floats = field(default_factory=before_the_first)
    """What sensors without a memory say (``readings.READ``,), in the units of the catalogue; of many machines a window."""
    coolant_flow: float = 0.0
    column_c: float = 20.0
    hydraulics_charge: bool = False
    part_roughness_um: float = 0.0
    statuses: dict[str, int] = field(default_factory=dict)
    """Status codes of signals that the control knows to be wrong; all others are good."""
    fault_severities: list[float] = field(default_factory=list)
