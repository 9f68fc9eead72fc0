"""Ticks without drift: properties of the schedule, of the results' watch, of state files and of the program folder."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.engine.subscriptions.rhythm import Rhythm
from opcua_server.run.checkpoints import Checkpoints
from opcua_server.run.programs import MAX_CHARACTERS, ProgramFolder
from opcua_server.run.results import SILENT_S, ResultsWatch
from opcua_server.run.schedule import Schedule
from opcua_server.sources.source import CommandRefused

WALL = 1_800_000_000_000_000_000


@given(st.sampled_from([0.02, 0.1, 0.3, 1.0]), st.lists(st.floats(0.0, 3.0), min_size=1, max_size=60))
def test_every_tick_is_a_whole_number_of_periods_from_the_start(period_s: float, work_s: list[float]) -> None:
    schedule, now_s = Schedule(period_s, 100.0, WALL), 100.0
    numbers = []
    for each_s in work_s:
        now_s += schedule.wait_s(now_s)
        tick = schedule.take(now_s, WALL + round((now_s - 100.0) * 1e9))
        assert tick.source_time_ns == WALL + tick.number * round(period_s * 1e9)
        assert not tick.clock_stepped_ns
        assert now_s - 100.0 < (tick.number + 1) * period_s + 1e-6, "never further behind than a period"
        numbers.append(tick.number)
        now_s += each_s
    assert numbers == sorted(set(numbers))
    assert schedule.skipped + schedule.done == numbers[-1]


@given(st.sampled_from([0.02, 0.1, 0.3, 1.0, 10.0]), st.floats(0.0, 1e6))
def test_ticks_fall_shortly_before_the_moments_of_subscriptions(period_s: float, steady_s: float) -> None:
    schedule = Schedule.before_publishing(period_s, steady_s, WALL)
    rhythm: Rhythm[str] = Rhythm()
    rhythm.add("subscription", round(period_s * 1e6), 0, round(steady_s * 1e6))
    first = schedule.take(steady_s, WALL)
    assert (first.number, first.skipped, first.clock_stepped_ns) == (1, 0, 0)
    age_s = (WALL - first.source_time_ns) / 1e9
    assert -1e-6 <= age_s <= period_s + 1e-6, "no value is from the future"
    now_s = steady_s + schedule.wait_s(steady_s)
    lead_s = (now_s // period_s + 1) * period_s - now_s
    assert lead_s == pytest.approx(min(0.25 * period_s, 0.005), abs=1e-6)
    now_us = round(now_s * 1e6) + 1
    rhythm.due(now_us)
    due_us = rhythm.next_us
    assert due_us is not None
    assert (due_us - now_us) / 1e6 == pytest.approx(lead_s, abs=1e-5)


def test_late_ticks_are_skipped_not_caught_up() -> None:
    schedule = Schedule(0.1, 0.0, WALL)
    assert schedule.take(0.1, WALL + 100_000_000).skipped == 0
    late = schedule.take(0.55, WALL + 550_000_000)
    assert (late.number, late.skipped) == (5, 3)
    assert schedule.wait_s(0.55) == pytest.approx(0.05)


def test_clock_that_is_set_moves_the_source_time_with_it() -> None:
    schedule = Schedule(0.1, 0.0, WALL)
    hour = 3_600_000_000_000
    tick = schedule.take(0.1, WALL + 100_000_000 + hour)
    assert (tick.clock_stepped_ns, tick.source_time_ns) == (hour, WALL + 100_000_000 + hour)
    assert schedule.take(0.2, WALL + 200_000_000 + hour).clock_stepped_ns == 0


def test_silent_or_gone_writer_is_told_once() -> None:
    watch, closed = ResultsWatch(), [False]
    watch.wrote("a", 0.0, lambda: False)
    watch.wrote("b", 0.0, lambda: closed[0])
    assert watch.lost(SILENT_S) == []
    closed[0] = True
    assert watch.lost(SILENT_S) == ["b"]
    assert watch.lost(SILENT_S + 0.1) == ["a"]
    assert watch.lost(SILENT_S + 9.0) == []
    watch.wrote("a", 20.0, lambda: False)
    assert watch.lost(20.0 + SILENT_S + 0.1) == ["a"]


@pytest.mark.parametrize("damage", ["", "{", "[]", "null", '{"version": 1}', '{"version": 9, "sha256": "", "state": {}}'])
def test_damaged_state_is_set_aside_and_never_overwritten(tmp_path: Path, damage: str) -> None:
    checkpoints = Checkpoints(tmp_path)
    for _ in range(2):
        (checkpoints.folder / "m.json").write_text(damage, "utf-8")
        assert checkpoints.read("m") is None
    assert [(checkpoints.folder / f"m.unreadable-{n}.json").read_text("utf-8") for n in (1, 2)] == [damage, damage]
    checkpoints.write("m", {"wear": 0.5})
    assert checkpoints.read("m") == {"wear": 0.5}


def test_changed_digit_in_a_state_is_noticed(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.write("m", {"wear": 0.5})
    path = checkpoints.folder / "m.json"
    content = json.loads(path.read_text("utf-8"))
    content["state"]["wear"] = 0.6
    path.write_text(json.dumps(content), "utf-8")
    assert checkpoints.read("m") is None


@given(st.text(max_size=40))
def test_no_name_leads_out_of_the_program_folder(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.getbasetemp() / "names"
    folder = ProgramFolder(root)
    try:
        folder.store(name, "M30")
    except CommandRefused:
        return
    assert (folder.folder / name).resolve().parent == folder.folder.resolve()
    assert folder.read(name) == "M30"


def test_links_folders_and_giants_are_no_programs(tmp_path: Path) -> None:
    folder = ProgramFolder(tmp_path)
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    os.symlink(tmp_path / "secret.txt", folder.folder / "link.nc")
    (folder.folder / "folder.nc").mkdir()
    os.mkfifo(folder.folder / "pipe.nc")
    for name in ("link.nc", "folder.nc", "pipe.nc"):
        with pytest.raises(CommandRefused):
            folder.read(name)
    with pytest.raises(CommandRefused):
        folder.store("big.nc", "X" * (MAX_CHARACTERS + 1))
    assert folder.read("none.nc") is None
