"""A client that can do it wrong: frames made by hand over a plain socket, policy None."""

from __future__ import annotations

import contextlib
import socket
import struct
from typing import Any

from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from tests.opcua_server.bench import Bench


class Raw:
    """``accepted``: a socket that the server itself connected."""

    def __init__(self, bench: Bench, accepted: socket.socket | None = None) -> None:
        self.socket = accepted or socket.create_connection(("127.0.0.1", bench.settings.opcua_port), 10)
        self.channel, self.token, self.sequence = 0, 0, 0

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        with contextlib.suppress(OSError):
            self.socket.sendall(data)

    def frame(self) -> bytes:
        """The next frame; empty when the server closed."""
        head = self._take(8)
        if len(head) < 8:
            return b""
        return head + self._take(struct.unpack_from("<I", head, 4)[0] - 8)

    def _take(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            try:
                more = self.socket.recv(size - len(data))
            except ConnectionResetError:
                return b""
            if not more:
                return b""
            data += more
        return data

    def end(self) -> int:
        """The status of the ERR with which the server closes the connection; 0 without one."""
        status = 0
        while frame := self.frame():
            if frame[:3] == b"ERR":
                (status,) = struct.unpack_from("<I", frame, 8)
        return status

    def hello(self, receive: int = 65_535, send: int = 65_535, url: bytes = b"opc.tcp://x") -> bytes:
        self.send(struct.pack("<3scIIIIIIi", b"HEL", b"F", 32 + len(url), 0, receive, send, 0, 0, len(url)) + url)
        return self.frame()

    def open(self, lifetime_ms: int = 60_000, kind: int = 0) -> bytes:
        request = ua.OpenSecureChannelRequest()
        request.Parameters.SecurityMode = ua.MessageSecurityMode.None_
        request.Parameters.RequestType = ua.SecurityTokenRequestType(kind)
        request.Parameters.RequestedLifetime = lifetime_ms
        uri = b"http://opcfoundation.org/UA/SecurityPolicy#None"
        self.sequence += 1
        body = struct.pack("<Ii", self.channel, len(uri)) + uri + b"\xff" * 8 + struct.pack("<II", self.sequence, 1)
        body += struct_to_binary(request)
        self.send(struct.pack("<3scI", b"OPN", b"F", 8 + len(body)) + body)
        answer = self.frame()
        if answer[:3] == b"OPN":
            (self.channel,) = struct.unpack_from("<I", answer, 8)
            (self.token,) = struct.unpack_from("<I", answer, len(answer) - 4 - 4 - 8 - 4)
        return answer

    def message(self, body: bytes, *, chunk: bytes = b"F", request: int = 7, **changed: int) -> None:
        """A MSG frame; ``changed``: channel, token or sequence that are not what they should be."""
        self.sequence = changed.get("sequence", self.sequence + 1)
        channel, token = changed.get("channel", self.channel), changed.get("token", self.token)
        self.send(struct.pack("<3scIIIII", b"MSG", chunk, 24 + len(body), channel, token, self.sequence, request) + body)

    def fault(self) -> int:
        """The ServiceResult of the next response; 0 when the connection closed."""
        frame = self.frame()
        return struct.unpack_from("<I", frame, 24 + 4 + 12)[0] if frame[:3] == b"MSG" else 0


def request(kind: Any) -> bytes:
    return bytes(struct_to_binary(kind))


def opened(bench: Bench) -> Raw:
    raw = Raw(bench)
    raw.hello()
    raw.open()
    return raw
