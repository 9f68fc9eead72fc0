"""The answer to one request, and the rest of a handler that waits before it has one."""

from __future__ import annotations

import functools
import struct
import time
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Final

from cnctwin.wire.scalars import ua
from opcua_server.engine import services
from opcua_server.engine.contract import Bytes
from opcua_server.engine.reasons import NOT_ASKED, NotAsked
from opcua_server.engine.tally import SECURITY

_C = ua.StatusCodes
EPOCH_TICKS: Final = 116_444_736_000_000_000
"""1970 in 100 ns since 1601."""
PUBLISH_RESPONSE: Final = 829
_FRAME, _RESPONSE_HEAD, _TOLD = "4sIIIII", "BBHqIIBi3x", "IiI?Iqi"
_HEAD: Final = struct.Struct(f"<{_RESPONSE_HEAD}").pack
_ANSWER: Final = struct.Struct(f"<{_FRAME}{_RESPONSE_HEAD}").pack
_MESSAGE: Final = struct.Struct(f"<{_TOLD}").pack
_PUBLISH: Final = struct.Struct(f"<{_FRAME}{_RESPONSE_HEAD}{_TOLD}").pack
_TOLD_ONE: Final = struct.Struct(f"<{_RESPONSE_HEAD}{_TOLD}")


class Reply:
    """The answer to one request: contract.Answer."""

    __slots__ = ("_done", "_handle", "_request_id", "connection", "kind", "more", "reasons", "session")

    def __init__(self, connection: Any, request_id: int, handle: int, kind: int = 0, session: Any = None) -> None:
        self.connection = connection
        self._request_id = request_id
        self._handle = handle
        self._done = False
        self.kind = kind
        self.session = session
        self.more = b""
        """An AdditionalHeader for the response, encoded."""
        self.reasons: NotAsked = NOT_ASKED

    @property
    def is_open(self) -> bool:
        return not self._done and self.connection.is_open

    @property
    def is_ready(self) -> bool:
        connection = self.connection
        return connection.is_open and not connection.is_backed_up and not self._done

    @property
    def backlog(self) -> int:
        connection = self.connection
        return connection.backlog if connection.is_backed_up else 0

    def send(self, response_type: int, body: Bytes, *, status: int = 0) -> None:
        if self._done:
            return
        self._done = True
        ticks = EPOCH_TICKS + time.time_ns() // 100
        reasons, diagnostics = self.reasons, b""
        if reasons is not NOT_ASKED:
            body = reasons.whole(body)
            diagnostics = reasons.in_header()
        if 0 < self._max_size < services.HEAD_SIZE + len(body) + len(diagnostics):
            response_type, status, body, diagnostics = services.SERVICE_FAULT, int(_C.BadResponseTooLarge), b"", b""
        connection, size = self.connection, services.HEAD_SIZE + len(body)
        if self.more or diagnostics or size > connection.room or not connection.is_open:
            head = services.head(response_type, self._handle, status, ticks, self.more, diagnostics)
            connection.send(self._request_id, head, body, self._handle)
            return
        header = 1, 0, response_type, ticks, self._handle, status, 0, 0
        channel = connection.channel
        frame = channel.frame_of_one(self._request_id, size)
        if frame is None:
            connection.write(channel.protect(self._request_id, size, _HEAD(*header), body))
        else:
            connection.write(b"".join((_ANSWER(*frame, *header), body)))

    @property
    def _max_size(self) -> int:
        session = self.session
        return session.max_response_size if session is not None else 0

    def publish(self, subscription: int, sequence: int, ticks: int, elements: int, data: Bytes, results: bytes) -> None:
        """A PublishResponse with one message and nothing that waits: ``send`` of it, in one piece."""
        connection, session = self.connection, self.session
        size = _TOLD_ONE.size + len(data) + len(results)
        if size <= connection.room and connection.is_open and (session is None or not session.max_response_size):
            self._done = True
            channel = connection.channel
            header = 1, 0, PUBLISH_RESPONSE, ticks, self._handle, 0, 0, 0
            told = subscription, 1, sequence, False, sequence, ticks, elements
            frame = channel.frame_of_one(self._request_id, size)
            if frame is None:
                connection.write(channel.protect(self._request_id, size, _TOLD_ONE.pack(*header, *told), data, results))
            else:
                connection.write(b"".join((_PUBLISH(*frame, *header, *told), data, results)))
            return
        head = _MESSAGE(subscription, 1, sequence, False, sequence, ticks, elements)
        self.send(PUBLISH_RESPONSE, b"".join((head, data, results)))

    def expect(self, regular: Any) -> None:
        self.connection.regular = regular

    def explained(self) -> Reply:
        """The same, for a Publish request of which something was refused: the short way out looks for no reasons."""
        made = Explained(self.connection, self._request_id, self._handle, self.kind, self.session)
        made.more, made.reasons = self.more, self.reasons
        return made

    def fault(self, status: int, text: str = "") -> None:
        if not self._done:
            self.reasons.refuse(status, text)
            self.connection.engine.tally.refused(self.kind, status)
            if self.session is not None:
                self.session.refusals[self.kind] += 1
                self.session.unauthorized += status in SECURITY
        self.send(services.SERVICE_FAULT, b"", status=status)


class Explained(Reply):
    """Takes the long way out."""

    __slots__ = ()

    def publish(self, subscription: int, sequence: int, ticks: int, elements: int, data: Bytes, results: bytes) -> None:
        head = _MESSAGE(subscription, 1, sequence, False, sequence, ticks, elements)
        self.send(PUBLISH_RESPONSE, b"".join((head, data, results)))


class Rest:
    """A coroutine that was begun, from where it waits for ``awaited``."""

    __slots__ = ("_awaited", "_work")

    def __init__(self, work: Coroutine[Any, Any, Any], awaited: Any) -> None:
        self._work = work
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, Any]:
        awaited = self._awaited
        while True:
            try:
                step: Callable[[], Any] = functools.partial(self._work.send, (yield awaited))
            except BaseException as error:  # a cancellation, above all, is the coroutine's own affair
                step = functools.partial(self._work.throw, error)
            try:
                awaited = step()
            except StopIteration as done:
                return done.value
