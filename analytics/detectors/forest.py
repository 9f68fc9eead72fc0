"""Isolation Forest on residuals: unusual combinations, which no single feature shows.

    WARM_UP rows, in blocks:  [train][hold out][train][hold out] ...
                                 |       '--> mean score over SMOOTH rows --> threshold
                                 '--> forest, in a thread

It is trained again when there are four times as many rows, so that the first, early forest does not judge for ever. Scores are a
function of seed and rows alone: the thread's timing has no part in it, because the machine's next row waits for the training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analytics.detectors.detector import Needs, Sample, Score, Threshold
from analytics.features import NAMES
from analytics.frames import Row
from cnctwin.isolation_forest import FlatForest, grow, restored

WARM_UP: Final = 240
BLOCK: Final = 30
SMOOTH: Final = 16.0
GROWTH: Final = 4
KEEP: Final = 4800
EXPLAIN_FROM: Final = 0.7
"""Score from which it is worked out which features cut the row off: it costs as much as the score."""


class ForestDetector:
    signal = "Analytics/ForestScore"
    needs_residuals = True
    needs: Needs = (NAMES,)

    def __init__(self, n_features: int, seed: int = 0) -> None:
        self._n_features = n_features
        self._seed = seed
        self._rows: npt.NDArray[np.float32] = np.zeros((0, n_features), dtype=np.float32)
        self._new: list[Row] = []
        self._seen = 0
        self._train_at = WARM_UP
        self._forest: FlatForest | None = None
        self._level: float | None = None
        self._threshold = self._new_threshold()

    @staticmethod
    def _new_threshold() -> Threshold:
        # Scores of healthy rows spread by some .02; half of that is no anomaly.
        return Threshold(size=2000, need=BLOCK, least=0.03)

    def learn_one(self, sample: Sample) -> None:
        if not (sample.known and sample.settled):
            return
        self._new.append(sample.residuals)
        self._seen += 1
        if self._level is not None:
            self._threshold.learn(self._level)

    def score_one(self, sample: Sample) -> Score | None:
        if self._forest is None:
            return None
        if sample.settled:
            raw = self._forest.score(sample.residuals)
            self._level = raw if self._level is None else self._level + (raw - self._level) / SMOOTH
        if self._level is None or not self._threshold.is_ready:
            return None
        score = self._threshold.score(self._level)
        shares = np.zeros(self._n_features)
        if score > EXPLAIN_FROM:
            weights = self._forest.credits(sample.residuals, self._n_features) * sample.residuals
            largest = float(np.abs(weights).max())
            shares = weights / largest * score if largest > 0.0 else shares
        return Score(score, shares, sure=sample.known)

    def waits_for(self) -> str:
        return "" if self._forest is not None else f"{self._seen} of {WARM_UP} settled rows of situations that are known"

    def training(self) -> Callable[[], Any] | None:
        if self._seen < self._train_at:
            return None
        rows = self._gathered()
        seed = (self._seed + self._train_at) % 2**32
        return lambda: train(rows, seed)

    def adopt(self, model: Any) -> None:
        forest, levels = model
        self._forest = forest
        self._train_at *= GROWTH
        self._level = None
        self._threshold = self._new_threshold()
        for level in levels:
            self._threshold.learn(float(level))

    def _gathered(self) -> npt.NDArray[np.float32]:
        if self._new:
            self._rows = np.concatenate([self._rows, np.array(self._new, dtype=np.float32)])
            self._new = []
            if len(self._rows) > KEEP:
                # Every other row: the first hour stays in it beside the last one.
                self._rows = self._rows[::2]
        return self._rows

    def state(self) -> dict[str, Any]:
        return {
            "rows": self._gathered(),
            "seen": self._seen,
            "train_at": self._train_at,
            "forest": None if self._forest is None else self._forest.state(),
            "level": self._level,
            "threshold": self._threshold.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        rows = np.array(state["rows"], dtype=np.float32)
        if rows.ndim != 2 or rows.shape[1] != self._n_features:
            raise ValueError("other features")
        forest = None if state["forest"] is None else restored(state["forest"])
        if forest is not None and forest.feature.max() >= self._n_features:
            raise ValueError("other features")
        self._threshold.restore(state["threshold"])
        self._rows, self._new, self._forest = rows, [], forest
        self._seen, self._train_at = int(state["seen"]), int(state["train_at"])
        self._level = None if state["level"] is None else float(state["level"])


def train(rows: npt.NDArray[np.float32], seed: int) -> tuple[FlatForest, Row]:
    """A forest of half of ``rows`` (n, n_features), and its levels on the other half, (n_held_out,)."""
    held_out = (np.arange(len(rows)) // BLOCK) % 2 == 1
    forest = grow(rows[~held_out], seed)
    levels = forest.scores(rows[held_out])
    for index in range(1, len(levels)):
        levels[index] = levels[index - 1] + (levels[index] - levels[index - 1]) / SMOOTH
    return forest, levels[int(SMOOTH) :]
