"""The thread that brings history into the database.

    every half second   frames since the last time --> journal                      one transaction each, so that a killed process
    every minute        all frames in memory --> blocks; the journal ends there     loses half a second, and a block is whole

    ok --cannot be written--> waiting: all stays in memory, told once; tried again every few seconds --works again--> ok
     '--damaged--> set aside, a new one begun, what is in memory goes there

Serial numbers say what a database has: one that took a transaction and went away before it said so is asked for its last ones,
where they are of this ``run``; else it is another database, or an earlier state of it, and gets what is in memory.

A tag that says little gets its samples added to its last block, until that is of a fair size.
"""

from __future__ import annotations

import functools
import logging
import secrets
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
WAIT_S: Final = 3.0
"""Between two tries to write, while that fails: who makes room sees it used within five seconds,"""
LONGEST_WAIT_S: Final = 10.0
SHARE: Final = 2
"""but up to this where a try takes long: SHARE times as long, as all that waits is packed anew for each."""
TELL_AGAIN: Final = 10
"""Tries after which a reason that has become another one is told too."""
TIDY_S: Final = 60.0
LEAST_STEP: Final = 30 * 60 * TICKS_PER_S
"""Of old history goes at a time."""
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
    """``now``: the wall clock, 100 ns since 1601, that ages are measured by. ``first``: what the thread does before all else, as
    soon as it can be done, and whether it was."""

    def __init__(
        self,
        archive: Archive,
        limits: Limits,
        now: Callable[[], int],
        *,
        first: Callable[[], bool] | None = None,
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
        self._was_open = self._is_anew = False
        self._run = secrets.randbits(62)
        self._failures = 0
        self._told = ""
        self._again_s = 0.0
        self._checked_s = -TIDY_S
        self._is_full = self._is_old = False
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
        left, events = self._archive.waiting(self._journaled)
        if left or events:
            counts = sum(len(frame.tags) for frame in left), len(events)
            name = self._archive.database.name
            log.error("history %s: %s; the last %d values and %d events are lost", name, self.problem or "it is too slow", *counts)

    def flush(self, timeout_s: float = 30.0) -> bool:
        """Wait until all that was recorded is in blocks; whether that came about."""
        done = threading.Event()
        self._asked.append(done)
        self._wake.set()
        return done.wait(timeout_s)

    def run(self) -> None:
        cut_at = tidied_at = time.monotonic()
        while True:
            self._note_gap()
            self._wake.wait(FLUSH_S)
            self._wake.clear()
            is_last, asked = self._is_ending, list(self._asked)
            now_s = time.monotonic()
            if now_s < self._again_s and not asked and not is_last:
                continue
            # What could not be written for long would be one large entry of the journal.
            is_cut = bool(asked) or now_s - cut_at >= self._cut_s or self.problem is not None
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

    def _note_gap(self) -> None:
        if self._first is not None and self.problem is None and self._first():
            self._first = None
            self._archive.close_reader()

    # Work ---------------------------------------------------------------------------------------------------------------

    def _connect(self) -> Writing:
        if self._writing is not None:
            return self._writing
        database = self._archive.database
        self._connection = database.connect(to_write=True)
        writing = Writing(self._connection, database.blob)
        found: list[Frame] = []
        if self._was_open and writing.mark("run") == self._run:
            self._journaled = max(self._journaled, writing.mark(), writing.journaled())
            self._archive.written([], writing.mark())
        else:
            if self._was_open:
                if not self._is_anew:
                    log.warning("history %s: is another database now, or an earlier state of it", database.name)
                self._archive.begun_anew()
            for entry in writing.journal():
                try:
                    found += frames.unpack(entry)
                except blocks.BlockError as error:
                    log.warning("history %s: %s; half a second is lost", database.name, error)
            mark = writing.mark()
            found = [frame for frame in found if frame.serial > mark]
            self._journaled = max([mark, *(frame.serial for frame in found)])
            self._archive.taken_up(found, mark, writing.next_event)
            if not self._was_open:
                self._archive.take_up_edits(writing.edits())
            writing.claim(self._run)
            self._was_open, self._is_anew = True, False
        self.oldest = writing.oldest() or (found[0].source if found else 0)
        writing.name_tags([(tag.number, tag.name, tag.kind) for tag in self._archive.tags.values()])
        self._writing = writing
        return writing

    def write(self, *, cut: bool) -> None:
        """Bring what is new into the journal, or all there is into blocks. Raises StoreError."""
        writing = self._connect()
        now_s = time.monotonic()
        if self._archive.is_doubted and self._connection is not None and now_s - self._checked_s > TIDY_S:
            self._archive.is_doubted, self._checked_s = False, now_s
            self._connection.check()
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
        too_old = self._now() - limits.age
        until = writing.due(too_old, max(LEAST_STEP, limits.age // 1_000))
        if too_old - until > DAY_TICKS and not self._is_old:
            days, share = (too_old - until) / DAY_TICKS, max(LEAST_STEP, limits.age // 1_000) / TICKS_PER_S / 60
            log.warning(
                "history %s: %.0f days of it are too old by the clock and go, %.0f minutes of them a minute; if that is wrong, set"
                " the clock right", database.name, days, share,
            )  # fmt: skip
        self._is_old = too_old - until > DAY_TICKS
        self._archive.forget_edits(until)
        if writing.forget(until, limits.size_bytes) and not self._is_full:
            log.warning("history %s: takes %d MB; from now on the oldest goes", database.name, limits.size_bytes >> 20)
            self._is_full = True
        self.oldest = writing.oldest()

    # Trouble ------------------------------------------------------------------------------------------------------------

    def _guarded(self, work: Callable[[], object]) -> bool:
        began_s = time.monotonic()
        try:
            work()
        except StoreDamaged as error:
            self._set_aside(str(error))
            return False
        except StoreError as error:
            self._trouble(str(error), began_s)
            return False
        except Exception as error:  # ours, and no reason to keep nothing any more
            log.exception("history %s: cannot be written", self._archive.database.name)
            self._trouble(f"{type(error).__name__}: {error}", began_s)
            return False
        self._failures, self._again_s = 0, 0.0
        if self.problem is not None:
            archive = self._archive
            events = f" and {archive.lost_events} events" if archive.lost_events else ""
            log.warning("history %s: works again; %d values%s had no room", archive.database.name, archive.lost, events)
            self.problem = None
            for number, source in archive.lost_from().items():
                archive.add_no_data(archive.tags[number], source, self._now())
        return True

    def _trouble(self, problem: str, began_s: float | None = None) -> None:
        """``began_s``: when what failed was begun."""
        # Said once, and once more where it is something else for good, such as a wrong password in place of nobody there.
        if self.problem is None or (self._failures % TELL_AGAIN == 0 and problem != self._told):
            log.error("history %s: %s; what is recorded waits in memory", self._archive.database.name, problem)
            self._told = problem
        self.problem = problem
        self._failures += 1
        now_s = time.monotonic()
        wait_s = min(FLUSH_S * 2 ** min(self._failures - 1, 10), WAIT_S)
        if began_s is not None:
            wait_s = max(wait_s, min(SHARE * (now_s - began_s), LONGEST_WAIT_S))
        self._again_s = now_s + wait_s
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
        self._is_anew = True
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
