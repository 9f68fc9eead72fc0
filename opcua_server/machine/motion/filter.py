"""The jerk filter: every axis's velocity averaged over a fixed time.

Averaging over T turns a step of acceleration into a ramp of length T, so that |jerk| <= 2 a / T, and neither velocity nor
acceleration can exceed what went in. A corner passed at speed is rounded by it; ``segment`` bounds the speed accordingly.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from opcua_server.machine.motion.block import Floats


class Average:
    """Moving average over ``count`` samples of rows (rows, n), state carried between blocks; ``count`` 1 changes nothing."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.history: Floats = np.zeros((0, 0))
        """The ``count`` - 1 samples that were last."""

    def settle(self, column: Sequence[float]) -> None:
        """As if the rows had stood at ``column`` for ever."""
        self.history = np.tile(np.array(column, dtype=np.float64)[:, None], self.count - 1)

    def step(self, raw: Floats) -> Floats:
        """The means of the last ``count`` samples at each of the ``n`` new ones (rows, n)."""
        if self.count == 1 or raw.shape[1] == 0:
            return raw
        means, self.history = self.through(raw)
        return means

    def through(self, raw: Floats) -> tuple[Floats, Floats]:
        """(means at the ``n`` new samples, n > 0; what is then the ``history``), without moving on."""
        full, means = self.ahead(raw)
        return means, self.history if self.count == 1 else full[:, raw.shape[1] :].copy()

    def ahead(self, raw: Floats) -> tuple[Floats, Floats]:
        """(history and new samples, means at the new ones), without moving on: what was last is then the new ``history``.

        Added up pairwise, in an order that depends on ``count`` alone: cutting time into other blocks gives the same bytes.
        """
        n = raw.shape[1]
        if self.count == 1:
            return raw, raw
        full = np.concatenate((self.history, raw), axis=1)
        total = np.zeros_like(raw)
        # ``sums[:, k]`` is the sum of ``width`` samples from k on; the binary digits of ``count`` say which widths to add.
        width, offset, sums = 1, 0, full
        while True:
            if self.count & width:
                total += sums[:, offset : offset + n]
                offset += width
            if width * 2 > self.count:
                total /= self.count
                return full, total
            sums = sums[:, :-width] + sums[:, width:]
            width *= 2
