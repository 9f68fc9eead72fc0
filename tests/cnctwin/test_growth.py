"""Memory as it was measured in an hour: judged once all NC programs have come, and with leaks of several kinds put on it."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from cnctwin.growth import SETTLE_MIN, growth

RECORDED = Path(__file__).with_name("soak_of_an_hour.csv")
"""Minute, and MB of server, analytics and gateway: `cnctwin soak --every 20` on two busy cores."""
CAME_MIN = (0.0, 12.2, 23.5, 41.4, 53.6)
"""When pocket, contour and flange.nc came, and the first two again."""
LAST_NEW_MIN = 23.5
PROGRAMS = ("server", "analytics", "gateway")
Series = list[tuple[float, float]]


def recorded(program: str) -> Series:
    with RECORDED.open(newline="") as file:
        return [(float(row["minute"]), float(row[program])) for row in csv.DictReader(file)]


def judged(series: Series) -> str:
    return growth(series, CAME_MIN, LAST_NEW_MIN).problem


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_healthy_hour_passes(program: str) -> None:
    found = growth(recorded(program), CAME_MIN, LAST_NEW_MIN)
    assert found.problem == ""
    assert found.begin_min == LAST_NEW_MIN + SETTLE_MIN
    assert found.quiet_min >= 15


def test_what_programs_bring_when_they_first_come_would_not_pass() -> None:
    assert "memory has grown" in growth(recorded("server"), CAME_MIN, 10.0).problem


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize(
    ("period_min", "step_mb"),
    [(0.0, 0.2), (5.0, 1.0), (8.0, 4.0), (0.0, 2.0)],
    ids=["0.2 MB a minute", "a megabyte every five", "four every eight", "2 MB a minute"],
)
def test_a_leak_fails_however_it_comes(program: str, period_min: float, step_mb: float) -> None:
    assert judged([(at, mb + step_mb * (at // period_min if period_min else at)) for at, mb in recorded(program)])


def test_a_leak_of_each_program_that_comes_fails_once_there_were_enough_of_them() -> None:
    came = [15.0 * n for n in range(12)]
    series = [(minute / 3, 200.0 + 2.0 * sum(minute / 3 >= at for at in came)) for minute in range(540)]
    assert "memory has grown" in growth(series, came, 30.0).problem


@pytest.mark.parametrize("program", ["server", "analytics"])  # the gateway's memory took a step of four by itself
def test_one_step_is_none_and_a_large_one_is_too_much(program: str) -> None:
    def stepped(step_mb: float) -> str:
        return judged([(at, mb + step_mb * (at > 38.3)) for at, mb in recorded(program)])

    assert stepped(3.0) == ""
    assert "memory has grown" in stepped(20.0)


def test_a_run_that_ends_before_there_is_anything_to_judge_is_judged_by_its_second_half() -> None:
    series = [(minute / 3, 200.0 + (30.0 if minute > 80 else 0.0)) for minute in range(90)]
    found = growth(series, [0.0, 12.0, 25.0], 25.0)
    assert found.begin_min == pytest.approx(series[-1][0] / 2)
    assert "memory has grown" in found.problem
    assert "a slow leak would not show" in str(found)
    assert growth([(0.0, 5.0)], [], 0.0).problem == ""
