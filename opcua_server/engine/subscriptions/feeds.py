"""What sampling sees of a slot. One feed per slot and sampling interval, shared by all items: a value is compared and encoded once.

slot --watch--> feed (interval 0: at once)                    --> stamp, for items that want the newest value only
     --watch--> due --- sampler of the interval, each cycle --^   --> listeners, for items with a queue or a filter
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnctwin.wire import encode
from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import LARGE, Slot
from opcua_server.engine.subscriptions.columns import BOTH, NEITHER, SERVER, SOURCE, Changes, Column, ColumnSlot, Sampled
from opcua_server.engine.subscriptions.derived import DerivedSlot


def is_same(one: Any, other: Any) -> bool:
    """Whether two DataValues have the same value and status; NaN is the same as NaN."""
    if one is other:
        return True
    if status_of(one) != status_of(other):
        return False
    a, b = one.Value, other.Value
    if a is b:
        return True
    if a is None or b is None or a.VariantType != b.VariantType:
        return False
    x, y = a.Value, b.Value
    try:
        return bool(x == y or (x != x and y != y))
    except (TypeError, ValueError):
        return False


def status_of(value: Any) -> int:
    code = value.StatusCode
    return 0 if code is None else int(code.value)


def stamped(value: Any, timestamps: int, status: int | None = None) -> Any:
    """A DataValue with only the timestamps that are asked for, and perhaps another status."""
    has_source, has_server = timestamps in (SOURCE, BOTH), timestamps in (SERVER, BOTH)
    return ua.DataValue(
        value.Value,
        value.StatusCode if status is None else ua.StatusCode(status),
        value.SourceTimestamp if has_source else None,
        value.ServerTimestamp if has_server else None,
        value.SourcePicoseconds if has_source else None,
        value.ServerPicoseconds if has_server else None,
    )


class Feed:
    """A slot as one sampling interval sees it. ``stamp`` is the change at which value or status last became different."""

    __slots__ = ("_changes", "_encoded", "_mark", "listeners", "slot", "stamp", "users", "value")

    def __init__(self, slot: Slot, changes: Changes, mark: Callable[[Feed], None] | None) -> None:
        self.slot = slot
        self.users = 0
        self.listeners: dict[Any, Callable[[Feed, Any], None]] = {}
        """By the item that listens: thousands may, to one value."""
        self.value = slot.value
        self.stamp = changes.number
        self._changes = changes
        self._mark = mark
        self._encoded: dict[int, bytes] = {}
        slot.watch(self._changed)

    def close(self) -> None:
        self.slot.unwatch(self._changed)

    def _changed(self, slot: Slot) -> None:
        if self._mark is None:
            self.take(slot.value)
        else:
            self._mark(self)

    def take(self, value: Any) -> None:
        """A sample. Listeners hear of each; what it means to them depends on their filter."""
        if value is self.value:
            return
        different = not is_same(value, self.value)
        self.value = value
        self._encoded.clear()
        if different:
            self._changes.number += 1
            self.stamp = self._changes.number
        for listen in tuple(self.listeners.values()):
            listen(self, value)

    def encoded(self, timestamps: int) -> bytes:
        """The DataValue in OPC UA binary with these timestamps."""
        found = self._encoded.get(timestamps)
        if found is None:
            if timestamps == BOTH and self.slot.value is self.value:
                found = self.slot.encoded()
            else:
                found = encode(stamped(self.value, timestamps))
            if len(found) <= LARGE or self.users > 1 or not isinstance(self.slot, DerivedSlot):
                self._encoded[timestamps] = found  # a slot that one item alone has is for one message
        return found


class Sampler:
    """Feeds of one sampling interval. ``interval_ms`` 0 is "as it changes"."""

    def __init__(self, interval_ms: float, changes: Changes) -> None:
        self.interval_ms = interval_ms
        self._changes = changes
        self._feeds: dict[Any, Feed] = {}
        self._due: dict[Feed, None] = {}
        self._live: dict[Feed, None] = {}
        """Feeds whose value is made when it is asked for: nobody tells of a change, so they are asked each time."""
        self._columns: dict[Column, tuple[Sampled | Column, list[int]]] = {}

    @property
    def is_idle(self) -> bool:
        return not self._feeds and not self._columns

    def feed(self, slot: Slot) -> Feed:
        """The feed of a slot, for one more user."""
        found = self._feeds.get(slot)
        if found is None:
            found = self._feeds[slot] = Feed(slot, self._changes, self._mark if self.interval_ms else None)
        found.users += 1
        if getattr(slot, "is_live", False):
            self._live[found] = None
        return found

    def release(self, feed: Feed) -> None:
        feed.users -= 1
        if not feed.users:
            feed.close()
            self._due.pop(feed, None)
            self._live.pop(feed, None)
            del self._feeds[feed.slot]

    def rows(self, slot: ColumnSlot) -> Any:
        """The rows that an item of the newest value is packed from, for one more user."""
        found = self._columns.get(slot.column)
        if found is None:
            found = self._columns[slot.column] = (Sampled(slot.column) if self.interval_ms else slot.column, [0])
        found[1][0] += 1
        return found[0]

    def release_rows(self, column: Column) -> None:
        users = self._columns[column][1]
        users[0] -= 1
        if not users[0]:
            del self._columns[column]

    def _mark(self, feed: Feed) -> None:
        self._due[feed] = None

    def sample(self) -> None:
        """One sampling cycle; costs what changed."""
        for feed in list(self._live):
            feed.take(feed.slot.value)
        self.keep_up()

    def keep_up(self) -> None:
        """Take what has changed since the last cycle, of what tells of its changes."""
        for rows, _users in self._columns.values():
            if isinstance(rows, Sampled):
                rows.sample()
        if self._due:
            due = list(self._due)
            self._due.clear()
            for feed in due:
                feed.take(feed.slot.value)


__all__ = ["BOTH", "NEITHER", "SERVER", "SOURCE", "Feed", "Sampler", "is_same", "stamped", "status_of"]
