"""What strangers send to take the gateway's time, memory and places from others."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from gate import SETTINGS_KEY, Gate
from uvicorn import Config
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import connect

from gateway.api import guard, server, sockets
from gateway.api.access import COOKIE, only_session

ASK = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
UPGRADE = (
    b"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)


def whole(client: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    client.settimeout(30)
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := client.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def send_on(deaf: socket.socket) -> None:
    """Where nothing is read, the end of a connection shows in what may be sent no longer."""
    while True:
        deaf.sendall(b"\r\n" * 1000)


@pytest.mark.parametrize(
    ("cookie", "ours"),
    [
        (f"a=b; {COOKIE}=t0-_T; c=d", "t0-_T"),
        (f"{COOKIE}=one; {COOKIE}=two", "one"),
        (f'{COOKIE}="quoted"', None),
        (f"x{COOKIE}=t", None),
        (f"{COOKIE}={'t' * 101}", None),
        (f"{COOKIE}=", None),
        ("", None),
    ],
)
def test_of_cookies_only_the_own_one_is_looked_at(cookie: str, ours: str | None) -> None:
    assert only_session(cookie) == (f"{COOKIE}={ours}" if ours is not None else None)


def test_a_cookie_full_of_quotes_keeps_nobody_waiting(gate: Gate) -> None:
    """Python's own parser takes half a minute for this one, and the whole gateway with it."""
    quotes = '\\"' * 14_000
    answer = gate.bare.get("/api/v1/session", headers={"cookie": f'a="{quotes}"; {COOKIE}="{quotes}"'})
    assert answer.json() == {"user": None, "role": "Viewer"}


@pytest.mark.parametrize("name", ["Host", "Origin", "X-Api-Key", "Content-Type"])
def test_what_is_said_twice_is_refused(gate: Gate, name: str) -> None:
    """What stands before the gateway could have gone by the other one."""
    with socket.create_connection(("127.0.0.1", gate.port), 5) as client:
        client.sendall(b"GET /api/v1/machines HTTP/1.1\r\nHost: localhost\r\n" + f"{name}: localhost\r\n{name}: x\r\n\r\n".encode())
        assert whole(client).startswith(b"HTTP/1.1 400 ")


def test_a_few_requests_may_be_sent_at_once_and_no_more(gate: Gate) -> None:
    with socket.create_connection(("127.0.0.1", gate.port), 5) as client:
        client.sendall(ASK * (server.PIPELINE - 1) + ASK.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert whole(client).count(b"HTTP/1.1 200 ") == server.PIPELINE
    with socket.create_connection(("127.0.0.1", gate.port), 5) as client, contextlib.suppress(ConnectionError):
        client.sendall(ASK * 5_000)
        assert whole(client).count(b"HTTP/1.1 200 ") <= server.PIPELINE + 1


def test_who_leaves_answers_unread_is_cut_off(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "UNREAD_S", 0.2)
    monkeypatch.setattr(server, "PIPELINE", 2_000)  # more than the kernel takes for us
    before = dict(server.TimedProtocol._counts)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", gate.port))
        deaf.sendall(ASK.replace(b"/health", b"/openapi.json") * 300)
        deaf.settimeout(30)
        with pytest.raises(ConnectionError):
            send_on(deaf)
    assert sum(server.TimedProtocol._counts.values()) <= sum(before.values()) + 1
    assert gate.bare.get("/health").status_code == 200


def test_when_all_connections_are_taken_the_one_that_waits_longest_makes_room(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 8)
    with contextlib.ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(("127.0.0.1", gate.port), 5)) for _ in range(12)]
        assert whole(idle[0]) == b""
        asks = stack.enter_context(socket.create_connection(("127.0.0.1", gate.port), 5))
        asks.settimeout(10)
        asks.sendall(ASK)
        assert asks.recv(100).startswith(b"HTTP/1.1 200 ")


def test_a_message_of_fragments_without_end_closes_the_websocket(gate: Gate) -> None:
    headers = {"x-api-key": SETTINGS_KEY}
    with connect(f"ws://127.0.0.1:{gate.port}/api/v1/stream", additional_headers=headers, proxy=None) as ws:
        with contextlib.suppress(ConnectionClosed):
            ws.send("" for _ in range(sockets.FRAGMENTS + 10))
        with pytest.raises(ConnectionClosed):
            ws.recv(timeout=30)
        assert ws.protocol.close_rcvd is not None
        assert ws.protocol.close_rcvd.code == 1009


class Peer:
    """A transport that notes what is written, and whether more is wanted."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.is_read = True
        self.ended = False

    def write(self, data: bytes) -> None:
        self.written += data

    def pause_reading(self) -> None:
        self.is_read = False

    def resume_reading(self) -> None:
        self.is_read = True

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = close

    def get_extra_info(self, name: str) -> Any:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else None


async def app(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (await receive())["type"] != "websocket.disconnect":
        await asyncio.sleep(3600)


def test_who_does_not_read_the_answers_to_pings_gets_no_more_of_them() -> None:
    ping = bytes((0x80 | Opcode.PING, 0x80 | 125)) + bytes(4 + 125)

    async def flood() -> tuple[int, int]:
        state = SimpleNamespace(connections=set(), tasks=set(), default_headers=[])
        socket_ = sockets.PatientWebSocket(Config(app, ws_ping_interval=None, log_config=None), state, {})  # type: ignore[arg-type]
        peer = Peer()
        socket_.connection_made(peer)  # type: ignore[arg-type]
        socket_.data_received(UPGRADE)
        while b"101" not in peer.written:
            await asyncio.sleep(0)
        peer.written.clear()
        socket_.data_received(ping * 2_000)
        at_once = len(peer.written)
        assert not peer.is_read, "the rest has its turns first"
        socket_.pause_writing()
        for _ in range(100):
            await asyncio.sleep(0)
        unread = len(peer.written)
        socket_.resume_writing()
        while not peer.is_read:
            await asyncio.sleep(0)
        assert len(peer.written) == 2_000 * 127
        socket_.connection_lost(None)
        await asyncio.gather(*state.tasks)
        return at_once, unread

    at_once, unread = asyncio.run(flood())
    assert at_once <= sockets.SLICE
    assert unread == at_once


def test_strangers_write_a_few_lines_a_second() -> None:
    few = server.Few()

    def line(level: int, at_s: float, text: str = "Invalid HTTP request received.") -> logging.LogRecord:
        record = logging.LogRecord("uvicorn.error", level, "", 0, text, (), None)
        record.created = at_s
        return record

    told = [few.filter(line(logging.WARNING, 100.0 + number / 1000)) for number in range(1000)]
    assert sum(told) == server.COMPLAINTS_PER_S
    assert few.filter(line(logging.ERROR, 100.9)), "a bug is told nevertheless"
    assert few.filter(line(logging.WARNING, 102.0))
    no_text = line(logging.ERROR, 150.0, "Invalid UTF-8 sequence received from client.")
    no_text.exc_info = (ValueError, ValueError(), None)
    assert few.filter(no_text)
    assert (no_text.levelno, no_text.exc_info) == (logging.WARNING, None)
    assert not few.filter(line(logging.WARNING, 200.0, "ASGI callable returned without completing handshake."))


def test_who_has_all_websockets_gives_way_to_who_has_fewer(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guard, "SOCKETS", 3)
    url = f"ws://127.0.0.1:{gate.port}/api/v1/stream"
    with contextlib.ExitStack() as stack:

        def opened(**headers: str) -> Any:
            return stack.enter_context(connect(url, additional_headers=headers, proxy=None, close_timeout=1))

        greedy = [opened() for _ in range(3)]
        with pytest.raises(InvalidStatus, match="503"):
            opened()
        keyed = opened(**{"x-api-key": SETTINGS_KEY})
        for one in (keyed, greedy[1]):
            one.send('{"machines": []}')
        with pytest.raises(ConnectionClosed) as closed:
            greedy[0].recv(timeout=10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1013
        for one in (keyed, greedy[1], greedy[2]):
            assert one.ping().wait(10)
        for headers in ({}, {"x-api-key": SETTINGS_KEY}):
            with pytest.raises(InvalidStatus, match="503"):
                opened(**headers)
