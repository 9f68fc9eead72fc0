"""What every security policy can do for a channel; each family says how.

       signs with its certificate   OPN is encrypted   keys of MSG come from             numbers begin at
RSA    PKCS#1 1.5 or PSS            yes, OAEP          two random nonces, P_SHA          1, and wrap early
curve  ECDSA                        no                 two ephemeral keys, ECDH, HKDF    0, and wrap at 2^32

A chunk of MSG or CLO, of which head and sequence header have 24 bytes:

    HMAC and CBC               head | encrypted( sequence header | body | padding | HMAC of all before )
    authenticated encryption   head | encrypted( sequence header | body ) | tag of all                        (authenticated.py)
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from dataclasses import dataclass
from hmac import compare_digest
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC

from certs.kinds import Kind, PrivateKey, PublicKey

URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#"
NONE: Final = URI + "None"
BLOCK: Final = 16
"""Bytes of an AES block, and of an initialization vector."""
HEAD: Final = struct.Struct("<3scIII")
"""Of a chunk: MSG, F or C, its size, channel, token."""
_HEAD: Final = HEAD.size
_FIRST: Final = _HEAD + BLOCK
"""Where a chunk's first block ends."""
_pack_head: Final = HEAD.pack
_SHA256: Final = hashes.SHA256()
_PADDING: Final = [bytes((number,)) * (number + 1) for number in range(BLOCK)]
"""PaddingSize and as many bytes of it."""


class Protection(ABC):
    """Protects one direction of a channel, for the lifetime of one token: signs its chunks, and encrypts them where asked."""

    @abstractmethod
    def seal(self, final: bytes, channel: int, token: int, plain: bytes, last: int, *, encrypts: bool) -> bytes:
        """A chunk of MSG. ``plain``: sequence header and body; ``last``: the sequence number before."""

    @abstractmethod
    def open(self, frame: bytes, last: int, *, encrypts: bool) -> bytes:
        """Sequence header and body of a chunk of 24 bytes or more. Raises ValueError when it is not what the peer protected."""

    @abstractmethod
    def capacity(self, buffer: int, *, encrypts: bool) -> int:
        """Bytes of a body that fit in one chunk of ``buffer`` bytes."""


class Keys(Protection):
    """HMAC and AES-CBC. ``signature``: bytes of an HMAC.

    One cipher serves all messages, as making one takes longer than encrypting a short message with it. Each message begins with the
    token's initialization vector, and a cipher that goes on begins with the last block of the message before. To decrypt, the
    vector is put before the message as a block of its own; to encrypt, what lies between the two is put on the first block.
    """

    __slots__ = ("_decryptor", "_encryptor", "_iv", "_mac", "_shift", "_vector", "signature")

    def __init__(self, signing: bytes, encrypting: bytes, iv: bytes, hash_: hashes.HashAlgorithm = _SHA256) -> None:
        self.signature = hash_.digest_size
        cipher: Cipher[Any] = Cipher(algorithms.AES(encrypting), modes.CBC(iv))
        self._encryptor, self._decryptor = cipher.encryptor(), cipher.decryptor()
        self._mac = HMAC(signing, hash_)
        self._iv = iv
        self._vector = int.from_bytes(iv, "little")
        self._shift = 0
        """Initialization vector, exclusive or the block that the encryptor would go on with."""

    def seal(self, final: bytes, channel: int, token: int, plain: bytes, last: int, *, encrypts: bool) -> bytes:
        size = len(plain) + self.signature
        if not encrypts:
            signed = _pack_head(b"MSG", final, _HEAD + size, channel, token) + plain
            return signed + self.sign(signed)
        padding = -(size + 1) % BLOCK
        head = _pack_head(b"MSG", final, _HEAD + size + 1 + padding, channel, token)
        signed = b"".join((head, plain, _PADDING[padding]))
        first = (int.from_bytes(signed[_HEAD:_FIRST], "little") ^ self._shift).to_bytes(BLOCK, "little")
        secret = self._encryptor.update(b"".join((first, signed[_FIRST:], self.sign(signed))))
        self._shift = self._vector ^ int.from_bytes(secret[-BLOCK:], "little")
        return head + secret

    def open(self, frame: bytes, last: int, *, encrypts: bool) -> bytes:
        # Slices are copies, which cost less than views of them until a message is a large one.
        signed = len(frame) - self.signature
        if not encrypts:
            if signed < 24 or not compare_digest(self.sign(frame[:signed]), frame[signed:]):
                raise ValueError("wrong signature")
            return frame[_HEAD:signed]
        if (len(frame) - _HEAD) % BLOCK or signed < _FIRST:
            raise ValueError("no whole blocks")
        plain = frame[:_HEAD] + self.decrypt(frame)
        if not compare_digest(self.sign(plain[:signed]), plain[signed:]):
            raise ValueError("wrong signature")
        end = signed - 1 - plain[signed - 1]
        if end < 24:
            raise ValueError("wrong padding")
        return plain[_HEAD:end]

    def capacity(self, buffer: int, *, encrypts: bool) -> int:
        if not encrypts:
            return buffer - 24 - self.signature
        return (buffer - 16) // BLOCK * BLOCK - 8 - 1 - self.signature

    def sign(self, data: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(data)
        return mac.finalize()

    def decrypt(self, frame: bytes) -> bytes:
        """What follows the head of a frame of whole blocks: sequence header, body, padding and signature, which is not verified.
        The keys of one direction either encrypt or decrypt."""
        return self._decryptor.update(self._iv + frame[_HEAD:])[BLOCK:]


@dataclass(frozen=True, slots=True)
class Agreed:
    """What one OPN agrees on: our nonce, and the keys of both directions. ``secret``: what the channel's next OPN builds on."""

    nonce: bytes
    theirs: Protection
    ours: Protection
    secret: bytes = b""


class Policy(ABC):
    """``name``: behind the # of its URI. ``level``: its share of an endpoint's SecurityLevel. ``kind``: of the keys it uses.
    ``nonce``: bytes of each nonce of an OPN. ``bound``: SecureChannelEnhancements of OPC 10000-6: signatures of a session are for
    this channel only, and so is the answer to the first OPN for its request."""

    name: str
    level: int
    kind: Kind
    signature_uri: str
    nonce: int
    counts_from_zero: bool
    bound = False
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
    def seal(self, own: PrivateKey, receiver: PublicKey, head: bytes, plain: bytes, answered: bytes = b"") -> bytes:
        """An OPN frame: ``head`` from the channel's number on, and what is to be secured. ``answered``: the signature of the
        request, where the policy is bound and this is the first answer; it is signed with the rest."""

    @abstractmethod
    def agree(self, client_nonce: bytes, before: bytes = b"") -> Agreed:
        """A server's half of an exchange. ``before``: secret of the channel's last one.

        Raises ValueError for a nonce that is none.
        """
