"""An item that watches in another way from now on goes on with what it had (OPC 10000-4, 5.13.3 to 5.13.5).

what waits to be told      stays, in front, with what was lost before it
what it was told           is not told again
what it did not see yet    its filter judges, as it would the next sample
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cnctwin.wire import decode
from cnctwin.wire.scalars import ua
from opcua_server.engine.subscriptions.item import REPORTING, Item
from opcua_server.engine.subscriptions.queues import DataChange

Entry = tuple[tuple[Any, bytes], bool]
"""A value with its bytes, and whether values beside it were lost."""


@dataclass(frozen=True, slots=True)
class Had:
    """Of an item that was detached. ``seen``: the last value it took notice of, None where its value is still to be told.
    ``had_newest``: whether that is the last of ``entries``."""

    entries: list[Entry]
    seen: Any
    had_newest: bool


def seen_by(item: Item) -> Any:
    """The last DataValue that an item took notice of; None where there is none, or where its value is still to be told."""
    if item.queue is not None:
        return item.change.last if isinstance(item.change, DataChange) else None
    return None if item.fresh or item.is_untold else item.shown


def let_go(item: Item, seen: Any) -> Had:
    """Detach an item, with what it has taken from it. ``seen``: what ``seen_by`` said of it."""
    had_newest = item.queue is not None
    entries: list[Entry] = []
    if item.queue is not None:
        entries = item.queue.take_all()
    elif item.backlog is not None:
        entries = [((decode(ua.DataValue, one), one), is_lost) for one, is_lost in item.backlog.take_all()]
    item.detach()
    return Had(entries, seen, had_newest)


def take_up(item: Item, had: Had) -> None:
    """Attach an item anew, with what it had."""
    item.attach(had.seen)
    has_older = False
    if item.queue is not None:
        item.queue.put_back(had.entries)
        has_older = bool(item.queue.entries)
    elif item.is_direct:
        older = had.entries
        if older and had.had_newest and not item.fresh:
            item.fresh = True
            older = older[:-1]
        if older and item.backlog is not None:
            item.backlog.put_back([(encoded, is_lost) for (_, encoded), is_lost in older])
            has_older = True
    if has_older and item.mode == REPORTING:
        item.subscription.ready[item] = None
    else:
        item.subscription.ready.pop(item, None)
