"""How many lines of the audit log strangers write: refusals of one kind a few a second, and how many there were besides.

    refused, refused, ... (20 in a second) --> the rest is counted --> the first of a later second says "and 5,112 more like it"
    carried out                            --> always a line

A log has 15 MB before its oldest lines go. Who is refused a thousand times a second would wipe out in some seconds what he, or
somebody else, did before.
"""

from __future__ import annotations

import logging
from typing import Final

PER_SECOND: Final = 20


class Refusals(logging.Filter):
    """Of the logger ``opcua_server.audit``. A kind is the text of a line without what is filled in: there are some twenty."""

    def __init__(self) -> None:
        super().__init__()
        self._kinds: dict[str, tuple[float, int, int]] = {}
        """Kind -> (second that it is in, lines in it, lines left out since the last one)."""

    def filter(self, record: logging.LogRecord) -> bool:
        if not _is_refusal(record):
            return True
        kind = record.msg
        since_s, told, left_out = self._kinds.get(kind, (record.created, 0, 0))
        if not 0.0 <= record.created - since_s < 1.0:
            since_s, told = record.created, 0
        if told >= PER_SECOND:
            self._kinds[kind] = since_s, told, left_out + 1
            return False
        self._kinds[kind] = since_s, told + 1, 0
        if left_out:
            record.msg, record.args = f"{record.getMessage()} (and {left_out} more like it)", None
        return True


def _is_refusal(record: logging.LogRecord) -> bool:
    """A warning, or a command whose outcome, which is said last, is a bad StatusCode."""
    said = record.args[-1] if isinstance(record.args, tuple) and record.args else ""
    return record.levelno >= logging.WARNING or (isinstance(said, str) and said.startswith("Bad"))


REFUSALS: Final = Refusals()
"""The one of this process: kinds are counted for all that it serves."""
