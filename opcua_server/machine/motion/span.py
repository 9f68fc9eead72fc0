"""What a track gives over a longer span, worked out at once and handed out in blocks.

    |---------- track read, filter, path speed -----------|
    |block|block|block|block| ...                                a block is a slice; a replan throws the rest away

Every array is worked out element by element, and the filter adds up in an order of its own, so that a block has the same bytes
whichever span it was cut from. A block is made once for all that pass there.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from opcua_server.machine.motion.block import Floats, MotionBlock, path_speed
from opcua_server.machine.motion.filter import Average
from opcua_server.machine.moves import Move, Point


class Cut(NamedTuple):
    """A block of a span, and on which segment of the track it ends."""

    block: MotionBlock
    finished: int
    """How many moves it brings to their ends."""
    segment: int


class Span:
    """Samples ``first`` and on of a track behind the filter, as many as the track works out at once."""

    __slots__ = ("_before", "_last", "_segment", "blocks", "count", "feed", "first", "smooth")

    def __init__(self, first: int, raw: Floats, segment: NDArray[np.integer[Any]], average: Average) -> None:
        """``raw``: (6, n), before the filter."""
        self.first, self.count = first, len(segment)
        self._before = average.history.copy()
        self.smooth = average.ahead(raw)[1]
        self.feed: Floats = path_speed(self.smooth[3:])
        self._segment = segment.astype(np.int32)
        self._last = int(segment[-1])
        self.blocks: dict[tuple[int, int, int, bool], Cut] = {}
        """By first sample, number of samples, segment before them and whether its move has begun."""

    def has(self, first: int, n: int, average: Average) -> bool:
        """Whether the samples are in it, and were filtered from what the filter has seen."""
        low = first - self.first
        if low < 0 or low + n > self.count:
            return False
        return low >= average.count - 1 or (low == 0 and bool(np.array_equal(self._before, average.history)))

    def segments(self, low: int, n: int, of: int) -> tuple[NDArray[np.int32], int]:
        """(segment of each of ``n`` rows from ``low`` on, counted from segment ``of``; the last one, counted from 0)."""
        if of == self._last:
            return _ZEROS[:n] if n <= len(_ZEROS) else np.zeros(n, dtype=np.int32), of
        rows = self._segment[low : low + n]
        return rows - np.int32(of), int(rows[-1])


class Still(NamedTuple):
    """The last block, which stood as a whole. ``filled``: nothing happened in it, and before it the filter saw only this place."""

    place: Point
    filled: bool
    active: Move | None
    block: MotionBlock

    def again(self, place: Point, active: Move | None, n: int) -> bool:
        """Whether it is the block of ``n`` samples at a place in which nothing happens."""
        return self.filled and self.active is active and self.place == place and len(self.block) == n


_ZEROS: NDArray[np.int32] = np.zeros(1000, dtype=np.int32)
