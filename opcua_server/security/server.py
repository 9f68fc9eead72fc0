"""The server with its doors: endpoints, certificate, trust list, users. One call makes it, `start` opens it.

server = await make(settings, vault, certificate, key)   # nothing listens yet
spaces = space.build(server, identities); server.rights.add_machine(...)
await server.start()
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from asyncua import Server, ua
from asyncua.common.connection import TransportLimits
from asyncua.crypto import security_policies
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.address_space import ViewService
from asyncua.server.internal_server import InternalServer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.application import uris
from certs.pki import Trust
from certs.verdict import Refused, parse_chain
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from opcua_server.security.access import ANONYMOUS, ANONYMOUS_INSECURE
from opcua_server.security.channel import Listener
from opcua_server.security.service import Limits, Rights, Session
from opcua_server.security.users import Users

_logger = logging.getLogger(__name__)
_P = ua.SecurityPolicyType
POLICIES: Final = (
    _P.Basic256Sha256_SignAndEncrypt,
    _P.Basic256Sha256_Sign,
    _P.Aes128Sha256RsaOaep_SignAndEncrypt,
    _P.Aes128Sha256RsaOaep_Sign,
    _P.Aes256Sha256RsaPss_SignAndEncrypt,
    _P.Aes256Sha256RsaPss_Sign,
)
PENDING_ACTIVATION_S: Final = 30.0
COMPLAINTS_PER_S: Final = 5
STOP_S: Final = 1.0
MAX_SESSION_TIMEOUT_MS: Final = 180_000.0
"""A client that is gone for longer begins anew; sessions of clients that crash do not pile up for an hour."""


class _Rate:
    """At most ``per_s`` in any second."""

    def __init__(self, per_s: int) -> None:
        self._last: deque[float] = deque(maxlen=per_s)

    def allows(self, now_s: float) -> bool:
        if len(self._last) == self._last.maxlen and now_s - self._last[0] < 1.0:
            return False
        self._last.append(now_s)
        return True


class _Quiet(logging.Filter):
    """asyncua logs each refused request as an error, and each broken one with its stack: strangers would fill the disk."""

    def __init__(self) -> None:
        super().__init__()
        self._rate = _Rate(COMPLAINTS_PER_S)

    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("sending service fault") and self._rate.allows(time.monotonic())


_QUIET: Final = _Quiet()
_TALKATIVE: Final = ("uaprocessor", "binary_server_asyncio", "address_space", "internal_session", "subscription_service")


class View(ViewService):
    """asyncua walks the tree of reference types anew for each reference; types do not change, so once is enough."""

    def __init__(self, aspace: Any) -> None:
        super().__init__(aspace)
        self._subtypes: dict[Any, frozenset[Any]] = {}

    def _suitable_reftype(self, ref1: Any, ref2: Any, subtypes: bool) -> bool:
        if ref1 == ref2 or ref1.is_null():
            return True
        if not subtypes:
            return False
        known = self._subtypes.get(ref1)
        if known is None:
            if len(self._subtypes) > 1000:
                self._subtypes.clear()  # strangers' ids of types that do not exist
            known = self._subtypes[ref1] = frozenset(self._get_sub_ref(ref1))
        return ref2 in known

    def forget(self) -> None:
        """After types were added."""
        self._subtypes.clear()


class Inner(InternalServer):
    """What all connections share."""

    def __init__(self, users: Users, trust: Trust, *, strict: bool, insecure: bool, limits: Limits) -> None:
        super().__init__()
        # asyncua's own user check runs in the loop and sees no address; ours is done before (channel.Processor._activate).
        self.user_manager = None
        self.users = users
        self.trust = trust
        self.strict = strict
        self.insecure = insecure
        self.limits = limits
        self.rights = Rights()
        self.view_service = View(self.aspace)
        self.supported_tokens = (ua.UserNameIdentityToken,) if strict else (ua.AnonymousIdentityToken, ua.UserNameIdentityToken)
        self.max_connections = limits.connections
        self.max_pending_activation_seconds = PENDING_ACTIVATION_S
        self.max_subscriptions = limits.sessions * limits.subscriptions_per_session
        self.max_session_timeout_ms = MAX_SESSION_TIMEOUT_MS
        self._complaints = _Rate(COMPLAINTS_PER_S)

    def create_session(self, name: Any, user: Any = None, external: bool = False) -> Any:
        if not external:
            return super().create_session(name, external=False)
        # asyncua's role only decides whether AccessLevels count: for sessions from outside they always do.
        user = User(role=UserRole.User, name=str(name))
        return Session(self, self.aspace, self.subscription_service, name, user=user, external=True)

    def get_new_channel_id(self) -> int:
        return secrets.randbelow(2**31 - 1) + 1

    @staticmethod
    @lru_cache(maxsize=256)
    def uris_of(certificate: bytes) -> tuple[str, ...]:
        """The URIs a certificate is for."""
        return tuple(uris(x509.load_der_x509_certificate(certificate)))

    def complain(self, text: str, *arguments: Any) -> None:
        """Log what a stranger does wrong, a few lines a second at most."""
        if self._complaints.allows(time.monotonic()):
            _logger.warning(text, *arguments)


class _Factory(security_policies.SecurityPolicyFactory):
    """Makes a channel's policy from the sender's certificate, without the issuers that may follow it."""

    def create(self, peer_certificate: Any) -> Any:
        if peer_certificate is None:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadCertificateInvalid)
        try:
            leaf = parse_chain(bytes(peer_certificate))[0]
        except Refused as refusal:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadCertificateInvalid) from refusal
        return super().create(leaf.public_bytes(Encoding.DER))


class SecureServer(Server):
    """asyncua's server with our doors."""

    iserver: Inner
    front: Callable[[SecureServer], Any] | None = None
    """Makes what listens instead of asyncua's own front: ``async start()`` and ``async stop()``."""

    @property
    def rights(self) -> Rights:
        return self.iserver.rights

    async def _setup_server_nodes(self) -> None:
        if self.iserver.insecure:
            self._set_endpoints(security_policies.SecurityPolicyNone, ua.MessageSecurityMode.None_, 0)
        for kind in POLICIES:
            policy, mode, level = security_policies.SECURITY_POLICY_TYPE_MAP[kind]
            self._set_endpoints(policy, mode, level)
            self._policies.append(_Factory(policy, mode, self.iserver.certificate, self.iserver.private_key))

    def _set_endpoints(self, policy: Any, mode: Any, level: int) -> None:
        super()._set_endpoints(policy, mode, level)
        encrypts = policy if mode != ua.MessageSecurityMode.None_ else security_policies.SecurityPolicyBasic256Sha256
        for token in self.iserver.endpoints[-1].UserIdentityTokens:
            if token.TokenType == ua.UserTokenType.UserName:
                # Also on an encrypted channel: no password is ever in clear where asyncua or a log could show it.
                token.SecurityPolicyUri = encrypts.URI
                token.PolicyId = "username_" + encrypts.URI.rpartition("#")[2]

    async def start(self) -> None:
        """Listen. Raises OSError when the port is taken; nothing runs then."""
        await self._setup_server_nodes()
        host, port = self._get_bind_socket_info()
        if self.front is None:
            self.bserver = Listener(self.iserver, host, port, self.limits)
            self.bserver.set_policies(self._policies)
        else:
            self.bserver = self.front(self)
        await self.bserver.start()
        self.iserver.view_service.forget()
        await self.iserver.start()

    async def stop(self) -> None:
        """Close sessions, connections and the port; a peer that does not read is cut off after a second."""
        for session in list(self.iserver._external_sessions.values()):
            await session.close_session(True)
        if self.bserver is not None:
            transports = list(self.iserver.asyncio_transports)
            try:
                await asyncio.wait_for(self.bserver.stop(), STOP_S)
            except TimeoutError:
                for transport in transports:
                    transport.abort()
        if self.iserver.time_task is not None:
            self.iserver.time_task.cancel()  # asyncua waits for it, up to a second
            await asyncio.wait([self.iserver.time_task])
            self.iserver.time_task = None
        await self.iserver.stop()


async def make(
    settings: Settings, vault: Vault, certificate: Path, key: Path, uri: str, *, limits: Limits | None = None
) -> SecureServer:
    """An initialised server that does not listen yet. Trust and users are those of the data folder of ``settings``."""
    for name in _TALKATIVE:
        logging.getLogger(f"asyncua.server.{name}").addFilter(_QUIET)
    limits = limits or Limits()
    anonymous = ANONYMOUS_INSECURE if settings.insecure else None if settings.is_strict else ANONYMOUS
    pki = settings.data / "pki"
    trust = Trust(pki / "server", first_use=not settings.is_strict, own_applications=pki)
    inner = Inner(Users(vault, anonymous), trust, strict=settings.is_strict, insecure=settings.insecure, limits=limits)
    server = SecureServer(iserver=inner)
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    server.set_endpoint(f"opc.tcp://{host}:{settings.opcua_port}")
    server.socket_address = (settings.host, settings.opcua_port)
    await server.init()
    server.application_type = ua.ApplicationType.Server
    await server.set_application_uri(uri)
    await server.load_certificate(certificate)
    await server.load_private_key(key)
    server.limits = TransportLimits(
        max_recv_buffer=65_535,
        max_send_buffer=65_535,
        max_chunk_count=limits.message_bytes // 8192,
        max_message_size=limits.message_bytes,
    )
    return server
