"""Limits, deadbands and delays without a server; and limits that an installation sets itself."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.errors import ConfigurationError
from opcua_server.alarms.limits import Limits, Watch, problems
from opcua_server.alarms.limits_file import read
from opcua_server.alarms.table import TABLE

FOUR = Limits(
    {"LowLow": 10.0, "Low": 20.0, "High": 80.0, "HighHigh": 90.0}, {"LowLow": 800, "Low": 500, "High": 500, "HighHigh": 800},
    deadband=2.0, on_delay_s=5.0, off_delay_s=10.0,
)  # fmt: skip


def levels(limits: Limits, *values: float, period_s: float = 1.0) -> list[str | None]:
    watch = Watch(limits)
    return [watch.see(value, number * period_s) for number, value in enumerate(values)]


def test_a_level_holds_after_its_delay_and_ends_beyond_the_deadband() -> None:
    seen = levels(FOUR, *[85.0] * 6, *[79.0] * 15, *[77.0] * 11)
    assert seen[:5] == [None] * 5
    assert set(seen[5:31]) == {"High"}, "79 is within the deadband"
    assert seen[31] is None


def test_a_spike_shorter_than_the_delay_is_nothing() -> None:
    assert set(levels(FOUR, *[50.0, 95.0, 95.0, 95.0, 95.0] * 10)) == {None}


def test_a_spike_at_the_end_of_the_delay_does_not_raise_the_level_beyond_what_lasted() -> None:
    assert levels(FOUR, *[85.0] * 5, 95.0)[-1] == "High"
    assert levels(FOUR, *[85.0] * 5, *[95.0] * 7)[-1] == "HighHigh", "its own delay begins when the first is over"


def test_from_one_side_to_the_other() -> None:
    assert levels(FOUR, *[85.0] * 6, *[5.0] * 6)[-1] == "LowLow"


def test_a_value_that_is_not_known_changes_nothing() -> None:
    watch = Watch(FOUR)
    for now in range(6):
        watch.see(85.0, now)
    for now in range(6, 100):
        assert watch.see(float("nan"), now) == "High"


@given(st.lists(st.floats(0.0, 100.0), max_size=60))
def test_without_delays_a_level_is_the_limit_within_the_deadband(values: list[float]) -> None:
    limits = Limits(FOUR.at, FOUR.severity, deadband=2.0)
    for value, level in zip(values, levels(limits, *values), strict=True):
        if level is None:
            assert 20.0 < value < 80.0
        elif level.startswith("High"):
            assert value >= limits.at[level] - 2.0
        else:
            assert value <= limits.at[level] + 2.0


@given(st.floats(50.0, 110.0), st.lists(st.floats(-0.99, 0.99), min_size=20, max_size=60))
def test_noise_within_the_deadband_does_not_chatter(mean: float, noise: list[float]) -> None:
    limits = Limits(FOUR.at, FOUR.severity, deadband=2.0)
    seen = levels(limits, *[mean + one for one in noise])
    assert sum(a != b for a, b in itertools.pairwise(seen)) <= 2  # once in, at most once further in


@given(st.lists(st.floats(-1e6, 1e6) | st.just(float("nan")), max_size=50), st.floats(0.01, 20.0))
def test_a_level_never_comes_before_its_delay(values: list[float], period_s: float) -> None:
    seen = levels(FOUR, *values, period_s=period_s)
    for number, level in enumerate(seen):
        if level is not None and (number == 0 or seen[number - 1] is None):
            first = number - next(n for n in range(1, number + 2) if n > number or not FOUR.rank(values[number - n])) + 1
            assert (number - first) * period_s >= 5.0 - 1e-6


def test_the_table_is_without_problems() -> None:
    for alarm in TABLE:
        assert problems(alarm.limits, alarm.row.low, alarm.row.high) == [], alarm.name
        assert set(alarm.limits.severity) == set(alarm.limits.at)


def test_an_installation_sets_limits_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "alarms.toml").write_text(
        "[SpindleTemperature]\nHigh = 60\nHighHigh = false\non_delay = 30.0\n[SpindleTemperature.severity]\nHigh = 900\n"
    )
    changed = {alarm.name: alarm for alarm in read(tmp_path)}["SpindleTemperature"].limits
    assert (changed.at, changed.severity, changed.on_delay_s) == ({"High": 60.0}, {"High": 900}, 30.0)
    assert len(read(tmp_path)) == len(TABLE)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[Spindle]\nHigh = 1", "[Spindle]: there is no such alarm"),
        ("SpindleTemperature = 3", "SpindleTemperature: must be a section"),
        ("[SpindleTemperature]\nHigh = 70.0", "[SpindleTemperature] HighHigh: 65 must be above High, which is 70"),
        ("[SpindleTemperature]\nHigh = 500.0\nHighHigh = 600", "High: 500 is outside of what the signal can show, 0 to 120"),
        ("[SpindleTemperature]\nHigh = 'hot'", "High: must be a number, not 'hot'"),
        ("[SpindleTemperature]\nHigh = true", "High: must be a number, not True"),
        ("[SpindleTemperature]\nHigh = nan", "High: must be a number"),
        ("[SpindleTemperature]\nHihg = 1", "Hihg: is not known"),
        ("[SpindleTemperature]\ndeadband = 15", "deadband: 15 must be less than the 15 between two limits"),
        ("[SpindleTemperature]\ndeadband = -1", "deadband: must be 0 or more"),
        ("[SpindleTemperature]\non_delay = inf", "on_delay: must be 0 to 3600 seconds"),
        ("[SpindleTemperature]\nHigh = false\nHighHigh = false", "has no limit"),
        ("[SpindleTemperature.severity]\nHigh = 2000", "severity of High: must be 1 to 1000"),
        ("[SpindleTemperature.severity]\nHigh = 1.5", "severity.High: must be a whole number, not 1.5"),
        ("[SpindleTemperature.severity]\nMiddle = 1", "severity.Middle: is not known"),
        ("[SpindleTemperature\nHigh = 1", "is no TOML"),
        ("\udcff", "is no UTF-8 text: byte 0"),
        ("#" + "x" * 70_000, "has more than"),
    ],
)
def test_wrong_limits_say_what_and_where(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "alarms.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path)
    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_all_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "alarms.toml").write_text("[A]\n[ToolLife]\nHigh = 'x'\nLow = 'y'\n[CoolantLevel]\nLow = 5\n")
    with pytest.raises(ConfigurationError) as caught:
        read(tmp_path)
    assert len(caught.value.problems) == 4
