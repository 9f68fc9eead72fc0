"""Wear against expectation: how fast edges wear now, against what the same edges have shown before; all tools together.

    used ^                   x x     ``used_of`` turns a flank's width into the share of life that is used: it grows in proportion
         |               x '         to time in cut, where the width itself breaks in fast and ends fast
         |          x'. .
         |    x'x'   . '  line through the older measurements, WINDOW_H of the machine's time and more ago
         '------------|----------> time in cut

    each edge:  faster_i = (slope now / slope before) - 1, with its standard deviation
    all edges:  faster = mean weighted by certainty;   score = min(certainty / SIGMAS, faster / FASTER)

One measurement is off by a per cent of the criterion, as much as a minute of cutting wears, so no single one tells; a cause that
all tools share (bad edges, no coolant at them, harder material) adds up over them. An edge that merely came with a short life is
its own measure. While the score is above 1 the line before stays where it was, or the fault would become what is expected.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from analytics.detectors.detector import MAX_SCORE, Needs, Sample, Score
from analytics.detectors.drift import hours_of

READ: Final = ("Tool/Number", "Tool/CuttingTime", "Tool/WearPercent")
WINDOW_H: Final = 0.4
SETTER_PERCENT: Final = 1.5
"""Standard deviation of one look at a flank, of the criterion: 4 um of 0.3 mm."""
SHAPE_SPREAD: Final = 0.004
"""Spread of the share used that the curve below leaves,"""
SHAPE_BEND: Final = 0.1
"""and of a slope against a later one: every edge bends a little differently."""
SIGMAS: Final = 3.5
"""Certainty of an alarm, in standard deviations: there is a look each minute, and neighbouring ones say much the same."""
FASTER: Final = 0.3
"""Wear that much faster is worth an alarm: feeds, engagement and material move a rate by as much."""
OLD_H: Final = 1.0
"""How far the line before reaches back: what bends over a life is straight over an hour."""
LEAST_OLD: Final = 4
LEAST_NEW: Final = 2
BROKEN_IN: Final = 0.02
"""Share used from which on measurements count: before that the width is steep and every edge its own."""
EDGE_WEAR_FALLS: Final = 20.0
APART_H: Final = 1.0 / 120.0
"""Measurements nearer to each other are one: where a server shows wear without a break, its noise is no news."""
POINTS: Final = 180
BREAK_IN: Final = 0.22
BREAK_IN_LIFE: Final = 0.035
"""Break-in to a fifth of the criterion within some per cent of life, then a straight and a quadratic half: the three phases of a
flank. Measured flanks break in within 3 to 14 % of life (PHM 2010): new edges that do so within 5 % or less raise no alarm; a whole
magazine of slower ones may, once, because their wear then speeds up where this curve has it slow down."""

_USED: Final = np.linspace(0.0, 3.0, 1201)
_WEAR: Final = 100.0 * (BREAK_IN * (1.0 - np.exp(-_USED / BREAK_IN_LIFE)) + (1.0 - BREAK_IN) * (0.5 * _USED + 0.5 * _USED**2))


def used_of(wear_percent: float) -> tuple[float, float]:
    """Share of life used at a wear, and the standard deviation of one measurement of it."""
    used = float(np.interp(wear_percent, _WEAR, _USED))
    slope = 100.0 * (BREAK_IN / BREAK_IN_LIFE * math.exp(-used / BREAK_IN_LIFE) + (1.0 - BREAK_IN) * (0.5 + used))
    return used, math.hypot(SETTER_PERCENT / slope, SHAPE_SPREAD)


class _Edge:
    """Measurements of one edge: (hours of the machine, minutes in cut, share used, its standard deviation)."""

    def __init__(self) -> None:
        self.minutes = self.wear = 0.0
        self.points: deque[tuple[float, float, float, float]] = deque(maxlen=POINTS)

    def faster(self, split_h: float, held: bool) -> tuple[float, float] | None:
        """How much faster than before it wears since ``split_h``, and the variance of that; None where too little was measured.

        ``held``: the split lies far back, and only what was measured lately says how it is now.
        """
        points = np.array([point for point in self.points if point[2] >= BROKEN_IN])
        old = points[(points[:, 0] < split_h) & (points[:, 0] >= split_h - OLD_H)] if len(points) else points
        new = points[points[:, 0] >= split_h] if len(points) else points
        if held and len(new):
            new = new[new[:, 0] >= self.points[-1][0] - WINDOW_H]
        if len(old) < LEAST_OLD or len(new) < LEAST_NEW + 2 * held or np.ptp(old[:, 1]) <= 0.0 or np.ptp(new[:, 1]) <= 0.0:
            return None
        middle, level, slope, level_var, slope_var = _line(old)
        if slope <= 2.0 * math.sqrt(slope_var):
            return None
        if held:
            _, _, now, _, now_var = _line(new)
            change, change_var = now - slope, now_var + slope_var
        else:
            # Beyond the last old point the line goes on unless the rate has changed: excess over time since then is the change.
            new = new[new[:, 1] > old[-1, 1]]
            if not len(new):
                return None
            since = new[:, 1] - old[-1, 1]
            weight = since**2 / new[:, 3] ** 2
            excess = new[:, 2] - (level + slope * (new[:, 1] - middle))
            change = float(np.sum(excess / new[:, 3] ** 2 * since) / weight.sum())
            reach = float(np.sum(weight / since) / weight.sum())
            change_var = 1.0 / float(weight.sum()) + level_var * reach**2 + slope_var * (1.0 + (old[-1, 1] - middle) * reach) ** 2
        return change / slope, change_var / slope**2 + SHAPE_BEND**2


def _line(points: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float, float, float, float]:
    """Weighted least squares of used over minutes: middle, level there, slope, and the variances of both."""
    weight = 1.0 / points[:, 3] ** 2
    middle = float(weight @ points[:, 1] / weight.sum())
    off = points[:, 1] - middle
    spread = float(weight @ off**2)
    level = float(weight @ points[:, 2] / weight.sum())
    return middle, level, float(weight @ (off * points[:, 2]) / spread), 1.0 / float(weight.sum()), 1.0 / spread


class WearDetector:
    signal = "Analytics/WearScore"
    needs_residuals = False
    needs: Needs = tuple((name,) for name in READ)

    def __init__(self, n_features: int, seed: int = 0) -> None:
        self._n_features = n_features
        self._edges: dict[int, _Edge] = {}
        self._held_h: float | None = None
        """Where the line before ends while an alarm lasts."""
        self._score: float | None = None
        self._text = ""

    def learn_one(self, sample: Sample) -> None:
        """Learns while it judges; what is judged as too fast is not learned from."""

    def score_one(self, sample: Sample) -> Score | None:
        number, minutes, wear = (sample.numbers.get(name) for name in READ)
        if number and minutes is not None and wear is not None and wear > 0.0:
            edge = self._edges.get(int(number))
            if edge is None or minutes < edge.minutes - 1e-6 or wear < edge.wear - EDGE_WEAR_FALLS:
                edge = self._edges[int(number)] = _Edge()
            edge.minutes = minutes
            if wear != edge.wear:
                edge.wear = wear
                hours = hours_of(sample)
                last = edge.points[-1][0] if edge.points else -math.inf
                if hours < last - 1e-9:
                    self._edges.clear()  # the clock was set back: nothing before can be placed
                elif hours - last >= APART_H:
                    edge.points.append((hours, minutes, *used_of(wear)))
                    self._judge(hours)
        if self._score is None:
            return None
        return Score(self._score, np.zeros(self._n_features), [self._text] if self._score > 1.0 else ())

    def _judge(self, hours: float) -> None:
        held = self._held_h is not None and hours - self._held_h > 2.0 * WINDOW_H
        split = self._held_h if self._held_h is not None else hours - WINDOW_H
        found = {number: what for number, edge in self._edges.items() if (what := edge.faster(split, held)) is not None}
        if not found:
            return
        certainty = sum(1.0 / variance for _, variance in found.values())
        faster = sum(change / variance for change, variance in found.values()) / certainty
        sigmas = faster * math.sqrt(certainty)
        self._score = float(min(max(min(sigmas / SIGMAS, faster / FASTER), 0.0), MAX_SCORE))
        if self._score >= 1.0 and self._held_h is None:
            self._held_h = split
        elif self._score < 0.7:
            self._held_h = None
        worst = max(found, key=lambda number: found[number][0] / found[number][1])
        self._text = f"Tool/WearPercent grows {1.0 + faster:.1f} times as fast as before, most at tool {worst} (+{self._score:.1f})"

    def training(self) -> Callable[[], Any] | None:
        return None

    def adopt(self, model: Any) -> None:
        """No model."""

    def state(self) -> dict[str, Any]:
        edges = {
            str(number): {"minutes": edge.minutes, "wear": edge.wear, "points": [list(point) for point in edge.points]}
            for number, edge in self._edges.items()
        }
        return {"edges": edges, "held": self._held_h, "score": self._score, "text": self._text}

    def restore(self, state: Mapping[str, Any]) -> None:
        edges = {}
        for number, saved in state["edges"].items():
            edge = edges[int(number)] = _Edge()
            edge.minutes, edge.wear = float(saved["minutes"]), float(saved["wear"])
            edge.points.extend((float(h), float(t), float(u), float(s)) for h, t, u, s in saved["points"])
        held, score = (None if state[name] is None else float(state[name]) for name in ("held", "score"))
        self._edges, self._held_h, self._score, self._text = edges, held, score, str(state["text"])
