"""The history of events (OPC 10000-11, 6.5.2): what notifiers have told, kept field by field, and asked for with a filter again.

    event --told at a notifier that is followed--> its fields as bytes --> archive --> where clause --> select clauses

Audit events are none of them: these are reported to administrators and not kept here.
"""

from __future__ import annotations

import base64
import logging
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any, Final

from cnctwin.wire import Budget, DecodingError, encoder
from cnctwin.wire.decode import guarded, read_variant
from cnctwin.wire.encode import to_ticks, write_variant
from cnctwin.wire.scalars import read_string, ua
from opcua_server.engine.contract import ServiceFault
from opcua_server.engine.subscriptions.filters import EventQuery, check
from opcua_server.history import encoding, raw
from opcua_server.history.archive import Archive, Tag, View, tag_of
from opcua_server.history.entries import FIRST_ID
from opcua_server.history.jobs import GOOD_NO_DATA, Job
from opcua_server.history.raw import Range
from opcua_server.history.store import StoredEvent

_C = ua.StatusCodes
_logger = logging.getLogger("opcua_server.history")
_COUNT: Final = struct.Struct("<i")
_write_text: Final = encoder(ua.String)
_EVENT_ID: Final = b"\x07\x00\x00\x00EventId\x0f"
"""The name of the field, and that its value is a ByteString."""
BATCH: Final = 1_000
MOST_LOOKED_AT: Final = 20_000
"""Events that a page looks at, whether they pass the filter or not."""


def pack(event: Any) -> bytes:
    """All fields of an event, with their names and types."""
    names = [name for name in event.data_types if getattr(event, name, None) is not None]
    values = ((name, getattr(event, name)) for name in names)
    return pack_fields(
        {name: value if isinstance(value, ua.Variant) else ua.Variant(value, event.data_types[name]) for name, value in values}
    )


def pack_fields(fields: Mapping[str, Any]) -> bytes:
    """Name -> Variant."""
    parts: list[bytes] = [_COUNT.pack(len(fields))]
    for name, value in fields.items():
        _write_text(name, parts.append)
        write_variant(value, parts.append)
    return b"".join(parts)


def event_id_of(content: bytes) -> bytes:
    """The EventId of a packed event, found without reading the other fields; empty where it has none."""
    place = content.find(_EVENT_ID)
    if place < 0:
        return b""
    start = place + len(_EVENT_ID) + _COUNT.size
    (size,) = _COUNT.unpack_from(content, start - _COUNT.size)
    return content[start : start + max(size, 0)]


def unpack(content: bytes) -> Any:
    """What filters take for an event. Raises DecodingError."""

    def read(b: Any, p: int, budget: Budget) -> tuple[dict[str, Any], int]:
        (count,) = _COUNT.unpack_from(b, p)
        p += _COUNT.size
        fields = {}
        for _ in range(count):
            name, p = read_string(b, p, budget)
            fields[name or ""], p = read_variant(b, p, budget)
        return fields, p

    fields, _end = guarded(read, content, 0, Budget())
    kinds = {name: variant.VariantType for name, variant in fields.items()}
    return SimpleNamespace(data_types=kinds, **{name: variant.Value for name, variant in fields.items()})


def tag_of_events(emitter: str) -> Tag:
    """Under which changes of a notifier's events are kept."""
    return tag_of(emitter, "Event", is_stepped=True)


class EventHistory:
    """``notifiers``: whose events are kept. ``hub``: EventHub of the subscriptions, which hears them all."""

    def __init__(self, archive: Archive, notifiers: Iterable[Any], hub: Any) -> None:
        self._archive = archive
        self.notifiers = {node_id: node_id.to_string() for node_id in notifiers}
        """NodeId -> its name in the archive."""
        self._hub = hub

    def start(self) -> None:
        self._hub.heard.append(self._heard)

    def stop(self) -> None:
        self._hub.heard.remove(self._heard)

    def _heard(self, event: Any) -> None:
        emitter = self.notifiers.get(event.emitting_node)
        time = getattr(event, "Time", None)
        if emitter is None or time is None:
            return
        try:
            self._archive.add_event(emitter, to_ticks(time), pack(event))
        except Exception:
            _logger.exception("an event could not be kept")

    def job(self, node_id: Any, details: Any, _timestamps: int) -> Job:
        """Raises ServiceFault."""
        emitter = self.notifiers.get(node_id)
        if emitter is None:
            raise ServiceFault(_C.BadHistoryOperationUnsupported)
        status, _result = check(details.Filter, self._hub.has_type)
        if status:
            raise ServiceFault(status)
        start, end = to_ticks(details.StartTime) or None, to_ticks(details.EndTime) or None
        count = int(details.NumValuesPerNode)
        asked = raw.wanted(start, end, bounds=False)
        query = EventQuery(details.Filter, self._hub.is_subtype)
        return EventJob(emitter, asked, query, count, count if start is None or end is None else None)


@dataclass(frozen=True, slots=True)
class EventJob:
    """``per_page`` and ``left`` as of RawJob. ``after``: number of the last event shown at the time the range begins with."""

    emitter: str
    asked: Range
    query: EventQuery
    per_page: int
    left: int | None
    after: int | None = None

    def page(self, view: View, most: int) -> tuple[int, bytes, Job | None]:
        wanted = min(most, self.left if self.left is not None else self.per_page or most)
        shown: list[bytes] = []
        asked, after, looked_at = self.asked, self.after, 0
        made = view.entries(tag_of_events(self.emitter))
        put = [StoredEvent(one.id, self.emitter, one.time, base64.b64decode(one.body)) for one in made.put.values()]
        is_over = asked.is_empty
        while not is_over and len(shown) < wanted and looked_at < MOST_LOOKED_AT:
            low, high = sorted((asked.first, asked.last))
            begin = after if after is not None else (1 << 62) if asked.is_backwards else 0
            batch = view.recorded_events(self.emitter, low, high, begin, BATCH, backwards=asked.is_backwards, put=put)
            is_over = len(batch) < BATCH
            for place, one in enumerate(batch):
                looked_at += 1
                asked, after = replace(asked, first=one.time), one.id
                is_hidden = bool(made.touched) and one.id < FIRST_ID and event_id_of(one.body).hex() in made.touched
                fields = None if is_hidden else self._fields(one.body)
                if fields is not None:
                    shown.append(fields)
                    if len(shown) == wanted:
                        is_over = is_over and place == len(batch) - 1
                        break
        rest: Job | None = None
        left = None if self.left is None else self.left - len(shown)
        if not is_over and (left is None or left > 0):
            rest = replace(self, asked=asked, after=after, left=left)
        body = encoding.extension(encoding.HISTORY_EVENT, b"".join([_COUNT.pack(len(shown)), *shown]))
        return 0 if shown else GOOD_NO_DATA, body, rest

    def _fields(self, body: bytes) -> bytes | None:
        """The selected fields of an event that passes."""
        try:
            event = unpack(body)
        except DecodingError as error:
            _logger.warning("an event of the past cannot be read: %s", error)
            return None
        return self.query.fields(event) if self.query.passes(event) else None
