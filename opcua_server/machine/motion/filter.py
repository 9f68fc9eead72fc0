"""The jerk filter: every axis's velocity averaged over a fixed time.

Averaging over T turns a step of acceleration into a ramp of length T, so that |jerk| <= 2 a / T, and neither velocity nor
acceleration can exceed what went in. A corner passed at speed is rounded by it; ``segment`` bounds the speed accordingly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from opcua_server.machine.motion.block import Floats


class Average:
    """Moving average over ``count`` samples of columns, state carried between blocks; ``count`` 1 changes nothing."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._history: Floats = np.zeros((0, 0))

    def settle(self, row: Sequence[float]) -> None:
        """As if the columns had stood at ``row`` for ever."""
        self._history = np.tile(np.array(row, dtype=np.float64), (self.count - 1, 1))

    def step(self, raw: Floats) -> Floats:
        """The means of the last ``count`` rows at each of the ``n`` new rows (n, columns)."""
        if self.count == 1 or len(raw) == 0:
            return raw
        full, means = self.ahead(raw)
        self.take(full, len(raw))
        return means

    def ahead(self, raw: Floats) -> tuple[Floats, Floats]:
        """(history and new rows, means at the new rows), without moving on; ``take`` then moves on by some of the rows.

        Added up pairwise, in an order that depends on ``count`` alone: cutting time into other blocks gives the same bytes.
        """
        n = len(raw)
        if self.count == 1:
            return raw, raw
        full = np.concatenate((self._history, raw))
        total = np.zeros_like(raw)
        # ``sums[k]`` is the sum of ``width`` rows from k on; the binary digits of ``count`` say which widths to add.
        width, offset, sums = 1, 0, full
        while True:
            if self.count & width:
                total += sums[offset : offset + n]
                offset += width
            if width * 2 > self.count:
                return full, total / self.count
            sums = sums[:-width] + sums[width:]
            width *= 2

    def take(self, full: Floats, upto: int) -> None:
        """Stand behind the first ``upto`` of the new rows of ``full``."""
        self._history = full[upto : upto + self.count - 1]
