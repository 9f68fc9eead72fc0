"""All that is known of the past: what the database has, and behind it what is in memory only.

    frames in memory  | 7 8 9 ... |  --journal, every half second-->  survives a killed process
                      '---------- blocks, every minute: one a tag, and the frames leave memory

A ``View`` is one moment of it for one thread: frames and blocks that fit together, however long the reading takes.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from opcua_server.history import blocks, frames
from opcua_server.history.edits import Change, Edit, Superseded, applied, superseded
from opcua_server.history.entries import NOTHING, Entries, entries
from opcua_server.history.frames import Frame
from opcua_server.history.series import BAD_DATA_LOST, BAD_NO_DATA, DTYPES, Series, joined, of
from opcua_server.history.store import Block, Connection, Database, Reading, StoreAway, StoreDamaged, StoredEvent, StoreError

log = logging.getLogger("opcua_server.history")
MOST_EDITS = 100_000
"""Changes that people made, in 20 MB of memory; further ones are refused until old history goes."""
LARGEST_STRETCH = 100_000
"""Samples that are looked at together where some of them were changed."""
MAX_SAMPLES_IN_MEMORY = 3_000_000
"""While the database cannot be written; the oldest go first, and are counted."""
MAX_EVENTS_IN_MEMORY = 20_000
"""The same; a kilobyte each."""
AWAY_S = 2.0
"""Who asks again so soon after a database did not answer is told so at once."""


@dataclass(frozen=True, slots=True)
class Tag:
    """``number`` follows from name and type, so that no database has to be asked for it."""

    name: str
    kind: str
    is_stepped: bool
    number: int


def tag_of(name: str, kind: str, *, is_stepped: bool) -> Tag:
    digest = hashlib.blake2b(f"{kind} {name}".encode(), digest_size=8).digest()
    return Tag(name, kind, is_stepped, int.from_bytes(digest, "big", signed=True))


class Archive:
    """Frames are added in the loop; the writer takes them, and readers see them, each in a thread of its own."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tags: dict[int, Tag] = {}
        self.lost = 0
        """Samples that had no room in memory while the database could not be written."""
        self.lost_events = 0
        self.recorded = 0
        """Samples added."""
        self.is_closed = False
        self.is_doubted = False
        """Somebody who read found the database damaged: the writer may not have noticed."""
        self._lock = threading.Lock()
        self._frames: list[Frame] = []
        self._events: list[StoredEvent] = []
        self._serial = 0
        self._event = 0
        self._edits: dict[int, tuple[Edit, ...]] = {}
        """Tag -> its edits, in their order; all there are, as they are few."""
        self._unwritten: list[Edit] = []
        self._edit = 0
        self._samples = 0
        self._lost_from: dict[int, int] = {}
        """Tag -> the source time of its first sample that had no room, until the gap is noted."""
        self._away: tuple[float, str] | None = None
        """Until when nobody need ask the database, and why."""
        self._local = threading.local()
        self._generation = 0
        """Grows when the database is another one, which readers must open anew."""

    def tag(self, name: str, kind: str, *, is_stepped: bool) -> Tag:
        tag = tag_of(name, kind, is_stepped=is_stepped)
        self.tags[tag.number] = tag
        return tag

    # Adding -----------------------------------------------------------------------------------------------------------

    def add(self, kind: str, source: int, server: int, tags: Any, values: Any, statuses: Any) -> None:
        """One moment of tags of a type. ``tags``: numbers, ascending; the arrays are not changed afterwards."""
        with self._lock:
            self._serial += 1
            self._frames.append(Frame(self._serial, kind, source, server, tags, values, statuses))
            self._samples += len(tags)
            self.recorded += len(tags)
            while self._samples > MAX_SAMPLES_IN_MEMORY:
                oldest = self._frames.pop(0)
                self._samples -= len(oldest.tags)
                self.lost += len(oldest.tags)
                for number in oldest.tags.tolist():
                    self._lost_from.setdefault(number, oldest.source)

    def add_one(self, tag: Tag, source: int, server: int, value: Any, status: int) -> None:
        held = np.empty(1, DTYPES[tag.kind])
        held[0] = value
        self.add(tag.kind, source, server, np.array([tag.number], np.int64), held, np.array([status], np.uint32))

    def add_no_data(self, tag: Tag, source: int, server: int) -> None:
        """From then on nothing is known of a tag, until its next sample."""
        self.add_one(tag, source, server, "" if tag.kind == "String" else 0, BAD_NO_DATA)

    def add_event(self, emitter: str, time: int, body: bytes) -> None:
        with self._lock:
            self._event += 1
            self._events.append(StoredEvent(self._event, emitter, time, body))
            if len(self._events) > MAX_EVENTS_IN_MEMORY:
                del self._events[0]
                self.lost_events += 1

    def edit(self, tag: Tag, changes: Sequence[Change], at: int, user: str, most: int = MOST_EDITS) -> bool:
        """Note changes of a tag's history, all of them or, where there are too many, none; whether they were noted. ``most``: of
        this tag."""
        with self._lock:
            if sum(map(len, self._edits.values())) + len(changes) > MOST_EDITS:
                return False
            if len(self._edits.get(tag.number, ())) + len(changes) > most:
                return False
            made = [
                Edit(number, tag.number, one.kind, one.low, one.high, at, user, one.value, one.status)
                for number, one in enumerate(changes, self._edit + 1)
            ]
            self._edit += len(made)
            self._edits[tag.number] = (*self._edits.get(tag.number, ()), *made)
            self._unwritten += made
            return True

    def entries(self, tag: Tag) -> Entries:
        """What people put beside a history in which several things may have one time."""
        with self._lock:
            made = self._edits.get(tag.number)
        return entries(made) if made else NOTHING

    # For the writer -----------------------------------------------------------------------------------------------------

    def lost_from(self) -> dict[int, int]:
        """Tag -> source time from which on samples of it had no room, of those that were not asked for before."""
        with self._lock:
            lost, self._lost_from = self._lost_from, {}
            return lost

    def take_up_edits(self, found: Sequence[Edit]) -> None:
        """What an earlier run left, before what was changed while the database was not there yet."""
        with self._lock:
            last = max((edit.id for edit in found), default=0)
            self._unwritten = [replace(edit, id=last + n) for n, edit in enumerate(self._unwritten, 1)]
            self._edit = last + len(self._unwritten)
            by_tag: dict[int, list[Edit]] = {}
            for edit in (*found, *self._unwritten):
                by_tag.setdefault(edit.tag, []).append(edit)
            self._edits = {tag: tuple(edits) for tag, edits in by_tag.items()}

    def waiting_edits(self) -> list[Edit]:
        with self._lock:
            return list(self._unwritten)

    def written_edits(self, edits: Sequence[Edit]) -> None:
        with self._lock:
            del self._unwritten[: len(edits)]

    def forget_edits(self, before: int) -> None:
        """Those of history that is gone."""
        with self._lock:
            left = {tag: tuple(edit for edit in edits if edit.high >= before) for tag, edits in self._edits.items()}
            self._edits = {tag: edits for tag, edits in left.items() if edits}

    def taken_up(self, found: Sequence[Frame], mark: int, next_event: int) -> None:
        """What the database had in its journal comes before what was recorded meanwhile."""
        with self._lock:
            base = max([mark, *(frame.serial for frame in found)])
            later = [replace(frame, serial=base + n) for n, frame in enumerate(self._frames, 1)]
            self._frames = [*found, *later]
            self._samples = sum(len(frame.tags) for frame in self._frames)
            self._serial = base + len(later)
            self._events = [replace(event, id=next_event + n) for n, event in enumerate(self._events)]
            self._event = next_event + len(self._events) - 1

    def begun_anew(self) -> None:
        """The database is another one from now on."""
        with self._lock:
            self._generation += 1
            self._unwritten = [edit for edits in self._edits.values() for edit in edits]

    def waiting(self, behind: int) -> tuple[list[Frame], list[StoredEvent]]:
        """Frames behind a serial number, and all events that are not written."""
        with self._lock:
            return [frame for frame in self._frames if frame.serial > behind], list(self._events)

    def written(self, events: Sequence[StoredEvent], mark: int | None) -> None:
        """Events are in the database, and frames up to ``mark`` are in its blocks."""
        with self._lock:
            if events:
                last = events[-1].id
                self._events = [event for event in self._events if event.id > last]
            if mark is not None:
                self._frames = [frame for frame in self._frames if frame.serial > mark]
                self._samples = sum(len(frame.tags) for frame in self._frames)

    # Reading ------------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def view(self) -> Iterator[View]:
        """One moment. Raises StoreError."""
        with self._lock:
            held, events, generation, edits = list(self._frames), list(self._events), self._generation, dict(self._edits)
        away = self._away
        if away is not None and time.monotonic() < away[0]:
            raise StoreAway(away[1])
        try:
            connection, mark = self._begun(generation)
            reading = Reading(connection)
            try:
                yield View(reading, [frame for frame in held if frame.serial > mark], events, edits, lambda: self.is_closed)
            finally:
                reading.end()
        except StoreError as error:
            if isinstance(error, StoreAway):
                self._away = (time.monotonic() + AWAY_S, str(error))
            if isinstance(error, StoreDamaged):
                self.is_doubted = True
            self.close_reader()
            raise

    def _begun(self, generation: int) -> tuple[Connection, int]:
        """This thread's connection, in a transaction, and the mark. One that broke while nobody read is replaced."""
        known: tuple[Connection, int] | None = getattr(self._local, "connection", None)
        if known is not None and known[1] == generation:
            with contextlib.suppress(StoreError):
                return known[0], Reading(known[0]).begin()
        self.close_reader()
        connection = self.database.connect(to_write=False)
        self._local.connection = (connection, generation)
        try:
            return connection, Reading(connection).begin()
        except StoreError:
            self.close_reader()
            raise

    def close(self) -> None:
        """Let readers stop where they are, since the server ends; what is kept goes on being written."""
        self.is_closed = True

    def close_reader(self) -> None:
        """Close this thread's connection."""
        known = getattr(self._local, "connection", None)
        if known is not None:
            known[0].close()
            self._local.connection = None


class View:
    """``is_over``: asked before each piece of work, so that the end of the server waits for no long read."""

    def __init__(
        self, reading: Reading, held: Iterable[Frame], events: Sequence[StoredEvent], edits: Mapping[int, tuple[Edit, ...]],
        is_over: Callable[[], bool],
    ) -> None:  # fmt: skip
        self._reading = reading
        self._edits = edits
        self._spans: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        """Tag -> where its edits begin and end."""
        self._is_over = is_over
        self._by_kind: dict[str, list[Frame]] = {}
        for frame in held:
            self._by_kind.setdefault(frame.kind, []).append(frame)
        self._events = events
        self._tails: dict[int, list[Series]] = {}

    def read(self, tag: Tag, low: int, high: int, most: int, backwards: bool) -> Series:
        """The samples with low <= time <= high, ascending: the first ``most`` of them, or the last when read ``backwards``."""
        if not self._edits_between(tag, low, high):
            return self._recorded(tag, low, high, most, backwards)
        parts: list[Series] = []
        count = 0
        for recorded, start, end in self._stretches(tag, low, high, most, backwards):
            parts.append(applied(recorded, self._edits_between(tag, start, end), tag.kind).between(start, end))
            count += len(parts[-1])
            if count >= most:
                break
        whole = joined(parts[::-1] if backwards else parts, tag.kind)
        return whole.part(max(0, len(whole) - most), len(whole)) if backwards else whole.part(0, most)

    def modified(self, tag: Tag, low: int, high: int, most: int, skip: int) -> tuple[list[Superseded], bool]:
        """Values that were replaced or deleted, by time, after the first ``skip`` of them; and whether there are more."""
        made = self._edits_between(tag, low, high)
        found: list[Superseded] = []
        if not made:
            return [], False
        low = max(low, min(edit.low for edit in made))
        high = min(high, max(edit.high for edit in made))
        for recorded, start, end in self._stretches(tag, low, high, most, False):
            found += [one for one in superseded(recorded, self._edits_between(tag, start, end)) if start <= one.time <= end]
            if len(found) > skip + most:
                return found[skip : skip + most], True
        return found[skip : skip + most], len(found) > skip + most

    def entries(self, tag: Tag) -> Entries:
        """What people put beside a history in which several things may have one time."""
        made = self._edits.get(tag.number)
        return entries(made) if made else NOTHING

    def _edits_between(self, tag: Tag, low: int, high: int) -> list[Edit]:
        made = self._edits.get(tag.number)
        if not made:
            return []
        spans = self._spans.get(tag.number)
        if spans is None:
            lows, highs = (np.array([getattr(edit, name) for edit in made], np.int64) for name in ("low", "high"))
            spans = self._spans[tag.number] = (lows, highs)
        return [made[place] for place in np.flatnonzero((spans[0] <= high) & (spans[1] >= low)).tolist()]

    def _stretches(self, tag: Tag, low: int, high: int, most: int, backwards: bool) -> Iterator[tuple[Series, int, int]]:
        """What was recorded, piece by piece in the direction, and which times each piece is all there is of."""
        size = min(most, LARGEST_STRETCH) + 64
        while low <= high:
            recorded = self._recorded(tag, low, high, size, backwards)
            if len(recorded) < size:
                yield recorded, low, high
                return
            if backwards:
                start = int(recorded.times[0])
                yield recorded, start, high
                high = start - 1
            else:
                end = int(recorded.times[-1])
                yield recorded, low, end
                low = end + 1
            size = min(size * 8, LARGEST_STRETCH)

    def _recorded(self, tag: Tag, low: int, high: int, most: int, backwards: bool) -> Series:
        self.check()
        found: list[tuple[int, Series]] = []
        count = 0
        for block in self._reading.blocks(tag.number, low, high, backwards=backwards):
            if count >= most and _is_enough([series for _, series in found], most, block.low, block.high, backwards):
                break
            series = self._unpacked(block, tag.kind).between(low, high)
            if len(series):
                found.append((block.id, series))
                count += len(series)
        found.sort(key=lambda pair: pair[0])
        tails = [series.between(low, high) for series in self._tail(tag)]
        whole = joined([*(series for _, series in found), *tails], tag.kind)
        return whole.part(max(0, len(whole) - most), len(whole)) if backwards else whole.part(0, most)

    @staticmethod
    def _unpacked(block: Block, kind: str) -> Series:
        """Of a damaged block is known from when to when it was: the rest of the history can be read all the same."""
        try:
            return blocks.unpack(block.body, kind)
        except blocks.BlockError as error:
            log.warning("%d values of the history cannot be read any more: %s", block.count, error)
            value = "" if kind == "String" else 0
            edges = sorted({block.low, block.high})
            return of(kind, [(edge, value, BAD_DATA_LOST, edge) for edge in edges])

    def check(self) -> None:
        """Raises StoreError when the server ends."""
        if self._is_over():
            raise StoreError("the server ends")

    def _tail(self, tag: Tag) -> list[Series]:
        found = self._tails.get(tag.number)
        if found is None:
            found = self._tails[tag.number] = frames.of_tag(self._by_kind.get(tag.kind, ()), tag.number, tag.kind)
        return found

    def recorded_events(
        self, emitter: str, low: int, high: int, after: int, limit: int, *, backwards: bool, put: Sequence[StoredEvent] = ()
    ) -> list[StoredEvent]:
        """Up to ``limit`` of a notifier with low <= time <= high, in the direction; of the first time only those behind the event
        ``after``. ``put``: further ones."""
        found = self._reading.events([emitter], low, high, after, limit, backwards=backwards)
        known = {event.id for event in found}
        edge = high if backwards else low
        for event in (*self._events, *put):
            if event.id in known or event.emitter != emitter or not low <= event.time <= high:
                continue
            if event.time != edge or (event.id < after if backwards else event.id > after):
                found.append(event)
        return sorted(found, key=lambda event: (event.time, event.id), reverse=backwards)[:limit]


def _is_enough(found: list[Series], most: int, low: int, high: int, backwards: bool) -> bool:
    """Whether a block from ``low`` to ``high``, and those after it in the direction, have none of the ``most`` nearest samples."""
    times = np.concatenate([series.times for series in found])
    if backwards:
        return high < int(np.partition(times, len(times) - most)[len(times) - most])
    return low > int(np.partition(times, most - 1)[most - 1])
