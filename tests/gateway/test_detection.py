"""Detection on telemetry documents: a forest is learned from what was stored or sent in, and there is none before that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_link import FakeLink
from gate import Gate, data_of, opened, until
from test_first_surface import document

from cnctwin.reading import iso
from gateway.twin.detection import Detection
from gateway.twin.forest import FIELDS, FIRST, MOST, Forests, row_of, unpack

BATCH = 60


def healthy(rng: np.random.Generator, machine_id: str = "M1") -> dict[str, Any]:
    """A mill that cuts two times out of three: loads, power and vibration rise together."""
    cut = float(rng.random() < 0.67)
    n = rng.standard_normal(9)
    made = document(machine_id, rpm=8000 + 20 * n[0], load_percent=10 + 30 * cut + 2 * n[1])
    made["spindle"] |= {"temperature_c": 40 + 0.5 * n[2], "vibration_mm_s": (0.6 + 0.6 * cut) * float(np.exp(0.1 * n[3]))}
    made["coolant"] = {"flow_rate_lpm": 18 + 0.4 * n[4], "temperature_c": 25 + 0.3 * n[5], "pressure_bar": 6 + 0.1 * n[6]}
    made["power"] = {"total_kw": 4 + 5 * cut + 0.3 * n[7], "spindle_kw": 1 + 5 * cut + 0.2 * n[8], "servo_kw": 0.5}
    return made


def faulty(rng: np.random.Generator, machine_id: str = "M1") -> dict[str, Any]:
    """No limit of old is broken: the coolant weakens, and the spindle shakes and warms more than its load explains."""
    made = healthy(rng, machine_id)
    made["spindle"] |= {"vibration_mm_s": 4.5, "temperature_c": 60}
    made["coolant"] |= {"flow_rate_lpm": 7, "pressure_bar": 2.5}
    return made


def taught(forests: Forests, rng: np.random.Generator, machine_id: str = "M1", count: int = FIRST) -> None:
    for _ in range(count):
        forests.learn(machine_id, healthy(rng, machine_id))
    work = forests.training(machine_id)
    assert work is not None
    forests.adopt(machine_id, work())


def by_forest(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [anomaly for anomaly in found if anomaly["detector"] == "isolation_forest"]


def test_there_is_no_model_before_enough_was_seen_and_one_machine_is_not_another() -> None:
    forests, rng = Forests(1), np.random.default_rng(1)
    detection = Detection(forests)
    assert not detection.detect([healthy(rng)]).has_model
    assert not any(forests.learn("M1", healthy(rng)) for _ in range(FIRST - 1))
    assert forests.training("M1") is None
    assert forests.learn("M1", healthy(rng))
    assert not detection.detect([healthy(rng)]).has_model
    work = forests.training("M1")
    assert work is not None
    forests.adopt("M1", work())
    assert detection.detect([healthy(rng)]).has_model
    assert not detection.detect([healthy(rng), healthy(rng, "M2")]).has_model


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_faults_below_every_limit_are_isolated_and_health_is_not(seed: int) -> None:
    forests, rng = Forests(seed), np.random.default_rng(seed)
    taught(forests, rng)
    detection = Detection(forests)
    calm = by_forest(detection.detect([healthy(rng) for _ in range(1000)]).anomalies)
    assert len(calm) <= 10
    found = by_forest(Detection(forests).detect([faulty(rng) for _ in range(30)]).anomalies)
    assert len(found) >= 28
    assert {anomaly["metric"] for anomaly in found} <= {
        "spindle.vibration_mm_s",
        "spindle.temperature_c",
        "coolant.flow_rate_lpm",
        "coolant.pressure_bar",
    }


def test_what_breaks_a_limit_is_not_learned() -> None:
    forests, rng = Forests(1), np.random.default_rng(1)
    hot = healthy(rng)
    hot["spindle"]["temperature_c"] = 75
    assert not any(forests.learn("M1", hot) for _ in range(2 * FIRST))


def test_documents_with_holes_are_learned_and_judged_by_the_rest() -> None:
    forests, rng = Forests(1), np.random.default_rng(1)

    def holed(made: dict[str, Any]) -> dict[str, Any]:
        made["power"] = {}
        made["spindle"]["load_percent"] = None
        return made

    for _ in range(FIRST):
        forests.learn("M1", holed(healthy(rng)))
    work = forests.training("M1")
    assert work is not None
    model = work()
    assert model.anomaly(row_of(holed(healthy(rng)))) is None
    assert model.anomaly(row_of(faulty(rng))) is not None
    assert np.isnan(row_of({})).all()
    forests.learn("M2", {"spindle": {"rpm": 1}})
    assert forests.training("M2") is None


def test_a_forest_is_grown_again_as_more_is_seen_and_keeps_few_rows() -> None:
    forests, rng = Forests(1), np.random.default_rng(1)
    grown = []
    for number in range(1, 2 * MOST):
        if forests.learn("M1", healthy(rng)):
            work = forests.training("M1")
            assert work is not None
            grown.append(number)
    assert grown == [FIRST, 2 * FIRST, 4 * FIRST, 8 * FIRST, 8 * FIRST + 8 * FIRST]
    known = forests.of("M1")
    assert known is not None
    assert len(unpack(known.pack())._rows) <= MOST


def test_a_stored_forest_judges_as_before_and_a_damaged_one_is_refused() -> None:
    forests, rng = Forests(1), np.random.default_rng(1)
    taught(forests, rng)
    one = forests.of("M1")
    assert one is not None
    content = one.pack()
    again = unpack(content)
    assert one.model is not None
    assert again.model is not None
    for made in (healthy(rng), faulty(rng)):
        assert again.model.anomaly(row_of(made)) == one.model.anomaly(row_of(made))
    for wrong in (b"", b"no file", content[:200]):
        with pytest.raises(ValueError):
            unpack(wrong)


def teach(gate: Gate, rng: np.random.Generator, machine_id: str) -> None:
    """Send documents until there is a model; the model says itself when that is."""
    for _ in range(0, FIRST, BATCH):
        answer = data_of(gate.http.post("/detect", json={"telemetry": [healthy(rng, machine_id) for _ in range(BATCH)]}))
        assert answer["model_not_ready"] is True
        assert by_forest(answer["anomalies"]) == []
    until(lambda: not data_of(gate.http.post("/detect", json={"telemetry": [healthy(rng, machine_id)]}))["model_not_ready"])


def test_detect_says_that_it_has_no_model_then_finds_injected_anomalies_also_after_a_restart(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    with opened(tmp_path, FakeLink(period_s=None)) as gate:
        teach(gate, rng, "M1")
        for place in ("before", "after"):
            answer = data_of(gate.http.post("/detect", json={"telemetry": [faulty(rng) for _ in range(10)]}))
            assert answer["model_not_ready"] is False, place
            assert len(by_forest(answer["anomalies"])) >= 9, place
            calm = data_of(gate.http.post("/detect", json={"telemetry": [healthy(rng) for _ in range(BATCH)]}))
            assert len(by_forest(calm["anomalies"])) <= 2, place
        shown = data_of(gate.http.get("/anomalies/M1"))
        assert by_forest(shown)
        assert set(by_forest(shown)[0]) == {"timestamp", "machine_id", "metric", "value", "severity", "detector", "reason"}
        assert gate.metric('anomalies_detected_total{detector="isolation_forest"}') >= 9
    with opened(tmp_path, FakeLink(period_s=None)) as gate:
        answer = data_of(gate.http.post("/detect", json={"telemetry": [faulty(rng) for _ in range(10)]}))
        assert answer["model_not_ready"] is False
        assert len(by_forest(answer["anomalies"])) >= 9


def test_telemetry_that_is_watched_or_sent_in_is_learned_from(tmp_path: Path) -> None:
    link, rng = FakeLink(period_s=None), np.random.default_rng(1)
    with opened(tmp_path, link) as gate:
        start = 1_780_000_000_000_000_000
        for number in range(FIRST + 1):
            gate.play(
                {**link.moment("CNC-001"), "Spindle/ActLoad": float(rng.uniform(5, 50))}, time_ns=start + number * 1_000_000_000
            )
        ask = {"telemetry": [healthy(rng, "CNC-001")]}
        until(lambda: not data_of(gate.http.post("/detect", json=ask))["model_not_ready"])
        for number in range(FIRST + 1):
            made = healthy(rng, "E9")
            data = {section: made[section] for section in ("spindle", "coolant", "power")}
            body = {"timestamp": iso(start + number * 1_000_000_000), "machine_id": "E9", "data": data}
            assert gate.http.post("/machines/E9/telemetry", json=body).status_code == 200
        ask = {"telemetry": [healthy(rng, "E9")]}
        until(lambda: not data_of(gate.http.post("/detect", json=ask))["model_not_ready"])


def test_every_field_of_a_forest_is_in_the_document() -> None:
    assert not np.isnan(row_of(document())).any()
    assert len(set(FIELDS)) == len(FIELDS)
