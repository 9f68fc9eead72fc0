"""The trust list as a file (OPC 10000-12, 7.8.2; OPC 10000-20, 4.2): a TrustListDataType in OPC UA binary.

    Open(1), OpenWithMasks --snapshot--> Read ... --> Close
    Open(6) --empty--> Write ... --> CloseAndUpdate: replaced as a whole, or refused as a whole   '--> Close: forgotten
    AddCertificate, RemoveCertificate: one at a time, while nobody has it open for writing

One writer at a time. A handle belongs to the session that opened it, and is forgotten when that ends or is silent for a minute.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from certs.errors import CertificateProblem
from certs.lists import Lists, add_certificate, read_lists, remove_certificate, replace_lists
from certs.trust import Trust
from certs.verdict import UNREADABLE, Refused
from cnctwin.wire import Budget, DecodingError, decode, encode
from cnctwin.wire.scalars import ua
from opcua_server.engine.configuration.arguments import answer, values
from opcua_server.engine.contract import Core, Handover, Request, ServiceFault

_C = ua.StatusCodes
_audit = logging.getLogger("opcua_server.audit")
MAX_BYTES: Final = 1 << 20
MAX_HANDLES: Final = 10
IDLE_S: Final = 60.0
SIZE_HOLDS_S: Final = 5.0
READ, WRITE_ERASED = 1, 6
_TRUSTED, _TRUSTED_CRLS, _ISSUERS, _ISSUER_CRLS, _ALL = 1, 2, 4, 8, 15
_HOW: Final = "administrator over OPC UA"


@dataclass(slots=True)
class _Open:
    session: Any
    content: bytearray
    writes: bool
    last_s: float
    position: int = 0


class TrustFile:
    """``trust``: whose list it is. ``node_id``: of the file."""

    def __init__(self, core: Core, trust: Trust, node_id: Any, clock: Callable[[], float] = time.monotonic) -> None:
        self._core = core
        self._trust = trust
        self._node_id = node_id
        self._clock = clock
        self._open: dict[int, _Open] = {}
        self._handles = itertools.count(1)
        self._changing = asyncio.Lock()
        self._size, self._size_until_s = 0, 0.0
        self.updated = datetime.now(UTC)

    @property
    def open_count(self) -> int:
        return len(self._open)

    @property
    def size(self) -> int:
        """Bytes of the file as it would be read now; looked at every few seconds at most."""
        now_s = self._clock()
        if now_s >= self._size_until_s:
            self._size, self._size_until_s = len(encode(self._snapshot(_ALL))), now_s + SIZE_HOLDS_S
        return self._size

    # The file -------------------------------------------------------------------------------------------------------

    async def open(self, request: Request, _object: Any, given: list[Any]) -> Any:
        """Mode 1 reads, 6 replaces; nothing else (OPC 10000-12, 7.8.2.2)."""
        (mode,) = values(given, "Byte")
        if mode not in (READ, WRITE_ERASED):
            raise ServiceFault(_C.BadInvalidArgument)
        return await self._opened(request, _ALL, mode == WRITE_ERASED)

    async def open_with_masks(self, request: Request, _object: Any, given: list[Any]) -> Any:
        (masks,) = values(given, "UInt32")
        return await self._opened(request, masks & _ALL, False)

    async def _opened(self, request: Request, masks: int, writes: bool) -> Any:
        self._drop_idle()
        if any(one.writes for one in self._open.values()):
            raise ServiceFault(_C.BadNotWritable if writes else _C.BadNotReadable)
        if writes and self._open:
            raise ServiceFault(_C.BadNotWritable)
        if len(self._open) >= MAX_HANDLES:
            raise ServiceFault(_C.BadTooManyOperations)
        opened = _Open(request.session, bytearray(), writes, self._clock())
        handle = next(self._handles)
        self._open[handle] = opened
        if self._forget not in request.session.closing:  # type: ignore[union-attr]
            request.session.closing.append(self._forget)  # type: ignore[union-attr]
            request.session.handing_over.append(self._hand_over)  # type: ignore[union-attr]
        if not writes:
            opened.content += encode(await asyncio.to_thread(self._snapshot, masks))
        return answer(ua.Variant(handle, ua.VariantType.UInt32))

    def _snapshot(self, masks: int) -> Any:
        lists = read_lists(self._trust)
        made = ua.TrustListDataType()
        made.SpecifiedLists = ua.UInt32(masks)
        made.TrustedCertificates = lists.trusted if masks & _TRUSTED else []
        made.TrustedCrls = lists.trusted_crls if masks & _TRUSTED_CRLS else []
        made.IssuerCertificates = lists.issuers if masks & _ISSUERS else []
        made.IssuerCrls = lists.issuer_crls if masks & _ISSUER_CRLS else []
        return made

    def read(self, request: Request, _object: Any, given: list[Any]) -> Any:
        handle, length = values(given, "UInt32", "Int32")
        opened = self._of(request, handle)
        if opened.writes:
            raise ServiceFault(_C.BadInvalidState)
        if length <= 0:
            raise ServiceFault(_C.BadInvalidArgument)
        data = bytes(opened.content[opened.position : opened.position + min(length, MAX_BYTES)])
        opened.position += len(data)
        return answer(ua.Variant(data, ua.VariantType.ByteString))

    def write(self, request: Request, _object: Any, given: list[Any]) -> Any:
        handle, data = values(given, "UInt32", "ByteString")
        opened = self._of(request, handle)
        if not opened.writes:
            raise ServiceFault(_C.BadInvalidState)
        end = opened.position + len(data or b"")
        if end > MAX_BYTES:
            raise ServiceFault(_C.BadEncodingLimitsExceeded)
        opened.content[opened.position : end] = data or b""
        opened.position = end
        return answer()

    def get_position(self, request: Request, _object: Any, given: list[Any]) -> Any:
        (handle,) = values(given, "UInt32")
        return answer(ua.Variant(self._of(request, handle).position, ua.VariantType.UInt64))

    def set_position(self, request: Request, _object: Any, given: list[Any]) -> Any:
        handle, position = values(given, "UInt32", "UInt64")
        opened = self._of(request, handle)
        opened.position = min(position, len(opened.content))
        return answer()

    def close(self, request: Request, _object: Any, given: list[Any]) -> Any:
        (handle,) = values(given, "UInt32")
        self._of(request, handle)
        del self._open[handle]
        return answer()

    async def close_and_update(self, request: Request, _object: Any, given: list[Any]) -> Any:
        """-> False: it counts at once, ApplyChanges is not needed."""
        (handle,) = values(given, "UInt32")
        opened = self._of(request, handle)
        if not opened.writes:
            raise ServiceFault(_C.BadInvalidState)
        del self._open[handle]
        try:
            new = decode(ua.TrustListDataType, bytes(opened.content), Budget(10_000, max_string=MAX_BYTES))
        except DecodingError as error:
            raise ServiceFault(error.status, str(error)) from error
        masks = int(new.SpecifiedLists)
        lists = Lists(
            list(new.TrustedCertificates or []) if masks & _TRUSTED else None,
            list(new.TrustedCrls or []) if masks & _TRUSTED_CRLS else None,
            list(new.IssuerCertificates or []) if masks & _ISSUERS else None,
            list(new.IssuerCrls or []) if masks & _ISSUER_CRLS else None,
        )
        await self._change(request, "CloseAndUpdate", lambda: replace_lists(self._trust, lists, how=_HOW))
        return answer(ua.Variant(False, ua.VariantType.Boolean))

    # One certificate ------------------------------------------------------------------------------------------------

    async def add(self, request: Request, _object: Any, given: list[Any]) -> Any:
        der, is_trusted = values(given, "ByteString", "Boolean")
        self._nobody_writes()
        if not der or len(der) > MAX_BYTES // 16:
            raise ServiceFault(_C.BadCertificateInvalid)
        trust = self._trust
        await self._change(request, "AddCertificate", lambda: add_certificate(trust, der, is_trusted=is_trusted, how=_HOW))
        return answer()

    async def remove(self, request: Request, _object: Any, given: list[Any]) -> Any:
        thumbprint, is_trusted = values(given, "String", "Boolean")
        self._nobody_writes()
        trust = self._trust
        await self._change(
            request, "RemoveCertificate", lambda: remove_certificate(trust, (thumbprint or "").strip(), is_trusted=is_trusted)
        )
        return answer()

    async def _change(self, request: Request, method: str, change: Callable[[], None]) -> None:
        """Carry out a change, one at a time, and close the channels of those who no longer get in."""
        try:
            async with self._changing:
                await asyncio.to_thread(change)
        except Refused as refused:
            raise ServiceFault(getattr(_C, refused.status), str(refused)) from refused
        except CertificateProblem as problem:
            raise ServiceFault(_C.BadInvalidArgument, str(problem)) from problem
        except UNREADABLE as error:
            raise ServiceFault(_C.BadCertificateInvalid) from error
        self.updated, self._size_until_s = datetime.now(UTC), 0.0
        user = request.session.user if request.session is not None else None
        _audit.warning("trust list %s: %s by %s from %s", self._node_id.to_string(), method, user, request.peer)
        self._core.audit.changed_trust(request, self._node_id, self._node_id)
        await self._core.judge_again()

    # Handles --------------------------------------------------------------------------------------------------------

    def _of(self, request: Request, handle: int) -> _Open:
        self._drop_idle()
        opened = self._open.get(handle)
        if opened is None or opened.session is not request.session:
            raise ServiceFault(_C.BadInvalidArgument)
        opened.last_s = self._clock()
        return opened

    def _nobody_writes(self) -> None:
        self._drop_idle()
        if any(one.writes for one in self._open.values()):
            raise ServiceFault(_C.BadInvalidState)

    def _drop_idle(self) -> None:
        now_s = self._clock()
        self._open = {handle: one for handle, one in self._open.items() if now_s - one.last_s <= IDLE_S}

    def _hand_over(self, session: Any, handover: Handover) -> None:
        if handover.role is not None:
            self._forget(session, True)

    def _forget(self, session: Any, _delete: bool) -> None:
        self._open = {handle: one for handle, one in self._open.items() if one.session is not session}
