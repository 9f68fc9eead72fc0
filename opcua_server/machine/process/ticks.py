"""Load of the edge at each tick of a block, as far as somebody asks: most blocks need no more than their sums.

    Load, flank wear --> power at each tick --> torque | forces on the axes | force of one tooth

What is asked of one block is worked out for it alone, what many blocks or machines need for all at once, number by number the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from opcua_server.machine.process.load import FORCES, TICKS, Load

Floats = npt.NDArray[np.float64]


class Ticks:
    """The first ``count`` of a load's ticks with an edge of some wear.

    What does not follow from the wear is given: a ``spike`` of the torque at the last tick, ``power_w`` (count,), ``tooth_n``.
    """

    __slots__ = ("_count", "_force_n", "_load", "_power_w", "_spike", "_tooth_n", "_wear_mm")

    def __init__(
        self, load: Load, wear_mm: float, count: int, spike: float = 1.0, power_w: Floats | None = None,
        tooth_n: float | None = None,
    ) -> None:  # fmt: skip
        self._load, self._wear_mm, self._count, self._spike = load, wear_mm, count, spike
        self._power_w, self._tooth_n = power_w, tooth_n
        self._force_n: Floats | None = None

    @property
    def power_w(self) -> Floats:
        """(count,)."""
        if self._power_w is None:
            self._power_w = self._load.power_w(self._wear_mm)[: self._count]
        return self._power_w

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
        if self._force_n is None:
            force = self._load.force_n_w[:, : self._count] * self.power_w
            if self._count < TICKS:
                at_ticks = np.zeros((3, TICKS))
                at_ticks[:, self._load.ticks[: self._count]] = force
                force = at_ticks
            self._force_n = force
        return self._force_n

    @property
    def tooth_n(self) -> float:
        """Force of one tooth that shakes, at its greatest."""
        if self._tooth_n is None:
            self._tooth_n = float((self.power_w * self._load.shakes_n_w[: self._count]).max())
        return self._tooth_n

    @staticmethod
    def together(blocks: Sequence[Ticks | None]) -> None:
        """Work out power, forces and force of a tooth of all that cut at each of their ticks."""
        plain = [one for one in blocks if one is not None and one._count == TICKS and one._power_w is None]
        if not plain:
            return
        sharp, blunt, shakes, *forces = np.array([one._load.rows[: FORCES.stop] for one in plain]).swapaxes(0, 1)
        power = blunt * np.array([one._wear_mm for one in plain])[:, None]
        power += sharp
        teeth: list[float] = (power * shakes).max(axis=1).tolist()
        force = np.array(forces)
        force *= power
        for k, one in enumerate(plain):
            one._power_w, one._tooth_n, one._force_n = power[k], teeth[k], force[:, k]
