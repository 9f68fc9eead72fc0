"""Slow drift: what moves by so little in a minute that only a quarter of an hour shows it.

    minute means  . . . . . . ' ' ' '     slope over WINDOW by least squares, in units an hour
                  '--- past ---''-now-'   past slopes end where the present window begins

    score = (slope now - median of past slopes) / limit, on the side that does harm;   limit: what healthy slopes differ by

The structure is cast iron with hours of time constant: shop floor and spindle move it by tenths of a kelvin an hour, so a heat
source of a hundred watts shows long before its level is unusual. A tank empties by what parts carry away; a leak is ten times that.
Hours are those of the machine (``Machine/PowerOnDuration``) where it tells them, so that a simulation that runs faster is judged
alike; else those of the source time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np

from analytics.detectors.detector import MAX_SCORE, Needs, Sample, Score

WINDOW_H: Final = 0.25
MINUTE_H: Final = 1.0 / 60.0
LEAST_POINTS: Final = 8
HOLE_H: Final = 0.1
PAST: Final = 240
SETTLED: Final = 15
"""Past slopes, one a minute, from which on the machine's own course is known."""
UNKNOWN: Final = 2.0
"""Times the limit before that, with no course expected: a machine that was just switched on warms up."""
SPREADS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Slow:
    """``limit``: least difference of slopes that is believed, in the signal's unit an hour; ``side`` 1: rising is harm, -1:
    falling."""

    signal: str
    limit: float
    side: Literal[-1, 1]
    unit: str


SLOW: Final = (Slow("Structure/Temperature", 0.6, 1, "K/h"), Slow("Coolant/Level", 4.0, -1, "%/h"))


class _Course:
    """One signal: minute means of the window (hours, value), past slopes (hours, slope), and the slope now."""

    def __init__(self, slow: Slow) -> None:
        self.slow = slow
        self.minutes: deque[tuple[float, float]] = deque(maxlen=64)
        self.past: deque[tuple[float, float]] = deque(maxlen=PAST)
        self.slope: float | None = None
        self.new = False
        self._sum = self._count = 0.0

    def see(self, hours: float, value: float) -> None:
        last = self.minutes[-1][0] if self.minutes else None
        if last is not None and not last - 1e-9 <= hours <= last + HOLE_H:
            self.minutes.clear()
            self.slope, self._sum, self._count, last = None, 0.0, 0.0, None
        self._sum, self._count = self._sum + value, self._count + 1.0
        if last is not None and hours - last < MINUTE_H:
            return
        self.minutes.append((hours, self._sum / self._count))
        self._sum = self._count = 0.0
        while hours - self.minutes[0][0] > WINDOW_H:
            self.minutes.popleft()
        if len(self.minutes) >= LEAST_POINTS and hours - self.minutes[0][0] > 0.8 * WINDOW_H:
            when, values = np.array(self.minutes).T
            off = when - when.mean()
            self.slope, self.new = float(off @ values / (off @ off)), True

    def learn(self) -> None:
        if self.new and self.slope is not None:
            self.past.append((self.minutes[-1][0], self.slope))
            self.new = False

    def judge(self) -> tuple[float, float, bool] | None:
        """Score, excess of the slope, and whether the machine's own course stands behind it; None before there is a slope."""
        if self.slope is None:
            return None
        past = [slope for hours, slope in self.past if hours <= self.minutes[0][0]]
        if len(past) < SETTLED:
            expected, limit = 0.0, UNKNOWN * self.slow.limit
        else:
            expected = float(np.median(past))
            limit = max(self.slow.limit, SPREADS * 1.4826 * float(np.median(np.abs(np.array(past) - expected))))
        excess = self.slope - expected
        return min(max(self.slow.side * excess / limit, 0.0), MAX_SCORE), excess, len(past) >= SETTLED


class DriftDetector:
    signal = "Analytics/DriftScore"
    needs_residuals = False
    needs: Needs = (tuple(slow.signal for slow in SLOW),)

    def __init__(self, n_features: int, seed: int = 0) -> None:
        self._n_features = n_features
        self._courses = [_Course(slow) for slow in SLOW]

    def learn_one(self, sample: Sample) -> None:
        for course in self._courses:
            course.learn()

    def score_one(self, sample: Sample) -> Score | None:
        hours = hours_of(sample)
        best: float | None = None
        texts, sure = [], True
        for course in self._courses:
            value = sample.numbers.get(course.slow.signal)
            if value is not None:
                course.see(hours, value)
            found = course.judge()
            if found is None:
                continue
            score, excess, known = found
            sure = sure and known
            best = score if best is None else max(best, score)
            if score > 1.0:
                word = "rises" if course.slow.side > 0 else "falls"
                texts.append(f"{course.slow.signal} {word} {abs(excess):.1f} {course.slow.unit} faster than usual ({excess:+.1f})")
        return None if best is None else Score(best, np.zeros(self._n_features), texts, sure)

    def training(self) -> Callable[[], Any] | None:
        return None

    def adopt(self, model: Any) -> None:
        """No model."""

    def state(self) -> dict[str, Any]:
        return {
            course.slow.signal: {
                "minutes": [list(point) for point in course.minutes],
                "past": [list(point) for point in course.past],
                "slope": course.slope,
                "minute": [course._sum, course._count, float(course.new)],
            }
            for course in self._courses
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        courses = []
        for slow in SLOW:
            course, saved = _Course(slow), state[slow.signal]
            course.minutes.extend((float(hours), float(value)) for hours, value in saved["minutes"])
            course.past.extend((float(hours), float(slope)) for hours, slope in saved["past"])
            course.slope = None if saved["slope"] is None else float(saved["slope"])
            course._sum, course._count, new = (float(value) for value in saved["minute"])
            course.new = bool(new)
            courses.append(course)
        self._courses = courses


def hours_of(sample: Sample) -> float:
    """The machine's own clock in hours; that of the source where it has none."""
    return sample.numbers.get("Machine/PowerOnDuration", sample.time_ns / 3.6e12)
