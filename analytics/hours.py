"""The hours by which slow detectors place what they see: those of the machine, so that a faster simulation is judged alike.

    shown     12.31  12.32   Bad     Bad    12.35
    hours     12.31  12.32  12.33   12.34   12.35        while they are not shown they go on by the source time

A counter of whole hours, as that of OPC 40501-1 is, stands for an hour and then leaps: nothing can be placed by it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

SIGNAL: Final = "Machine/PowerOnDuration"
_NS_PER_HOUR: Final = 3.6e12


class MachineHours:
    def __init__(self) -> None:
        self._last: tuple[float, int] | None = None
        """Hours and source time, ns, of when they were shown last, with a fraction at least once."""

    def at(self, time_ns: int, shown: float | None) -> float | None:
        """``shown``: as the machine shows them, None where it does not. None where the source time has to do."""
        if shown is not None and (self._last is not None or not shown.is_integer()):
            self._last = shown, time_ns
        if self._last is None:
            return None
        hours, then_ns = self._last
        return hours + max(time_ns - then_ns, 0) / _NS_PER_HOUR

    def state(self) -> list[float] | None:
        return None if self._last is None else list(self._last)

    def restore(self, state: Mapping[str, Any]) -> None:
        """``state``: that of a watcher; an earlier version has none of it."""
        last = state.get("hours")
        self._last = None if last is None else (float(last[0]), int(last[1]))
