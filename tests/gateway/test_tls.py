"""REST, WebSocket and page over TLS: what a client sees, and what is said of files that are none."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from fake_link import FakeLink
from gate import Gate, opened, until
from tls_files import make_certificates
from websockets.sync.client import connect

from cnctwin.errors import ConfigurationError
from cnctwin.settings import Settings, load
from gateway.api import doorstep, server
from gateway.api.server import tls_of


def settings(folder: Path) -> dict[str, Path]:
    return {"http_cert_path": folder / "cert.pem", "http_key_path": folder / "key.pem"}


def test_everything_is_served_over_tls_and_the_session_stays_in_it(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    with opened(tmp_path / "data", FakeLink(), **settings(tmp_path)) as gate:
        assert gate.base.startswith("https://")
        answer = gate.bare.post("/api/v1/login", json={"user": "operator", "password": gate.password["operator"]})
        assert answer.status_code == 200
        assert "secure" in answer.headers["set-cookie"].lower()
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))
        with connect(gate.base.replace("https", "wss") + "/api/v1/stream", ssl=context) as stream:
            stream.send(json.dumps({"machines": None, "signals": None, "max_hz": 5}))
            assert json.loads(stream.recv(20))["type"] == "snapshot"
        with socket.create_connection(("127.0.0.1", gate.port), 10) as plain:
            plain.settimeout(20)
            plain.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b"HTTP/1.1" not in plain.recv(1000)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(tmp_path / "ca.pem")
        old.set_ciphers("AES128-SHA256:AES256-GCM-SHA384")  # without forward secrecy
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with socket.create_connection(("127.0.0.1", gate.port), 10) as raw, pytest.raises((ssl.SSLError, ConnectionError)):
            old.wrap_socket(raw, server_hostname="127.0.0.1")


def test_files_that_are_no_certificate_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"cert\.pem: cannot be read: No such file"):
        tls_of(Settings(data=tmp_path, **settings(tmp_path)))
    make_certificates(tmp_path)
    (tmp_path / "key.pem").write_text("no key")
    with pytest.raises(ConfigurationError, match=r"key\.pem: not a certificate and its key in PEM"):
        tls_of(Settings(data=tmp_path, **settings(tmp_path)))
    with pytest.raises(ConfigurationError, match="http_cert_path and http_key_path: give both or none"):
        load({"data": tmp_path, "http_cert_path": tmp_path / "cert.pem"})


def test_a_handshake_that_does_not_end_is_not_waited_for_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificates(tmp_path)
    monkeypatch.setattr(server, "HEADER_S", 2.0)  # a handshake takes as long as the machine is busy
    with opened(tmp_path / "data", FakeLink(), **settings(tmp_path)) as gate:
        with socket.create_connection(("127.0.0.1", gate.port), 10) as silent:
            silent.settimeout(40)  # the loop itself waits for a minute
            silent.sendall(b"\x16\x03\x01")
            assert silent.recv(100) == b""
        assert gate.bare.get("/health").status_code == 200


def _begun(gate: Gate, address: str) -> socket.socket:
    """A connection from an address of this machine that begins a handshake and says no more."""
    made = socket.create_connection(("127.0.0.1", gate.port), 10, source_address=(address, 0))
    made.settimeout(40)
    made.sendall(b"\x16\x03\x01")
    return made


def _is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(100) == b""
    except ConnectionError:
        return True


def test_handshakes_that_are_begun_count_for_their_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificates(tmp_path)
    monkeypatch.setattr(doorstep, "PER_ADDRESS", 5)
    monkeypatch.setattr(doorstep, "is_this_machine", lambda address: address == "127.0.0.1")
    with opened(tmp_path / "data", FakeLink(), **settings(tmp_path)) as gate, contextlib.ExitStack() as held:
        begun = [held.enter_context(_begun(gate, "127.0.0.2")) for _ in range(5)]
        assert _is_closed(held.enter_context(_begun(gate, "127.0.0.2"))), "one too many of this address"
        held.enter_context(_begun(gate, "127.0.0.3"))
        assert gate.bare.get("/health").status_code == 200
        begun[0].close()
        context = ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))

        def serves() -> bool:
            with socket.create_connection(("127.0.0.1", gate.port), 10, source_address=("127.0.0.2", 0)) as raw:
                try:
                    with context.wrap_socket(raw, server_hostname="127.0.0.1") as secured:
                        secured.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                        return secured.recv(100).startswith(b"HTTP/1.1 200")
                except (ssl.SSLError, ConnectionError):
                    return False

        until(serves)


def test_when_all_handshakes_are_taken_the_oldest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_certificates(tmp_path)
    monkeypatch.setattr(doorstep, "HANDSHAKES", 6)
    with opened(tmp_path / "data", FakeLink(), **settings(tmp_path)) as gate, contextlib.ExitStack() as held:
        begun = [held.enter_context(_begun(gate, f"127.0.0.{2 + place}")) for place in range(6)]
        with httpx.Client(base_url=gate.base, verify=ssl.create_default_context(cafile=str(tmp_path / "ca.pem"))) as another:
            assert another.get("/health").status_code == 200
        assert _is_closed(begun[0])
        begun[-1].setblocking(False)
        with pytest.raises(BlockingIOError):
            begun[-1].recv(1)
