"""The embedded broker, for real: everybody reads, only the gateway writes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cnctwin import broker
from cnctwin.errors import StartError
from cnctwin.secrets import Login, Vault
from cnctwin.settings import load
from tests.harness import free_ports, wait_for


def client(port: int, login: Login | None = None) -> mqtt.Client:
    made = mqtt.Client(CallbackAPIVersion.VERSION2)
    if login is not None:
        made.username_pw_set(login.user, login.password)
    made.connect("127.0.0.1", port)
    made.loop_start()
    wait_for(made.is_connected, "connected to the broker")
    return made


@pytest.fixture(params=["mosquitto", "nats"])
def started(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[int, Login]]:
    (port,) = free_ports(1)
    vault = Vault(tmp_path)
    vault.ensure()
    try:
        command = broker.command(load({"data": tmp_path, "embedded_broker": request.param, "mqtt_port": port}))
    except StartError as error:
        pytest.skip(str(error))
    assert command is not None
    assert command.ready is not None
    login = vault.login("broker")
    assert login is not None
    process = subprocess.Popen(command.arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(command.ready, "the broker accepts")
        yield port, login
    finally:
        process.terminate()
        process.wait(10)


def test_everybody_reads_and_only_the_gateway_writes(started: tuple[int, Login]) -> None:
    port, login = started
    seen: list[tuple[str, bytes]] = []
    subscribed: list[int] = []
    reader = client(port)
    reader.on_message = lambda _client, _data, message: seen.append((message.topic, message.payload))
    reader.on_subscribe = lambda *_: subscribed.append(1)
    reader.subscribe("dt/#", qos=1)
    wait_for(lambda: subscribed, "subscribed")
    stranger, gateway = client(port), client(port, login)
    try:
        stranger.publish("dt/cnc/CNC-001/telemetry", b"forged", qos=1)
        gateway.publish("dt/cnc/CNC-001/telemetry", b"true", qos=1).wait_for_publish(10)
        wait_for(lambda: seen, "the gateway's message arrives")
        gateway.publish("dt/last", b"end", qos=1).wait_for_publish(10)
        wait_for(lambda: seen[-1] == ("dt/last", b"end"), "the last message arrives")
        assert seen == [("dt/cnc/CNC-001/telemetry", b"true"), ("dt/last", b"end")]
    finally:
        for each in (reader, stranger, gateway):
            each.disconnect()
            each.loop_stop()


def test_a_configured_broker_means_that_none_is_started(tmp_path: Path) -> None:
    assert broker.command(load({"data": tmp_path, "mqtt_broker": "mq.example"})) is None
    assert broker.command(load({"data": tmp_path, "embedded_broker": "none"})) is None


def test_no_broker_to_be_had_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Vault(tmp_path).ensure()
    monkeypatch.setattr("cnctwin.broker._mosquitto", lambda: None)
    monkeypatch.setattr("cnctwin.broker._nats", lambda: None)
    with pytest.raises(StartError, match="install mosquitto"):
        broker.command(load({"data": tmp_path}))
