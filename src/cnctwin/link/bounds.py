"""A server is a stranger too: what it may send us, before we know who it is and after.

    bytes --a frame of 64 kB at most--> chunks --a message of 64 MB at most--> one answer, decoded with bounds

asyncua's client takes frames of 4 GB, chunks without end, and counts of elements as the server says them: some bytes in the answer
to GetEndpoints, which nothing protects yet, were gigabytes.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from asyncua import Client, ua
from asyncua.client import ua_client
from asyncua.common.connection import TransportLimits
from asyncua.common.utils import Buffer

from cnctwin.wire import Budget, decoder
from cnctwin.wire.decode import guarded

FRAME_BYTES: Final = 65_535
"""As our Hello says."""
MESSAGE_BYTES: Final = 64 << 20
CHUNKS: Final = 4_096
ELEMENTS: Final = 2_000_000
"""Of all arrays of an answer."""
LEAST_FRAME: Final = 8_192
"""OPC 10000-6, 7.1.2.3: less is no buffer."""


class _Limits(TransportLimits):
    """What we take is ours to say; what the server takes is its own."""

    def update_client_limits(self, msg: ua.Acknowledge) -> None:
        self.max_send_buffer = min(FRAME_BYTES, max(LEAST_FRAME, msg.ReceiveBufferSize))


class _Protocol(ua_client.UASocketProtocol):
    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        waits = self.receive_buffer
        if waits is not None and len(waits) >= 8 and struct.unpack_from("<I", waits, 4)[0] > FRAME_BYTES:
            self.receive_buffer = None
            self._fail_all_pending(ua.UaStatusCodeError(ua.StatusCodes.BadTcpMessageTooLarge))
            self.disconnect_socket()


def bounded(url: str, timeout_s: float) -> Client:
    """A client that is not connected yet and takes no more than we have room for."""
    client = Client(url, timeout=timeout_s)
    link = client.uaclient

    def make() -> ua_client.UASocketProtocol:
        limits = _Limits(FRAME_BYTES, FRAME_BYTES, CHUNKS, MESSAGE_BYTES)
        made = link.protocol = _Protocol(link._timeout, security_policy=link.security_policy, limits=limits)
        made.pre_request_hook = link._pre_request_hook
        made.on_connection_lost = link._on_transport_lost
        made.is_session_closing = link._is_session_closing
        return made

    link._make_protocol = make  # type: ignore[method-assign]
    return client


def read(kind: Any, data: Buffer) -> Any:
    """An answer of a server, as asyncua reads it. Raises DecodingError."""
    budget = Budget(ELEMENTS, max_array=ELEMENTS, max_string=MESSAGE_BYTES)
    return guarded(decoder(kind), bytes(data)[: len(data)], 0, budget)[0]


ua_client.struct_from_binary = read
"""For all that asyncua's client of this process reads."""
