"""Frames of OPC UA TCP (OPC 10000-6, 6.7 and 7.1). Pure: bytes come in, bytes go out.

    HEL F size | version receive send message chunks url          ACK F size | version receive send message chunks
    OPN F size | channel | policy certificate thumbprint | sequence request | body padding signature
    MSG C size | channel | token                         | sequence request | body padding signature
    CLO F size   as MSG                                           ERR F size | status reason
    RHE F size | our uri, endpoint   (where the server opens the connection)

A frame that breaks a rule is ``ProtocolError``: the peer gets ERR with its status, and the connection closes.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

HEADER: Final = struct.Struct("<3scI")
HEADER_SIZE: Final = 8
MIN_BUFFER: Final = 8_192
MAX_BUFFER: Final = 65_535
MAX_URL: Final = 4_096
LAST_BEFORE_WRAP: Final = 2**32 - 1 - 1_024
FINAL, INTERMEDIATE, ABORT = b"F"[0], b"C"[0], b"A"[0]
_HELLO: Final = struct.Struct("<IIIIIi")
_ACK: Final = struct.Struct("<3scIIIIII")
_KINDS: Final = frozenset({b"HEL", b"OPN", b"MSG", b"CLO"})

BAD_TCP_MESSAGE_TYPE_INVALID: Final = 0x807E0000
BAD_TCP_SECURE_CHANNEL_UNKNOWN: Final = 0x807F0000
BAD_TCP_MESSAGE_TOO_LARGE: Final = 0x80800000
BAD_TCP_NOT_ENOUGH_RESOURCES: Final = 0x80810000
BAD_CONNECTION_REJECTED: Final = 0x80AC0000
BAD_TCP_ENDPOINT_URL_INVALID: Final = 0x80830000
BAD_SECURITY_CHECKS_FAILED: Final = 0x80130000
BAD_SEQUENCE_NUMBER_INVALID: Final = 0x80880000
BAD_DECODING_ERROR: Final = 0x80070000
BAD_TIMEOUT: Final = 0x800A0000


class ProtocolError(Exception):
    """The peer broke a rule of the transport or of the channel; ``status`` is what the ERR message says.

    ``event``: EventId of an audit event that says more.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.event = b""


@dataclass(frozen=True, slots=True)
class Sizes:
    """What was agreed in HEL and ACK. Bytes; ``max_message`` and ``max_chunks`` of a response, 0 for no limit."""

    receive: int = MAX_BUFFER
    send: int = MAX_BUFFER
    max_message: int = 0
    max_chunks: int = 0
    url: str = ""


def peek(data: bytes | memoryview, start: int, receive: int) -> tuple[bytes, int, int]:
    """Kind, chunk type and size of the frame at ``start``, of which 8 bytes are there. Raises ProtocolError."""
    kind, chunk, size = HEADER.unpack_from(data, start)
    if kind not in _KINDS or chunk not in (b"F", b"C", b"A"):
        raise ProtocolError(BAD_TCP_MESSAGE_TYPE_INVALID, "no OPC UA message")
    if size > receive:
        raise ProtocolError(BAD_TCP_MESSAGE_TOO_LARGE, f"a chunk of {size} bytes")
    if size < HEADER_SIZE + 4:
        raise ProtocolError(BAD_TCP_MESSAGE_TYPE_INVALID, f"a chunk of {size} bytes")
    if kind != b"MSG" and chunk != b"F":
        raise ProtocolError(BAD_TCP_MESSAGE_TYPE_INVALID, f"{kind.decode()} in more than one chunk")
    return kind, chunk[0], size


def hello(frame: bytes) -> Sizes:
    """What a HEL asks for, as far as we grant it. Raises ProtocolError."""
    if len(frame) < HEADER_SIZE + _HELLO.size:
        raise ProtocolError(BAD_DECODING_ERROR, "Hello is too short")
    _version, receive, send, max_message, max_chunks, length = _HELLO.unpack_from(frame, HEADER_SIZE)
    rest = len(frame) - HEADER_SIZE - _HELLO.size
    if length > MAX_URL:
        raise ProtocolError(BAD_TCP_ENDPOINT_URL_INVALID, "endpoint URL is too long")
    if max(length, 0) != rest:
        raise ProtocolError(BAD_DECODING_ERROR, "Hello has another length than it says")
    if receive < MIN_BUFFER or send < MIN_BUFFER:
        raise ProtocolError(BAD_CONNECTION_REJECTED, "buffers of less than 8192 bytes")
    url = bytes(frame[HEADER_SIZE + _HELLO.size :]).decode("utf-8", "replace")
    return Sizes(min(send, MAX_BUFFER), min(receive, MAX_BUFFER), max_message, max_chunks, url)


def acknowledge(sizes: Sizes, max_message: int, max_chunks: int) -> bytes:
    """ACK: our buffers within the peer's, and what a request may have in all."""
    return _ACK.pack(b"ACK", b"F", _ACK.size, 0, sizes.receive, sizes.send, max_message, max_chunks)


def error(status: int, text: str) -> bytes:
    """ERR, with a reason that an operator of the client can read."""
    reason = text.encode("utf-8", "replace")[:200]
    return struct.pack("<3scIIi", b"ERR", b"F", 16 + len(reason), status, len(reason)) + reason


def reverse_hello(uri: str, endpoint: str) -> bytes:
    """RHE: who we are, and the EndpointUrl the client shall say in its HEL. Raises ValueError when one is too long for it."""
    parts = [uri.encode(), endpoint.encode()]
    if any(len(part) >= MAX_URL for part in parts):
        raise ValueError(f"an address of {max(map(len, parts))} bytes; less than {MAX_URL} can be said")
    body = b"".join(struct.pack("<i", len(part)) + part for part in parts)
    return HEADER.pack(b"RHE", b"F", HEADER_SIZE + len(body)) + body


def next_sequence(last: int, *, from_zero: bool = False) -> int:
    """The number after ``last``: it wraps within the last 1024 numbers, and not before (OPC 10000-6, 6.7.2.4).

    ``from_zero``: policies without LegacySequenceNumbers, which use all of them.
    """
    if from_zero:
        return (last + 1) & 0xFFFFFFFF
    return 1 if last > LAST_BEFORE_WRAP else last + 1


def follows(last: int | None, number: int, *, from_zero: bool = False) -> bool:
    """Whether a peer may use ``number`` after ``last``."""
    if last is None or number == last + 1:
        return True
    return number == 0 and last == 0xFFFFFFFF if from_zero else last > LAST_BEFORE_WRAP and number < 1_024


class Assembler:
    """The chunks of one message, bounded. A message's chunks are not mixed with another's."""

    __slots__ = ("_parts", "_request", "_size", "is_empty")

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._request = 0
        self._size = 0
        self.is_empty = True

    @property
    def size(self) -> int:
        return self._size

    def add(self, chunk: int, request: int, body: bytes, max_bytes: int, max_chunks: int) -> bytes | None:
        """The whole message when ``chunk`` is its last; None before, and when the peer gave it up. Raises ProtocolError."""
        if self._parts and request != self._request:
            raise ProtocolError(BAD_SECURITY_CHECKS_FAILED, "chunks of two messages are mixed")
        if chunk == ABORT:
            self.clear()
            return None
        self._size += len(body)
        if self._size > max_bytes or len(self._parts) >= max_chunks:
            raise ProtocolError(BAD_TCP_MESSAGE_TOO_LARGE, "message is too large")
        if chunk == INTERMEDIATE:
            self._parts.append(body)
            self.is_empty = False
            self._request = request
            return None
        if not self._parts:
            self._size = 0
            return body
        self._parts.append(body)
        whole = b"".join(self._parts)
        self.clear()
        return whole

    def clear(self) -> None:
        self._parts.clear()
        self._size = 0
        self.is_empty = True
