"""The ports of the first services: bare answers, no key, each with its health."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import httpx
import pytest
from fake_link import FakeLink
from gate import Gate, opened
from test_first_surface import document
from test_predictions import HEALTH, RUL


def four_free_ports() -> int:
    for first in range(20100, 60000, 4):
        try:
            for port in range(first, first + 4):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            continue
        return first
    raise AssertionError("no four free ports in a row")


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Gate, list[httpx.Client]]]:
    first = four_free_ports()
    with opened(tmp_path_factory.mktemp("compat"), FakeLink(), compat_ports=f"{first}-{first + 3}") as gate:
        clients = [httpx.Client(base_url=f"http://127.0.0.1:{first + n}", timeout=10.0) for n in range(4)]
        yield gate, clients
        for client in clients:
            client.close()


def test_each_has_its_health_without_a_key(old) -> None:
    for client in old[1]:
        assert client.get("/health").json() == {"status": "ok"}


def test_detection_answers_bare(old) -> None:
    anomaly = old[1][0]
    answer = anomaly.post("/detect", json={"telemetry": [document(temperature_c=75.0)]}).json()
    assert set(answer) == {"anomalies", "model_not_ready", "processed"}
    assert isinstance(anomaly.get("/anomalies?limit=1").json(), list)
    assert "anomalies_detected_total" in anomaly.get("/metrics").text


def test_predictions_are_a_bare_list_without_and_an_envelope_with_key(old) -> None:
    gate, (_, maintenance, _, _) = old
    rul = maintenance.post("/predict/tool-rul", json=RUL).json()
    assert {"minutes_remaining", "confidence"} <= set(rul)
    assert {"health_score", "days_to_maintenance"} <= set(maintenance.post("/predict/spindle-health", json=HEALTH).json())
    assert maintenance.post("/predict/maintenance-schedule", json=RUL).json()["predictions"]
    records = maintenance.get("/predictions/P1").json()
    assert isinstance(records, list)
    assert gate.http.get("/predictions/P1").json()["data"] == records
    assert gate.bare.get("/predictions/P1").status_code == 401


def test_alerting_and_aggregation_answer_bare(old) -> None:
    _, (_, _, alerting, aggregation) = old
    body = {"machine_id": "P1", "severity": "high", "source": "s", "message": "m"}
    assert set(alerting.post("/alerts", json=body).json()) == {"status", "detail"}
    points = [{"machine_id": "P1", "metric": "m", "timestamp": "2026-02-04T10:00:00Z", "value": 1}]
    assert len(aggregation.post("/aggregate", json={"points": points, "windows": []}).json()["buckets"]) == 3
    assert aggregation.post("/aggregate", json={"points": points, "more": 1}).status_code == 422


def test_a_key_that_is_sent_anyway_is_not_looked_at(old) -> None:
    _, (anomaly, *_) = old
    assert anomaly.get("/anomalies", headers={"x-api-key": "whatever"}).status_code == 200


def test_no_other_path_of_the_gateway_is_open_there(old) -> None:
    for client in old[1]:
        for path in ("/machines", "/api/v1/machines", "/"):
            assert client.get(path).status_code == 404
