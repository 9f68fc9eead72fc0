"""The connection: frames are bounded, the channel's certificate is judged, and a session is bound only after it is verified.

    frame --size, type--> OPN --signature, then trust--> channel --policy None: discovery only--> service
                                                            '-- token of the request == token of the session bound here

Whatever is wrong below a service is answered with one ERR message and the connection closes, with one short line in the log.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import struct
import time
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from asyncua import ua
from asyncua.common.connection import SecureConnection
from asyncua.common.utils import ServiceError
from asyncua.crypto.security_policies import SecurityPolicyNone
from asyncua.crypto.uacrypto import InvalidSignature
from asyncua.server.binary_server_asyncio import BinaryServer, OPCUAProtocol
from asyncua.server.internal_session import SessionState
from asyncua.server.uaprocessor import UaProcessor
from asyncua.ua.ua_binary import struct_from_binary, uatcp_to_binary

from opcua_server.security.service import Session, fail
from opcua_server.security.users import NotThem, Person

_C = ua.StatusCodes
_logger = logging.getLogger(__name__)
_audit = logging.getLogger("opcua_server.audit")


def _ids(*names: str) -> frozenset[Any]:
    return frozenset(ua.NodeId(getattr(ua.ObjectIds, f"{name}Request_Encoding_DefaultBinary")) for name in names)


_DISCOVERY: Final = _ids("GetEndpoints", "FindServers")
_CREATE_SESSION: Final = _ids("CreateSession")
_ACTIVATE_SESSION: Final = _ids("ActivateSession")
_WITHOUT_SESSION: Final = _DISCOVERY | _CREATE_SESSION | _ACTIVATE_SESSION | _ids("CloseSecureChannel")
_REFUSED: Final = _ids("AddNodes", "DeleteNodes", "AddReferences", "DeleteReferences", "RegisterServer", "RegisterServer2")

MIN_LIFETIME_MS: Final = 10_000
MAX_LIFETIME_MS: Final = 3_600_000
MIN_CLIENT_NONCE: Final = 32
_FRAME_TYPES: Final = frozenset({b"HEL", b"OPN", b"MSG", b"CLO", b"ERR", b"ACK"})


class Unacceptable(Exception):
    """The peer broke the rules of the transport or the channel: answered with ERR ``status``, then closed."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Channel(SecureConnection):
    """asyncua's channel, which also lets expired tokens and messages before OPN pass."""

    def open(self, params: Any, server: Any) -> Any:
        wanted = self.security_policy.secure_channel_nonce_length if self.security_policy.URI != SecurityPolicyNone.URI else 0
        if wanted and len(params.ClientNonce or b"") != wanted:
            raise Unacceptable(_C.BadNonceInvalid, "nonce of the wrong length")
        params.RequestedLifetime = min(max(params.RequestedLifetime, MIN_LIFETIME_MS), MAX_LIFETIME_MS)
        return super().open(params, server)

    def _check_sym_header(self, security_hdr: Any) -> None:
        if not self.is_open() or security_hdr.TokenId == 0:
            raise Unacceptable(_C.BadSecureChannelIdInvalid, "message without a secure channel")
        if security_hdr.TokenId == self.security_token.TokenId:
            ends = self.security_token.CreatedAt + timedelta(milliseconds=self.security_token.RevisedLifetime * 1.25)
            if datetime.now(UTC) > ends:
                raise Unacceptable(_C.BadSecureChannelTokenUnknown, "security token expired")
        super()._check_sym_header(security_hdr)


class Processor(UaProcessor):
    """One connection's requests."""

    def __init__(self, iserver: Any, transport: Any, limits: Any) -> None:
        super().__init__(iserver, transport, limits)
        self._connection = Channel(SecurityPolicyNone(), self._limits)
        self.peer = str(self.name[0]) if isinstance(self.name, tuple) else str(self.name)
        self._greeted = False

    @property
    def _policy(self) -> Any:
        return self._connection.security_policy

    @property
    def _is_secure(self) -> bool:
        return bool(self._policy.URI != SecurityPolicyNone.URI)

    # Frames and channel ---------------------------------------------------------------------------------------------

    async def process(self, header: Any, body: Any) -> bool:
        kind = header.MessageType
        if kind == ua.MessageType.Hello:
            if self._greeted:
                raise Unacceptable(_C.BadTcpMessageTypeInvalid, "second Hello")
            self._greeted = True
        elif not self._greeted:
            raise Unacceptable(_C.BadTcpMessageTypeInvalid, "no Hello")
        elif kind == ua.MessageType.SecureOpen:
            message = self._connection.receive_from_header_and_body(header, body)
            if message is None:
                raise Unacceptable(_C.BadTcpMessageTypeInvalid, "OpenSecureChannel in more than one chunk")
            # The peer has proved by now that it has the certificate's key: strangers' certificates do not fill the folder.
            await self._admit(message.SecurityHeader())
            self.open_secure_channel(message.SecurityHeader(), message.SequenceHeader(), message.body())
            return True
        return bool(await super().process(header, body))

    async def _admit(self, header: Any) -> None:
        """Judge the certificate of OpenSecureChannel; on a renewal it must be the one of the channel."""
        if header.SecurityPolicyURI != self._policy.URI:
            raise Unacceptable(_C.BadSecurityPolicyRejected, "another security policy on an open channel")
        if not self._is_secure:
            return
        leaf = self._policy.peer_certificate
        if self._connection.is_open():
            if not hmac.compare_digest(bytes(header.SenderCertificate[: len(leaf)]), leaf):
                raise Unacceptable(_C.BadSecurityChecksFailed, "another certificate on an open channel")
            return
        trust = self.iserver.trust
        verdict = await asyncio.to_thread(trust.check, bytes(header.SenderCertificate), peer=self.peer)
        if not verdict.accepted:
            self.iserver.complain("certificate %s from %s: refused, %s", verdict.thumbprint, self.peer, verdict.text)
            # The standard lets a stranger see no more than this (OPC 10000-4, 6.1.3); the reason is in the log and the folder.
            raise Unacceptable(_C.BadSecurityChecksFailed, "client certificate refused; see the server's rejected certificates")
        if verdict.newly_trusted:
            _audit.warning("certificate %s from %s: trusted on first use", verdict.thumbprint, self.peer)

    def send_response(self, *args: Any, **options: Any) -> None:
        super().send_response(*args, **options)
        if self._transport.get_write_buffer_size() > self.iserver.limits.unsent_bytes:
            _logger.warning("%s does not read: closed with %d bytes unsent", self.peer, self._transport.get_write_buffer_size())
            self._transport.abort()

    def send_error(self, status: int, text: str) -> None:
        """Tell the peer why the connection closes."""
        with contextlib.suppress(Exception):
            message = ua.ErrorMessage(ua.StatusCode(status), text[:200])
            self._transport.write(uatcp_to_binary(ua.MessageType.Error, message))

    # Services -------------------------------------------------------------------------------------------------------

    async def _process_message(self, typeid: Any, requesthdr: Any, seqhdr: Any, body: Any) -> Any:
        if not self._is_secure and not self.iserver.insecure and typeid not in _DISCOVERY:
            raise fail(_C.BadSecurityPolicyRejected)
        if typeid in _REFUSED:
            self.iserver.complain("service %s from %s: refused", typeid.Identifier, self.peer)
            raise fail(_C.BadUserAccessDenied if self.session is not None else _C.BadServiceUnsupported)
        if typeid not in _WITHOUT_SESSION and not self._is_bound(requesthdr.AuthenticationToken):
            raise fail(_C.BadSessionIdInvalid)
        if typeid in _CREATE_SESSION:
            params = struct_from_binary(ua.CreateSessionParameters, body.copy())
            self._check_create(params)
        if typeid in _ACTIVATE_SESSION:
            await self._activate(requesthdr, seqhdr, struct_from_binary(ua.ActivateSessionParameters, body))
            return True
        done = await super()._process_message(typeid, requesthdr, seqhdr, body)
        if typeid in _CREATE_SESSION:
            self.session.certificate = self._policy.peer_certificate
            self.session.processor = self
        return done

    def _is_bound(self, token: Any) -> bool:
        session = self.session
        if session is None or session.state is SessionState.Closed:
            return False
        sent = token.Identifier if isinstance(token.Identifier, bytes) else b""
        return hmac.compare_digest(sent, session.auth_token.Identifier)

    def _check_create(self, params: Any) -> None:
        if self.session is not None and self.session.state is not SessionState.Closed:
            raise fail(_C.BadTooManySessions)
        if len(self.iserver._external_sessions) >= self.iserver.limits.sessions:
            raise fail(_C.BadTooManySessions)
        if not self._is_secure:
            return
        if len(params.ClientNonce or b"") < MIN_CLIENT_NONCE:
            raise fail(_C.BadNonceInvalid)
        leaf = self._policy.peer_certificate
        if bytes(params.ClientCertificate or b"")[: len(leaf)] != leaf:
            raise fail(_C.BadCertificateInvalid)
        said = params.ClientDescription.ApplicationUri
        names = self.iserver.uris_of(leaf)
        if said not in names:
            self.iserver.complain("client at %s says it is %r, its certificate is for %s", self.peer, said, ", ".join(names))
            if self.iserver.strict:
                raise fail(_C.BadCertificateUriInvalid)

    async def _activate(self, requesthdr: Any, seqhdr: Any, params: Any) -> None:
        """Verify everything, then bind the session to this connection; nothing of it changes when the check fails."""
        session: Session | None = self.session
        if session is None or session.state is SessionState.Closed:
            session = self.iserver.lookup_external_session(requesthdr.AuthenticationToken)
        token = requesthdr.AuthenticationToken.Identifier
        if session is None or not isinstance(token, bytes) or not hmac.compare_digest(token, session.auth_token.Identifier):
            raise fail(_C.BadSessionIdInvalid)
        moved = session is not self.session
        if moved and not session.is_activated():
            raise fail(_C.BadSessionNotActivated)
        if session.certificate != self._policy.peer_certificate:
            raise fail(_C.BadSecurityChecksFailed)
        nonce = session.nonce or b""
        try:
            challenge = (self._policy.host_certificate or b"") + nonce
            self._policy.asymmetric_cryptography.verify(challenge, params.ClientSignature.Signature)
        except Exception as error:  # asyncua lets through what the crypto library raises
            raise fail(_C.BadApplicationSignatureInvalid) from error
        person = await self._identify(params.UserIdentityToken, nonce)
        if session.state is SessionState.Closed or session.nonce != nonce:
            raise fail(_C.BadSessionIdInvalid)
        if moved and session.person != person:
            raise fail(_C.BadIdentityChangeNotSupported)
        # The person is known; asyncua's own activation only sees that there is one.
        params.UserIdentityToken = ua.UserNameIdentityToken()
        result = session.activate_session(params, self._policy.peer_certificate)
        session.person = person
        if moved:
            self._take_over(session)
        self.session_last_activity = time.monotonic()
        self.send_response(requesthdr.RequestHandle, seqhdr, ua.ActivateSessionResponse(Parameters=result))

    async def _identify(self, token: Any, nonce: bytes) -> Person:
        users = self.iserver.users
        try:
            if token is None or isinstance(token, ua.AnonymousIdentityToken) or _is_null(token):
                return users.without_login(self.peer)
            if isinstance(token, ua.UserNameIdentityToken):
                secret = token.Password if isinstance(token.Password, bytes) else (token.Password or "").encode()
                return await users.with_password(
                    token.UserName, secret, token.EncryptionAlgorithm, self.iserver.private_key, nonce, self.peer
                )
        except NotThem as problem:
            raise fail(getattr(_C, problem.status)) from problem
        raise fail(_C.BadIdentityTokenRejected)

    def _take_over(self, session: Session) -> None:
        """Move an activated session from the connection it was on to this one, with its subscriptions."""
        old = session.processor
        if old is not None and old is not self:
            old.session = None
            old._closing = True
            old._transport.close()
        self.session = session
        session.processor = self
        self._closing = False
        if self._session_watchdog_task is None or self._session_watchdog_task.done():
            self._session_watchdog_task = asyncio.create_task(self._session_watchdog_loop())
        for sub in session._all_own():
            sub.pub_result_callback = self.forward_publish_response
            sub.pub_request_callback = self.get_publish_request


def _is_null(token: Any) -> bool:
    return isinstance(token, ua.ExtensionObject) and token.TypeId == ua.NodeId(ua.ObjectIds.Null)


class Protocol(OPCUAProtocol):
    """One socket: frames within limits, an answer to each that is not, and no more connections than agreed."""

    def connection_made(self, transport: Any) -> None:
        peer = transport.get_extra_info("peername")
        address = peer[0] if isinstance(peer, tuple) else peer
        pending = sum(1 for other in self.clients if not other.is_active and other.peer_name and other.peer_name[0] == address)
        if len(self.clients) >= self.iserver.max_connections or pending >= self.iserver.limits.pending_per_address:
            self.peer_name = peer
            _logger.warning("%s: refused, too many connections", address)
            transport.write(uatcp_to_binary(ua.MessageType.Error, ua.ErrorMessage(ua.StatusCode(_C.BadTcpNotEnoughResources), "")))
            transport.close()
            return
        super().connection_made(transport)
        self.processor = Processor(self.iserver, transport, self.limits)
        self.processor.set_policies(self.policies)

    @property
    def is_active(self) -> bool:
        session = self.processor.session if self.processor is not None else None
        return session is not None and session.is_activated()

    def data_received(self, data: bytes) -> None:
        if self.processor is None or self.transport is None or self.transport.is_closing():
            return
        waiting = self._buffer + data
        start = 0
        while len(waiting) - start >= 8:
            kind, size = waiting[start : start + 3], struct.unpack_from("<I", waiting, start + 4)[0]
            if kind not in _FRAME_TYPES or waiting[start + 3] not in b"FCA" or size < 8:
                self._refuse(Unacceptable(_C.BadTcpMessageTypeInvalid, "no OPC UA message"))
                return
            if size > self.limits.max_recv_buffer:
                self._refuse(Unacceptable(_C.BadTcpMessageTooLarge, f"chunk of {size} bytes"))
                return
            start += size
        super().data_received(data)

    async def _process_one_msg(self, header: Any, buf: Any) -> bool:
        try:
            return bool(await super()._process_one_msg(header, buf))
        except asyncio.CancelledError:
            raise
        except Unacceptable as problem:
            self._refuse(problem)
        except (ServiceError, ua.uaerrors.UaStatusCodeError) as problem:
            self._refuse(Unacceptable(problem.code, str(problem)))
        except InvalidSignature:
            self._refuse(Unacceptable(_C.BadSecurityChecksFailed, "wrong signature"))
        except Exception as problem:  # whatever a decoder makes of a stranger's bytes
            self._refuse(Unacceptable(_C.BadSecurityChecksFailed, f"{type(problem).__name__}: {problem}"))
        return False

    def _refuse(self, problem: Unacceptable) -> None:
        self.iserver.complain("%s: closed, %s", self.peer_name[0] if self.peer_name else "?", str(problem)[:200])
        self._buffer = b""
        if self.processor is not None and self.transport is not None:
            self.processor.send_error(problem.status, str(problem))
            self.transport.close()


class Listener(BinaryServer):
    """The socket that accepts; asyncua's, with our protocol."""

    def _make_protocol(self) -> Protocol:
        return Protocol(
            iserver=self.iserver,
            policies=self._policies,
            clients=self.clients,
            closing_tasks=self.closing_tasks,
            limits=self.limits,
        )
