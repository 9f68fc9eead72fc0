"""Results beside a server that has no place for them."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cnctwin.reading import BAD_WAITING_FOR_INITIAL_DATA, UNCERTAIN_LAST_USABLE, Reading
from cnctwin.results_file import STALE_S, ResultsFile

NOW = 1_780_000_000_000_000_000
READINGS = (
    Reading("Analytics/AnomalyScore", 0.25, 0, NOW, NOW),
    Reading("Analytics/Anomalous", False, 0, NOW, NOW),
    Reading("Analytics/Explanation", "Größe", 0, NOW, NOW),
    Reading("Analytics/NextToolChange", datetime(2026, 11, 26, 9, 30, 0, 123456, tzinfo=UTC), 0, NOW, NOW),
    Reading("Analytics/SensorScore", None, BAD_WAITING_FOR_INITIAL_DATA, NOW, NOW),
)


def test_what_one_program_leaves_the_other_finds_once(tmp_path: Path) -> None:
    there = ResultsFile(tmp_path, "Fräse 1/../2")
    assert there.news() == ()
    ResultsFile(tmp_path, "Fräse 1/../2").write(READINGS)
    assert there.path.parent == tmp_path / "results"
    assert there.news() == READINGS
    assert there.news() == ()
    assert ResultsFile(tmp_path, "another").news() == ()


def test_what_nobody_writes_any_more_is_said_once_to_be_old(tmp_path: Path) -> None:
    file = ResultsFile(tmp_path, "M1")
    file.write(READINGS)
    assert file.news() == READINGS
    long_ago = time.time() - 2 * STALE_S
    os.utime(file.path, (long_ago, long_ago))
    assert [reading.status for reading in file.news()] == [UNCERTAIN_LAST_USABLE] * 4 + [BAD_WAITING_FOR_INITIAL_DATA]
    assert file.news() == ()


def test_what_was_written_before_the_clock_was_set_back_is_old(tmp_path: Path) -> None:
    file = ResultsFile(tmp_path, "M1")
    file.write(READINGS)
    ahead = time.time() + 3_600
    os.utime(file.path, (ahead, ahead))
    assert [reading.status for reading in file.news()] == [UNCERTAIN_LAST_USABLE] * 4 + [BAD_WAITING_FOR_INITIAL_DATA]


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b'[["no such signal", 1, 0, 1, 1]]', b'[["Analytics/ZScore", 1]]'])
def test_a_file_that_is_none_of_ours_says_nothing(tmp_path: Path, content: bytes) -> None:
    file = ResultsFile(tmp_path, "M1")
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    assert file.news() == ()
