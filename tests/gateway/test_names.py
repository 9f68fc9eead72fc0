"""Machines are called what their server calls them, with signs that paths have a use for."""

from __future__ import annotations

import json
from urllib.parse import quote

import pytest
from fake_link import FakeLink
from gate import SETTINGS_KEY, Gate, data_of, opened, until
from websockets.sync.client import connect

NAMES = ("Fräse A/1", "a%2Fb", "/", "100%", "Mill?#7", "..", "status")


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory):
    with opened(tmp_path_factory.mktemp("gate"), FakeLink(NAMES, period_s=None)) as gate:
        yield gate


@pytest.mark.parametrize("name", NAMES)
def test_a_machine_is_reached_by_its_name_whatever_is_in_it(gate: Gate, name: str) -> None:
    gate.play({"Spindle/ActSpeed": 1200.0, "Machine/State": 1, "Channel/ActProgramName": "O1"}, name)
    part = quote(name, safe="").replace(".", "%2E")
    until(lambda: name in [machine["id"] for machine in gate.http.get("/api/v1/machines").json()])
    assert data_of(gate.http.get(f"/machines/{part}"))["id"] == name
    assert data_of(gate.http.get(f"/machines/{part}/status"))["program"] == "O1"
    assert data_of(gate.http.get(f"/predictions/{part}")) == []
    new = f"/api/v1/machines/{part}"
    assert gate.http.get(f"{new}/signals").json()["machine"] == name
    for signal in ("Spindle/ActSpeed", "Spindle%2FActSpeed"):
        assert gate.http.get(f"{new}/signals/{signal}").json()["value"] == 1200.0
        until(lambda signal=signal: gate.http.get(f"{new}/history/{signal}").json()["points"])
    assert gate.http.get(f"{new}/alarms").json() == []
    sent = {"timestamp": "2026-02-04T10:00:00Z", "machine_id": name, "data": {"spindle": {"rpm": 1.0}}}
    assert data_of(gate.http.post(f"/machines/{part}/telemetry", json=sent))["machine_id"] == name
    assert gate.http.get(f"{new}/conditions").json() == []
    done = gate.http.post(f"{new}/commands/Hold", json={"arguments": {}})
    assert done.json()["machine"] == name
    with connect(
        f"ws://127.0.0.1:{gate.port}/ws/machines/{part}/telemetry?once=1",
        additional_headers={"x-api-key": SETTINGS_KEY},
        proxy=None,
    ) as client:
        assert json.loads(client.recv(5))["machine_id"] == name


def test_a_refusal_names_its_path_as_a_reference(gate: Gate) -> None:
    for path in ("/api/v1/machines/Fr%C3%A4se%20B%2F1/signals", "/api/v1/machines/M1/commands/a:b@c"):
        refused = gate.http.get(path)
        assert refused.status_code in (404, 405)
        assert refused.json()["instance"] == path
