"""A monitored item: what it watches, how it queues, when it has something to say.

plain     Reporting, queue of one, no filter, no links: no state of its own but "not yet told"; the panel does the rest
          on a column also with a longer queue: what is older than the column's value is in a backlog (backlog.py)
queued    everything else that watches values: filter and queue of its own, fed by the shared feed; where the filter is an
          aggregate, it keeps the samples, and what is queued is worked out of them (aggregated.py)
events    queue of encoded event fields
"""

from __future__ import annotations

import struct
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final, cast

import numpy as np

from cnctwin.wire import decode, encode
from cnctwin.wire.scalars import ua
from opcua_server.engine.subscriptions.backlog import Backlog
from opcua_server.engine.subscriptions.columns import BOTH, ColumnSlot, Record
from opcua_server.engine.subscriptions.costs import entry
from opcua_server.engine.subscriptions.feeds import Feed, Sampler, is_same, stamped, status_of
from opcua_server.engine.subscriptions.filters import EventQuery
from opcua_server.engine.subscriptions.overflow import overflow_event, refresh_required
from opcua_server.engine.subscriptions.panel import Place
from opcua_server.engine.subscriptions.queues import OVERFLOW, UNFILTERED, DataChange, EventQueue, ItemQueue, ValueQueue

DISABLED, SAMPLING, REPORTING = range(3)
"""MonitoringMode."""
NO_LINKS: Final = cast("dict[int, Any]", MappingProxyType({}))
"""Of most items; nothing can be put into it. A client may have thousands: what each needs for itself is made when it does."""


class Item:
    """``sampler`` is None for event items. ``deadband`` absolute, in the variable's unit."""

    __slots__ = (
        "backlog",
        "change",
        "discard_oldest",
        "feed",
        "fresh",
        "handle",
        "has_conditions",
        "interval_ms",
        "linked_from",
        "links",
        "mode",
        "number",
        "query",
        "queue",
        "queue_size",
        "rows",
        "sampler",
        "slot",
        "subscription",
        "timestamps",
        "triggered",
    )  # fmt: skip

    def __init__(self, subscription: Any, number: int, slot: Any, handle: int, mode: int, timestamps: int) -> None:
        self.subscription = subscription
        self.number = number
        self.slot = slot
        self.handle = handle
        self.mode = mode
        self.timestamps = timestamps
        self.interval_ms = 0.0
        self.queue_size = 1
        self.discard_oldest = True
        self.change: Any = UNFILTERED
        """DataChange, or Aggregation."""
        self.query: EventQuery | None = None
        self.sampler: Sampler | None = None
        self.feed: Feed | None = None
        self.rows: Any = None
        self.queue: ItemQueue[Any] | None = None
        self.backlog: Backlog | None = None
        self.fresh = False
        self.triggered = False
        self.has_conditions = False
        self.links: dict[int, Item] = NO_LINKS
        self.linked_from: dict[int, Item] = NO_LINKS

    @property
    def is_plain(self) -> bool:
        return self.is_plain_in(self.mode)

    def is_plain_in(self, mode: int) -> bool:
        """Whether it is a plain one in this mode."""
        return mode == REPORTING and self.is_simple and not self.links

    @property
    def is_simple(self) -> bool:
        """Whether it is a plain one when it reports and has no links."""
        return self.is_simple_with(self.query, self.change, self.queue_size, self.discard_oldest)

    def is_simple_with(self, query: EventQuery | None, change: Any, queue_size: int, discard_oldest: bool) -> bool:
        """The same with another filter and queue."""
        return (
            query is None
            and (queue_size == 1 or (discard_oldest and isinstance(self.slot, ColumnSlot)))
            and change.trigger == 1
            and change.deadband is None
        )

    @property
    def is_direct(self) -> bool:
        """Attached as a plain item. One that has a queue keeps it, also when it could do without by now."""
        return self.queue is None and (self.feed is not None or self.rows is not None)

    @property
    def is_untold(self) -> bool:
        """Whether a plain item's value has changed since its subscription was last served."""
        if self.queue is not None:
            return False
        if self.rows is not None:
            return bool(self.rows.stamps[self.slot.row] > self.subscription.cursor)
        return self.feed is not None and self.feed.stamp > self.subscription.cursor

    @property
    def shown(self) -> Any:
        """The DataValue that a plain item has to tell, or has told; None where it is none, or is not attached."""
        if self.rows is not None:
            return decode(ua.DataValue, self.rows.data_values(np.array([self.slot.row], np.intp), BOTH)[0])
        return self.feed.value if self.feed is not None else None

    def place(self) -> Place:
        """Of a plain item that is attached."""
        if self.rows is not None:
            return self.rows, self.slot.row, self.handle, self.timestamps
        return self.feed, -1, self.handle, self.timestamps

    def _hold(self, size: int) -> bool:
        return bool(self.subscription.owner.hold(size))

    @property
    def held(self) -> int:
        """Bytes of large values that its queue holds."""
        return self.queue.held if isinstance(self.queue, ValueQueue) else 0

    @property
    def overflows(self) -> int:
        """How often values were lost since it was attached; events have a counter of their own."""
        if self.query is not None:
            return 0
        return (self.queue.overflows if self.queue is not None else 0) + (self.backlog.overflows if self.backlog is not None else 0)

    def forget_overflows(self) -> None:
        for one in (self.queue, self.backlog):
            if one is not None and self.query is None:
                one.overflows = 0

    def attach(self, seen: Any = None) -> None:
        """Start to watch. The current value is the first notification (OPC 10000-4, 5.13.1.2), but where the item has ``seen`` a
        value before, of which it is no change."""
        if self.mode == DISABLED:
            return
        if self.query is not None:
            self.queue = self.queue or EventQueue(self.queue_size, self.discard_oldest, entry(self.query))
            return
        if self.sampler is None:
            return
        if self.is_plain:
            if isinstance(self.slot, ColumnSlot):
                self.rows = self.sampler.rows(self.slot)
                self.fit_backlog()
            else:
                self.feed = self.sampler.feed(self.slot)
            self.fresh = seen is None or not is_same(seen, self.shown)
        else:
            self.queue = ValueQueue(self.queue_size, self.discard_oldest, self._hold)
            self.change = self.change.anew()
            if seen is not None and isinstance(self.change, DataChange):
                self.change.last = seen
            self.feed = self.sampler.feed(self.slot)
            self.feed.listeners[self] = self.offer
            self.offer(self.feed, self.feed.value)

    def detach(self) -> None:
        """Stop, and forget what was queued."""
        if self.overflows:
            self.subscription.tally["MonitoringQueueOverflowCount"] += self.overflows
        self.change.stop()
        if self.queue is not None:
            self.queue.take_all()
        if self.feed is not None and self.sampler is not None:
            self.feed.listeners.pop(self, None)
            self.sampler.release(self.feed)
        if self.rows is not None and self.sampler is not None:
            if self.backlog is not None:
                self.rows.keeper.remove(self)
            self.sampler.release_rows(self.slot.column)
        self.feed = self.rows = self.queue = self.backlog = None
        self.fresh = self.triggered = False

    def fit_backlog(self) -> None:
        """Have a backlog of the queue's size, or none where one value is all there is."""
        if self.queue_size == 1:
            if self.backlog is not None:
                self.subscription.tally["MonitoringQueueOverflowCount"] += self.backlog.overflows
                self.rows.keeper.remove(self)
                self.backlog = None
        elif self.backlog is None:
            self.backlog = Backlog(self.queue_size - 1)
            self.rows.keeper.add(self)
        else:
            self.backlog.resize(self.queue_size - 1)

    def keep(self, encoded: bytes) -> None:
        """A value that is replaced before it was told."""
        if self.backlog is not None:
            self.backlog.put(encoded)
            self.subscription.ready[self] = None

    def offer(self, feed: Feed, value: Any) -> None:
        """A sample of a queued item."""
        if self.queue is not None and self.change.passes(value):
            # Encoded now: the feed holds these bytes for everybody until its next change.
            self.queue.put((value, feed.encoded(self.timestamps)))
            self._told()

    def offer_worked_out(self, value: Any, encoded: bytes) -> None:
        """The value of an aggregate."""
        if self.queue is not None:
            self.queue.put((value, encoded))
            self._told()

    def offer_event(self, content: bytes, is_condition: bool = False) -> None:
        if self.queue is not None:
            self.has_conditions = self.has_conditions or is_condition
            self.queue.put(content)
            self._told()

    def _told(self) -> None:
        if self.mode == REPORTING:
            self.subscription.ready[self] = None
        for linked in self.links.values():
            if linked.mode == SAMPLING and linked.queue is not None and linked.queue.entries:
                self.subscription.ready[linked] = None

    def drain_backlog(self, records: list[Record]) -> None:
        """Move what is older than the column's value into a message."""
        if self.backlog is None:
            return
        handle = struct.pack("<I", self.handle)
        for encoded, has_overflow in self.backlog.take_all():
            if has_overflow:
                value = decode(ua.DataValue, encoded)
                encoded = encode(stamped(value, self.timestamps, status_of(value) | OVERFLOW))
            records.append((1, handle + encoded, len(encoded) + 4))

    def drain(self, records: list[Record], events: list[bytes]) -> int:
        """Move what is queued into a message; how many bytes."""
        if self.queue is None:
            return 0
        before, size = len(events), 0
        handle = struct.pack("<I", self.handle)
        must_refresh = b""
        if self.query is not None and self.queue.overflows:
            self.queue.overflows = 0
            self.subscription.tally["EventQueueOverflowCount"] += 1
            lost = self.query.fields(overflow_event(datetime.now(UTC)))
            self.queue.beside(lost)
            if self.has_conditions:
                must_refresh = handle + self.query.fields(refresh_required(datetime.now(UTC)))
        for content, has_overflow in self.queue.take_all():
            if self.query is not None:
                events.append(handle + content)
                continue
            value, encoded = content
            if has_overflow:
                encoded = encode(stamped(value, self.timestamps, status_of(value) | OVERFLOW))
            records.append((1, handle + encoded, len(encoded) + 4))
            size += len(encoded)
        if must_refresh:
            events.append(must_refresh)
        return size + sum(map(len, events[before:]))
