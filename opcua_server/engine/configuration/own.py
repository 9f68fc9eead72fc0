"""A new certificate for the server itself (OPC 10000-12, 7.10.3 to 7.10.10).

    CreateSigningRequest --(a new key, if asked for, waits)--> an authority signs --> UpdateCertificate --checked--> staged
    staged --ApplyChanges--> in own/, used by every channel that is opened from then on     --CancelChanges, session over--> gone

Nothing is staged that would leave the server without a certificate that works: key, signatures, times, ApplicationUri are checked.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key
from cryptography.hazmat.primitives.serialization.pkcs12 import load_key_and_certificates

from certs.application import install_application, signing_request, thumbprint, uris
from certs.errors import CertificateProblem
from certs.kinds import KINDS, RSA, Kind, PrivateKey, kind_of
from certs.lists import add_certificate
from certs.trust import Trust, certificates
from certs.verdict import MAX_KEY_BITS, MIN_KEY_BITS, UNREADABLE, Refused, build_chain, judge_own, parse_chain
from cnctwin.wire.scalars import ua
from opcua_server.engine.channel import Own
from opcua_server.engine.configuration.arguments import answer, values
from opcua_server.engine.contract import Core, Handover, Request, ServiceFault

_C = ua.StatusCodes
_audit = logging.getLogger("opcua_server.audit")
GROUP: Final = ua.NodeId(14156, 0)
KIND: Final = ua.NodeId(RSA.type_id, 0)
"""DefaultApplicationGroup, the only one, and the certificate type that is meant where none is named."""
MAX_ISSUERS: Final = 5
MAX_BYTES: Final = 65_536
MIN_NONCE: Final = 32
KEY_FORMATS: Final = ("PEM", "PFX")
"""Without a passphrase: the channel that carries them is encrypted."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A certificate that waits for ApplyChanges."""

    session: Any
    certificate: x509.Certificate
    key: PrivateKey
    issuers: tuple[x509.Certificate, ...]
    method: Any


class OwnCertificate:
    """``folder``: of the application (``<data>/pki/server``)."""

    def __init__(self, core: Core, folder: Path) -> None:
        self._core = core
        self._folder = folder
        self._new_key: tuple[Any, PrivateKey] | None = None
        self._staged: Staged | None = None

    async def create_signing_request(self, request: Request, _object: Any, given: list[Any]) -> Any:
        """-> a PKCS #10 request, DER; with a new key, which the next UpdateCertificate of this session brings into use."""
        group, type_id, subject, new_key, nonce = values(given, "NodeId", "NodeId", "String", "Boolean", "ByteString")
        kind, own = self._ours(group, type_id)
        if new_key and len(nonce or b"") < MIN_NONCE:
            raise ServiceFault(_C.BadInvalidArgument)
        key = own.key
        if new_key:
            key = await asyncio.to_thread(kind.new_key)
            self._nobody_elses(request)
            self._new_key = (request.session, key)
            self._watch(request.session)
        certificate = x509.load_der_x509_certificate(own.certificate)
        try:
            made = await asyncio.to_thread(signing_request, certificate, key, (subject or "")[:512])
        except CertificateProblem as problem:
            raise ServiceFault(_C.BadInvalidArgument, str(problem)) from problem
        return answer(ua.Variant(made, ua.VariantType.ByteString))

    async def update(self, request: Request, _object: Any, given: list[Any]) -> Any:
        """-> True: ApplyChanges is needed. Raises ServiceFault with what is wrong with the certificate."""
        kinds = ("NodeId", "NodeId", "ByteString", "ByteString[]", "String", "ByteString")
        group, type_id, der, issuers, key_format, key_bytes = values(given, *kinds)
        _kind, own = self._ours(group, type_id)
        self._nobody_elses(request)
        if not der or len(der) > MAX_BYTES or len(issuers) > MAX_ISSUERS or any(len(one or b"") > MAX_BYTES for one in issuers):
            raise ServiceFault(_C.BadInvalidArgument)
        given_key = _load_key(key_format, key_bytes) if key_format or key_bytes else None
        try:
            chosen = await asyncio.to_thread(self._check, request.session, own, der, issuers, given_key)
        except Refused as refused:
            _audit.warning("UpdateCertificate from %s: refused, %s", request.peer, refused)
            raise ServiceFault(getattr(_C, refused.status)) from refused
        except UNREADABLE as error:
            raise ServiceFault(_C.BadCertificateInvalid) from error
        self._nobody_elses(request)
        (certificate, *above), key = chosen
        method = ua.NodeId(ua.ObjectIds.ServerConfiguration_UpdateCertificate)
        self._staged = Staged(request.session, certificate, key, tuple(above), method)
        self._watch(request.session)
        return answer(ua.Variant(True, ua.VariantType.Boolean))

    def _check(
        self, session: Any, own: Own, der: bytes, issuers: list[bytes], given: PrivateKey | None
    ) -> tuple[list[x509.Certificate], PrivateKey]:
        trust: Trust = self._core.trust
        sent = parse_chain(der)
        for issuer in issuers:
            sent += parse_chain(issuer)
        chain = build_chain(sent, [*certificates(trust.issuers), *certificates(trust.trusted)])
        judge_own(chain, datetime.now(UTC), uris(x509.load_der_x509_certificate(own.certificate))[0])
        keys: list[PrivateKey] = [own.key] if given is None else [given]
        if given is None and self._new_key is not None and self._new_key[0] is session:
            keys.append(self._new_key[1])
        key = next((one for one in keys if one.public_key() == chain[0].public_key()), None)
        if key is None or kind_of(key) is not kind_of(own.key):
            raise Refused("BadSecurityChecksFailed", "it is for another key")
        return chain, key

    async def apply(self, request: Request, _object: Any, given: list[Any]) -> Any:
        """Use what is staged: files first, so that a restart finds the same."""
        values(given)
        staged = self._staged
        if staged is None:
            raise ServiceFault(_C.BadNothingToDo)
        if staged.session is not request.session:
            raise ServiceFault(_C.BadTransactionPending)
        self._staged = self._new_key = None
        own: Own = self._core.own
        await asyncio.to_thread(self._install, staged)
        kind = kind_of(staged.key)
        self._core.use(own.with_pair(Own(staged.certificate.public_bytes(Encoding.DER), staged.key, own.insecure)))
        user = request.session.user if request.session is not None else None
        _audit.warning("own certificate replaced by %s from %s: %s", user, request.peer, thumbprint(staged.certificate))
        self._core.audit.changed_certificate(request, GROUP, ua.NodeId((kind or RSA).type_id, 0), staged.method)
        return answer()

    def _install(self, staged: Staged) -> None:
        for issuer in staged.issuers:
            der = issuer.public_bytes(Encoding.DER)
            add_certificate(self._core.trust, der, is_trusted=False, how="issuer of our own")
        install_application(self._folder, staged.certificate, staged.key)

    def cancel(self, request: Request, _object: Any, given: list[Any]) -> Any:
        values(given)
        if self._staged is None or self._staged.session is not request.session:
            raise ServiceFault(_C.BadNothingToDo)
        self._staged = None
        return answer()

    def _nobody_elses(self, request: Request) -> None:
        """Whether a session may prepare something: it is not over, when nobody would take it back, and no other one does."""
        if request.session is not None and request.session.is_closed:
            raise ServiceFault(_C.BadSessionClosed)
        if self._staged is not None and self._staged.session is not request.session:
            raise ServiceFault(_C.BadTransactionPending)

    def _ours(self, group: Any, type_id: Any) -> tuple[Kind, Own]:
        """The kind that a certificate type names, and what we are for it. Raises ServiceFault."""
        wanted = KIND if type_id.is_null() else type_id
        kind = next((one for one in KINDS if ua.NodeId(one.type_id, 0) == wanted), None)
        own = None if kind is None else self._core.own.of(kind)
        if not (group.is_null() or group == GROUP) or kind is None or own is None:
            raise ServiceFault(_C.BadInvalidArgument)
        return kind, own

    def _watch(self, session: Any) -> None:
        if self._forget not in session.closing:
            session.closing.append(self._forget)
            session.handing_over.append(self._hand_over)

    def _hand_over(self, session: Any, handover: Handover) -> None:
        """What one administrator prepared is not the next one's to apply."""
        if handover.role is not None:
            self._forget(session, True)

    def _forget(self, session: Any, _delete: bool) -> None:
        if self._staged is not None and self._staged.session is session:
            self._staged = None
        if self._new_key is not None and self._new_key[0] is session:
            self._new_key = None


def _load_key(key_format: str | None, content: bytes | None) -> PrivateKey:
    if key_format not in KEY_FORMATS:
        raise ServiceFault(_C.BadNotSupported)
    if not content or len(content) > MAX_BYTES:
        raise ServiceFault(_C.BadInvalidArgument)
    key: object
    try:
        key = load_pem_private_key(content, password=None) if key_format == "PEM" else load_key_and_certificates(content, None)[0]
    except UNREADABLE as error:
        raise ServiceFault(_C.BadInvalidArgument) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) or kind_of(key) is None:
        raise ServiceFault(_C.BadInvalidArgument)
    if isinstance(key, rsa.RSAPrivateKey) and not MIN_KEY_BITS <= key.key_size <= MAX_KEY_BITS:
        raise ServiceFault(_C.BadInvalidArgument)
    return key
