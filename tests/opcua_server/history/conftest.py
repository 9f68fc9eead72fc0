"""Databases to keep history in: a SQLite file of each test's own, and a PostgreSQL server, started once where there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from opcua_server.history.sqlite import SqliteDatabase
from opcua_server.history.store import Database
from tests.harness import free_ports, wait_for


def _program(name: str) -> str | None:
    places = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"), reverse=True)
    return shutil.which(name) or (str(places[0]) if places else None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """Address of a PostgreSQL server on loopback, in a folder that goes with it."""
    psycopg = pytest.importorskip("psycopg", reason="the extra `postgres` is not installed")
    initdb, postgres = _program("initdb"), _program("postgres")
    if initdb is None or postgres is None:
        pytest.skip("PostgreSQL is not installed")
    # It refuses to run as root.
    more: dict[str, Any] = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
    with tempfile.TemporaryDirectory() as folder:
        if more:
            shutil.chown(folder, "nobody")
        data = f"{folder}/data"
        quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **more}
        subprocess.run(
            [initdb, "-D", data, "-U", "test", "-A", "trust", "--no-sync", "--no-locale", "-E", "UTF8"], check=True, **quiet
        )
        (port,) = free_ports(1)
        options = ["-D", data, "-p", str(port), "-k", folder, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]
        server = subprocess.Popen([postgres, *options], **quiet)
        url = f"postgresql://test@127.0.0.1:{port}/postgres"

        def answers() -> bool:
            try:
                psycopg.connect(url, connect_timeout=2).close()
            except psycopg.OperationalError:
                assert server.poll() is None, "PostgreSQL has ended"
                return False
            return True

        try:
            wait_for(answers, "PostgreSQL answers", 60)
            yield url
        finally:
            server.terminate()
            try:
                server.wait(30)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()


@pytest.fixture
def sqlite(tmp_path: Path) -> SqliteDatabase:
    return SqliteDatabase(tmp_path / "history" / "history.sqlite")


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> Database:
    if request.param == "sqlite":
        return request.getfixturevalue("sqlite")  # type: ignore[no-any-return]
    from opcua_server.history.postgres import PostgresDatabase

    url = request.getfixturevalue("postgresql")
    empty(url)
    return PostgresDatabase(url)


def empty(url: str) -> None:
    """Drop what another test has kept."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as connection:
        for name in ("tag", "block", "journal", "mark", "event", "edit"):
            connection.execute(f"DROP TABLE IF EXISTS history_{name}")
