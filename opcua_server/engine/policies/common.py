"""What every security policy can do for a channel; each family says how.

       signs with its certificate   OPN is encrypted   keys of MSG come from             numbers begin at
RSA    PKCS#1 1.5 or PSS            yes, OAEP          two random nonces, P_SHA          1, and wrap early
curve  ECDSA                        no                 two ephemeral keys, ECDH, HKDF    0, and wrap at 2^32

A chunk of MSG or CLO, of which the head has 16 bytes and the sequence header 8:

    HMAC and CBC               head | encrypted( sequence header | body | padding | HMAC of all before )
    authenticated encryption   head | encrypted( sequence header | body ) | tag of all                        (authenticated.py)
"""

from __future__ import annotations

import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hmac import HMAC

from certs.kinds import Kind, PrivateKey, PublicKey
from opcua_server.engine.contract import Bytes

URI: Final = "http://opcfoundation.org/UA/SecurityPolicy#"
NONE: Final = URI + "None"
BLOCK: Final = 16
"""Bytes of an AES block, and of an initialization vector."""
START: Final = struct.Struct("<3scIIIII")
"""Of a chunk: MSG, F or C, its size, channel, token; sequence header."""
STARTED: Final = START.size
"""Where its body begins."""
HEAD: Final = 16
"""Where its sequence header begins, and what is encrypted."""
_FIRST: Final = HEAD + BLOCK
"""Where a chunk's first block ends."""
Numbers = tuple[int, int, int, int]
"""Of a chunk: channel, token, sequence, request."""
_pack_start: Final = START.pack
_SHA256: Final = hashes.SHA256()
_PADDING: Final = [bytes((number,)) * (number + 1) for number in range(BLOCK)]
"""PaddingSize and as many bytes of it."""


class Protection(ABC):
    """Protects one direction of a channel, for the lifetime of one token: signs its chunks, and encrypts them where asked."""

    @abstractmethod
    def seal(self, final: bytes, numbers: Numbers, body: Sequence[Bytes], size: int, last: int, *, encrypts: bool) -> bytes:
        """A chunk of MSG. ``body``: parts that have ``size`` bytes together; ``last``: the sequence number before."""

    @abstractmethod
    def open(self, frame: bytes, last: int, *, encrypts: bool) -> bytes:
        """Sequence header and body of a chunk of STARTED bytes or more. Raises ValueError where it is not what was protected."""

    @abstractmethod
    def capacity(self, buffer: int, *, encrypts: bool) -> int:
        """Bytes of a body that fit in one chunk of ``buffer`` bytes."""


class Keys(Protection):
    """HMAC and AES-CBC. ``signature``: bytes of an HMAC.

    One cipher serves all messages, as making one takes longer than encrypting a short message with it. Each message begins with the
    token's initialization vector, and a cipher that goes on begins with the last block of the message before. To decrypt, the
    vector is put before the message as a block of its own, in place of its head; to encrypt, what lies between the two is put on
    its first block. The keys of one direction either encrypt or decrypt.
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

    def seal(self, final: bytes, numbers: Numbers, body: Sequence[Bytes], size: int, last: int, *, encrypts: bool) -> bytes:
        size += STARTED + self.signature
        if not encrypts:
            signed = b"".join((_pack_start(b"MSG", final, size, *numbers), *body))
            return signed + self.sign(signed)
        padding = -(size + 1) % BLOCK
        signed = b"".join((_pack_start(b"MSG", final, size + 1 + padding, *numbers), *body, _PADDING[padding]))
        mac = self._mac.copy()
        mac.update(signed)
        first = (int.from_bytes(signed[HEAD:_FIRST], "little") ^ self._shift).to_bytes(BLOCK, "little")
        secret = self._encryptor.update(b"".join((first, signed[_FIRST:], mac.finalize())))
        self._shift = self._vector ^ int.from_bytes(secret[-BLOCK:], "little")
        return signed[:HEAD] + secret

    def open(self, frame: bytes, last: int, *, encrypts: bool) -> bytes:
        # Slices are copies, which cost less than views of them until a message is a large one.
        signed = len(frame) - self.signature
        if not encrypts:
            if signed < STARTED:
                raise ValueError("no signature")
            self._verify(frame[:signed], frame[signed:])
            return frame[HEAD:signed]
        if (signed - HEAD + self.signature) % BLOCK or signed < _FIRST:
            raise ValueError("no whole blocks")
        plain = self._decryptor.update(self._iv + frame[HEAD:])
        self._verify(frame[:HEAD] + plain[HEAD:signed], plain[signed:])
        end = signed - 1 - plain[signed - 1]
        if end < STARTED:
            raise ValueError("wrong padding")
        return plain[HEAD:end]

    def capacity(self, buffer: int, *, encrypts: bool) -> int:
        if not encrypts:
            return buffer - STARTED - self.signature
        return (buffer - HEAD) // BLOCK * BLOCK - 8 - 1 - self.signature

    def sign(self, data: bytes) -> bytes:
        mac = self._mac.copy()
        mac.update(data)
        return mac.finalize()

    def _verify(self, data: bytes, signature: bytes) -> None:
        mac = self._mac.copy()
        mac.update(data)
        try:
            mac.verify(signature)
        except InvalidSignature:
            raise ValueError("wrong signature") from None


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
