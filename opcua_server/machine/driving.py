"""Axes of machines in step: as many side by side as the processor's cache has room for, and what is left of all of them.

1 2 3 4 | 5 6 7 8 | ...   follow: all samples, in the same memory one after the other
   v         v
power, ways, load of each block; the last block as a whole; the last sample of each block that is seen
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from opcua_server.machine.motion.axes import Followed, drive, mean_load_percent, sums
from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.motion.columns import Columns
from opcua_server.machine.parameters import VF2

Floats = npt.NDArray[np.float64]

AXES: Final = 3
AT_ONCE: Final = 320
"""Blocks of machines that are followed side by side."""
_FIELDS: Final = 6


class Driven(NamedTuple):
    """``watts``: mean power; ``ways_mm_s``: see ``axes.sums``; ``load_percent``: (axes of all machines, blocks)."""

    watts: Floats
    ways_mm_s: Floats
    load_percent: Floats
    last: Followed
    """All samples of the last block."""
    ends: Followed
    """The last sample of each block that is noted."""


def drive_all(state: Floats, motions: Sequence[Sequence[MotionBlock]], force_n: Floats, noted: int) -> Driven:
    """``motions``: of each machine its next blocks, of which the last ``noted`` are seen; ``force_n``: in each of them (blocks of
    all machines, axes, ticks). ``state``: (rows, axes of all machines), which moves on; where it fails it has not moved."""
    count, blocks = len(motions), len(motions[0])
    samples = len(motions[0][0])
    after, (watts, ways, load) = state.copy(), np.empty((3, count * AXES, blocks))
    last = np.empty((_FIELDS, count * AXES, samples))
    ends = np.empty((_FIELDS, count * AXES, noted))
    seen = slice((blocks - noted + 1) * samples - 1, None, samples)
    each = max(AT_ONCE // blocks, 1)
    for first in range(0, count, each):
        some = slice(first, min(first + each, count))
        axes = slice(some.start * AXES, some.stop * AXES)
        p, own = columns(some.stop - some.start), after[:, axes].copy()
        followed = drive(p, own, motions[some], force_n[some.start * blocks : some.stop * blocks])
        after[:, axes] = own
        watts[axes], ways[axes] = sums(p, followed, blocks)
        load[axes] = mean_load_percent(p, followed, blocks)
        for whole, part in ((last, slice(-samples, None)), (ends, seen)):
            for row, field in zip(whole, followed.fields(part), strict=True):
                row[axes] = field
    state[:] = after
    return Driven(watts, ways, load, Followed(*last), Followed(*ends))


@functools.lru_cache(maxsize=16)
def columns(machines: int) -> Columns:
    """Parameters of the axes of so many machines, with the memory that they are worked out in: it is the same for one group after
    another, so that it stays in the processor's caches."""
    return Columns(VF2.axes * machines)
