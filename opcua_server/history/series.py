"""A stretch of one tag's history as numpy columns. Pure.

times     |t0|t1|t2|   100 ns since 1601, ascending; of two values at one time the later recorded one is kept
values    |v0|v1|v2|   numpy of the tag's type; objects for texts. What stands under a Bad status means nothing
statuses  |s0|s1|s2|   StatusCodes
servers   |r0|r1|r2|   when the server put the value, 100 ns since 1601
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

TICKS_PER_MS: Final = 10_000
TICKS_PER_S: Final = 10_000_000
EPOCH_TICKS: Final = 116_444_736_000_000_000
"""1970 in 100 ns since 1601."""
BAD_NO_DATA: Final = 0x809B0000
BAD_DATA_LOST: Final = 0x809D0000
DTYPES: Final = {
    "Double": np.dtype("<f8"), "Boolean": np.dtype("?"), "Int32": np.dtype("<i4"), "UInt16": np.dtype("<u2"),
    "UInt32": np.dtype("<u4"), "Byte": np.dtype("u1"), "String": np.dtype(object),
}  # fmt: skip
"""Data type of a tag -> how its values are held."""
OBJECTS: Final = frozenset({"String"})
"""Types that are no numbers."""


@dataclass(frozen=True, slots=True)
class Series:
    """All four have shape (n,)."""

    times: NDArray[np.int64]
    values: NDArray[Any]
    statuses: NDArray[np.uint32]
    servers: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.times)

    def part(self, start: int, end: int) -> Series:
        """The samples from index ``start`` up to, not including, ``end``."""
        where = slice(start, end)
        return Series(self.times[where], self.values[where], self.statuses[where], self.servers[where])

    def between(self, low: int, high: int) -> Series:
        """The samples with ``low`` <= time <= ``high``."""
        start, end = np.searchsorted(self.times, low, "left"), np.searchsorted(self.times, high, "right")
        return self.part(int(start), max(int(start), int(end)))

    def backwards(self) -> Series:
        """The same samples, latest first."""
        return Series(self.times[::-1], self.values[::-1], self.statuses[::-1], self.servers[::-1])


def empty(kind: str) -> Series:
    return Series(np.empty(0, np.int64), np.empty(0, DTYPES[kind]), np.empty(0, np.uint32), np.empty(0, np.int64))


def of(kind: str, rows: Sequence[tuple[int, Any, int, int]]) -> Series:
    """A series of (time, value, status, server time), which are ascending."""
    if not rows:
        return empty(kind)
    times, values, statuses, servers = zip(*rows, strict=True)
    held = np.empty(len(rows), DTYPES[kind])
    held[:] = values
    return Series(np.array(times, np.int64), held, np.array(statuses, np.uint32), np.array(servers, np.int64))


def joined(parts: Sequence[Series], kind: str) -> Series:
    """One ascending series of several, which are given in the order in which they were recorded.

    Where the clock was set back they overlap. Of samples at the same time the one recorded last stands.
    """
    parts = [part for part in parts if len(part)]
    if not parts:
        return empty(kind)
    whole = parts[0] if len(parts) == 1 else Series(
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.statuses for part in parts]),
        np.concatenate([part.servers for part in parts]),
    )  # fmt: skip
    steps = np.diff(whole.times)
    if not len(steps) or steps.min() > 0:
        return whole
    order = np.argsort(whole.times, kind="stable")
    times = whole.times[order]
    kept = order[np.append(times[1:] != times[:-1], True)]
    return Series(whole.times[kept], whole.values[kept], whole.statuses[kept], whole.servers[kept])


def is_bad(statuses: NDArray[np.uint32]) -> NDArray[np.bool_]:
    return (statuses >> np.uint32(31)).astype(bool)


def is_good(statuses: NDArray[np.uint32]) -> NDArray[np.bool_]:
    good: NDArray[np.bool_] = (statuses >> np.uint32(30)) == 0
    return good
