"""What a subscription and its items take of the server's memory, about, in bytes. Pure.

Measured with a hundred thousand of each kind, and rounded up: the limits are for who takes as many as he gets.
"""

from __future__ import annotations

from collections.abc import Sized
from typing import Any, Final

SUBSCRIPTION: Final = 3_000
PLAIN: Final = 400
"""One that shows the newest value of a column: itself, its place in the subscription's panel, and a message with it."""
QUEUED: Final = 500
"""More for one with a queue and a filter of its own."""
ENTRY: Final = 80
"""A value that may wait in a queue, where nobody else waits for the same."""
EVENT, FIELD = 64, 24
"""An event that may wait in a queue, and a field of it."""
TERM: Final = 1_024
"""A field or an operand of an event filter, or the samples of an aggregate that take as much."""
LINK: Final = 200
SAMPLING: Final = 1
"""The MonitoringMode."""


def entry(query: Any) -> int:
    """Of one place in a queue: of events where there is a query, of values otherwise."""
    return ENTRY if query is None else EVENT + FIELD * len(query.select)


def cost(item: Any, mode: int | None = None, links: Sized | None = None) -> int:
    """Of an item with all that its queue may hold, as it is now or as it would be in another mode or with other links; of one that
    is disabled as if it reported."""
    mode = item.mode if mode is None else mode
    links = item.links if links is None else links
    return _of(item.is_simple and mode != SAMPLING, item.query, item.change, item.queue_size, links)


def cost_with(item: Any, query: Any, change: Any, queue_size: int, discard_oldest: bool) -> int:
    """Of an item as it would be with another filter and queue."""
    is_simple = item.is_simple_with(query, change, queue_size, discard_oldest)
    return _of(is_simple and item.mode != SAMPLING, query, change, queue_size, item.links)


def _of(is_simple: bool, query: Any, change: Any, queue_size: int, links: Sized) -> int:
    filter_size = query.size if query is not None else change.kept
    own = PLAIN if is_simple and not links else PLAIN + QUEUED
    return own + entry(query) * (queue_size - 1) + TERM * filter_size + LINK * len(links)
