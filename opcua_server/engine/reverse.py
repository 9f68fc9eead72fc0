"""Connections that the server opens (OPC 10000-6, 7.1.3): to clients that listen, where no port of ours can be reached.

    connect --RHE--> waits --HEL ... channel open--> a connection like any other; the next one is made for whoever comes after
       ^                '-- closed by the client, or nobody there: again after a while, longer each time
       '------------------------------------------------------------------------------'

One connection to each address waits at any time. Who is at the other end proves it as every client does: with its certificate.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from opcua_server.engine import frames
from opcua_server.engine.connection import Connection

if TYPE_CHECKING:
    from opcua_server.engine.engine import Engine

_logger = logging.getLogger(__name__)
CONNECT_S: Final = 10.0
NEXT_S: Final = 0.1
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
DEFAULT_PORT: Final = 4840


class ReverseConnection(Connection):
    """A connection that says who we are before the client says anything. ``settled``: its channel is open, or it is over."""

    def __init__(self, engine: Engine, greeting: bytes) -> None:
        super().__init__(engine)
        self.settled = asyncio.Event()
        self._greeting = greeting

    @property
    def may_wait(self) -> bool:
        return self.sizes is None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        if self.is_open:
            transport.write(self._greeting)

    def connection_lost(self, error: Exception | None) -> None:
        super().connection_lost(error)
        self.settled.set()

    def opened(self) -> None:
        self.settled.set()


class Reverse:
    """``urls``: opc.tcp addresses of clients. ``uri``: our ApplicationUri; ``endpoint``: the EndpointUrl clients ask for."""

    def __init__(self, engine: Engine, urls: tuple[str, ...], uri: str, endpoint: str) -> None:
        self._engine = engine
        self._urls = urls
        self._greeting = frames.reverse_hello(uri, endpoint)

    async def run(self) -> None:
        """Until cancelled; connections that are in use outlive it, as the engine's."""
        async with asyncio.TaskGroup() as tasks:
            for url in self._urls:
                tasks.create_task(self._keep(url), name=f"reverse connection to {url}")

    async def _keep(self, url: str) -> None:
        wait_s, told = FIRST_WAIT_S, ""
        while True:
            problem, used = await self._one(url)
            if used:
                wait_s, told = FIRST_WAIT_S, ""
                await asyncio.sleep(NEXT_S)
                continue
            if problem != told:
                _logger.warning("reverse connection to %s: %s; trying again, at most a minute apart", url, problem)
                told = problem
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    async def _one(self, url: str) -> tuple[str, bool]:
        """What went wrong with one connection, and whether a client opened its channel."""
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_S):
                _, connection = await loop.create_connection(
                    lambda: ReverseConnection(self._engine, self._greeting), parts.hostname, parts.port or DEFAULT_PORT
                )
        except TimeoutError:
            return f"no answer within {CONNECT_S:.0f} s", False
        except OSError as error:
            return f"cannot be made: {error.strerror or error}", False
        with contextlib.ExitStack() as unused:
            unused.callback(connection.abort)
            await connection.settled.wait()
            if connection.channel.is_open and connection.is_open:
                _logger.info("reverse connection to %s is in use", url)
                unused.pop_all()
                return "", True
        return "closed by the client before it opened a channel", False
