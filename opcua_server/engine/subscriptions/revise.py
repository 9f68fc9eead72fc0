"""What a server makes of the parameters a client asks for (OPC 10000-4, 5.13.2 and 5.14.2). Pure; times in ms."""

from __future__ import annotations

import math
from typing import Final

from opcua_server.engine.subscriptions.subscription import Terms

FASTEST_PUBLISHING_MS: Final = 10.0
FASTEST_SAMPLING_MS: Final = 10.0
SLOWEST_MS: Final = 3_600_000.0
_LONGEST_LIFE_MS: Final = 3_600_000.0
_QUIET_MS: Final = 10_000.0
"""Keep-alive of who leaves it to the server."""
MOST_NOTIFICATIONS: Final = 10_000
LONGEST_QUEUE: Final = 1_000
EVENT_QUEUE: Final = 1_000


def publishing_interval(requested: float) -> float:
    """NaN, zero and less are "as fast as you can"; whole milliseconds otherwise, so that equal rhythms fall together."""
    if math.isnan(requested) or requested <= FASTEST_PUBLISHING_MS:
        return FASTEST_PUBLISHING_MS
    return float(math.ceil(min(requested, SLOWEST_MS)))


def terms(interval: float, lifetime: int, keep_alive: int, limit: int, priority: int) -> Terms:
    """Lifetime is three keep-alives or more (5.14.2.2), and an hour at most unless an interval is longer than that allows."""
    revised = publishing_interval(interval)
    most = max(1, int(_LONGEST_LIFE_MS / 3 / revised))
    kept = min(keep_alive or max(1, math.ceil(_QUIET_MS / revised)), most)
    lived = min(max(lifetime, 3 * kept), max(3 * kept, int(_LONGEST_LIFE_MS / revised)))
    return Terms(revised, lived, kept, min(limit or MOST_NOTIFICATIONS, MOST_NOTIFICATIONS), priority)


def sampling_interval(requested: float, publishing_ms: float) -> float:
    """Negative: the publishing interval. 0: as it changes. NaN is no wish, so the publishing interval too."""
    if math.isnan(requested) or requested < 0:
        return publishing_ms
    if requested == 0:
        return 0.0
    return float(math.ceil(min(max(requested, FASTEST_SAMPLING_MS), SLOWEST_MS)))


def in_series(interval_ms: float) -> float:
    """The next faster interval of 10, 20, 50, 100 ms and so on; 0 is itself."""
    if interval_ms < FASTEST_SAMPLING_MS:
        return interval_ms
    decade = 10.0 ** math.floor(math.log10(interval_ms))
    return decade * next(step for step in (5, 2, 1) if step * decade <= interval_ms or step == 1)


def queue_size(requested: int, is_event: bool, left: int) -> int:
    """0 and 1 are the smallest there is: one value, or what an event burst needs. ``left`` entries may still be promised."""
    if is_event:
        return max(1, min(EVENT_QUEUE if requested <= 1 else requested, EVENT_QUEUE, left))
    return max(1, min(requested, LONGEST_QUEUE, left))
