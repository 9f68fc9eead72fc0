"""How many wrong passwords are too many. Pure: the time comes in.

    per (user, address)   1st to 4th failure: the next try waits 0.25, 0.5, 1, 2 s     5th: locked out for a minute, then two, ...
    per address           over 20 failures in a quarter of an hour: each try waits 2 s (guessing one password for many users),
                          but for users who logged in from there before: they do not pay for who guesses beside them

A try is counted as a failure before it is verified and taken back when it was right: one that is broken off counts too.
An attacker locks out only tries from his own address.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

FREE_FAILURES: Final = 5
FIRST_LOCK_S: Final = 60.0
MAX_LOCK_S: Final = 900.0
FORGET_S: Final = 900.0
FIRST_DELAY_S: Final = 0.25
ADDRESS_FAILURES: Final = 20
ADDRESS_DELAY_S: Final = 2.0
MAX_KEYS: Final = 10_000


class LockedOut(Exception):
    """Too many failures; ``for_s`` is how long it still takes."""

    def __init__(self, for_s: float) -> None:
        super().__init__(f"locked out for {for_s:.0f} s after repeated failures")
        self.for_s = for_s


@dataclass(slots=True)
class _Count:
    failures: int = 0
    last_s: float = 0.0
    locked_until_s: float = 0.0
    has_succeeded: bool = False


class Lockout:
    """Failures by user and address. Times in seconds, from any clock that does not go back."""

    def __init__(self) -> None:
        self._counts: OrderedDict[tuple[str, str], _Count] = OrderedDict()

    def begin(self, user: str, address: str, now_s: float) -> float:
        """Count a try as failed; the seconds it must wait before it is verified. Raises LockedOut."""
        own = self._count((user, address), now_s)
        if now_s < own.locked_until_s:
            raise LockedOut(own.locked_until_s - now_s)
        anybody = self._count(("", address), now_s)
        delay_s = 0.0 if own.failures == 0 else FIRST_DELAY_S * 2 ** min(own.failures - 1, 3)
        if anybody.failures >= ADDRESS_FAILURES and not own.has_succeeded:
            delay_s = max(delay_s, ADDRESS_DELAY_S)
        for count in (own, anybody):
            count.failures += 1
            count.last_s = now_s
        if own.failures >= FREE_FAILURES:
            over = min(own.failures - FREE_FAILURES, 10)
            own.locked_until_s = now_s + min(FIRST_LOCK_S * 2**over, MAX_LOCK_S)
        return delay_s

    def succeeded(self, user: str, address: str) -> None:
        """Take a try back: it was right."""
        own = self._counts.get((user, address))
        if own is not None:
            own.failures, own.locked_until_s, own.has_succeeded = 0, 0.0, True
        anybody = self._counts.get(("", address))
        if anybody is not None:
            anybody.failures = max(anybody.failures - 1, 0)

    def _count(self, key: tuple[str, str], now_s: float) -> _Count:
        count = self._counts.get(key)
        if count is None or (now_s - count.last_s > FORGET_S and now_s >= count.locked_until_s):
            count = self._counts[key] = _Count(last_s=now_s)
        self._counts.move_to_end(key)
        while len(self._counts) > MAX_KEYS:
            self._counts.popitem(last=False)
        return count
