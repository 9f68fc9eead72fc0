"""The intervals of a processed read (OPC 10000-13, 5.4.2.2, Table 12). Pure.

    start < end    [start, start + i) [start + i, start + 2i) ...      the last one may be shorter: it is partial
    start > end    (start - i, start] (start - 2i, start - i] ...      each is named by its later end

An interval of 0, or one that is longer than the range, makes one interval of all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Interval:
    """``low`` < ``high``, 100 ns since 1601. ``is_backwards``: starts at ``high``, which is then part of it, and ``low`` is not.

    ``is_cut``: shorter than was asked for.
    """

    low: int
    high: int
    is_backwards: bool = False
    is_cut: bool = False

    @property
    def start(self) -> int:
        return self.high if self.is_backwards else self.low

    def last_moment(self, resolution: int) -> int:
        """The last time in it, in its direction (3.1.3, EffectiveEndTime)."""
        return self.low + resolution if self.is_backwards else self.high - resolution


def count(start: int, end: int, length: int) -> int:
    """How many intervals there are; 0 when start and end are the same."""
    width = abs(end - start)
    if not width:
        return 0
    return 1 if not 0 < length < width else -(-width // length)


def generate(start: int, end: int, length: int, first: int = 0) -> Iterator[Interval]:
    """All intervals from the ``first`` one on. ``length`` in 100 ns."""
    total = count(start, end, length)
    step = length if total > 1 else abs(end - start)
    for number in range(first, total):
        if end > start:
            low = start + number * step
            high = min(low + step, end)
            yield Interval(low, high, False, high - low < step)
        else:
            high = start - number * step
            low = max(high - step, end)
            yield Interval(low, high, True, high - low < step)
