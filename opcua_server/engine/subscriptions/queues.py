"""Queue and data change filter of one monitored item (OPC 10000-4, 5.13.1.5 and 7.22.2). Pure.

sample --> filter (trigger, deadband against the last value that passed) --> queue of ``size``

full, discard oldest:   [b c d] + e  ->  [c* d e]     * the overflow bit, on the value beside the gap
full, discard newest:   [b c d] + e  ->  [b c e*]
size 1 holds the newest value and never tells of an overflow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from opcua_server.engine.contract import LARGE
from opcua_server.engine.subscriptions.feeds import is_same, status_of

OVERFLOW: Final = 0x480
"""InfoType DataValue with the Overflow bit."""
STATUS, STATUS_VALUE, STATUS_VALUE_TIMESTAMP = range(3)
"""DataChangeTrigger."""
T = TypeVar("T")


class ItemQueue(Generic[T]):
    """Values with whether an overflow is told on each."""

    __slots__ = ("discard_oldest", "entries", "overflows", "size")

    def __init__(self, size: int, discard_oldest: bool) -> None:
        self.size = size
        self.discard_oldest = discard_oldest
        self.entries: list[tuple[T, bool]] = []  # a deque takes 760 bytes while it is empty, and there are thousands
        self.overflows = 0

    def put(self, value: T) -> None:
        entries = self.entries
        if len(entries) < self.size:
            entries.append((value, False))
            return
        if self.size == 1:
            entries[0] = (value, False)
            return
        self.overflows += 1
        if self.discard_oldest:
            del entries[0]
            entries[0] = (entries[0][0], True)
            entries.append((value, False))
        else:
            entries[-1] = (value, True)

    def resize(self, size: int, discard_oldest: bool) -> None:
        """A shorter queue loses as it does when it overflows."""
        kept = list(self.entries)
        self.size, self.discard_oldest = size, discard_oldest
        if len(kept) > size:
            if size == 1:
                kept = [(kept[-1][0], False)] if discard_oldest else [(kept[0][0], False)]
            elif discard_oldest:
                kept = kept[-size:]
                kept[0] = (kept[0][0], True)
            else:
                kept = kept[:size]
                kept[-1] = (kept[-1][0], True)
            self.overflows += 1
        self.entries = kept

    def put_back(self, older: list[tuple[T, bool]]) -> None:
        """Put what was taken in front of what is there."""
        self.entries[:0] = older
        self.resize(self.size, self.discard_oldest)

    def beside(self, value: T) -> None:
        """Add what tells of a loss, where something was lost, whatever the size."""
        if self.discard_oldest:
            self.entries.insert(0, (value, False))
        else:
            self.entries.append((value, False))

    def take_all(self) -> list[tuple[T, bool]]:
        taken, self.entries = self.entries, []
        return taken


class ValueQueue(ItemQueue[tuple[Any, bytes]]):
    """Values with their bytes. Of large ones, what is older than the newest counts among what a session holds, by ``hold``: where
    there is no room for it, the queue is full."""

    __slots__ = ("held", "hold")

    def __init__(self, size: int, discard_oldest: bool, hold: Callable[[int], bool]) -> None:
        """``hold``: takes so many bytes more, or gives back where it is less than 0; whether there were so many."""
        super().__init__(size, discard_oldest)
        self.hold = hold
        self.held = 0

    def put(self, value: tuple[Any, bytes]) -> None:
        super().put(value)
        if self.held or len(value[1]) > LARGE:
            self._count()

    def resize(self, size: int, discard_oldest: bool) -> None:
        super().resize(size, discard_oldest)
        self._count()

    def take_all(self) -> list[tuple[tuple[Any, bytes], bool]]:
        taken = super().take_all()
        self._count()
        return taken

    def _count(self) -> None:
        entries = self.entries
        while True:
            size = sum(len(encoded) for (_, encoded), _ in entries[:-1] if len(encoded) > LARGE)
            if size == self.held or self.hold(size - self.held):
                self.held = size
                return
            self.overflows += 1
            if self.discard_oldest:
                del entries[0]
                entries[0] = (entries[0][0], True)
            else:
                del entries[-2]
                entries[-1] = (entries[-1][0], True)


class EventQueue(ItemQueue[bytes]):
    """Encoded fields of events, that also overflow when they have more than ``entry`` bytes each, on average."""

    __slots__ = ("entry", "held")

    def __init__(self, size: int, discard_oldest: bool, entry: int) -> None:
        super().__init__(size, discard_oldest)
        self.entry = entry
        self.held = 0

    def put(self, value: bytes) -> None:
        entries, room, is_lost = self.entries, self.size * self.entry, False
        while entries and (len(entries) >= self.size or self.held + len(value) > room):
            self.held -= len(entries.pop(0 if self.discard_oldest else -1)[0])
            is_lost = True
        self.overflows += is_lost and self.size > 1
        entries.append((value, False))
        self.held += len(value)

    def resize(self, size: int, discard_oldest: bool) -> None:
        super().resize(size, discard_oldest)
        self.held = sum(len(one) for one, _ in self.entries)

    def take_all(self) -> list[tuple[bytes, bool]]:
        self.held = 0
        return super().take_all()


@dataclass(slots=True)
class DataChange:
    """Decides which samples are reported. ``deadband`` is absolute, in the variable's unit; None is no deadband. Equal ones are the
    same filter, whatever they have seen."""

    trigger: int = STATUS_VALUE
    deadband: float | None = None
    last: Any = field(default=None, compare=False)

    @property
    def size(self) -> int:
        """As a term of the filters of a session: none that counts."""
        return 0

    kept = size
    """What it takes of the memory, in terms."""

    def anew(self) -> DataChange:
        """The same filter, for an item that judges by it: it has seen nothing."""
        return DataChange(self.trigger, self.deadband)

    def stop(self) -> None:
        """Its item watches no longer. Nothing is under way here."""

    def passes(self, value: Any) -> bool:
        """Whether a sample is a change against the last one that passed; it is then the last one."""
        if self.last is None or self._is_change(self.last, value):
            self.last = value
            return True
        return False

    def _is_change(self, last: Any, value: Any) -> bool:
        if status_of(last) != status_of(value):
            return True
        if self.trigger == STATUS:
            return False
        if self.deadband is None and self.trigger == STATUS_VALUE_TIMESTAMP and last.SourceTimestamp != value.SourceTimestamp:
            return True  # with a deadband this trigger is STATUS_VALUE (7.10)
        if self.deadband is None or last.Value is None or value.Value is None:
            return not is_same(last, value)
        if last.Value.VariantType != value.Value.VariantType:
            return True
        return exceeds(last.Value.Value, value.Value.Value, self.deadband)


UNFILTERED: Final = DataChange()
"""Of an item that asked for nothing else; one that judges samples by it has its own."""


def exceeds(last: Any, value: Any, deadband: float) -> bool:
    """Whether numbers, or any element of arrays, differ by more than the deadband. A different length is a change, and so is
    becoming or ceasing to be NaN; the unit is the values'."""
    if isinstance(last, list | tuple) and isinstance(value, list | tuple):
        return len(last) != len(value) or any(exceeds(a, b, deadband) for a, b in zip(last, value, strict=True))
    try:
        if math.isnan(last) or math.isnan(value):
            return math.isnan(last) != math.isnan(value)
        if math.isinf(last) or math.isinf(value):
            return bool(last != value)
        return bool(abs(value - last) > deadband)
    except (TypeError, ValueError):
        return bool(last != value)


def percent_deadband(percent: float, low: float, high: float) -> float:
    """The absolute deadband of a percentage of EURange."""
    return percent / 100.0 * (high - low)


def records_of(handle: bytes, entries: Iterable[bytes]) -> list[tuple[int, bytes, int]]:
    return [(1, handle + entry, len(entry) + 4) for entry in entries]
