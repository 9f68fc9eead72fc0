"""One socket: frames in, answers out, within limits and times.

    bytes --whole frames--> HEL | OPN (in a thread: RSA, trust) | MSG --checked, assembled--> Requests | CLO
               '-- anything wrong: one ERR, one log line, closed

A connection takes a bounded slice of the loop; what it sent beyond it waits. One that does not read is served less, then closed.
"""

from __future__ import annotations

import asyncio
import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from cnctwin.peers import counted_as
from cnctwin.wire.scalars import ua
from opcua_server.engine import frames, services
from opcua_server.engine.channel import Channel, Opening
from opcua_server.engine.contract import Bytes
from opcua_server.engine.frames import ProtocolError, Sizes
from opcua_server.engine.reply import EPOCH_TICKS
from opcua_server.engine.requests import Requests
from opcua_server.engine.sessions import OpenSession

if TYPE_CHECKING:
    from opcua_server.engine.engine import Engine

_C = ua.StatusCodes
SLICE_S: Final = 0.005
"""How long requests that came in together are served before others get their turn; connections with much to do share it."""


class Connection(asyncio.Protocol):
    """``sessions``: those bound to it, by token. ``address``: of the peer."""

    __slots__ = (
        "_assembler",
        "_held",
        "_out",
        "_requests",
        "_short",
        "_tail",
        "_transport",
        "address",
        "channel",
        "closed_s",
        "counted_as",
        "engine",
        "is_backed_up",
        "is_open",
        "parted_s",
        "regular",
        "room",
        "sessions",
        "since_s",
        "sizes",
        "waits_since_s",
    )

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.channel = Channel(engine.own)
        self.sessions: dict[bytes, OpenSession] = {}
        self.sizes: Sizes | None = None
        self.is_open = False
        self.is_backed_up = False
        """It does not read: what is written waits."""
        self.address = self.counted_as = "?"
        self.since_s = engine.clock()
        """When it was opened, or had its last session."""
        self.waits_since_s = self.since_s
        """When it was opened, or somebody was logged in last: sessions that nobody logs in to keep no place."""
        self.closed_s = math.inf
        """When we closed it; what was written may wait to be read."""
        self._transport: Any = None
        self._short = engine.limits.message_bytes_before_session
        self._tail = b""
        self._assembler = frames.Assembler()
        self.parted_s: float | None = None
        """Since when it owes the rest of a message."""
        self._held = False
        """Nothing is taken on: an OPN is under way, or others have their turn."""
        self._requests = Requests(self)
        self.regular: Any = None
        """Takes requests of a kind that comes again and again, and returns False for others: contract.Answer.expect."""
        self._out: list[bytes] | None = None
        self.room = 0
        """Bytes of a message that goes out in one chunk, and that the peer takes."""

    # The socket -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.is_open = True
        peer = transport.get_extra_info("peername")
        self.address = str(peer[0]) if isinstance(peer, tuple) else str(peer)
        self.counted_as = counted_as(self.address)
        if not self.engine.admit(self):
            self.refuse(ProtocolError(frames.BAD_TCP_NOT_ENOUGH_RESOURCES, "too many connections"))

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_open = False
        if self.channel.is_open:
            self.engine.audit.channel_closed(self.channel)
        self._requests.cancel()
        del self._requests  # who comes and goes leaves nothing that waits for the collector
        self._assembler.clear()
        self._tail = b""
        self.engine.forget(self)

    def pause_writing(self) -> None:
        """The peer does not read: nothing more is read from it either."""
        self.is_backed_up = True
        self._pause_reading(True)

    def resume_writing(self) -> None:
        self.is_backed_up = False
        self._pause_reading(self._held)

    def _pause_reading(self, paused: bool) -> None:
        if self.is_open:
            if paused:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def eof_received(self) -> None:
        return None

    @property
    def is_pending(self) -> bool:
        """Whether it has no activated session."""
        return not any(session.is_activated for session in self.sessions.values())

    @property
    def may_log_in(self) -> bool:
        """Whether it has a channel over which somebody could log in, or is about to have one."""
        channel = self.channel
        has_channel = channel.is_open and (channel.policy is not None or self.engine.own.insecure)
        return self.is_open and (self._held or has_channel)

    @property
    def logs_in(self) -> bool:
        """Whether somebody is being verified on it."""
        return any(session.logins for session in self.sessions.values())

    @property
    def may_wait(self) -> bool:
        """Whether it may say nothing for as long as it likes."""
        return False

    def opened(self) -> None:
        """Its secure channel is open, or renewed."""

    @property
    def backlog(self) -> int:
        return int(self._transport.get_write_buffer_size()) if self.is_backed_up else 0

    @property
    def parked_bytes(self) -> int:
        """Of a message whose rest has not come."""
        return self._assembler.size

    def local_address(self) -> tuple[str, int]:
        name = self._transport.get_extra_info("sockname") if self._transport is not None else None
        return (str(name[0]), int(name[1])) if isinstance(name, tuple) else ("localhost", 4840)

    def close(self, status: int | None = None, text: str = "") -> None:
        """End it, with an ERR when there is a reason."""
        if self.is_open:
            self.is_open, self.closed_s = False, self.engine.clock()
            if status is not None:
                self._transport.write(frames.error(status, text))
            self._transport.close()

    def abort(self) -> None:
        self.is_open = False
        if self._transport is not None:
            self._transport.abort()

    def refuse(self, problem: ProtocolError) -> None:
        """End it with an ERR and a line in the log."""
        self.engine.complain("%s: closed, %s", self.address, problem)
        self._tail = b""
        self.close(problem.status, str(problem))

    # Frames ---------------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._tail or self._held:
            self._tail += data
            if self._held:
                return
            data, self._tail = self._tail, b""
        elif len(data) <= self._short and self._assembler.is_empty:
            if self.regular is not None and self.regular.take_frame(self, data):
                return
            try:
                whole = self.channel.whole(data, self.engine.clock())
                if whole is not None:
                    self._requests.take(*whole)
                    return
            except ProtocolError as problem:
                self.refuse(problem)
                return
        self._take(data)

    def _take(self, data: bytes) -> None:
        """All whole frames in ``data``; the rest waits for more."""
        start, end = 0, len(data)
        receive = self.sizes.receive if self.sizes is not None else frames.MAX_BUFFER
        until_s = time.perf_counter() + SLICE_S / (1 + self.engine.taking_turns)
        self._out = []
        try:
            while end - start >= frames.HEADER_SIZE and self.is_open:
                kind, chunk, size = frames.peek(data, start, receive)
                if end - start < size:
                    break
                frame = data if start == 0 and size == end else data[start : start + size]
                start += size
                self._frame(kind, chunk, frame)
                if self._held:
                    break
                if start < end and time.perf_counter() > until_s:
                    self.hold()
                    self.engine.taking_turns += 1
                    asyncio.get_running_loop().call_soon(self._turn)
                    break
        except ProtocolError as problem:
            self._flush()
            self.refuse(problem)
            return
        self._flush()
        if start < end and self.is_open:
            self._tail = data[start:] + self._tail

    def hold(self) -> None:
        """Take nothing on until ``go_on``."""
        self._held = True
        self._pause_reading(True)

    def _turn(self) -> None:
        self.engine.taking_turns -= 1
        self.go_on()

    def go_on(self) -> None:
        if not self.is_open:
            return
        self._held = False
        data, self._tail = self._tail, b""
        if data:
            self._take(data)
        if not self._held:
            self._pause_reading(self.backlog > self.engine.high_water)

    def _frame(self, kind: bytes, chunk: int, frame: bytes) -> None:
        if kind == b"MSG":
            request_id, body = self.channel.receive(frame, self.engine.clock())
            limits = self.engine.limits
            if chunk == frames.FINAL and self._assembler.is_empty and len(body) <= limits.message_bytes_before_session:
                self._requests.take(request_id, body)
                return
            most = limits.message_bytes_before_session if self.is_pending else limits.message_bytes
            message = self._assembler.add(chunk, request_id, body, most, limits.chunks)
            if message is not None:
                self._requests.take(request_id, message)
            self.engine.park(self)
        elif kind == b"OPN":
            if self.sizes is None:
                raise ProtocolError(frames.BAD_TCP_MESSAGE_TYPE_INVALID, "no Hello")
            self.hold()
            self._requests.run(self._open(frame))
        elif kind == b"HEL":
            if self.sizes is not None:
                raise ProtocolError(frames.BAD_TCP_MESSAGE_TYPE_INVALID, "second Hello")
            self.sizes = frames.hello(frame)
            self.write(frames.acknowledge(self.sizes, self.engine.limits.message_bytes, self.engine.limits.chunks))
        else:
            self.channel.receive(frame, self.engine.clock())
            self.close()

    async def _open(self, frame: bytes) -> None:
        """OpenSecureChannel: what takes long is done in a thread, and nothing else of this connection meanwhile."""
        engine = self.engine
        opening: Opening | None = None
        try:
            opening = await engine.in_thread(self.channel.examine, frame)
            if opening.policy is not None:  # at a renewal too: who is trusted no longer, or whose certificate ended, is out
                await self._admit(opening)
            now = datetime.now(UTC)
            terms = (opening, engine.limits.token_lifetime_ms, engine.clock(), now)
            if self.channel.is_open:  # answers go out meanwhile, and share its sequence numbers: not in a thread
                answer = self.channel.open(*terms)
            else:
                answer = await engine.in_thread(self.channel.open, *terms)
            self.write(answer)
        except ProtocolError as problem:
            self._not_opened(opening, problem)
            return
        except Exception as error:  # what the crypto library makes of a stranger's bytes has no common base
            text = f"{type(error).__name__} while opening"
            self._not_opened(opening, ProtocolError(frames.BAD_SECURITY_CHECKS_FAILED, text))
            return
        if self.sizes is not None:
            self.room = min(self.channel.capacity(self.sizes.send), self.sizes.max_message or frames.MAX_BUFFER)
        engine.audit.channel_opened(self.channel, opening)
        self.opened()
        self.go_on()

    def _not_opened(self, opening: Opening | None, problem: ProtocolError) -> None:
        self.engine.audit.channel_opened(self.channel, opening, problem.status, str(problem), problem.event)
        self.refuse(problem)

    async def _admit(self, opening: Opening) -> None:
        # The peer has proved by now that it has the certificate's key: strangers' certificates do not fill the folder.
        verdict = await self.engine.judge(opening.chain, self.address)
        if not verdict.accepted:
            # The standard lets a stranger see no more than this (OPC 10000-4, 6.1.3); the reason is in the log and the folder.
            problem = ProtocolError(
                _C.BadSecurityChecksFailed, "client certificate refused; see the server's rejected certificates"
            )
            problem.event = self.engine.audit.certificate_refused(opening.leaf, verdict.status, verdict.text)
            raise problem

    # Writing --------------------------------------------------------------------------------------------------------

    def send(self, request_id: int, head: bytes, body: Bytes, handle: int) -> None:
        """Seal a response into frames and write them; one that the client has no room for is a ServiceFault."""
        size = len(head) + len(body)
        if size <= self.room:
            if self.is_open:
                self.write(self.channel.protect(request_id, size, head, body))
            return
        sizes = self.sizes
        if not self.is_open or sizes is None:
            return
        too_large = 0 < sizes.max_message < size
        if too_large or 0 < sizes.max_chunks < -(-size // self.channel.capacity(sizes.send)):
            ticks = EPOCH_TICKS + time.time_ns() // 100
            head, body = services.head(services.SERVICE_FAULT, handle, int(_C.BadResponseTooLarge), ticks), b""
        self.write(b"".join(self.channel.seal(request_id, b"".join((head, body)), sizes.send)))

    def write(self, data: bytes) -> None:
        """Answers to requests that came in together go out together."""
        if self._out is not None:
            self._out.append(data)
        elif self.is_open:
            self._transport.write(data)
            if self.is_backed_up:
                self._check_backlog()

    def _flush(self) -> None:
        out, self._out = self._out, None
        if out and self.is_open:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))
            if self.is_backed_up:
                self._check_backlog()

    def _check_backlog(self) -> None:
        backlog = self.backlog
        if backlog > self.engine.limits.send_buffer_bytes:
            self.engine.complain("%s does not read: closed with %d bytes unsent", self.address, backlog)
            self.abort()
        else:
            self.engine.bound_unsent()
