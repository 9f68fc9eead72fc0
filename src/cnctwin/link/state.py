"""What is known of each machine: its last readings, and how messages of a subscription become batches.

    message  --add()-->  pending[machine][source time]  --flush()-->  Batch, Batch, ...   oldest first

The first batch of a machine after (re)subscribing is a snapshot: it waits until every signal has spoken once, or until
``complete`` is called because one of them never did. Pure: no sockets, no clock.

A value that is none of its signal is Bad. A source time that stands still while the value changes is none: once it has for
STILL_NS, the server's time holds.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cnctwin.link.fitting import fits
from cnctwin.link.readers import in_order, join
from cnctwin.reading import (
    BAD_NODE_ID_UNKNOWN,
    BAD_TYPE_MISMATCH,
    BAD_WAITING_FOR_INITIAL_DATA,
    UNCERTAIN_NO_COMMUNICATION,
    Batch,
    Reading,
    Value,
)
from nodesets.binding import Told

STILL_NS: Final = 10_000_000_000
DOUBT_NS: Final = 3_600_000_000_000
STILL_CHANGES: Final = 3
"""Values under one source time, over so long: a source that counts whole seconds has many of them, too."""


@dataclass(slots=True)
class _Still:
    """A source time that was said again, with another value; ``since_ns``: by the server's time."""

    source_ns: int
    since_ns: int
    changes: int = 0

    @property
    def is_none(self) -> bool:
        return self.changes >= STILL_CHANGES


class MachineState:
    """The readings of one machine."""

    def __init__(self, machine_id: str) -> None:
        self.machine_id = machine_id
        self.told: Mapping[str, Told] = {}
        """How the server's values are read, of signals whose values are not taken as they are."""
        self.latest: dict[str, Reading] = {}
        self.newest_ns = 0
        """Newest source time of the last message."""
        self.unfit: dict[str, str] = {}
        """What the server shows last for signals whose values are none of theirs, as text."""
        self.sampling_ns: dict[str, int] = {}
        """How often the server looks at each signal, as it said."""
        self._doubted_ns: dict[str, int] = {}
        self._still: dict[str, _Still] = {}
        self._waiting: set[str] = set()
        self._snapshot = False
        self._pending: dict[int, dict[str, Reading]] = {}
        self._gap: str | None = None

    def expect(self, signals: Iterable[str]) -> None:
        """A new subscription: every signal will speak once. One that is no longer there is Bad from now on."""
        self._waiting = set(signals)
        self._snapshot = True
        self._pending.clear()
        self.unfit.clear()
        self._still.clear()
        self.latest = {
            name: item if name in self._waiting else replace(item, value=None, status=BAD_NODE_ID_UNKNOWN)
            for name, item in self.latest.items()
        }

    @property
    def still(self) -> tuple[str, ...]:
        """Signals whose source times stand still."""
        return tuple(name for name, still in self._still.items() if still.is_none)

    def add(self, item: Reading) -> None:
        if item.value is not None:
            item = self._fitted(item)
        before = self.latest.get(item.signal)
        if before is not None and (before.source_time_ns == item.source_time_ns or item.signal in self._still):
            item = self._moving(item, before)
        if self._snapshot:
            self.latest[item.signal] = item
            self._waiting.discard(item.signal)
            return
        at_time = self._pending.setdefault(item.source_time_ns, {})
        at_time[item.signal] = item

    def is_silent(self, item: Reading, for_ns: int) -> bool:
        """Whether a value that was asked for is another than the last that the subscription told, and has been for so long.

        A server may look at it more seldom than it was asked to; and where that is not all, it is said once in DOUBT_NS only: a
        subscription that is made anew again and again would cost more than a value that is late.
        """
        known = self.latest.get(item.signal)
        if known is None or self._snapshot:
            return False
        late_ns = item.source_time_ns - known.source_time_ns - 3 * self.sampling_ns.get(item.signal, 0)
        if late_ns < for_ns or self._shown(item) == known.value:
            return False
        if 0 <= item.source_time_ns - self._doubted_ns.get(item.signal, -DOUBT_NS) < DOUBT_NS:
            return False
        self._doubted_ns[item.signal] = item.source_time_ns
        return True

    def as_signal(self, item: Reading) -> Reading:
        """A reading of some other moment with its value as its signal has it."""
        value = self._shown(item)
        return replace(item, value=value, status=BAD_TYPE_MISMATCH if value is None and item.value is not None else item.status)

    def _shown(self, item: Reading) -> Value | None:
        """The value as its signal has it."""
        if item.value is None:
            return None
        told = self.told.get(item.signal)
        return fits(item.signal, item.value) if told is None else told(item.value)  # type: ignore[no-any-return]

    def _fitted(self, item: Reading) -> Reading:
        value = self._shown(item)
        if value is None:
            self.unfit[item.signal] = str(item.value)
            return replace(item, value=None, status=BAD_TYPE_MISMATCH)
        if self.unfit:
            self.unfit.pop(item.signal, None)
        return item if value is item.value else replace(item, value=value)

    def _moving(self, item: Reading, before: Reading) -> Reading:
        """The reading with a time that moves."""
        still = self._still.get(item.signal)
        if still is None or still.source_ns != item.source_time_ns:
            self._still.pop(item.signal, None)
            if before.source_time_ns == item.source_time_ns:
                self._still[item.signal] = _Still(item.source_time_ns, item.server_time_ns)
            return item
        if not still.is_none and item.server_time_ns - still.since_ns < STILL_NS:
            return item
        still.changes += item.value is not None and before.value is not None and item.value != before.value
        return replace(item, source_time_ns=item.server_time_ns) if still.is_none else item

    def mark_gap(self, why: str) -> None:
        """Data before the next batch was lost."""
        self._gap = join(self._gap, why)

    def flush(self) -> Iterator[Batch]:
        """The batches that a complete message made, oldest first; none while the snapshot is incomplete."""
        if self._snapshot:
            if not self._waiting:
                self._snapshot = False
                yield self._whole()
            return
        if not self._pending:
            return
        pending, self._pending = self._pending, {}
        samples = _samples(pending)
        self.newest_ns = max(pending)
        for time_ns in sorted(pending):
            readings = pending[time_ns]
            # The server's last word holds even if its time is older: a clock that was set back must not freeze a value.
            self.latest.update(readings)
            gap, self._gap = self._gap, None
            place = bisect_left(samples, time_ns)
            sampled_ns = samples[place] if place < len(samples) else samples[-1]
            yield Batch(self.machine_id, time_ns, in_order(tuple(readings.values())), gap, max(sampled_ns, time_ns))

    def complete(self, now_ns: int) -> Iterator[Batch]:
        """End the wait for a snapshot: signals that did not speak are BadWaitingForInitialData."""
        for name in self._waiting:
            self.latest[name] = Reading(name, None, BAD_WAITING_FOR_INITIAL_DATA, now_ns, now_ns)
        self._waiting.clear()
        yield from self.flush()

    def lose(self) -> Iterator[Batch]:
        """The link is gone: every signal once more, with its value and source time, Uncertain where it was Good."""
        self._pending.clear()
        self._snapshot = False
        if not self.latest or all(item.status >> 30 for item in self.latest.values()):
            return
        self.latest = {name: item.degraded(UNCERTAIN_NO_COMMUNICATION) for name, item in self.latest.items()}
        yield self._whole()

    def snapshot(self) -> Batch | None:
        """All signals now, for a reader that comes late; None before the first snapshot."""
        return self._whole(keep_gap=True) if self.latest and not self._snapshot else None

    def _whole(self, *, keep_gap: bool = False) -> Batch:
        gap = None
        if not keep_gap:
            gap, self._gap = self._gap, None
        readings = in_order(tuple(self.latest.values()))
        return Batch(self.machine_id, max(item.source_time_ns for item in readings), readings, gap)


def _samples(pending: Mapping[int, Mapping[str, Reading]]) -> list[int]:
    """Newest source time of each sample in a message: of those signals that changed in every one.

    load      |x         |x       two samples, what the load alone says
    position  x|        x|        its last changes before them
    """
    if len(pending) == 1:
        return list(pending)
    times: dict[str, list[int]] = {}
    for time_ns in sorted(pending):
        for name in pending[time_ns]:
            times.setdefault(name, []).append(time_ns)
    most = max(map(len, times.values()))
    return [max(column) for column in zip(*(found for found in times.values() if len(found) == most), strict=True)]
