"""What a track gives over a longer span, worked out at once and handed out in blocks.

    |---------- track read, filter, path speed -----------|
    |block|block|block|block| ...                                a block is a slice; a replan throws the rest away

Every array is worked out element by element, and the filter adds up in an order of its own, so that a block has the same bytes
whichever span it was cut from.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from opcua_server.machine.motion.block import Floats, path_speed
from opcua_server.machine.motion.filter import Average
from opcua_server.machine.motion.track import Track


class Span:
    """Samples ``first`` and on of a track, as many as the track reads at once."""

    __slots__ = ("_full", "_last", "_segment", "count", "feed", "first", "raw", "smooth", "track")

    def __init__(self, track: Track, first: int, at_least: int, average: Average) -> None:
        self.track, self.first = track, first
        self.raw, segment = track.ahead(first, at_least)
        self.count = len(segment)
        self._full, self.smooth = average.ahead(self.raw)
        self.feed: Floats = path_speed(self.smooth[3:])
        self._segment = segment.astype(np.int32)
        self._last = int(segment[-1])

    def has(self, track: Track, first: int, n: int) -> bool:
        return self.track is track and self.first <= first and first + n <= self.first + self.count

    def segments(self, low: int, n: int, of: int) -> tuple[NDArray[np.int32], int]:
        """(segment of each of ``n`` rows from ``low`` on, counted from segment ``of``; the last one, counted from 0)."""
        if of == self._last:
            return _ZEROS[:n] if n <= len(_ZEROS) else np.zeros(n, dtype=np.int32), of
        rows = self._segment[low : low + n]
        return rows - np.int32(of), int(rows[-1])

    def take(self, average: Average, low: int, n: int) -> None:
        """Let the filter stand behind these rows."""
        average.take(self._full, low + n)


_ZEROS: NDArray[np.int32] = np.zeros(1000, dtype=np.int32)
