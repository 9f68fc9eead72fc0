"""A client with keys on a curve, made from the standard (OPC 10000-6, 6.7 and 6.8) and not from the server's code.

Frames are made by hand, and may be wrong.
"""

from __future__ import annotations

import hmac
import struct
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA1, Hash

from certs.kinds import Kind

BLOCK = 16
AUTHENTICATED: dict[str, Any] = {"AesGcm": AESGCM, "ChaChaPoly": ChaCha20Poly1305}
TAG, VECTOR = 16, 12


def hkdf(hash_: str, secret: bytes, salt: bytes, size: int) -> bytes:
    """RFC 5869 with the salt as info, by hand."""
    key, made, step = hmac.digest(salt, secret, hash_), b"", b""
    while len(made) < size:
        step = hmac.digest(key, step + salt + bytes((len(made) // len(step) + 1 if step else 1,)), hash_)
        made += step
    return made[:size]


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """x and y of its public key."""
    size = (key.key_size + 7) // 8
    numbers = key.public_key().public_numbers()
    return numbers.x.to_bytes(size, "big") + numbers.y.to_bytes(size, "big")


def shared(own: ec.EllipticCurvePrivateKey, other: bytes) -> bytes:
    size = len(other) // 2
    x, y = int.from_bytes(other[:size], "big"), int.from_bytes(other[size:], "big")
    return own.exchange(ec.ECDH(), ec.EllipticCurvePublicNumbers(x, y, own.curve).public_key())


def nonce(vector: bytes, token: int, last: int) -> bytes:
    """Of a chunk with authenticated encryption: token and last sequence number on the first eight bytes of the vector."""
    mask = struct.pack("<III", token, last & 0xFFFFFFFF, 0)
    return bytes(one ^ other for one, other in zip(vector, mask, strict=True))


class CurveClient:
    """``encrypts``: mode SignAndEncrypt, else Sign. ``server``: its certificate (DER) and public key. ``cipher``: AesGcm or
    ChaChaPoly, for policies with authenticated encryption, which also bind a session to its channel."""

    def __init__(
        self,
        kind: Kind,
        certificate: bytes,
        key: ec.EllipticCurvePrivateKey,
        server: bytes,
        server_key: Any,
        encrypts: bool,
        cipher: str = "",
    ) -> None:
        assert kind.curve is not None
        self.kind, self.certificate, self.key, self.server, self.server_key = kind, certificate, key, server, server_key
        self.uri = f"http://opcfoundation.org/UA/SecurityPolicy#ECC_{kind.name}" + (f"_{cipher}" if cipher else "")
        self.cipher = AUTHENTICATED[cipher] if cipher else None
        self.encrypts = encrypts
        self.size = (kind.curve.key_size + 7) // 8
        self.encrypting = 16 if self.size == 32 and cipher != "ChaChaPoly" else 32
        self.secret_before = bytes(self.size)
        self.asked = b""
        self.thumbprint = b""
        self.ephemeral = ec.generate_private_key(kind.curve)
        self.channel = self.token = 0
        self.sequence = -1
        self.heard: int | None = None

    # OPN ------------------------------------------------------------------------------------------------------------

    def open(self, *, renew: bool = False, trailer: bytes = b"", **changed: Any) -> bytes:
        """An OPN frame. ``changed``: uri, certificate, thumbprint, nonce, sequence, signature that are not what they should be."""
        asked = ua.OpenSecureChannelRequest()
        asked.Parameters.SecurityMode = ua.MessageSecurityMode(3 if self.encrypts else 2)
        asked.Parameters.RequestType = ua.SecurityTokenRequestType(1 if renew else 0)
        asked.Parameters.RequestedLifetime = 60_000
        if renew:
            self.ephemeral = ec.generate_private_key(self.ephemeral.curve)
        asked.Parameters.ClientNonce = changed.get("nonce", point(self.ephemeral))
        digest = Hash(SHA1())  # noqa: S303 - an identifier
        digest.update(self.server)
        head = struct.pack("<I", self.channel)
        for part in (
            changed.get("uri", self.uri).encode(), changed.get("certificate", self.certificate),
            changed.get("thumbprint", digest.finalize()),
        ):  # fmt: skip
            head += struct.pack("<i", len(part)) + part
        self.sequence = changed.get("sequence", self.sequence + 1)
        plain = struct.pack("<II", self.sequence, 1) + struct_to_binary(asked) + trailer
        signed = struct.pack("<3scI", b"OPN", b"F", 8 + len(head) + len(plain) + 2 * self.size) + head + plain
        self.asked = bytes(changed.get("signature", self.sign(signed)))
        return signed + self.asked

    def sign(self, data: bytes) -> bytes:
        r, s = decode_dss_signature(self.key.sign(data, ec.ECDSA(self.kind.hash)))
        return r.to_bytes(self.size, "big") + s.to_bytes(self.size, "big")

    def verify(self, signature: bytes, data: bytes) -> None:
        r, s = int.from_bytes(signature[: self.size], "big"), int.from_bytes(signature[self.size :], "big")
        self.server_key.verify(encode_dss_signature(r, s), data, ec.ECDSA(self.kind.hash))

    def opened(self, frame: bytes) -> None:
        """Take the server's OPN: its signature, its number, the keys of both sides."""
        first = self.cipher is not None and not self.thumbprint
        self.verify(frame[-2 * self.size :], frame[: -2 * self.size] + (self.asked if first else b""))
        if first:
            self.thumbprint = frame[-2 * self.size :]
        p, parts = 12, []
        for _ in range(3):
            (length,) = struct.unpack_from("<i", frame, p)
            parts.append(frame[p + 4 : p + 4 + max(length, 0)])
            p += 4 + max(length, 0)
        assert parts[:2] == [self.uri.encode(), self.server]
        (sequence,) = struct.unpack_from("<I", frame, p)
        assert sequence == (0 if self.heard is None else self.heard + 1)
        self.heard = sequence
        end = frame.rfind(struct.pack("<i", 2 * self.size))
        nonce = frame[end + 4 : end + 4 + 2 * self.size]
        self.channel, self.token = struct.unpack_from("<II", frame, end - 20)
        self.keys(nonce)

    def keys(self, nonce: bytes) -> None:
        secret, own = shared(self.ephemeral, nonce), point(self.ephemeral)
        mac = self.kind.hash.digest_size
        size = mac + self.encrypting + BLOCK
        if self.cipher is not None:
            mac, size = 0, self.encrypting + VECTOR
            secret = bytes(one ^ other for one, other in zip(secret, self.secret_before, strict=True))
            self.secret_before = secret

        def side(label: bytes, first: bytes, second: bytes) -> tuple[bytes, Any]:
            made = hkdf(self.kind.hash.name, secret, struct.pack("<H", size) + label + first + second, size)
            if self.cipher is not None:
                return made[self.encrypting :], self.cipher(made[: self.encrypting])
            return made[:mac], Cipher(algorithms.AES(made[mac : mac + self.encrypting]), modes.CBC(made[mac + self.encrypting :]))

        self.ours = side(b"opcua-client", own, nonce)
        self.theirs = side(b"opcua-server", nonce, own)

    # MSG ------------------------------------------------------------------------------------------------------------

    def message(self, body: bytes, *, kind: bytes = b"MSG", request: int = 2, sequence: int | None = None) -> bytes:
        last = self.sequence
        self.sequence = self.sequence + 1 if sequence is None else sequence
        signing, cipher = self.ours
        if self.cipher is not None:
            plain = struct.pack("<II", self.sequence, request) + body
            head = struct.pack("<3scIII", kind, b"F", 16 + len(plain) + TAG, self.channel, self.token)
            return self._authenticated(cipher.encrypt, nonce(signing, self.token, last), head, plain)
        mac, name = self.kind.hash.digest_size, self.kind.hash.name
        plain = struct.pack("<II", self.sequence, request) + body
        if self.encrypts:
            padding = -(len(plain) + 1 + mac) % BLOCK
            plain += bytes((padding,)) * (padding + 1)
        head = struct.pack("<3scIII", kind, b"F", 16 + len(plain) + mac, self.channel, self.token)
        plain += hmac.digest(signing, head + plain, name)
        return head + (cipher.encryptor().update(plain) if self.encrypts else plain)

    def _authenticated(self, encrypt: Any, vector: bytes, head: bytes, plain: bytes) -> bytes:
        if self.encrypts:
            return head + bytes(encrypt(vector, plain, head))
        return head + plain + bytes(encrypt(vector, b"", head + plain))

    def body(self, frame: bytes) -> bytes:
        """What is in an answer, checked."""
        assert frame[:3] == b"MSG", frame
        signing, cipher = self.theirs
        if self.cipher is not None:
            assert self.heard is not None
            vector, start = nonce(signing, self.token, self.heard), 16 if self.encrypts else len(frame) - TAG
            plain = bytes(cipher.decrypt(vector, frame[start:], frame[:start])) if self.encrypts else frame[16:start]
            if not self.encrypts:
                cipher.decrypt(vector, frame[start:], frame[:start])
            (self.heard,) = struct.unpack_from("<I", plain)
            return plain[8:]
        mac, name = self.kind.hash.digest_size, self.kind.hash.name
        plain = cipher.decryptor().update(frame[16:]) if self.encrypts else frame[16:]
        assert hmac.digest(signing, frame[:16] + plain[:-mac], name) == plain[-mac:]
        (sequence,) = struct.unpack_from("<I", plain)
        assert self.heard is not None
        assert sequence == self.heard + 1
        self.heard = sequence
        return plain[8 : -mac - 1 - plain[-mac - 1]] if self.encrypts else plain[8:-mac]

    # Passwords ------------------------------------------------------------------------------------------------------

    def secret(self, value: bytes, nonce: bytes, theirs: bytes, **changed: Any) -> bytes:
        """An EccEncryptedSecret. ``changed``: uri, receiver, certificate, type or signature that are not what they should be."""
        own = ec.generate_private_key(self.ephemeral.curve)
        payload = b"".join(struct.pack("<i", len(one)) + one for one in (nonce, value))
        padding = -(len(payload) + 2) % BLOCK
        payload += bytes((padding,)) * padding + struct.pack("<H", padding)
        size = self.encrypting + (BLOCK if self.cipher is None else VECTOR)
        salt = struct.pack("<H", size) + b"opcua-secret" + point(own) + theirs
        made = hkdf(self.kind.hash.name, shared(own, theirs), salt, size)
        keys = b"".join(struct.pack("<i", len(one)) + one for one in (point(own), changed.get("receiver", theirs)))
        rest = b"".join(
            struct.pack("<i", len(one)) + one
            for one in (changed.get("uri", self.uri).encode(), changed.get("certificate", self.certificate))
        )
        rest += struct.pack("<qH", 0, len(keys)) + keys
        head = changed.get("type", b"\x01\x00" + struct.pack("<H", 17546)) + b"\x01"
        length = len(rest) + len(payload) + 2 * self.size
        if self.cipher is not None:
            head += struct.pack("<I", length + TAG) + rest
            signed = head + self.cipher(made[: self.encrypting]).encrypt(made[self.encrypting :], payload, head)
        else:
            cipher: Cipher[Any] = Cipher(algorithms.AES(made[: self.encrypting]), modes.CBC(made[self.encrypting :]))
            signed = head + struct.pack("<I", length) + rest + cipher.encryptor().update(payload)
        return signed + changed.get("signature", self.sign(signed))
