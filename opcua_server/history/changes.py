"""HistoryUpdate for data (OPC 10000-11, 6.9): who changes the history of a variable, and what comes of each value.

    UpdateDataDetails          Insert where nothing is, Replace where something is, Update in any case
    DeleteRawModifiedDetails   a range, or what is told as modified there
    DeleteAtTimeDetails        single times

What is recorded is never touched: a change is an edit beside it (``edits``), and what was there before can be read as modified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from cnctwin.wire.encode import to_ticks
from cnctwin.wire.scalars import to_datetime, ua
from opcua_server.engine.contract import Core, Request, ServiceFault
from opcua_server.history import edits
from opcua_server.history.archive import Archive, Tag, View
from opcua_server.security.access import may_change_history

_C = ua.StatusCodes
MOST_VALUES: Final = 10_000
"""Values, or times, of one operation."""
_OLD: Final = 64
"""Values before a change that its audit event tells."""
_DETAILS: Final = (ua.UpdateDataDetails, ua.DeleteRawModifiedDetails, ua.DeleteAtTimeDetails)
Outcome = tuple[int, list[int], list[Any]]
"""(status of the operation, statuses of its values, DataValues before)."""


class Changes:
    """``tags``: which variables have a history. ``now``: the wall clock, 100 ns since 1601."""

    def __init__(self, core: Core, archive: Archive, tags: Mapping[Any, Tag], now: Callable[[], int]) -> None:
        self._core = core
        self._archive = archive
        self._tags = tags
        self._now = now

    def check(self, request: Request, details: Any) -> Tag:
        """The tag that details are about. Raises ServiceFault with what is wrong with them."""
        if not isinstance(details, _DETAILS):
            raise ServiceFault(_C.BadHistoryOperationUnsupported)
        if self._core.aspace.get(details.NodeId) is None:
            raise ServiceFault(_C.BadNodeIdUnknown)
        tag = self._tags.get(details.NodeId)
        if tag is None:
            raise ServiceFault(_C.BadHistoryOperationUnsupported)
        if not may_change_history(request.session.role if request.session is not None else None):
            raise ServiceFault(_C.BadUserAccessDenied)
        if isinstance(details, ua.UpdateDataDetails):
            count = len(details.UpdateValues or ())
            if int(details.PerformInsertReplace) not in (edits.INSERT, edits.REPLACE, edits.UPDATE):
                raise ServiceFault(_C.BadHistoryOperationInvalid)
        elif isinstance(details, ua.DeleteAtTimeDetails):
            count = len(details.ReqTimes or ())
        else:
            count = 1
            start, end = to_ticks(details.StartTime), to_ticks(details.EndTime)
            if start <= 0 or end < start:
                raise ServiceFault(_C.BadInvalidTimestampArgument)
        if not count:
            raise ServiceFault(_C.BadNothingToDo)
        if count > MOST_VALUES:
            raise ServiceFault(_C.BadTooManyOperations)
        return tag

    def carry_out(self, tag: Tag, details: Any, user: str) -> Outcome:
        """In the reader's thread, one after another, so that each sees what the one before it did.

        Raises ServiceFault, StoreError, BlockError.
        """
        if isinstance(details, ua.UpdateDataDetails):
            return self._put(tag, int(details.PerformInsertReplace), details.UpdateValues, user)
        if isinstance(details, ua.DeleteAtTimeDetails):
            return self._delete_times(tag, [to_ticks(time) for time in details.ReqTimes], user)
        start, end = to_ticks(details.StartTime), to_ticks(details.EndTime)
        return self._delete_range(tag, start, max(start, end - 1), user, is_modified=bool(details.IsDeleteModified))

    def _put(self, tag: Tag, wanted: int, values: list[Any], user: str) -> Outcome:
        statuses, old = [], []
        for value in values:
            try:
                time, content, status = _checked(tag, value)
            except ServiceFault as fault:
                statuses.append(fault.status)
                continue
            before = self._at(tag, time)
            if wanted == edits.INSERT and before is not None:
                statuses.append(int(_C.BadEntryExists))
            elif wanted == edits.REPLACE and before is None:
                statuses.append(int(_C.BadNoEntryExists))
            else:
                self._add(tag, wanted, time, time, user, content, status)
                statuses.append(int(_C.GoodEntryInserted if before is None else _C.GoodEntryReplaced))
                old += [before] * (before is not None)
        return 0, statuses, old[:_OLD]

    def _delete_times(self, tag: Tag, times: list[int], user: str) -> Outcome:
        statuses, old = [], []
        for time in times:
            before = self._at(tag, time)
            if before is None:
                statuses.append(int(_C.BadNoEntryExists))
                continue
            self._add(tag, edits.DELETE, time, time, user)
            statuses.append(0)
            old.append(before)
        return 0, statuses, old[:_OLD]

    def _delete_range(self, tag: Tag, low: int, high: int, user: str, *, is_modified: bool) -> Outcome:
        with self._archive.view() as view:
            old = [] if is_modified else _values(tag, view, low, high, _OLD)
            is_there = bool(view.modified(tag, low, high, 1, 0)[0]) if is_modified else bool(old)
        if not is_there:
            return int(_C.BadNoData), [], []
        self._add(tag, edits.FORGET if is_modified else edits.DELETE, low, high, user)
        return 0, [], old

    def _at(self, tag: Tag, time: int) -> Any:
        with self._archive.view() as view:
            found = _values(tag, view, time, time, 1)
        return found[0] if found else None

    def _add(self, tag: Tag, kind: int, low: int, high: int, user: str, value: Any = None, status: int = 0) -> None:
        if not self._archive.edit(tag, kind, low, high, self._now(), user, value, status):
            raise ServiceFault(_C.BadResourceUnavailable)


def _checked(tag: Tag, value: Any) -> tuple[int, Any, int]:
    """Time, value and status of a DataValue that fits a tag. Raises ServiceFault."""
    time = to_ticks(value.SourceTimestamp) if value.SourceTimestamp is not None else 0
    if time <= 0:
        raise ServiceFault(_C.BadInvalidTimestamp)
    status = value.StatusCode.value if value.StatusCode is not None else 0
    variant = value.Value
    content = variant.Value if variant is not None else None
    if content is None:
        if not status >> 31:
            raise ServiceFault(_C.BadTypeMismatch)
        return time, "" if tag.kind == "String" else 0, status
    if variant.VariantType.name != tag.kind or isinstance(content, list):
        raise ServiceFault(_C.BadTypeMismatch)
    return time, content, status


def _values(tag: Tag, view: View, low: int, high: int, most: int) -> list[Any]:
    """DataValues of what is read there, the first ``most``."""
    found = view.read(tag, low, high, most, False)
    rows = zip(found.times.tolist(), found.values.tolist(), found.statuses.tolist(), strict=True)
    return [data_value(tag.kind, time, value, status) for time, value, status in rows]


def data_value(kind: str, time: int, value: Any, status: int) -> Any:
    variant = ua.Variant() if status >> 31 else ua.Variant(value, getattr(ua.VariantType, kind))
    return ua.DataValue(variant, ua.StatusCode(status), SourceTimestamp=to_datetime(time))
