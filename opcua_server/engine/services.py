"""The table of services: from a request's bytes to its handler, and back.

type id --table--> Service --session? security?--> decode --> handler --> bytes | parameters | later
            '-- not there: BadServiceUnsupported          '-- ServiceFault, DecodingError: a ServiceFault to the client
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from cnctwin.wire import Budget, DecodingError, decoder, encode
from cnctwin.wire.budget import MAX_ELEMENTS
from cnctwin.wire.decode import guarded
from cnctwin.wire.scalars import Read, read_node_id, read_string, ua
from opcua_server.engine.contract import Bytes, Header, Limits, Service, ServiceFault

_C = ua.StatusCodes
_logger = logging.getLogger(__name__)
SERVICE_FAULT: Final = 397
_USUAL: Final = struct.Struct("<HH39sqIIiI3s")
"""Type id, AuthenticationToken and the rest of a RequestHeader without audit id and additional header."""
_TIMEOUT: Final = struct.Struct("<I").unpack_from
_RESPONSE: Final = struct.Struct("<BBHqIIBi3x")
HEAD_SIZE: Final = _RESPONSE.size
_TOKEN_HEAD: Final = b"\x05\x00\x00\x20\x00\x00\x00"
_read_extension: Final = decoder(ua.ExtensionObject)
MAX_AUDIT_ID: Final = 4_096
STRANGERS_ELEMENTS: Final = 2_000
"""Array elements of a request before a session is activated, and of what stands in a request's header."""


@dataclass(frozen=True, slots=True)
class Row:
    """A service with its compiled decoder."""

    service: Service
    read: Read | None


def table(services: Iterable[Service]) -> dict[int, Row]:
    """Request type -> row; a later service replaces an earlier one of the same type."""
    return {one.request_type: Row(one, decoder(one.parameters) if one.parameters is not None else None) for one in services}


def split(body: bytes) -> tuple[int, Header, int]:
    """Type id, header and where the parameters begin. Raises DecodingError."""
    # What nearly every request looks like is read in one go; the rest by the general readers.
    if len(body) >= _USUAL.size:
        form, kind, token, _time, handle, diagnostics, audit, timeout, more = _USUAL.unpack_from(body)
        if form == 1 and audit == -1 and more == b"\x00\x00\x00" and token.startswith(_TOKEN_HEAD):
            return kind, Header(token, handle, timeout, diagnostics), _USUAL.size
    (kind, header), p = guarded(_split, body, 0, Budget(STRANGERS_ELEMENTS, max_string=MAX_AUDIT_ID))
    return kind, header, p


def _split(body: Any, p: int, budget: Budget) -> tuple[tuple[int, Header], int]:
    type_id, p = read_node_id(body, p, budget)
    kind = type_id.Identifier if type_id.NamespaceIndex == 0 and isinstance(type_id.Identifier, int) else 0
    start = p
    _token, p = read_node_id(body, p, budget)
    token = bytes(body[start:p])
    _time, handle, diagnostics = struct.unpack_from("<qII", body, p)
    audit, p = read_string(body, p + 16, budget)
    (timeout,) = _TIMEOUT(body, p)
    more, p = _read_extension(body, p + 4, budget)
    return (kind, Header(token, handle, timeout, diagnostics, audit, more)), p


def parameters(row: Row, body: bytes, p: int, limits: Limits, *, stranger: bool = False) -> Any:
    """What the handler gets. ``stranger``: has no session yet, and may say little. Raises DecodingError."""
    if row.read is None:
        return body[p:]
    elements = STRANGERS_ELEMENTS if stranger else MAX_ELEMENTS
    budget = Budget(elements, max_array=limits.array_elements, max_string=limits.string_bytes)
    value, end = guarded(row.read, body, p, budget)
    if end != len(body):
        raise DecodingError(f"{len(body) - end} bytes left over after the request")
    return value


def head(kind: int, handle: int, status: int, ticks: int, more: bytes = b"", diagnostics: bytes = b"") -> bytes:
    """Of a response: type id and ResponseHeader. Encoded, where there are any: ``more``, its AdditionalHeader; ``diagnostics``,
    its ServiceDiagnostics and StringTable."""
    made = _RESPONSE.pack(1, 0, kind, ticks, handle, status, 0, 0)
    if diagnostics:
        return made[:-8] + diagnostics + (more or made[-3:])
    return made[:-3] + more if more else made


def encoded(result: Any) -> Bytes:
    """A handler's result as the bytes behind the ResponseHeader."""
    return result if isinstance(result, bytes | bytearray | memoryview) else encode(result)


def status_of(error: BaseException) -> int:
    """The ServiceResult for what a handler raised; what is no refusal is a bug, logged."""
    if isinstance(error, ServiceFault | DecodingError):
        return error.status
    _logger.error("a service failed", exc_info=error)
    return int(_C.BadInternalError)
