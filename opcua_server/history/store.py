"""Where history lies: tags, blocks, the journal of what is not in a block yet, and events. One schema for both databases.

    tag      number, name, type
    block    one tag over a minute or more: low and high time, and the samples (blocks.py)
    journal  frames of half a second (frames.py), until they are in blocks
    mark     ``cut``: the serial number up to which frames are in blocks, changed in the transaction that writes these;
             ``run``: whose numbers these are, so that a writer who comes back knows what of its own was written;
             ``version``: of this schema
    event    time, emitter, and the fields
    edit     tag, low and high time, and what somebody changed there (edits.py)

A reader sees the mark and the blocks of one moment, so that a sample is either in a block or behind the mark, never in both.
Times are 100 ns since 1601.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from opcua_server.history import edits
from opcua_server.history.edits import Edit

MAX_SPAN: Final = 2 * 3_600 * 10_000_000
"""A block spans no more, in 100 ns: what overlaps a time begins at most so long before it."""

MOST_EVENTS: Final = 500_000
VERSION: Final = 1

TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS history_tag (id BIGINT PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS history_block (id BIGINT PRIMARY KEY, tag BIGINT NOT NULL, low BIGINT NOT NULL,"
    " high BIGINT NOT NULL, count INTEGER NOT NULL, body {blob} NOT NULL)",
    "CREATE INDEX IF NOT EXISTS history_block_low ON history_block (tag, low)",
    "CREATE INDEX IF NOT EXISTS history_block_high ON history_block (tag, high)",
    "CREATE INDEX IF NOT EXISTS history_block_age ON history_block (high)",
    "CREATE TABLE IF NOT EXISTS history_journal (serial BIGINT PRIMARY KEY, body {blob} NOT NULL)",
    "CREATE TABLE IF NOT EXISTS history_mark (name TEXT PRIMARY KEY, value BIGINT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS history_event (id BIGINT PRIMARY KEY, emitter TEXT NOT NULL, time BIGINT NOT NULL,"
    " body {blob} NOT NULL)",
    "CREATE INDEX IF NOT EXISTS history_event_time ON history_event (emitter, time, id)",
    "CREATE TABLE IF NOT EXISTS history_edit (id BIGINT PRIMARY KEY, tag BIGINT NOT NULL, low BIGINT NOT NULL,"
    " high BIGINT NOT NULL, body {blob} NOT NULL)",
)


class StoreError(Exception):
    """The database cannot be used now; what is to be kept stays in memory meanwhile."""


class StoreAway(StoreError):
    """Nothing answers there; whoever asks again at once waits again."""


class StoreDamaged(StoreError):
    """It will not be usable again as it is."""


@dataclass(frozen=True, slots=True)
class Block:
    """``id`` numbers blocks in the order of recording. ``low`` <= ``high``: times of the first and last sample."""

    id: int
    tag: int
    low: int
    high: int
    count: int
    body: bytes


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """``id`` orders events of one time. ``emitter``: the notifier's NodeId as text."""

    id: int
    emitter: str
    time: int
    body: bytes


class Connection(Protocol):
    """A database connection with ``?`` for parameters. Raises StoreError and StoreDamaged."""

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows; an empty list for what has none."""

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """Rows as they are needed."""

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None: ...

    def begin(self) -> None: ...

    def commit(self) -> None: ...

    def rollback(self) -> None: ...

    def size_bytes(self) -> int:
        """What the history takes of the disk, without what is free to be used again."""

    def check(self) -> None:
        """Look at all of it. Raises StoreDamaged."""

    def give_back(self) -> None:
        """Let the disk have some of what is free."""

    def close(self) -> None: ...


class Database(Protocol):
    """Opens connections, each for one thread. ``blob``: its type for bytes."""

    blob: str

    @property
    def name(self) -> str: ...

    def connect(self, *, to_write: bool) -> Connection:
        """Raises StoreError, StoreDamaged."""

    def set_aside(self, problem: str) -> str:
        """Make room for a new one; where the damaged one lies. Raises StoreError."""


class Writing:
    """The statements of who writes, on one connection."""

    def __init__(self, connection: Connection, blob: str) -> None:
        self._connection = connection
        for table in TABLES:
            connection.run(table.format(blob=blob))
        if (found := self.mark("version")) > VERSION:
            raise StoreDamaged(f"a newer version of this program wrote it: {found}, not {VERSION}")
        if found < VERSION:
            self._put_mark("version", VERSION)
        self.next_block = 1 + (connection.run("SELECT max(id) FROM history_block")[0][0] or 0)
        self.next_event = 1 + (connection.run("SELECT max(id) FROM history_event")[0][0] or 0)

    def name_tags(self, tags: Sequence[tuple[int, str, str]]) -> None:
        """Note which number is which (number, name, type): for people, since a number follows from the name."""
        self._connection.run_many(
            "INSERT INTO history_tag (id, name, kind) VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING", list(tags)
        )

    def mark(self, name: str = "cut") -> int:
        rows = self._connection.run("SELECT value FROM history_mark WHERE name = ?", (name,))
        return int(rows[0][0]) if rows else 0

    def claim(self, run: int) -> None:
        """From now on serial numbers are those of this run of the writer."""
        self._put_mark("run", run)

    def journaled(self) -> int:
        """The last serial number in the journal."""
        return int(self._connection.run("SELECT max(serial) FROM history_journal")[0][0] or 0)

    def _put_mark(self, name: str, value: int) -> None:
        self._connection.run(
            "INSERT INTO history_mark (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, value),
        )

    def journal(self) -> list[bytes]:
        """The entries, oldest first."""
        return [bytes(body) for (body,) in self._connection.run("SELECT body FROM history_journal ORDER BY serial")]

    def edits(self) -> list[Edit]:
        """All of them, in their order. Raises StoreError."""
        rows = self._connection.run("SELECT id, tag, low, high, body FROM history_edit ORDER BY id")
        try:
            return [edits.read(number, tag, low, high, bytes(body)) for number, tag, low, high, body in rows]
        except (ValueError, TypeError) as error:
            raise StoreDamaged(f"an edit cannot be read: {error}") from error

    def write_edits(self, made: Sequence[Edit]) -> None:
        """All of them or none; one that is there already stays."""
        self._connection.begin()
        try:
            self._connection.run_many(
                "INSERT INTO history_edit (id, tag, low, high, body) VALUES (?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                [(one.id, one.tag, one.low, one.high, one.body()) for one in made],
            )
            self._connection.commit()
        except BaseException:
            self._connection.rollback()
            raise

    def oldest(self) -> int:
        """When the oldest block begins; 0 without any."""
        rows = self._connection.run("SELECT low FROM history_block ORDER BY high LIMIT 1")
        return int(rows[0][0]) if rows else 0

    def write(
        self, journal: Iterable[tuple[int, bytes]], blocks: Sequence[Block], mark: int | None, events: Sequence[StoredEvent]
    ) -> None:
        """All of it or nothing. ``mark``: frames up to that serial number are in the blocks, and leave the journal."""
        connection = self._connection
        connection.begin()
        try:
            connection.run_many("INSERT INTO history_journal (serial, body) VALUES (?, ?)", list(journal))
            connection.run_many(
                "INSERT INTO history_block (id, tag, low, high, count, body) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE"
                " SET low = excluded.low, high = excluded.high, count = excluded.count, body = excluded.body",
                [(one.id, one.tag, one.low, one.high, one.count, one.body) for one in blocks],
            )
            connection.run_many(
                "INSERT INTO history_event (id, emitter, time, body) VALUES (?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
                [(one.id, one.emitter, one.time, one.body) for one in events],
            )
            if mark is not None:
                self._put_mark("cut", mark)
                connection.run("DELETE FROM history_journal WHERE serial <= ?", (mark,))
            connection.commit()
        except BaseException:
            connection.rollback()
            raise

    def due(self, before: int, step: int) -> int:
        """Up to when history goes now: ``before``, but no more than a ``step`` of time at once, as the clock that says what is old
        may be wrong."""
        rows = self._connection.run("SELECT high FROM history_block ORDER BY high LIMIT 1")
        rows += self._connection.run("SELECT time FROM history_event ORDER BY id LIMIT 1")
        return min(before, min((int(row[0]) for row in rows), default=before) + step)

    def forget(self, before: int, size_bytes: int) -> bool:
        """Drop what is older than ``before``, and a tenth of the time that is left where it takes more than ``size_bytes``; whether
        that was so."""
        connection = self._connection
        connection.run("DELETE FROM history_block WHERE high < ?", (before,))
        connection.run("DELETE FROM history_event WHERE time < ?", (before,))
        connection.run("DELETE FROM history_edit WHERE high < ?", (before,))
        connection.run("DELETE FROM history_event WHERE id <= (SELECT max(id) FROM history_event) - ?", (MOST_EVENTS,))
        if connection.size_bytes() <= size_bytes:
            connection.give_back()
            return False
        ((low, high),) = connection.run("SELECT min(high), max(high) FROM history_block")
        if low is not None:
            connection.run("DELETE FROM history_block WHERE high <= ?", (low + (high - low) // 10,))
        connection.give_back()
        return True


class Reading:
    """The questions of who reads, on one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def begin(self) -> int:
        """See one moment from now on; the mark of that moment."""
        self._connection.begin()
        rows = self._connection.run("SELECT value FROM history_mark WHERE name = 'cut'")
        return int(rows[0][0]) if rows else 0

    def end(self) -> None:
        self._connection.rollback()

    def blocks(self, tag: int, low: int, high: int, *, backwards: bool) -> Iterator[Block]:
        """What overlaps [low, high], by its low time; backwards by its high time, latest first."""
        edge, order = ("high", "high DESC") if backwards else ("low", "low")
        reach = (low, high + MAX_SPAN) if backwards else (low - MAX_SPAN, high)
        sql = (
            f"SELECT id, tag, low, high, count, body FROM history_block WHERE tag = ? AND {edge} >= ? AND {edge} <= ?"
            f" AND high >= ? AND low <= ? ORDER BY {order}"
        )
        limit = (1 << 63) - 1
        bounds = (max(reach[0], 0), min(reach[1], limit), low, high)
        for row in self._connection.rows(sql, (tag, *bounds)):
            yield Block(row[0], row[1], row[2], row[3], row[4], bytes(row[5]))

    def events(self, emitters: Sequence[str], low: int, high: int, after: int, limit: int, *, backwards: bool) -> list[StoredEvent]:
        """Up to ``limit`` with low <= time <= high, in the direction; of the first time only those behind the event ``after``."""
        marks = ", ".join("?" * len(emitters))
        edge, step, order = (high, "<", "DESC") if backwards else (low, ">", "ASC")
        sql = (
            f"SELECT id, emitter, time, body FROM history_event WHERE emitter IN ({marks}) AND time >= ? AND time <= ?"
            f" AND (time <> ? OR id {step} ?) ORDER BY time {order}, id {order} LIMIT ?"
        )
        rows = self._connection.run(sql, (*emitters, low, high, edge, after, limit))
        return [StoredEvent(row[0], row[1], row[2], bytes(row[3])) for row in rows]
