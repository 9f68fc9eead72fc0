"""Fixed limits: the rules the first anomaly service alarmed by (`cnctwin.predictors.LIMITS`), on live signals.

They need no learning and know nothing of the situation, with one exception: with the coolant switched off by the program no
flow is expected, so where the server shows ``Coolant/IsOn`` a dry cut is no anomaly. The score is that of the rule closest to
its limit, so 0.9 means 10 % before it. A limit must hold for HOLD_NS: a pump that starts needs a moment to deliver.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from analytics.detectors.detector import Needs, Sample, Score
from analytics.features import NAMES
from cnctwin.predictors import LIMITS

HOLD_NS: Final = 3_000_000_000
_RELATED: Final = {limit.rule: frozenset({limit.signal} & set(NAMES)) for limit in LIMITS}


class LimitDetector:
    signal = "Analytics/RuleScore"
    needs_residuals = False
    needs: Needs = (tuple(limit.signal for limit in LIMITS),)

    def __init__(self, n_features: int, seed: int = 0) -> None:
        self._n_features = n_features
        self._since: dict[str, int] = {}

    def learn_one(self, sample: Sample) -> None:
        """Nothing to learn."""

    def score_one(self, sample: Sample) -> Score | None:
        best = None
        texts: list[str] = []
        if sample.fresh:
            self._since.clear()
        contributions = np.zeros(self._n_features)
        rpm = sample.numbers.get("Spindle/ActSpeed")
        pump = sample.numbers.get("Coolant/IsOn")
        for limit in LIMITS:
            value = sample.numbers.get(limit.signal)
            if value is None:
                self._since.pop(limit.rule, None)
                continue
            score = limit.score(value)
            if limit.only_above_rpm is not None and (rpm is None or rpm <= limit.only_above_rpm or pump == 0.0):
                score = 0.0
            if score > 1.0:
                # A clock may be set back: an hour later it would still be too early.
                began = self._since[limit.rule] = min(self._since.get(limit.rule, sample.time_ns), sample.time_ns)
                if sample.time_ns - began < HOLD_NS:
                    score = 1.0
                else:
                    texts.append(f"{limit.signal} {value:.1f} {limit.unit} {'above' if limit.upper else 'below'} {limit.limit:g}")
                    for name in _RELATED[limit.rule]:
                        contributions[NAMES.index(name)] = score if limit.upper else -score
            else:
                self._since.pop(limit.rule, None)
            best = score if best is None else max(best, score)
        return None if best is None else Score(best, contributions, texts)

    def training(self) -> Callable[[], Any] | None:
        return None

    def adopt(self, model: Any) -> None:
        """No model."""

    def state(self) -> dict[str, Any]:
        return {"since": dict(self._since)}

    def restore(self, state: Mapping[str, Any]) -> None:
        self._since = {str(rule): int(time_ns) for rule, time_ns in state["since"].items()}
