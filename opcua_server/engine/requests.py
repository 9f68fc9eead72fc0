"""Whole messages of one connection: from a request to its handler, and to its reply, now or when it is there.

message --split--> row of the table, session --decode--> handler --+-- bytes, parameters ----> reply
            '-- regular (Publish that comes again)                 +-- coroutine: begun; what waits is a task, bounded --> reply
                                                                   '-- Beside: long decoding in a thread, connection held --> reply
whatever fails is a ServiceFault
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from asyncua.ua.uaerrors import UaStatusCodeError

from cnctwin.wire import DecodingError
from cnctwin.wire.scalars import ua
from opcua_server.engine import services
from opcua_server.engine.contract import LONG, Beside, Header, Request, ServiceFault
from opcua_server.engine.frames import ProtocolError
from opcua_server.engine.reasons import Reasons
from opcua_server.engine.reply import Reply, Rest
from opcua_server.engine.sessions import OpenSession

if TYPE_CHECKING:
    from opcua_server.engine.connection import Connection

_C = ua.StatusCodes
MAX_RUNNING: Final = 64
"""Requests of one connection that may be under way in tasks; Publish is not one of them."""


class Requests:
    """Those of one connection, and the tasks of what is under way for it."""

    __slots__ = ("_tasks", "connection")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, request_id: int, body: bytes) -> None:
        """Answer a whole message, now or later. Raises ProtocolError for one that ends the connection."""
        connection = self.connection
        if connection.regular is not None and connection.regular.take(connection, request_id, body):
            return
        try:
            kind, header, p = services.split(body)
        except DecodingError as error:
            Reply(connection, request_id, 0).fault(error.status)
            raise ProtocolError(error.status, f"a request that cannot be read: {error}") from error
        reply = Reply(connection, request_id, header.handle, kind)
        try:
            if header.return_diagnostics and (known := connection.sessions.get(header.token)) is not None and known.is_activated:
                reply.reasons = Reasons(header.return_diagnostics)
            row, session = self._row(kind, header)
            if session is not None:
                reply.session = session
                session.requests[kind] += 1
            request = Request(header, session, reply, connection.channel.mode, connection.address)
            handler = row.service.handler
            if row.read is None:
                self._answer(row, request, reply, handler(request, body[p:]))
                return
            stranger = session is None or not session.is_activated
            read = partial(services.parameters, row, body, p, connection.engine.limits, stranger=stranger)
            result: Any = Beside(read, partial(handler, request)) if len(body) > LONG else handler(request, read())
            self._answer(row, request, reply, result)
        except Exception as error:
            self._failed(reply, error)
            if isinstance(error, DecodingError) and connection.is_pending:
                raise ProtocolError(error.status, f"a request that cannot be read: {error}") from error

    async def _beside(self, row: services.Row, request: Request, reply: Reply, beside: Beside) -> None:
        try:
            done = await self.connection.engine.in_decoder(beside.work)
            if request.session is not None and request.session.is_closed:
                raise ServiceFault(_C.BadSessionClosed)
            self._answer(row, request, reply, beside.then(done))
        except Exception as error:
            self._failed(reply, error)
            if isinstance(error, DecodingError) and self.connection.is_pending:
                self.connection.refuse(ProtocolError(error.status, f"a request that cannot be read: {error}"))
        self.connection.go_on()

    def _answer(self, row: services.Row, request: Request, reply: Reply, result: Any) -> None:
        """Send what a handler returned, now or when it is there."""
        if result is None:
            return
        if type(result) is bytes:
            reply.send(row.service.response_type, result)
        elif inspect.iscoroutine(result):
            self._begin(row, reply, result)
        elif inspect.isawaitable(result):
            self._bounded()
            self.run(self._later(row, reply, result))
        elif type(result) is Beside:
            self.connection.hold()
            self.run(self._beside(row, request, reply, result))
        else:
            reply.send(row.service.response_type, services.encoded(result))

    def _row(self, kind: int, header: Header) -> tuple[services.Row, OpenSession | None]:
        row = self.connection.engine.table.get(kind)
        if row is None:
            raise ServiceFault(_C.BadServiceUnsupported)
        service = row.service
        if service.needs_security and self.connection.channel.policy is None and not self.connection.engine.own.insecure:
            raise ServiceFault(_C.BadSecurityPolicyRejected)
        session = self.connection.sessions.get(header.token)
        if session is not None:
            session.last_s = self.connection.engine.clock()
        if service.needs_session:
            if session is None:
                raise ServiceFault(_C.BadSessionIdInvalid)
            if not session.is_activated:
                raise ServiceFault(_C.BadSessionNotActivated)
        return row, session

    def _begin(self, row: services.Row, reply: Reply, work: Coroutine[Any, Any, Any]) -> None:
        """Run a coroutine up to where it first waits: most answer before, and need no task. There is no current task until then."""
        try:
            awaited = work.send(None)
        except StopIteration as done:
            if done.value is not None:
                reply.send(row.service.response_type, services.encoded(done.value))
            return
        try:
            self._bounded()
        except ServiceFault:
            work.close()
            raise
        self.run(self._later(row, reply, Rest(work, awaited)))

    def _bounded(self) -> None:
        if len(self._tasks) >= MAX_RUNNING:
            raise ServiceFault(_C.BadTooManyOperations)

    async def _later(self, row: services.Row, reply: Reply, result: Any) -> None:
        try:
            done = await result
            if done is not None:
                reply.send(row.service.response_type, services.encoded(done))
        except Exception as error:
            self._failed(reply, error)

    def _failed(self, reply: Reply, error: Exception) -> None:
        status = error.code if isinstance(error, UaStatusCodeError) else services.status_of(error)
        reply.fault(status, error.text if isinstance(error, ServiceFault) else "")

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """In a task that ends with the connection."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def cancel(self) -> None:
        """The connection is gone."""
        for task in self._tasks:
            task.cancel()
