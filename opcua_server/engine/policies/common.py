"""What every security policy can do for a channel; each family says how.

       signs with its certificate   OPN is encrypted   keys of MSG come from             numbers begin at
RSA    PKCS#1 1.5 or PSS            yes, OAEP          two random nonces, P_SHA          1, and wrap early
curve  ECDSA                        no                 two ephemeral keys, ECDH, HKDF    0, and wrap at 2^32
"""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from certs.kinds import Kind, PrivateKey, PublicKey

URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#"
NONE: Final = URI + "None"
BLOCK: Final = 16
"""Bytes of an AES block, and of an initialization vector."""


class Keys:
    """Signs and encrypts one direction of a channel, for the lifetime of one token. ``signature``: bytes of one."""

    __slots__ = ("_cipher", "_hash", "_key", "signature")

    def __init__(self, signing: bytes, encrypting: bytes, iv: bytes, hash_: str = "sha256", signature: int = 32) -> None:
        self._key = signing
        self._hash = hash_
        self.signature = signature
        self._cipher: Cipher[Any] = Cipher(algorithms.AES(encrypting), modes.CBC(iv))

    def sign(self, data: bytes | memoryview) -> bytes:
        return hmac.digest(self._key, data, self._hash)

    def encrypt(self, data: bytes) -> bytes:
        return self._cipher.encryptor().update(data)

    def decrypt(self, data: bytes | memoryview) -> bytes:
        return self._cipher.decryptor().update(data)


@dataclass(frozen=True, slots=True)
class Agreed:
    """What one OPN agrees on: our nonce, and the keys of both directions."""

    nonce: bytes
    theirs: Keys
    ours: Keys


class Policy(ABC):
    """``name``: behind the # of its URI. ``level``: its share of an endpoint's SecurityLevel. ``kind``: of the keys it uses.
    ``signature``: bytes of a MSG's signature. ``nonce``: bytes of each nonce of an OPN."""

    name: str
    level: int
    kind: Kind
    signature_uri: str
    signature: int
    nonce: int
    counts_from_zero: bool
    trailer = b""
    """What may stand between the body of an OPN and its signature."""

    @property
    def uri(self) -> str:
        return URI + self.name

    @abstractmethod
    def sign(self, key: PrivateKey, data: bytes) -> bytes: ...

    @abstractmethod
    def verify(self, key: PublicKey, signature: bytes, data: bytes) -> None:
        """Raises cryptography.exceptions.InvalidSignature."""

    @abstractmethod
    def open(self, own: PrivateKey, sender: PublicKey, frame: bytes, p: int) -> bytes:
        """An OPN frame in clear, its signature verified, without padding and signature; from ``p`` on it is secured.

        Raises ValueError, InvalidSignature.
        """

    @abstractmethod
    def seal(self, own: PrivateKey, receiver: PublicKey, head: bytes, plain: bytes) -> bytes:
        """An OPN frame: ``head`` from the channel's number on, and what is to be secured."""

    @abstractmethod
    def agree(self, client_nonce: bytes) -> Agreed:
        """A server's half of an exchange. Raises ValueError for a nonce that is none."""
