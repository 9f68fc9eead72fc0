"""The thread that brings history into the database.

    every half second   frames since the last time --> journal                      one transaction each, so that a killed process
    every minute        all frames in memory --> blocks; the journal ends there     loses half a second, and a block is whole

    ok --cannot be written--> waiting: all stays in memory, told once --works again--> ok
     '--damaged--> set aside, a new one begun, what is in memory goes there

A tag that says little gets its samples added to its last block, until that is of a fair size.
"""

from __future__ import annotations

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from opcua_server.history import blocks, frames
from opcua_server.history.archive import Archive
from opcua_server.history.frames import Frame
from opcua_server.history.series import TICKS_PER_S, Series, joined
from opcua_server.history.store import MAX_SPAN, Block, Connection, StoreDamaged, StoreError, Writing

log = logging.getLogger("opcua_server.history")
FLUSH_S: Final = 0.5
CUT_S: Final = 60.0
TIDY_S: Final = 60.0
FAIR: Final = 512
"""Samples of a block that is not added to any more."""
LARGEST: Final = 4_096
ADD_SPAN: Final = MAX_SPAN // 2
DAY_TICKS: Final = 86_400 * TICKS_PER_S


@dataclass(frozen=True, slots=True)
class Limits:
    """How old history may become, in 100 ns, and how much of the disk it may take, in bytes."""

    age: int = 30 * DAY_TICKS
    size_bytes: int = 1 << 30


class Writer(threading.Thread):
    """``now``: the wall clock, 100 ns since 1601, that ages are measured by. ``first``: what the thread does before all else."""

    def __init__(
        self,
        archive: Archive,
        limits: Limits,
        now: Callable[[], int],
        *,
        first: Callable[[], None] | None = None,
        cut_s: float = CUT_S,
    ) -> None:
        super().__init__(name="history-writer", daemon=True)
        self._first = first
        self.problem: str | None = None
        self.oldest = 0
        """When the archive begins, 100 ns since 1601; 0 where it is empty, or not known yet."""
        self._archive = archive
        self._limits = limits
        self._now = now
        self._cut_s = cut_s
        self._wake = threading.Event()
        self._is_ending = False
        self._connection: Connection | None = None
        self._writing: Writing | None = None
        self._was_open = False
        self._is_full = False
        self._journaled = 0
        self._open: dict[int, tuple[Block, Series]] = {}
        self._asked: list[threading.Event] = []

    # Life ---------------------------------------------------------------------------------------------------------------

    def open(self) -> None:
        """Take up what an earlier run left, before anything is recorded. What is wrong is told, not raised."""
        self._guarded(self._connect)

    def end(self) -> None:
        """Write what there is, and stop."""
        self._is_ending = True
        self._wake.set()
        if self.is_alive():
            self.join(1.0)

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that was recorded is in blocks; whether that came about."""
        done = threading.Event()
        self._asked.append(done)
        self._wake.set()
        return done.wait(timeout_s)

    def run(self) -> None:
        if self._first is not None:
            self._first()
            self._archive.close_reader()
        cut_at = tidied_at = time.monotonic()
        while True:
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            is_last, asked = self._is_ending, list(self._asked)
            now_s = time.monotonic()
            is_cut = bool(asked) or now_s - cut_at >= self._cut_s
            if self._guarded(functools.partial(self.write, cut=is_cut)):
                cut_at = now_s if is_cut else cut_at
                for done in asked:
                    self._asked.remove(done)
                    done.set()
            if now_s - tidied_at >= TIDY_S:
                tidied_at = now_s
                self._guarded(self.tidy)
            if is_last:
                break
        self._disconnect()

    # Work ---------------------------------------------------------------------------------------------------------------

    def _connect(self) -> Writing:
        if self._writing is not None:
            return self._writing
        database = self._archive.database
        self._connection = database.connect(to_write=True)
        writing = Writing(self._connection, database.blob)
        found: list[Frame] = []
        if not self._was_open:
            for entry in writing.journal():
                try:
                    found += frames.unpack(entry)
                except blocks.BlockError as error:
                    log.warning("history %s: %s; half a second is lost", database.name, error)
            mark = writing.mark()
            found = [frame for frame in found if frame.serial > mark]
            self._journaled = max([mark, *(frame.serial for frame in found)])
            self._archive.taken_up(found, mark, writing.next_event)
            self._archive.take_up_edits(writing.edits())
            self._was_open = True
        self.oldest = writing.oldest() or (found[0].source if found else 0)
        writing.name_tags([(tag.number, tag.name, tag.kind) for tag in self._archive.tags.values()])
        self._writing = writing
        return writing

    def write(self, *, cut: bool) -> None:
        """Bring what is new into the journal, or all there is into blocks. Raises StoreError."""
        writing = self._connect()
        changed = self._archive.waiting_edits()
        if changed:
            writing.write_edits(changed)
            self._archive.written_edits(changed)
        held, events = self._archive.waiting(0 if cut else self._journaled)
        if not held and not events:
            return
        last = held[-1].serial if held else None
        if cut:
            kept: dict[int, tuple[Block, Series]] = {}
            made = list(self._blocks(held, writing, kept))
            writing.write([], made, last, events)
            self._open.update(kept)
            self._archive.written(events, last)
            self.oldest = self.oldest or min((block.low for block in made), default=0)
        else:
            writing.write([(last, frames.pack(held))] if last is not None else [], [], None, events)
            self._archive.written(events, None)
        if last is not None:
            self._journaled = last

    def _blocks(self, held: list[Frame], writing: Writing, kept: dict[int, tuple[Block, Series]]) -> Iterator[Block]:
        """Blocks of all samples; ``kept`` gets those that may be added to."""
        for tag, kind, stretches in frames.by_tag(held):
            before = self._open.pop(tag, None)
            for stretch in stretches:
                for piece in _pieces(stretch):
                    number, series = writing.next_block, piece
                    if before is not None and _may_add(before[1], piece):
                        number, series = before[0].id, joined([before[1], piece], kind)
                    else:
                        writing.next_block += 1
                    low, high = int(series.times[0]), int(series.times[-1])
                    block = Block(number, tag, low, high, len(series), blocks.pack(series, kind))
                    before = (block, series) if len(series) < FAIR else None
                    yield block
            if before is not None:
                kept[tag] = before

    def tidy(self) -> None:
        """Forget what is too old or too much. Raises StoreError."""
        limits, database = self._limits, self._archive.database
        writing = self._connect()
        self._archive.forget_edits(self._now() - limits.age)
        if writing.forget(self._now() - limits.age, limits.size_bytes) and not self._is_full:
            log.warning("history %s: takes %d MB; from now on the oldest goes", database.name, limits.size_bytes >> 20)
            self._is_full = True
        self.oldest = writing.oldest()

    # Trouble ------------------------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except StoreDamaged as error:
            self._set_aside(str(error))
            return False
        except StoreError as error:
            self._trouble(str(error))
            return False
        if self.problem is not None:
            log.warning("history %s: works again; %d values had no room", self._archive.database.name, self._archive.lost)
            self.problem = None
        return True

    def _trouble(self, problem: str) -> None:
        if self.problem is None:
            log.error("history %s: %s; what is recorded waits in memory", self._archive.database.name, problem)
        self.problem = problem
        self._disconnect()

    def _set_aside(self, problem: str) -> None:
        self._disconnect()
        try:
            aside = self._archive.database.set_aside(problem)
        except StoreError as error:
            self._trouble(str(error))
            return
        log.error("history %s: damaged (%s); set aside as %s, a new one is begun", self._archive.database.name, problem, aside)
        self.problem = f"damaged, set aside as {aside}"
        self._journaled = 0
        self._archive.begun_anew()

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._writing = None
        self._open.clear()


def _may_add(before: Series, piece: Series) -> bool:
    low, high = int(before.times[0]), int(piece.times[-1])
    return piece.times[0] > before.times[-1] and len(before) + len(piece) <= 2 * FAIR and high - low <= ADD_SPAN


def _pieces(series: Series) -> Iterator[Series]:
    """Parts that are neither too long nor too many for one block."""
    start = 0
    while start < len(series):
        limit = int(series.times.searchsorted(int(series.times[start]) + MAX_SPAN, "right"))
        end = min(limit, start + LARGEST)
        yield series.part(start, end)
        start = end
