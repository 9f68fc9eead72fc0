"""What motion gives for a span of time: commanded samples at 1 kHz and what happened at which sample.

Sample ``k`` of a block is the state at the end of its ``k``-th millisecond. Positions in mm (machine coordinates),
velocities in mm/s, order of axes X, Y, Z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from opcua_server.machine.moves import Move, NcAlarm, Point

Floats = NDArray[np.float64]

MotionEventKind = Literal[
    "begin",  # the move starts
    "finished",  # the move's end point is reached (cutting moves: the path leaves it)
    "sync",  # toolchange, spindle, coolant, stop, end, message: motion stands until the owner calls ``resume``
    "held",  # feed hold has brought the axes to a stand
    "block",  # single block: the block is done, motion stands until ``cycle_start``
    "alarm",  # the interpreter raised: everything before that block is done
    "done",  # no moves are left
    "reset",  # the queue is dropped and the axes stand
]


@dataclass(frozen=True, slots=True)
class MotionEvent:
    """Something that happened in a block. ``sample`` counts from the block's first sample."""

    sample: int
    kind: MotionEventKind
    move: Move | None = None
    alarm: NcAlarm | None = None


@dataclass(slots=True)
class MotionBlock:
    """``n`` consecutive samples. ``rows``: X Y Z Vx Vy Vz (6, n), not to be written to."""

    rows: Floats
    feed_mm_s: Floats
    """Path speed (n,)."""
    move_index: NDArray[np.int32]
    """Which of ``moves`` is active (n,); -1 when none is."""
    moves: tuple[Move, ...]
    """The moves that are active at some sample of this block, in order."""
    goals: Sequence[Point]
    """Where each of them ends."""
    events: tuple[MotionEvent, ...]

    def __len__(self) -> int:
        return len(self.feed_mm_s)

    @property
    def position_mm(self) -> Floats:
        """(n, 3)."""
        return self.rows[:3].T

    @property
    def velocity_mm_s(self) -> Floats:
        """(n, 3)."""
        return self.rows[3:].T

    def remaining_mm(self, sample: int) -> list[float]:
        """Distance to go in the active move per axis, signed; 0 when no move is active."""
        index = self.move_index.item(sample)
        if index < 0:
            return [0.0, 0.0, 0.0]
        return [goal - at for goal, at in zip(self.goals[index], self.rows[:3, sample].tolist(), strict=True)]


def path_speed(velocity_mm_s: Floats) -> Floats:
    """(n,) of velocities (3, n)."""
    x, y, z = velocity_mm_s
    squares: Floats = x * x
    squares += y * y
    squares += z * z
    np.sqrt(squares, out=squares)
    return squares
