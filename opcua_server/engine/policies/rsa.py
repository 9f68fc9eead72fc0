"""Policies of RSA keys (OPC 10000-7, 6.6; OPC 10000-6, 6.7).

                          signature of OPN      encryption of OPN     keys of MSG: signing, encrypting
    Basic256Sha256        PKCS#1 1.5, SHA-256   OAEP, SHA-1           32, AES-256
    Aes128_Sha256_RsaOaep PKCS#1 1.5, SHA-256   OAEP, SHA-1           32, AES-128
    Aes256_Sha256_RsaPss  PSS, SHA-256          OAEP, SHA-256         32, AES-256

MSG is signed with HMAC-SHA256 and encrypted with AES-CBC in all of them.
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import ClassVar, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from certs.kinds import RSA, Kind, PrivateKey, PublicKey
from opcua_server.engine.policies.common import BLOCK, Agreed, Keys, Policy

SIGNATURE: Final = 32
"""Bytes of HMAC-SHA256."""


def _oaep(algorithm: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(algorithm=algorithm), algorithm=algorithm, label=None)


@dataclass(frozen=True)
class RsaPolicy(Policy):
    """One row of the table above. Sizes in bytes; ``oaep_overhead``: what OAEP takes of a block."""

    name: str
    level: int
    padding: padding.AsymmetricPadding
    signature_uri: str
    encryption: padding.OAEP
    oaep_overhead: int
    encrypting_key: int
    signing_key: int = 32
    nonce: int = 32
    kind: ClassVar[Kind] = RSA
    counts_from_zero: ClassVar[bool] = False

    def sign(self, key: PrivateKey, data: bytes) -> bytes:
        return _private(key).sign(data, self.padding, hashes.SHA256())

    def verify(self, key: PublicKey, signature: bytes, data: bytes) -> None:
        if not isinstance(key, rsa.RSAPublicKey):
            raise InvalidSignature
        key.verify(signature, data, self.padding, hashes.SHA256())

    def decrypt(self, key: PrivateKey, data: bytes) -> bytes:
        """Raises ValueError."""
        own = _private(key)
        size = own.key_size // 8
        if not data or len(data) % size:
            raise ValueError("no whole RSA blocks")
        return b"".join(own.decrypt(data[i : i + size], self.encryption) for i in range(0, len(data), size))

    def encrypt(self, key: rsa.RSAPublicKey, data: bytes) -> bytes:
        size = self.plain_block(key)
        return b"".join(key.encrypt(data[i : i + size], self.encryption) for i in range(0, len(data), size))

    def plain_block(self, key: rsa.RSAPublicKey) -> int:
        return key.key_size // 8 - self.oaep_overhead

    def open(self, own: PrivateKey, sender: PublicKey, frame: bytes, p: int) -> bytes:
        if not isinstance(sender, rsa.RSAPublicKey):
            raise InvalidSignature
        plain = frame[:p] + self.decrypt(own, frame[p:])
        size = sender.key_size // 8
        self.verify(sender, plain[-size:], plain[:-size])
        plain = plain[:-size]
        padded = plain[-1]
        if _private(own).key_size > 2048:
            padded = (padded << 8 | plain[-2]) + 1
        if len(plain) - padded - 1 < p + 8:
            raise ValueError("wrong padding")
        return plain[: len(plain) - padded - 1]

    def seal(self, own: PrivateKey, receiver: PublicKey, head: bytes, plain: bytes, answered: bytes = b"") -> bytes:
        if not isinstance(receiver, rsa.RSAPublicKey):
            raise TypeError("no RSA key")
        block, signature = self.plain_block(receiver), _private(own).key_size // 8
        extra = 1 if receiver.key_size > 2048 else 0
        padded = -(len(plain) + 1 + extra + signature) % block
        plain += bytes((padded & 0xFF,)) * (padded + 1) + (bytes((padded >> 8,)) if extra else b"")
        size = 8 + len(head) + (len(plain) + signature) // block * (receiver.key_size // 8)
        head = b"OPNF" + size.to_bytes(4, "little") + head
        plain += self.sign(own, head + plain)
        return head + self.encrypt(receiver, plain)

    def agree(self, client_nonce: bytes, before: bytes = b"") -> Agreed:
        nonce = secrets.token_bytes(self.nonce)
        return Agreed(nonce, self.keys(nonce, client_nonce), self.keys(client_nonce, nonce))

    def keys(self, secret: bytes, seed: bytes) -> Keys:
        """One direction's keys: P_SHA256 (OPC 10000-6, 6.7.5)."""
        made = p_sha256(secret, seed, self.signing_key + self.encrypting_key + BLOCK)
        encrypting = made[self.signing_key : self.signing_key + self.encrypting_key]
        return Keys(made[: self.signing_key], encrypting, made[self.signing_key + self.encrypting_key :])


def _private(key: PrivateKey) -> rsa.RSAPrivateKey:
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError("no RSA key")
    return key


def p_sha256(secret: bytes, seed: bytes, size: int) -> bytes:
    """The pseudo-random function of TLS 1.2 (RFC 5246, 5) with SHA-256."""
    made, step = b"", seed
    while len(made) < size:
        step = hmac.digest(secret, step, "sha256")
        made += hmac.digest(secret, step + seed, "sha256")
    return made[:size]


_PKCS1: Final = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_PSS: Final = "http://opcfoundation.org/UA/security/rsa-pss-sha2-256"
_OAEP_SHA1: Final = _oaep(hashes.SHA1())  # noqa: S303 - what the standard prescribes; OAEP does not rest on collisions
_OAEP_SHA256: Final = _oaep(hashes.SHA256())
RSA_POLICIES: Final = (
    RsaPolicy("Basic256Sha256", 2, padding.PKCS1v15(), _PKCS1, _OAEP_SHA1, 42, 32),
    RsaPolicy("Aes128_Sha256_RsaOaep", 1, padding.PKCS1v15(), _PKCS1, _OAEP_SHA1, 42, 16),
    RsaPolicy("Aes256_Sha256_RsaPss", 3, padding.PSS(padding.MGF1(hashes.SHA256()), 32), _PSS, _OAEP_SHA256, 66, 32),
)
