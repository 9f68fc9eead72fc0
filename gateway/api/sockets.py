"""A WebSocket that takes what comes in small turns, and nothing from who does not read.

uvicorn's own hands a whole read of the socket, 256 kB, to its parser: tens of thousands of small frames, a second in which nobody
else is served. It answers pings whether or not the answers are read, and keeps any number of empty fragments.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

SLICE: Final = 1024
"""Bytes taken in one turn of the loop."""
FRAGMENTS: Final = 256
"""Of one message."""
GOODBYE_S: Final = 10.0
"""From the end of a connection to when it is cut off, where the peer does not read our last words."""


class PatientWebSocket(WebSocketsSansIOProtocol):
    """``_rest``: what was read and is to be parsed yet; nothing is read meanwhile."""

    _rest = b""
    _turn: asyncio.Handle | None = None

    def data_received(self, data: bytes) -> None:
        if not self.handshake_initiated:
            super().data_received(data)
            return
        self._rest += data
        if self._turn is None:
            self._go_on()

    @property
    def _waits(self) -> bool:
        """For the application to take what came, or for the peer to take what was sent."""
        return self.read_paused or not self.writable.is_set()

    def _go_on(self) -> None:
        self._turn = None
        if not self._waits:
            data, self._rest = self._rest[:SLICE], self._rest[SLICE:]
            super().data_received(data)
        self._settle()

    def _settle(self) -> None:
        """Read, or have the next turn, or wait."""
        if self.transport.is_closing():
            self._rest = b""
            return
        if self._rest or self._waits:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()
        if self._rest and not self._waits and self._turn is None:
            self._turn = self.loop.call_soon(self._go_on)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._settle()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._settle()

    async def receive(self) -> Any:
        message = await super().receive()
        self._settle()
        return message

    def handle_cont(self, event: Any) -> None:
        if len(self.frames) < FRAGMENTS:
            super().handle_cont(event)
        elif not self.close_sent:
            self.conn.fail(1009, "too many fragments")
            self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        super().handle_parser_exception()
        self._cut_off_later()

    def keepalive_timeout(self) -> None:
        super().keepalive_timeout()
        self._cut_off_later()

    def _cut_off_later(self) -> None:
        self.loop.call_later(GOODBYE_S, self.transport.abort)
