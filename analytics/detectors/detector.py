"""What a detector is: something that learns rows taken for normal and scores rows, 1 being its alarm threshold.

    waiting --learn_one(row) ...--> [train() in a thread] --> ready --score_one(row)--> Score

A detector is one file and one line in the registry (``detectors/__init__.py``); the conformance suite then tests it: the same rows
give the same scores, NaN and missing features are tolerated, it waits before it knows enough, and it survives a restart.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final, Protocol, runtime_checkable

import numpy as np

from analytics.frames import Mask, Row

MAX_SCORE: Final = 100.0
Needs = tuple[tuple[str, ...], ...]
"""Groups of signals, of each of which one is enough."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One row for the detectors.

    residuals: (n_features,) in spreads of what is normal in this situation, 0 where invalid. valid: (n_features,).
    known: False while only a coarse baseline stands behind the residuals. settled: False in the first rows after the machine
    began to do something else. numbers: signals by name, in their own units, only those that are Good. fresh: nothing was seen
    since the row before.
    """

    time_ns: int
    residuals: Row
    valid: Mask
    known: bool
    settled: bool
    numbers: Mapping[str, float]
    fresh: bool = False


@dataclass(frozen=True, slots=True)
class Score:
    """``value``: 0 to 100, 1 is the threshold. ``contributions``: (n_features,) signed shares of the score. ``texts`` explain what
    has no feature. ``sure``: False when the detector lacked something it would have judged by. ``supported``: False
    where it is of rows before and this one says nothing of the kind."""

    value: float
    contributions: Row
    texts: Sequence[str] = ()
    sure: bool = True
    supported: bool = True


def lacking(needs: Needs, there: Set[str]) -> list[str]:
    """The groups of which nothing is there, as a reader takes them."""
    return [" or ".join(group) for group in needs if there.isdisjoint(group)]


class Detector(Protocol):
    """The contract. ``signal`` is the result it is shown at; ``needs_residuals`` is False where it judges by ``numbers`` alone:
    then it is asked also while no baseline stands behind a row. ``needs``: without one signal at the least of each group it waits
    for ever, and that is told."""

    signal: str
    needs_residuals: bool
    needs: Needs

    def learn_one(self, sample: Sample) -> None:
        """Take a row for normal."""

    def score_one(self, sample: Sample) -> Score | None:
        """None while it waits for data. Called for each row, in order, before ``learn_one`` of the same row."""

    def training(self) -> Callable[[], Any] | None:
        """Work that takes long: a function that needs nothing but what it holds, for a thread; its result goes to ``adopt``."""

    def adopt(self, model: Any) -> None: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError when the state is not of this version."""


@runtime_checkable
class Counts(Protocol):
    """A detector or life model that can say how far it is."""

    def waits_for(self) -> str:
        """What it has seen of what it must have seen before it judges; empty once it has."""


class Threshold:
    """Turns a raw level into a score by what it was while all was well: 0 at the median, 1 at median + MARGIN (q99 - median).

    The threshold is taken from rows the model has not learned from. While few rows stand behind it it is wider by (1 + young / n),
    because a quantile of few rows lies too low; it goes on learning from normal rows up to ``size``.
    """

    MARGIN: Final = 3.0

    def __init__(self, size: int, need: int, least: float, young: float = 300.0) -> None:
        self.need = need
        self.least = least
        self.young = young
        self.count = 0
        self._levels: deque[float] = deque(maxlen=size)
        self._made: tuple[int, float, float] | None = None

    @property
    def is_ready(self) -> bool:
        return self.count >= self.need

    def learn(self, level: float) -> None:
        self._levels.append(level)
        self.count += 1

    def learn_all(self, levels: Row, count: int) -> None:
        """Begin anew with these; ``count``: rows they stand for, where not all were kept."""
        self._levels.clear()
        self._levels.extend(levels.tolist())
        self.count = count
        self._made = None

    def score(self, level: float) -> float:
        """0 to 100. ``least`` is the smallest distance of the threshold from the median that is believed."""
        if self._made is None or self.count - self._made[0] >= 50:
            levels = np.array(self._levels)
            middle, high = np.quantile(levels, (0.5, 0.99))
            width = max(self.MARGIN * (high - middle), self.least) * (1.0 + self.young / self.count)
            self._made = (self.count, float(middle), float(width))
        _, middle, width = self._made
        return min(max((level - middle) / width, 0.0), MAX_SCORE)

    def state(self) -> dict[str, Any]:
        return {"count": self.count, "levels": np.array(self._levels), "made": None if self._made is None else list(self._made)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self.count = int(state["count"])
        self._levels.clear()
        self._levels.extend(float(level) for level in state["levels"])
        made = state["made"]
        self._made = None if made is None else (int(made[0]), float(made[1]), float(made[2]))
