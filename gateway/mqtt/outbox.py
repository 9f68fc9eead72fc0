"""Events on their way to the broker, on disk until the broker has acknowledged them.

    event --commit (seq of its stream)--> row --published, QoS 1--> acknowledged --commit--> gone
                                           '--killed, broker away--> published again, with the same epoch and seq

(epoch, machine, stream, seq) names an event for good: a reader drops what it has seen and sees from a missing number that something
was lost. The epoch is that of the file: a new file, a new epoch, and numbers begin at 1. At most ROWS wait; for more the oldest go,
counted. Every commit is synchronous: what was accepted survives a kill and a power cut. One thread at a time gets in.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from cnctwin.files import identity, set_database_aside
from gateway.feed import OPTIONS

log = logging.getLogger("gateway.mqtt")
ROWS: Final = 20_000
SIZE_BYTES: Final = 128 << 20
"""Room for ROWS events of some kilobytes each: the rows are bounded, because a file that is full cannot even forget."""
TABLES: Final = """
CREATE TABLE IF NOT EXISTS epoch (only INTEGER PRIMARY KEY CHECK (only = 1), name TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS stream (machine TEXT NOT NULL, name TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (machine, name));
CREATE TABLE IF NOT EXISTS event (id INTEGER PRIMARY KEY AUTOINCREMENT, topic TEXT NOT NULL, payload BLOB NOT NULL);
"""


@dataclass(frozen=True, slots=True)
class Event:
    """``stream``: alarms, anomalies, predictions, commands or alerts."""

    machine: str
    stream: str
    topic: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    id: int
    topic: str
    payload: bytes


class Outbox:
    """``path``: the database file. Every call raises sqlite3.Error or OSError where the disk fails; the next one opens it anew."""

    def __init__(self, path: Path, rows: int = ROWS) -> None:
        self._path = path
        self._rows = rows
        self._connection: sqlite3.Connection | None = None
        self._turn = threading.RLock()
        self._identity: tuple[int, int] | None = None
        self._epoch = ""
        self._last = 0
        """Highest number of an event in this life: a new file goes on behind it, as acknowledgements of the old one may come."""
        self.waiting = 0
        self.dropped = 0
        """Oldest events that made room, since the start."""

    def commit(self, new: Sequence[Event], acknowledged: Iterable[int]) -> list[Stored]:
        """Keep new events and forget acknowledged ones, in one transaction; the new ones as they are to be published."""
        with self._turn:
            return self._commit(new, acknowledged)

    def _commit(self, new: Sequence[Event], acknowledged: Iterable[int]) -> list[Stored]:
        connection = self._open()
        stored: list[Stored] = []
        try:
            connection.execute("BEGIN IMMEDIATE")
            gone = connection.executemany("DELETE FROM event WHERE id = ?", ((number,) for number in acknowledged)).rowcount
            for event in new:
                stored.append(self._insert(connection, event))
            waiting = self.waiting - max(gone, 0) + len(stored)
            dropped = max(waiting - self._rows, 0)
            if dropped:
                oldest = "DELETE FROM event WHERE id IN (SELECT id FROM event ORDER BY id LIMIT ?)"
                connection.execute(oldest, (dropped,))
            connection.execute("COMMIT")
        except sqlite3.Error:
            self.close()
            raise
        self.waiting = waiting - dropped
        self.dropped += dropped
        return stored

    def after(self, number: int, limit: int) -> list[Stored]:
        """The oldest events behind a number, in order."""
        sql = "SELECT id, topic, payload FROM event WHERE id > ? ORDER BY id LIMIT ?"
        with self._turn:
            try:
                found = [Stored(*row) for row in self._open().execute(sql, (number, limit))]
                self._last = max([self._last, *(one.id for one in found)])
                return found
            except sqlite3.Error:
                self.close()
                raise

    def close(self) -> None:
        with self._turn:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def _insert(self, connection: sqlite3.Connection, event: Event) -> Stored:
        sql = "INSERT INTO stream VALUES (?, ?, 1) ON CONFLICT DO UPDATE SET seq = seq + 1 RETURNING seq"
        (seq,) = connection.execute(sql, (event.machine, event.stream)).fetchone()
        named = {"machine": event.machine, **event.body, "epoch": self._epoch, "stream": event.stream, "seq": seq}
        payload = orjson.dumps(named, option=OPTIONS)
        added = connection.execute("INSERT INTO event (topic, payload) VALUES (?, ?)", (event.topic, payload))
        self._last = int(added.lastrowid or 0)
        return Stored(self._last, event.topic, payload)

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None and identity(self._path) != self._identity:
            log.error("%s: was taken away, or another put in its place; what waited there is lost, a new epoch begins", self._path)
            self.close()
        if self._connection is None:
            try:
                self._connection = self._connect()
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError):
                    raise
                aside = set_database_aside(self._path)
                log.error("%s: damaged (%s); set aside as %s, a new epoch begins", self._path, error, aside.name)
                self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Calls come from one thread at a time, but not always from the same one.
        connection = sqlite3.connect(self._path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            (page_size,) = connection.execute("PRAGMA page_size").fetchone()
            connection.execute(f"PRAGMA max_page_count = {SIZE_BYTES // page_size}")
            connection.executescript(TABLES)
            connection.execute("INSERT OR IGNORE INTO epoch VALUES (1, ?)", (uuid.uuid4().hex[:12],))
            connection.execute(
                "INSERT INTO sqlite_sequence SELECT 'event', 0 WHERE 'event' NOT IN (SELECT name FROM sqlite_sequence)"
            )
            connection.execute("UPDATE sqlite_sequence SET seq = max(seq, ?) WHERE name = 'event'", (self._last,))
            (self._epoch,) = connection.execute("SELECT name FROM epoch").fetchone()
            (self.waiting,) = connection.execute("SELECT count(*) FROM event").fetchone()
        except BaseException:
            connection.close()
            raise
        self._identity = identity(self._path)
        return connection
