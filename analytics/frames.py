"""Readings become frames: columns at a fixed rate, with a mask that says which numbers may be believed.

    readings   x----x--x---------x-----x          held until the next one; a Bad or Uncertain one is held as invalid
    frames     |    |    |    |    |    |         one row at each multiple of the period, of the source time

Source time drives everything: replayed data gives the same frames at any speed. What came in one sample comes into one row, also
what of it is older: a position that has stood for 0.2 s belongs to the motor's angle of now, not to that of the sample before.

Over a hole of more than ``HOLE`` periods nothing is held: the frame after it says ``fresh``, and whoever keeps a history begins it
anew. The same once everything has come from before the last frame for as long: the clock was set back. A machine that always speaks
less often than that has a rhythm of its own: it gives one row each time it speaks, and a hole is three times as long as is usual.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Final

import numpy as np
import numpy.typing as npt

from cnctwin.reading import Batch, Reading, Value

Row = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

PERIOD_NS: Final = 500_000_000
HOLE: Final = 10
"""Periods; 5 s at 2 Hz. A machine that is idle still speaks: temperatures and noise change."""
RHYTHM: Final = 5
"""Silences of which the middle one is usual; three of them at the least."""
LATE: Final = 3
"""Usual silences; a longer one is a hole."""
SLOWEST_NS: Final = 60_000_000_000
"""What speaks less often than that cannot be watched by rows."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One row: ``values`` (n_signals,) float64, NaN where ``valid`` (n_signals,) is False; ``texts`` of the other signals."""

    time_ns: int
    values: Row
    valid: Mask
    texts: dict[str, str]
    fresh: bool = False


class Frames:
    """The frames of one machine. ``names``: the numeric signals, in the order of the columns."""

    def __init__(self, names: Sequence[str], texts: Sequence[str] = (), period_ns: int = PERIOD_NS) -> None:
        self.names = tuple(names)
        self.period_ns = period_ns
        self._index = {name: index for index, name in enumerate(self.names)}
        self._texts: dict[str, str] = {}
        self._text_names = frozenset(texts)
        self._values = np.full(len(self.names), np.nan)
        self._valid = np.zeros(len(self.names), dtype=bool)
        self._next_ns: int | None = None
        self._behind_ns: int | None = None
        """The first moment of those that have come from before the last frame since one has not."""
        self._fresh = True
        self._moment_ns = 0
        """Begin of what was said last, in one breath; 0 where that is not known."""
        self._silences: deque[int] = deque(maxlen=RHYTHM)

    def add(self, batch: Batch) -> Iterator[Frame]:
        """Take a batch; yields the frames that were complete before it. A batch that comes late only updates the values."""
        now_ns = batch.sampled_ns or batch.source_time_ns
        if batch.gap is not None:
            self._next_ns, self._fresh = None, True
        if self._is_set_back(now_ns):
            self._next_ns, self._fresh, self._moment_ns = None, True, 0
        usual_ns = self._usual_ns()
        self._note_silence(now_ns)
        if self._next_ns is not None and now_ns - self._next_ns > max(HOLE * self.period_ns, LATE * usual_ns):
            self._next_ns, self._fresh = None, True
        if self._next_ns is not None and usual_ns and self._next_ns < now_ns:
            yield self._frame((now_ns - 1) // self.period_ns * self.period_ns)
            # What is said in one breath, each signal under a time of its own, is one row.
            self._next_ns += usual_ns // 2 // self.period_ns * self.period_ns
        # A boundary's frame is whole once something later has come: several batches may share one source time.
        while self._next_ns is not None and self._next_ns < now_ns:
            yield self._frame(self._next_ns)
        for item in batch.readings:
            self._take(item)
        if self._next_ns is None:
            self._next_ns = -(-now_ns // self.period_ns) * self.period_ns

    def _usual_ns(self) -> int:
        """Time between two moments at which the machine speaks; 0 where that is no longer than a hole, or not known."""
        usual_ns = int(median(self._silences)) if len(self._silences) > RHYTHM // 2 else 0
        return usual_ns if HOLE * self.period_ns < usual_ns <= SLOWEST_NS else 0

    def _note_silence(self, now_ns: int) -> None:
        """Take down how long nothing was said before this moment; what comes within a period is of the same breath."""
        if now_ns - self._moment_ns >= self.period_ns:
            if self._moment_ns:
                self._silences.append(now_ns - self._moment_ns)
            self._moment_ns = now_ns

    def _is_set_back(self, now_ns: int) -> bool:
        """One signal with a clock of its own is late for ever, and the others go on: that is none."""
        if self._next_ns is None or self._next_ns - now_ns <= HOLE * self.period_ns:
            self._behind_ns = None
            return False
        if self._behind_ns is None or now_ns < self._behind_ns:
            self._behind_ns = now_ns
        return now_ns - self._behind_ns > HOLE * self.period_ns

    def _frame(self, time_ns: int) -> Frame:
        fresh, self._fresh = self._fresh, False
        self._next_ns = time_ns + self.period_ns
        return Frame(time_ns, self._values.copy(), self._valid.copy(), dict(self._texts), fresh)

    def _take(self, item: Reading) -> None:
        index = self._index.get(item.signal)
        if index is None:
            if item.signal in self._text_names:
                self._texts[item.signal] = str(item.value) if item.is_good and item.value is not None else ""
            return
        number = number_of(item.value) if item.is_good else None
        self._valid[index] = number is not None
        self._values[index] = np.nan if number is None else number


def number_of(value: Value | None) -> float | None:
    """A finite number of a value, booleans as 0 and 1; None for anything else."""
    if value is None or isinstance(value, str | list | datetime):
        return None
    number = float(value)
    return number if np.isfinite(number) else None


def stack(frames: Sequence[Frame]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """Frames as a block: times (n_samples,), values and valid (n_samples, n_signals)."""
    times = np.array([frame.time_ns for frame in frames], dtype=np.int64)
    return times, np.array([frame.values for frame in frames]), np.array([frame.valid for frame in frames])
