"""Predictors that need no history: what can be said of a machine from a few numbers of one moment.

The gateway answers requests with them, the analytics use the same formulas where their own learning has nothing to say yet.
All are pure, finite for every finite input, and monotone: more wear, speed, vibration or heat never lengthens a life.

    tool_rul              rate of wear: Taylor's law first, what this tool has shown as soon as it has shown something
    spindle_health        weakest link of vibration zone and bearing temperature, a week ahead
    maintenance_schedule  the two above as records for a planner
    limit_rules           fixed limits on one telemetry document; score 1 is the limit
    rolling_z             robust z-score of each document against the 30 before it
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, Literal, TypedDict

from cnctwin.reading import iso

Urgency = Literal["low", "medium", "high", "critical"]

TAYLOR_C: Final = 700.0
"""Cutting speed of one minute's life, m/min: coated carbide in steel (handbook value; a tool's own wear soon outweighs it)."""
TAYLOR_N: Final = 0.25
LIFE_RANGE_MIN: Final = (5.0, 600.0)
"""Lives Taylor's law is believed for, minutes; without the bounds it promises years at 30 m/min."""
PRIOR_WEAR_PERCENT: Final = 10.0
"""Weight of Taylor's law, as wear already seen at its rate: after 10 % of wear both count the same."""
LIFE_SPREAD: Final = 5.0
"""A tool's own rate is believed within this factor of Taylor's: lives scatter with a CV of .2-.35, work materials by more."""
MAX_MINUTES: Final = 100_000.0

ZONES_MM_S: Final = ((0.71, 100.0), (1.8, 80.0), (4.5, 40.0), (7.1, 0.0))
"""Vibration velocity (RMS, 10-1000 Hz) and health: limits of the zones A, B, C as in ISO 20816; between them by the logarithm."""
BEARING_C: Final = ((45.0, 100.0), (70.0, 40.0), (90.0, 0.0))
"""Front bearing temperature and health: grease ages from about 70 degrees, 90 is the critical limit."""
SERVICE_HEALTH: Final = 40.0
"""Health at which the spindle is due: the limit of zone C."""
SERVICE_INTERVAL_DAYS: Final = 365.0
LOOK_AHEAD_DAYS: Final = 7.0

_HOUR_NS: Final = 3_600_000_000_000
MAX_SCORE: Final = 100.0


def taylor_life(cutting_speed_m_min: float) -> float:
    """Life in minutes by T = (C / vc) ** (1 / n), within LIFE_RANGE_MIN; at a standstill the upper bound."""
    low, high = LIFE_RANGE_MIN
    if cutting_speed_m_min <= TAYLOR_C * high**-TAYLOR_N:
        return high
    return max(low, math.exp(math.log(TAYLOR_C / cutting_speed_m_min) / TAYLOR_N)) if cutting_speed_m_min < 1e6 else low


def tool_rul(wear_percent: float, runtime_minutes: float, cutting_speed_m_min: float) -> tuple[float, float]:
    """Minutes in cut that remain, 0 to 100,000, and a confidence between 0 and 1.

    wear_percent: flank wear, of the criterion (100 is the end of life). runtime_minutes: time in cut so far.
    The rate is the mean of Taylor's and the tool's own, each weighted by the wear it rests on (a gamma prior on the rate):

        rate = (wear + 10 %) / (runtime + time Taylor gives for 10 %)
    """
    wear = min(max(wear_percent, 0.0), 100.0)
    life = taylor_life(cutting_speed_m_min)
    expected = life / 100.0
    runtime = min(max(runtime_minutes, wear * expected / LIFE_SPREAD), (wear + PRIOR_WEAR_PERCENT) * expected * LIFE_SPREAD)
    rate = (wear + PRIOR_WEAR_PERCENT) / (runtime + PRIOR_WEAR_PERCENT * expected)
    minutes = min((100.0 - wear) / rate, MAX_MINUTES)
    # Half of what is known about the rate comes with the first 20 % of wear; nothing makes it certain (lives scatter).
    seen = wear / (wear + 20.0) if runtime_minutes > 0 else 0.0
    return minutes, 0.4 + 0.55 * seen


def spindle_health(vibration_mm_s: float, temperature_c: float, trend_slope: float) -> tuple[float, float]:
    """Health 0-100 and days until service is due, 0 to 365.

    vibration_mm_s: RMS velocity at the front bearing. temperature_c: there. trend_slope: growth of the vibration, mm/s a day;
    falling vibration does not heal a bearing and counts as 0. Health is that of the weakest link a week ahead, so that a
    spindle that gets worse quickly says so before it reaches a limit.
    """
    slope = max(trend_slope, 0.0)
    vibration = max(vibration_mm_s, 0.0)
    ahead = vibration + slope * LOOK_AHEAD_DAYS
    health = min(_between(math.log(max(ahead, 1e-6)), _LOG_ZONES), _between(temperature_c, BEARING_C))
    days = SERVICE_INTERVAL_DAYS * max(health - SERVICE_HEALTH, 0.0) / (100.0 - SERVICE_HEALTH)
    limit = next(value for value, at in ZONES_MM_S if at == SERVICE_HEALTH)
    room = max(limit - vibration, 0.0)
    if slope * SERVICE_INTERVAL_DAYS > room:
        days = min(days, room / slope)
    return health, days


def _between(x: float, table: Sequence[tuple[float, float]]) -> float:
    """Straight lines between the points of ``table``, constant outside."""
    if x <= table[0][0]:
        return table[0][1]
    for (x0, y0), (x1, y1) in pairwise(table):
        if x < x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return table[-1][1]


_LOG_ZONES: Final = tuple((math.log(speed), health) for speed, health in ZONES_MM_S)


class MaintenanceRecord(TypedDict):
    """``estimated_time``: when the action is due, RFC 3339 UTC. ``confidence``: 0 to 1."""

    component: str
    action: str
    urgency: Urgency
    estimated_time: str
    confidence: float


def urgency(hours: float) -> Urgency:
    """How soon somebody must act: now, in this shift (8 h), this week, or later."""
    return "critical" if hours <= 0 else "high" if hours <= 8 else "medium" if hours <= 168 else "low"


def maintenance_schedule(
    now_ns: int,
    *,
    tool_minutes: float | None = None,
    tool_confidence: float = 0.5,
    tool_number: int | None = None,
    cutting_share: float = 1.0,
    health: float | None = None,
    spindle_days: float | None = None,
    spindle_confidence: float = 0.6,
) -> list[MaintenanceRecord]:
    """Records of what is due, the most urgent first; only for what is known (None is left out).

    tool_minutes: time in cut that remains. cutting_share: minutes in cut per minute of the clock, which turn time in cut into
    time of day; 0 to 1 on a machine, more in a simulation that runs faster. health, spindle_days: of ``spindle_health``.
    """
    due: list[tuple[float, str, str, float]] = []
    if tool_minutes is not None:
        hours = max(tool_minutes, 0.0) / 60.0 / min(max(cutting_share, 0.01), 1000.0)
        name = "tool" if tool_number is None else f"tool {tool_number}"
        due.append((hours, name, "replace now" if hours <= 0 else "replace", tool_confidence))
    if spindle_days is not None:
        hours = max(spindle_days, 0.0) * 24.0
        action = "inspect bearings" if health is None or health < 80.0 else "routine service"
        due.append((hours, "spindle", action, spindle_confidence))
    return [
        MaintenanceRecord(
            component=component,
            action=action,
            urgency=urgency(hours),
            estimated_time=iso(now_ns + int(min(hours, 87_600.0) * _HOUR_NS)),
            confidence=round(min(max(confidence, 0.0), 1.0), 3),
        )
        for hours, component, action, confidence in sorted(due)
    ]


@dataclass(frozen=True, slots=True)
class Limit:
    """A fixed limit on one number. ``field`` is its place in a telemetry document, ``signal`` its catalogue name."""

    rule: str
    field: str
    signal: str
    limit: float
    upper: bool
    unit: str
    only_above_rpm: float | None = None

    def score(self, value: float) -> float:
        """1 at the limit and more beyond it, 0 to 100: value / limit above an upper limit, limit / value below a lower one."""
        ratio = value / self.limit if self.upper else self.limit / max(value, self.limit / 10.0)
        return min(max(ratio, 0.0), MAX_SCORE)

    def broken(self, value: float) -> bool:
        return value > self.limit if self.upper else value < self.limit


LIMITS: Final[tuple[Limit, ...]] = (
    Limit("spindle_temperature", "spindle.temperature_c", "Spindle/Temperature", 70.0, True, "°C"),
    Limit("tool_wear", "tool.wear_percent", "Tool/WearPercent", 80.0, True, "%"),
    Limit("spindle_vibration", "spindle.vibration_mm_s", "Spindle/VibrationVelocity", 5.0, True, "mm/s"),
    Limit("coolant_flow", "coolant.flow_rate_lpm", "Coolant/Flow", 2.0, False, "l/min", only_above_rpm=500.0),
)
"""The limits the first anomaly service alarmed at; existing users have their procedures built on them."""


class Anomaly(TypedDict):
    """``score``: 1 is the threshold. ``severity``: critical from twice the threshold on."""

    detector: str
    rule: str
    metric: str
    value: float
    threshold: float
    score: float
    severity: Literal["warning", "critical"]
    message: str


def field_of(document: Mapping[str, Any], field: str) -> float | None:
    """A finite number at ``field`` ("spindle.rpm") of a telemetry document, with or without its ``data`` envelope; else None."""
    inner = document.get("data")
    value: Any = inner if isinstance(inner, Mapping) else document
    for part in field.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def limit_rules(document: Mapping[str, Any]) -> list[Anomaly]:
    """The limits one telemetry document breaks; what it does not hold is not judged."""
    found = []
    rpm = field_of(document, "spindle.rpm")
    for limit in LIMITS:
        value = field_of(document, limit.field)
        if value is None or not limit.broken(value):
            continue
        if limit.only_above_rpm is not None and (rpm is None or rpm <= limit.only_above_rpm):
            continue
        sign = "above" if limit.upper else "below"
        found.append(
            _anomaly(
                "rules", limit.rule, limit.field, value, limit.limit, limit.score(value), f"{sign} {limit.limit:g} {limit.unit}"
            )
        )
    return found


Z_FIELDS: Final = (
    "spindle.load_percent",
    "spindle.temperature_c",
    "spindle.vibration_mm_s",
    "coolant.flow_rate_lpm",
    "coolant.temperature_c",
    "coolant.pressure_bar",
    "power.total_kw",
    "power.spindle_kw",
    "power.servo_kw",
)
Z_WINDOW: Final = 30
Z_THRESHOLD: Final = 3.0


def rolling_z(documents: Iterable[Mapping[str, Any]]) -> list[list[Anomaly]]:
    """For each document the numbers that lie more than 3 robust standard deviations off the 30 before it, machine by machine.

    Robust: median and 1.4826 MAD (Iglewicz and Hoaglin 1993). A number that never moved has no scale and is judged against
    0.1 % of its size, so that a real step still shows. Fewer than 30 before it: not judged.
    """
    past: dict[tuple[Any, str], deque[float]] = defaultdict(lambda: deque(maxlen=Z_WINDOW))
    found: list[list[Anomaly]] = []
    for document in documents:
        here: list[Anomaly] = []
        for field in Z_FIELDS:
            value = field_of(document, field)
            if value is None:
                continue
            window = past[document.get("machine_id"), field]
            if len(window) == Z_WINDOW:
                middle = _median(window)
                scale = 1.4826 * _median(abs(x - middle) for x in window)
                z = (value - middle) / max(scale, 1e-3 * abs(middle), 1e-9)
                if abs(z) > Z_THRESHOLD:
                    score = min(abs(z) / Z_THRESHOLD, MAX_SCORE)
                    here.append(_anomaly("zscore", "zscore", field, value, Z_THRESHOLD, score, f"z = {z:+.1f} against the last 30"))
            window.append(value)
        found.append(here)
    return found


def _median(values: Iterable[float]) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    # Halves before the sum: two numbers near the largest float have a finite mean.
    return ordered[middle] if len(ordered) % 2 else ordered[middle - 1] / 2.0 + ordered[middle] / 2.0


def _anomaly(detector: str, rule: str, field: str, value: float, threshold: float, score: float, why: str) -> Anomaly:
    return Anomaly(
        detector=detector,
        rule=rule,
        metric=field,
        value=value,
        threshold=threshold,
        score=round(score, 4),
        severity="critical" if score >= 2.0 else "warning",
        message=f"{field} = {value:g}: {why}",
    )
