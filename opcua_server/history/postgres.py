"""History in a PostgreSQL database, for who has one: the same tables, so that others can look at them too.

Blocks come through a cursor of the server's, a few at a time, as a long range has more of them than should be in memory. What is
deleted leaves room in the tables, so their size on disk says little: what the blocks take is added up instead.

A database that stands still, or a network that swallows what is sent, keeps a connection open for hours and says nothing: who hears
nothing for SILENT_S gives it up. Whoever writes holds a lock of the database, as the numbers of two servers would get mixed up.
"""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Generator, Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from cnctwin.errors import ConfigurationError
from opcua_server.history.store import Connection, StoreAway, StoreError

BATCH: Final = 32
CONNECT_TIMEOUT_S: Final = 3
SILENT_S: Final = (4.0, 20.0)
"""So long is waited for a word of the database: by who reads, whose client waits too, and by who writes."""
LOCK_WAIT: Final = "2s"
"""For a connection of our own that the database has not closed yet."""
_LOCK: Final = 0x434E43
_SESSION: Final = (
    # So that the lock of a connection that broke does not outlive it for long.
    "SET tcp_keepalives_idle = 10",
    "SET tcp_keepalives_interval = 5",
    "SET tcp_keepalives_count = 3",
    "SET client_connection_check_interval = '5s'",
)
_SIZE: Final = "SELECT coalesce(sum(pg_column_size(body)), 0) FROM history_block"


def _until_silent(steps: Generator[Any, Any, Any], silent_s: float, error: type[Exception]) -> Generator[Any, Any, Any]:
    """What the driver waits for, step by step; it is told several times a second that nothing has come. Raises ``error``."""
    heard_s = time.monotonic()
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            now_s = time.monotonic()
            if ready:
                heard_s = now_s
            elif now_s - heard_s > silent_s:
                raise error(f"no answer for {silent_s:g} s")
            wanted = steps.send(ready)
    except StopIteration as end:
        return end.value


@functools.cache
def _connection_class(psycopg: Any, silent_s: float) -> Any:
    class Heard(psycopg.Connection):  # type: ignore[misc]
        def wait(self, gen: Any, *more: Any, **named: Any) -> Any:
            return super().wait(_until_silent(gen, silent_s, psycopg.errors.ConnectionTimeout), *more, **named)

    return Heard


def _driver() -> Any:
    try:
        import psycopg
    except ImportError as error:
        raise ConfigurationError(["history_url: PostgreSQL needs the extra `postgres`: pip install 'cnctwin[postgres]'"]) from error
    return psycopg


class PostgresConnection:
    def __init__(self, psycopg: Any, url: str, *, to_write: bool) -> None:
        self._psycopg = psycopg
        self._begin = "BEGIN" if to_write else "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
        kind = _connection_class(psycopg, SILENT_S[to_write])
        try:
            self._connection = kind.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="cnctwin")
        except psycopg.Error as error:
            raise StoreAway(_told(error)) from error
        if to_write:
            try:
                self._lock()
            except StoreError:
                self.close()
                raise

    def _lock(self) -> None:
        for setting in (f"SET lock_timeout = '{LOCK_WAIT}'", *_SESSION):
            with contextlib.suppress(
                self._psycopg.errors.UndefinedObject, self._psycopg.errors.InvalidParameterValue
            ):  # older ones
                self._connection.execute(setting)
        try:
            self._connection.execute("SELECT pg_advisory_lock(%s, hashtext(current_schema()))", (_LOCK,))
        except self._psycopg.errors.LockNotAvailable as error:
            raise StoreError("another server keeps its history in this database; give each a database of its own") from error
        except self._psycopg.Error as error:
            raise self._raised(error) from error

    def _raised(self, error: Exception) -> StoreError:
        return StoreAway(_told(error)) if isinstance(error, self._psycopg.errors.ConnectionTimeout) else StoreError(_told(error))

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql.replace("?", "%s"), parameters or None)
                return cursor.fetchall() if cursor.description else []
        except self._psycopg.Error as error:
            raise self._raised(error) from error

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """Within a transaction."""
        try:
            with self._connection.cursor(name="history") as cursor:
                cursor.itersize = BATCH
                cursor.execute(sql.replace("?", "%s"), parameters)
                yield from cursor
        except self._psycopg.Error as error:
            raise self._raised(error) from error

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        try:
            with self._connection.cursor() as cursor:
                cursor.executemany(sql.replace("?", "%s"), rows)
        except self._psycopg.Error as error:
            raise self._raised(error) from error

    def begin(self) -> None:
        self.run(self._begin)

    def commit(self) -> None:
        self.run("COMMIT")

    def rollback(self) -> None:
        with contextlib.suppress(StoreError):
            self.run("ROLLBACK")

    def size_bytes(self) -> int:
        return int(self.run(_SIZE)[0][0])

    def check(self) -> None:
        """The database does so by itself."""

    def give_back(self) -> None:
        """The database does so by itself."""

    def close(self) -> None:
        with contextlib.suppress(self._psycopg.Error):
            self._connection.close()


class PostgresDatabase:
    """``url``: postgresql://user:password@host:port/database. Raises ConfigurationError: no driver, or no address."""

    blob = "BYTEA"

    def __init__(self, url: str) -> None:
        self._url = url
        self._psycopg = _driver()
        try:
            self._psycopg.conninfo.conninfo_to_dict(url)
            urlsplit(url).port  # noqa: B018 - raises ValueError
        except (self._psycopg.Error, ValueError) as error:
            # What the driver says would show the password.
            what = "signs such as @ / : % and spaces are written as %40 %2F %3A %25 %20 in user and password"
            raise ConfigurationError([f"history_url: is no address of a PostgreSQL database that can be read; {what}"]) from error

    @property
    def name(self) -> str:
        """Without the password."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.hostname or 'localhost'}{parts.path}"

    def connect(self, *, to_write: bool) -> Connection:
        return PostgresConnection(self._psycopg, self._url, to_write=to_write)

    def set_aside(self, problem: str) -> str:
        """Nothing of a database that others keep is put aside."""
        raise StoreError(problem)


def _told(error: Exception) -> str:
    """One line of what the server or the driver says."""
    return " ".join(str(error).split())[:300] or type(error).__name__
