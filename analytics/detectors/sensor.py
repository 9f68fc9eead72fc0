"""A sensor against what others say of the same heat: it alone goes its own way when it drifts.

    minute means:  y = sensor, x = its neighbours         y ~ a + b x     ridge over the older minutes, LAG_H and more ago
                                                          off = mean of y - (a + b x) over the last NOW minutes
    score = |off| / limit

A level says nothing, a warm-up moves all of them by ten kelvin; and each slope looks healthy. But what the neighbours explain they
explain to a tenth of a kelvin, warm or cold, as they are parts of one network of heat: motor and structure beside the bearing, the
shop floor behind them, and the growth of the tool's tip, in which the bearing's own length is. Where x is beyond what has been seen
the limit widens by what such a guess is worth. A bearing that really runs hot makes the spindle grow and is explained for the most
part.

While little has been seen the relation may have learned the drift itself. The side is told where the older part of what is usual
puts the sensor on the same one, and is not known where it does not.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from analytics.detectors.detector import MAX_SCORE, Needs, Sample, Score
from analytics.detectors.drift import HOLE_H, MINUTE_H, hours_of
from analytics.frames import Row


@dataclass(frozen=True, slots=True)
class Sensor:
    """``limit``: least offset that is believed, in the signal's unit."""

    signal: str
    neighbours: tuple[str, ...]
    limit: float
    unit: str


WATCHED: Final = Sensor(
    "Spindle/Temperature",
    ("Spindle/MotorTemperature", "Structure/Temperature", "Environment/Temperature", "Structure/ThermalGrowthZ"),
    0.35,
    "K",
)
NOW: Final = 10
LAG_H: Final = 20.0 * MINUTE_H
"""Minutes that wait before they count as usual: a slow drift must not explain itself."""
LEAST: Final = 40
"""Minutes after which the relation is known well enough to judge by."""
OLDER: Final = 2.0 / 3.0
"""Share of the usual minutes, from the first on, that must agree on the side."""
KEEP: Final = 720
FIT_EVERY: Final = 5
RIDGE: Final = 1e-3
SPREADS: Final = 5.0
LEAST_SPREAD: Final = 0.05
FAR: Final = 5.0
"""How much a place beyond what was seen widens the limit: its leverage is that of 1 / FAR of a minute."""


@dataclass(slots=True)
class _Fit:
    """The relation: ``y = level + weights @ (x - centre) / scale``; ``inverse`` tells how far an x is from those that were seen."""

    centre: Row
    scale: Row
    level: float
    weights: Row
    inverse: Row
    spread: float

    def off(self, x: Row, y: Row) -> tuple[float, float]:
        """Mean of what is left of minutes x (n, n_neighbours), y (n,), and by how much such a guess widens the limit."""
        scaled = (x - self.centre) / self.scale
        middle = scaled.mean(0)
        left = float(np.mean(y - self.level - scaled @ self.weights))
        return left, math.sqrt(1.0 + FAR * float(middle @ self.inverse @ middle))


def _fit(x: Row, y: Row) -> _Fit:
    centre, scale, level = x.mean(0), x.std(0) + 1e-2, float(y.mean())
    scaled = (x - centre) / scale
    inverse = np.linalg.inv(scaled.T @ scaled + RIDGE * len(x) * np.eye(x.shape[1]))
    weights = inverse @ (scaled.T @ (y - level))
    spread = max(float(np.std(y - level - scaled @ weights)), LEAST_SPREAD)
    return _Fit(centre, scale, level, weights, inverse, spread)


class SensorDetector:
    signal = "Analytics/SensorScore"
    needs_residuals = False
    needs: Needs = tuple((name,) for name in (WATCHED.signal, *WATCHED.neighbours))

    def __init__(self, n_features: int, seed: int = 0) -> None:
        self._n_features = n_features
        self._minutes: deque[Row] = deque(maxlen=KEEP)
        """Minute means: hours, 1 if taken for normal, sensor, neighbours."""
        self._sum: Row = np.zeros(1 + len(WATCHED.neighbours))
        self._count = 0
        self._normal = False
        self._last: float | None = None
        self._begun: float | None = None
        self._fit: _Fit | None = None
        self._since_fit = 0
        self._score: float | None = None
        self._off = 0.0
        self._is_side_known = False

    def learn_one(self, sample: Sample) -> None:
        self._normal = True

    def score_one(self, sample: Sample) -> Score | None:
        values = [sample.numbers[name] for name in (WATCHED.signal, *WATCHED.neighbours) if name in sample.numbers]
        if len(values) == len(self._sum):
            self._see(hours_of(sample), np.array(values))
        if self._score is None:
            return None
        texts = []
        if self._score > 1.0:
            texts.append(self._words())
        return Score(self._score, np.zeros(self._n_features), texts)

    def _words(self) -> str:
        much = f"{abs(self._off):.1f}"
        if not self._is_side_known:
            off = f"{WATCHED.signal} {much} {WATCHED.unit} off what its neighbours explain"
            return f"{off}; high or low is not known yet ({much})"
        side = "above" if self._off > 0.0 else "below"
        return f"{WATCHED.signal} {much} {WATCHED.unit} {side} what its neighbours explain ({self._off:+.1f})"

    def _see(self, hours: float, values: Row) -> None:
        if self._last is not None and not self._last - 1e-9 <= hours <= self._last + HOLE_H:
            self._begun = None
        if self._begun is None:
            self._sum, self._count, self._begun, self._normal = np.zeros(len(values)), 0, hours, False
        self._last = hours
        self._sum += values
        self._count += 1
        if hours - self._begun >= MINUTE_H - 1e-9:
            self._minutes.append(np.concatenate([[hours, float(self._normal)], self._sum / self._count]))
            self._begun = None
            self._judge(hours)

    def _judge(self, hours: float) -> None:
        """A minute is over."""
        rows = np.array(self._minutes)
        usual = rows[(rows[:, 0] <= hours - LAG_H) & (rows[:, 1] > 0.0)]
        self._since_fit += 1
        if (self._fit is None or self._since_fit >= FIT_EVERY) and len(usual) >= LEAST:
            self._fit, self._since_fit = _fit(usual[:, 3:], usual[:, 2]), 0
        if self._fit is None:
            return
        now = rows[-NOW:]
        self._off, wide = self._fit.off(now[:, 3:], now[:, 2])
        self._score = min(abs(self._off) / (wide * max(WATCHED.limit, SPREADS * self._fit.spread)), MAX_SCORE)
        if self._score > 1.0:
            older = usual[: int(OLDER * len(usual))]
            self._is_side_known = len(older) > 1 and _fit(older[:, 3:], older[:, 2]).off(now[:, 3:], now[:, 2])[0] * self._off > 0.0
            # What waits when an alarm begins never counts.
            for row in self._minutes:
                if row[0] > hours - LAG_H:
                    row[1] = 0.0

    def training(self) -> Callable[[], Any] | None:
        return None

    def adopt(self, model: Any) -> None:
        """No model."""

    def state(self) -> dict[str, Any]:
        fit = self._fit
        return {
            "minutes": np.array(self._minutes).reshape(-1, 2 + len(self._sum)),
            "minute": [self._sum.tolist(), self._count, self._normal, self._last, self._begun],
            "fit": None if fit is None else [fit.centre, fit.scale, fit.level, fit.weights, fit.inverse, fit.spread],
            "since_fit": self._since_fit,
            "score": self._score,
            "off": self._off,
            "is_side_known": self._is_side_known,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        minutes = np.array(state["minutes"], dtype=np.float64)
        width = len(WATCHED.neighbours)
        if minutes.ndim != 2 or minutes.shape[1] != 3 + width:
            raise ValueError("other neighbours")
        total, count, normal, last, begun = state["minute"]
        saved, score, fit = state["fit"], state["score"], None
        if saved is not None:
            centre, scale, weights, inverse = (np.array(saved[place], dtype=np.float64) for place in (0, 1, 3, 4))
            fit = _Fit(centre, scale, float(saved[2]), weights, inverse, float(saved[5]))
            if {fit.centre.shape, fit.scale.shape, fit.weights.shape, fit.inverse.shape[:1]} != {(width,)}:
                raise ValueError("other neighbours")
        self._sum, self._count, self._normal = np.array(total, dtype=np.float64), int(count), bool(normal)
        self._last, self._begun = (None if hours is None else float(hours) for hours in (last, begun))
        self._minutes = deque(minutes, maxlen=KEEP)
        self._fit, self._since_fit = fit, int(state["since_fit"])
        self._score, self._off = None if score is None else float(score), float(state["off"])
        self._is_side_known = bool(state.get("is_side_known", False))  # of a version before: known again within a minute
