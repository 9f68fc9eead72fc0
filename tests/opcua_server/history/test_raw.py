"""Which samples a raw read brings: the table of OPC 10000-11, 4.6, and pages that together are the whole."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.history.raw import BAD_BOUND_NOT_FOUND, Read, page, wanted
from opcua_server.history.series import Series, of

M = 60 * 10_000_000
HOUR = 129_700_000_000_000_000
"""Five o'clock."""


def reading(series: Series) -> Read:
    def read(low: int, high: int, most: int, backwards: bool) -> Series:
        found = series.between(low, high)
        return found.part(max(0, len(found) - most), len(found)) if backwards else found.part(0, most)

    return read


def pages(read: Read, start: int | None, end: int | None, most: int, *, bounds: bool) -> list[list[tuple[int, int]]]:
    """(time, status) of each page."""
    found = []
    rest = wanted(start, end, bounds=bounds)
    while True:
        shown, after = page(read, "Double", rest, most)
        found.append(list(zip(shown.times.tolist(), shown.statuses.tolist(), strict=True)))
        if after is None:
            return found
        rest = after


_TABLE = """
    5:00 5:05 0 y: 5:00 5:02 5:03 5:05      | 5:00 5:05 0 n: 5:00 5:02 5:03
    5:01 5:04 0 y: 5:00 5:02 5:03 5:05      | 5:01 5:04 0 n: 5:02 5:03
    5:05 5:00 0 y: 5:05 5:03 5:02 5:00      | 5:05 5:00 0 n: 5:05 5:03 5:02
    5:04 5:01 0 y: 5:05 5:03 5:02 5:00      | 5:04 5:01 0 n: 5:03 5:02
    4:59 5:05 0 y: FIRST 5:00 5:02 5:03 5:05 | 4:59 5:05 0 n: 5:00 5:02 5:03
    5:01 5:07 0 y: 5:00 5:02 5:03 5:05 5:06 LAST | 5:01 5:07 0 n: 5:02 5:03 5:05 5:06
    5:00 5:05 3 y: 5:00 5:02 5:03           | 5:00 5:05 3 n: 5:00 5:02 5:03
    5:01 5:04 3 y: 5:00 5:02 5:03           | 5:01 5:04 3 n: 5:02 5:03
    5:05 5:00 3 y: 5:05 5:03 5:02           | 5:05 5:00 3 n: 5:05 5:03 5:02
    5:04 5:01 3 y: 5:05 5:03 5:02           | 5:04 5:01 3 n: 5:03 5:02
    4:59 5:05 3 y: FIRST 5:00 5:02          | 4:59 5:05 3 n: 5:00 5:02 5:03
    5:01 5:07 3 y: 5:00 5:02 5:03           | 5:01 5:07 3 n: 5:02 5:03 5:05
    5:00 - 3 y: 5:00 5:02 5:03              | 5:00 - 3 n: 5:00 5:02 5:03
    5:00 - 6 y: 5:00 5:02 5:03 5:05 5:06 LAST | 5:00 - 6 n: 5:00 5:02 5:03 5:05 5:06
    5:07 - 6 y: 5:06 LAST                   | 5:07 - 6 n:
    - 5:06 3 y: 5:06 5:05 5:03              | - 5:06 3 n: 5:06 5:05 5:03
    - 5:06 6 y: 5:06 5:05 5:03 5:02 5:00 FIRST | - 5:06 6 n: 5:06 5:05 5:03 5:02 5:00
    - 4:48 6 y: 5:00 FIRST                  | - 4:48 6 n:
    4:48 4:48 0 y: FIRST 5:00               | 4:48 4:48 0 n:
    4:48 4:48 1 y: FIRST                    | 4:48 4:48 1 n:
    4:48 4:48 2 y: FIRST 5:00               | 5:00 5:00 0 y: 5:00 5:02
    5:00 5:00 0 n: 5:00                     | 5:00 5:00 1 y: 5:00
    5:00 5:00 1 n: 5:00                     | 5:01 5:01 0 y: 5:00 5:02
    5:01 5:01 0 n:                          | 5:01 5:01 1 y: 5:00
    5:01 5:01 1 n:                          |
"""
"""start, end, values, bounds: what is returned, in a first page. The history is 5:00, 5:02, 5:03, 5:05, 5:06."""
_ROWS = [cell.strip() for line in _TABLE.splitlines() for cell in line.split("|") if cell.strip()]


def _ticks(text: str) -> int | None:
    hours, _, minutes = text.partition(":")
    return None if text == "-" else HOUR + (int(hours) - 5) * 60 * M + int(minutes) * M


@pytest.mark.parametrize("row", _ROWS)
def test_bounds_are_those_of_the_specification(row: str) -> None:
    asked, _, expected = row.partition("y:" if "y:" in row else "n:")
    start, end, count = asked.split()
    history = of("Double", [(HOUR + minute * M, 1.0, 0, 0) for minute in (0, 2, 3, 5, 6)])
    first = pages(reading(history), _ticks(start), _ticks(end), int(count) or 1000, bounds="y:" in row)[0]
    shown = [_name(time) if status != BAD_BOUND_NOT_FOUND else "LAST" if time > HOUR + 5 * M else "FIRST" for time, status in first]
    assert shown == expected.split()


def _name(time: int) -> str:
    return f"5:{(time - HOUR) // M:02}"


TIMES = st.lists(st.integers(1, 40), max_size=12, unique=True).map(sorted)
MAYBE = st.none() | st.integers(1, 45)


@given(TIMES, MAYBE, MAYBE, st.integers(1, 5), st.booleans())
def test_pages_together_are_the_whole(times: list[int], start: int | None, end: int | None, most: int, bounds: bool) -> None:
    if start is None and end is None:
        return
    read = reading(of("Double", [(time, 1.0, 0, 0) for time in times]))
    whole = pages(read, start, end, 1000, bounds=bounds)
    assert len(whole) == 1
    parts = pages(read, start, end, most, bounds=bounds)
    assert [len(part) <= most for part in parts] == [True] * len(parts)
    assert [row for part in parts for row in part if row[1] == 0] == [row for row in whole[0] if row[1] == 0]
    assert sum(map(len, parts)) == len(whole[0])


@given(TIMES, st.integers(1, 45), st.integers(1, 45))
def test_a_read_backwards_is_the_same_range_the_other_way_round(times: list[int], start: int, end: int) -> None:
    read = reading(of("Double", [(time, 1.0, 0, 0) for time in times]))
    (found,) = pages(read, start, end, 1000, bounds=False)
    low, high = min(start, end), max(start, end)
    expected: Any = [time for time in times if low <= time <= high and (time != end or start == end)]
    assert [time for time, _ in found] == (expected[::-1] if end < start else expected)
