"""History in a PostgreSQL database, for who has one: the same tables, so that others can look at them too.

Blocks come through a cursor of the server's, a few at a time, as a long range has more of them than should be in memory. What is
deleted leaves room in the tables, so their size on disk says little: what the blocks take is added up instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

from cnctwin.errors import ConfigurationError
from opcua_server.history.store import Connection, StoreError

BATCH: Final = 32
CONNECT_TIMEOUT_S: Final = 3
_SIZE: Final = "SELECT coalesce(sum(pg_column_size(body)), 0) FROM history_block"


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
        try:
            self._connection = psycopg.connect(url, autocommit=True, connect_timeout=CONNECT_TIMEOUT_S, application_name="cnctwin")
        except psycopg.Error as error:
            raise StoreError(_told(error)) from error

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(sql.replace("?", "%s"), parameters or None)
                return cursor.fetchall() if cursor.description else []
        except self._psycopg.Error as error:
            raise StoreError(_told(error)) from error

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        """Within a transaction."""
        try:
            with self._connection.cursor(name="history") as cursor:
                cursor.itersize = BATCH
                cursor.execute(sql.replace("?", "%s"), parameters)
                yield from cursor
        except self._psycopg.Error as error:
            raise StoreError(_told(error)) from error

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        if not rows:
            return
        try:
            with self._connection.cursor() as cursor:
                cursor.executemany(sql.replace("?", "%s"), rows)
        except self._psycopg.Error as error:
            raise StoreError(_told(error)) from error

    def begin(self) -> None:
        self.run(self._begin)

    def commit(self) -> None:
        self.run("COMMIT")

    def rollback(self) -> None:
        with contextlib.suppress(StoreError):
            self.run("ROLLBACK")

    def size_bytes(self) -> int:
        return int(self.run(_SIZE)[0][0])

    def give_back(self) -> None:
        """The database does so by itself."""

    def close(self) -> None:
        with contextlib.suppress(self._psycopg.Error):
            self._connection.close()


class PostgresDatabase:
    """``url``: postgresql://user:password@host:port/database. Raises ConfigurationError without the driver."""

    blob = "BYTEA"

    def __init__(self, url: str) -> None:
        self._url = url
        self._psycopg = _driver()

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
