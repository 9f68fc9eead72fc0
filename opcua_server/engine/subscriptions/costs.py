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
    filter_size = item.query.size if item.query is not None else item.change.kept
    own = PLAIN if item.is_simple and not links and mode != SAMPLING else PLAIN + QUEUED
    return own + entry(item.query) * (item.queue_size - 1) + TERM * filter_size + LINK * len(links)
