"""One score out of many, and when it becomes an anomaly: latched, with hysteresis, and explained.

    fused = max(limits, z-score, mean of z-score and forest)       the forest alone misses too much to alarm by itself

             fused > 1 for RAISE                     fused < CLEAR_BELOW for CLEAR
    normal -----------------------> anomalous ------------------------------------> normal

Of RAISE only rows count that speak for the score themselves (``Score.supported``): the mean of a cut that has ended goes on
standing while the tool is changed, and three seconds of that are no more than its last row. Of neither counts what nobody watched:
a server that was away for an hour, or a clock that was set, ends no anomaly.

Latching turned 9.7 points into 54.6 on the NAB benchmark: one event, one alarm. A fault may show in one operation of a cycle
only, so the latch outlasts a cycle of minutes; half a minute gave forty alarms for one bearing. Pure; time comes with the samples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from analytics.detectors.detector import Score
from analytics.features import FEATURES, NAMES
from analytics.frames import Row

RAISE_NS: Final = 3_000_000_000
CLEAR_NS: Final = 240_000_000_000
CLEAR_BELOW: Final = 0.7
SHOWN: Final = 3


@dataclass(frozen=True, slots=True)
class Fused:
    """``score`` 1 is the threshold; ``explanation`` is empty while there is no anomaly; ``sure``: as of its scores."""

    score: float
    anomalous: bool
    explanation: str
    sure: bool


class Fusion:
    """The latch of one machine."""

    def __init__(self) -> None:
        self.anomalous = False
        self.unusual = False
        """Whether this row or the present anomaly is about more than a fixed limit. A limit, such as that of wear, says nothing
        against taking the rest for normal; what is unusual must not be learned."""
        self._turning_ns: int | None = None
        """For how long the score has been seen on the other side; None while it is not."""
        self._before_ns = 0
        self._explanation = ""

    def fuse(self, time_ns: int, scores: Mapping[str, Score], *, fresh: bool = False) -> Fused | None:
        """``fresh``: what was between the row before and this one was not seen. None while neither z-score nor forest can judge and
        no limit is broken: a 0 would be made up. An alarm that a limit has raised lasts as any other."""
        passed_ns = 0 if fresh else max(time_ns - self._before_ns, 0)
        self._before_ns = time_ns
        if not scores:
            return None
        if not self.anomalous and set(scores) == {"limits"} and scores["limits"].value <= 1.0:
            self._turning_ns = None
            return None
        learned = [score.value for name, score in scores.items() if name not in ("limits", "forest")]
        if "forest" in scores and "zscore" in scores:
            learned.append((scores["forest"].value + scores["zscore"].value) / 2.0)
        limits = [scores["limits"].value] if "limits" in scores else []
        fused = max(limits + learned) if limits or learned else scores["forest"].value
        self._latch(passed_ns, fused, is_spoken_for=any(score.value > 1.0 and score.supported for score in scores.values()))
        self.unusual = max(learned, default=0.0) >= 1.0 or (self.unusual and self.anomalous)
        if not self.anomalous:
            self._explanation = ""
        elif fused > 1.0 or not self._explanation:
            # Below the threshold again, what raised the alarm is still what it is about.
            self._explanation = explain(scores) or self._explanation
        # A slow detector that does not know its machine yet casts no doubt on the others, unless it is the one that speaks.
        counts = [score for name, score in scores.items() if name in ("limits", "zscore", "forest") or score.value >= fused]
        # Quiet without z-score and forest is the quiet of those who look at a few signals each.
        is_judged = fused > 1.0 or not scores.keys().isdisjoint(("zscore", "forest"))
        return Fused(fused, self.anomalous, self._explanation, is_judged and all(score.sure for score in counts))

    def _latch(self, passed_ns: int, fused: float, *, is_spoken_for: bool) -> None:
        turning = fused < CLEAR_BELOW if self.anomalous else fused > 1.0
        if turning and not self.anomalous and not is_spoken_for:
            return
        if not turning:
            self._turning_ns = None
            return
        self._turning_ns = 0 if self._turning_ns is None else self._turning_ns + passed_ns
        if self._turning_ns >= (CLEAR_NS if self.anomalous else RAISE_NS):
            self.anomalous = not self.anomalous
            self._turning_ns = None

    def state(self) -> dict[str, Any]:
        return {
            "anomalous": self.anomalous,
            "unusual": self.unusual,
            "turning": self._turning_ns,
            "explanation": self._explanation,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.anomalous, self.unusual = bool(state["anomalous"]), bool(state["unusual"])
        turning_ns = state.get("turning")  # not in a state of an earlier version, which kept a time of day
        self._turning_ns = None if turning_ns is None else int(turning_ns)
        self._explanation = str(state["explanation"])


def explain(scores: Mapping[str, Score]) -> str:
    """The broken limits, then the features that contribute most, with sign: "Coolant/Flow low (-4.1)"."""
    total: Row = np.zeros(len(NAMES))
    texts: list[str] = []
    for score in scores.values():
        texts += score.texts
        if score.value > CLEAR_BELOW:
            # The detectors' shares are in the same unit (their score), so the strongest word on a feature counts.
            total = np.where(np.abs(score.contributions) > np.abs(total), score.contributions, total)
    for index in np.argsort(-np.abs(total))[:SHOWN]:
        share = float(total[index])
        if abs(share) < 0.5 or any(NAMES[index] in text for text in texts):
            continue
        texts.append(f"{_named(index)} {'high' if share > 0 else 'low'} ({share:+.1f})")
    return "; ".join(texts)


_WORDS: Final = {"as_is": "", "log": "", "lag": " against velocity", "lost_motion": " against scale", "rate": " rising rate"}


def _named(index: int) -> str:
    feature = FEATURES[index]
    return feature.signal + _WORDS[feature.kind]
