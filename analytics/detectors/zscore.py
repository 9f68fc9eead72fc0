"""Robust z-score: how far each feature has been off its own normal, over the last seconds.

    mean_i  = EWMA of residual_i over SMOOTH rows          one odd row is noise, a shift stays
    level   = max over features of |mean_i| / usual_i      usual_i: what 99 % of |mean_i| stayed below while all was well;
                                                           only the side that does harm (`Feature.side`)
    score   = level against what it was while all was well (`Threshold`)

A single row beyond 3 spreads happens many times a day by chance (2186 false alarms in 24 h on 24 healthy signals); the mean of
twenty rows does not drift that far without a cause. Each feature has a measure of its own, because some drift by nature (a
temperature's rate for minutes) and some never do: one measure for all would be that of the restless ones.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analytics.detectors.detector import Needs, Sample, Score, Threshold
from analytics.features import NAMES, SIDES
from analytics.frames import Row

SMOOTH: Final = 24.0
ROWS_OF_A_MEAN: Final = 2.0 * SMOOTH - 1.0
"""Independent rows whose plain mean spreads as much as theirs of weight 1 / SMOOTH."""
YOUNG: Final = 20.0 * ROWS_OF_A_MEAN
"""Rows by which the threshold is young: as a spread of n rows is taken (1 + 20 / n) times as wide, so is one of n means that know
nothing of each other. A program that was run once has shown each of its cuts in a mean or two."""
WARM_UP: Final = 120
ROW_CLIP: Final = 8.0
LEAST_USUAL: Final = 0.5
"""Mean residual below which a feature is never unusual, in spreads: 24 independent rows have a mean of .2."""
KEEP: Final = 2400
LEAST_WIDTH: Final = 1.0
"""Distance of the threshold from the median level that is believed at the least."""
MEASURE: Final = 120
LAG: Final = 600
"""Means that wait, twenty minutes of them, before they count as what is usual: a fault that grows slowly must not take its own
first minutes for the measure. What waits when an alarm begins never counts."""
EVERY: Final = 4
"""Of the means, which change slowly, every fourth is kept: KEEP of them are 80 minutes at 2 Hz."""


class ZScoreDetector:
    signal = "Analytics/ZScore"
    needs_residuals = True
    needs: Needs = (NAMES,)

    def __init__(self, n_features: int, seed: int = 0) -> None:
        self._n_features = n_features
        self._mean: Row = np.zeros(n_features)
        self._sides = SIDES if n_features == len(SIDES) else np.zeros(n_features)
        self._rows: Row = np.zeros(n_features)
        self._means: deque[npt.NDArray[np.float32]] = deque(maxlen=KEEP)
        self._waiting: deque[npt.NDArray[np.float32]] = deque()
        self._learned = 0
        self._usual: Row = np.full(n_features, LEAST_USUAL)
        self._threshold = Threshold(size=KEEP, need=1, least=LEAST_WIDTH, young=YOUNG)

    def learn_one(self, sample: Sample) -> None:
        if not (sample.known and sample.settled):
            return
        if self._learned % EVERY == 0:
            self._waiting.append(np.abs(self._harm()).astype(np.float32))
            # A young measure is made of what there is.
            while self._waiting and len(self._waiting) > min(LAG, len(self._means) - LAG // 2):
                self._means.append(self._waiting.popleft())
        self._learned += 1
        if self._learned >= WARM_UP and self._learned % MEASURE == 0:
            means = np.array(self._means, dtype=np.float64)
            self._usual = np.maximum(np.quantile(means, 0.99, axis=0), LEAST_USUAL)
            self._threshold.learn_all((means / self._usual).max(axis=1), self._learned)

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
        level = self._level()
        score = self._threshold.score(level)
        if score > 1.0:
            self._waiting.clear()
        shares = np.zeros_like(self._mean) if level == 0.0 else self._harm() / self._usual / level * score
        return Score(score, shares, sure=sample.known, supported=self._is_supported(sample))

    def _is_supported(self, sample: Sample) -> bool:
        """Whether the feature that is furthest off is so in this row too, by half of its mean at the least."""
        if not sample.settled:
            return False
        worst = int(np.argmax(np.abs(self._harm()) / self._usual))
        return bool(sample.valid[worst] and sample.residuals[worst] * np.sign(self._mean[worst]) >= abs(self._mean[worst]) / 2.0)

    def _level(self) -> float:
        return float(np.max(np.abs(self._harm()) / self._usual))

    def _harm(self) -> Row:
        """The means, without those on the side that does no harm.

        What was seen in a few rows only, such as the following error of an axis that moves once in a minute, has a mean that
        spreads wider than others, and nothing that it could be measured by: it counts for less.
        """
        young = np.sqrt(np.minimum(self._rows / ROWS_OF_A_MEAN, 1.0))
        return np.where(self._mean * self._sides < 0.0, 0.0, self._mean * young)

    def waits_for(self) -> str:
        return "" if self._threshold.is_ready else f"{self._learned} of {WARM_UP} settled rows of situations that are known"

    def training(self) -> Callable[[], Any] | None:
        return None

    def adopt(self, model: Any) -> None:
        """No model."""

    def state(self) -> dict[str, Any]:
        return {
            "mean": self._mean.copy(),
            "rows": self._rows.copy(),
            "means": np.array(self._means, dtype=np.float32).reshape(-1, self._n_features),
            "waiting": np.array(self._waiting, dtype=np.float32).reshape(-1, self._n_features),
            "learned": self._learned,
            "usual": self._usual.copy(),
            "threshold": self._threshold.state(),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        mean, rows, usual = (np.array(state[name], dtype=np.float64) for name in ("mean", "rows", "usual"))
        means, waiting = (np.array(state[name], dtype=np.float32) for name in ("means", "waiting"))
        if means.ndim != 2 or {mean.shape, rows.shape, usual.shape, means.shape[1:], waiting.shape[1:]} != {(self._n_features,)}:
            raise ValueError("other features")
        self._threshold.restore(state["threshold"])
        self._mean, self._rows, self._usual = mean, rows, usual
        self._means, self._waiting = deque(means, maxlen=KEEP), deque(waiting)
        self._learned = int(state["learned"])
