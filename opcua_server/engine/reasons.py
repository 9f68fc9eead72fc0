"""Why an operation was refused, in words: DiagnosticInfos and the string table they point into (OPC 10000-4, 7.12 and 7.34).

CommandRefused, ServiceFault --> Refusal, with its reason --> did the client ask (ReturnDiagnostics)? --> DiagnosticInfo
                                                           '-> the audit event, the log

Who asked for nothing has NOT_ASKED in the answer to his request, which forgets what it is told.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from cnctwin.wire import encode
from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import Bytes, ServiceFault
from opcua_server.engine.words import WORDS

_SERVICE_TEXT, _SERVICE_INFO, _TEXT, _INFO = 1 << 1, 1 << 2, 1 << 6, 1 << 7
"""Bits of ReturnDiagnostics: LocalizedText and AdditionalInfo, of the service and of single operations."""
MOST: Final = 256
"""Characters of a LocalizedText (7.12)."""
_COUNT: Final = struct.Struct("<i").pack
_COUNTED: Final = struct.Struct("<i").unpack_from
_LOCALE: Final = "en"
_NOTHING: Final = encode(ua.DiagnosticInfo())


class Refusal(ua.CallMethodResult):  # type: ignore[misc]
    """The result of a call that was not carried out, and why. The reason is no field of it: on the wire it stands elsewhere."""

    reason = ""


def refusal(result: Any, reason: str) -> Refusal:
    """A CallMethodResult, with why it says no."""
    made = Refusal(result.StatusCode, result.InputArgumentResults, result.InputArgumentDiagnosticInfos, result.OutputArguments)
    made.reason = reason[:MOST]
    return made


def reason_of(result: Any) -> str:
    """Why a call was not carried out; empty where the status says all there is."""
    return result.reason if isinstance(result, Refusal) else ""


class NotAsked:
    """The reasons of a request whose client wants none."""

    __slots__ = ()

    def note(self, place: int, status: int, text: str = "") -> None:
        """The operation at a place of the request was refused, because of ``text`` or whatever the status means."""

    def fault(self, place: int, fault: ServiceFault) -> None:
        self.note(place, fault.status, fault.text)

    def same(self, place: int, other: int) -> None:
        """``other`` was refused as ``place`` was, if it was."""

    def refuse(self, status: int, text: str = "") -> None:
        """The request as a whole was refused."""

    def acknowledged(self, statuses: Sequence[int]) -> bool:
        """The statuses of a Publish request's acknowledgements; whether there is something to say of them."""
        return False

    def infos(self, statuses: Sequence[int]) -> list[Any]:
        """DiagnosticInfos for a list of operations that is not the only one of its response."""
        return []

    def whole(self, body: Bytes) -> Bytes:
        """The body of a response with its DiagnosticInfos."""
        return body

    def in_header(self) -> bytes:
        """ServiceDiagnostics and StringTable of the ResponseHeader; empty where they say nothing."""
        return b""


NOT_ASKED: Final = NotAsked()


class Reasons(NotAsked):
    """What was refused of one request, and why. ``asked``: ReturnDiagnostics.

    There is no SymbolicId, as there are no codes of ours beside the standard's. AdditionalInfo repeats the reason for those
    who asked for nothing else.
    """

    __slots__ = ("_asked", "_count", "_operations", "_service", "_table")

    def __init__(self, asked: int) -> None:
        self._asked = asked
        self._count = 0
        """Of the operations, where the response does not begin with it."""
        self._operations: dict[int, str] = {}
        self._service = ""
        self._table: dict[str, int] = {}

    def note(self, place: int, status: int, text: str = "") -> None:
        reason = text or WORDS.get(status, "")
        if reason and self._asked & (_TEXT | _INFO):
            self._operations[place] = reason[:MOST]

    def same(self, place: int, other: int) -> None:
        reason = self._operations.get(place)
        if reason is not None:
            self._operations[other] = reason

    def refuse(self, status: int, text: str = "") -> None:
        self._operations, self._table = {}, {}
        if self._asked & (_SERVICE_TEXT | _SERVICE_INFO):
            self._service = (text or WORDS.get(status, ""))[:MOST]

    def acknowledged(self, statuses: Sequence[int]) -> bool:
        self._count = len(statuses)
        for place, status in enumerate(statuses):
            self.note(place, status)
        return bool(self._operations)

    def infos(self, statuses: Sequence[int]) -> list[Any]:
        reasons = [WORDS.get(status, "") for status in statuses]
        if not any(reasons) or not self._asked & (_TEXT | _INFO):
            return []
        return [self._info(reason, self._asked & _TEXT) for reason in reasons]

    # On the wire ----------------------------------------------------------------------------------------------------------

    def whole(self, body: Bytes) -> Bytes:
        """All bodies that have operations end with the list of DiagnosticInfos, empty in ``body``, and all but those of Publish
        begin with the number of their results."""
        if not self._operations:
            return body
        count = self._count or _COUNTED(body)[0]
        # Thousands of nodes are refused for a handful of reasons: each is encoded once.
        known = {reason: encode(self._info(reason, self._asked & _TEXT)) for reason in dict.fromkeys(self._operations.values())}
        infos = [_NOTHING] * count
        for place, reason in self._operations.items():
            infos[place] = known[reason]
        return b"".join((body[:-4], _COUNT(count), *infos))

    def in_header(self) -> bytes:
        info = encode(self._info(self._service, self._asked & _SERVICE_TEXT)) if self._service else _NOTHING
        if not self._service and not self._table:
            return b""
        encoded = [one.encode() for one in self._table]
        return b"".join([info, _COUNT(len(encoded)), *(part for one in encoded for part in (_COUNT(len(one)), one))])

    def _info(self, reason: str, in_table: int) -> Any:
        if not reason:
            return ua.DiagnosticInfo()
        if not in_table:
            return ua.DiagnosticInfo(AdditionalInfo=reason)
        return ua.DiagnosticInfo(Locale=self._place(_LOCALE), LocalizedText=self._place(reason))

    def _place(self, text: str) -> int:
        """Where a text stands in the string table, each once."""
        return self._table.setdefault(text, len(self._table))
