"""Rollups on their way into the store: what came since the last flush, by tag, resolution and bucket."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.store.schema import RESOLUTIONS

_LENGTHS_US = tuple(length * 1_000_000 for length in RESOLUTIONS.values())

Row = tuple[str, str, int, int, int, float, float, float, float]
"""machine, name, resolution in seconds, bucket start in us, count, min, max, sum, last"""

UPSERT = """
INSERT INTO rollup (tag, res, bucket, count, min, max, sum, last) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (tag, res, bucket) DO UPDATE SET count = count + excluded.count, min = min(min, excluded.min),
max = max(max, excluded.max), sum = sum + excluded.sum, last = excluded.last
"""


def bucket_start_us(ts_us: int, length_us: int) -> int:
    """The start of the bucket a time falls in: floored to multiples of the length since the epoch, also before 1970."""
    return ts_us // length_us * length_us


class Rollups:
    """Accumulates values; ``take`` empties it."""

    def __init__(self) -> None:
        # (machine, name, length, bucket) -> [count, min, max, sum, last]
        self._open: dict[tuple[str, str, int, int], list[float]] = {}

    def add(self, machine: str, name: str, ts_us: int, value: float) -> None:
        for length_us in _LENGTHS_US:
            key = (machine, name, length_us, ts_us // length_us)
            row = self._open.get(key)
            if row is None:
                self._open[key] = [1, value, value, value, value]
                continue
            row[0] += 1
            if value < row[1]:
                row[1] = value
            if value > row[2]:
                row[2] = value
            row[3] += value
            row[4] = value

    def take(self) -> Iterator[Row]:
        rows, self._open = self._open, {}
        for (machine, name, length_us, number), (count, low, high, total, last) in rows.items():
            yield machine, name, length_us // 1_000_000, number * length_us, int(count), low, high, total, last
