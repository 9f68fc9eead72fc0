"""Alerts: sent, queued, skipped; told once; kept over a restart; and never in the way of telemetry."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from fake_link import FakeLink
from gate import Gate, opened, until

from cnctwin.errors import ConfigurationError
from cnctwin.settings import Settings
from gateway.alerts.channels import channels_of

APPRISE_USES_OLD_MODULES = pytest.mark.filterwarnings("default::DeprecationWarning")


class Webhook(ThreadingHTTPServer):
    """Takes what is posted; answers ``status``."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.texts: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/services/x"


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Webhook)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.server.status == 200:
            self.server.texts.append(body.get("text", body.get("message")))
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def raise_alert(gate: Gate, message: str, severity: str = "high") -> dict:
    return gate.http.post("/machines/CNC-001/alerts", json={"severity": severity, "message": message}).json()["data"]


def test_an_alert_is_sent_once_and_its_repetition_skipped(tmp_path: Path, webhook: Webhook) -> None:
    with opened(tmp_path, slack_webhook_url=webhook.url) as gate:
        assert raise_alert(gate, "door open")["status"] == "sent"
        assert raise_alert(gate, "door open")["status"] == "skipped"
        assert raise_alert(gate, "door open", "critical")["status"] == "sent"
    assert webhook.texts == ["[HIGH] CNC-001: door open", "[CRITICAL] CNC-001: door open"]


def test_an_alert_that_cannot_be_sent_is_queued_kept_over_a_restart_and_sent_later(
    tmp_path: Path, webhook: Webhook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.alerts.alerts.RETRY_S", (0.1, 0.1, 0.1))
    monkeypatch.setattr("gateway.alerts.alerts.ROUND_S", 0.1)
    webhook.status = 500
    with opened(tmp_path, slack_webhook_url=webhook.url) as gate:
        answer = raise_alert(gate, "spindle hot")
        assert answer["status"] == "queued"
        assert "500" in answer["detail"]
    webhook.status = 200
    with opened(tmp_path, slack_webhook_url=webhook.url):
        until(lambda: webhook.texts == ["[HIGH] CNC-001: spindle hot"])


@APPRISE_USES_OLD_MODULES
def test_other_services_are_told_by_apprise(tmp_path: Path, webhook: Webhook) -> None:
    pytest.importorskip("apprise", reason="the extra `alerts` is not installed")
    url = f"json://127.0.0.1:{webhook.server_port}"
    with opened(tmp_path, alert_urls=(url,)) as gate:
        assert raise_alert(gate, "door open")["status"] == "sent"
    assert len(webhook.texts) == 1


@APPRISE_USES_OLD_MODULES
def test_an_address_that_nobody_knows_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="address 1"):
        channels_of(Settings(data=tmp_path, alert_urls=("nobody://here",)))


def test_telemetry_at_the_critical_temperature_raises_an_alert(tmp_path: Path, webhook: Webhook) -> None:
    def sent(temperature_c: float) -> dict:
        return {"timestamp": "2026-02-04T10:00:00Z", "machine_id": "E1", "data": {"spindle": {"temperature_c": temperature_c}}}

    with opened(tmp_path, slack_webhook_url=webhook.url) as gate:
        assert gate.http.post("/machines/E1/telemetry", json=sent(89.99)).status_code == 200
        assert gate.http.post("/machines/E1/telemetry", json=sent(90)).status_code == 200
        until(lambda: webhook.texts)
        assert webhook.texts == ["[CRITICAL] E1: Spindle temperature crossed critical threshold (spindle.temperature_c = 90)"]


def test_telemetry_is_taken_in_although_alerting_is_down(tmp_path: Path) -> None:
    sent = {"timestamp": "2026-02-04T10:00:00Z", "machine_id": "E1", "data": {"spindle": {"temperature_c": 99}}}
    with opened(tmp_path, slack_webhook_url="http://127.0.0.1:1/x") as gate:
        assert gate.http.post("/machines/E1/telemetry", json=sent).status_code == 200
        until(lambda: 'alerts_total{status="queued"} 1.0' in gate.http.get("/metrics").text)


def test_a_spindle_of_the_server_alerts_when_it_gets_critical_and_again_after_it_cooled(tmp_path: Path, webhook: Webhook) -> None:
    link = FakeLink(period_s=None)
    with opened(tmp_path, link, slack_webhook_url=webhook.url, critical_spindle_temp_c=70.0) as gate:
        for temperature in (60.0, 70.0, 71.0, 69.0, 70.5):
            gate.play({"Spindle/Temperature": temperature})
        until(lambda: webhook.texts)
        gate.play({"Spindle/Temperature": 50.0})
        gate.play({"Spindle/Temperature": 75.0})
        until(lambda: 'alerts_total{status="skipped"} 1.0' in gate.http.get("/metrics").text)
    assert len(webhook.texts) == 1  # the second one came within five minutes
