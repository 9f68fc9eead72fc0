"""The embedded broker, for real: who reads, and that only the gateway writes."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from cnctwin import broker
from cnctwin.errors import StartError
from cnctwin.secrets import Login, Vault
from cnctwin.settings import Settings, load
from tests.harness import free_ports, wait_for

KINDS = ("mosquitto", "nats")


def login_of(data: Path, program: str) -> Login:
    login = Vault(data).login(program)
    assert login is not None
    return login


def client(port: int, login: Login | None = None) -> mqtt.Client:
    made = mqtt.Client(CallbackAPIVersion.VERSION2)
    if login is not None:
        made.username_pw_set(login.user, login.password)
    made.connect("127.0.0.1", port)
    made.loop_start()
    wait_for(made.is_connected, "connected to the broker")
    return made


@contextmanager
def started(kind: str, data: Path, **options: object) -> Iterator[tuple[int, subprocess.Popen[bytes], Settings]]:
    """A broker of this kind; skips the test where there is none."""
    (port,) = free_ports(1)
    Vault(data).ensure()
    settings = load({"data": data, "embedded_broker": kind, "mqtt_port": port, **options})
    try:
        command = broker.command(settings)
    except StartError as error:
        pytest.skip(str(error))
    assert command is not None
    assert command.ready is not None
    process = subprocess.Popen(command.arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        wait_for(command.ready, "the broker accepts")
        yield port, process, settings
    finally:
        process.terminate()
        process.wait(10)


def answer(port: int, login: Login | None) -> str:
    """What a broker says to somebody who wants to come in."""
    told: list[str] = []
    made = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
    made.on_connect = lambda _client, _data, _flags, reason, _properties: told.append(str(reason))
    made.on_disconnect = lambda _client, _data, _flags, reason, _properties: told.append(str(reason))
    if login is not None:
        made.username_pw_set(login.user, login.password)
    made.connect("127.0.0.1", port)
    made.loop_start()
    wait_for(lambda: told, "an answer of the broker")
    made.disconnect()
    made.loop_stop()
    return told[0]


@pytest.mark.parametrize("kind", KINDS)
def test_on_loopback_everybody_reads_and_only_the_gateway_writes(kind: str, tmp_path: Path) -> None:
    with started(kind, tmp_path) as (port, _process, _settings):
        _reads_and_writes(port, None, login_of(tmp_path, "broker"))


@pytest.mark.parametrize("kind", KINDS)
def test_where_trust_is_required_readers_log_in_and_new_passwords_hold_at_once(kind: str, tmp_path: Path) -> None:
    with started(kind, tmp_path, require_trust=True) as (port, process, settings):
        reader = login_of(tmp_path, "reader")
        assert "uthori" in answer(port, None)
        assert "uthori" in answer(port, Login("reader", "guessed"))
        _reads_and_writes(port, reader, login_of(tmp_path, "broker"))
        new = Vault(tmp_path).renew().reader
        broker.command(settings)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: answer(port, new) == "Success", "the new password opens")
        assert "uthori" in answer(port, reader)


def test_on_a_network_readers_log_in(tmp_path: Path) -> None:
    Vault(tmp_path).ensure()
    here = {"data": tmp_path, "embedded_broker": "mosquitto"}
    try:
        broker.command(load({**here, "host": "0.0.0.0"}))
    except StartError as error:
        pytest.skip(str(error))
    assert "allow_anonymous false" in (tmp_path / "broker" / "mosquitto.conf").read_text().splitlines()
    broker.command(load(here))
    assert "allow_anonymous true" in (tmp_path / "broker" / "mosquitto.conf").read_text().splitlines()


def _reads_and_writes(port: int, as_reader: Login | None, as_gateway: Login) -> None:
    seen: list[tuple[str, bytes]] = []
    subscribed: list[int] = []
    reader = client(port, as_reader)
    reader.on_message = lambda _client, _data, message: seen.append((message.topic, message.payload))
    reader.on_subscribe = lambda *_: subscribed.append(1)
    reader.subscribe("dt/#", qos=1)
    wait_for(lambda: subscribed, "subscribed")
    stranger, gateway = client(port, as_reader), client(port, as_gateway)
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


@pytest.mark.parametrize("group", [None, "plant"])
def test_readers_leave_nothing_in_the_broker_but_a_request_to_our_own_edge_node(group: str | None, tmp_path: Path) -> None:
    """Any topic that everybody may write is any number of them: 150 retained messages of nobody took 145 MB, and the disk."""
    with started("mosquitto", tmp_path, sparkplug_group=group, sparkplug_node="edge") as (port, _process, _settings):
        stranger, gateway = client(port), client(port, login_of(tmp_path, "broker"))
        for topic in ("spBv1.0/plant/NCMD/edge", "spBv1.0/plant/NCMD/other", "spBv1.0/x/NCMD/edge", "spBv1.0/plant/DCMD/edge"):
            stranger.publish(topic, b"kept", qos=1, retain=True).wait_for_publish(10)
        gateway.publish("spBv1.0/last", b"end", qos=1, retain=True).wait_for_publish(10)
        kept: list[str] = []
        reader = client(port)
        reader.on_message = lambda _client, _data, message: kept.append(message.topic)
        reader.subscribe("spBv1.0/#", qos=1)
        try:
            wait_for(lambda: "spBv1.0/last" in kept, "what is retained arrives")
            assert sorted(kept) == ["spBv1.0/last", *(["spBv1.0/plant/NCMD/edge"] if group else [])]
        finally:
            for each in (reader, stranger, gateway):
                each.disconnect()
                each.loop_stop()


def test_a_damaged_memory_of_mosquitto_is_set_aside(tmp_path: Path) -> None:
    Vault(tmp_path).ensure()
    (port,) = free_ports(1)
    try:
        command = broker.command(load({"data": tmp_path, "embedded_broker": "mosquitto", "mqtt_port": port}))
    except StartError as error:
        pytest.skip(str(error))
    assert command is not None
    assert command.mend is not None
    (tmp_path / "broker" / "mosquitto.db").write_bytes(b"torn")
    done = subprocess.run(command.arguments, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode != 0
    assert command.mend("another trouble") == ""
    assert "mosquitto.db: damaged; set aside as mosquitto-" in command.mend(done.stderr)
    assert [path.read_bytes() for path in (tmp_path / "broker").glob("mosquitto-*-damaged.db")] == [b"torn"]


def test_a_configured_broker_means_that_none_is_started(tmp_path: Path) -> None:
    assert broker.command(load({"data": tmp_path, "mqtt_broker": "mq.example"})) is None
    assert broker.command(load({"data": tmp_path, "embedded_broker": "none"})) is None


def test_no_broker_to_be_had_is_one_clear_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Vault(tmp_path).ensure()
    monkeypatch.setattr("cnctwin.broker._mosquitto", lambda: None)
    monkeypatch.setattr("cnctwin.broker._nats", lambda: None)
    with pytest.raises(StartError, match="install mosquitto"):
        broker.command(load({"data": tmp_path}))
