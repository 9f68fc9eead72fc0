"""Aggregates that Annex A was not at hand for, worked out by hand from the text of clause 5.4.3; and what holds of all of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opcua_server.history.aggregates import AGGREGATES, BY_NAME, process
from opcua_server.history.bounds import Configuration, Samples
from opcua_server.history.intervals import count, generate
from opcua_server.history.raw import HIGHEST
from opcua_server.history.series import TICKS_PER_S, of
from opcua_server.history.window import Point
from tests.opcua_server.history import annex
from tests.opcua_server.history.test_annex import shown, told

CASES: dict[tuple[str, int, int], str] = {
    # name, Historian, seconds
    ("Delta", 1, 16): "0:00 0 G cp | 0:16 10 G c | 0:32 - | 0:48 10 G c | 1:04 - | 1:20 10 G cp | 1:36 -",
    ("Delta", 2, 16): "0:00 0 G cp | 0:16 5 G c | 0:32 0 U c | 0:48 10 G c | 1:04 0 U c | 1:20 20 G cp | 1:36 -",
    ("Range", 1, 16): "0:00 0 G cp | 0:16 10 G c | 0:32 - | 0:48 10 G c | 1:04 - | 1:20 10 G cp | 1:36 -",
    ("Range", 2, 16): "0:00 0 G cp | 0:16 5 G c | 0:32 0 U c | 0:48 10 G c | 1:04 0 U c | 1:20 20 G cp | 1:36 -",
    # Between the bounds of A.13 and A.16.
    ("Range2", 3, 16): "0:00 0 G cp | 0:16 15 G c | 0:32 5 G c | 0:48 10 G c | 1:04 10 G c | 1:20 20 G cp | 1:36 -",
    ("Maximum2", 2, 16): "0:00 16.087 U ip | 0:16 26.818 G i | 0:32 40 U i | 0:48 56 G i | 1:04 60 U c | 1:20 90 U cp | 1:36 -",
    # What StartBound of the next interval is, but for its time and bits.
    ("EndBound", 1, 16): "0:00 16 G cp | 0:16 30 U c | 0:32 - | 0:48 64 U c | 1:04 80 G c | 1:20 - | 1:36 -",
    ("EndBound", 2, 16): "0:00 16.087 G cp | 0:16 26.818 G c | 0:32 40 G c | 0:48 56 G c | 1:04 - | 1:20 - | 1:36 -",
    ("EndBound", 3, 16): "0:00 10 G cp | 0:16 25 G c | 0:32 40 G c | 0:48 50 G c | 1:04 - | 1:20 - | 1:36 -",
    ("DeltaBounds", 1, 16): "0:00 - | 0:16 14 U c | 0:32 - | 0:48 - | 1:04 16 U c | 1:20 - | 1:36 -",
    # Five times the averages of A.4 and A.5.
    ("Total", 1, 5): "0:00 - | 0:05 - | 0:10 62.5 G c | 0:15 87.5 G c | 0:20 112.5 G c | 0:25 137.5 G c | 0:30 162.5 U c",
    ("Total2", 1, 5): "0:00 - | 0:05 - | 0:10 62.5 G c | 0:15 87.5 G c | 0:20 112.5 G c | 0:25 137.5 G c | 0:30 150 U c",
    ("NumberOfTransitions", 4, 16): "0:00 1 G cp | 0:16 2 G c | 0:32 0 U c | 0:48 1 G c | 1:04 0 U c | 1:20 3 G cp | 1:36 -",
    ("WorstQuality", 1, 16): """
        0:00 0 G cp | 0:16 0 G cm | 0:32 2147483648 G c | 0:48 0 G cm | 1:04 1073741824 G c | 1:20 0 G cpm | 1:36 -""",
    # The bound counts too: at 0:48 there is none, at 1:04 it leads to an Uncertain value.
    ("WorstQuality2", 1, 16): """
        0:00 2157641728 G cp | 0:16 0 G cm | 0:32 2147483648 G c | 0:48 2157641728 G c | 1:04 1084489728 G cm | 1:20 0 G cpm
        | 1:36 -""",
    ("VarianceSample", 3, 20): "0:00 0 G cp | 0:20 25 G c | 0:40 50 U c | 1:00 0 U c | 1:20 100 G cp",
    ("StandardDeviationPopulation", 1, 20): "0:00 0 G cp | 0:20 5 G c | 0:40 0 U c | 1:00 0 U c | 1:20 5 G cp",
    ("VarianceSample", 1, 20): "0:00 0 G cp | 0:20 50 G c | 0:40 0 U c | 1:00 0 U c | 1:20 50 G cp",
    ("VariancePopulation", 1, 20): "0:00 0 G cp | 0:20 25 G c | 0:40 0 U c | 1:00 0 U c | 1:20 25 G cp",
}


def results(name: str, number: int, start: float, end: float, seconds: float) -> list[Point]:
    aggregate = BY_NAME[name]
    samples = annex.samples(number, stepped=False if aggregate.is_sloped else None)
    cells = generate(annex.ticks(start), annex.ticks(end), round(seconds * TICKS_PER_S))
    return process(samples, cells, aggregate, annex.ticks(annex.BEGIN[number]))


@pytest.mark.parametrize(("name", "number", "seconds"), sorted(CASES))
def test_an_aggregate_is_what_its_text_says(name: str, number: int, seconds: int) -> None:
    found = results(name, number, 0, 100, seconds)
    for point, cell in zip(found, CASES[name, number, seconds].split("|"), strict=False):
        time, value, status = told(cell)
        assert shown(point)[0::2] == (time, status)
        assert point.value == (value if value is None else pytest.approx(value, abs=0.0005))


def test_backwards_an_interval_has_its_later_end_and_not_the_other() -> None:
    assert [(shown(point)[0], point.value) for point in results("Count", 1, 100, 0, 50)] == [("1:40", 3), ("0:50", 4)]
    assert [(shown(point)[0], point.value) for point in results("Count", 1, 0, 100, 50)] == [("0:00", 3), ("0:50", 4)]
    ((time, value, _),) = [shown(point) for point in results("Interpolative", 1, 25, 15, 0)]
    assert (time, value) == ("0:25", 25)


def test_what_was_said_of_an_interval_is_counted() -> None:
    said = np.array([annex.ticks(second) for second in (5, 10, 15, 15, 20, 20, 35, 97)])
    samples, begin = annex.samples(1), annex.ticks(annex.BEGIN[1])

    def counted(start: int, end: int) -> list[str]:
        cells = generate(annex.ticks(start), annex.ticks(end), 20 * TICKS_PER_S)
        found = (shown(point) for point in process(samples, cells, BY_NAME["AnnotationCount"], begin, said))
        return [f"{time} {value:.0f} {status}" if value is not None else f"{time} {status}" for time, value, status in found]

    assert counted(0, 100) == ["0:00 4 G c", "0:20 3 G c", "0:40 0 G c", "1:00 0 G c", "1:20 1 G c"]
    assert counted(60, 20) == ["1:00 0 G c", "0:40 1 G c"], "of the ends of an interval its start is part of it"
    assert counted(100, 120) == ["1:40 -"]


def test_an_interval_that_is_cut_short_is_partial() -> None:
    last = results("Count", 1, 10, 40, 20)[-1]
    assert (shown(last)[0], last.value, last.status & 4) == ("0:30", 1, 4)


def test_a_value_that_did_not_change_is_known_until_now() -> None:
    samples = Samples(of("Double", [(annex.ticks(0), 5.0, 0, 0)]), Configuration(), annex.ticks(30))
    for name, expected in (("TimeAverage2", 5.0), ("TimeAverage", 5.0), ("Interpolative", 5.0), ("DurationGood", 10_000.0)):
        cells = list(generate(annex.ticks(10), annex.ticks(40), 10 * TICKS_PER_S))
        first, second, third = process(samples, cells, BY_NAME[name], annex.ticks(0))
        for point in (first, second):
            assert (point.value, point.status >> 30) == (expected, 0)
        if name != "Interpolative":  # which looks at the first moment only
            assert third.status >> 30 != 0


VALUES = st.integers(-50, 50).map(float)
ROWS = st.lists(
    st.tuples(st.integers(1, 20), VALUES, st.sampled_from([0, 0, 0, 0, 0x40000000, 0x80000000, 0x809B0000])),
    min_size=1,
    max_size=15,
)
CONFIGURATIONS = st.builds(Configuration, st.booleans(), st.just(100), st.sampled_from([0, 50, 100]), st.booleans(), st.booleans())


@settings(max_examples=60)
@given(ROWS, CONFIGURATIONS, st.integers(0, 120), st.integers(0, 120), st.integers(0, 60))
def test_whatever_the_history_is_results_fit_together(rows: Any, given_: Configuration, start: int, end: int, seconds: int) -> None:
    time, history = 0, []
    for step, value, status in rows:
        time += step
        history.append((annex.ticks(time), value, status, 0))
    samples = Samples(of("Double", history), given_)
    begin = min((one[0] for one in history if one[2] != 0x809B0000), default=HIGHEST)
    cells = list(generate(annex.ticks(start), annex.ticks(end), seconds * TICKS_PER_S))
    assert len(cells) == count(annex.ticks(start), annex.ticks(end), seconds * TICKS_PER_S)
    found = {one.name: process(samples, cells, one, begin) for one in AGGREGATES}
    for place, cell in enumerate(cells):
        at = {name: points[place] for name, points in found.items()}
        for point in at.values():
            assert cell.low <= point.time <= cell.high
            assert (point.value is None) == bool(point.status >> 31)
        if at["Average"].value is not None and at["Minimum"].value is not None:
            assert at["Minimum"].value <= at["Average"].value + 1e-9
            assert at["Average"].value <= at["Maximum"].value + 1e-9
        if at["Range"].value is not None:
            assert at["Range"].value == at["Maximum"].value - at["Minimum"].value
        if at["PercentGood"].value is not None:
            assert at["PercentGood"].value + at["PercentBad"].value <= 100 + 1e-9
            assert at["DurationGood"].value + at["DurationBad"].value <= (cell.high - cell.low) / 10_000 + 1e-6
        if at["TimeAverage2"].value is not None:
            usable = [one[1] for one in history if not one[2] >> 31]
            assert min(usable) - 1e-9 <= at["TimeAverage2"].value <= max(usable) + 1e-9
