"""HistoryUpdate for data (OPC 10000-11, 6.9): who changes the history of a variable, and what comes of each value.

    UpdateDataDetails          Insert where nothing is, Replace where something is, Update in any case
    DeleteRawModifiedDetails   a range, or what is told as modified there
    DeleteAtTimeDetails        single times

What is recorded is never touched: a change is an edit beside it (``edits``), and what was there before can be read as modified.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np

from cnctwin.wire.encode import to_ticks
from cnctwin.wire.scalars import to_datetime, ua
from opcua_server.engine.contract import Core, Request, ServiceFault
from opcua_server.history import edits
from opcua_server.history.archive import Archive, Tag, View
from opcua_server.history.edits import Change
from opcua_server.security.access import may_change_history

_C = ua.StatusCodes
MOST_VALUES: Final = 10_000
"""Values, or times, of one operation."""
_FIRST_READ, _LARGEST_READ = 1_024, 50_000
"""Samples that are looked at together for the times of an operation."""
_OLD: Final = 64
"""Values before a change that its audit event tells."""
_DETAILS: Final = (ua.UpdateDataDetails, ua.DeleteRawModifiedDetails, ua.DeleteAtTimeDetails)
Outcome = tuple[int, list[int], list[Any]]
"""(status of the operation, statuses of its values, DataValues before)."""


def tag_to_change(core: Core, tags: Mapping[Any, Tag], request: Request, node_id: Any) -> Tag:
    """The tag of a node, for somebody who may change its history. Raises ServiceFault: no node, no history, no right."""
    core.values.node(node_id, request.session)
    tag = tags.get(node_id)
    if tag is None:
        raise ServiceFault(_C.BadHistoryOperationUnsupported)
    if not may_change_history(request.session.role if request.session is not None else None):
        raise ServiceFault(_C.BadUserAccessDenied)
    return tag


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
        tag = tag_to_change(self._core, self._tags, request, details.NodeId)
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
        statuses, changes, old = [], list[Change](), []
        with self._archive.view() as view:
            known = _Known(tag, view, [to_ticks(value.SourceTimestamp) for value in values if value.SourceTimestamp is not None])
            for value in values:
                try:
                    time, content, status = _checked(tag, value)
                except ServiceFault as fault:
                    statuses.append(fault.status)
                    continue
                before = known.at(time)
                if wanted == edits.INSERT and before is not None:
                    statuses.append(int(_C.BadEntryExists))
                elif wanted == edits.REPLACE and before is None:
                    statuses.append(int(_C.BadNoEntryExists))
                else:
                    changes.append(Change(wanted, time, time, content, status))
                    known.mine[time] = (content, status)
                    statuses.append(int(_C.GoodEntryInserted if before is None else _C.GoodEntryReplaced))
                    old += [_shown(tag, time, *before)] if before is not None and len(old) < _OLD else []
        self._make(tag, changes, user)
        return 0, statuses, old

    def _delete_times(self, tag: Tag, times: list[int], user: str) -> Outcome:
        statuses, changes, old = [], list[Change](), []
        with self._archive.view() as view:
            known = _Known(tag, view, times)
            for time in times:
                before = known.at(time)
                if before is None:
                    statuses.append(int(_C.BadNoEntryExists))
                    continue
                changes.append(Change(edits.DELETE, time, time))
                known.mine[time] = None
                statuses.append(0)
                old += [_shown(tag, time, *before)] if len(old) < _OLD else []
        self._make(tag, changes, user)
        return 0, statuses, old

    def _delete_range(self, tag: Tag, low: int, high: int, user: str, *, is_modified: bool) -> Outcome:
        with self._archive.view() as view:
            found = view.read(tag, low, high, _OLD, False)
            is_there = bool(view.modified(tag, low, high, 1, 0)[0]) if is_modified else len(found) > 0
        if not is_there:
            return int(_C.BadNoData), [], []
        self._make(tag, [Change(edits.FORGET if is_modified else edits.DELETE, low, high)], user)
        rows = zip(found.times.tolist(), found.values.tolist(), found.statuses.tolist(), strict=True)
        return 0, [], [] if is_modified else [_shown(tag, *row) for row in rows]

    def _make(self, tag: Tag, changes: list[Change], user: str) -> None:
        if changes and not self._archive.edit(tag, changes, self._now(), user):
            raise ServiceFault(_C.BadResourceUnavailable)


class _Known:
    """What is read at times, with what an operation has done so far (``mine``): (value, status), None where nothing is."""

    def __init__(self, tag: Tag, view: View, times: list[int]) -> None:
        self.mine: dict[int, tuple[Any, int] | None] = {}
        self._there: dict[int, tuple[Any, int]] = {}
        wanted = np.unique(np.array(times, np.int64))
        place, size = 0, _FIRST_READ
        while place < len(wanted):
            # As many samples at once as it takes to meet many of the times, few where they lie far apart.
            found = view.read(tag, int(wanted[place]), int(wanted[-1]), size, False)
            reach = wanted[-1] if len(found) < size else found.times[-1]
            met = int(np.searchsorted(wanted, reach, "right")) - place
            for number in np.flatnonzero(np.isin(found.times, wanted[place : place + met])).tolist():
                self._there[int(found.times[number])] = (found.values[number : number + 1].tolist()[0], int(found.statuses[number]))
            place += met
            size = min(size * 2, _LARGEST_READ) if met * 64 >= size else max(size // 2, 1)

    def at(self, time: int) -> tuple[Any, int] | None:
        return self.mine[time] if time in self.mine else self._there.get(time)


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


def _shown(tag: Tag, time: int, value: Any, status: int) -> Any:
    """A DataValue, for an audit event."""
    variant = ua.Variant() if status >> 31 else ua.Variant(value, getattr(ua.VariantType, tag.kind))
    return ua.DataValue(variant, ua.StatusCode(status), SourceTimestamp=to_datetime(time))
