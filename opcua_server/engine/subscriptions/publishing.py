"""Publish requests meet subscriptions: whom the next request serves. Pure: time is passed in, answers are the contract's.

request   --> queue of the session, bounded; the oldest is refused when it is full
cycle     --> subscriptions by priority: each takes a request, "more" takes further ones; without one they are late
a request that finds late subscriptions serves the highest priority, among equals the one that has waited longest
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Any, Final

from opcua_server.engine.reply import PUBLISH_RESPONSE
from opcua_server.engine.shares import Shares
from opcua_server.engine.subscriptions.subscription import Cycle, Subscription

BAD_TOO_MANY_PUBLISH_REQUESTS: Final = 0x80780000
BAD_NO_SUBSCRIPTION: Final = 0x80790000
BAD_TIMEOUT: Final = 0x800A0000
BAD_SESSION_CLOSED: Final = 0x80260000
BAD_REQUEST_CANCELLED: Final = 0x802C0000
_HEAD_OF_ONE: Final = struct.Struct("<IiI?").pack
_NO_RESULTS: Final = struct.pack("<ii", 0, 0)
ACKNOWLEDGED: Final = struct.pack("<iIi", 1, 0, 0)
"""The results of one acknowledgement that is Good."""
NEVER_S: Final = 1 << 62
"""When a request without a TimeoutHint times out."""
_FULL_BUFFER: Final = 4 << 20
"""Bytes that wait for a peer: beyond, it is not served, as if it had sent no request."""


Waiting = tuple[Any, float, bytes, int]
"""One Publish request: its answer, when it times out (s, monotonic), the results of its acknowledgements, its RequestHandle."""


class Desk:
    """A session's publish requests and subscriptions. ``session``: whose rights count for what its subscriptions tell."""

    __slots__ = ("capacity", "late", "notices", "requests", "session", "shares", "subscriptions")

    def __init__(self, capacity: int, session: Any = None, shares: Shares | None = None) -> None:
        self.capacity = capacity
        self.session = session
        self.shares = shares or Shares(0, NEVER_S)
        self.requests: deque[Waiting] = deque()
        self.subscriptions: dict[int, Subscription] = {}
        self.notices: deque[tuple[int, bytes]] = deque()
        """(subscription, last NotificationMessage) of subscriptions that ended or went elsewhere."""
        self.late: dict[Subscription, None] = {}
        """Those with something to say that no request was there for; who waits longest is first."""

    def add(self, subscription: Subscription) -> None:
        self.subscriptions[subscription.number] = subscription
        subscription.owner = self

    def hold(self, size: int) -> bool:
        """Hold so many bytes more of what the session may, or less; whether there are so many."""
        if size > 0:
            return self.shares.take(self.session, size)
        self.shares.change(self.session, size)
        return True

    def remove(self, subscription: Subscription) -> None:
        self.subscriptions.pop(subscription.number, None)
        self.late.pop(subscription, None)
        if not self.subscriptions and not self.notices:
            self.refuse(BAD_NO_SUBSCRIPTION)

    def item_count(self) -> int:
        return sum(len(subscription.items) for subscription in self.subscriptions.values())

    def refuse(self, status: int) -> None:
        """All waiting requests."""
        while self.requests:
            self.requests.popleft()[0].fault(status)

    def request(self, waiting: Waiting) -> bool:
        """A Publish request has come; whether something waits for it (``serve_waiting``)."""
        if not self.subscriptions and not self.notices:
            waiting[0].fault(BAD_NO_SUBSCRIPTION)
            return False
        if len(self.requests) >= self.capacity:
            self.requests.popleft()[0].fault(BAD_TOO_MANY_PUBLISH_REQUESTS)
        self.wait(waiting)
        return bool(self.notices or self.late)

    def wait(self, waiting: Waiting) -> None:
        self.requests.append(waiting)
        for subscription in self.subscriptions.values():
            subscription.touch()

    def cancel(self, handle: int) -> int:
        """Answer the waiting requests of a RequestHandle; how many there were."""
        cancelled = [waiting for waiting in self.requests if waiting[3] == handle]
        if cancelled:
            self.requests = deque(waiting for waiting in self.requests if waiting[3] != handle)
            for answer, *_ in cancelled:
                answer.fault(BAD_REQUEST_CANCELLED)
        return len(cancelled)

    def expire(self, now: float) -> None:
        """Refuse the requests whose TimeoutHint has passed."""
        if any(waiting[1] <= now for waiting in self.requests):
            kept = deque[Waiting]()
            for waiting in self.requests:
                if waiting[1] <= now:
                    waiting[0].fault(BAD_TIMEOUT)
                else:
                    kept.append(waiting)
            self.requests = kept

    def _next_request(self, now: float) -> Waiting | None:
        requests = self.requests
        while requests:
            waiting = requests[0]
            answer, expires, _, _ = waiting
            if expires <= now:
                requests.popleft()
                answer.fault(BAD_TIMEOUT)
            elif not answer.is_open:
                requests.popleft()
            elif answer.backlog > _FULL_BUFFER:
                return None
            else:
                return waiting
        return None

    def serve_waiting(self, now: float, ticks: int) -> None:
        """Notices first, then late subscriptions, as far as the requests go. ``now`` in s, monotonic; ``ticks`` the time in
        100 ns since 1601."""
        while self.notices:
            waiting = self._next_request(now)
            if waiting is None:
                return
            self.requests.popleft()
            number, message = self.notices.popleft()
            _send(waiting, number, (), False, (message,))
        while self.late:
            waiting = self._next_request(now)
            if waiting is None:
                return
            first = max(self.late, key=lambda subscription: subscription.terms.priority)
            del self.late[first]
            self._send_one(first, waiting, ticks)
        if not self.subscriptions:
            self.refuse(BAD_NO_SUBSCRIPTION)

    def _send_one(self, subscription: Subscription, waiting: Waiting, ticks: int) -> None:
        self.requests.popleft()
        more, message = subscription.message(ticks)
        if more:
            self.late[subscription] = None  # behind those of its priority that wait already
        _send(waiting, subscription.number, subscription.sent, more, message)

    def cycle(self, subscription: Subscription, now: float, ticks: int) -> bool:
        """A publishing interval of a subscription has passed. False when its lifetime is over."""
        requests = self.requests
        if requests and not self.late:
            # The usual cycle: a request waits, nobody is late, and what is new goes out in one message.
            answer, expires, results, _ = requests[0]
            if expires > now and answer.is_ready and subscription.tell(answer, ticks, results or _NO_RESULTS):
                requests.popleft()
                return True
        waiting = self._next_request(now)
        asked = subscription.cycle(waiting is not None, is_next=not self.late)
        if asked is Cycle.EXPIRED:
            return False
        if asked is Cycle.LATE:
            self.late[subscription] = None
            subscription.tally["LatePublishRequestCount"] += 1
        elif asked is Cycle.SEND and waiting is not None:
            if self.late:
                self.late[subscription] = None
                self.serve_waiting(now, ticks)
            else:
                self._send_one(subscription, waiting, ticks)
                if self.late:
                    self.serve_waiting(now, ticks)
        return True


def _send(waiting: Waiting, number: int, available: Any, more: bool, message: tuple[bytes, ...]) -> None:
    count = len(available)
    if count == 1:
        head = _HEAD_OF_ONE(number, 1, *available, more)
    else:
        head = struct.pack(f"<Ii{count}I?", number, count, *available, more)
    answer, _, results, _ = waiting
    answer.send(PUBLISH_RESPONSE, b"".join((head, *message, results or _NO_RESULTS)))
