"""Authenticated encryption of a channel's chunks (OPC 10000-6, 6.7.2 and 6.8.1): one key, and a tag instead of an HMAC.

    nonce of a chunk   initialization vector of the token, its first eight bytes exclusive or  token | last sequence number
    SignAndEncrypt     head (16 bytes) is signed, sequence header and body are encrypted; the tag of both follows. No padding.
    Sign               all of it is signed, nothing encrypted

A nonce must never come twice with one key: sequence numbers of a channel do not come again before 2^32 chunks, and a token ends
after an hour. What is replayed, skipped or put in another order has another nonce for the receiver than for who sent it: its tag is
wrong, before its sequence number is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305

from opcua_server.engine.contract import Bytes
from opcua_server.engine.policies.common import HEAD, START, STARTED, Numbers, Protection

Cipher = type[AESGCM] | type[ChaCha20Poly1305]
VECTOR: Final = 12
"""Bytes of an initialization vector."""
TAG: Final = 16
_LAST: Final = 0xFFFFFFFF


class AuthenticatedKeys(Protection):
    """``key`` in the size of the cipher, ``vector`` of VECTOR bytes."""

    __slots__ = ("_cipher", "_vector")

    def __init__(self, cipher: Cipher, key: bytes, vector: bytes) -> None:
        self._cipher = cipher(key)
        self._vector = int.from_bytes(vector, "little")

    def seal(self, final: bytes, numbers: Numbers, body: Sequence[Bytes], size: int, last: int, *, encrypts: bool) -> bytes:
        signed = b"".join((START.pack(b"MSG", final, STARTED + size + TAG, *numbers), *body))
        if encrypts:
            head = signed[:HEAD]
            return head + self._cipher.encrypt(self._nonce(head, last), signed[HEAD:], head)
        return signed + self._cipher.encrypt(self._nonce(signed, last), b"", signed)

    def open(self, frame: bytes, last: int, *, encrypts: bool) -> bytes:
        signed = len(frame) - TAG
        if signed < STARTED:
            raise ValueError("no signature")
        view = memoryview(frame)
        start = HEAD if encrypts else signed
        try:
            plain = self._cipher.decrypt(self._nonce(frame, last), view[start:], view[:start])
        except InvalidTag:
            raise ValueError("wrong signature, or not the next chunk") from None
        return plain if encrypts else frame[HEAD:signed]

    def capacity(self, buffer: int, *, encrypts: bool) -> int:
        return buffer - STARTED - TAG

    def _nonce(self, frame: bytes, last: int) -> bytes:
        token = int.from_bytes(frame[12:16], "little")
        return (self._vector ^ token ^ (last & _LAST) << 32).to_bytes(VECTOR, "little")
