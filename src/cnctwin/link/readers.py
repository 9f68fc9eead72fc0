"""Queues between the link and those who read it: bounded, and honest about what was dropped.

OPC UA notifies changes only, so a dropped batch may hold the last word on a signal. The oldest batch is therefore not thrown
away: what it alone knows moves into the machine's next one, which says in ``gap`` that moments are missing. The state a reader
ends up with is right; only steps on the way are lost, and they are counted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import Final, Generic, TypeVar

from cnctwin.reading import Batch, Reading
from nodesets.catalogue import INDEX

T = TypeVar("T")
SLOW: Final = "batches dropped: the reader was slow"


class Reader(Generic[T]):
    """An asynchronous iterator over a queue of at most ``size`` items; a full one loses its oldest."""

    def __init__(self, size: int) -> None:
        self.dropped = 0
        self._size = max(size, 1)
        self._items: deque[T] = deque()
        self._there = asyncio.Event()
        self._closed = False

    @property
    def waiting(self) -> int:
        return len(self._items)

    def put(self, item: T) -> None:
        """Never waits: a slow reader costs itself data, not others."""
        self._items.append(item)
        if len(self._items) > self._size:
            self.dropped += 1
            self._drop(self._items.popleft())
        self._there.set()

    def _drop(self, oldest: T) -> None:
        """What else happens to an item that is dropped."""

    def __aiter__(self) -> Reader[T]:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._closed:
                raise StopAsyncIteration
            self._there.clear()
            await self._there.wait()
        return self._items.popleft()

    async def aclose(self) -> None:
        self._closed = True
        self._items.clear()
        self._there.set()


class BatchReader(Reader[Batch]):
    """Batches of one machine (None: of all), with the signals asked for (None: all)."""

    def __init__(self, size: int, machine_id: str | None, signals: frozenset[str] | None) -> None:
        super().__init__(size)
        self._machine_id = machine_id
        self._signals = signals
        self._gaps: dict[str, str] = {}

    def offer(self, batch: Batch) -> None:
        """Take what this reader asked for; a gap outlives batches that hold nothing for it."""
        if self._machine_id is not None and batch.machine_id != self._machine_id:
            return
        if self._signals is not None:
            readings = tuple(item for item in batch.readings if item.signal in self._signals)
            gap = join(self._gaps.pop(batch.machine_id, None), batch.gap)
            if not readings:
                if gap is not None:
                    self._gaps[batch.machine_id] = gap
                return
            batch = replace(batch, readings=readings, gap=gap)
        self.put(batch)

    def _drop(self, oldest: Batch) -> None:
        for index, batch in enumerate(self._items):
            if batch.machine_id == oldest.machine_id:
                newer = {item.signal for item in batch.readings}
                kept = tuple(item for item in oldest.readings if item.signal not in newer)
                gap = join(join(oldest.gap, batch.gap), SLOW)
                self._items[index] = replace(batch, readings=in_order(kept + batch.readings), gap=gap)
                return
        # The machine's only batch: with more machines than places each keeps one, its state would be lost otherwise.
        self._items.append(oldest)
        self.dropped -= 1


def join(one: str | None, two: str | None) -> str | None:
    """Both reasons, each once."""
    if not one or not two:
        return one or two
    return one if two in one else f"{one}; {two}"


def in_order(readings: tuple[Reading, ...]) -> tuple[Reading, ...]:
    """By the catalogue; signals it does not know come last, by name."""
    return tuple(sorted(readings, key=_place))


def _place(item: Reading) -> tuple[int, str]:
    return INDEX.get(item.signal, len(INDEX)), item.signal
