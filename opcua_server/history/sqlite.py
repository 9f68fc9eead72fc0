"""History in one SQLite file of the data folder. A write-ahead log, so that readers see one moment and a killed process loses
nothing that was committed; a file that is none is put aside and a new one begun."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cnctwin.files import TAKEN_AWAY, identity, set_database_aside
from opcua_server.history.store import Connection, StoreDamaged, StoreError


def _raised(error: sqlite3.Error) -> StoreError:
    text = str(error)
    if "malformed" in text or "not a database" in text or "no such table" in text or "no such column" in text:
        return StoreDamaged(text)
    return StoreError(text)


class SqliteConnection:
    def __init__(self, path: Path, *, to_write: bool) -> None:
        self._path = path
        self._is_writer = to_write
        try:
            self._connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
        except sqlite3.Error as error:
            raise _raised(error) from error
        try:
            # Opened where the server starts and used by the writer from then on: one after the other.
            if to_write:
                for pragma in (
                    "auto_vacuum = INCREMENTAL",
                    "journal_mode = WAL",
                    "synchronous = NORMAL",
                    "journal_size_limit = 16777216",
                ):
                    self._connection.execute(f"PRAGMA {pragma}")
                self._connection.execute("BEGIN IMMEDIATE")  # whether it can be written at all shows only on writing
                self._connection.execute("COMMIT")
            else:
                self._connection.execute("PRAGMA query_only = 1")
        except sqlite3.Error as error:
            self._connection.close()
            raise _raised(error) from error
        self._identity = identity(path)

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        try:
            return self._connection.execute(sql, parameters).fetchall()
        except sqlite3.Error as error:
            raise _raised(error) from error

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Any]:
        try:
            yield from self._connection.execute(sql, parameters)
        except sqlite3.Error as error:
            raise _raised(error) from error

    def run_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        try:
            self._connection.executemany(sql, rows)
        except sqlite3.Error as error:
            raise _raised(error) from error

    def begin(self) -> None:
        if self._is_writer and identity(self._path) != self._identity:
            raise StoreError(TAKEN_AWAY)
        self.run("BEGIN")

    def commit(self) -> None:
        self.run("COMMIT")

    def rollback(self) -> None:
        if self._connection.in_transaction:
            with contextlib.suppress(StoreError):
                self.run("ROLLBACK")

    def size_bytes(self) -> int:
        pages, free, size = (self.run(f"PRAGMA {what}")[0][0] for what in ("page_count", "freelist_count", "page_size"))
        return int((pages - free) * size)

    def check(self) -> None:
        found = self.run("PRAGMA quick_check(1)")[0][0]
        if found != "ok":
            raise StoreDamaged(str(found).strip())

    def give_back(self) -> None:
        self.run("PRAGMA incremental_vacuum(2000)")

    def close(self) -> None:
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


class SqliteDatabase:
    """``path``: the file."""

    blob = "BLOB"

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        return str(self.path)

    def connect(self, *, to_write: bool) -> Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise StoreError(f"{error.strerror or error}") from error
        return SqliteConnection(self.path, to_write=to_write)

    def set_aside(self, problem: str) -> str:
        try:
            aside = set_database_aside(self.path)
        except OSError as error:
            raise StoreError(f"damaged ({problem}) and cannot be set aside: {error.strerror or error}") from error
        return aside.name
