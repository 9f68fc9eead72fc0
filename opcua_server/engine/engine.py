"""The server front: the port, the connections, and the services over one address space.

engine = Engine.of(server)            # a SecureServer that is built
await engine.start()                  # raises OSError when the port is taken
...
await engine.stop()
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from certs.kinds import CURVES
from certs.pki import Trust, Verdict
from opcua_server.engine import frames, services
from opcua_server.engine.attributes import Attributes
from opcua_server.engine.channel import Own
from opcua_server.engine.connection import Connection
from opcua_server.engine.contract import Limits, MethodHandler, Request, Room, Session
from opcua_server.engine.discovery import Application, Discovery
from opcua_server.engine.methods import Methods
from opcua_server.engine.sessions import CertificateUser, Sessions
from opcua_server.engine.shares import Shares
from opcua_server.engine.subscriptions.columns import Columns
from opcua_server.engine.values import Values
from opcua_server.engine.view import View
from opcua_server.security.audit import Audit
from opcua_server.security.refusals import REFUSALS
from opcua_server.security.rights import Rights
from opcua_server.security.server import SecureServer
from opcua_server.security.users import Users

_logger = logging.getLogger(__name__)
_audit = logging.getLogger("opcua_server.audit")
T = TypeVar("T")
WITHOUT_SESSION_S: Final = 30.0
SWEEP_S: Final = 1.0
LOGIN_S: Final = 5.0
"""In which a client that has a channel and means to log in has done so."""
GOODBYE_S: Final = 5.0
"""In which a peer reads our last words, or is cut off."""
MESSAGE_S: Final = 60.0
"""In which a message of many chunks must be whole."""
PARKED_BYTES: Final = 32 << 20
UNSENT_BYTES: Final = 32 << 20
"""That wait for all peers that do not read."""
STOP_S: Final = 0.4
COMPLAINTS_PER_S: Final = 5
CRYPTO_THREADS: Final = 2


class Engine:
    """What all connections share; the ``Core`` that rooms get.

    ``server``: asyncua's, initialised, not started. ``application``: asked each time, since names are set late. Times in seconds.
    """

    def __init__(
        self,
        server: Any,
        *,
        host: str,
        port: int,
        own: Own,
        application: Callable[[], Application],
        trust: Trust,
        users: Users,
        rights: Rights,
        limits: Limits | None = None,
        strict: bool = False,
        certificate_user: CertificateUser | None = None,
        rooms: Iterable[Room] = (),
        columns: Columns | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        _audit.addFilter(REFUSALS)
        self.server = server
        self.aspace = server.iserver.aspace
        self.limits = limits or Limits()
        self.own = own
        self.clock = clock
        self.columns = columns or Columns()
        self.rights = rights
        self.trust = trust
        self.user_trust = users.certificates.trust if users.certificates is not None else None
        self.audit = Audit(lambda: application().uri)
        self.values = Values(self.aspace, self.columns)
        self.methods: dict[Any, MethodHandler] = {}
        self.subscriptions: Any = None
        own = self.limits.held_bytes_per_session
        self.shares = Shares(own, max(0, self.limits.held_bytes - own * self.limits.sessions))
        self.starting: list[Callable[[], None]] = []
        self.stopping: list[Callable[[], None]] = []
        self.high_water = 64 << 10
        self.connections: set[Connection] = set()
        self.taking_turns = 0
        """Connections that sent more than their slice, and wait for the next."""
        self._host, self._port = host, port
        self._complaints: deque[float] = deque(maxlen=COMPLAINTS_PER_S)
        self._listener: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self._trusted_ns: tuple[int, ...] = ()
        self._all_gone = asyncio.Event()
        """Set while no connection is there."""
        self._all_gone.set()
        self._pool = ThreadPoolExecutor(CRYPTO_THREADS, "opcua-crypto")
        self._decoder = ThreadPoolExecutor(1, "opcua-decoder")
        self._decoder_rests_until_s = 0.0
        discovery = Discovery(application, self._own_url)
        self._sessions = Sessions(
            users, self.limits, discovery, clock, self.complain, self.audit, strict=strict, certificate_user=certificate_user
        )
        self.sessions: dict[bytes, Session] = self._sessions.by_token
        self.sessions_by_id: dict[Any, Session] = self._sessions.by_id
        self.tally = self._sessions.tally
        self.attributes = Attributes(self.values, rights, self.limits, self.methods, self.audit)
        rows = [
            *discovery.services(),
            *self._sessions.services(),
            *self.attributes.services(),
            *View(self.values, self.limits, self.shares).services(),
            *Methods(self.aspace, rights, self.limits, self.methods, self.audit).services(),
        ]
        for room in rooms:
            rows += room(self)
        self.table = services.table(rows)

    @classmethod
    def of(cls, server: SecureServer, *, rooms: Iterable[Room] = (), limits: Limits | None = None, **options: Any) -> Engine:
        """The front of a server: with its certificate, users, trust and rights, on its address."""
        host, port = server.address
        known, issuer = server.users.certificates, server.users.issuer
        given = options.setdefault("certificate_user", server.users.with_certificate) != server.users.with_certificate

        def application() -> Application:
            return Application(
                uri=server.application_uri,
                product_uri=server.product_uri,
                name=server.name,
                certificate=server.own.certificate,
                insecure=server.own.insecure,
                anonymous=not server.strict,
                certificates=given or (known is not None and known.has_any()),
                issuer=issuer.endpoint() if issuer is not None else "",
                curves={kind.name: one.certificate for kind in CURVES.values() if (one := server.own.of(kind)) is not None},
            )

        return cls(
            server,
            host=host,
            port=port,
            own=server.own,
            application=application,
            trust=server.trust,
            users=server.users,
            rights=server.rights,
            limits=limits,
            strict=server.strict,
            columns=server.columns,
            rooms=rooms,
            **options,
        )

    # Life -----------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the port. Raises OSError; nothing runs then."""
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(lambda: Connection(self), self._host, self._port, backlog=100)
        self._sweeper = loop.create_task(self._sweep(), name="opcua connections")
        for starting in self.starting:
            starting()

    async def stop(self) -> None:
        """Close the port, sessions and connections; a peer that does not read is cut off after that."""
        if self._listener is not None:
            self._listener.close()
        for stopping in self.stopping:
            stopping()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait([self._sweeper])
        for session in list(self.sessions.values()):
            self._sessions.end(session, delete_subscriptions=True)  # type: ignore[arg-type]
        for connection in list(self.connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._all_gone.wait(), STOP_S)
        for connection in list(self.connections):
            connection.abort()
        for pool in (self._pool, self._decoder):
            pool.shutdown(wait=False, cancel_futures=True)
        if self._listener is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._listener.wait_closed(), STOP_S)

    @property
    def port(self) -> int:
        """The port it listens on, also where 0 was asked for."""
        if self._listener is None or not self._listener.sockets:
            return self._port
        return int(self._listener.sockets[0].getsockname()[1])

    async def _sweep(self) -> None:
        """End what is over: sessions, channels, connections that came to nothing."""
        while True:
            await asyncio.sleep(SWEEP_S)
            now_s = self.clock()
            self._sessions.expire(now_s)
            for connection in list(self.connections):
                if now_s - connection.closed_s > GOODBYE_S:
                    connection.abort()
                    continue
                if connection.sessions or connection.may_wait:
                    connection.since_s = now_s
                if not connection.is_pending:
                    connection.waits_since_s = now_s
                allowed_s = WITHOUT_SESSION_S if connection.channel.is_open else self.limits.handshake_s
                if connection.channel.is_over(now_s):
                    connection.close(0x80870000, "security token is over")
                elif now_s - connection.since_s > allowed_s:
                    connection.close(frames.BAD_TIMEOUT, "no session in time")
                elif connection.parted_s is not None and now_s - connection.parted_s > MESSAGE_S:
                    connection.close(frames.BAD_TIMEOUT, "the rest of a message did not come in time")
            await self._look_at_trust()

    # For connections ------------------------------------------------------------------------------------------------

    def admit(self, connection: Connection) -> bool:
        """Whether there is room for one more connection, in all and of its address.

        When all are taken, who has waited longest without a session makes room: silence of many addresses keeps nobody out. Of one
        address who has waited longest without a channel does: others may be behind it who log in. Where all have a channel, it is
        one over which nobody has logged in for longer than that takes.
        """
        waiting = [other for other in self.connections if other.is_pending]
        of_it = [other for other in waiting if other.counted_as == connection.counted_as]
        if len(of_it) >= self.limits.pending_per_address:
            late_s = self.clock() - LOGIN_S
            idle = [other for other in of_it if not other.may_log_in]
            idle = idle or [other for other in of_it if other.waits_since_s < late_s and not other.logs_in]
            if not idle:
                return False
            self._displace(idle)
        if len(self.connections) >= self.limits.connections + self.limits.waiting_connections:
            waiting = [other for other in waiting if other in self.connections]
            if not waiting:
                return False
            self._displace([other for other in waiting if not other.may_log_in] or waiting)
        self.connections.add(connection)
        self._all_gone.clear()
        return True

    def _displace(self, waiting: list[Connection]) -> None:
        oldest = min(waiting, key=lambda other: other.waits_since_s)
        self.connections.discard(oldest)
        oldest.abort()

    def bound_unsent(self) -> None:
        """Called when something waits for a peer that does not read. What waits for all of them is bounded; who has most goes."""
        if sum(other.backlog for other in self.connections) > UNSENT_BYTES:
            most = max(self.connections, key=lambda other: other.backlog)
            self.complain("%s does not read: closed with %d bytes unsent", most.address, most.backlog)
            most.abort()

    def park(self, connection: Connection) -> None:
        """Called when a part of a message came. What all keep of messages that are not whole is bounded; who keeps most goes."""
        if not connection.parked_bytes:
            connection.parted_s = None
            return
        if connection.parted_s is None:
            connection.parted_s = self.clock()
        if sum(other.parked_bytes for other in self.connections) > PARKED_BYTES:
            most = max(self.connections, key=lambda other: other.parked_bytes)
            self.complain("%s: closed, %d bytes of a message wait for its rest", most.address, most.parked_bytes)
            most.close(frames.BAD_TCP_NOT_ENOUGH_RESOURCES, "too much of messages that are not whole")

    def forget(self, connection: Connection) -> None:
        self.connections.discard(connection)
        if not self.connections:
            self._all_gone.set()
        self._sessions.forget_connection(connection)

    async def in_thread(self, work: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    async def in_decoder(self, work: Callable[[], T]) -> T:
        """One after another, and half of the time at most, so that the loop is not one of many that want to run."""
        return await asyncio.get_running_loop().run_in_executor(self._decoder, self._rested, work)

    def _rested(self, work: Callable[[], T]) -> T:
        time.sleep(max(0.0, self._decoder_rests_until_s - time.monotonic()))
        begun_s = time.thread_time()
        try:
            return work()
        finally:
            self._decoder_rests_until_s = time.monotonic() + time.thread_time() - begun_s

    async def judge(self, chain: bytes, peer: str) -> Verdict:
        """Whether the owner of a certificate gets in."""
        verdict = await self.in_thread(lambda: self.trust.check(chain, peer=peer))
        if verdict.newly_trusted:
            _audit.warning("certificate %s from %s: trusted on first use", verdict.thumbprint, peer)
        elif not verdict.accepted:
            self.complain("certificate %s from %s: refused, %s", verdict.thumbprint, peer, verdict.text)
        return verdict

    async def _look_at_trust(self) -> None:
        """An operator who changed whom we trust need not wait for the channels to be opened again."""
        if not any(connection.channel.chain for connection in self.connections):
            self._trusted_ns = ()
            return
        now = (*self.trust.changed_ns(), *(self.user_trust.changed_ns() if self.user_trust is not None else ()))
        if now != self._trusted_ns:
            self._trusted_ns = now
            await self.judge_again()

    async def judge_again(self) -> None:
        """Close the channels of clients whose certificates no longer get in, and the sessions of users whose do not."""
        await self._sessions.judge_again(self.in_thread)
        for connection in list(self.connections):
            chain = connection.channel.chain
            if chain and not (await self.judge(chain, connection.address)).accepted:
                connection.close(frames.BAD_SECURITY_CHECKS_FAILED, "client certificate is no longer trusted")

    def use(self, own: Own) -> None:
        """Be somebody with another certificate from now on; channels that are open go on with the one they know."""
        self.own = self.server.own = own

    def complain(self, text: str, *arguments: Any) -> None:
        """Log what a stranger does wrong, a few lines a second at most."""
        now_s = time.monotonic()
        if len(self._complaints) < COMPLAINTS_PER_S or now_s - self._complaints[0] >= 1.0:
            self._complaints.append(now_s)
            _logger.warning(text, *arguments)

    def _own_url(self, request: Request) -> str:
        host, _ = request.answer.connection.local_address()  # type: ignore[attr-defined]
        return f"opc.tcp://{f'[{host}]' if ':' in host else host}:{self.port}"
