"""What motion gives for a span of time: commanded samples at 1 kHz and what happened at which sample.

Sample ``k`` of a block is the state at the end of its ``k``-th millisecond. Positions in mm (machine coordinates),
velocities in mm/s, order of axes X, Y, Z.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from opcua_server.machine.moves import Move, NcAlarm, Point

Floats = NDArray[np.float64]
At = tuple[Move | None, Point, float]
KEPT: Final = 6
_Found = TypeVar("_Found")

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


ON_THE_WAY: Final = ("begin", "finished")
"""What happens wherever one move of a program follows another."""


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
    known: dict[Hashable, Any] = field(default_factory=dict)
    """What else was found out about this way (``know``), behind all that it depends on: many machines may pass the same block."""
    _end: At | None = None
    _threads: bool | None = None

    @property
    def threads(self) -> bool:
        """Whether a tap is in its thread, on the way into it or out of it."""
        if self._threads is None:
            self._threads = any(one.thread for one in self.moves)
        return self._threads

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

    def at(self, sample: int) -> At:
        """At a sample: the active move, the distance to go in it per axis (mm, signed; 0 without one), the path speed (mm/s)."""
        if sample != len(self.feed_mm_s) - 1:
            return self._at(sample)
        if self._end is None:
            self._end = self._at(sample)
        return self._end

    def with_events(self, events: Sequence[MotionEvent]) -> MotionBlock:
        """The same way, with what else happened on it."""
        return MotionBlock(self.rows, self.feed_mm_s, self.move_index, self.moves, self.goals, tuple(events), self.known)

    def know(self, key: Hashable, what: _Found) -> _Found:
        """Keep what was found out. Ways to come here that nobody takes again must not fill the memory: few are kept."""
        if len(self.known) >= KEPT:
            self.known.clear()
        self.known[key] = what
        return what

    def _at(self, sample: int) -> At:
        index, speed = self.move_index.item(sample), self.feed_mm_s.item(sample)
        if index < 0:
            return None, (0.0, 0.0, 0.0), speed
        (x, y, z), (at_x, at_y, at_z) = self.goals[index], self.rows[:3, sample].tolist()
        return self.moves[index], (x - at_x, y - at_y, z - at_z), speed


def path_speed(velocity_mm_s: Floats) -> Floats:
    """(n,) of velocities (3, n)."""
    x, y, z = velocity_mm_s
    squares: Floats = x * x
    squares += y * y
    squares += z * z
    np.sqrt(squares, out=squares)
    return squares
