"""The benchmark's client connection: little work per message, so that the server is what is measured.

connect --HEL, OPN--> secure channel (None, or Basic256Sha256 SignAndEncrypt) --CreateSession, ActivateSession--> session

Requests are built once and sent again; whole responses, from their type id on, go to ``heard``. It trusts the server blindly and
leaves out what only protects a client (it verifies no certificate): it is a meter, not a client to copy.
"""

from __future__ import annotations

import asyncio
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding

from certs.application import load_certificate, load_key, uris
from cnctwin.wire import decoder, encode
from cnctwin.wire.budget import Budget
from cnctwin.wire.scalars import ua
from opcua_server.engine.policies import NONE, POLICIES, Keys

POLICY: Final = POLICIES["http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"]
_NOBODY: Final = struct.pack("<i", -1)
_CLOSED: Final = 476
_TYPE_ID: Final = 4
"""Bytes of a request's type id."""


@dataclass(frozen=True, slots=True)
class Identity:
    """The client application, and the server's certificate (DER) as it shows it to everybody."""

    certificate: x509.Certificate
    key: rsa.RSAPrivateKey
    server: bytes

    @classmethod
    def of(cls, folder: Path, server: bytes) -> Identity:
        return cls(load_certificate(folder / "own" / "cert.der"), load_key(folder / "own" / "key.pem"), server)


class Refused(ConnectionError):
    """The server answered with an error, or not as OPC UA."""


class Link(asyncio.Protocol):
    """``identity``: None is policy None. ``heard`` gets each response; by default it is the answer that ``ask`` waits for."""

    def __init__(self, identity: Identity | None = None) -> None:
        self.token = b"\x00\x00"
        self.heard: Callable[[bytes], None] = self._answer
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._identity = identity
        self._transport: Any = None
        self._rest = b""
        self._parts: list[bytes] = []
        self._waiting: asyncio.Future[bytes] | None = None
        self._sequence = 0
        self._channel = b"\x00" * 8
        self._ours: Keys | None = None
        self._theirs: Keys | None = None

    # The socket -----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self.lost.done():
            self.lost.set_result(None)
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(Refused(f"the server closed the connection ({error})"))

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        start, end = 0, len(data)
        while end - start >= 8:
            size = int.from_bytes(data[start + 4 : start + 8], "little")
            if end - start < size:
                break
            self._frame(data[start : start + size])
            start += size
        self._rest = data[start:]

    def _frame(self, frame: bytes) -> None:
        kind = frame[:3]
        if kind == b"ERR":
            status, length = struct.unpack_from("<Ii", frame, 8)
            problem = Refused(f"0x{status:08X} {frame[16 : 16 + max(length, 0)].decode(errors='replace')}")
            if self._waiting is not None and not self._waiting.done():
                self._waiting.set_exception(problem)
        elif kind != b"MSG":
            self._answer(frame)
        else:
            if self._theirs is None:
                body = frame[24:]
            else:
                body = self._theirs.open(frame, 0, encrypts=True)[8:]
            if frame[3] != 70:  # F
                self._parts.append(body)
            elif self._parts:
                whole = b"".join([*self._parts, body])
                self._parts.clear()
                self.heard(whole)
            else:
                self.heard(body)

    def _answer(self, message: bytes) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(message)

    async def _next(self) -> bytes:
        self._waiting = asyncio.get_running_loop().create_future()
        return await asyncio.wait_for(self._waiting, 60)

    async def end(self) -> None:
        """Close the session with its subscriptions, then the connection: what is left over would load the server's next test."""
        closed = asyncio.get_running_loop().create_future()

        def heard(message: bytes) -> None:  # answers to Publish come before it
            if int.from_bytes(message[2:4], "little") == _CLOSED and not closed.done():
                closed.set_result(None)

        self.heard = heard
        self.send(self.built(ua.CloseSessionRequest(DeleteSubscriptions=True)))
        await asyncio.wait((closed, self.lost), timeout=10, return_when=asyncio.FIRST_COMPLETED)
        self.close()

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # Requests -------------------------------------------------------------------------------------------------------

    def send(self, body: bytes) -> None:
        """One request, in one chunk."""
        self._sequence = number = self._sequence + 1
        if self._ours is None:
            head = struct.pack("<4sI8sII", b"MSGF", len(body) + 24, self._channel, number, number)
            self._transport.write(head + body)
            return
        numbers = *struct.unpack("<II", self._channel), number, number
        self._transport.write(self._ours.seal(b"F", numbers, (body,), len(body), 0, encrypts=True))

    def built(self, request: Any) -> bytes:
        """Type id, header with our token, parameters: what ``send`` takes."""
        request.RequestHeader.TimeoutHint = 600_000
        body = encode(request)
        old_token = encode(request.RequestHeader.AuthenticationToken)
        return body[:_TYPE_ID] + self.token + body[_TYPE_ID + len(old_token) :]

    async def ask(self, request: Any, response: Any) -> Any:
        """Send, and the decoded response. Raises Refused when the service as a whole failed."""
        return decoder(response)(await self.answer(self.built(request)), 0, Budget())[0]

    async def answer(self, body: bytes) -> bytes:
        """The response to a request that is built. Raises Refused when the service as a whole failed."""
        self.send(body)
        message = await self._next()
        (status,) = struct.unpack_from("<I", message, 16)
        if status >> 31:
            raise Refused(ua.StatusCode(status).name)
        return message

    # Opening --------------------------------------------------------------------------------------------------------

    async def connect(self, port: int) -> None:
        """Connect, and open a secure channel."""
        await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)
        await self.greet(port)

    async def greet(self, port: int) -> None:
        """Open a secure channel over the transport that is there."""
        self._transport.write(_hello(f"opc.tcp://127.0.0.1:{port}"))
        await self._next()
        await self._open_channel()

    async def open(self, port: int) -> Link:
        """Connect, and open a session without a login."""
        await self.connect(port)
        return await self.log_in(port)

    async def log_in(self, port: int) -> Link:
        """Open a session without a login over the channel that is open."""
        await self._open_session(f"opc.tcp://127.0.0.1:{port}")
        return self

    async def _open_channel(self) -> None:
        request = ua.OpenSecureChannelRequest()
        encrypted = self._identity is not None
        request.Parameters.SecurityMode = ua.MessageSecurityMode.SignAndEncrypt if encrypted else ua.MessageSecurityMode.None_
        request.Parameters.RequestedLifetime = 3_600_000
        nonce = os.urandom(POLICY.nonce) if encrypted else None
        request.Parameters.ClientNonce = nonce
        self._transport.write(self._opening(encode(request)))
        plain, start = self._opened(await self._next())
        response = decoder(ua.OpenSecureChannelResponse)(plain, start, Budget())[0].Parameters
        token = response.SecurityToken
        self._channel = struct.pack("<II", token.ChannelId, token.TokenId)
        if nonce is not None:
            self._ours, self._theirs = POLICY.keys(response.ServerNonce, nonce), POLICY.keys(nonce, response.ServerNonce)

    def _opening(self, body: bytes) -> bytes:
        self._sequence += 1
        plain = struct.pack("<II", self._sequence, self._sequence) + body
        own = self._identity
        if own is None:
            head = struct.pack("<I", 0) + _block(NONE.encode()) + _NOBODY + _NOBODY
            return struct.pack("<4sI", b"OPNF", 8 + len(head) + len(plain)) + head + plain
        server = x509.load_der_x509_certificate(own.server)
        key = _rsa(server)
        thumb = server.fingerprint(SHA1())  # noqa: S303 - an identifier
        head = (
            struct.pack("<I", 0) + _block(POLICY.uri.encode()) + _block(own.certificate.public_bytes(Encoding.DER)) + _block(thumb)
        )
        signature = own.key.key_size // 8
        padding = -(len(plain) + 1 + signature) % POLICY.plain_block(key)
        plain += bytes((padding,)) * (padding + 1)
        size = 8 + len(head) + (len(plain) + signature) // POLICY.plain_block(key) * (key.key_size // 8)
        head = struct.pack("<4sI", b"OPNF", size) + head
        return head + POLICY.encrypt(key, plain + POLICY.sign(own.key, head + plain))

    def _opened(self, frame: bytes) -> tuple[bytes, int]:
        """An OPN response in clear, and where its body starts."""
        p = 12
        for _ in range(3):
            (length,) = struct.unpack_from("<i", frame, p)
            p += 4 + max(length, 0)
        if self._identity is None:
            return frame, p + 8
        return POLICY.decrypt(self._identity.key, frame[p:]), 8

    async def _open_session(self, url: str) -> None:
        own = self._identity
        mode = ua.MessageSecurityMode.None_ if own is None else ua.MessageSecurityMode.SignAndEncrypt
        create = ua.CreateSessionRequest()
        asked = create.Parameters
        asked.EndpointUrl, asked.SessionName, asked.RequestedSessionTimeout = url, "bench", 600_000
        asked.ClientNonce = os.urandom(32)  # node-opcua refuses one it has seen
        asked.ClientDescription.ApplicationUri = "urn:bench:client"
        if own is not None:
            asked.ClientDescription.ApplicationUri = uris(own.certificate)[0]
            asked.ClientCertificate = own.certificate.public_bytes(Encoding.DER)
        made = (await self.ask(create, ua.CreateSessionResponse)).Parameters
        endpoint = next(one for one in made.ServerEndpoints if one.SecurityMode == mode)
        self.token = encode(made.AuthenticationToken)
        activate = ua.ActivateSessionRequest()
        policy_id = next(t.PolicyId for t in endpoint.UserIdentityTokens if t.TokenType == ua.UserTokenType.Anonymous)
        activate.Parameters.UserIdentityToken = ua.AnonymousIdentityToken(policy_id)
        if own is not None:
            activate.Parameters.ClientSignature.Algorithm = POLICY.signature_uri
            activate.Parameters.ClientSignature.Signature = POLICY.sign(own.key, own.server + made.ServerNonce)
        await self.ask(activate, ua.ActivateSessionResponse)


def _hello(url: str) -> bytes:
    body = struct.pack("<IIIII", 0, 1 << 16, 1 << 16, 1 << 24, 4_096) + _block(url.encode())
    return struct.pack("<4sI", b"HELF", len(body) + 8) + body


def _block(data: bytes) -> bytes:
    return struct.pack("<i", len(data)) + data


def _rsa(certificate: x509.Certificate) -> rsa.RSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        raise Refused("the server's certificate has no RSA key")
    return key


async def server_certificate(port: int) -> bytes:
    """The certificate of the server's endpoints, asked for over policy None."""
    link = Link()
    await link.connect(port)
    request = ua.GetEndpointsRequest()
    request.Parameters.EndpointUrl = f"opc.tcp://127.0.0.1:{port}"
    endpoints = (await link.ask(request, ua.GetEndpointsResponse)).Endpoints
    link.close()
    shown = [bytes(one.ServerCertificate) for one in endpoints if one.ServerCertificate]
    if not shown:
        raise Refused("the server shows no certificate")
    return shown[0]
