"""The embedded broker over TLS, for real: who gets in and sees what, and what is said of files that will not do."""

from __future__ import annotations

import signal
import ssl
import subprocess
from pathlib import Path

import paho.mqtt.client as mqtt
import pytest
from cryptography.hazmat.primitives import serialization
from paho.mqtt.enums import CallbackAPIVersion

from cnctwin import broker, preflight
from cnctwin.errors import ConfigurationError, StartError
from cnctwin.secrets import Vault
from cnctwin.settings import load
from cnctwin.tls import of_broker
from tests.cnctwin.test_broker import KINDS, login_of, started
from tests.gateway.tls_files import make_certificates
from tests.harness import wait_for


def pair(folder: Path) -> dict[str, Path]:
    return {"broker_cert_path": folder / "cert.pem", "broker_key_path": folder / "key.pem"}


def shown(port: int) -> str:
    """The certificate that whoever listens there shows."""
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=20)


@pytest.mark.parametrize("kind", KINDS)
def test_readers_come_over_tls_alone_and_a_renewed_certificate_is_shown_at_once(kind: str, tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with started(kind, tmp_path, require_trust=True, **pair(tmp_path)) as (port, process, settings):
        heard: list[bytes] = []
        subscribed: list[int] = []
        login = login_of(tmp_path, "reader")
        reader = mqtt.Client(CallbackAPIVersion.VERSION2)
        reader.tls_set(str(tmp_path / "ca.pem"))
        reader.username_pw_set(login.user, login.password)
        reader.on_message = lambda _client, _data, message: heard.append(message.payload)
        reader.on_subscribe = lambda *_: subscribed.append(1)
        reader.on_connect = lambda client, *_: client.subscribe("dt/#", 1)
        reader.connect("127.0.0.1", port)
        reader.loop_start()
        wait_for(lambda: subscribed, "subscribed over TLS")
        _publish(port, login_of(tmp_path, "broker"), tmp_path / "ca.pem")
        wait_for(lambda: heard == [b"true"], "the gateway's message arrives")
        reader.disconnect()
        reader.loop_stop()

        refused: list[bool] = []
        plain = mqtt.Client(CallbackAPIVersion.VERSION2, reconnect_on_failure=False)
        plain.username_pw_set(login.user, login.password)
        plain.on_disconnect = lambda *_: refused.append(not plain.is_connected())
        plain.connect("127.0.0.1", port)
        plain.loop_start()
        wait_for(lambda: refused, "somebody without TLS is sent away")
        assert refused == [True]
        plain.loop_stop()

        before = shown(port)
        make_certificates(tmp_path)
        broker.command(settings)
        process.send_signal(signal.SIGHUP)
        wait_for(lambda: shown(port) != before, "the new certificate is shown")
        assert shown(port).split() == (tmp_path / "cert.pem").read_text().split()


def _publish(port: int, login: object, ca: Path) -> None:
    writer = mqtt.Client(CallbackAPIVersion.VERSION2)
    writer.tls_set(str(ca))
    writer.username_pw_set(login.user, login.password)  # type: ignore[attr-defined]
    writer.connect("127.0.0.1", port)
    writer.loop_start()
    wait_for(writer.is_connected, "the gateway is connected")
    writer.publish("dt/cnc/CNC-001/telemetry", b"true", qos=1).wait_for_publish(20)
    writer.disconnect()
    writer.loop_stop()


def test_files_that_will_not_do_are_named(tmp_path: Path) -> None:
    given = load({"data": tmp_path, **pair(tmp_path)})
    with pytest.raises(ConfigurationError, match=r"cert\.pem: cannot be read: No such file"):
        of_broker(given)
    make_certificates(tmp_path)
    key = (tmp_path / "key.pem").read_bytes()
    made = of_broker(given)
    assert made is not None
    assert made.key == (tmp_path / "key.pem").resolve()

    private = serialization.load_pem_private_key(key, None)
    locked = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"word")
    )
    (tmp_path / "key.pem").write_bytes(locked)
    with pytest.raises(ConfigurationError, match=r"broker_key_path .*key\.pem: is locked by a passphrase"):
        of_broker(given)
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(ConfigurationError, match=r"key\.pem: not a certificate and its key in PEM"):
        of_broker(given)
    make_certificates(tmp_path)
    (tmp_path / "key.pem").write_bytes(key)
    with pytest.raises(ConfigurationError, match="the key is of another certificate"):
        of_broker(given)
    make_certificates(tmp_path, valid_s=-60.0)
    with pytest.raises(ConfigurationError, match=r"broker_cert_path .*cert\.pem: ended on .* renew it"):
        of_broker(given)


def test_what_stands_in_the_way_of_tls_is_told_before_anything_is_started(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="broker_cert_path and broker_key_path: give both or none"):
        load({"data": tmp_path, "broker_cert_path": tmp_path / "cert.pem"})
    http = {"http_cert_path": tmp_path / "a.pem", "http_key_path": tmp_path / "b.pem"}
    with pytest.raises(StartError) as told:
        preflight.check(load({"data": tmp_path, **pair(tmp_path), **http}))
    lines = str(told.value).splitlines()
    assert [line for line in lines if "a.pem: cannot be read" in line]
    assert [line for line in lines if "cert.pem: cannot be read" in line]
    (tmp_path / "ca.pem").write_text("none")
    with pytest.raises(StartError, match=r"mqtt_ca_path .*ca\.pem: not a certificate in PEM"):
        preflight.check(load({"data": tmp_path, "mqtt_broker": "mq", "mqtt_use_tls": True, "mqtt_ca_path": tmp_path / "ca.pem"}))
    with pytest.raises(StartError, match="mqtt_use_tls: the broker that is started needs broker_cert_path"):
        preflight.check(load({"data": tmp_path, "mqtt_use_tls": True}))


def test_a_container_s_broker_has_copies_of_its_own_and_asks_itself_in_clear(tmp_path: Path) -> None:
    Vault(tmp_path).ensure()
    make_certificates(tmp_path)
    folder = tmp_path / "broker"
    broker.for_container(load({"data": tmp_path, **pair(tmp_path)}), folder, 1883, is_open=False)
    lines = (folder / "mosquitto.conf").read_text().splitlines()
    # What follows a listener is of that listener.
    assert lines[:2] == ["listener 11883 127.0.0.1", "listener 1883 0.0.0.0"]
    assert f"certfile {folder.resolve()}/cert.pem" in lines
    assert f"keyfile {folder.resolve()}/key.pem" in lines
    assert "-p 11883" in (folder / "mosquitto_sub").read_text().splitlines()
    assert (folder / "key.pem").stat().st_mode & 0o077 == 0
    assert (folder / "key.pem").read_bytes() == (tmp_path / "key.pem").read_bytes()


def test_mosquitto_s_own_client_reads_over_tls(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with started("mosquitto", tmp_path, **pair(tmp_path)) as (port, _process, _settings):
        ask = ["mosquitto_sub", "-h", "127.0.0.1", "-p", str(port), "-t", "$SYS/broker/version", "-C", "1", "-W", "20"]
        try:
            read = subprocess.run(
                [*ask, "--cafile", str(tmp_path / "ca.pem")], capture_output=True, text=True, timeout=60, check=False
            )
        except FileNotFoundError:
            pytest.skip("no mosquitto_sub here: install mosquitto's clients to run this test")
        assert "mosquitto version" in read.stdout
