"""uvicorn inside the program's own task group: no signal handlers of its own, sockets bound first, ends in time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import Any, Final

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from cnctwin.errors import StartError
from cnctwin.peers import counted_as
from cnctwin.settings import Settings
from cnctwin.tls import context
from gateway.api.doorstep import Doorsteps
from gateway.api.guard import PER_ADDRESS, App, is_this_machine
from gateway.api.sockets import PatientWebSocket

HEADER_S: Final = 10.0
"""From the connection, or the first byte of a request, to the end of its header."""
HEADER_LIMIT: Final = 64 * 1024
REQUEST_LIMIT: Final = 512 * 1024
"""Bytes of one request with everything, trailers too: the parser itself keeps any number of header lines."""
KEEP_ALIVE_S: Final = 30
COMPLAINTS_PER_S: Final = 5
CONNECTIONS: Final = 4000
PIPELINE: Final = 16
"""Requests that may wait behind one that is being answered; browsers send none before they have the answer."""
UNREAD_S: Final = 30.0
READ_BYTES: Final = 4096
"""What a client reads of its answers in UNREAD_S at least, where more than the transport takes is waiting for it."""
GOODBYE_S: Final = 0.4
"""The supervisor gives the whole program 1.4 s."""


class TimedProtocol(HttpToolsProtocol):
    """HTTP/1.1 whose header must arrive in time and within some size, whose answers are read, and whose requests come a few at a
    time; with a bound on connections of one address (other than this machine). When all connections are taken, the one that has
    waited longest without a request makes room."""

    _deadline: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _address: str | None = None
    _bytes = 0
    _in_header = True
    _refused = False
    _counts: dict[str, int] = {}  # noqa: RUF012 - one per process, as connections are
    _waiting: dict[TimedProtocol, None] = {}  # noqa: RUF012 - the same: those without a request, the oldest first

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        address = self._address = counted_as(str((transport.get_extra_info("peername") or ("",))[0]))
        count = self._counts[address] = self._counts.get(address, 0) + 1
        if count > PER_ADDRESS and not is_this_machine(address):
            transport.abort()
            return
        self._waiting[self] = None
        if len(self.connections) >= CONNECTIONS:
            oldest = next(iter(self._waiting))
            del self._waiting[oldest]
            oldest.transport.abort()
        self._arm()

    def data_received(self, data: bytes) -> None:
        self._bytes += len(data)
        super().data_received(data)
        if self._bytes > (HEADER_LIMIT if self._in_header else REQUEST_LIMIT) and not self.transport.is_closing():
            if self._in_header:
                self.transport.write(_TOO_LARGE)
            self._close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._leave()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._unread is not None and not self.transport.is_closing():
            self._unread.cancel()
            self._unread = None

    def _close(self) -> None:
        """Close it when what was written is read, or not in time."""
        self.transport.close()
        self._watch_reader()

    def _watch_reader(self) -> None:
        if self._unread is None:
            self._unread = self.loop.call_later(UNREAD_S, self._is_it_read, self.transport.get_write_buffer_size())

    def _is_it_read(self, before: int) -> None:
        """End it where the client has read next to nothing since; a slow one goes on."""
        self._unread = None
        left = self.transport.get_write_buffer_size()
        if left > before - READ_BYTES:
            self.transport.abort()
        else:
            self._watch_reader()

    def handle_websocket_upgrade(self) -> None:
        if self._refused:
            return
        self._leave()  # another protocol takes the connection over: this one hears no more of it; the guard counts WebSockets
        super().handle_websocket_upgrade()

    def _leave(self) -> None:
        self._disarm()
        self._waiting.pop(self, None)
        if self._unread is not None:
            self._unread.cancel()
        if self._address is None:
            return
        left = self._counts[self._address] - 1
        if left > 0:
            self._counts[self._address] = left
        else:
            self._counts.pop(self._address)
        self._address = None

    def on_message_begin(self) -> None:
        if self._refused:
            return
        if len(self.pipeline) >= PIPELINE:  # a read has room for thousands, and each is a task that waits
            self._refused = True
            self._close()
            return
        super().on_message_begin()
        self._bytes, self._in_header = 0, True
        self._arm()

    def on_url(self, url: bytes) -> None:
        if not self._refused:
            super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._refused:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._disarm()
        self._waiting.pop(self, None)
        self._in_header = False
        # What arrives in one piece is parsed before its bytes are counted.
        if not self._refused and len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEADER_LIMIT:
            self._refused = True
            self.transport.write(_TOO_LARGE)
            self._close()
        if not self._refused:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        if not self._refused:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self._refused:
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._disarm()
        if self._address is not None and not self.pipeline and not self.transport.is_closing():
            self._waiting[self] = None

    def timeout_keep_alive_handler(self) -> None:
        if not self.transport.is_closing():
            self._close()

    def _arm(self) -> None:
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEADER_S, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        if self.transport is not None and not self.transport.is_closing():
            self._close()


_TOO_LARGE: Final = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


_NO_TEXT: Final = "Invalid UTF-8 sequence received from client."


class Few(logging.Filter):
    """Lets a few lines a second through of what strangers do wrong, and leaves out what uvicorn says of every WebSocket that was
    refused with an HTTP answer: the refusal was meant."""

    def __init__(self) -> None:
        super().__init__()
        self._told_s: defaultdict[int, deque[float]] = defaultdict(lambda: deque(maxlen=COMPLAINTS_PER_S))

    def filter(self, record: logging.LogRecord) -> bool:
        if "without completing handshake" in record.getMessage():
            return False
        if record.msg == _NO_TEXT:  # what a stranger sends is no bug of ours
            record.levelno, record.levelname, record.exc_info, record.exc_text = logging.WARNING, "WARNING", None, None
        told_s = self._told_s[record.levelno]
        if len(told_s) == COMPLAINTS_PER_S and 0 <= record.created - told_s[0] < 1.0:
            return False
        told_s.append(record.created)
        return True


logging.getLogger("uvicorn.error").addFilter(Few())


class _Server(uvicorn.Server):
    _doorsteps: Doorsteps | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Handshakes of TLS are counted, and end in time, as headers must: uvicorn has no setting for it."""
        loop: Any = asyncio.get_running_loop()
        create = loop.create_server

        def create_server(make: Any, *, ssl: ssl.SSLContext, **options: Any) -> Any:
            self._doorsteps = Doorsteps(make, ssl, HEADER_S, lambda address: TimedProtocol._counts.get(address, 0))
            return create(self._doorsteps, **options)

        if self.config.ssl is not None:
            loop.create_server = create_server
        try:
            await super().startup(sockets)
        finally:
            loop.create_server = create

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        if self._doorsteps is not None:
            self._doorsteps.close()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # SIGTERM and SIGINT belong to the program


def bind(host: str, port: int, option: str = "--http-port") -> socket.socket:
    """A listening socket; ``option`` is what names another port. Raises StartError with one clear line."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # The protocol is named so that asyncio recognizes TCP and switches Nagle's algorithm off: 40 ms on every kept-alive request.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(1024)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise StartError(f"cannot listen on {host} port {port}: {error.strerror or error}; choose another with {option}") from error
    return listener


def tls_of(settings: Settings) -> ssl.SSLContext | None:
    """TLS 1.2 and later with forward secrecy, by the certificate that the settings name; None where they name none. Raises
    ConfigurationError."""
    if settings.http_cert_path is None or settings.http_key_path is None:
        return None
    made = context("http", settings.http_cert_path, settings.http_key_path)
    made.set_alpn_protocols(["http/1.1"])
    return made


async def serve(app: App, listener: socket.socket, tls: ssl.SSLContext | None = None) -> None:
    """Serve until cancelled; then open requests and WebSockets have GOODBYE_S to end."""
    config = uvicorn.Config(
        app,
        http=TimedProtocol,
        ws=PatientWebSocket,
        ws_max_size=64 * 1024,
        ws_ping_interval=20.0,
        ws_ping_timeout=20.0,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GOODBYE_S,  # type: ignore[arg-type]  # goes to wait_for as it is
        limit_concurrency=CONNECTIONS + 1000,  # those that made room are counted until the loop has closed them
        backlog=1024,
    )
    config.load()
    config.ssl = tls
    server = _Server(config)
    running = asyncio.create_task(server.serve(sockets=[listener]), name="http")
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError, TimeoutError):
            async with asyncio.timeout(GOODBYE_S + 0.4):
                await running
        raise
    finally:
        listener.close()
