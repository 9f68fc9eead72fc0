"""Predictions on request, and records of what the analytics predict and find."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from gate import Gate, data_of, until

from cnctwin.reading import Reading, iso
from gateway.twin.results import predictions

RUL = {"machine_id": "P1", "wear_percent": 85, "runtime_minutes": 120, "cutting_speed_m_min": 180}
HEALTH = {"machine_id": "P1", "vibration_mm_s": 6.5, "temperature_c": 88, "trend_slope": 0.2}


def test_predictions_have_their_fields_and_are_recorded(gate: Gate) -> None:
    rul = data_of(gate.http.post("/predict/tool-rul", json=RUL))
    assert {"minutes_remaining", "confidence"} <= set(rul)
    assert rul["minutes_remaining"] >= 0
    assert 0 <= rul["confidence"] <= 1
    health = data_of(gate.http.post("/predict/spindle-health", json=HEALTH))
    assert {"health_score", "days_to_maintenance"} <= set(health)
    assert 0 <= health["health_score"] <= 100
    schedule = data_of(gate.http.post("/predict/maintenance-schedule", json=RUL))
    assert schedule["predictions"]
    for entry in schedule["predictions"]:
        assert set(entry) == {"component", "action", "urgency", "estimated_time", "confidence"}
        assert entry["urgency"] in ("low", "medium", "high")
    records = data_of(gate.http.get("/predictions/P1"))
    assert [record["result_type"] for record in records] == ["tool_rul", "spindle_health", "maintenance_schedule"]
    assert records[0]["payload"] == rul


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("tool-rul", {**RUL, "wear_percent": 101}),
        ("tool-rul", {**RUL, "wear_percent": -1}),
        ("tool-rul", {**RUL, "more": 1}),
        ("tool-rul", {**RUL, "runtime_minutes": None}),
        ("spindle-health", {**HEALTH, "vibration_mm_s": -1}),
        ("maintenance-schedule", {"machine_id": "P1"}),
    ],
)
def test_a_prediction_that_does_not_fit_is_422(gate: Gate, path: str, body: dict) -> None:
    assert gate.http.post(f"/predict/{path}", json=body).status_code == 422


def test_results_of_the_analytics_become_records(gate: Gate) -> None:
    before = len(data_of(gate.http.get("/anomalies/CNC-001")))
    gate.play({"Analytics/Anomalous": False, "Analytics/ZScore": 0.1})
    gate.play(
        {"Analytics/Anomalous": True, "Analytics/ZScore": 4.0, "Analytics/AnomalyScore": 4.0, "Analytics/Explanation": "+Flow"}
    )
    gate.play({"Analytics/AnomalyScore": 5.0})
    until(lambda: len(data_of(gate.http.get("/anomalies/CNC-001"))) == before + 1)
    newest = data_of(gate.http.get("/anomalies/CNC-001"))[-1]
    assert (newest["detector"], newest["severity"], newest["reason"], newest["value"]) == ("zscore", "high", "+Flow", 4.0)
    kinds = {record["result_type"] for record in data_of(gate.http.get("/predictions/CNC-001"))}
    assert kinds == {"tool_rul", "spindle_health", "maintenance_schedule"}


def test_the_schedule_changes_the_tool_when_the_analytics_say_so() -> None:
    now_ns = 1_790_000_000 * 10**9
    told = {
        "Analytics/ToolRul": 30.0,
        "Analytics/NextToolChange": datetime.fromtimestamp(now_ns / 1e9 + 7200.0, UTC),
        "Tool/Number": 3,
    }

    def due(**more: Reading) -> tuple[str, str]:
        readings = {name: Reading(name, value, 0, now_ns, now_ns) for name, value in told.items()} | more
        (_, schedule) = predictions("CNC-001", now_ns, readings)
        (record,) = schedule["payload"]["predictions"]
        return record["component"], record["estimated_time"]

    assert due() == ("tool 3", iso(now_ns + 7200 * 10**9))
    unknown = Reading("Analytics/NextToolChange", None, 0x80320000, now_ns, now_ns)
    assert due(**{unknown.signal: unknown}) == ("tool 3", iso(now_ns + 1800 * 10**9)), "as if it were in cut all the time"
