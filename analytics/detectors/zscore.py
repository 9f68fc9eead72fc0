"""Robust z-score: how far each feature has been off its own normal, over the last seconds.

    level = max over features of |EWMA of residual|        EWMA over SMOOTH rows: one odd row is noise, a shift stays
    score = level against what it was while all was well   (`Threshold`)

A single row beyond 3 spreads happens many times a day by chance (2186 false alarms in 24 h on 24 healthy signals); the mean of
twenty rows does not drift that far without a cause, and finds shifts of less than one spread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from analytics.detectors.detector import Sample, Score, Threshold
from analytics.frames import Row

SMOOTH: Final = 24.0
WARM_UP: Final = 240
ROW_CLIP: Final = 8.0


class ZScoreDetector:
    signal = "Analytics/ZScore"

    def __init__(self, n_features: int, seed: int = 0) -> None:
        self._mean: Row = np.zeros(n_features)
        self._rows: Row = np.zeros(n_features)
        # Below 1.2 spreads for 12 s nothing is worth a person's time, however quiet the rows before it were.
        self._threshold = Threshold(size=4000, need=WARM_UP, least=1.2)

    def learn_one(self, sample: Sample) -> None:
        if sample.known and sample.settled:
            self._threshold.learn(self._level()[0])

    def score_one(self, sample: Sample) -> Score | None:
        if sample.settled:
            take = sample.valid
            self._rows[take] += 1.0
            # The first rows of a feature weigh as in a plain mean, so that it does not begin at zero and creep.
            weight = np.maximum(1.0 / SMOOTH, 1.0 / np.maximum(self._rows, 4.0))
            off = np.clip(sample.residuals, -ROW_CLIP, ROW_CLIP) - self._mean
            self._mean += np.where(take, weight * off, 0.0)
        if not self._threshold.is_ready:
            return None
        level, _ = self._level()
        score = self._threshold.score(level)
        shares = np.zeros_like(self._mean) if level == 0.0 else self._mean / level * score
        return Score(score, shares, sure=sample.known)

    def _level(self) -> tuple[float, int]:
        sizes = np.abs(self._mean)
        worst = int(np.argmax(sizes))
        return float(sizes[worst]), worst

    def training(self) -> Callable[[], Any] | None:
        return None

    def adopt(self, model: Any) -> None:
        """No model."""

    def state(self) -> dict[str, Any]:
        return {"mean": self._mean.copy(), "rows": self._rows.copy(), "threshold": self._threshold.state()}

    def restore(self, state: Mapping[str, Any]) -> None:
        mean, rows = np.array(state["mean"], dtype=np.float64), np.array(state["rows"], dtype=np.float64)
        if mean.shape != self._mean.shape or rows.shape != mean.shape:
            raise ValueError("other features")
        self._mean, self._rows = mean, rows
        self._threshold.restore(state["threshold"])
