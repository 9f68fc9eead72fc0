"""HistoryUpdate for events (OPC 10000-11, 6.9.4 and 6.9.7): what people put into the history of a notifier, and take out of it.

    UpdateEventDetails   Insert what has no EventId there, Replace what has, Update in any case; fields by the select clauses
    DeleteEventDetails   by EventIds

What was recorded is never touched: an event that was replaced or deleted is hidden, and what was put shows in its place. In the
history of another notifier that told the same event it stays as it is.
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Mapping
from typing import Any, Final

from cnctwin.wire.encode import to_ticks
from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import Core, Request, ServiceFault
from opcua_server.history import edits
from opcua_server.history.archive import Archive, Tag, View
from opcua_server.history.edits import Change
from opcua_server.history.entries import MOST, change
from opcua_server.history.events import event_id_of, pack_fields, tag_of_events, unpack
from opcua_server.security.access import may_change_history

_C = ua.StatusCodes
_V: Final = ua.VariantType
MOST_EVENTS: Final = 1_000
"""Of one operation."""
LARGEST: Final = 8_192
"""Bytes of an event that is put."""
_OLD: Final = 16
"""Events before a change that its audit event tells."""
_BATCH: Final = 1_000
_BASE_EVENT: Final = ua.NodeId(ua.ObjectIds.BaseEventType, 0)
_KINDS: Final = {"EventType": _V.NodeId, "Time": _V.DateTime, "EventId": _V.ByteString, "SourceNode": _V.NodeId}
"""Fields that the history itself looks at, and what they must be."""
Outcome = tuple[int, list[int], list[Any]]


class EventChanges:
    """``notifiers``: NodeId -> its name in the archive. ``hub``: knows event types."""

    def __init__(self, core: Core, archive: Archive, notifiers: Mapping[Any, str], hub: Any) -> None:
        self._core = core
        self._archive = archive
        self._notifiers = notifiers
        self._hub = hub

    def check(self, request: Request, details: Any) -> str:
        """The notifier's name. Raises ServiceFault with what is wrong with details."""
        self._core.values.node(details.NodeId, request.session)
        emitter = self._notifiers.get(details.NodeId)
        if emitter is None:
            raise ServiceFault(_C.BadHistoryOperationUnsupported)
        if not may_change_history(request.session.role if request.session is not None else None):
            raise ServiceFault(_C.BadUserAccessDenied)
        is_update = isinstance(details, ua.UpdateEventDetails)
        count = len((details.EventData if is_update else details.EventIds) or ())
        if not count:
            raise ServiceFault(_C.BadNothingToDo)
        if count > MOST_EVENTS:
            raise ServiceFault(_C.BadTooManyOperations)
        if is_update:
            self._check_update(details)
        return emitter

    @staticmethod
    def _check_update(details: Any) -> None:
        kind = int(details.PerformInsertReplace)
        if kind not in (edits.INSERT, edits.REPLACE, edits.UPDATE):
            raise ServiceFault(_C.BadInvalidArgument)
        if details.Filter.WhereClause is not None and details.Filter.WhereClause.Elements:
            raise ServiceFault(_C.BadEventFilterInvalid)
        names = set(_names(details.Filter))
        needed = {"EventId"} if kind == edits.REPLACE else {"EventType", "Time"}
        if not needed <= names:
            raise ServiceFault(_C.BadArgumentsMissing)

    def carry_out(self, emitter: str, details: Any, now: int, user: str) -> Outcome:
        """In the reader's thread, one operation after another. Raises ServiceFault, StoreError."""
        tag = tag_of_events(emitter)
        with self._archive.view() as view:
            if isinstance(details, ua.DeleteEventDetails):
                statuses, changes, old = self._delete(view, emitter, tag, details.EventIds)
            else:
                statuses, changes, old = self._put(view, emitter, tag, details)
        if changes and not self._archive.edit(tag, changes, now, user, MOST):
            raise ServiceFault(_C.BadResourceUnavailable)
        return 0, statuses, old

    def _delete(self, view: View, emitter: str, tag: Tag, wanted: list[Any]) -> tuple[list[int], list[Change], list[Any]]:
        known = _known(view, emitter, tag, {bytes(one or b"") for one in wanted})
        statuses, changes, old = [], [], []
        for event_id in (bytes(one or b"") for one in wanted):
            found = known.pop(event_id, None)
            if found is None:
                statuses.append(int(_C.BadNoEntryExists))
                continue
            time, body = found
            changes.append(change(edits.DELETE, event_id.hex(), time))
            old += [_all_fields(body)] if len(old) < _OLD else []
            statuses.append(0)
        return statuses, changes, old

    def _put(self, view: View, emitter: str, tag: Tag, details: Any) -> tuple[list[int], list[Change], list[Any]]:
        names, kind = _names(details.Filter), int(details.PerformInsertReplace)
        given = [dict(zip(names, row.EventFields or [], strict=False)) for row in details.EventData]
        known = _known(view, emitter, tag, {bytes(row["EventId"].Value or b"") for row in given if "EventId" in row})
        statuses, changes, old = [], list[Change](), []
        for row in given:
            try:
                fields = self._checked(row)
                event_id = bytes(fields["EventId"].Value) if "EventId" in fields else b""
                before = known.get(event_id) if event_id else None
                if kind == edits.INSERT and before is not None:
                    raise ServiceFault(_C.BadEntryExists)
                if kind == edits.REPLACE and before is None:
                    raise ServiceFault(_C.BadNoEntryExists)
                time, body = _packed(fields, event_id or uuid.uuid4().bytes, before)
            except ServiceFault as fault:
                statuses.append(fault.status)
                continue
            key = event_id_of(body)
            changes.append(change(kind, key.hex(), time, base64.b64encode(body).decode()))
            known[key] = (time, body)
            old += [_all_fields(before[1])] if before is not None and len(old) < _OLD else []
            statuses.append(int(_C.GoodEntryInserted if before is None else _C.GoodEntryReplaced))
        return statuses, changes, old

    def _checked(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The fields that say something. Raises ServiceFault."""
        fields = {name: one for name, one in row.items() if one.Value is not None}
        for name, kind in _KINDS.items():
            if name in fields and (fields[name].VariantType is not kind or isinstance(fields[name].Value, list)):
                raise ServiceFault(_C.BadTypeMismatch)
        if "EventType" in fields:
            wanted = fields["EventType"].Value
            if not (self._hub.has_type(wanted) and self._hub.is_subtype(wanted, _BASE_EVENT)):
                raise ServiceFault(_C.BadTypeDefinitionInvalid)
        if "SourceNode" in fields and self._core.aspace.get(fields["SourceNode"].Value) is None:
            raise ServiceFault(_C.BadSourceNodeIdInvalid)
        if "Time" in fields and to_ticks(fields["Time"].Value) <= 0:
            raise ServiceFault(_C.BadInvalidTimestamp)
        return fields


def _names(event_filter: Any) -> list[str]:
    """Of the fields that select clauses name, as they are kept."""
    return [
        "NodeId" if one.AttributeId == ua.AttributeIds.NodeId else "/".join(str(part.Name) for part in one.BrowsePath or [])
        for one in event_filter.SelectClauses or []
    ]


def _packed(fields: Mapping[str, Any], event_id: bytes, before: tuple[int, bytes] | None) -> tuple[int, bytes]:
    """Time and content of an event that is put. What is replaced keeps the type and the time that are not given."""
    whole = dict(fields)
    if before is not None:
        kept = unpack(before[1])
        for name in ("EventType", "Time"):
            if name not in whole and getattr(kept, name, None) is not None:
                whole[name] = ua.Variant(getattr(kept, name), _KINDS[name])
    if not {"EventType", "Time"} <= set(whole):
        raise ServiceFault(_C.BadArgumentsMissing)
    whole["EventId"] = ua.Variant(event_id, _V.ByteString)
    body = pack_fields(whole)
    if len(body) > LARGEST:
        raise ServiceFault(_C.BadOutOfRange)
    return to_ticks(whole["Time"].Value), body


def _known(view: View, emitter: str, tag: Tag, wanted: set[bytes]) -> dict[bytes, tuple[int, bytes]]:
    """Time and content of the events that show under some EventIds. Recorded ones are looked for from the newest on."""
    made = view.entries(tag)
    left = {one for one in wanted if one}
    found: dict[bytes, tuple[int, bytes]] = {}
    for one in list(left):
        if one.hex() in made.touched:
            left.discard(one)
            if (entry := made.put.get(one.hex())) is not None:
                found[one] = (entry.time, base64.b64decode(entry.body))
    high, after = 1 << 62, 1 << 62
    while left:
        batch = view.recorded_events(emitter, 0, high, after, _BATCH, backwards=True)
        for event in batch:
            event_id = event_id_of(event.body)
            if event_id in left:
                left.discard(event_id)
                found[event_id] = (event.time, event.body)
        if len(batch) < _BATCH:
            break
        high, after = batch[-1].time, batch[-1].id
    return found


def _all_fields(body: bytes) -> Any:
    """An event as an audit event tells it: all its fields."""
    event = unpack(body)
    return ua.HistoryEventFieldList([ua.Variant(getattr(event, name), kind) for name, kind in event.data_types.items()])
