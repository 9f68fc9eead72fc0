"""Why an operation was refused, in words: DiagnosticInfos and the string table they point into (OPC 10000-4, 7.12 and 7.34).

CommandRefused, ServiceFault --> Refusal, with its reason --> did the client ask (ReturnDiagnostics)? --> DiagnosticInfo
                                                           '-> the audit event, the log
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final

from cnctwin.wire import encode
from cnctwin.wire.scalars import ua

LOCALIZED_TEXT, ADDITIONAL_INFO = 1 << 6, 1 << 7
"""Bits of ReturnDiagnostics, of single operations."""
MOST: Final = 512
"""Characters of a reason."""
_COUNT: Final = struct.Struct("<i").pack
_LOCALE: Final = "en"


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


def diagnostics(asked: int, reasons: Sequence[str]) -> tuple[bytes, list[str]]:
    """The DiagnosticInfos behind the results of a response, encoded, and its StringTable. Both empty when no operation has a
    reason, or nobody asked. ``asked``: ReturnDiagnostics.

    There is no SymbolicId, as there are no codes of ours beside the standard's. AdditionalInfo repeats the reason for those
    who asked for nothing else.
    """
    if not asked & (LOCALIZED_TEXT | ADDITIONAL_INFO) or not any(reasons):
        return _COUNT(0), []
    table = [_LOCALE, *dict.fromkeys(reason for reason in reasons if reason)] if asked & LOCALIZED_TEXT else []
    infos = [_COUNT(len(reasons))]
    for reason in reasons:
        if not reason:
            info = ua.DiagnosticInfo()
        elif table:
            info = ua.DiagnosticInfo(Locale=0, LocalizedText=table.index(reason, 1))
        else:
            info = ua.DiagnosticInfo(AdditionalInfo=reason)
        infos.append(encode(info))
    return b"".join(infos), table


def string_table(strings: Sequence[str]) -> bytes:
    """As it stands in a ResponseHeader."""
    encoded = [one.encode() for one in strings]
    return b"".join([_COUNT(len(encoded)), *(part for one in encoded for part in (_COUNT(len(one)), one))])
