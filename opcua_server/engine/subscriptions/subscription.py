"""One subscription: counters, messages, retransmission (OPC 10000-4, 5.14.1). Pure: publishing cycles come from outside.

each publishing cycle
  publish request waits?  no  -> lifetime counts down; 0: closed.  Something to say: late, served by the next request
                          yes -> lifetime starts anew;  notifications: sent, "more" while messages remain
                                                        none: keep-alive, at first and after max keep-alive cycles
"""

from __future__ import annotations

import struct
from collections import defaultdict, deque
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from opcua_server.engine.subscriptions.columns import Changes, Record
from opcua_server.engine.subscriptions.item import Item
from opcua_server.engine.subscriptions.panel import Body, Panel, Panels, bodies_of, status_change

_LAST_SEQUENCE: Final = 0xFFFF_FFFF
_MESSAGE: Final = struct.Struct("<Iqi").pack
_NONE: Final = struct.pack("<i", 0)
_ALL: Final = -1
SENT_BYTES: Final = 8 << 20
"""Of the messages that a subscription keeps until they are acknowledged; the last one is kept whatever it has."""


MESSAGE_BYTES: Final = 1 << 20


class Cycle(Enum):
    """What a publishing cycle asks for."""

    IDLE = "nothing to send"
    SEND = "serve a publish request"
    LATE = "something to say, and no request"
    EXPIRED = "no request for a lifetime"


@dataclass(frozen=True, slots=True)
class Terms:
    """Revised parameters. Interval in ms; counts in publishing cycles; ``limit`` notifications a message, 0 for any number."""

    interval_ms: float
    lifetime: int
    keep_alive: int
    limit: int
    priority: int


class Subscription:
    # Hundreds of them are served in a tick, each with nothing of it in the processor's caches: in slots it lies together.
    __slots__ = (
        "_changes", "_cursor", "_fresh", "_has_more", "_has_sent", "_most", "_next",
        "_panel", "_panels", "_pending", "_quiet", "_retained",
        "_sent_bytes", "enabled", "is_deleted", "items", "large", "messages", "next_item", "notifications", "number", "owner",
        "promised", "ready", "sent", "tally", "terms", "terms_of_filters", "without_request",
    )  # fmt: skip

    def __init__(
        self, number: int, terms: Terms, enabled: bool, changes: Changes, panels: Panels, retained: int, most: int = MESSAGE_BYTES
    ) -> None:
        """``most``: with so many bytes of values a message is full."""
        self.number = number
        self.terms = terms
        self.enabled = enabled
        self.is_deleted = False
        self.items: dict[int, Item] = {}
        self.ready: dict[Item, None] = {}
        """Queued items with something to report."""
        self.sent: dict[int, tuple[int, int, bytes]] = {}
        """Sequence number -> (time, elements, NotificationData) of what is not acknowledged."""
        self.owner: Any = None
        self.next_item = 1
        self.promised = 0
        """Entries that the queues of its items may hold together."""
        self.large: dict[int, int] = {}
        """Number of an item whose value is a large one -> its bytes."""
        self.terms_of_filters = 0
        """Fields and operands of its items' event filters."""
        self.tally: defaultdict[str, int] = defaultdict(int)
        """Counters of SubscriptionDiagnosticsDataType, by the names of its fields, but for the two below."""
        self.messages = 0
        self.notifications = 0
        self._changes = changes
        self._panels = panels
        self._retained = retained
        self._most = most
        self._sent_bytes = 0
        self._panel: Panel | None = None
        self._fresh: list[Item] = []
        self._cursor = changes.number
        self._pending: deque[Body] = deque()
        self._next = 1
        self._has_more = False
        """Whether there was more to tell than has room in a message."""
        self._has_sent = False
        self._quiet = 0
        self.without_request = 0
        """Publishing cycles since the client has shown that it is there."""

    # Items -----------------------------------------------------------------------------------------------------------

    def changed_items(self) -> None:
        """Items were made, modified or removed."""
        self._panel = None
        self._fresh = []  # an item that is kept here would keep its subscription, and both would wait for the collector

    def removed(self, item: Item) -> None:
        self.ready.pop(item, None)
        self.changed_items()

    def forget(self) -> None:
        """Neither what was told nor what is about to be is for its owner any more."""
        self.sent.clear()
        self._sent_bytes = 0
        self._pending.clear()

    @property
    def cursor(self) -> int:
        """The change up to which everything has been told."""
        return self._cursor

    @property
    def has_fresh(self) -> bool:
        """Whether items may not have told their first value yet."""
        return self._panel is None or bool(self._fresh)

    def resend(self) -> None:
        """Report the current value of everything that reports (TransferSubscriptions with SendInitialValues)."""
        for item in self.items.values():
            if item.is_direct:
                item.fresh = True
            elif item.feed is not None and item.mode == 2 and item.queue is not None and not item.queue.entries:
                item.change.last = None
                item.offer(item.feed, item.feed.value)
        self._panel = None

    def _arranged(self) -> Panel:
        panel = self._panel
        if panel is None:
            plain = [item for item in self.items.values() if item.is_direct]
            self._fresh = [item for item in plain if item.fresh]
            panel = self._panel = self._panels.of(tuple([item.place() for item in plain]))
        return panel

    # Messages --------------------------------------------------------------------------------------------------------

    def _collect(self) -> None:
        """Move everything new into messages; of what is more than has room in one, what has."""
        panel = self._arranged()
        limit = self.terms.limit
        is_heavy = panel.is_heavy(self._cursor, self._most)
        self._has_more = False
        if not self._fresh and not self.ready and not is_heavy:
            self._pending.extend(panel.bodies(self._cursor, limit))
        else:
            records: list[Record] = []
            events: list[bytes] = []
            for item in self.ready:
                item.drain_backlog(records)
            if self._fresh or is_heavy:
                self._collect_newest(records)
            else:
                records += panel.records(self._cursor)
            left = self._most - sum(len(content) for _, content, _ in records)
            for place, item in enumerate(list(self.ready)):
                if place and left <= 0:
                    self._has_more = True
                    break
                del self.ready[item]
                left -= item.drain(records, events)
            if events:
                self.tally["EventNotificationsCount"] += len(events)
            self._pending.extend(bodies_of(records, events, limit))
        self._cursor = self._changes.number

    def _collect_newest(self, records: list[Record]) -> None:
        """What items of the newest value have to tell, those that have told nothing first. What has no room waits as if it had told
        nothing."""
        told = [item for item in self.items.values() if item.is_direct]
        left, now, later = self._most, [], []
        for item in told:
            if item.feed is not None and (item.fresh or item.is_untold):
                if left <= 0:
                    later.append(item)
                    continue
                left -= len(item.feed.encoded(item.timestamps))
            now.append(item)
        records += Panel([item.place() for item in now if item.fresh], self._changes).records(_ALL)
        records += Panel([item.place() for item in now if not item.fresh], self._changes).records(self._cursor)
        for item in now:
            item.fresh = False
        for item in later:
            item.fresh = True
        self._fresh, self._has_more = later, bool(later)

    def has_news(self, *, take: bool = False) -> bool:
        """Whether a message with notifications could be sent now. ``take``: it is sent next, whatever else comes, so it is built;
        while nobody asks for it, it is not."""
        if not self.enabled:
            return False
        if self._pending:
            return True
        panel = self._panel or self._arranged()
        if self._fresh or self.ready:
            return True
        number, cursor = self._changes.number, self._cursor
        if number == cursor:
            return False
        if not panel.has_changed(cursor):
            self._cursor = number  # what changed is not shown here
            return False
        if take and not panel.is_heavy(cursor, self._most):
            self._pending.extend(panel.bodies(cursor, self.terms.limit))
            self._cursor = number
        return True

    def cycle(self, has_request: bool, *, is_next: bool = False) -> Cycle:
        """One publishing interval has passed. ``is_next``: nobody else takes the request that there is."""
        news = self.has_news(take=has_request and is_next)
        if has_request:
            self.without_request = 0
            if news or self._keep_alive_is_due():
                return Cycle.SEND
            return Cycle.IDLE
        self.without_request += 1
        if self.without_request >= self.terms.lifetime:
            return Cycle.EXPIRED
        if news or self._keep_alive_is_due():
            return Cycle.LATE
        return Cycle.IDLE

    def _keep_alive_is_due(self) -> bool:
        self._quiet += 1
        return not self._has_sent or self._quiet >= self.terms.keep_alive

    def count_anew(self) -> None:
        """Its counters begin at 0."""
        self.tally.clear()
        self.messages = self.notifications = 0
        for item in self.items.values():
            item.forget_overflows()

    def touch(self) -> None:
        """The client has shown that it is there."""
        self.without_request = 0

    def cycles(self) -> tuple[int, int]:
        """Publishing cycles since the last message, and without a request."""
        return self._quiet, self.without_request

    @property
    def sent_bytes(self) -> int:
        """Of the messages that are not acknowledged."""
        return self._sent_bytes

    @property
    def next_number(self) -> int:
        return self._next

    def close_with(self, status: int, now: int) -> bytes:
        """The last message of a subscription: its StatusChangeNotification, as NotificationMessage."""
        return _MESSAGE(self._next, now, 1) + status_change(status)

    def message(self, now: int) -> tuple[bool, tuple[bytes, ...]]:
        """The next NotificationMessage and whether more wait. ``now`` in 100 ns since 1601. Without news it is a keep-alive,
        which carries the number of the next message and is not kept."""
        if not self._pending and self.enabled:
            self._collect()
        self._has_sent = True
        self.messages += 1
        self._quiet = 0
        self.without_request = 0
        if not self._pending or not self.enabled:
            return False, (_MESSAGE(self._next, now, 0),)
        count, elements, data = self._pending.popleft()
        self.notifications += count
        number = self._next
        self._next = 1 if number == _LAST_SEQUENCE else number + 1
        self.sent[number] = (now, elements, data)
        self._sent_bytes += len(data)
        while len(self.sent) > self._retained or (self._sent_bytes > SENT_BYTES and len(self.sent) > 1):
            self.acknowledge(next(iter(self.sent)))
            self.tally["DiscardedMessageCount"] += 1
        more = bool(self._pending) or self._has_more
        return more, (_MESSAGE(number, now, elements), data)

    def tell(self, answer: Any, now: int, results: bytes) -> bool:
        """Serve a request with what is new, where that is one message and no other waits to be sent or acknowledged. False where
        it is otherwise; nothing has changed then. ``answer``: contract.Answer, which is ready; ``now`` in 100 ns since 1601;
        ``results``: of acknowledgements."""
        panel = self._panel
        if panel is None or self._fresh or self.ready or self._pending or self.sent or not (self.enabled and self._retained):
            return False
        if panel.feeds and panel.is_heavy(self._cursor, self._most):
            return False
        bodies = panel.bodies(self._cursor, self.terms.limit)
        if len(bodies) != 1:
            return False
        count, elements, data = bodies[0]
        self._cursor = self._changes.number
        self._has_sent = True
        self._quiet = self.without_request = 0
        self.messages += 1
        self.notifications += count
        number = self._next
        self._next = 1 if number == _LAST_SEQUENCE else number + 1
        self.sent[number] = (now, elements, data)
        self._sent_bytes = len(data)
        answer.publish(self.number, number, now, elements, data, results)
        return True

    def acknowledge(self, number: int) -> bool:
        found = self.sent.pop(number, None)
        if found is None:
            return False
        self._sent_bytes -= len(found[2])
        return True

    def again(self, number: int) -> bytes | None:
        """A sent message that is not acknowledged, encoded as NotificationMessage."""
        found = self.sent.get(number)
        return None if found is None else _MESSAGE(number, found[0], found[1]) + found[2]
