"""Records of the analytics' results, told from the signals they write: when an anomaly begins, and what is predicted.

    Analytics/Anomalous false -> true            one anomaly record
    Analytics/ToolRul, SpindleHealth, ...        at most every PERIOD_NS one record each of life, health and schedule

Only what is Good becomes a record: a detector that warms up has predicted nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from cnctwin.predictors import maintenance_schedule
from cnctwin.reading import Reading, iso
from gateway.twin.twin import Update

PERIOD_NS: Final = 10_000_000_000
DETECTORS: Final = (
    ("rule", "Analytics/RuleScore"),
    ("zscore", "Analytics/ZScore"),
    ("isolation_forest", "Analytics/ForestScore"),
    ("drift", "Analytics/DriftScore"),
    ("wear", "Analytics/WearScore"),
    ("chatter", "Analytics/ChatterScore"),
    ("lubrication", "Analytics/LubricationScore"),
    ("sensor", "Analytics/SensorScore"),
)
SCORES: Final = frozenset({"Analytics/AnomalyScore", *(signal for _, signal in DETECTORS)})
PEAK_NS: Final = 6_000_000_000
"""How long a peak explains an anomaly: it begins after three seconds above the threshold, and scores may have fallen by then."""
TRIGGERS: Final = frozenset({"Analytics/ToolRul", "Analytics/SpindleHealth", "Analytics/SpindleDaysLeft"})


@dataclass(frozen=True, slots=True)
class Record:
    """``kind`` is anomaly or prediction; ``body`` is what clients see."""

    kind: str
    machine_id: str
    body: dict[str, Any]


@dataclass(slots=True)
class Results:
    """What was last told of each machine."""

    _anomalous: dict[str, bool] = field(default_factory=dict)
    _predicted_ns: dict[str, int] = field(default_factory=dict)
    _peaks: dict[str, dict[str, tuple[int, float]]] = field(default_factory=dict)
    """Machine -> score -> when it was highest lately, and how high."""

    def judge(self, update: Update, readings: Mapping[str, Reading]) -> list[Record]:
        """The records that an update gives rise to; ``readings`` are the machine's, the update included."""
        records: list[Record] = []
        touched = {reading.signal for reading in update.readings if reading.is_good}
        peaks = self._peaks.setdefault(update.machine_id, {})
        for signal in touched & SCORES:
            time_ns, value = readings[signal].source_time_ns, good(readings, signal) or 0.0
            peak_ns, peak = peaks.get(signal, (0, 0.0))
            if value >= peak or not 0 <= time_ns - peak_ns <= PEAK_NS:
                peaks[signal] = time_ns, value
        if "Analytics/Anomalous" in touched:
            now = readings["Analytics/Anomalous"].value is True
            if now and not self._anomalous.get(update.machine_id, False):
                records.append(Record("anomaly", update.machine_id, anomaly(update.machine_id, readings, peaks)))
            self._anomalous[update.machine_id] = now
        if touched & TRIGGERS:
            time_ns = max(readings[name].source_time_ns for name in touched & TRIGGERS)
            last = self._predicted_ns.get(update.machine_id)
            if last is None or time_ns - last >= PERIOD_NS or time_ns < last:
                self._predicted_ns[update.machine_id] = time_ns
                told = predictions(update.machine_id, time_ns, readings)
                records += [Record("prediction", update.machine_id, body) for body in told]
        return records


def anomaly(machine_id: str, readings: Mapping[str, Reading], peaks: Mapping[str, tuple[int, float]]) -> dict[str, Any]:
    """The anomaly that has begun: which detector scored highest, what it says, how bad it is (1 is the threshold)."""
    began_ns = readings["Analytics/Anomalous"].source_time_ns

    def lately(signal: str) -> float | None:
        time_ns, value = peaks.get(signal, (0, 0.0))
        return value if 0 <= began_ns - time_ns <= PEAK_NS else good(readings, signal)

    scores = [(lately(signal) or 0.0, detector, signal) for detector, signal in DETECTORS]
    highest, detector, signal = max(scores)
    score = lately("Analytics/AnomalyScore")
    score = highest if score is None else score
    explanation = readings.get("Analytics/Explanation")
    reason = str(explanation.value) if explanation is not None and explanation.is_good else ""
    return {
        "timestamp": iso(readings["Analytics/Anomalous"].source_time_ns),
        "machine_id": machine_id,
        "metric": signal if highest > 0 else "Analytics/AnomalyScore",
        "value": score,
        "severity": severity(score),
        "detector": detector,
        "reason": reason or f"anomaly score {score:.2f}",
    }


def severity(score: float) -> str:
    """Of a score whose threshold is 1."""
    return "high" if score >= 3.0 else "medium" if score >= 1.5 else "low"


def predictions(machine_id: str, time_ns: int, readings: Mapping[str, Reading]) -> list[dict[str, Any]]:
    """Records {machine_id, created_at, result_type, payload} of what is predicted now; what is not known is left out."""
    created = iso(time_ns)
    found: list[tuple[str, dict[str, Any]]] = []
    minutes = good(readings, "Analytics/ToolRul")
    low, high = good(readings, "Analytics/ToolRulLow"), good(readings, "Analytics/ToolRulHigh")
    confidence = _confidence(minutes, low, high)
    if minutes is not None:
        payload: dict[str, Any] = {"machine_id": machine_id, "minutes_remaining": minutes, "confidence": confidence}
        if low is not None and high is not None:
            payload |= {"minutes_low": low, "minutes_high": high}
        found.append(("tool_rul", payload))
    health, days = good(readings, "Analytics/SpindleHealth"), good(readings, "Analytics/SpindleDaysLeft")
    if health is not None:
        found.append(("spindle_health", {"machine_id": machine_id, "health_score": health, "days_to_maintenance": days}))
    tool = good(readings, "Tool/Number")
    schedule = maintenance_schedule(
        time_ns,
        tool_minutes=minutes,
        cutting_share=_cutting_share(time_ns, minutes, readings.get("Analytics/NextToolChange")),
        tool_confidence=confidence,
        tool_number=int(tool) if tool else None,
        health=health,
        spindle_days=days,
    )
    if schedule:
        found.append(("maintenance_schedule", told_schedule(machine_id, created, schedule)))
    return [{"machine_id": machine_id, "created_at": created, "result_type": kind, "payload": payload} for kind, payload in found]


def told_schedule(machine_id: str, generated_at: str, schedule: Any) -> dict[str, Any]:
    """A schedule as existing clients know it. They were promised low, medium or high: critical is told as high."""
    rows = [{**row, "urgency": "high" if row["urgency"] == "critical" else row["urgency"]} for row in schedule]
    return {"machine_id": machine_id, "generated_at": generated_at, "predictions": rows}


def good(readings: Mapping[str, Reading], signal: str) -> float | None:
    reading = readings.get(signal)
    if reading is None or not reading.is_good or isinstance(reading.value, bool) or not isinstance(reading.value, int | float):
        return None
    return float(reading.value)


def _cutting_share(time_ns: int, minutes: float | None, change: Reading | None) -> float:
    """Minutes in cut per minute, by when the tool will be changed; 1 where nobody says that: too early rather than too late."""
    if minutes is None or change is None or not change.is_good or not isinstance(change.value, datetime):
        return 1.0
    ahead = change.value.timestamp() / 60.0 - time_ns / 60e9
    return minutes / ahead if ahead > 0.0 and minutes > 0.0 else 1.0


def _confidence(minutes: float | None, low: float | None, high: float | None) -> float:
    """How narrow the 90 % interval is beside the estimate: 1 for a point, 0.5 for plus or minus all of it; 0.5 without interval."""
    if minutes is None or low is None or high is None or high < low:
        return 0.5
    half = (high - low) / 2.0
    return round(minutes / (minutes + half), 3) if minutes + half > 0 else 1.0
