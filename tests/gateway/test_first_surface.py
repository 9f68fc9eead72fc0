"""The REST surface of existing clients, row by row: paths, fields, status codes, error texts."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from fake_link import FakeLink
from gate import Gate, data_of, opened, until

from cnctwin.link import MethodFailed
from nodesets.states import MachineState

MACHINE = "/machines/CNC-001"


def telemetry(machine_id: str, temperature_c: float = 40.0, at: str = "2026-02-04T10:00:00Z") -> dict:
    return {"timestamp": at, "machine_id": machine_id, "data": {"spindle": {"temperature_c": temperature_c, "rpm": 12000}}}


def document(machine_id: str = "M1", **spindle: float) -> dict:
    return {
        "timestamp": "2026-02-04T10:00:00Z",
        "machine_id": machine_id,
        "spindle": {"rpm": 8000, "load_percent": 40, "temperature_c": 40, "vibration_mm_s": 1.0, **spindle},
        "axes": {axis: {"position_mm": 1.0, "velocity_mm_min": 2.0} for axis in "xyz"},
        "tool": {"id": "T01", "type": "end_mill", "diameter_mm": 10, "wear_percent": 20, "runtime_minutes": 30},
        "coolant": {"flow_rate_lpm": 10, "temperature_c": 25, "pressure_bar": 3},
        "power": {"total_kw": 10, "spindle_kw": 6, "servo_kw": 4},
        "status": {"mode": "AUTO", "program": "O1234", "block": "N0100", "cycle_time_s": 100},
    }


def test_health_needs_no_key(gate: Gate) -> None:
    response = gate.bare.get("/health")
    assert (response.status_code, response.json()) == (200, {"status": "ok"})


def test_ready_is_503_with_reasons_while_a_peer_is_away(gate: Gate) -> None:
    until(lambda: list(gate.bare.get("/ready").json()["reasons"]) == ["MQTT broker"])
    assert gate.bare.get("/ready").status_code == 503


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/machines"),
        ("GET", MACHINE),
        ("GET", MACHINE + "/status"),
        ("GET", MACHINE + "/telemetry"),
        ("POST", MACHINE + "/telemetry"),
        ("GET", MACHINE + "/history"),
        ("POST", MACHINE + "/commands"),
        ("GET", "/predictions/CNC-001"),
        ("GET", "/anomalies/CNC-001"),
        ("GET", "/anomalies"),
        ("POST", MACHINE + "/alerts"),
        ("POST", MACHINE + "/aggregate"),
        ("POST", "/detect"),
        ("POST", "/predict/tool-rul"),
        ("POST", "/predict/spindle-health"),
        ("POST", "/predict/maintenance-schedule"),
        ("POST", "/alerts"),
        ("POST", "/aggregate"),
    ],
)
@pytest.mark.parametrize("key", [None, "wrong", "", "clé"])
def test_without_the_right_key_it_is_401(gate: Gate, method: str, path: str, key: str | None) -> None:
    headers = {} if key is None else {"x-api-key": key.encode("latin-1")}
    response = gate.bare.request(method, path, headers=headers, content=b"no json" if method == "POST" else None)
    assert (response.status_code, response.json()) == (401, {"detail": "Invalid API key"})


def test_the_key_of_the_first_start_opens_too(gate: Gate) -> None:
    assert gate.secrets is not None
    assert gate.bare.get("/machines", headers={"x-api-key": gate.secrets.api_key}).status_code == 200


def test_machines_have_id_name_location_model(gate: Gate) -> None:
    machines = {machine["id"]: machine for machine in data_of(gate.http.get("/machines"))}
    one = data_of(gate.http.get(MACHINE))
    assert machines["CNC-001"] == one
    assert set(one) == {"id", "name", "location", "model"}


def test_unknown_machine_is_404(gate: Gate) -> None:
    for path in ("/machines/nobody", "/machines/nobody/status"):
        response = gate.http.get(path)
        assert (response.status_code, response.json()) == (404, {"detail": "Machine not found"})


def test_status_shows_mode_program_block_cycle_time(gate: Gate) -> None:
    status = data_of(gate.http.get(MACHINE + "/status"))
    assert set(status) == {"mode", "program", "block", "cycle_time_s"}
    assert status["mode"] in ("AUTO", "MDI", "JOG", "REF")
    assert isinstance(status["block"], str)
    assert isinstance(status["cycle_time_s"], int)


def test_telemetry_has_every_field_of_the_document(gate: Gate) -> None:
    latest = data_of(gate.http.get(MACHINE + "/telemetry"))
    assert set(latest) == {"timestamp", "machine_id", "data"}
    assert {section: set(fields) for section, fields in latest["data"].items()} == {
        "spindle": {"rpm", "load_percent", "temperature_c", "vibration_mm_s"},
        "axes": {"x", "y", "z"},
        "tool": {"id", "type", "diameter_mm", "wear_percent", "runtime_minutes"},
        "coolant": {"flow_rate_lpm", "temperature_c", "pressure_bar"},
        "power": {"total_kw", "spindle_kw", "servo_kw"},
        "status": {"mode", "program", "block", "cycle_time_s"},
    }
    assert set(latest["data"]["axes"]["x"]) == {"position_mm", "velocity_mm_min"}


def test_telemetry_has_the_source_time_of_the_signals(gate: Gate) -> None:
    gate.play({"Axes/X/ActPos": -123.456789012345}, time_ns=time.time_ns() // 1000 * 1000)
    latest = until(
        lambda: (
            (shown := data_of(gate.http.get(MACHINE + "/telemetry")))["data"]["axes"]["x"]["position_mm"] == -123.456789012345
            and shown
        )
    )
    signal = gate.http.get("/api/v1/machines/CNC-001/signals/Axes/X/ActPos").json()
    assert (signal["value"], signal["source_time"]) == (-123.456789012345, latest["timestamp"])


def test_telemetry_and_history_of_an_unknown_machine_are_null_and_empty(gate: Gate) -> None:
    assert data_of(gate.http.get("/machines/nobody/telemetry")) is None
    assert data_of(gate.http.get("/machines/nobody/history")) == []


def test_telemetry_that_is_sent_in_registers_the_machine(gate: Gate) -> None:
    sent = telemetry("E1")
    assert data_of(gate.http.post("/machines/E1/telemetry", json=sent))["data"] == sent["data"]
    assert data_of(gate.http.get("/machines/E1"))["id"] == "E1"
    assert data_of(gate.http.get("/machines/E1/telemetry"))["data"] == sent["data"]
    assert [shown["data"] for shown in data_of(gate.http.get("/machines/E1/history"))] == [sent["data"]]
    assert data_of(gate.http.get("/machines/E1/status")) == {"mode": None, "program": None, "block": None, "cycle_time_s": None}


def test_history_keeps_the_last_200_in_order(gate: Gate) -> None:
    for number in range(205):
        gate.http.post("/machines/E200/telemetry", json=telemetry("E200", number / 10))
    shown = [entry["data"]["spindle"]["temperature_c"] for entry in data_of(gate.http.get("/machines/E200/history"))]
    assert shown == [number / 10 for number in range(5, 205)]


def test_path_and_body_must_name_the_same_machine(gate: Gate) -> None:
    response = gate.http.post("/machines/E1/telemetry", json=telemetry("E2"))
    assert (response.status_code, response.json()) == (400, {"detail": "Machine ID mismatch"})


@pytest.mark.parametrize(
    "body",
    [
        {**telemetry("E1"), "more": 1},
        {"timestamp": "2026-02-04T10:00:00Z", "machine_id": "E1"},
        {**telemetry("E1"), "timestamp": "yesterday"},
        {**telemetry("E1"), "data": {"spindle": 3}},
        {**telemetry("E1"), "data": {"spindle": {"temperature_c": "hot"}}},
        {**telemetry("E1"), "data": []},
        [],
        "text",
        None,
    ],
)
def test_a_body_that_does_not_fit_is_422(gate: Gate, body: object) -> None:
    response = gate.http.post("/machines/E1/telemetry", json=body)
    assert response.status_code == 422
    assert set(response.json()) == {"detail"}


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_numbers_that_are_not_finite_are_422(gate: Gate, number: str) -> None:
    body = '{"timestamp": "2026-02-04T10:00:00Z", "machine_id": "E1", "data": {"spindle": {"rpm": ' + number + "}}}"
    response = gate.http.post("/machines/E1/telemetry", content=body, headers={"content-type": "application/json"})
    assert response.status_code == 422


def test_a_time_may_be_a_number_and_the_document_says_so(gate: Gate) -> None:
    schema = gate.http.get("/openapi.json").json()["components"]["schemas"]["TelemetryBody"]["properties"]["timestamp"]
    assert [choice["type"] for choice in schema["anyOf"]] == ["string", "number"]
    assert "milliseconds beyond 2e10" in schema["description"]
    for at in (1_770_199_200, 1_770_199_200.0, 1_770_199_200_000, "2026-02-04T10:00:00Z", "2026-02-04T11:00:00+01:00"):
        told = data_of(gate.http.post("/machines/EN/telemetry", json={**telemetry("EN"), "timestamp": at}))
        assert told["timestamp"] == "2026-02-04T10:00:00.000000Z", at


def test_times_with_and_without_zone_mix(gate: Gate) -> None:
    gate.http.post("/machines/E3/telemetry", json=telemetry("E3", 20.0, "2026-02-04T10:00:10"))
    gate.http.post("/machines/E3/telemetry", json=telemetry("E3", 40.0, "2026-02-04T11:00:20+01:00"))
    (bucket,) = data_of(gate.http.post("/machines/E3/aggregate", json={}))["buckets"]
    assert (bucket["count"], bucket["avg_value"]) == (2, 30.0)


COMMANDS = [
    ("start", {}, ("Start", ())),
    ("stop", {}, ("Stop", ())),
    ("pause", {}, ("Hold", ())),
    ("set_speed", {"rpm": 3000}, ("SetSpindleSpeed", (3000.0,))),
    ("set_speed", {"percent": 80}, ("SetSpindleOverride", (80.0,))),
    ("tool_change", {"tool": 5}, ("ChangeTool", (5,))),
    ("tool_change", {"tool": "T05"}, ("ChangeTool", (5,))),
    ("tool_change", {"number": 7}, ("ChangeTool", (7,))),
]


@pytest.mark.parametrize(("command", "params", "called"), COMMANDS)
def test_commands_become_method_calls(gate: Gate, command: str, params: dict, called: tuple) -> None:
    gate.link.states["CNC-001"] = MachineState.IDLE
    answer = data_of(gate.http.post(MACHINE + "/commands", json={"command": command, "params": params}))
    assert {name: answer[name] for name in ("machine_id", "command", "params")} == {
        "machine_id": "CNC-001",
        "command": command,
        "params": params,
    }
    assert gate.link.calls[-1] == ("CNC-001", *called)


@pytest.mark.parametrize(
    "body",
    [
        {"command": "dance"},
        {"params": {}},
        {"command": "start", "more": 1},
        {"command": "set_speed", "params": {}},
        {"command": "set_speed", "params": {"rpm": "fast"}},
        {"command": "set_speed", "params": {"rpm": 1e6}},
        {"command": "set_speed", "params": {"percent": 10}},
        {"command": "tool_change", "params": {"tool": 99}},
        {"command": "tool_change", "params": {"tool": 1.5}},
        {"command": "start", "params": []},
    ],
)
def test_a_command_that_makes_no_sense_is_422(gate: Gate, body: dict) -> None:
    before = len(gate.link.calls)
    assert gate.http.post(MACHINE + "/commands", json=body).status_code == 422
    assert len(gate.link.calls) == before


def test_a_command_the_machine_refuses_says_why(gate: Gate) -> None:
    gate.link.states["CNC-001"] = MachineState.RUNNING
    response = gate.http.post(MACHINE + "/commands", json={"command": "tool_change", "params": {"tool": 5}})
    assert (response.status_code, response.json()) == (409, {"detail": "a program runs"})


def test_a_command_to_an_unknown_machine_is_404_and_to_one_that_only_sends_409(gate: Gate) -> None:
    assert gate.http.post("/machines/nobody/commands", json={"command": "start"}).status_code == 404
    gate.http.post("/machines/E1/telemetry", json=telemetry("E1"))
    assert gate.http.post("/machines/E1/commands", json={"command": "start"}).status_code == 409


@pytest.mark.parametrize(
    ("failure", "status"),
    [
        (MethodFailed(0x801F0000, "BadUserAccessDenied", "no"), 403),
        (ConnectionError("away"), 503),
        (MethodFailed(0x80020000, "BadInternalError", "bug"), 502),
    ],
)
def test_other_failures_of_a_command_have_their_status(gate: Gate, failure: Exception, status: int) -> None:
    gate.link.refusal = failure
    try:
        response = gate.http.post(MACHINE + "/commands", json={"command": "start"})
    finally:
        gate.link.refusal = None
    assert response.status_code == status
    assert set(response.json()) == {"detail"}


@pytest.mark.parametrize("severity", ["low", "medium", "high", "critical", "warning"])
def test_alerts_answer_with_status_and_detail(gate: Gate, severity: str) -> None:
    answer = data_of(gate.http.post(MACHINE + "/alerts", json={"severity": severity, "message": "m"}))
    assert set(answer) == {"status", "detail"}
    assert answer["status"] == "skipped"  # no channel is configured here


@pytest.mark.parametrize(
    "body", [{"severity": "terrible", "message": "m"}, {"severity": "low"}, {"severity": "low", "message": "m", "x": 1}]
)
def test_an_alert_that_does_not_fit_is_422(gate: Gate, body: dict) -> None:
    assert gate.http.post(MACHINE + "/alerts", json=body).status_code == 422


def send_series(gate: Gate, machine_id: str) -> None:
    start = datetime(2026, 2, 4, 10, 0, 30, tzinfo=UTC)
    for minute in range(10):
        at = (start + timedelta(minutes=minute)).isoformat()
        gate.http.post(f"/machines/{machine_id}/telemetry", json=telemetry(machine_id, 30.0 + minute, at))


def test_aggregate_floors_buckets_to_the_epoch(gate: Gate) -> None:
    send_series(gate, "A1")
    buckets = data_of(gate.http.post("/machines/A1/aggregate", json={"metric": "spindle.temperature_c", "windows": ["5min"]}))[
        "buckets"
    ]
    assert buckets == [
        {
            "machine_id": "A1",
            "metric": "spindle.temperature_c",
            "window": "5min",
            "bucket_start": f"2026-02-04T10:{minute:02d}:00.000000Z",
            "count": 5,
            "min_value": 30.0 + minute,
            "max_value": 34.0 + minute,
            "avg_value": 32.0 + minute,
        }
        for minute in (0, 5)
    ]


def test_aggregate_windows_may_be_given_in_each_way(gate: Gate) -> None:
    send_series(gate, "A2")

    def windows(body: dict) -> set[str]:
        return {bucket["window"] for bucket in data_of(gate.http.post("/machines/A2/aggregate", json=body))["buckets"]}

    assert windows({}) == {"1min"}
    assert windows({"windows": []}) == {"1min", "5min", "1hour"}
    assert windows({"windows": ["1hour", "1min"]}) == {"1min", "1hour"}
    assert windows({"window_minutes": 5}) == {"5min"}
    assert windows({"window_minutes": 60, "windows": ["1min"]}) == {"1hour"}
    assert windows({"metric": "no.such"}) == set()


@pytest.mark.parametrize(
    "body", [{"window_minutes": 2}, {"windows": ["2min"]}, {"windows": "1min"}, {"more": 1}, {"window_minutes": "5"}]
)
def test_an_aggregate_that_does_not_fit_is_422(gate: Gate, body: dict) -> None:
    assert gate.http.post("/machines/A1/aggregate", json=body).status_code == 422


def test_aggregate_of_a_machine_of_the_server_comes_from_its_signals(gate: Gate) -> None:
    (*_, bucket) = data_of(gate.http.post(MACHINE + "/aggregate", json={"metric": "spindle.rpm"}))["buckets"]
    assert bucket["count"] >= 1
    assert bucket["min_value"] <= bucket["avg_value"] <= bucket["max_value"]


def test_detect_finds_what_the_old_rules_found(gate: Gate) -> None:
    hot = document(temperature_c=71.0, vibration_mm_s=6.0)
    hot["tool"]["wear_percent"] = 85
    hot["coolant"]["flow_rate_lpm"] = 1
    answer = data_of(gate.http.post("/detect", json={"telemetry": [hot, document()]}))
    assert set(answer) == {"anomalies", "model_not_ready", "processed"}
    assert answer["processed"] == 2
    assert {anomaly["metric"] for anomaly in answer["anomalies"]} == {
        "spindle.temperature_c",
        "spindle.vibration_mm_s",
        "tool.wear_percent",
        "coolant.flow_rate_lpm",
    }
    for anomaly in answer["anomalies"]:
        assert set(anomaly) == {"timestamp", "machine_id", "metric", "value", "severity", "detector", "reason"}
        assert anomaly["severity"] in ("low", "medium", "high")
        assert anomaly["detector"] in ("zscore", "isolation_forest", "rule")
    assert data_of(gate.http.get("/anomalies/M1"))
    assert len(data_of(gate.http.get("/anomalies?limit=2"))) == 2


def test_detect_finds_an_outlier_after_thirty_documents_over_requests(gate: Gate) -> None:
    calm = [document("Z1", vibration_mm_s=1.0 + 0.01 * (number % 3)) for number in range(30)]
    assert data_of(gate.http.post("/detect", json={"telemetry": calm}))["anomalies"] == []
    found = data_of(gate.http.post("/detect", json={"telemetry": [document("Z1", vibration_mm_s=3.0)]}))["anomalies"]
    assert [(anomaly["detector"], anomaly["metric"]) for anomaly in found] == [("zscore", "spindle.vibration_mm_s")]


@pytest.mark.parametrize(
    "change", [{"more": 1}, {"spindle": 3}, {"spindle": {"rpm": 30000}}, {"status": {"mode": "SLEEP", "program": "", "block": ""}}]
)
def test_a_document_that_does_not_fit_is_422(gate: Gate, change: dict) -> None:
    assert gate.http.post("/detect", json={"telemetry": [{**document(), **change}]}).status_code == 422


def test_the_alerting_and_aggregation_services_have_their_own_paths(gate: Gate) -> None:
    alert = {"machine_id": "P1", "severity": "high", "source": "test", "message": "m", "metric": "x", "value": 1.5}
    assert set(data_of(gate.http.post("/alerts", json={**alert, "timestamp": "2026-02-04T10:00:00Z"}))) == {"status", "detail"}
    points = [
        {"machine_id": "P1", "metric": "m", "timestamp": f"2026-02-04T10:00:{second:02d}", "value": second} for second in (1, 2, 59)
    ]
    points.append({"machine_id": "P1", "metric": "m", "timestamp": "2026-02-04T10:01:00+00:00", "value": 7})
    buckets = data_of(gate.http.post("/aggregate", json={"points": points, "windows": ["1min"]}))["buckets"]
    assert [(b["bucket_start"], b["count"], b["min_value"], b["max_value"]) for b in buckets] == [
        ("2026-02-04T10:00:00.000000Z", 3, 1.0, 59.0),
        ("2026-02-04T10:01:00.000000Z", 1, 7.0, 7.0),
    ]
    assert len(data_of(gate.http.post("/aggregate", json={"points": points}))["buckets"]) == 4


def test_metrics_keep_their_old_names(gate: Gate) -> None:
    gate.http.post("/detect", json={"telemetry": [document(temperature_c=80.0)]})
    text = gate.http.get("/metrics").text
    for name in ("anomalies_detected_total", "messages_processed_total", "detection_latency_seconds_bucket"):
        assert f"\n{name}" in text


def test_what_has_not_happened_yet_is_counted_as_zero(tmp_path) -> None:
    with opened(tmp_path, FakeLink(period_s=None)) as gate:
        lines = gate.http.get("/metrics").text.splitlines()
        for series in (
            'anomalies_detected_total{detector="isolation_forest"}',
            'anomalies_detected_total{detector="rule"}',
            'anomalies_detected_total{detector="wear"}',
            'alerts_total{status="sent"}',
            'cnctwin_mqtt_dropped_total{reason="full",sink="events"}',
        ):
            assert f"{series} 0.0" in lines


def test_the_bucket_of_a_key_runs_empty_and_says_when_to_come_back(tmp_path) -> None:
    with opened(tmp_path, FakeLink(), rate_limit_per_min=3, api_keys=("a", "b")) as gate:
        answers = [gate.bare.get("/machines", headers={"x-api-key": "a"}) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
        assert answers[-1].json() == {"detail": "Rate limit exceeded"}
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 20
        assert gate.bare.get("/machines", headers={"x-api-key": "b"}).status_code == 200
        assert gate.bare.get("/health").status_code == 200
