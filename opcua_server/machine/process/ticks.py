"""Load of the edge at each tick of a block, as far as somebody asks: most blocks need no more than their sums.

Load, flank wear --> power at each tick --> torque | forces on the axes | force of one tooth
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from opcua_server.machine.process.load import TICKS, Load

Floats = npt.NDArray[np.float64]


class Ticks:
    """The first ``count`` of a load's ticks with an edge of some wear.

    What does not follow from the wear is given: a ``spike`` of the torque at the last tick, ``power_w`` (count,), ``tooth_n``.
    """

    __slots__ = ("_count", "_load", "_power_w", "_spike", "_tooth_n", "_wear_mm")

    def __init__(
        self, load: Load, wear_mm: float, count: int, spike: float = 1.0, power_w: Floats | None = None,
        tooth_n: float | None = None,
    ) -> None:  # fmt: skip
        self._load, self._wear_mm, self._count = load, wear_mm, count
        self._power_w, self._tooth_n, self._spike = power_w, tooth_n, spike

    @property
    def power_w(self) -> Floats:
        """(count,)."""
        return self._load.power_w(self._wear_mm)[: self._count] if self._power_w is None else self._power_w

    @property
    def torque_nm(self) -> list[float]:
        """At each tick of the block."""
        torque, ticks = np.zeros(TICKS), self._load.ticks[: self._count]
        torque[ticks] = self.power_w * self._load.torque_nm_w
        torque[ticks[-1]] *= self._spike
        values: list[float] = torque.tolist()
        return values

    @property
    def force_n(self) -> Floats:
        """On the axes at each tick of the block (3, TICKS)."""
        if self._count == TICKS:
            return self._load.force_n_w * self.power_w
        force = np.zeros((3, TICKS))
        force[:, self._load.ticks[: self._count]] = self._load.force_n_w[:, : self._count] * self.power_w
        return force

    @property
    def tooth_n(self) -> float:
        """Force of one tooth that shakes, at its greatest."""
        if self._tooth_n is not None:
            return self._tooth_n
        return float((self.power_w * self._load.shakes_n_w[: self._count]).max())
