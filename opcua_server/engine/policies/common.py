"""What every security policy can do for a channel; each family says how.

       signs with its certificate   OPN is encrypted   keys of MSG come from             numbers begin at
RSA    PKCS#1 1.5 or PSS            yes, OAEP          two random nonces, P_SHA          1, and wrap early
curve  ECDSA                        no                 two ephemeral keys, ECDH, HKDF    0, and wrap at 2^32
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC

from certs.kinds import Kind, PrivateKey, PublicKey

URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#"
NONE: Final = URI + "None"
BLOCK: Final = 16
"""Bytes of an AES block, and of an initialization vector."""
_SHA256: Final = hashes.SHA256()


class Keys:
    """Signs and encrypts one direction of a channel, for the lifetime of one token. ``signature``: bytes of one.

    One cipher serves all messages, as making one takes longer than encrypting a short message with it. Each message begins with the
    token's initialization vector, and a cipher that goes on begins with the last block of the message before: what lies between the
    two is put on the first block, where CBC takes it off again.
    """

    __slots__ = ("_decryptor", "_encryptor", "_hash", "_iv", "_mac", "_shift", "signature")

    def __init__(self, signing: bytes, encrypting: bytes, iv: bytes, hash_: hashes.HashAlgorithm = _SHA256) -> None:
        self.signature = hash_.digest_size
        cipher: Cipher[Any] = Cipher(algorithms.AES(encrypting), modes.CBC(iv))
        self._encryptor, self._decryptor = cipher.encryptor(), cipher.decryptor()
        self._mac = HMAC(signing, hash_)
        self._iv = int.from_bytes(iv, "little")
        self._shift = 0
        """Initialization vector, exclusive or the block that the cipher would go on with."""

    def sign(self, data: bytes | memoryview) -> bytes:
        mac = self._mac.copy()
        mac.update(data)
        return mac.finalize()

    def encrypt(self, data: bytes) -> bytes:
        """Whole blocks of a message that goes out."""
        secret = self._encryptor.update(self._shifted(data[:BLOCK]) + data[BLOCK:])
        self._shift = self._iv ^ int.from_bytes(secret[-BLOCK:], "little")
        return secret

    def decrypt(self, data: bytes | memoryview) -> bytes:
        """Whole blocks of a message that came in. The keys of one direction either encrypt or decrypt."""
        plain = self._decryptor.update(data)
        first = self._shifted(plain[:BLOCK])
        self._shift = self._iv ^ int.from_bytes(data[-BLOCK:], "little")
        return first + plain[BLOCK:]

    def _shifted(self, block: bytes) -> bytes:
        return (int.from_bytes(block, "little") ^ self._shift).to_bytes(BLOCK, "little")


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
