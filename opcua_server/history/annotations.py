"""Annotations of values (OPC 10000-11, 5.1.2 and 6.9.3): what people say of a moment in the history of a variable.

    variable --HasProperty--> Annotations     its value: what was said last
                                              its history: all that was said, each at the time of the value that it is about

    UpdateStructureDataDetails   Insert, Replace, Update, Remove

Several may have one time: each is known by its time, its UserName and its AnnotationTime. Who says something is known to the
server: a name that is given is not taken for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from cnctwin.wire import encode
from cnctwin.wire.encode import to_ticks
from cnctwin.wire.scalars import to_datetime, ua
from opcua_server.engine.contract import Core, Request, ServiceFault
from opcua_server.history import edits, encoding, raw
from opcua_server.history.archive import Archive, Tag, View, tag_of
from opcua_server.history.changes import tag_to_change
from opcua_server.history.edits import Change
from opcua_server.history.entries import MOST, Entry, change
from opcua_server.history.jobs import GOOD_NO_DATA, Job
from opcua_server.history.raw import HIGHEST, LOWEST, Range
from opcua_server.space.publish import put

_C = ua.StatusCodes
_V: Final = ua.VariantType
MOST_VALUES: Final = 1_000
"""Annotations of one operation, and times that annotations are asked for."""
LONGEST: Final = 2_000
"""Characters of a message."""
_KINDS: Final = (edits.INSERT, edits.REPLACE, edits.UPDATE, edits.DELETE)
_OLD: Final = 64
Outcome = tuple[int, list[int], list[Any]]


def tag_of_annotations(tag: Tag) -> Tag:
    """Under which what is said of a tag's values is kept."""
    return tag_of(f"{tag.name}/Annotations", "Annotation", is_stepped=True)


class Annotations:
    """``places``: Annotations property -> the tag whose values it is about, and the place of its value. ``variables``: variable
    -> the same tag."""

    def __init__(self, core: Core, archive: Archive, places: Mapping[Any, tuple[Tag, Any]], variables: Mapping[Any, Tag]) -> None:
        self._core = core
        self._archive = archive
        self._tags = {node_id: tag_of_annotations(tag) for node_id, (tag, _) in places.items()}
        self._about = {node_id: tag_of_annotations(tag) for node_id, tag in variables.items()}
        self._held = {self._tags[node_id].number: held for node_id, (_, held) in places.items()}

    def show(self, *properties: Any) -> None:
        """Let Annotations properties, or all of them, show what was said last."""
        for node_id in properties or self._tags:
            tag = self._tags.get(node_id)
            said = self._archive.entries(tag).put.values() if tag is not None else ()
            if tag is not None and said:
                put(self._held[tag.number], _value(max(said, key=lambda one: one.id)))
            elif tag is not None:
                put(self._held[tag.number], ua.DataValue(ua.Variant(nothing_said(), _V.ExtensionObject)))

    # Read ---------------------------------------------------------------------------------------------------------------

    def job(self, node_id: Any, details: Any, timestamps: int) -> Job | None:
        """None for what is no Annotations property. Raises ServiceFault."""
        if isinstance(details, ua.ReadAnnotationDataDetails):
            tag = self._tags.get(node_id) or self._about.get(node_id)
            if tag is None:
                raise ServiceFault(_C.BadHistoryOperationUnsupported)
            times = frozenset(to_ticks(one) for one in details.ReqTimes or ())
            if len(times) > MOST_VALUES:
                raise ServiceFault(_C.BadTooManyOperations)
            return AnnotationJob(tag, Range(LOWEST, HIGHEST, False), 0, None, timestamps, times)
        tag = self._tags.get(node_id)
        if tag is None:
            return None
        if not isinstance(details, ua.ReadRawModifiedDetails) or details.IsReadModified:
            raise ServiceFault(_C.BadHistoryOperationUnsupported)
        start, end = to_ticks(details.StartTime) or None, to_ticks(details.EndTime) or None
        count = int(details.NumValuesPerNode)
        left = count if start is None or end is None else None
        return AnnotationJob(tag, raw.wanted(start, end, bounds=False), count, left, timestamps)

    # Update -------------------------------------------------------------------------------------------------------------

    def check(self, request: Request, details: Any) -> Tag:
        """Where the changes are kept. Raises ServiceFault with what is wrong with details."""
        tag = tag_to_change(self._core, self._tags, request, details.NodeId)
        if int(details.PerformInsertReplace) not in _KINDS:
            raise ServiceFault(_C.BadHistoryOperationInvalid)
        count = len(details.UpdateValues or ())
        if not count:
            raise ServiceFault(_C.BadNothingToDo)
        if count > MOST_VALUES:
            raise ServiceFault(_C.BadTooManyOperations)
        return tag

    def carry_out(self, tag: Tag, details: Any, now: int, user: str) -> Outcome:
        """In the reader's thread, one operation after another. Raises ServiceFault, StoreError."""
        kind = int(details.PerformInsertReplace)
        statuses, changes, old = [], list[Change](), []
        known: dict[str, Any] = {key: one.body for key, one in self._archive.entries(tag).put.items()}
        for value in details.UpdateValues:
            try:
                time, said = _checked(value, kind, now, user)
                key = _key(time, said)
                before = known.get(key)
                if kind == edits.INSERT and before is not None:
                    raise ServiceFault(_C.BadEntryExists)
                if kind in (edits.REPLACE, edits.DELETE) and before is None:
                    raise ServiceFault(_C.BadNoEntryExists)
            except ServiceFault as fault:
                statuses.append(fault.status)
                continue
            if before is not None and len(old) < _OLD:
                old.append(_annotation(before))
            if kind == edits.DELETE:
                del known[key]
                changes.append(change(kind, key, time))
                statuses.append(0)
                continue
            known[key] = said
            changes.append(change(kind, key, time, said))
            statuses.append(int(_C.GoodEntryInserted if before is None else _C.GoodEntryReplaced))
        if changes and not self._archive.edit(tag, changes, now, user, MOST):
            raise ServiceFault(_C.BadResourceUnavailable)
        return 0, statuses, old


def nothing_said() -> Any:
    """The value of an Annotations property before anybody has said anything."""
    return ua.Annotation("", "", to_datetime(0))


def _checked(value: Any, kind: int, now: int, user: str) -> tuple[int, list[Any]]:
    """The time that an annotation is about, and what it says: message, who, when. Raises ServiceFault."""
    time = to_ticks(value.SourceTimestamp) if value.SourceTimestamp is not None else 0
    if time <= 0:
        raise ServiceFault(_C.BadInvalidTimestamp)
    given = value.Value.Value if value.Value is not None else None
    if not isinstance(given, ua.Annotation):
        raise ServiceFault(_C.BadTypeMismatch)
    message, when = given.Message or "", to_ticks(given.AnnotationTime) if given.AnnotationTime is not None else 0
    if len(message) > LONGEST:
        raise ServiceFault(_C.BadOutOfRange)
    is_new = kind in (edits.INSERT, edits.UPDATE)
    return time, [message, user if is_new else given.UserName or user, when if when > 0 else now]


def _key(time: int, said: list[Any]) -> str:
    return f"{time} {said[2]} {said[1]}"


def _annotation(body: list[Any]) -> Any:
    message, user, when = body
    return ua.Annotation(message, user, to_datetime(when))


def _value(entry: Entry, timestamps: int = encoding.BOTH) -> Any:
    has_source, has_server = timestamps in (encoding.SOURCE, encoding.BOTH), timestamps in (encoding.SERVER, encoding.BOTH)
    source = to_datetime(entry.time) if has_source else None
    server = to_datetime(entry.at) if has_server else None
    variant = ua.Variant(_annotation(entry.body), _V.ExtensionObject)
    return ua.DataValue(variant, ua.StatusCode(0), SourceTimestamp=source, ServerTimestamp=server)


@dataclass(frozen=True, slots=True)
class AnnotationJob:
    """What was said in a range, or at ``times``. ``per_page`` and ``left`` as of RawJob; ``skip``: how many were shown."""

    tag: Tag
    asked: Range
    per_page: int
    left: int | None
    timestamps: int
    times: frozenset[int] | None = None
    skip: int = 0

    def page(self, view: View, most: int) -> tuple[int, bytes, Job | None]:
        low, high = sorted((self.asked.first, self.asked.last))
        found = [] if self.asked.is_empty else view.entries(self.tag).between(low, high)
        if self.times is not None:
            found = [one for one in found if one.time in self.times]
        if self.asked.is_backwards:
            found.reverse()
        wanted = min(most, self.left if self.left is not None else self.per_page or most)
        shown = found[self.skip : self.skip + wanted]
        left = None if self.left is None else self.left - len(shown)
        rest: Job | None = None
        if len(found) > self.skip + len(shown) and (left is None or left > 0):
            rest = replace(self, skip=self.skip + len(shown), left=left)
        body = encoding.history_data([encode(_value(one, self.timestamps)) for one in shown], len(shown))
        return 0 if shown else GOOD_NO_DATA, body, rest
