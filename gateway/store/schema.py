"""Tables of the store, and how a frame is laid out.

    frame     one row a machine and tick: float64 of every numeric signal, in the order of its layout; NaN where not Good
    sample    signals that have no place in a frame: text, arrays, times, and the analytics' results, on change, with status
    rollup    count, min, max, sum, last of a tag by 1min, 5min and 1hour; buckets floored to the epoch
    document  telemetry that came in by REST
    event     alarms and messages; record: predictions and anomalies; command: the audit, which only grows
    outbox    alerts that still have to be sent; forest: what detection on documents has learned of each machine

Times are microseconds since the epoch, UTC. A row is 8 bytes a signal: one machine with 100 numbers at 10 Hz writes 8 kB/s.
"""

from __future__ import annotations

import json
import sqlite3
from typing import Final

from gateway.twin.telemetry import TELEMETRY_SIGNALS
from nodesets import catalogue

VERSION: Final = 1
RESOLUTIONS: Final[dict[str, int]] = {"1min": 60, "5min": 300, "1hour": 3600}
"""Name and length in seconds."""
COLUMNS: Final = tuple(signal.name for signal in catalogue.NUMERIC)
COLUMN: Final = {name: index for index, name in enumerate(COLUMNS)}
ROLLED: Final = frozenset(
    signal.name
    for signal in catalogue.SIGNALS
    if signal.is_numeric and signal.type != "Boolean" and (signal.historized or signal.name in TELEMETRY_SIGNALS)
)
"""Signals that rollups are kept of."""
SAMPLED: Final = frozenset(signal.name for signal in (*catalogue.OBJECTS, *catalogue.RESULTS))

TABLES: Final = """
CREATE TABLE IF NOT EXISTS machine (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS layout (version INTEGER PRIMARY KEY, columns TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS frame (
    machine INTEGER NOT NULL, ts_us INTEGER NOT NULL, layout INTEGER NOT NULL, v BLOB NOT NULL,
    PRIMARY KEY (machine, ts_us)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tag (id INTEGER PRIMARY KEY, machine INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE (machine, name));
CREATE TABLE IF NOT EXISTS sample (
    tag INTEGER NOT NULL, ts_us INTEGER NOT NULL, value, status INTEGER NOT NULL, PRIMARY KEY (tag, ts_us)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS rollup (
    tag INTEGER NOT NULL, res INTEGER NOT NULL, bucket INTEGER NOT NULL,
    count INTEGER NOT NULL, min REAL NOT NULL, max REAL NOT NULL, sum REAL NOT NULL, last REAL NOT NULL,
    PRIMARY KEY (tag, res, bucket)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS document (id INTEGER PRIMARY KEY, machine INTEGER NOT NULL, ts_us INTEGER NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS document_machine ON document (machine, id);
CREATE TABLE IF NOT EXISTS event (
    id INTEGER PRIMARY KEY, machine INTEGER NOT NULL, ts_us INTEGER NOT NULL, severity INTEGER NOT NULL,
    code TEXT NOT NULL, text TEXT NOT NULL, active INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS event_machine ON event (machine, id);
CREATE TABLE IF NOT EXISTS record (
    id INTEGER PRIMARY KEY, machine INTEGER NOT NULL, ts_us INTEGER NOT NULL, kind TEXT NOT NULL, body TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS record_machine ON record (machine, kind, id);
CREATE TABLE IF NOT EXISTS command (
    id INTEGER PRIMARY KEY, ts_us INTEGER NOT NULL, command TEXT NOT NULL, machine TEXT NOT NULL, method TEXT NOT NULL,
    arguments TEXT NOT NULL, user TEXT NOT NULL, state TEXT NOT NULL, reason TEXT);
CREATE TRIGGER IF NOT EXISTS command_is_kept BEFORE DELETE ON command BEGIN SELECT RAISE(ABORT, 'the audit only grows'); END;
CREATE TRIGGER IF NOT EXISTS command_is_final BEFORE UPDATE ON command BEGIN SELECT RAISE(ABORT, 'the audit only grows'); END;
CREATE TABLE IF NOT EXISTS forest (machine TEXT PRIMARY KEY, ts_us INTEGER NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS outbox (
    id INTEGER PRIMARY KEY, created_us INTEGER NOT NULL, next_us INTEGER NOT NULL, tries INTEGER NOT NULL, body TEXT NOT NULL);
"""


def prepare(connection: sqlite3.Connection, size_cap: int) -> int:
    """Set the connection up and make what is missing; returns the version of this program's frame layout."""
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise sqlite3.DatabaseError(f"not a database of this version of the program: {found}, not {VERSION}")
    if found < VERSION:
        connection.execute(f"PRAGMA user_version = {VERSION}")
    (page_size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.execute(f"PRAGMA max_page_count = {size_cap // page_size}")
    connection.executescript(TABLES)
    columns = json.dumps(COLUMNS)
    with connection:
        connection.execute("INSERT OR IGNORE INTO layout (columns) VALUES (?)", (columns,))
    (version,) = connection.execute("SELECT version FROM layout WHERE columns = ?", (columns,)).fetchone()
    return int(version)
