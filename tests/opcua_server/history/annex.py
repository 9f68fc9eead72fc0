"""Worked examples of OPC 10000-13: what histories hold, and what aggregates say of them. Historians 1 to 4 and most tables are
those of Annex A in 1.04; Historian 5, and 6, which is Historian 2 with UseSlopedExtrapolation, are those of AggregateExamples.csv,
to which 1.05 refers. What is left out there: its rows behind 1:30 of TimeAverage, which say nothing where the text extrapolates
(5.4.3.6), and one Maximum of Historian 5 that is Good beside a greater Uncertain value (5.4.3.11).

Times are m:ss behind 12:00. A result is "m:ss value status bits", with G Good, U UncertainDataSubNormal, - BadNoData, B Bad and the
bits c Calculated, i Interpolated, p Partial, m MultipleValues.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from opcua_server.history.bounds import Configuration, Samples
from opcua_server.history.series import BAD_NO_DATA, TICKS_PER_S, Series, of

NOON: Final = 129_700_000_000_000_000
BAD, UNCERTAIN = 0x80000000, 0x40000000
_EVEN: Final = [
    (0, 0, BAD_NO_DATA), (10, 10, 0), (20, 20, 0), (30, 30, 0),
    (40, 40, BAD), (50, 50, 0), (60, 60, 0), (70, 70, UNCERTAIN), (80, 80, 0),
    (90, 90, 0),
]  # fmt: skip
_TIMES: Final = (0, 2, 25, 28, 39, 42, 48, 52, 72, 77, 83, 86, 90)
_QUALITY: Final = (BAD_NO_DATA, 0, 0, 0, 0, BAD, 0, 0, 0, UNCERTAIN, 0, 0, 0)
_NUMBERS: Final = (0, 10, 20, 25, 30, 0, 40, 50, 60, 70, 70, 80, 90)
_UP_AND_DOWN: Final = (0, 10, 20, 10, 30, 0, 30, 50, 30, 70, 70, 80, 70)
_FLAGS: Final = (False, True, False, True, True, False, True, False, False, True, True, False, True)
_CONFIGURATIONS: Final = {
    1: Configuration(treat_uncertain_as_bad=False),
    2: Configuration(),
    3: Configuration(stepped=True, percent_good=50, percent_bad=50),
    4: Configuration(stepped=True),
    5: Configuration(treat_uncertain_as_bad=False),
    6: Configuration(sloped_extrapolation=True),
}
SAID: Final = {1: (40, 40, 50, 70)}
"""Seconds that the annotations of each history are about."""
BEGIN: Final = {1: 10, 2: 2, 3: 2, 4: 2, 5: 2, 6: 2}
"""Seconds at which the first value of each history lies."""


def ticks(seconds: float) -> int:
    return NOON + round(seconds * TICKS_PER_S)


def history(number: int) -> Series:
    if number == 1:
        rows: list[tuple[int, Any, int]] = _EVEN
    else:
        rows = list(zip(_TIMES, {4: _FLAGS, 5: _UP_AND_DOWN}.get(number, _NUMBERS), _QUALITY, strict=True))
    return of("Boolean" if number == 4 else "Double", [(ticks(s), value, status, ticks(s)) for s, value, status in rows])


def samples(number: int, stepped: bool | None = None) -> Samples:
    given = _CONFIGURATIONS[number]
    if stepped is not None:
        given = replace(given, stepped=stepped)
    return Samples(history(number), given)


TABLES: Final[dict[tuple[str, int], tuple[int, str]]] = {
    # A.2
    ("Interpolative", 1): (5, """
        0:00 - | 0:05 - | 0:10 10 G | 0:15 15 G i | 0:20 20 G | 0:25 25 G i | 0:30 30 G | 0:35 35 U i | 0:40 40 U i
        | 0:45 45 U i | 0:50 50 G | 0:55 55 G i | 1:00 60 G | 1:05 65 U i | 1:10 70 u | 1:15 75 U i | 1:20 80 G
        | 1:25 85 G i | 1:30 90 G | 1:35 90 U i"""),
    ("Interpolative", 2): (5, """
        0:00 - | 0:05 11.304 G i | 0:10 13.478 G i | 0:15 15.652 G i | 0:20 17.826 G i | 0:25 20 G | 0:30 25.909 G i
        | 0:35 28.182 G i | 0:40 31.111 U i | 0:45 36.667 U i | 0:50 45 G i | 0:55 51.5 G i | 1:00 54 G i
        | 1:05 56.5 G i | 1:10 59 G i | 1:15 62.727 U i | 1:20 67.273 U i | 1:25 76.667 G i | 1:30 90 G | 1:35 90 U i"""),
    ("Interpolative", 3): (5, """
        0:00 - | 0:05 10 G i | 0:10 10 G i | 0:15 10 G i | 0:20 10 G i | 0:25 20 G | 0:30 25 G i | 0:35 25 G i
        | 0:40 30 G i | 0:45 30 U i | 0:50 40 G i | 0:55 50 G i | 1:00 50 G i | 1:05 50 G i | 1:10 50 G i | 1:15 60 G i
        | 1:20 60 U i | 1:25 70 G i | 1:30 90 G | 1:35 90 U i"""),
    # A.3
    ("Average", 1): (5, """
        0:00 - | 0:05 - | 0:10 10 G c | 0:15 - | 0:20 20 G c | 0:25 - | 0:30 30 G c | 0:35 - | 0:40 - | 0:45 -
        | 0:50 50 G c | 0:55 - | 1:00 60 G c | 1:05 - | 1:10 - | 1:15 - | 1:20 80 G c | 1:25 - | 1:30 90 G c | 1:35 -"""),
    # A.4
    ("TimeAverage", 1): (5, """
        0:00 - | 0:05 - | 0:10 12.5 G c | 0:15 17.5 G c | 0:20 22.5 G c | 0:25 27.5 G c | 0:30 32.5 U c | 0:35 37.5 U c
        | 0:40 42.5 U c | 0:45 47.5 U c | 0:50 52.5 G c | 0:55 57.5 G c | 1:00 62.5 U c | 1:05 67.5 U c | 1:10 72.5 U c
        | 1:15 77.5 U c | 1:20 82.5 G c | 1:25 87.5 G c | 1:30 90 U c | 1:35 90 U c"""),
    ("TimeAverage", 2): (5, "0:00 10.652 U cp |  |  |  |  |  |  |  |  | 0:45 40 U c"),
    # A.5; of Historian 3 as corrected in 1.05
    ("TimeAverage2", 1): (5, """
        0:00 - | 0:05 - | 0:10 12.5 G c | 0:15 17.5 G c | 0:20 22.5 G c | 0:25 27.5 G c | 0:30 30 U c | 0:35 30 U c
        | 0:40 - | 0:45 - | 0:50 52.5 G c | 0:55 57.5 G c | 1:00 62.5 U c | 1:05 67.5 U c | 1:10 72.5 U c
        | 1:15 77.5 U c | 1:20 82.5 G c | 1:25 87.5 G c | 1:30 90 U cp | 1:35 -"""),
    ("TimeAverage2", 2): (5, """
        0:00 10.652 U cp | 0:05 12.391 G c | 0:10 14.565 G c | 0:15 16.739 G c | 0:20 18.913 G c | 0:25 23.682 G c
        | 0:30 27.046 G c | 0:35 29.273 U c | 0:40 30 U c | 0:45 42.5 U c | 0:50 49.45 G c | 0:55 52.75 G c
        | 1:00 55.25 G c | 1:05 57.75 G c | 1:10 59.8 U c"""),
    ("TimeAverage2", 3): (5, """
        0:00 10 G cp | 0:05 10 G c | 0:10 10 G c | 0:15 10 G c | 0:20 10 G c | 0:25 22 G c | 0:30 25 G c | 0:35 26 G c
        | 0:40 30 U c | 0:45 40 U c | 0:50 46 G c | 0:55 50 G c | 1:00 50 G c | 1:05 50 G c | 1:10 56 G c | 1:15 60 U c"""),
    # A.8, A.9
    ("Minimum", 1): (16, "0:00 10 G cp | 0:16 20 G c | 0:32 - | 0:48 50 G c | 1:04 - | 1:20 80 G p | 1:36 -"),
    ("Minimum", 2): (16, "0:00 10 G cp | 0:16 20 G c | 0:32 30 U c | 0:48 40 G | 1:04 60 U c | 1:20 70 G cp | 1:36 -"),
    ("Minimum", 3): (16, "0:00 10 G cp | 0:16 20 G c | 0:32 30 U c | 0:48 40 G | 1:04 60 U c | 1:20 70 G cp | 1:36 -"),
    ("Maximum", 1): (16, "0:00 10 G cp | 0:16 30 G c | 0:32 - | 0:48 60 G c | 1:04 - | 1:20 90 G cp | 1:36 -"),
    ("Maximum", 2): (16, "0:00 10 G cp | 0:16 25 G c | 0:32 30 U c | 0:48 50 G c | 1:04 60 U c | 1:20 90 G cp | 1:36 -"),
    ("Maximum", 3): (16, "0:00 10 G cp | 0:16 25 G c | 0:32 30 U c | 0:48 50 G c | 1:04 60 U c | 1:20 90 G cp | 1:36 -"),
    # A.10, A.11
    ("MinimumActualTime", 1): (16, "0:10 10 G p | 0:20 20 G | 0:32 - | 0:50 50 G | 1:04 - | 1:20 80 G p | 1:36 -"),
    ("MinimumActualTime", 2): (16, "0:02 10 G p | 0:25 20 G | 0:39 30 U | 0:48 40 G | 1:12 60 U | 1:23 70 G p | 1:36 -"),
    ("MinimumActualTime", 3): (16, "0:02 10 G p | 0:25 20 G | 0:39 30 U | 0:48 40 G | 1:12 60 U | 1:23 70 G p | 1:36 -"),
    ("MaximumActualTime", 1): (16, "0:10 10 G p | 0:30 30 G | 0:32 - | 1:00 60 G | 1:04 - | 1:30 90 G p | 1:36 -"),
    ("MaximumActualTime", 2): (16, "0:02 10 G p | 0:28 25 G | 0:39 30 U | 0:52 50 G | 1:12 60 U | 1:30 90 G p | 1:36 -"),
    ("MaximumActualTime", 3): (16, "0:02 10 G p | 0:28 25 G | 0:39 30 U | 0:52 50 G | 1:12 60 U | 1:30 90 G p | 1:36 -"),
    # A.13
    ("Minimum2", 1): (16, "0:00 10 U cp | 0:16 16 U i | 0:32 30 U i | 0:48 50 U c | 1:04 64 U i | 1:20 80 U p | 1:36 -"),
    ("Minimum2", 2): (16, "0:00 10 U cp | 0:16 16.087 G i | 0:32 26.818 U i | 0:48 40 G | 1:04 56 U i | 1:20 70 U cp | 1:36 -"),
    ("Minimum2", 3): (16, "0:00 10 G cp | 0:16 10 G i | 0:32 25 G i | 0:48 40 G | 1:04 50 G i | 1:20 70 G cp | 1:36 -"),
    # A.15, A.16
    ("MinimumActualTime2", 1): (16, "0:10 10 U p | 0:16 16 U i | 0:32 30 U i | 0:50 50 U | 1:04 64 U i | 1:20 80 U p | 1:36 -"),
    ("MinimumActualTime2", 2): (16, """
        0:02 10 U p | 0:16 16.087 G i | 0:32 26.818 U i | 0:48 40 G | 1:04 56 U i | 1:23 70 U p | 1:36 -"""),
    ("MinimumActualTime2", 3): (16, "0:02 10 G p | 0:16 10 G i | 0:32 25 G i | 0:48 40 G | 1:04 50 G i | 1:23 70 G p | 1:36 -"),
    ("MaximumActualTime2", 1): (16, """
        0:15.999 16 U ip | 0:30 30 U m | 0:32 30 U i | 1:03.999 64 U i | 1:19.999 80 U i | 1:30 90 U p | 1:36 -"""),
    ("MaximumActualTime2", 2): (16, """
        0:15.999 16.087 U ip | 0:31.999 26.818 G i | 0:47.999 40 U i | 1:03.999 56 G i | 1:12 60 U | 1:30 90 U p
        | 1:36 -"""),
    ("MaximumActualTime2", 3): (16, "0:02 10 G p | 0:28 25 G | 0:39 30 G | 0:52 50 G | 1:12 60 G | 1:30 90 G p | 1:36 -"),
    # A.19; of Historian 3 by the correction of 1.05
    ("Count", 1): (16, "0:00 1 G cp | 0:16 2 G c | 0:32 B c | 0:48 2 G c | 1:04 0 U c | 1:20 2 G cp | 1:36 -"),
    ("Count", 2): (16, "0:00 1 G cp | 0:16 2 G c | 0:32 1 U c | 0:48 2 G c | 1:04 1 U c | 1:20 3 G cp | 1:36 -"),
    ("Count", 3): (16, "0:00 1 G cp | 0:16 2 G c | 0:32 1 G c | 0:48 2 G c | 1:04 1 G c | 1:20 3 G cp | 1:36 -"),
    # A.20, A.21
    ("DurationInStateZero", 4): (16, """
        0:00 0 U cp | 0:16 3000 G c | 0:32 0 U c | 0:48 12000 G c | 1:04 13000 U c | 1:20 4000 U cp | 1:36 -"""),
    ("DurationInStateNonZero", 4): (16, """
        0:00 14000 U cp | 0:16 13000 G c | 0:32 10000 U c | 0:48 4000 G c | 1:04 0 U c | 1:20 3001 U cp | 1:36 -"""),
    # A.25
    ("StartBound", 1): (16, "0:00 - p | 0:16 16 G i | 0:32 30 U i | 0:48 - | 1:04 64 U i | 1:20 80 G p | 1:36 -"),
    ("StartBound", 2): (16, "0:00 - p | 0:16 16.087 G i | 0:32 26.818 G i | 0:48 40 G | 1:04 56 G i | 1:20 - p | 1:36 -"),
    ("StartBound", 3): (16, "0:00 - p | 0:16 10 G i | 0:32 25 G i | 0:48 40 G | 1:04 50 G i | 1:20 - p | 1:36 -"),
    # A.18
    ("AnnotationCount", 1): (60, "0:00 3 G c | 1:00 1 G c"),
    ("AnnotationCount", 2): (60, "0:00 0 G c | 1:00 0 G c"),
    # A.29 - A.32
    ("DurationGood", 1): (16, """
        0:00 6000 G cp | 0:16 16000 G c | 0:32 0 G c | 0:48 14000 G c | 1:04 0 G c | 1:20 10001 G cp | 1:36 -"""),
    ("DurationBad", 1): (16, "0:00 10000 G cp | 0:16 0 G c | 0:32 8000 G c | 0:48 2000 G c | 1:04 0 G c | 1:20 0 G cp | 1:36 -"),
    ("PercentGood", 1): (16, "0:00 37.5 G cp | 0:16 100 G c |  | 0:48 87.5 G c | 1:04 0 G c | 1:20 100 G cp | 1:36 -"),
    ("PercentBad", 1): (16, "0:00 62.5 G cp | 0:16 0 G c | 0:32 50 G c | 0:48 12.5 G c | 1:04 0 G c | 1:20 0 G cp | 1:36 -"),
}  # fmt: skip
for _number in (2, 3, 4):
    TABLES |= {
        ("DurationGood", _number): (16, """
            0:00 14000 G cp | 0:16 16000 G c | 0:32 10000 G c | 0:48 16000 G c | 1:04 13000 G c | 1:20 7001 G cp | 1:36 -"""),
        ("DurationBad", _number): (16, """
            0:00 2000 G cp | 0:16 0 G c | 0:32 6000 G c | 0:48 0 G c | 1:04 3000 G c | 1:20 3000 G cp | 1:36 -"""),
        ("PercentGood", _number): (16, """
            0:00 87.5 G cp | 0:16 100 G c | 0:32 62.5 G c | 0:48 100 G c | 1:04 81.25 G c | 1:20 70.003 G cp | 1:36 -"""),
        ("PercentBad", _number): (16, """
            0:00 12.5 G cp | 0:16 0 G c | 0:32 37.5 G c | 0:48 0 G c | 1:04 18.75 G c | 1:20 29.997 G cp | 1:36 -"""),
    }  # fmt: skip
for _number in (2, 3):
    TABLES["Average", _number] = (5, """
        0:00 10 G c | 0:05 - | 0:10 - | 0:15 - | 0:20 - | 0:25 22.5 G c | 0:30 - | 0:35 30 G c | 0:40 - | 0:45 40 G c
        | 0:50 50 G c | 0:55 - | 1:00 - | 1:05 - | 1:10 60 G c | 1:15 - | 1:20 70 G c | 1:25 80 G c | 1:30 90 G c
        | 1:35 -""")  # fmt: skip

for _number in (2, 3, 6):
    TABLES["Average", _number] = (
        5,
        """
        0:00 10 G c | 0:05 - | 0:10 - | 0:15 - | 0:20 - | 0:25 22.5 G c | 0:30 - | 0:35 30 G c | 0:40 - | 0:45 40 G c | 0:50 50 G c
        | 0:55 - | 1:00 - | 1:05 - | 1:10 60 G c | 1:15 - | 1:20 70 G c | 1:25 80 G c | 1:30 90 G c | 1:35 -""",
    )
    TABLES["Start", _number] = (16, "0:02 10 G p | 0:25 20 G | 0:39 30 G | 0:48 40 G | 1:12 60 G | 1:23 70 G p | 1:36 -")
    TABLES["End", _number] = (16, "0:02 10 G p | 0:28 25 G | 0:42 B | 0:52 50 G | 1:17 70 u | 1:30 90 G p | 1:36 -")
    TABLES["StandardDeviationSample", _number] = (20, "0:00 0 G cp | 0:20 5 G c | 0:40 7.071 U c | 1:00 0 U c | 1:20 10 G cp")
_TIME_AVERAGE: Final = """
    0:00 10.652 U cp | 0:05 12.391 G c | 0:10 14.565 G c | 0:15 16.739 G c | 0:20 18.913 G c | 0:25 23.682 G c | 0:30 27.045 G c
    | 0:35 29.384 U c | 0:40 33.889 U c | 0:45 40 U c | 0:50 49.45 G c | 0:55 52.75 G c | 1:00 55.25 G c | 1:05 57.75 G c
    | 1:10 60.618 U c | 1:15 65 U c | 1:20 70.515 U c | 1:25 83.667 G c"""
TABLES["TimeAverage", 3] = (5, _TIME_AVERAGE)
TABLES["TimeAverage", 6] = (5, _TIME_AVERAGE)
TABLES["Interpolative", 6] = (5, TABLES["Interpolative", 2][1].replace("1:35 90 U i", "1:35 102.5 U i"))
TABLES["Count", 4] = (16, "0:00 1 G cp | 0:16 2 G c | 0:32 1 U c | 0:48 2 G c | 1:04 1 U c | 1:20 3 G cp | 1:36 -")
TABLES["Count", 5] = TABLES["Count", 4]
TABLES["Start", 1] = (16, "0:10 10 G p | 0:20 20 G | 0:40 B | 0:50 50 G | 1:10 70 u | 1:20 80 G p | 1:36 -")
TABLES["End", 1] = (16, "0:10 10 G p | 0:30 30 G | 0:40 B | 1:00 60 G | 1:10 70 u | 1:30 90 G p | 1:36 -")
TABLES["StandardDeviationSample", 1] = (20, "0:00 0 G cp | 0:20 7.071 G c | 0:40 0 U c | 1:00 0 U c | 1:20 7.071 G cp")
TABLES |= {
    ("Interpolative", 5): (5, """
        0:00 - | 0:05 11.304 G i | 0:10 13.478 G i | 0:15 15.652 G i | 0:20 17.826 G i | 0:25 20 G | 0:30 13.636 G i
        | 0:35 22.727 G i | 0:40 30 U i | 0:45 30 U i | 0:50 40 G i | 0:55 47 G i | 1:00 42 G i | 1:05 37 G i | 1:10 32 G i
        | 1:15 54 U i | 1:20 70 U i | 1:25 76.667 G i | 1:30 70 G | 1:35 70 U i"""),
    ("Average", 5): (5, """
        0:00 10 G c | 0:05 - | 0:10 - | 0:15 - | 0:20 - | 0:25 15 G c | 0:30 - | 0:35 30 G c | 0:40 - | 0:45 30 G c | 0:50 50 G c
        | 0:55 - | 1:00 - | 1:05 - | 1:10 30 G c | 1:15 - | 1:20 70 G c | 1:25 80 G c | 1:30 70 G c | 1:35 -"""),
    ("TimeAverage", 5): (5, """
        0:00 10.652 U cp | 0:05 12.391 G c | 0:10 14.565 G c | 0:15 16.739 G c | 0:20 18.913 G c | 0:25 13.727 G c
        | 0:30 18.182 G c | 0:35 27.091 U c | 0:40 30 U c | 0:45 32 U c | 0:50 47.1 G c | 0:55 44.5 G c | 1:00 39.5 G c
        | 1:05 34.5 G c | 1:10 37.6 U c | 1:15 66.8 U c | 1:20 71.333 U c | 1:25 75.667 G c"""),
    ("Minimum", 5): (16, "0:00 10 G cp | 0:16 10 G c | 0:32 30 U c | 0:48 30 G | 1:04 30 G c | 1:20 70 G cpm | 1:36 -"),
    ("Maximum", 5): (16, "0:00 10 G cp | 0:16 20 G c | 0:32 30 U c | 0:48 50 G c |  | 1:20 80 G cp | 1:36 -"),
    ("Start", 5): (16, "0:02 10 G p | 0:25 20 G | 0:39 30 G | 0:48 30 G | 1:12 30 G | 1:23 70 G p | 1:36 -"),
    ("End", 5): (16, "0:02 10 G p | 0:28 10 G | 0:42 B | 0:52 50 G | 1:17 70 u | 1:30 70 G p | 1:36 -"),
    ("StandardDeviationSample", 5): (20, "0:00 0 G cp | 0:20 10 G c | 0:40 14.142 U c | 1:00 0 U c | 1:20 5.774 G cp"),
}  # fmt: skip
