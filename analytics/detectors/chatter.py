"""Chatter and a spindle nose that loses its damping: a cut that sounds rougher than its teeth explain.

    acceleration^2 = tooth line + rest      rest: noise of the chips, waves of chatter; no monitor shows a line of it

    each tool at each speed, each half minute of cut:    y = log(rest / tooth line)      ~ a of the tool and speed + b * wear
    all of them over NOW_H of the machine:               rougher = mean of y - (a + b * wear);   score = rougher / limit

A row says nothing: depth, feed and edge move the acceleration by ten times. The tooth line moves with all of them, so that what is
left tells a third more noise within a quarter of an hour, even while no cut chatters outright. A worn flank roughens the cut too:
b is shared by all tools and learned. Only more is harm.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from analytics.detectors.detector import MAX_SCORE, Needs, Sample, Score
from analytics.detectors.drift import hours_of
from analytics.frames import Row

READ: Final = ("Tool/InCut", "Tool/Number", "Spindle/CmdSpeed", "Spindle/VibrationAcceleration", "Spindle/VibrationTooth")
ROWS: Final = 40
"""Rows in cut of one tool at one speed that make a point."""
SETTLE: Final = 3
"""First rows of a cut: monitors average, and the tool is not all in."""
SPEED_STEP_RPM: Final = 50.0
NOW_H: Final = 0.25
LAG_H: Final = 0.35
"""What is younger does not count as usual yet."""
LEAST: Final = 15
"""Points in all, and of one tool at one speed, that are known well enough to judge by."""
LEAST_OF_ONE: Final = 3
LEAST_NOW: Final = 3
LIMIT: Final = 0.25
"""Least log ratio that is believed: noise a third more in power."""
SPREADS: Final = 4.0
YOUNG: Final = 10.0
"""The limit is (1 + YOUNG / points) times as wide: what wear does is not known yet."""
LEAST_REST: Final = 0.05
"""Of the whole, where the tooth line alone seems to be more than all: it is an estimate too."""
KEEP: Final = 600
WEAR_DOUBT: Final = 200.0
"""Square of the wear, %^2, that speaks for no influence of wear."""
MOST_WEAR: Final = 0.02
"""log ratio per per cent of wear at the most."""


class ChatterDetector:
    signal = "Analytics/ChatterScore"
    needs_residuals = False
    needs: Needs = tuple((name,) for name in READ)

    def __init__(self, n_features: int, seed: int = 0) -> None:
        self._n_features = n_features
        self._points: deque[Row] = deque(maxlen=KEEP)
        """Hours, 1 if taken for normal, tool, speed step, wear in %, log(rest / tooth line)."""
        self._sums: dict[str, list[float]] = {}
        """Of the point that is being made, by tool and speed step: rows, whole, tooth line, wear."""
        self._cutting = 0
        self._score: float | None = None
        self._rougher = 0.0
        self._normal = False

    def learn_one(self, sample: Sample) -> None:
        self._normal = True

    def score_one(self, sample: Sample) -> Score | None:
        self._see(sample.numbers, hours_of(sample))
        if self._score is None:
            return None
        texts = []
        if self._score > 1.0:
            texts.append(
                f"cuts sound {math.exp(self._rougher):.1f} times as rough as their teeth explain: chatter, or a loose spindle nose"
            )
        return Score(self._score, np.zeros(self._n_features), texts)

    def _see(self, numbers: Mapping[str, float], hours: float) -> None:
        is_in_cut, tool, speed, whole, tooth = (numbers.get(name) for name in READ)
        if not is_in_cut or not tool or not speed or not whole or not tooth:
            self._cutting = 0
            return
        self._cutting += 1
        if self._cutting <= SETTLE:
            return
        step = round(speed / SPEED_STEP_RPM)
        sums = self._sums.setdefault(f"{tool:.0f}|{step}", [0.0, 0.0, 0.0, 0.0])
        for place, value in enumerate((1.0, whole * whole, tooth * tooth / 2.0, numbers.get("Tool/WearPercent", 0.0))):
            sums[place] += value
        if sums[0] >= ROWS:
            count, whole, tooth, wear = self._sums.pop(f"{tool:.0f}|{step}")
            rest = max(whole - tooth, LEAST_REST * whole)
            self._points.append(np.array([hours, float(self._normal), tool, step, wear / count, math.log(rest / tooth)]))
            self._normal = False
            self._judge(hours)

    def _judge(self, hours: float) -> None:
        """A point is made."""
        points = np.array(self._points)
        usual = points[(points[:, 0] < hours - LAG_H) & (points[:, 1] > 0.0)]
        now = points[points[:, 0] > hours - NOW_H]
        if len(usual) < LEAST:
            return
        by_cut = {}
        for cut in np.unique(usual[:, 2:4], axis=0):
            one = usual[(usual[:, 2:4] == cut).all(1)]
            if len(one) >= LEAST_OF_ONE:
                by_cut[tuple(cut)] = (one, one[:, 4:].mean(0))
        if not by_cut:
            return
        worn = np.concatenate([one[:, 4:] - mean for one, mean in by_cut.values()])
        slope = min(max(float(worn[:, 0] @ worn[:, 1]) / (float(worn[:, 0] @ worn[:, 0]) + WEAR_DOUBT), 0.0), MOST_WEAR)
        spread = 1.4826 * float(np.median(np.abs(worn[:, 1] - slope * worn[:, 0])))
        left = []
        for point in now:
            if (found := by_cut.get((point[2], point[3]))) is not None:
                left.append(point[5] - found[1][1] - slope * (point[4] - found[1][0]))
        if len(left) < LEAST_NOW:
            return
        self._rougher = float(np.mean(left))
        limit = max(LIMIT, SPREADS * spread / math.sqrt(len(left))) * (1.0 + YOUNG / len(usual))
        self._score = min(max(self._rougher / limit, 0.0), MAX_SCORE)
        if self._score > 1.0:
            # What waits when an alarm begins never counts.
            for point in self._points:
                if point[0] > hours - LAG_H:
                    point[1] = 0.0

    def training(self) -> Callable[[], Any] | None:
        return None

    def adopt(self, model: Any) -> None:
        """No model."""

    def state(self) -> dict[str, Any]:
        return {
            "points": np.array(self._points).reshape(-1, 6),
            "sums": {cut: list(sums) for cut, sums in self._sums.items()},
            "cutting": self._cutting,
            "score": self._score,
            "rougher": self._rougher,
            "normal": self._normal,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        points, score = np.array(state["points"], dtype=np.float64), state["score"]
        if points.ndim != 2 or points.shape[1] != 6:
            raise ValueError("other points")
        sums = {str(cut): [float(value) for value in values] for cut, values in state["sums"].items()}
        self._score, self._rougher = None if score is None else float(score), float(state["rougher"])
        self._points, self._sums = deque(points, maxlen=KEEP), sums
        self._cutting, self._normal = int(state["cutting"]), bool(state["normal"])
