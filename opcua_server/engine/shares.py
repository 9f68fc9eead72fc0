"""What sessions hold of the server's memory, in bytes: each what it may have in any case, and what is beyond it out of one pool.

    session 1   |### own ###|#######     the rest counts in the pool, which all share
    session 2   |####       |
    session 3   |### own ###|            the pool is empty: what is its own is all that it gets

A hundred sessions with all that one may have would be gigabytes; and who takes all he may takes it from the pool, so that a plant's
clients have theirs. Pure.
"""

from __future__ import annotations

from typing import Any


class Shares:
    """``own``: bytes that everybody may hold. ``pool``: bytes that all together may hold beyond. Who holds is told by an object of
    the caller's."""

    def __init__(self, own: int, pool: int) -> None:
        self.own = own
        self.pool = pool
        self.beyond = 0
        """Bytes of the pool that are held."""
        self.held: dict[Any, int] = {}

    @property
    def total(self) -> int:
        return sum(self.held.values())

    def left(self, who: Any) -> int:
        """Bytes that somebody may take now."""
        return max(0, self.own - self.held.get(who, 0)) + max(0, self.pool - self.beyond)

    def take(self, who: Any, size: int) -> bool:
        """Hold so many bytes more; False, and nothing is changed, where there are not so many left."""
        if size > self.left(who):
            return False
        self.change(who, size)
        return True

    def change(self, who: Any, size: int) -> None:
        """Hold so many bytes more or, where ``size`` is negative, less, whether there are so many or not."""
        before = self.held.get(who, 0)
        now = before + size
        self.beyond += max(0, now - self.own) - max(0, before - self.own)
        if now:
            self.held[who] = now
        else:
            self.held.pop(who, None)
