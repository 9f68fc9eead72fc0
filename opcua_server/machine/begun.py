"""A block of 100 ms that has everything but what the axes do: these are worked out for several blocks or machines at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from opcua_server.machine.drawn import Drawn
from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.moves import Point
from opcua_server.machine.physics import Physics
from opcua_server.machine.process.process import CutBlock

Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Begun:
    """A block that waits for its axes."""

    block: int
    motion: MotionBlock
    cut: CutBlock
    physics: Physics
    noise: list[float]
    torque_nm: float
    drawn: Drawn
    running: bool
    locked_mm: Point | None = None
    """Where the drives are told to stay under machine lock."""

    @property
    def rows(self) -> Floats:
        """What the drives are told at each sample: position in mm and speed in mm/s of each axis."""
        if self.locked_mm is None:
            return self.motion.rows
        rows = np.zeros_like(self.motion.rows)
        rows[:3] = np.array(self.locked_mm)[:, None]
        return rows
