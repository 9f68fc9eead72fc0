"""Way lubrication: how long the pressure of a stroke takes to fall, against the strokes before it.

    bar |  .           A pump gives a stroke of oil every few minutes; metering valves take it from the line, and the pressure falls
        | | ' .        as exp(-t / T). T is the machine's own, of its pipes and its oil. Valves that clog let it fall more slowly, a
        | |    '  .    line that leaks more quickly; the level of the pressure says neither.
        '-'--------'--

    T     by least squares on log(pressure) from ``HIGH`` to ``LOW`` of the stroke's peak
    score = |log(T / median of past T)| / limit

A stroke is judged when it is over, and the score stands until the next. Hours are the machine's own, as for drift.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from analytics.detectors.detector import MAX_SCORE, Needs, Sample, Score
from analytics.detectors.drift import hours_of

SIGNAL: Final = "Lubrication/Pressure"
HIGH: Final = 0.8
LOW: Final = 0.25
"""Of the peak: above, the pump may still push; below, the sensor's noise is too much of what is left."""
RISES: Final = 2.0
LEAST_BAR: Final = 1.0
"""A stroke is a rise to that many times the pressure before it, and by that much."""
LOWER: Final = 0.5
FADES: Final = 0.9
"""A peak below that share of the highest one, which fades with each stroke, is no stroke but noise on an empty line."""
LEAST_POINTS: Final = 6
HOLE_H: Final = 30.0 / 3600.0
"""Without a pressure for that long a stroke is not judged."""
LIMIT: Final = 0.12
"""Least difference of log T that is believed: oil is a tenth thinner with every two or three kelvin."""
SPREADS: Final = 5.0
SETTLED: Final = 3
"""Strokes after which the machine's own T is known."""
PAST: Final = 60


class LubricationDetector:
    signal = "Analytics/LubricationScore"
    needs_residuals = False
    needs: Needs = ((SIGNAL,),)

    def __init__(self, n_features: int, seed: int = 0) -> None:
        self._n_features = n_features
        self._past: deque[float] = deque(maxlen=PAST)
        """log of T in hours, of strokes taken for normal."""
        self._new: float | None = None
        self._factor: float | None = None
        """T of the last stroke as a multiple of what is usual."""
        self._score = 0.0
        self._falling: list[tuple[float, float]] = []
        """(hours, bar) of the present stroke from its peak on."""
        self._least = math.inf
        self._top = 0.0
        self._hours: float | None = None

    def learn_one(self, sample: Sample) -> None:
        if self._new is not None:
            self._past.append(self._new)
            self._new = None

    def score_one(self, sample: Sample) -> Score | None:
        bar = sample.numbers.get(SIGNAL)
        if bar is not None:
            self._see(hours_of(sample), bar)
        if self._factor is None:
            return None
        texts = []
        if self._score > 1.0:
            word = "slowly" if self._factor > 1.0 else "quickly"
            times = max(self._factor, 1.0 / self._factor)
            texts.append(f"{SIGNAL} falls {times:.1f} times as {word} after a stroke")
        return Score(self._score, np.zeros(self._n_features), texts)

    def _see(self, hours: float, bar: float) -> None:
        if self._hours is not None and not self._hours - 1e-9 <= hours <= self._hours + HOLE_H:
            self._falling, self._least = [], math.inf
        self._hours = hours
        if not self._falling:
            self._least = min(self._least, max(bar, 0.0))
            if bar > RISES * self._least and bar > self._least + LEAST_BAR:
                self._falling = [(hours, bar)]
        elif bar >= self._falling[0][1]:
            self._falling = [(hours, bar)]
        else:
            self._falling.append((hours, bar))
            if bar < LOW * self._falling[0][1]:
                self._judge()
                self._falling, self._least = [], math.inf

    def _judge(self) -> None:
        """The stroke that is over."""
        peak = self._falling[0][1]
        if peak < LOWER * self._top:
            return
        self._top = max(FADES * self._top, peak)
        points = np.array([(hours, bar) for hours, bar in self._falling if LOW * peak <= bar <= HIGH * peak])
        if len(points) < LEAST_POINTS:
            return
        when, level = points[:, 0] - points[:, 0].mean(), np.log(points[:, 1])
        spread = float(when @ when)
        slope = float(when @ level) / spread if spread > 0.0 else 0.0
        if slope >= 0.0:
            return
        took = -math.log(-slope)
        self._new = took
        if len(self._past) < SETTLED:
            return
        past = np.array(self._past)
        usual = float(np.median(past))
        limit = max(LIMIT, SPREADS * 1.4826 * float(np.median(np.abs(past - usual))))
        self._factor = math.exp(took - usual)
        self._score = min(abs(took - usual) / limit, MAX_SCORE)

    def training(self) -> Callable[[], Any] | None:
        return None

    def adopt(self, model: Any) -> None:
        """No model."""

    def state(self) -> dict[str, Any]:
        return {
            "past": list(self._past),
            "new": self._new,
            "factor": self._factor,
            "score": self._score,
            "falling": [list(point) for point in self._falling],
            "least": self._least if math.isfinite(self._least) else None,
            "top": self._top,
            "hours": self._hours,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        past, falling = [float(took) for took in state["past"]], [(float(h), float(bar)) for h, bar in state["falling"]]
        new, factor, least, hours = (
            None if state[name] is None else float(state[name]) for name in ("new", "factor", "least", "hours")
        )
        self._score, self._top = float(state["score"]), float(state["top"])
        self._past.clear()
        self._past.extend(past)
        self._new, self._factor, self._hours = new, factor, hours
        self._falling, self._least = falling, math.inf if least is None else least
