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
        """Whether everything on the axes follows from the wear."""
        return self._count == len(self.load.ticks) and self._power_w is None

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


Felt = tuple[list["Load | None"], list[float], dict[int, Ticks]]
"""What there is to be felt of blocks: their loads, the wear of the edges in mm, and at which places something else follows."""


def felt(blocks: Sequence[Ticks | None]) -> Felt:
    """Of blocks as they were cut."""
    others = {k: one for k, one in enumerate(blocks) if one is not None and not one.is_plain}
    loads = [None if one is None or k in others else one.load for k, one in enumerate(blocks)]
    return loads, [0.0 if load is None or one is None else one.wear_mm for load, one in zip(loads, blocks, strict=True)], others


def forces(of: Felt) -> tuple[Floats, Floats]:
    """Of all blocks at once, number by number as of each: on the axes at each tick (n, 3, TICKS), and of one tooth (n,)."""
    loads, wear_mm, others = of
    force_n, tooth_n = np.zeros((len(loads), 3, TICKS)), np.zeros(len(loads))
    cuts = [k for k, load in enumerate(loads) if load is not None]
    if cuts:
        rows = np.concatenate([load.by_tick for load in loads if load is not None]).reshape(len(cuts), -1, TICKS)
        power_w = rows[:, 1] * np.array(wear_mm)[cuts, None]
        power_w += rows[:, 0]
        tooth_n[cuts] = (power_w * rows[:, 2]).max(axis=1)
        force_n[cuts] = rows[:, FORCES] * power_w[:, None]
    for k, one in others.items():
        force_n[k], tooth_n[k] = one.force_n, one.tooth_n
    return force_n, tooth_n
