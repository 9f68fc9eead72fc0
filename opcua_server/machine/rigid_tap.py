"""Rigid tapping: the spindle is an axis that goes in step with the tap, sample by sample.

    way of the tap --as a position loop lags--> where the tap is --turns per mm--> angle of the spindle --> its speed and torque

The control interpolates axis and spindle as one line. Both speed up and brake within the same time
(``PathParameters.tapping_rad_s2``), and the loops of both have the same gain (FANUC, connection manual of the Series 15, on rigid
tapping): so both are behind by the same, and the tap is where its thread is, at the start, at the bottom, on the way back, and
where somebody stops it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.motion.columns import shared
from opcua_server.machine.motion.filters import lfilter
from opcua_server.machine.parameters import SAMPLE_S, VF2_AXES
from opcua_server.machine.process.load import TICKS

Floats = npt.NDArray[np.float64]

GONE_TURNS: Final = 1e-9
"""What is left of the lag is none: the spindle goes its own way again."""


class Turning(NamedTuple):
    """Of a spindle that is led through a block."""

    ticks: list[tuple[float, float]]
    """In each tick: by how many degrees it turns, and the speed at its end in deg/s; both positive clockwise."""
    full_rpm: float
    """Speed of the stroke, unsigned. What the edges do is worked out at it: way and speed rise and fall together, and the chip
    stays the same."""


class RigidTap:
    """Leads the spindle of one machine. Its loop lags as that of Z does."""

    def __init__(self) -> None:
        self._before: MotionBlock | None = None
        self._lag_turns = self._per_mm = 0.0

    def follow(self, motion: MotionBlock) -> Turning | None:
        """What the spindle does in the next block; None where it is not led. To be told of every block."""
        before, self._before = self._before, motion
        if not motion.threads and self._lag_turns == 0.0:
            return None
        # Behind a reset the path comes to its stand with no move that is on: it is still the last one's.
        per_mm = np.array([*(one.turns_per_mm for one in motion.moves), self._per_mm])[motion.move_index]
        self._per_mm = per_mm.item(-1)
        if self._lag_turns == 0.0 and not per_mm.any():
            return None
        place = motion.rows[:3]
        way = np.diff(place, axis=1, prepend=place[:, :1] if before is None else before.rows[:3, -1:])
        told = np.sqrt((way * way).sum(axis=0)) * per_mm
        ((b, a), _), *_ = shared(VF2_AXES).lag
        lag, _ = lfilter(b, a, motion.feed_mm_s * per_mm, np.array([-a[1] * self._lag_turns]))
        turned = told - np.diff(lag, prepend=self._lag_turns)
        left = lag.item(-1)
        self._lag_turns = left if abs(left) > GONE_TURNS else 0.0
        degrees = 360.0 * turned.reshape(TICKS, -1)
        speeds = degrees[:, -1] / SAMPLE_S
        full_rpm = max((one.modal.spindle_speed for one in motion.moves if one.lead_mm), default=0.0)
        return Turning(list(zip(degrees.sum(axis=1).tolist(), speeds.tolist(), strict=True)), full_rpm)
