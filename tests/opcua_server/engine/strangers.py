"""Sessions over frames made by hand, and whether the server is as well after them as before."""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import Any

import pytest
from asyncua import Client, ua

from cnctwin.wire import Budget, decoder
from opcua_server.engine.engine import Engine
from tests.harness import wait_for
from tests.opcua_server.bench import Bench
from tests.opcua_server.engine.raw import opened, request

SENTINEL = 0x7FFFFFFF
PUBLISH = 826


class Session:
    """A channel with an activated session, over policy None."""

    def __init__(self, bench: Bench) -> None:
        self.raw = opened(bench)
        self.raw.socket.settimeout(60)
        create = ua.CreateSessionRequest()
        create.Parameters.RequestedSessionTimeout = 10_000
        made = self.ask(create, ua.CreateSessionResponse).Parameters
        self.token = made.AuthenticationToken
        activate = ua.ActivateSessionRequest()
        activate.RequestHeader.AuthenticationToken = self.token
        activate.Parameters.UserIdentityToken = ua.AnonymousIdentityToken("anonymous")
        self.ask(activate, ua.ActivateSessionResponse)
        self.sentinel = ua.GetEndpointsRequest()
        self.waiting: set[int] = set()

    def close(self) -> None:
        self.raw.socket.close()

    def ask(self, asked: Any, kind: Any) -> Any:
        self.raw.message(request(asked))
        frame = self.raw.frame()
        assert frame[:3] == b"MSG", frame
        answer, _ = decoder(kind)(frame[24:], 0, Budget())
        assert answer.ResponseHeader.ServiceResult.is_good(), answer.ResponseHeader
        return answer

    def send(self, body: bytes, number: int) -> bool:
        """Send one frame, and a request that is right behind it. False when the server closed the connection."""
        if not body.startswith(b"\x01\x00" + struct.pack("<H", PUBLISH)):  # the answer to a Publish may wait
            self.waiting.add(number)
        self.raw.message(body, request=number)
        self.raw.message(request(self.sentinel), request=SENTINEL)
        return self._listen(lambda got: got == SENTINEL)

    def settled(self) -> bool:
        """Wait for the answers that are still due. False when the server closed the connection."""
        while self.waiting:
            if not self._listen(lambda got: True):
                return False
        return True

    def _listen(self, until: Any) -> bool:
        while True:
            frame = self.raw.frame()
            if frame[:3] != b"MSG":
                return False
            (got,) = struct.unpack_from("<I", frame, 20)
            if frame[3:4] == b"F":
                self.waiting.discard(got)
                if until(got):
                    return True


def assert_well(bench: Bench, engine: Engine, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing was a bug, nothing stays of whoever was there, and others are served."""
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []
    assert_gone(engine)
    assert not any(row for row in _desks(engine))

    async def healthy() -> Any:
        async with Client(bench.settings.endpoint, timeout=20) as client:
            return await client.nodes.server_state.read_value()

    assert asyncio.run(healthy()) == ua.ServerState.Running


def assert_gone(engine: Engine) -> None:
    """Connections end by themselves, sessions that wait for another one at once."""
    wait_for(lambda: not engine.connections, "all connections are gone")
    for session in list(engine.sessions.values()):
        session.timeout_ms = -1e9
    wait_for(lambda: not engine.sessions, "all sessions are gone")


def _desks(engine: Engine) -> list[Any]:
    """What the subscriptions still keep of sessions."""
    create = engine.table[787].service.handler
    hub = create.__self__  # type: ignore[attr-defined]
    return [*hub.desks, *hub.subscriptions]
