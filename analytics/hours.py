"""The hours by which slow detectors place what they see: those of the machine, so that a faster simulation is judged alike.

    shown     12.31  12.32   Bad     Bad    12.35
    hours     12.31  12.32  12.33   12.34   12.35        while they are not shown they go on by the source time

A counter of whole hours, as that of OPC 40501-1 is, stands for an hour and then leaps: nothing can be placed by it.

Rows come by the source time, two a second. How much of the machine's time lies between two of them is its pace: half a second, and
five seconds at ``--speed 10``. What is meant in seconds of the machine and counted in rows is counted by it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any, Final

SIGNAL: Final = "Machine/PowerOnDuration"
_NS_PER_HOUR: Final = 3.6e12
USUAL_ROW_S: Final = 0.5
PACE_ROWS: Final = 9
"""Rows of whose distances the middle one is the pace: a counter that leaps once a minute has none, rows are counted as usual."""


class MachineHours:
    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        """Hours and source time, ns, of when they were shown last, with a fraction at least once."""
        self._before_s: float | None = None
        self._steps_s: deque[float] = deque(maxlen=PACE_ROWS)

    def at(self, time_ns: int, shown: float | None) -> float | None:
        """``shown``: as the machine shows them, None where it does not. None where the source time has to do."""
        if shown is not None and (self._last is not None or not shown.is_integer()):
            self._last = shown, time_ns
        if self._last is None:
            return None
        hours, then_ns = self._last
        return hours + max(time_ns - then_ns, 0) / _NS_PER_HOUR

    def row_s(self, time_ns: int, *, fresh: bool) -> float:
        """Seconds of the machine from one row to the next; once a row, after ``at``. ``fresh``: rows are missing before it."""
        hours, then_ns = (0.0, 0) if self._last is None else self._last
        now_s = 3600.0 * hours + max(time_ns - then_ns, 0) / 1e9
        if self._before_s is not None and not fresh:
            self._steps_s.append(now_s - self._before_s)
        self._before_s = now_s
        step_s = median(self._steps_s) if len(self._steps_s) > PACE_ROWS // 2 else 0.0
        return step_s if step_s > 0.0 else USUAL_ROW_S

    def state(self) -> list[float] | None:
        return None if self._last is None else list(self._last)

    def restore(self, state: Mapping[str, Any]) -> None:
        """``state``: that of a watcher; an earlier version has none of it."""
        last = state.get("hours")
        self._last = None if last is None else (float(last[0]), int(last[1]))
