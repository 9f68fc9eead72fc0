"""CreateSession, ActivateSession, CloseSession (OPC 10000-4, 5.7).

    created --ActivateSession: signature over our nonce, then the person--> activated --close, timeout--> closed
                                 '-- on another channel: only of the same certificate, by the same person

A token is 32 random bytes and good only on the channel its session is bound to. Nothing changes before everything is verified.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import math
import secrets
import uuid
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature

from certs.application import uris
from cnctwin.wire.encode import node_id_bytes
from cnctwin.wire.scalars import ua
from opcua_server.engine import bound
from opcua_server.engine.channel import MAX_RSA_BITS
from opcua_server.engine.contract import Handover, Limits, Request, Service, ServiceFault, Session
from opcua_server.engine.discovery import Discovery
from opcua_server.engine.places import Places
from opcua_server.engine.policies import POLICIES, RSA_POLICIES, CurvePolicy, Ephemeral, rsa_secret, secret
from opcua_server.engine.tally import Tally
from opcua_server.security.audit import Audit
from opcua_server.security.roles import roles_of
from opcua_server.security.tokens import MAX_TOKEN
from opcua_server.security.users import MAX_PASSWORD, NotThem, Person, Users, as_text, open_secret

_C = ua.StatusCodes
_audit = logging.getLogger("opcua_server.audit")
MIN_TIMEOUT_MS: Final = 10_000.0
MAX_TIMEOUT_MS: Final = 180_000.0
UNACTIVATED_S: Final = 30.0
NONCE: Final = 32
MAX_NAME: Final = 512
PER_CONNECTION: Final = 10
LOGINS_PER_CONNECTION: Final = 2
"""Under way at once; those of one address are verified one after another, and an honest one waits for all before it."""
_MECHANISMS: Final = {
    ua.UserNameIdentityToken: "UserName", ua.X509IdentityToken: "X509", ua.IssuedIdentityToken: "IssuedToken",
}  # fmt: skip

CertificateUser = Callable[[bytes, str], Person]
"""(certificate in DER, peer's address) -> whose it is; raises NotThem. Its key is proved by then. Called in a thread."""


@dataclass(eq=False, slots=True)
class OpenSession(Session):
    """A session with what its services need to know of it."""

    token: bytes = b""
    session_id: Any = None
    nonce: bytes = b""
    client_nonce: bytes = b""
    """Of CreateSession."""
    person: Person | None = None
    connection: Any = None
    counted_as: str = ""
    """For whose address it counts."""
    last_s: float = 0.0
    created: datetime | None = None
    client_name: str = ""
    endpoint_url: str = ""
    mechanism: str = "Anonymous"
    """How the person was identified, as in SessionSecurityDiagnosticsDataType."""
    user_certificate: bytes = b""
    """With which the person logged in, where it was one (DER)."""
    person_ends_s: float = math.inf
    """Until when the person is vouched for, by the engine's clock: an issued token ends."""
    ephemeral: Ephemeral | None = None
    """With which the next password or token is encrypted, where the channel's keys are on a curve."""
    key_is_used: bool = False
    """A secret has been decrypted with the last of them."""
    logins: int = 0
    """ActivateSession requests under way."""
    requests: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Request type -> how many there were, without those in ``regular``."""
    refusals: defaultdict[int, int] = field(default_factory=lambda: defaultdict(int))
    """Request type -> how many were answered with a ServiceFault."""
    unauthorized: int = 0
    """Requests that were answered with a ServiceFault for what the client is or may not."""
    regular: int = 0
    """Publish requests that came as the one before."""

    @property
    def is_activated(self) -> bool:
        return self.person is not None


@lru_cache(maxsize=256)
def _uris(certificate: bytes) -> tuple[str, ...]:
    return tuple(uris(x509.load_der_x509_certificate(certificate)))


class Sessions:
    """All sessions. ``by_token``: encoded AuthenticationToken -> session; ``by_id``: UUID of the SessionId -> session."""

    def __init__(
        self,
        users: Users,
        limits: Limits,
        discovery: Discovery,
        clock: Callable[[], float],
        complain: Callable[..., None],
        audit: Audit,
        *,
        strict: bool,
        certificate_user: CertificateUser | None = None,
    ) -> None:
        self.by_token: dict[bytes, Session] = {}
        self.by_id: dict[Any, Session] = {}
        self._users = users
        self._limits = limits
        self._discovery = discovery
        self._clock = clock
        self._complain = complain
        self._audit = audit
        self._strict = strict
        self._certificate_user = certificate_user
        self.tally = Tally()
        self._places = Places(limits, self._all, partial(self.end, delete_subscriptions=True))

    def _all(self) -> list[OpenSession]:
        return [one for one in self.by_token.values() if isinstance(one, OpenSession)]

    def services(self) -> list[Service]:
        return [
            Service("CreateSession", 461, 464, self.create, ua.CreateSessionParameters, False),
            Service("ActivateSession", 467, 470, self.activate, ua.ActivateSessionParameters, False),
            Service("CloseSession", 473, 476, self.close, None, False),
        ]

    # Create ---------------------------------------------------------------------------------------------------------

    def create(self, request: Request, params: Any) -> Any:
        """A session, not activated yet; made or refused, it is audited."""
        channel = request.answer.connection.channel  # type: ignore[attr-defined]
        try:
            session, result = self._create(request, params)
        except ServiceFault as fault:
            self._audit.session_created(request, channel, None, fault.status)
            raise
        self._audit.session_created(request, channel, session)
        return result

    def _create(self, request: Request, params: Any) -> tuple[OpenSession, Any]:
        connection = request.answer.connection  # type: ignore[attr-defined]
        channel = connection.channel
        if len(connection.sessions) >= PER_CONNECTION:
            raise ServiceFault(_C.BadTooManySessions)
        self._check_client(request, channel, params)
        self._places.for_one_more()
        self.tally.sessions += 1
        number = self.tally.sessions
        token_id = ua.NodeId(secrets.token_bytes(32), 0)
        asked = params.RequestedSessionTimeout
        timeout_ms = min(max(asked, MIN_TIMEOUT_MS), MAX_TIMEOUT_MS) if asked == asked else MAX_TIMEOUT_MS
        session = OpenSession(
            number,
            (params.SessionName or "")[:MAX_NAME] or f"Session {number}",
            (params.ClientDescription.ApplicationUri or "")[:MAX_NAME],
            None,
            None,
            timeout_ms,
            channel.certificate,
            max_response_size=params.MaxResponseMessageSize,
            token=node_id_bytes(token_id),
            session_id=ua.NodeId(uuid.uuid4(), 1),
            nonce=secrets.token_bytes(NONCE),
            client_nonce=params.ClientNonce or b"",
            connection=connection,
            last_s=self._clock(),
            created=datetime.now(UTC),
            client_name=(params.ClientDescription.ApplicationName.Text or "")[:MAX_NAME],
            endpoint_url=(params.EndpointUrl or "")[:MAX_NAME],
        )
        result = ua.CreateSessionResult()
        result.SessionId, result.AuthenticationToken = session.session_id, token_id
        result.RevisedSessionTimeout, result.ServerNonce = timeout_ms, session.nonce
        result.ServerCertificate = channel.own.certificate
        self._give_key(request, session, channel)
        result.ServerEndpoints = self._discovery.endpoints(self._discovery._url(params.EndpointUrl, request))
        result.ServerSignature = ua.SignatureData()
        if channel.policy is not None:
            signed = bound.by_server(channel, bytes(params.ClientCertificate or b""), session.client_nonce, session.nonce)
            result.ServerSignature.Algorithm = channel.policy.signature_uri
            result.ServerSignature.Signature = channel.policy.sign(channel.own.key, signed)
        result.MaxRequestMessageSize = self._limits.message_bytes
        self.by_token[session.token] = session
        self.by_id[session.session_id.Identifier] = session
        connection.sessions[session.token] = session
        return session, result

    def _check_client(self, request: Request, channel: Any, params: Any) -> None:
        if channel.policy is None:
            return
        if len(params.ClientNonce or b"") < NONCE or len(params.ClientNonce) > 256:
            raise ServiceFault(_C.BadNonceInvalid)
        leaf = channel.certificate
        if not hmac.compare_digest(bytes(params.ClientCertificate or b"")[: len(leaf)], leaf):
            raise ServiceFault(_C.BadCertificateInvalid)
        said = params.ClientDescription.ApplicationUri
        names = _uris(leaf)
        if said not in names:
            self._complain("client at %s says it is %.200r, its certificate is for %.200r", request.peer, said, ", ".join(names))
            if self._strict:
                raise ServiceFault(_C.BadCertificateUriInvalid)

    # Activate -------------------------------------------------------------------------------------------------------

    async def activate(self, request: Request, params: Any) -> Any:
        """Bind a session to this channel and to a person, or to another person; done or refused, it is audited."""
        channel = request.answer.connection.channel  # type: ignore[attr-defined]
        known = self.by_token.get(request.header.token)
        try:
            result = await self._activate(request, params)
        except ServiceFault as fault:
            self._audit.session_activated(request, channel, known, params.UserIdentityToken, [], fault.status)
            if isinstance(known, OpenSession) and known.key_is_used and not known.is_closed:
                self._give_key(request, known, channel)  # who mistyped a password may try again
            raise
        roles = roles_of(known.user, known.role) if known is not None else []
        self._audit.session_activated(request, channel, known, params.UserIdentityToken, roles)
        return result

    async def _activate(self, request: Request, params: Any) -> Any:
        connection = request.answer.connection  # type: ignore[attr-defined]
        channel = connection.channel
        session = self.by_token.get(request.header.token)
        if not isinstance(session, OpenSession):
            raise ServiceFault(_C.BadSessionIdInvalid)
        moved = session.connection is not connection
        if session.certificate != channel.certificate:
            raise ServiceFault(_C.BadSecureChannelIdInvalid if channel.policy is not None else _C.BadSessionIdInvalid)
        if moved and not session.is_activated:
            raise ServiceFault(_C.BadSessionIdInvalid)
        nonce = session.nonce
        if channel.policy is not None:
            try:
                signed = bound.by_client(channel, session.client_nonce, nonce)
                channel.policy.verify(channel.key, params.ClientSignature.Signature or b"", signed)
            except InvalidSignature:
                raise ServiceFault(_C.BadApplicationSignatureInvalid) from None
        if sum(one.logins for one in {session, *connection.sessions.values()}) >= LOGINS_PER_CONNECTION:
            raise ServiceFault(_C.BadTooManyOperations)
        session.logins += 1
        try:
            person, left_s = await self._identify(params, channel, session, request.peer)
        finally:
            session.logins -= 1
        if session.is_closed or session.nonce != nonce:
            raise ServiceFault(_C.BadSessionIdInvalid)
        if moved and session.person != person:
            raise ServiceFault(_C.BadIdentityChangeNotSupported)
        if moved and len(connection.sessions) >= PER_CONNECTION:
            raise ServiceFault(_C.BadTooManySessions)
        if not connection.is_open:
            raise ServiceFault(_C.BadConnectionClosed)
        self._places.for_person(session, person, connection)
        session.counted_as = connection.counted_as
        before, session.person, session.user, session.role = session.person, person, person.name, person.role
        session.person_ends_s = self._clock() + left_s
        session.mechanism = _MECHANISMS.get(type(params.UserIdentityToken), "Anonymous")
        session.user_certificate = bytes(params.UserIdentityToken.CertificateData) if session.mechanism == "X509" else b""
        session.locale_ids = tuple(str(one)[:64] for one in (params.LocaleIds or [])[:32])
        session.nonce = secrets.token_bytes(NONCE)
        session.last_s = self._clock()
        if moved:
            if session.connection is not None:
                session.connection.sessions.pop(session.token, None)
            session.connection = connection
            connection.sessions[session.token] = session
        if moved or before not in (None, person):
            handover = Handover(before.role if before not in (None, person) else None, moved)
            try:
                for hand_over in session.handing_over:
                    hand_over(session, handover)
            except Exception:  # a bug: rather no session than one that shows what was another person's
                self.end(session, delete_subscriptions=True)
                raise
        self._give_key(request, session, channel)
        result = ua.ActivateSessionResult()
        result.ServerNonce = session.nonce
        return result

    def _give_key(self, request: Request, session: OpenSession, channel: Any) -> None:
        """A new ephemeral key for the next password, where the client asks for one (OPC 10000-6, 6.8.2)."""
        session.ephemeral, session.key_is_used = None, False
        wanted = secret.wanted_policy(request.header.more)
        if wanted is None:
            return
        policy = channel.policy if isinstance(channel.policy, CurvePolicy) and channel.policy.uri == wanted else None
        if policy is not None:
            session.ephemeral = Ephemeral(policy.curve)
        request.answer.more = secret.key_header(policy, session.ephemeral, channel.own.key)  # type: ignore[attr-defined]

    async def _identify(self, params: Any, channel: Any, session: OpenSession, peer: str) -> tuple[Person, float]:
        """Who it is, and for how many seconds that holds."""
        token, nonce = params.UserIdentityToken, session.nonce
        try:
            if token is None or isinstance(token, ua.AnonymousIdentityToken) or _is_null(token):
                return self._users.without_login(peer), math.inf
            if isinstance(token, ua.UserNameIdentityToken):
                sealed = token.Password if isinstance(token.Password, bytes) else (token.Password or "").encode()
                opened = self._secret(sealed, token.EncryptionAlgorithm, channel, session, MAX_PASSWORD)
                return await self._users.with_password(token.UserName, lambda: as_text(opened()), peer), math.inf
            if isinstance(token, ua.X509IdentityToken) and self._certificate_user is not None:
                signed = bound.by_user(channel, session.client_nonce, nonce)
                return await self._certified(token, params.UserTokenSignature, channel, signed, peer), math.inf
            if isinstance(token, ua.IssuedIdentityToken) and self._users.issuer is not None:
                opened = self._secret(token.TokenData or b"", token.EncryptionAlgorithm, channel, session, MAX_TOKEN)
                return await self._users.with_token(opened, peer)
        except NotThem as problem:
            raise ServiceFault(getattr(_C, problem.status)) from problem
        raise ServiceFault(_C.BadIdentityTokenRejected)

    def _secret(self, sealed: bytes, algorithm: str | None, channel: Any, session: OpenSession, most: int) -> Callable[[], bytes]:
        """How to decrypt a password or a token of ``most`` bytes, as the channel's kind of keys does it. What is returned raises
        NotThem, and takes a while."""
        policy, nonce, ephemeral = channel.policy, session.nonce, session.ephemeral
        own = channel.own
        is_curve = isinstance(policy, CurvePolicy)
        if is_curve and ephemeral is not None:
            session.ephemeral, session.key_is_used = None, True  # for one secret, whether it is the right one or not
        if not is_curve and (algorithm or not rsa_secret.is_one(sealed)):
            return partial(open_secret, sealed, algorithm, own.key, nonce, most)

        def opened() -> bytes:
            try:
                if not is_curve:
                    plain = rsa_secret.open_secret(policy or RSA_POLICIES[0], sealed, own.key, own.thumbprint, nonce)
                elif ephemeral is None:
                    raise ValueError("no key was asked for")
                else:
                    plain = secret.open_secret(policy, sealed, ephemeral, channel.key, channel.certificate, nonce)
                if len(plain) > most:
                    raise ValueError("it has no end")
                return plain
            except ValueError as error:
                raise NotThem("BadIdentityTokenInvalid", f"not encrypted for this session: {error}") from None

        return opened

    async def _certified(self, token: Any, signature: Any, channel: Any, signed: bytes, peer: str) -> Person:
        """Who a user certificate is for, once its key has signed ``signed``."""
        certificate_user = self._certificate_user
        policy = channel.policy or next(iter(POLICIES.values()))
        try:
            der = bytes(token.CertificateData or b"")
            key: Any = x509.load_der_x509_certificate(der).public_key()
            if not policy.kind.fits(key) or key.key_size > MAX_RSA_BITS:
                raise ValueError("no key of the kind and size that is accepted")
            policy.verify(key, signature.Signature or b"", signed)
        except (ValueError, InvalidSignature, AttributeError) as error:
            _audit.warning("login by certificate from %s: refused, its key is not proved", peer)
            raise ServiceFault(_C.BadUserSignatureInvalid) from error
        if certificate_user is None:
            raise ServiceFault(_C.BadIdentityTokenRejected)
        person = await asyncio.to_thread(certificate_user, der, peer)
        _audit.info("login %r by certificate from %s: %s", person.name, peer, person.role)
        return person

    # Close ----------------------------------------------------------------------------------------------------------

    def close(self, request: Request, raw: bytes) -> bytes:
        connection = request.answer.connection  # type: ignore[attr-defined]
        session = connection.sessions.get(request.header.token)
        if session is None:
            raise ServiceFault(_C.BadSessionIdInvalid)
        self.end(session, delete_subscriptions=raw[:1] != b"\x00", why="CloseSession")
        return b""

    def end(self, session: OpenSession, *, delete_subscriptions: bool, why: str = "Terminated") -> None:
        """Close a session, for whatever reason; a second time does nothing."""
        if session.is_closed:
            return
        session.is_closed = True
        self.by_token.pop(session.token, None)
        self.by_id.pop(session.session_id.Identifier, None)
        self._audit.session_ended(session, why)
        if session.connection is not None:
            session.connection.sessions.pop(session.token, None)
            session.connection = None
        for closing in session.closing:
            with contextlib.suppress(Exception):
                closing(session, delete_subscriptions)

    async def judge_again(self, in_thread: Callable[..., Any]) -> None:
        """End the sessions of people whose certificates are theirs no longer, or give them another role now."""
        for session in list(self.by_token.values()):
            if isinstance(session, OpenSession) and session.user_certificate:
                peer = session.connection.address if session.connection is not None else ""
                if not await in_thread(self._is_still, session, peer):
                    _audit.warning("session of %r at %s: ended, the certificate no longer says so", session.user, peer)
                    self.end(session, delete_subscriptions=True)

    def _is_still(self, session: OpenSession, peer: str) -> bool:
        try:
            return self._certificate_user is not None and self._certificate_user(session.user_certificate, peer) == session.person
        except NotThem:
            return False

    def expire(self, now_s: float) -> None:
        """End the sessions that were silent for longer than agreed, and those of people whom nobody vouches for any more."""
        for session in list(self.by_token.values()):
            if isinstance(session, OpenSession):
                over = "the token is over" if now_s > session.person_ends_s else ""
                if session.person is not None and not self._users.is_still(session.person):
                    over = "password or role is another one now"
                if over:
                    _audit.warning("session of %r: ended, %s", session.user, over)
                    self.end(session, delete_subscriptions=True)
                    continue
                allowed_s = session.timeout_ms / 1000 if session.is_activated else UNACTIVATED_S
                if now_s - session.last_s > allowed_s:
                    self.tally.timed_out_sessions += 1
                    self.end(session, delete_subscriptions=True, why="Timeout")

    def forget_connection(self, connection: Any) -> None:
        """A connection is gone: activated sessions wait for another one until they time out."""
        for session in list(connection.sessions.values()):
            session.connection = None
            if not session.is_activated:
                self.tally.aborted_sessions += 1
                self.end(session, delete_subscriptions=True)
        connection.sessions.clear()


def _is_null(token: Any) -> bool:
    return isinstance(token, ua.ExtensionObject) and token.TypeId == ua.NodeId(ua.ObjectIds.Null)
