"""Health of the spindle: against limits, and against what this spindle was like when it was learned.

    absolute   vibration zone and bearing temperature (`cnctwin.predictors.spindle_health`)
    relative   how many times its own baseline: bearing line and acceleration, at a like speed with the same tool, out of cut

                health 100 at 1.5 times or less, 80 at 4, 40 at 10, 0 at 30 (by the logarithm); acceleration counts earlier

Health is the smaller of the two. An outer-race spall shows in the bearing line ten times over before the RMS moves, so the
absolute limits alone would call a dying bearing healthy. Only what is heard while the spindle turns out of cut is compared, tool by
tool (balance) and in bins of 500 r/min; levels are means over half a minute. Days left: where the trend of health over the last
hours meets SERVICE_HEALTH; without a trend the fixed interval.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from analytics.detectors.detector import Needs
from analytics.rul.model import Estimate
from cnctwin.predictors import SERVICE_HEALTH, SERVICE_INTERVAL_DAYS, spindle_health
from cnctwin.reading import Value, utc

LINES: Final = {
    "Spindle/VibrationBearing": ((1.5, 100.0), (4.0, 80.0), (10.0, 40.0), (30.0, 0.0)),
    "Spindle/VibrationAcceleration": ((1.5, 100.0), (3.0, 80.0), (6.0, 40.0), (15.0, 0.0)),
}
"""Times the baseline, and health there. Velocity is not compared: rapid moves of the axes shake it more than a bearing does."""
SIGNALS: Final = ("Analytics/SpindleHealth", "Analytics/SpindleDaysLeft", "Analytics/NextMaintenance")
BIN_RPM: Final = 500.0
TURNING_RPM: Final = 300.0
MEAN_S: Final = 30.0
"""Time of the machine that a baseline is learned from, and that levels are means over."""
LEAST_ROWS: Final = 20
MOST_ROWS: Final = 60
"""Rows that this is at the least, however fast the machine's time goes, and at the most."""
TREND_STEP_NS: Final = 60_000_000_000
TREND_POINTS: Final = 240
TREND_LEAST: Final = 10
TREND_DROP: Final = 3.0
"""Health a trend must have lost to be one; less is noise."""
_DAY_NS: Final = 86_400e9


class SpindleModel:
    needs: Needs = (("Spindle/ActSpeed",), ("Spindle/VibrationVelocity",))

    def __init__(self) -> None:
        self._learning: dict[str, list[float]] = {}
        self._base: dict[str, float] = {}
        self._ratio: dict[str, float] = {}
        self._vibration: float | None = None
        self._temperature: float | None = None
        self._trend: deque[tuple[int, float, float]] = deque(maxlen=TREND_POINTS)
        self._time_ns = 0
        self._health: float | None = None
        self._rows = MOST_ROWS

    def update(self, time_ns: int, numbers: Mapping[str, float], *, fresh: bool, row_s: float = 0.5) -> None:
        self._time_ns = time_ns
        self._rows = max(LEAST_ROWS, min(MOST_ROWS, round(MEAN_S / row_s)))
        speed = numbers.get("Spindle/ActSpeed")
        commanded = numbers.get("Spindle/CmdSpeed", speed)
        if (temperature := numbers.get("Spindle/Temperature")) is not None:
            self._temperature = temperature
        if speed is None or commanded is None or speed < TURNING_RPM or abs(speed - commanded) > 0.05 * commanded + 20.0:
            return
        if numbers.get("Tool/InCut"):
            # The cut is louder than the bearing, and every cut differs: damage shows when the tool is out of it.
            return
        place = f"T{int(numbers.get('Tool/Number', 0))}n{int(speed // BIN_RPM)}"
        for name in LINES:
            value = numbers.get(name)
            if value is not None and value > 0.0:
                self._line(name, f"{name}@{place}", math.log(value))
        velocity = numbers.get("Spindle/VibrationVelocity")
        if velocity is not None:
            self._vibration = velocity if self._vibration is None else self._vibration + (velocity - self._vibration) / self._rows
        self._judge(time_ns)

    def _line(self, name: str, key: str, log_value: float) -> None:
        base = self._base.get(key)
        if base is None:
            rows = self._learning.setdefault(key, [])
            rows.append(log_value)
            # A bin met only after the others were learned may be met by a damaged spindle: it is learned against them.
            if len(rows) >= self._rows:
                self._base[key] = float(np.median(rows)) - self._ratio.get(name, 0.0) * (self._ratio.get(name, 0.0) > math.log(1.5))
                del self._learning[key]
            return
        ratio = log_value - base
        before = self._ratio.get(name)
        self._ratio[name] = ratio if before is None else before + (ratio - before) / self._rows

    def _judge(self, time_ns: int) -> None:
        if self._vibration is None or (self._learning and not self._ratio):
            return
        absolute, _ = spindle_health(self._vibration, self._temperature if self._temperature is not None else 25.0, 0.0)
        relative = min((_by_ratio(math.exp(min(ratio, 20.0)), LINES[name]) for name, ratio in self._ratio.items()), default=100.0)
        self._health = min(absolute, relative)
        if not self._trend or time_ns - self._trend[-1][0] >= TREND_STEP_NS:
            if self._trend and time_ns < self._trend[-1][0]:
                self._trend.clear()
            self._trend.append((time_ns, self._health, self._vibration))

    def waits_for(self) -> str:
        if self._health is not None:
            return ""
        most = max(map(len, self._learning.values()), default=0)
        return f"{most} of {self._rows} rows at one speed with one tool, out of cut"

    def estimate(self) -> Estimate:
        if self._health is None or self._vibration is None:
            return Estimate(dict.fromkeys(SIGNALS))
        per_day, growth = self._slopes()
        temperature = self._temperature if self._temperature is not None else 25.0
        _, days = spindle_health(self._vibration, temperature, growth)
        room = max(self._health - SERVICE_HEALTH, 0.0)
        days = min(days, SERVICE_INTERVAL_DAYS * room / (100.0 - SERVICE_HEALTH))
        if per_day < 0.0:
            days = min(days, room / -per_day)
        due: Value = utc(self._time_ns + int(days * _DAY_NS))
        return Estimate(
            {"Analytics/SpindleHealth": self._health, "Analytics/SpindleDaysLeft": days, "Analytics/NextMaintenance": due},
            {"health": self._health, "spindle_days": days, "spindle_confidence": 0.8 if per_day < 0.0 else 0.5},
        )

    def _slopes(self) -> tuple[float, float]:
        """Health a day (negative) and vibration, mm/s a day (positive), by Theil and Sen; 0 without a clear trend."""
        if len(self._trend) < TREND_LEAST:
            return 0.0, 0.0
        points = list(self._trend)[:: max(1, len(self._trend) // 60)]
        days = [(point[0] - points[0][0]) / _DAY_NS for point in points]
        health = theil_sen(days, [point[1] for point in points])
        if health * (days[-1] - days[0]) > -TREND_DROP:
            return 0.0, 0.0
        return health, max(theil_sen(days, [point[2] for point in points]), 0.0)

    def state(self) -> dict[str, Any]:
        return {
            "learning": {key: list(rows) for key, rows in self._learning.items()},
            "base": dict(self._base),
            "ratio": dict(self._ratio),
            "vibration": self._vibration,
            "temperature": self._temperature,
            "trend": [list(point) for point in self._trend],
            "health": self._health,
            "time": self._time_ns,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        learning = {str(k): [float(x) for x in rows] for k, rows in state["learning"].items()}
        base = {str(k): float(v) for k, v in state["base"].items()}
        ratio = {str(k): float(v) for k, v in state["ratio"].items() if k in LINES}
        trend = [(int(t), float(h), float(v)) for t, h, v in state["trend"]]
        vibration, temperature, health = (
            None if state[name] is None else float(state[name]) for name in ("vibration", "temperature", "health")
        )
        self._time_ns = int(state["time"])
        self._learning, self._base, self._ratio = learning, base, ratio
        self._vibration, self._temperature, self._health = vibration, temperature, health
        self._trend = deque(trend, maxlen=TREND_POINTS)


def _by_ratio(ratio: float, table: Sequence[tuple[float, float]]) -> float:
    return float(np.interp(math.log(ratio), [math.log(x) for x, _ in table], [y for _, y in table]))


def theil_sen(x: Sequence[float], y: Sequence[float]) -> float:
    """Median of the slopes between all pairs; up to 29 % of the points may be anything (Sen 1968)."""
    xs, ys = np.asarray(x), np.asarray(y)
    i, j = np.triu_indices(len(xs), 1)
    apart = xs[j] - xs[i]
    some = apart > 0.0
    return float(np.median((ys[j] - ys[i])[some] / apart[some])) if some.any() else 0.0
