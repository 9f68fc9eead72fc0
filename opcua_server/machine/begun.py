"""Blocks of 100 ms that are under way: each step of one may be worked out for several blocks or machines at once.

Passed   control, path and the tool's way through the stock are known
Begun    and what edge, spindle and surroundings do; all but what the axes do
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from opcua_server.machine.drawn import Drawn
from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.moves import Point
from opcua_server.machine.physics import Physics
from opcua_server.machine.process.process import NO_CUT, CutBlock, Pass
from opcua_server.machine.rigid_tap import Turning
from opcua_server.machine.tools import Tool

Floats = npt.NDArray[np.float64]


@dataclass(slots=True)
class Passed:
    """A block that waits for its physics. ``tool``: that cuts, None where nothing may; ``way``: None where it meets nothing."""

    block: int
    motion: MotionBlock
    physics: Physics
    tool: Tool | None
    way: Pass | None
    running: bool
    locked_mm: Point | None = None
    """Where the drives are told to stay under machine lock."""
    turning: Turning | None = None
    """What the spindle does in it where it goes in step with a tap."""
    cut: ClassVar[CutBlock] = NO_CUT
    """Not known yet."""


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
