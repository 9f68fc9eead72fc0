"""A secure channel's server side (OPC 10000-6, 6.7): keys, tokens, sequence numbers. Pure: time comes in, bytes go out.

OPN issue --> token 1 --> MSG ... --> OPN renew --> token 2 offered; 1 goes on until the client uses 2, or 1 is over
                            '-- wrong signature, number, token or channel: ProtocolError, which closes the connection
"""

from __future__ import annotations

import hmac
import secrets
import struct
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding

from certs.kinds import Kind, PrivateKey, PublicKey, kind_of
from certs.verdict import Refused, parse_chain
from cnctwin.wire import Budget, DecodingError, decoder, encode
from cnctwin.wire.decode import guarded
from cnctwin.wire.scalars import read_bytes, read_string, ua
from opcua_server.engine import frames
from opcua_server.engine.contract import Bytes
from opcua_server.engine.frames import ProtocolError
from opcua_server.engine.policies import NONE, POLICIES, Policy, Protection
from opcua_server.engine.policies.common import START, STARTED

OPEN_REQUEST: Final = 446
OPEN_RESPONSE: Final = 449
MIN_LIFETIME_MS: Final = 10_000
MAX_RSA_BITS: Final = 4_096
_MODES: Final[dict[int, Literal["None", "Sign", "SignAndEncrypt"]]] = {1: "None", 2: "Sign", 3: "SignAndEncrypt"}
_SEQUENCE: Final = struct.Struct("<II")
_WHOLE: Final = struct.Struct("<4sIIIII")
_START: Final = struct.Struct("<4sII")
_MSGF: Final = b"MSGF"
_read_request: Final = decoder(ua.OpenSecureChannelRequest)
_C = ua.StatusCodes


@dataclass(frozen=True, slots=True)
class Own:
    """Our certificate (DER, leaf) and key. ``others``: for policies of other kinds. ``insecure``: policy None carries sessions."""

    certificate: bytes
    key: PrivateKey
    insecure: bool = False
    others: tuple[Own, ...] = ()

    def of(self, kind: Kind) -> Own | None:
        """What we are for policies of a kind; None where we have no certificate for them."""
        return next((one for one in (self, *self.others) if kind.fits(one.key)), None)

    def with_pair(self, new: Own) -> Own:
        """Us with another certificate and key of the same kind as one of ours."""
        if kind_of(new.key) is kind_of(self.key):
            return replace(new, insecure=self.insecure, others=self.others)
        kept = tuple(one for one in self.others if kind_of(one.key) is not kind_of(new.key))
        return replace(self, others=(*kept, new))

    @property
    def thumbprint(self) -> bytes:
        return x509.load_der_x509_certificate(self.certificate).fingerprint(SHA1())  # noqa: S303 - an identifier


@dataclass(slots=True)
class Token:
    """One token's keys. ``ends_s``: when its messages are refused."""

    number: int
    ends_s: float
    theirs: Protection | None
    ours: Protection | None


@dataclass(frozen=True, slots=True)
class Opening:
    """An OPN that is well signed, before its certificate is judged. ``signature``: where the policy binds its answer to it."""

    params: Any
    handle: int
    request_id: int
    sequence: int
    chain: bytes
    leaf: bytes
    policy: Policy | None
    key: PublicKey | None
    own: Own
    signature: bytes = b""


class Channel:
    """``own``: what we were when it was opened, for as long as it lives. ``certificate``: the client's leaf (DER), None over
    policy None. ``key``: the client's public key. ``thumbprint``: ChannelThumbprint, the signature of our first OPN; empty where
    the policy is not bound."""

    __slots__ = (
        "_counts_from_zero",
        "_encrypts",
        "_heard",
        "_last_token",
        "_secret",
        "_sending",
        "_sent",
        "_tokens",
        "certificate",
        "chain",
        "key",
        "mode",
        "number",
        "own",
        "policy",
        "thumbprint",
    )

    def __init__(self, own: Own) -> None:
        self.number = 0
        self.policy: Policy | None = None
        self.mode: Literal["None", "Sign", "SignAndEncrypt"] = "None"
        self.certificate: bytes | None = None
        self.chain = b""
        """The certificate with what was sent behind it."""
        self.key: PublicKey | None = None
        self.own = own
        self.thumbprint = b""
        self._tokens: dict[int, Token] = {}
        self._sending: Token | None = None
        self._heard: int | None = None
        self._sent = 0
        self._last_token = 0
        self._encrypts = False
        self._counts_from_zero = False
        self._secret = b""

    @property
    def is_open(self) -> bool:
        return self._sending is not None

    def is_over(self, now_s: float) -> bool:
        """Whether no token is left that the client could use."""
        return self.is_open and all(now_s > token.ends_s for token in self._tokens.values())

    # Opening --------------------------------------------------------------------------------------------------------

    def examine(self, frame: bytes) -> Opening:
        """Decrypt and verify an OPN frame; changes nothing. Milliseconds of RSA. Raises ProtocolError."""
        (number,) = struct.unpack_from("<I", frame, 8)
        if number != self.number:
            raise ProtocolError(_C.BadTcpSecureChannelUnknown, "another secure channel")
        try:
            uri, p = guarded(read_string, frame, 12, Budget(max_string=256))
            sender, p = guarded(read_bytes, frame, p, Budget(max_string=frames.MAX_BUFFER))
            thumb, p = guarded(read_bytes, frame, p, Budget(max_string=64))
        except DecodingError as error:
            raise ProtocolError(error.status, str(error)) from error
        policy = POLICIES.get(uri or "")
        if policy is None and uri != NONE:
            raise ProtocolError(_C.BadSecurityPolicyRejected, "unknown security policy")
        if self.is_open and policy is not self.policy:
            raise ProtocolError(_C.BadSecurityPolicyRejected, "another security policy on an open channel")
        if policy is None:
            return self._decode(frame, p, b"", b"", None, None, self.own)
        own = self.own.of(policy.kind)
        if own is None:
            raise ProtocolError(_C.BadSecurityPolicyRejected, "no certificate of ours for this security policy")
        leaf, key = _leaf(sender)
        if self.certificate is not None and not hmac.compare_digest(leaf, self.certificate):
            raise ProtocolError(_C.BadSecurityChecksFailed, "another certificate on an open channel")
        if thumb is None or not hmac.compare_digest(thumb, own.thumbprint):
            raise ProtocolError(_C.BadCertificateInvalid, "not meant for our certificate")
        try:
            plain = policy.open(own.key, key, frame, p)
        except (ValueError, InvalidSignature) as error:
            raise ProtocolError(_C.BadSecurityChecksFailed, "wrong signature") from error
        opening = self._decode(plain, p, sender or b"", leaf, policy, key, own)
        return replace(opening, signature=frame[-policy.nonce :]) if policy.bound else opening

    def _decode(
        self, plain: bytes, p: int, chain: bytes, leaf: bytes, policy: Policy | None, key: PublicKey | None, own: Own
    ) -> Opening:
        try:
            if len(plain) < p + 12:
                raise DecodingError("OPN is too short")
            sequence, request_id = _SEQUENCE.unpack_from(plain, p)
            if not frames.follows(self._heard, sequence, from_zero=self._counts_from_zero):
                raise ProtocolError(_C.BadSequenceNumberInvalid, "wrong sequence number")
            body = plain[p + 8 :]
            request, end = guarded(_read_request, body, 0, Budget(1_000, max_string=4_096))
            if body[end:] not in (b"", policy.trailer if policy is not None else b""):
                raise DecodingError(f"{len(body) - end} bytes left over after OpenSecureChannelRequest")
        except DecodingError as error:
            raise ProtocolError(error.status, str(error)) from error
        if request.TypeId != ua.NodeId(OPEN_REQUEST):
            raise ProtocolError(_C.BadTcpMessageTypeInvalid, "OPN without OpenSecureChannelRequest")
        handle = request.RequestHeader.RequestHandle
        return Opening(request.Parameters, handle, request_id, sequence, chain, leaf, policy, key, own)

    def open(self, opening: Opening, max_lifetime_ms: int, now_s: float, created: object) -> bytes:
        """Issue or renew as asked; the OPN response. ``created``: the token's CreatedAt. Raises ProtocolError."""
        params, policy = opening.params, opening.policy
        mode = _MODES.get(int(params.SecurityMode))
        if mode is None or (mode == "None") != (policy is None):
            raise ProtocolError(_C.BadSecurityModeRejected, "security mode does not fit the policy")
        renew = int(params.RequestType) == 1
        if renew != self.is_open or int(params.RequestType) not in (0, 1) or (renew and mode != self.mode):
            raise ProtocolError(_C.BadRequestTypeInvalid, "issue or renew at the wrong time")
        if params.ClientProtocolVersion != 0:
            raise ProtocolError(_C.BadProtocolVersionUnsupported, "another version of the protocol")
        lifetime_ms = min(max(params.RequestedLifetime, MIN_LIFETIME_MS), max_lifetime_ms)
        theirs = ours = None
        nonce = b""
        if policy is not None:
            if len(params.ClientNonce or b"") != policy.nonce:
                raise ProtocolError(_C.BadNonceInvalid, "nonce of the wrong length")
            try:
                agreed = policy.agree(params.ClientNonce, self._secret)
            except ValueError as error:
                raise ProtocolError(_C.BadNonceInvalid, "nonce that is no key of the curve") from error
            nonce, theirs, ours, self._secret = agreed.nonce, agreed.theirs, agreed.ours, agreed.secret
        self._heard = opening.sequence
        if not renew:
            self.number = secrets.randbelow(2**32 - 2) + 1
            self.policy, self.mode, self.key = policy, mode, opening.key
            self.certificate, self.chain, self.own = opening.leaf or None, opening.chain, opening.own
            self._encrypts = mode == "SignAndEncrypt"
            if policy is not None:
                self._counts_from_zero = policy.counts_from_zero
                self._sent = -1 if policy.counts_from_zero else 0
        self._last_token += 1
        token = Token(self._last_token, now_s + lifetime_ms * 1.25 / 1000, theirs, ours)
        if renew and self._sending is not None:
            self._tokens = {self._sending.number: self._sending, token.number: token}
        else:
            self._tokens = {token.number: token}
            self._sending = token
        result = ua.OpenSecureChannelResult()
        result.ServerProtocolVersion = 0
        result.ServerNonce = nonce
        shown = ua.ChannelSecurityToken()
        shown.ChannelId, shown.TokenId, shown.RevisedLifetime = self.number, token.number, lifetime_ms
        shown.CreatedAt = created
        result.SecurityToken = shown
        response = ua.OpenSecureChannelResponse(Parameters=result)
        response.TypeId = ua.FourByteNodeId(OPEN_RESPONSE)
        response.ResponseHeader.RequestHandle = opening.handle
        response.ResponseHeader.Timestamp = created
        answer = self._seal_opening(encode(response), opening.request_id, b"" if renew else opening.signature)
        if policy is not None and policy.bound and not renew:
            self.thumbprint = answer[-policy.nonce :]
        return answer

    def _seal_opening(self, body: bytes, request_id: int, answered: bytes) -> bytes:
        self._sent = frames.next_sequence(self._sent, from_zero=self._counts_from_zero)
        plain = _SEQUENCE.pack(self._sent, request_id) + body
        policy, key = self.policy, self.key
        uri = NONE.encode() if policy is None else policy.uri.encode()
        head = struct.pack("<I", self.number) + _block(uri)
        if policy is None or key is None or self.certificate is None:
            head += _block(None) + _block(None)
            return frames.HEADER.pack(b"OPN", b"F", 8 + len(head) + len(plain)) + head + plain
        digest = x509.load_der_x509_certificate(self.certificate).fingerprint(SHA1())  # noqa: S303 - an identifier
        return policy.seal(self.own.key, key, head + _block(self.own.certificate) + _block(digest), plain, answered)

    # Messages -------------------------------------------------------------------------------------------------------

    def receive(self, frame: bytes, now_s: float) -> tuple[int, bytes]:
        """Request id and body of a MSG or CLO chunk, checked. Raises ProtocolError."""
        if len(frame) < STARTED:
            raise ProtocolError(_C.BadDecodingError, "a chunk of a few bytes")
        _kind, _chunk, _size, number, token_id, sequence, request_id = START.unpack_from(frame)
        if number != self.number or not self.is_open:
            raise ProtocolError(_C.BadTcpSecureChannelUnknown, "message without a secure channel")
        token = self._tokens.get(token_id)
        if token is None or now_s > token.ends_s:
            raise ProtocolError(_C.BadSecureChannelTokenUnknown, "security token is unknown or over")
        if token.theirs is not None:
            request_id, body = self._opened(token.theirs, frame)
        else:
            self._follow(sequence)
            body = frame[STARTED:]
        if token is not self._sending:  # the client uses its new token: the old one is done
            self._tokens = {token.number: token}
            self._sending = token
        return request_id, body

    def whole(self, data: bytes, now_s: float) -> tuple[int, bytes] | None:
        """Request id and body, where ``data`` is what nearly all is: one message in one chunk. None where there is more to judge,
        and nothing has changed. Raises ProtocolError as ``receive`` does."""
        token = self._sending
        if token is None or not STARTED <= len(data) <= frames.MIN_BUFFER:
            return None
        kind, size, number, token_id, sequence, request_id = _WHOLE.unpack_from(data)
        if kind != _MSGF or size != len(data):
            return None
        if number != self.number or token_id != token.number or now_s > token.ends_s:
            return self.receive(data, now_s)
        if token.theirs is not None:
            return self._opened(token.theirs, data)
        if self._heard is None or sequence != self._heard + 1:
            return self.receive(data, now_s)
        self._heard = sequence
        return request_id, data[STARTED:]

    def _opened(self, theirs: Protection, frame: bytes) -> tuple[int, bytes]:
        """Request id and body of a frame with keys. Raises ProtocolError."""
        try:
            plain = theirs.open(frame, self._heard or 0, encrypts=self._encrypts)
        except ValueError as error:
            raise ProtocolError(_C.BadSecurityChecksFailed, str(error)) from error
        sequence, request_id = _SEQUENCE.unpack_from(plain)
        if self._heard is None or sequence != self._heard + 1:
            self._follow(sequence)
        self._heard = sequence
        return request_id, plain[8:]

    def _follow(self, sequence: int) -> None:
        if not frames.follows(self._heard, sequence, from_zero=self._counts_from_zero):
            raise ProtocolError(_C.BadSequenceNumberInvalid, "wrong sequence number")
        self._heard = sequence

    def start_of_frames(self, size: int) -> bytes:
        """How frames of ``size`` bytes begin, up to their token; empty for a channel with keys."""
        return b"" if self.policy is not None else _START.pack(_MSGF, size, self.number)

    def hears(self, token_id: int, sequence: int, now_s: float) -> bool:
        """Take the sequence number of a frame that begins so; False where there is more to judge, and nothing has changed."""
        token = self._sending
        if token is None or token_id != token.number or now_s > token.ends_s:
            return False
        if self._heard is None or sequence != self._heard + 1:
            return False
        self._heard = sequence
        return True

    def capacity(self, buffer: int) -> int:
        """Bytes of a message that fit in one chunk of ``buffer`` bytes."""
        token = self._sending
        if token is None or token.ours is None:
            return buffer - STARTED
        return token.ours.capacity(buffer, encrypts=self._encrypts)

    def seal(self, request_id: int, body: bytes, buffer: int) -> list[bytes]:
        """A message as frames, none longer than ``buffer`` bytes."""
        capacity = self.capacity(buffer)
        chunks = [body[start : start + capacity] for start in range(0, len(body), capacity)] or [body]
        finals = [b"C"] * (len(chunks) - 1) + [b"F"]
        return [self.protect(request_id, len(chunk), chunk, final=final) for chunk, final in zip(chunks, finals, strict=True)]

    def frame_of_one(self, request_id: int, size: int) -> tuple[bytes, int, int, int, int, int] | None:
        """The head of the frame that a message of ``size`` bytes goes out in next, in the form of _WHOLE; None for a channel
        with keys."""
        token = self._sending
        if token is None or token.ours is not None:
            return None
        last = self._sent
        self._sent = sequence = last + 1 if last <= frames.LAST_BEFORE_WRAP else frames.next_sequence(last)
        return _MSGF, STARTED + size, self.number, token.number, sequence, request_id

    def protect(self, request_id: int, size: int, *body: Bytes, final: bytes = b"F") -> bytes:
        """A message in one frame, for which there is room; or one chunk of it. ``size``: bytes of the parts of its ``body``."""
        last, token = self._sent, self._sending
        if token is None:
            raise ProtocolError(_C.BadTcpSecureChannelUnknown, "no secure channel")
        self._sent = sequence = frames.next_sequence(last, from_zero=self._counts_from_zero)
        numbers = self.number, token.number, sequence, request_id
        if token.ours is None:
            return b"".join((START.pack(b"MSG", final, STARTED + size, *numbers), *body))
        return token.ours.seal(final, numbers, body, size, last, encrypts=self._encrypts)


def _block(data: bytes | None) -> bytes:
    return b"\xff\xff\xff\xff" if data is None else struct.pack("<i", len(data)) + data


def _leaf(sender: bytes | None) -> tuple[bytes, PublicKey]:
    """The sender's own certificate of what it sent, and its key. Raises ProtocolError."""
    try:
        if not sender:
            raise ValueError("no certificate")
        leaf = parse_chain(sender)[0]
        key = leaf.public_key()
        if not isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey) or key.key_size > MAX_RSA_BITS:
            raise ValueError("no key that is used")
    except Refused as error:
        raise ProtocolError(_C.BadCertificateInvalid, "no certificate that can be read") from error
    except Exception as error:  # the crypto library's own errors have no common base
        raise ProtocolError(_C.BadCertificateInvalid, "no certificate that can be read") from error
    return leaf.public_bytes(Encoding.DER), key
