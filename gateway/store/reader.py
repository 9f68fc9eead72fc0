"""Questions to the store. Each runs in a thread on a read-only connection; none sees a half-written second.

What lies in the future (the clock was set back) is kept but is never "the latest".
"""

from __future__ import annotations

import json
import sqlite3
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from cnctwin.reading import Value, iso
from gateway.store.schema import RESOLUTIONS
from gateway.twin.telemetry import FIELDS, SIGNAL_OF_FIELD, document_of_values
from nodesets import catalogue

POINTS: Final = 20_000
"""Points one question may bring; the newest ones."""
BUCKETS: Final = 1000


class Reader:
    """Opened for one question, or for several in a row, in one thread."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=2.0)

    def close(self) -> None:
        self._connection.close()

    def points(self, machine: str, name: str, start_us: int, end_us: int) -> list[tuple[int, Any]]:
        """(time in us, value) of a signal in [start, end), oldest first; None where it was not usable."""
        found: list[tuple[int, Any]] = []
        for version, columns in self._connection.execute("SELECT version, columns FROM layout"):
            names: list[str] = json.loads(columns)
            if name in names:
                found += self._column(machine, int(version), names.index(name), start_us, end_us)
        sql = (
            "SELECT ts_us, value, status FROM sample JOIN tag ON tag.id = sample.tag JOIN machine ON machine.id = tag.machine"
            " WHERE machine.name = ? AND tag.name = ? AND ts_us >= ? AND ts_us < ? ORDER BY ts_us DESC LIMIT ?"
        )
        for ts_us, value, status in self._connection.execute(sql, (machine, name, start_us, end_us, POINTS)):
            found.append((ts_us, _restored(name, value) if status >> 30 == 0 else None))
        return sorted(found, key=lambda point: point[0])[-POINTS:]

    def _column(self, machine: str, layout: int, index: int, start_us: int, end_us: int) -> list[tuple[int, Any]]:
        sql = (
            "SELECT ts_us, substr(v, ?, 8) FROM frame WHERE machine = (SELECT id FROM machine WHERE name = ?)"
            " AND ts_us >= ? AND ts_us < ? AND layout = ? ORDER BY ts_us DESC LIMIT ?"
        )
        rows = self._connection.execute(sql, (index * 8 + 1, machine, start_us, end_us, layout, POINTS))
        values = ((ts_us, struct.unpack("<d", raw)[0]) for ts_us, raw in rows if len(raw) == 8)
        return [(ts_us, value if value == value else None) for ts_us, value in values]

    def buckets(
        self, machine: str, names: Sequence[str], res_s: int, start_us: int | None = None, end_us: int | None = None
    ) -> list[tuple[int, int, float, float, float]]:
        """(bucket start in us, count, min, max, average), oldest first, the newest BUCKETS of them; several names add up."""
        sql = (
            "SELECT bucket, sum(count), min(rollup.min), max(rollup.max), sum(sum) / sum(count) FROM rollup"
            f" WHERE tag IN (SELECT tag.id FROM tag JOIN machine ON machine.id = tag.machine WHERE machine.name = ?"
            f" AND tag.name IN ({', '.join('?' * len(names))}))"
            " AND res = ? AND bucket >= ? AND bucket < ? GROUP BY bucket ORDER BY bucket DESC LIMIT ?"
        )
        low = -(1 << 62) if start_us is None else start_us // (res_s * 1_000_000) * res_s * 1_000_000
        high = 1 << 62 if end_us is None else end_us
        rows = self._connection.execute(sql, (machine, *names, res_s, low, high, BUCKETS)).fetchall()
        return [(int(b), int(n), lo, hi, avg) for b, n, lo, hi, avg in reversed(rows)]

    def aggregate(self, machine: str, metric: str, windows: Sequence[str]) -> list[dict[str, Any]]:
        """Buckets of a metric of the telemetry document, as the first REST surface shows them."""
        names = [name for name in (SIGNAL_OF_FIELD.get(metric), metric) if name is not None]
        return [
            {
                "machine_id": machine,
                "metric": metric,
                "window": window,
                "bucket_start": iso(bucket * 1000),
                "count": count,
                "min_value": low,
                "max_value": high,
                "avg_value": average,
            }
            for window in windows
            for bucket, count, low, high, average in self.buckets(machine, names, RESOLUTIONS[window])
        ]

    def machines(self) -> list[str]:
        return [name for (name,) in self._connection.execute("SELECT name FROM machine")]

    def is_external(self, machine: str) -> bool:
        """Whether only telemetry that was sent in is known of a machine."""
        sql = (
            "SELECT EXISTS (SELECT 1 FROM document JOIN machine ON machine.id = document.machine WHERE machine.name = ?)"
            " AND NOT EXISTS (SELECT 1 FROM frame JOIN machine ON machine.id = frame.machine WHERE machine.name = ?)"
        )
        return bool(self._connection.execute(sql, (machine, machine)).fetchone()[0])

    def documents(self, machine: str, until_us: int, limit: int) -> list[dict[str, Any]]:
        """The last telemetry documents of a machine, oldest first: sent in by REST, and told from frames."""
        sql = "SELECT ts_us, body FROM document WHERE machine = (SELECT id FROM machine WHERE name = ?) ORDER BY id DESC LIMIT ?"
        found = [(ts_us, json.loads(body)) for ts_us, body in self._connection.execute(sql, (machine, limit))]
        found += self._told_from_frames(machine, until_us, limit)
        return [document for _, document in sorted(found, key=lambda pair: pair[0])][-limit:]

    def _told_from_frames(self, machine: str, until_us: int, limit: int) -> list[tuple[int, dict[str, Any]]]:
        layouts = {int(v): list(json.loads(c)) for v, c in self._connection.execute("SELECT version, columns FROM layout")}
        sql = (
            "SELECT ts_us, layout, v FROM frame WHERE machine = (SELECT id FROM machine WHERE name = ?) AND ts_us <= ?"
            " ORDER BY ts_us DESC LIMIT ?"
        )
        frames = self._connection.execute(sql, (machine, until_us, limit)).fetchall()
        if not frames:
            return []
        texts = {
            signal: self._steps(machine, signal, frames[-1][0], frames[0][0])
            for _, signal, _ in FIELDS
            if not catalogue.BY_NAME[signal].is_numeric
        }
        told = []
        for ts_us, layout, raw in reversed(frames):
            numbers = struct.unpack(f"<{len(raw) // 8}d", raw)
            values: dict[str, Value] = {
                name: _number(name, number) for name, number in zip(layouts[layout], numbers, strict=False) if number == number
            }
            for signal, steps in texts.items():
                known = [value for at, value in steps if at <= ts_us and value is not None]
                if known:
                    values[signal] = known[-1]
            told.append((ts_us, document_of_values(machine, ts_us * 1000, values).envelope()))
        return told

    def _steps(self, machine: str, name: str, start_us: int, end_us: int) -> list[tuple[int, Any]]:
        """Values of a text signal over a time, the one before it included."""
        sql = (
            "SELECT max(ts_us) FROM sample WHERE ts_us <= ? AND tag = (SELECT tag.id FROM tag"
            " JOIN machine ON machine.id = tag.machine WHERE machine.name = ? AND tag.name = ?)"
        )
        (before,) = self._connection.execute(sql, (start_us, machine, name)).fetchone()
        return self.points(machine, name, start_us if before is None else before, end_us + 1)

    def events(self, limit: int) -> list[tuple[str, int, int, str, str, bool]]:
        """(machine, us, severity, code, text, active) of the last alarms and messages of each machine, oldest first."""
        sql = (
            "SELECT name, ts_us, severity, code, text, active FROM (SELECT event.*, row_number() OVER (PARTITION BY machine"
            " ORDER BY id DESC) AS nth FROM event) AS recent JOIN machine ON machine.id = recent.machine WHERE nth <= ?"
            " ORDER BY recent.id"
        )
        return [(m, t, s, c, x, bool(a)) for m, t, s, c, x, a in self._connection.execute(sql, (limit,))]

    def records(self, kind: str, limit: int) -> list[tuple[str, dict[str, Any]]]:
        """(machine, record) of the last predictions or anomalies of each machine, oldest first."""
        sql = (
            "SELECT name, body FROM (SELECT record.*, row_number() OVER (PARTITION BY machine ORDER BY id DESC) AS nth"
            " FROM record WHERE kind = ?) AS recent JOIN machine ON machine.id = recent.machine WHERE nth <= ? ORDER BY recent.id"
        )
        return [(name, json.loads(body)) for name, body in self._connection.execute(sql, (kind, limit))]

    def forests(self) -> list[tuple[str, bytes]]:
        """(machine, content) of the forests that were grown, the newest of each."""
        return [(name, bytes(body)) for name, body in self._connection.execute("SELECT machine, body FROM forest ORDER BY ts_us")]

    def outbox(self, now_us: int, longest_us: int, limit: int) -> list[tuple[int, int, int, dict[str, Any]]]:
        """(id, created us, tries, alert) of what is due. What would be due later than anything is put off has seen the clock set
        back."""
        sql = "SELECT id, created_us, tries, body FROM outbox WHERE next_us <= ? OR next_us > ? ORDER BY next_us LIMIT ?"
        rows = self._connection.execute(sql, (now_us, now_us + longest_us, limit))
        return [(i, c, t, json.loads(body)) for i, c, t, body in rows]

    def outbox_size(self) -> int:
        return int(self._connection.execute("SELECT count(*) FROM outbox").fetchone()[0])


def _restored(name: str, value: Any) -> Any:
    row = catalogue.BY_NAME.get(name)
    if row is None:
        return value
    if row.type.endswith("[]") and isinstance(value, str):
        return json.loads(value)
    return bool(value) if row.type == "Boolean" else value


def _number(name: str, number: float) -> Value:
    row = catalogue.BY_NAME.get(name)
    if row is None or row.type == "Double":
        return number
    return bool(number) if row.type == "Boolean" else int(number)
