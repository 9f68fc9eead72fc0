"""Connections that the server opens (OPC 10000-6, 7.1.3), to a client that listens."""

from __future__ import annotations

import logging
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from asyncua import ua

from opcua_server.engine import frames, reverse
from tests.harness import free_ports, wait_for
from tests.opcua_server.bench import Bench, running
from tests.opcua_server.engine.raw import Raw, request


@pytest.fixture(scope="module")
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.settimeout(60)
        yield made


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, listener: socket.socket) -> Iterator[Bench]:
    url = f"opc.tcp://127.0.0.1:{listener.getsockname()[1]}"
    with running(tmp_path_factory.mktemp("reverse"), insecure=True, reverse_connect=(url,)) as made:
        yield made


def accepted(bench: Bench, listener: socket.socket) -> Raw:
    taken, _ = listener.accept()
    taken.settimeout(60)
    return Raw(bench, taken)


def said(frame: bytes) -> tuple[str, str]:
    """ServerUri and EndpointUrl of a ReverseHello."""
    assert frame[:4] == b"RHEF"
    (size,) = struct.unpack_from("<i", frame, 8)
    uri, rest = frame[12 : 12 + size], frame[12 + size :]
    assert struct.unpack_from("<i", rest)[0] == len(rest) - 4
    return uri.decode(), rest[4:].decode()


def test_a_client_that_listens_is_connected_and_the_next_one_too(bench: Bench, listener: socket.socket) -> None:
    with accepted(bench, listener) as first:
        uri, endpoint = said(first.frame())
        assert uri.startswith("urn:")
        assert endpoint == bench.settings.endpoint
        assert first.hello(url=endpoint.encode())[:3] == b"ACK"
        assert first.open()[:3] == b"OPN"
        with accepted(bench, listener) as second:  # one more waits as soon as the first is in use
            assert said(second.frame()) == (uri, endpoint)
            assert second.hello()[:3] == b"ACK"
            assert second.open()[:3] == b"OPN"
            for raw in (first, second):
                raw.message(request(ua.FindServersRequest()))
                assert uri.encode() in raw.frame()


def test_a_client_that_closes_is_connected_again(bench: Bench, listener: socket.socket, caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(2):
        with accepted(bench, listener) as raw:
            said(raw.frame())
    with accepted(bench, listener) as raw:
        said(raw.frame())
        raw.hello()
        assert raw.open()[:3] == b"OPN"
    lines = [record for record in caplog.records if "before it opened a channel" in record.getMessage()]
    assert len(lines) <= 1, "the same is said once"


def test_nobody_there_is_said_once_and_keeps_nothing_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (port,) = free_ports(1)
    with caplog.at_level(logging.WARNING), running(tmp_path, reverse_connect=(f"opc.tcp://127.0.0.1:{port}",)) as bench:
        assert bench.status.state == "ready"
        wait_for(lambda: f":{port}: cannot be made" in caplog.text, "the server says that nobody is there")
        with socket.create_server(("127.0.0.1", port)) as listener:
            listener.settimeout(60)
            with accepted(bench, listener) as raw:
                said(raw.frame())
    assert caplog.text.count(f":{port}: cannot be made") == 1


def test_addresses_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="less than 4096"):
        frames.reverse_hello("urn:x", "opc.tcp://" + "x" * 5_000)
    assert reverse.FIRST_WAIT_S < reverse.LONGEST_WAIT_S <= 60.0
