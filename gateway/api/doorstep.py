"""Where a connection waits until its TLS handshake is done: before that the HTTP side does not know of it.

accepted -> too many of its address? -> handshake, in time -> HTTP
            '-- closed                  '-- all places taken: the one that has waited longest makes room
"""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from cnctwin.peers import counted_as
from gateway.api.guard import PER_ADDRESS, is_this_machine

HANDSHAKES: Final = 1_000
"""Under way at once: each takes some 30 kB."""


class Doorsteps:
    """Makes them. ``make``: the protocol behind TLS; ``connections``: how many an address has there. Times in seconds."""

    def __init__(self, make: Callable[[], Any], tls: ssl.SSLContext, timeout_s: float, connections: Callable[[str], int]) -> None:
        self.make, self.tls, self.timeout_s, self.connections = make, tls, timeout_s, connections
        self.begun: dict[Doorstep, None] = {}
        """Those that wait, the oldest first."""
        self.counts: Counter[str] = Counter()

    def __call__(self) -> Doorstep:
        return Doorstep(self)

    def close(self) -> None:
        for one in list(self.begun):
            one.abort()


class Doorstep(asyncio.Protocol):
    def __init__(self, all_of_them: Doorsteps) -> None:
        self._all = all_of_them
        self._address = ""
        self._transport: Any = None
        self._task: asyncio.Task[None] | None = None
        self._early = b""
        """What came right behind the handshake."""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        address = self._address = counted_as(str((transport.get_extra_info("peername") or ("",))[0]))
        doors = self._all
        if doors.counts[address] + doors.connections(address) >= PER_ADDRESS and not is_this_machine(address):
            transport.abort()
            return
        if len(doors.begun) >= HANDSHAKES:
            next(iter(doors.begun)).abort()
        doors.begun[self] = None
        doors.counts[address] += 1
        self._task = asyncio.get_running_loop().create_task(self._shake_hands())

    def data_received(self, data: bytes) -> None:
        self._early += data

    def abort(self) -> None:
        self._leave()
        self._transport.abort()

    def _leave(self) -> None:
        if self in self._all.begun:
            del self._all.begun[self]
            self._all.counts[self._address] -= 1
            if not self._all.counts[self._address]:
                del self._all.counts[self._address]

    async def _shake_hands(self) -> None:
        loop, doors = asyncio.get_running_loop(), self._all
        try:
            secured: Any = await loop.start_tls(
                self._transport, self, doors.tls, server_side=True, ssl_handshake_timeout=doors.timeout_s
            )
        except (OSError, ssl.SSLError):  # TimeoutError is one: what a stranger sends is no bug of ours
            self._transport.abort()
            return
        finally:
            self._leave()
        if secured is None or secured.is_closing():
            self._transport.abort()
            return
        protocol = doors.make()
        secured.set_protocol(protocol)
        protocol.connection_made(secured)
        if self._early and not secured.is_closing():
            protocol.data_received(self._early)
