"""The aggregates against the worked examples of the specification."""

from __future__ import annotations

import numpy as np
import pytest

from opcua_server.history.aggregates import BY_NAME, process
from opcua_server.history.intervals import generate
from opcua_server.history.series import BAD_NO_DATA, TICKS_PER_S
from opcua_server.history.window import Point
from tests.opcua_server.history import annex

_QUALITIES = {0: "G", 0x40A40000: "U", 0x40000000: "u", BAD_NO_DATA: "-", 0x80000000: "B"}


def shown(point: Point) -> tuple[str, float | None, str]:
    """Time, value, and status with its bits, as in the tables."""
    seconds = (point.time - annex.NOON) / TICKS_PER_S
    time = f"{int(seconds // 60)}:" + f"{seconds % 60:06.3f}".removesuffix(".000")
    bits = point.status & 0x1F
    letters = {0: "", 1: "c", 2: "i"}[bits & 3] + "p" * bool(bits & 4) + "m" * bool(bits & 16)
    status = " ".join(filter(None, (_QUALITIES[point.status & 0xFFFF0000], letters)))
    return time, None if point.value is None else float(point.value), status


def told(cell: str) -> tuple[str, float | None, str]:
    time, *rest = cell.split()
    has_value = rest[0][0].isdigit()
    return time, float(rest[0]) if has_value else None, " ".join(rest[has_value:])


@pytest.mark.parametrize(("name", "number"), sorted(annex.TABLES))
def test_an_aggregate_is_what_the_specification_works_out(name: str, number: int) -> None:
    seconds, table = annex.TABLES[name, number]
    aggregate = BY_NAME[name]
    samples = annex.samples(number, stepped=False if aggregate.is_sloped else None)
    intervals = generate(annex.ticks(0), annex.ticks(100), seconds * TICKS_PER_S)
    said = np.array([annex.ticks(second) for second in annex.SAID.get(number, ())], np.int64)
    found = [shown(point) for point in process(samples, intervals, aggregate, annex.ticks(annex.BEGIN[number]), said)]
    assert len(found) == -(-100 // seconds)
    cells = table.split("|")
    assert len(cells) <= len(found)
    for (time, value, status), cell in zip(found, cells, strict=False):
        if cell.strip():
            expected = told(cell)
            assert (time, status) == (expected[0], expected[2])
            # The tables have three digits, worked out from bounds of three digits (27.046 of 25.909 and 28.182).
            assert (value is None) == (expected[1] is None)
            assert value is None or abs(value - expected[1]) <= 0.001
