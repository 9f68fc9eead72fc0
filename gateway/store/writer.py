"""The store's writer: one thread, one connection, one transaction about every second.

    put() --bounded queue--> collect for FLUSH_S --> BEGIN, everything, COMMIT --> acknowledge flush requests

    ok --full, read-only, I/O error--> degraded: what is measured is dropped and counted, what was accepted from people
     ^                                    |      (commands, documents, alerts) is kept and tried again, KEPT items at most
     |--locked by another program--> degraded: everything is kept and tried again, QUEUE items at most
     '----------next commit works---------'
    any --not a database, malformed--> the file is set aside under another name and a new one begun

The thread never touches the event loop's objects; what it counts are plain integers that others may read.
"""

from __future__ import annotations

import json
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cnctwin.files import set_database_aside
from gateway.store.rollups import UPSERT, Rollups
from gateway.store.schema import COLUMN, ROLLED, prepare

log = logging.getLogger("gateway.store")
FLUSH_S: Final = 1.0
QUEUE: Final = 20_000
KEPT: Final = 2000
TIDY_S: Final = 60.0
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
CLOCK_BEHIND_US: Final = 27 * HOUR_US
"""A machine whose newest frame is older is no longer there; one on local time in place of UTC, or a day late, is."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How long things are kept, in microseconds, and how large the database may grow, in bytes."""

    frames_us: int = 2 * HOUR_US
    samples_us: int = 7 * DAY_US
    rollups_us: tuple[tuple[int, int], ...] = ((60, 7 * DAY_US), (300, 30 * DAY_US), (3600, 365 * DAY_US))
    records_us: int = 90 * DAY_US
    size_bytes: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Frame:
    machine: str
    ts_us: int
    values: Any
    """(len(COLUMNS),) float64, owned by the frame."""


@dataclass(frozen=True, slots=True)
class Sample:
    machine: str
    name: str
    ts_us: int
    value: Any
    status: int
    rolled: bool = False
    """Whether it is only a number for the rollups of its name."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a small table; ``columns`` beside ``machine`` (a name that becomes its id). ``accepted`` rows are not dropped."""

    table: str
    machine: str | None
    columns: dict[str, Any]
    accepted: bool = False


@dataclass(frozen=True, slots=True)
class Statement:
    """Any other change, such as on the outbox."""

    sql: str
    parameters: tuple[Any, ...]
    accepted: bool = True


@dataclass(frozen=True, slots=True)
class Flush:
    done: Callable[[], None]


Item = Frame | Sample | Row | Statement | Flush


class Writer(threading.Thread):
    """``path`` is the database file; ``now_us`` the clock that retention goes by."""

    def __init__(self, path: Path, limits: Limits, now_us: Callable[[], int]) -> None:
        super().__init__(name="store-writer", daemon=True)
        self.path = path
        self.limits = limits
        self.problem: str | None = "not open yet"
        self.generation = 0
        """Grows when the file was replaced by a new one."""
        self.written = 0
        self.dropped = 0
        self.size_bytes = 0
        self._now_us = now_us
        self._queue: queue.Queue[Item | None] = queue.Queue(QUEUE)
        self._connection: sqlite3.Connection | None = None
        self._layout = 0
        self._kept: list[Item] = []
        self._machines: dict[str, int] = {}
        self._tags: dict[tuple[str, str], int] = {}
        self._rollups = Rollups()

    @property
    def waiting(self) -> int:
        return self._queue.qsize()

    def put(self, item: Item) -> bool:
        """Hand an item over; False, and counted, where the writer is too far behind."""
        try:
            self._queue.put_nowait(item)
        except queue.Full:
            self.dropped += 1
            return False
        return True

    def stop(self, timeout_s: float) -> None:
        """Write what is waiting and end."""
        try:
            self._queue.put(None, timeout=timeout_s / 2)
        except queue.Full:
            log.error("the store is too far behind to end cleanly: what waits is lost")
        self.join(timeout_s)

    def run(self) -> None:
        tidied = time.monotonic()
        ending = False
        while not ending:
            batch, ending = self._collect()
            flushes = [item for item in batch if isinstance(item, Flush)]
            self._write([item for item in batch if not isinstance(item, Flush)])
            for flush in flushes:
                flush.done()
            if time.monotonic() - tidied > TIDY_S or (self.problem is not None and "full" in self.problem):
                tidied = time.monotonic()
                self._guarded(self._tidy, proves=False)
        if self._connection is not None:
            self._connection.close()

    def _collect(self) -> tuple[list[Item], bool]:
        """Items of about one second, fewer when somebody waits for them; and whether this was the end."""
        batch: list[Item] = []
        deadline = time.monotonic() + FLUSH_S
        while len(batch) < QUEUE:
            try:
                item = self._queue.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                return batch, False
            if item is None:
                return batch, True
            batch.append(item)
            if isinstance(item, Flush):
                return batch, False
        return batch, False

    def _write(self, new: list[Item]) -> None:
        items, self._kept = self._kept + new, []
        if self._connection is None and not self._guarded(self._open):
            self._give_up(items)
            return
        if items and not self._guarded(lambda: self._transact(items)):
            self._give_up(items)

    def _give_up(self, items: list[Item]) -> None:
        if self._is_locked and len(items) <= QUEUE:
            self._kept = items
            return
        accepted: list[Item] = [item for item in items if isinstance(item, Row | Statement) and item.accepted]
        self._kept = accepted[-KEPT:]
        self.dropped += len(items) - len(self._kept)

    def _guarded(self, work: Callable[[], None], *, proves: bool = True) -> bool:
        """Do some work; on an error say so once, and put what can be put right. ``proves``: that it succeeds shows that the store
        works, which tidying up with nothing to forget does not."""
        try:
            work()
        except sqlite3.OperationalError as error:
            # A query on a table that is not there any more means the file was swapped for another one under the connection.
            self._trouble(str(error))
            if "readonly" in str(error) or "disk I/O" in str(error) or "no such table" in str(error) or self._connection is None:
                self._close()
            return False
        except sqlite3.DatabaseError as error:
            if "malformed" in str(error) or "not a database" in str(error):
                self._set_aside(str(error))
            else:
                self._trouble(str(error))
            return False
        except OSError as error:
            self._trouble(f"{error.strerror or error}")
            self._close()
            return False
        if self.problem is not None and proves:
            if self.generation or self.problem != "not open yet":
                log.warning("store: works again; %d records were dropped so far", self.dropped)
            self.problem = None
        return True

    @property
    def _is_locked(self) -> bool:
        """Whether another program holds the file, such as one that copies it: that ends."""
        return self.problem is not None and "locked" in self.problem

    def _trouble(self, problem: str) -> None:
        before, self.problem = self.problem, problem
        if before != problem:
            what = "waits in memory" if self._is_locked else "is dropped and counted"
            log.error("store %s: %s; going on without it, what is measured meanwhile %s", self.path, problem, what)

    def _set_aside(self, problem: str) -> None:
        self._close()
        try:
            aside = set_database_aside(self.path)
        except OSError as error:
            self._trouble(f"damaged ({problem}) and cannot be set aside: {error.strerror or error}")
            return
        log.error("store %s: damaged (%s); set aside as %s, a new one is begun", self.path, problem, aside.name)
        self.problem = f"damaged, set aside as {aside.name}"
        self.generation += 1

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = None
        self._machines.clear()
        self._tags.clear()

    def _open(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        connection = sqlite3.connect(self.path, timeout=5.0, isolation_level=None)
        try:
            self._layout = prepare(connection, self.limits.size_bytes)
            # Whether it can be written at all shows only on writing.
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        self._connection = connection

    def _transact(self, items: list[Item]) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - _write opens it first
        try:
            connection.execute("BEGIN IMMEDIATE")
            for item in _without_repeated_frames(items):
                self._apply(connection, item)
            rows = [(self._tag(connection, machine, name), *rest) for machine, name, *rest in self._rollups.take()]
            connection.executemany(UPSERT, rows)
            connection.execute("COMMIT")
        except BaseException:
            self._rollups = Rollups()
            self._machines.clear()
            self._tags.clear()
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        self.written += len(items)
        pages, size = (connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "page_size"))
        self.size_bytes = pages * size

    def _apply(self, connection: sqlite3.Connection, item: Item) -> None:
        if isinstance(item, Frame):
            machine = self._machine(connection, item.machine)
            row = (machine, item.ts_us, self._layout, item.values.tobytes())
            connection.execute("INSERT OR REPLACE INTO frame (machine, ts_us, layout, v) VALUES (?, ?, ?, ?)", row)
            numbers = item.values.tolist()
            for name in ROLLED:
                if (index := COLUMN.get(name)) is not None and (value := numbers[index]) == value:
                    self._rollups.add(item.machine, name, item.ts_us, value)
        elif isinstance(item, Sample):
            if not item.rolled:
                row = (self._tag(connection, item.machine, item.name), item.ts_us, _stored(item.value), item.status)
                connection.execute("INSERT OR REPLACE INTO sample (tag, ts_us, value, status) VALUES (?, ?, ?, ?)", row)
            if (item.rolled or item.name in ROLLED) and item.status >> 30 == 0 and isinstance(item.value, int | float):
                self._rollups.add(item.machine, item.name, item.ts_us, float(item.value))
        elif isinstance(item, Row):
            columns = dict(item.columns)
            if item.machine is not None:
                columns["machine"] = self._machine(connection, item.machine)
            names, places = ", ".join(columns), ", ".join("?" * len(columns))
            sql = f"INSERT INTO {item.table} ({names}) VALUES ({places})"
            connection.execute(sql, tuple(columns.values()))
        elif isinstance(item, Statement):
            connection.execute(item.sql, item.parameters)

    def _machine(self, connection: sqlite3.Connection, name: str) -> int:
        found = self._machines.get(name)
        if found is None:
            connection.execute("INSERT OR IGNORE INTO machine (name) VALUES (?)", (name,))
            found = self._machines[name] = int(connection.execute("SELECT id FROM machine WHERE name = ?", (name,)).fetchone()[0])
        return found

    def _tag(self, connection: sqlite3.Connection, machine: str, name: str) -> int:
        found = self._tags.get((machine, name))
        if found is None:
            where = (self._machine(connection, machine), name)
            connection.execute("INSERT OR IGNORE INTO tag (machine, name) VALUES (?, ?)", where)
            (found,) = connection.execute("SELECT id FROM tag WHERE machine = ? AND name = ?", where).fetchone()
            self._tags[machine, name] = int(found)
        return int(found)

    def _tidy(self) -> None:
        """Forget what is old, oldest frames first where the file nears its limit; give pages back a few at a time."""
        connection = self._connection
        if connection is None:
            return
        now, limits = self._now_us(), self.limits
        for machine, newest in connection.execute(
            "SELECT id, (SELECT max(ts_us) FROM frame WHERE machine = id) FROM machine"
        ).fetchall():
            if newest is not None:
                # By the machine's clock, which may be hours behind: its last hours would be gone as soon as they are written.
                until = now if now - newest > CLOCK_BEHIND_US else min(now, newest)
                connection.execute("DELETE FROM frame WHERE machine = ? AND ts_us < ?", (machine, until - limits.frames_us))
        connection.execute("DELETE FROM sample WHERE ts_us < ?", (now - limits.samples_us,))
        for res, kept_us in limits.rollups_us:
            connection.execute("DELETE FROM rollup WHERE res = ? AND bucket < ?", (res, now - kept_us))
        for table in ("event", "record", "document", "forest"):
            connection.execute(f"DELETE FROM {table} WHERE ts_us < ?", (now - limits.records_us,))
        pages, free, size = (
            connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > 0.8 * limits.size_bytes:
            first, last = connection.execute("SELECT min(ts_us), max(ts_us) FROM frame").fetchone()
            if first is not None:
                connection.execute("DELETE FROM frame WHERE ts_us <= ?", (first + (last - first) // 4,))
                log.warning("store %s: nears its size limit; the oldest quarter of the frames is gone", self.path)
        connection.execute("PRAGMA incremental_vacuum(2000)").fetchall()


def _without_repeated_frames(items: list[Item]) -> Iterator[Item]:
    """Two batches with the same source time show one moment: only the later frame counts, in rollups too."""
    last = {(item.machine, item.ts_us): item for item in items if isinstance(item, Frame)}
    for item in items:
        if not isinstance(item, Frame) or last[item.machine, item.ts_us] is item:
            yield item


def _stored(value: Any) -> Any:
    """A value as SQLite keeps it: arrays as JSON text, times as RFC 3339 text."""
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, int | float | str):
        return value
    return json.dumps(value) if isinstance(value, list) else value.isoformat()
