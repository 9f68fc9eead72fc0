"""Which samples a raw read brings, and in which order (OPC 10000-11, 4.6 and 6.5.3.2). Pure.

    start  end  values                                       bounds: one more at each end, or BadBoundNotFound there
      x     x      0      all between, towards end
      x     x      n      n of them, the rest by continuation point
      x            n      n from start on, forwards
            x      n      n from end on, backwards

The start is part of the range and the end is not, whichever of them is later; where only one is given it is part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from opcua_server.history.series import Series, joined, of

BAD_BOUND_NOT_FOUND: Final = 0x80D70000
LOWEST: Final = 0
HIGHEST: Final = (1 << 63) - 1

Read = Callable[[int, int, int, bool], Series]
"""(low, high, most, backwards) -> samples with low <= time <= high, ascending: the first ``most`` of them, or the last."""


@dataclass(frozen=True, slots=True)
class Range:
    """``first`` and ``last`` in the direction of the read, both part of it. ``start_bound`` and ``end_bound``: times at which
    bounds are wanted, None where not."""

    first: int
    last: int
    is_backwards: bool
    start_bound: int | None = None
    end_bound: int | None = None
    is_moment: bool = False
    """Start and end are the same: the bound at the end lies behind it."""

    @property
    def is_empty(self) -> bool:
        return self.first < self.last if self.is_backwards else self.last < self.first


def wanted(start: int | None, end: int | None, *, bounds: bool) -> Range:
    """The range of a request; at least one of the times is given."""
    if start is None:
        assert end is not None  # noqa: S101 - the service refuses requests without both
        return Range(end, LOWEST, True, end if bounds else None, LOWEST if bounds else None)
    if end is None:
        return Range(start, HIGHEST, False, start if bounds else None, HIGHEST if bounds else None)
    if start == end:  # a moment: itself, where there is a sample
        return Range(start, start, False, start if bounds else None, end if bounds else None, True)
    if end < start:
        return Range(start, end + 1, True, start if bounds else None, end if bounds else None)
    return Range(start, end - 1, False, start if bounds else None, end if bounds else None)


def page(read: Read, kind: str, asked: Range, most: int) -> tuple[Series, Range | None]:
    """Up to ``most`` samples of a range in its direction, and what is left of it; None when nothing is.

    A bound at the start is the sample at that time, or the nearest one before it in the direction of the read; at the end it is
    the nearest at or beyond it. What is not there is a Null value with BadBoundNotFound at the time that was asked for.
    """
    parts: list[Series] = []
    room = most
    if asked.start_bound is not None and not len(_at(read, asked.start_bound)):
        parts.append(_bound(read, kind, asked.start_bound, asked.first, not asked.is_backwards))
        room -= 1
    low, high = sorted((asked.first, asked.last))
    found = read(low, high, room + 1, asked.is_backwards) if not asked.is_empty else read(1, 0, 1, False)
    if len(found) > room:
        found = found.part(len(found) - room, len(found)) if asked.is_backwards else found.part(0, room)
        parts.append(found.backwards() if asked.is_backwards else found)
        return _together(parts, kind), _rest(asked, parts[-1])
    parts.append(found.backwards() if asked.is_backwards else found)
    if asked.end_bound is not None:
        if len(found) == room:
            return _together(parts, kind), _rest(asked, parts[-1])
        parts.append(_end_bound(read, kind, asked, parts[-1]))
    return _together(parts, kind), None


def _rest(asked: Range, shown: Series) -> Range:
    """What is left behind the last sample shown; all but the bound at the start of a range of which none was."""
    step = -1 if asked.is_backwards else 1
    first = int(shown.times[-1]) + step if len(shown) else asked.first
    return replace(asked, first=first, start_bound=None)


def _at(read: Read, time: int) -> Series:
    return read(time, time, 1, False)


def _bound(read: Read, kind: str, time: int, shown: int, earlier: bool) -> Series:
    """The nearest sample beyond ``time``: before it when ``earlier``, else after it; BadBoundNotFound at ``shown`` without."""
    found = read(LOWEST, time - 1, 1, True) if earlier else read(time + 1, HIGHEST, 1, False)
    return found if len(found) else _missing(kind, shown)


def _end_bound(read: Read, kind: str, asked: Range, shown: Series) -> Series:
    time = asked.end_bound
    assert time is not None  # noqa: S101 - asked only then
    if asked.is_moment:
        return _bound(read, kind, time, time, False)
    if time in (LOWEST, HIGHEST):  # only one time was given, and the samples have run out: just beyond the last of them
        step = -1 if asked.is_backwards else 1
        return _missing(kind, int(shown.times[-1]) + step if len(shown) else asked.first)
    at = _at(read, time)
    return at if len(at) else _bound(read, kind, time, time, asked.is_backwards)


def _missing(kind: str, time: int) -> Series:
    return of(kind, [(time, "" if kind == "String" else 0, BAD_BOUND_NOT_FOUND, time)])


def _together(parts: list[Series], kind: str) -> Series:
    """In the order given: a read backwards is not ascending."""
    parts = [part for part in parts if len(part)]
    if len(parts) == 1:
        return parts[0]
    if not parts:
        return joined([], kind)
    return Series(
        np.concatenate([part.times for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.concatenate([part.statuses for part in parts]),
        np.concatenate([part.servers for part in parts]),
    )
