"""The store's writer: one thread, one connection, one transaction about every second.

    put() --bounded queue--> collect for FLUSH_S --> BEGIN, everything, COMMIT --> acknowledge flush requests

    ok --full, read-only, I/O error, locked--> degraded: everything is kept and tried again, QUEUE items at most; then the oldest
     ^                                    |      that was measured goes, counted, and of what was accepted from people (commands,
     |                                    |      documents, alerts) all but KEPT
     '----------next commit works---------'
    ok --a record that no database takes--> it is left out, counted
    any --not a database, malformed--> the file is set aside under another name and a new one begun
    any --taken away, another in its place--> opened anew

Retention goes by the wall clock, which may be wrong: what is too old goes a little at a time (``_due``).

The thread never touches the event loop's objects; what it counts are plain integers that others may read.
"""

from __future__ import annotations

import functools
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

from cnctwin.files import TAKEN_AWAY, identity, set_database_aside
from gateway.store.rollups import UPSERT, Rollups
from gateway.store.schema import COLUMN, ROLLED, prepare

log = logging.getLogger("gateway.store")
FLUSH_S: Final = 1.0
QUEUE: Final = 20_000
KEPT: Final = 2000
TIDY_S: Final = 60.0
LONGEST_WAIT_S: Final = 3.0
"""Between two tries to write, while that fails: who makes room sees it used within five seconds."""
HOUR_US: Final = 3_600_000_000
DAY_US: Final = 24 * HOUR_US
LEAST_STEP_US: Final = HOUR_US // 12
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
        self._identity: tuple[int, int] | None = None
        self._is_odd, self._odd = False, ""
        self._failures = 0
        self._again_s = 0.0
        self._checked_s = -TIDY_S
        self.is_doubted = False
        """Somebody who read found the file damaged: writing may not have."""

    @property
    def waiting(self) -> int:
        return self._queue.qsize() + len(self._kept)

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
        if self._kept:
            log.error("store %s: %s; the last %d records are lost", self.path, self.problem, len(self._kept))

    def run(self) -> None:
        tidied = time.monotonic()
        ending = False
        while not ending:
            batch, ending = self._collect()
            flushes = [item for item in batch if isinstance(item, Flush)]
            items: list[Item] = [item for item in batch if not isinstance(item, Flush)]
            if time.monotonic() >= self._again_s or ending:
                self._write(items)
            else:
                self._give_up(self._kept + items)
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
            if self._is_odd:
                for item in items:
                    self.dropped += not self._guarded(functools.partial(self._transact, [item]))
            else:
                self._give_up(items)

    def _give_up(self, items: list[Item]) -> None:
        """Keep what can be kept, for the next try."""
        too_many = len(items) - QUEUE
        if too_many > 0:
            accepted = [place for place, item in enumerate(items) if isinstance(item, Row | Statement) and item.accepted]
            held = set(accepted[-KEPT:])
            going = [place for place in range(len(items)) if place not in held][:too_many]
            gone = set(going)
            items = [item for place, item in enumerate(items) if place not in gone]
            self.dropped += len(going)
        self._kept = items

    def _guarded(self, work: Callable[[], None], *, proves: bool = True) -> bool:
        """Do some work; on an error say so once, and put what can be put right. ``proves``: that it succeeds shows that the store
        works, which tidying up with nothing to forget does not."""
        self._is_odd = False
        try:
            work()
        except sqlite3.OperationalError as error:
            # A query on a table that is not there any more means the file was swapped for another one under the connection.
            self._trouble(str(error))
            is_lost = any(what in str(error) for what in ("readonly", "disk I/O", "no such table", TAKEN_AWAY))
            if is_lost or self._connection is None:
                self._close()
            return False
        except sqlite3.DatabaseError as error:
            if "malformed" in str(error) or "not a database" in str(error):
                self._set_aside(str(error))
            else:
                self._leave_out(error)
            return False
        except (sqlite3.InterfaceError, ValueError, OverflowError, TypeError) as error:
            self._leave_out(error)
            return False
        except OSError as error:
            self._trouble(f"{error.strerror or error}")
            self._close()
            return False
        if self.problem is not None and proves:
            if self.generation or self.problem != "not open yet":
                log.warning("store: works again; %d records were dropped so far", self.dropped)
            self.problem = None
        if proves:
            self._failures, self._again_s = 0, 0.0
        return True

    def _leave_out(self, error: Exception) -> None:
        """A record that the database will never take holds up no others."""
        self._is_odd = True
        if str(error) != self._odd:
            log.error("store %s: a record cannot be written, and is left out and counted: %s", self.path, error)
        self._odd = str(error)

    def _trouble(self, problem: str) -> None:
        before, self.problem = self.problem, problem
        if before != problem:
            log.error("store %s: %s; going on without it, what is measured meanwhile waits in memory", self.path, problem)
        self._failures += 1
        self._again_s = time.monotonic() + min(FLUSH_S * 2 ** min(self._failures - 1, 10), LONGEST_WAIT_S)

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
        self._identity = identity(self.path)

    def _look(self, connection: sqlite3.Connection) -> None:
        """Whether it is still the file that readers see, and a whole one where somebody doubts it. Raises sqlite3.Error."""
        if identity(self.path) != self._identity:
            raise sqlite3.OperationalError(TAKEN_AWAY)
        now_s = time.monotonic()
        if self.is_doubted and now_s - self._checked_s > TIDY_S:
            self.is_doubted, self._checked_s = False, now_s
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if found != "ok":
                raise sqlite3.DatabaseError(f"malformed: {found.strip()}")

    def _transact(self, items: list[Item]) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - _write opens it first
        self._look(connection)
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
                oldest = connection.execute("SELECT min(ts_us) FROM frame WHERE machine = ?", (machine,)).fetchone()[0]
                due = _due(until, limits.frames_us, oldest)
                connection.execute("DELETE FROM frame WHERE machine = ? AND ts_us < ?", (machine, due))
        self._forget("sample", "ts_us", "", (), now, limits.samples_us)
        for res, kept_us in limits.rollups_us:
            self._forget("rollup", "bucket", " AND res = ?", (res,), now, kept_us)
        for table in ("event", "record", "document", "forest"):
            self._forget(table, "ts_us", "", (), now, limits.records_us)
        pages, free, size = (
            connection.execute(f"PRAGMA {what}").fetchone()[0] for what in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size > 0.8 * limits.size_bytes:
            first, last = connection.execute("SELECT min(ts_us), max(ts_us) FROM frame").fetchone()
            if first is not None:
                connection.execute("DELETE FROM frame WHERE ts_us <= ?", (first + (last - first) // 4,))
                log.warning("store %s: nears its size limit; the oldest quarter of the frames is gone", self.path)
        connection.execute("PRAGMA incremental_vacuum(2000)").fetchall()

    def _forget(self, table: str, column: str, where: str, parameters: tuple[Any, ...], now_us: int, kept_us: int) -> None:
        connection = self._connection
        assert connection is not None  # noqa: S101 - _tidy looks first
        # ``where`` is our own word, as are the names.
        (oldest,) = connection.execute(f"SELECT min({column}) FROM {table} WHERE 1{where}", parameters).fetchone()
        if oldest is not None and oldest < now_us - kept_us:
            due = _due(now_us, kept_us, oldest)
            connection.execute(f"DELETE FROM {table} WHERE {column} < ?{where}", (due, *parameters))


def _due(now_us: int, kept_us: int, oldest_us: int) -> int:
    """Up to when rows go now: those that are too old, but of the time that the oldest are of no more than a thousandth of what is
    kept, and five minutes, at once. A clock that is wrong for a while takes little with it."""
    return min(now_us - kept_us, oldest_us + max(kept_us // 1_000, LEAST_STEP_US))


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
