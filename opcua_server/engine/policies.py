"""Security policies (OPC 10000-7, 6.6) on the primitives of ``cryptography``. Pure.

                          signature of OPN      encryption of OPN     keys of MSG: signing, encrypting
    Basic256Sha256        PKCS#1 1.5, SHA-256   OAEP, SHA-1           32, AES-256
    Aes128_Sha256_RsaOaep PKCS#1 1.5, SHA-256   OAEP, SHA-1           32, AES-128
    Aes256_Sha256_RsaPss  PSS, SHA-256          OAEP, SHA-256         32, AES-256

MSG is signed with HMAC-SHA256 and encrypted with AES-CBC in all of them.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#"
NONE: Final = _URI + "None"
BLOCK: Final = 16
SIGNATURE: Final = 32
"""Bytes of an AES block, and of HMAC-SHA256."""


def _oaep(algorithm: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(mgf=padding.MGF1(algorithm=algorithm), algorithm=algorithm, label=None)


@dataclass(frozen=True, slots=True)
class Policy:
    """One row of the table above. Sizes in bytes; ``oaep_overhead``: what OAEP takes of a block."""

    name: str
    signature: padding.AsymmetricPadding
    signature_uri: str
    encryption: padding.OAEP
    oaep_overhead: int
    encrypting_key: int
    signing_key: int = 32
    nonce: int = 32

    @property
    def uri(self) -> str:
        return _URI + self.name

    def sign(self, key: rsa.RSAPrivateKey, data: bytes) -> bytes:
        return key.sign(data, self.signature, hashes.SHA256())

    def verify(self, key: rsa.RSAPublicKey, signature: bytes, data: bytes) -> None:
        """Raises cryptography.exceptions.InvalidSignature."""
        key.verify(signature, data, self.signature, hashes.SHA256())

    def decrypt(self, key: rsa.RSAPrivateKey, data: bytes) -> bytes:
        """Raises ValueError."""
        size = key.key_size // 8
        if not data or len(data) % size:
            raise ValueError("no whole RSA blocks")
        return b"".join(key.decrypt(data[i : i + size], self.encryption) for i in range(0, len(data), size))

    def encrypt(self, key: rsa.RSAPublicKey, data: bytes) -> bytes:
        size = self.plain_block(key)
        return b"".join(key.encrypt(data[i : i + size], self.encryption) for i in range(0, len(data), size))

    def plain_block(self, key: rsa.RSAPublicKey) -> int:
        return key.key_size // 8 - self.oaep_overhead

    def keys(self, secret: bytes, seed: bytes) -> Keys:
        """One direction's keys: P_SHA256 (OPC 10000-6, 6.7.5)."""
        made = p_sha256(secret, seed, self.signing_key + self.encrypting_key + BLOCK)
        encrypting = made[self.signing_key : self.signing_key + self.encrypting_key]
        return Keys(made[: self.signing_key], encrypting, made[self.signing_key + self.encrypting_key :])


class Keys:
    """Signs and encrypts one direction of a channel, for the lifetime of one token."""

    __slots__ = ("_cipher", "_key")

    def __init__(self, signing: bytes, encrypting: bytes, iv: bytes) -> None:
        self._key = signing
        self._cipher: Cipher[Any] = Cipher(algorithms.AES(encrypting), modes.CBC(iv))

    def sign(self, data: bytes | memoryview) -> bytes:
        return hmac.digest(self._key, data, "sha256")

    def encrypt(self, data: bytes) -> bytes:
        return self._cipher.encryptor().update(data)

    def decrypt(self, data: bytes | memoryview) -> bytes:
        return self._cipher.decryptor().update(data)


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
POLICIES: Final[dict[str, Policy]] = {
    policy.uri: policy
    for policy in (
        Policy("Basic256Sha256", padding.PKCS1v15(), _PKCS1, _OAEP_SHA1, 42, 32),
        Policy("Aes128_Sha256_RsaOaep", padding.PKCS1v15(), _PKCS1, _OAEP_SHA1, 42, 16),
        Policy("Aes256_Sha256_RsaPss", padding.PSS(padding.MGF1(hashes.SHA256()), 32), _PSS, _OAEP_SHA256, 66, 32),
    )
}
"""By URI; none of them is None."""
