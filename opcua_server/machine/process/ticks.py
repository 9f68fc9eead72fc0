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

    __slots__ = ("_count", "_force_n", "_power_w", "_spike", "_tooth_n", "load", "wear_mm")

    def __init__(
        self, load: Load, wear_mm: float, count: int, spike: float = 1.0, power_w: Floats | None = None,
        tooth_n: float | None = None,
    ) -> None:  # fmt: skip
        self.load, self.wear_mm, self._count, self._spike = load, wear_mm, count, spike
        self._power_w, self._tooth_n = power_w, tooth_n
        self._force_n: Floats | None = None

    @property
    def is_plain(self) -> bool:
        """Whether it cuts at all ticks, and everything follows from the wear."""
        return self._count == TICKS and self._power_w is None

    @property
    def power_w(self) -> Floats:
        """(count,)."""
        if self._power_w is None:
            self._power_w = self.load.power_w(self.wear_mm)[: self._count]
        return self._power_w

    @property
    def torque_nm(self) -> list[float]:
        """At each tick of the block."""
        torque, ticks = np.zeros(TICKS), self.load.ticks[: self._count]
        torque[ticks] = self.power_w * self.load.torque_nm_w
        torque[ticks[-1]] *= self._spike
        values: list[float] = torque.tolist()
        return values

    @property
    def force_n(self) -> Floats:
        """On the axes at each tick of the block (3, TICKS)."""
        if self._force_n is None:
            force = self.load.force_n_w[:, : self._count] * self.power_w
            if self._count < TICKS:
                at_ticks = np.zeros((3, TICKS))
                at_ticks[:, self.load.ticks[: self._count]] = force
                force = at_ticks
            self._force_n = force
        return self._force_n

    @property
    def tooth_n(self) -> float:
        """Force of one tooth that shakes, at its greatest."""
        if self._tooth_n is None:
            self._tooth_n = float((self.power_w * self.load.shakes_n_w[: self._count]).max())
        return self._tooth_n


def forces(blocks: Sequence[Ticks | None]) -> tuple[Floats, Floats]:
    """Of all blocks at once, number by number as of each: on the axes at each tick (n, 3, TICKS), and of one tooth (n,)."""
    force_n, tooth_n = np.zeros((len(blocks), 3, TICKS)), np.zeros(len(blocks))
    plain: list[int] = []
    for k, one in enumerate(blocks):
        if one is None:
            continue
        if one.is_plain:
            plain.append(k)
        else:
            force_n[k], tooth_n[k] = one.force_n, one.tooth_n
    if plain:
        those = [one for k in plain if (one := blocks[k]) is not None]
        rows = np.concatenate([one.load.rows[: FORCES.stop] for one in those]).reshape(len(those), -1, TICKS)
        power_w = rows[:, 1] * np.array([one.wear_mm for one in those])[:, None]
        power_w += rows[:, 0]
        tooth_n[plain] = (power_w * rows[:, 2]).max(axis=1)
        force_n[plain] = rows[:, FORCES] * power_w[:, None]
    return force_n, tooth_n
