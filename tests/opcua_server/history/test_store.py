"""The archive over a database: nothing is lost, doubled or changed on its way from memory to journal to blocks."""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opcua_server.history.archive import Archive, Tag
from opcua_server.history.series import TICKS_PER_S, Series
from opcua_server.history.sqlite import SqliteDatabase
from opcua_server.history.store import Database, StoreError
from opcua_server.history.writer import DAY_TICKS, Limits, Writer
from tests.opcua_server.history.conftest import empty

NOW = 133_000_000_000_000_000
ALL = (0, (1 << 63) - 1)
TAGS = (("A", "Double"), ("B", "Double"), ("C", "Int32"), ("D", "String"))


class Kept:
    """An archive with a writer whose work is done when it is asked for."""

    def __init__(self, database: Database, limits: Limits | None = None) -> None:
        self.archive = Archive(database)
        self.tags = [self.archive.tag(name, kind, is_stepped=False) for name, kind in TAGS]
        self.writer = Writer(self.archive, limits or Limits(), lambda: NOW)
        self.writer.open()

    def read(self, tag: Tag, low: int = ALL[0], high: int = ALL[1], most: int = 1 << 30, backwards: bool = False) -> Series:
        with self.archive.view() as view:
            return view.read(tag, low, high, most, backwards)

    def leave(self) -> None:
        """As a killed process does: nothing more is written."""
        self.archive.close_reader()
        self.writer._disconnect()


def add(kept: Kept, time: int, value: int, tags: tuple[int, ...] = (0, 1, 2, 3)) -> None:
    for number in tags:
        tag = kept.tags[number]
        kept.archive.add_one(tag, time, time + 20_000, f"v{value}" if tag.kind == "String" else value, 0)


def values(series: Series) -> list[Any]:
    return list(zip(series.times.tolist(), series.values.tolist(), strict=True))


STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "add", "journal", "cut", "leave"]), st.integers(-3, 40), st.integers(1, 15)),
    max_size=25,
)  # fmt: skip


@settings(max_examples=25)
@given(STEPS)
def test_what_was_journaled_is_read_whatever_happens(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    live_through(SqliteDatabase(tmp_path_factory.mktemp("store") / "history.sqlite"), steps)


def test_so_it_is_in_either_database(database: Database) -> None:
    steps = [("add", 3, 15), ("add", 4, 5), ("journal", 0, 1), ("add", -3, 15), ("cut", 0, 1), ("add", 9, 15), ("add", 2, 9)]
    live_through(
        database, [*steps, ("leave", 0, 1), ("add", 5, 15), ("cut", 0, 1), ("add", 1, 15), ("journal", 0, 1), ("leave", 0, 1)]
    )


def live_through(database: Database, steps: list[Any]) -> None:
    """Add, write, and be killed, and read what should be there after each step."""
    kept = Kept(database)
    shown: list[dict[int, Any]] = [{}, {}, {}, {}]
    safe = [dict(one) for one in shown]
    time = NOW
    for count, (step, jump, which) in enumerate(steps):
        if step == "add":  # now and then the clock is set back
            time += jump * TICKS_PER_S
            tags = tuple(number for number in range(4) if which >> number & 1)
            add(kept, time, count, tags)
            for number in tags:
                shown[number][time] = f"v{count}" if TAGS[number][1] == "String" else count
        elif step == "leave":
            kept.leave()
            kept = Kept(database)
            shown = [dict(one) for one in safe]
        else:
            kept.writer.write(cut=step == "cut")
            safe = [dict(one) for one in shown]
        for tag, expected in zip(kept.tags, shown, strict=True):
            assert values(kept.read(tag)) == sorted(expected.items())
    for tag, expected in zip(kept.tags, shown, strict=True):
        for low, high in ((NOW, NOW + 60 * TICKS_PER_S), (NOW - 5 * TICKS_PER_S, NOW + 5 * TICKS_PER_S)):
            within = sorted((t, v) for t, v in expected.items() if low <= t <= high)
            assert values(kept.read(tag, low, high, 3)) == within[:3]
            assert values(kept.read(tag, low, high, 3, True)) == within[-3:]
    kept.leave()


def test_samples_that_come_slowly_share_a_block(database: Database) -> None:
    kept = Kept(database)
    for minute in range(20):
        add(kept, NOW + minute * 60 * TICKS_PER_S, minute)
        kept.writer.write(cut=True)
    connection = database.connect(to_write=False)
    assert connection.run("SELECT count(*), sum(count) FROM history_block") == [(4, 80)]
    connection.close()
    assert [value for _, value in values(kept.read(kept.tags[0]))] == list(range(20))
    kept.leave()


def test_a_reader_sees_one_moment_while_blocks_are_cut(database: Database) -> None:
    kept = Kept(database)
    done = threading.Event()
    wrong: list[Any] = []

    def read() -> None:
        while not done.is_set():
            found = kept.read(kept.tags[0])
            if found.times.tolist() != list(range(NOW, NOW + len(found))):
                wrong.append(found.times.tolist())
        kept.archive.close_reader()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(400):
        add(kept, NOW + number, number, (0,))
        if number % 7 == 0:
            kept.writer.write(cut=number % 2 == 0)
    done.set()
    for reader in readers:
        reader.join(30)
    assert not wrong
    assert len(kept.read(kept.tags[0])) == 400
    kept.leave()


_CHILD = """
import sys, time
from pathlib import Path
from tests.opcua_server.history.test_store import Kept, NOW, add
from opcua_server.history.sqlite import SqliteDatabase
database = SqliteDatabase(Path(sys.argv[1]))
kept = Kept(database)
kept.writer.start()
for number in range(500):
    add(kept, NOW + number, number, (0,))
while kept.writer._journaled < kept.archive._serial:
    time.sleep(0.01)
print("journaled", flush=True)
while True:
    time.sleep(1)
"""


def test_a_killed_process_leaves_what_it_had_written(sqlite: SqliteDatabase) -> None:
    child = subprocess.Popen([sys.executable, "-c", _CHILD, str(sqlite.path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "journaled\n"
    child.kill()
    child.wait(30)
    child.stdout.close()
    kept = Kept(sqlite)
    assert len(kept.read(kept.tags[0])) == 500
    kept.leave()


def test_a_damaged_database_is_set_aside_and_what_is_in_memory_goes_into_a_new_one(
    sqlite: SqliteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept(sqlite)
    add(kept, NOW, 1)
    kept.writer.write(cut=True)
    kept.leave()
    sqlite.path.write_bytes(b"no database" * 1000)
    with caplog.at_level(logging.ERROR, "opcua_server.history"):
        kept = Kept(sqlite)
    assert [record.message.split(": ", 1)[1].split(" (")[0] for record in caplog.records] == ["damaged"]
    add(kept, NOW + 1, 2)
    kept.writer.start()
    assert kept.writer.flush()
    assert values(kept.read(kept.tags[0])) == [(NOW + 1, 2)]
    kept.writer.end()
    assert kept.writer.problem is None
    (aside,) = sqlite.path.parent.glob("history-*-damaged.sqlite")
    assert aside.read_bytes().startswith(b"no database")
    kept.leave()


def test_what_cannot_be_written_waits_in_memory(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = tmp_path / "history"
    place.write_text("in the way")
    with caplog.at_level(logging.ERROR, "opcua_server.history"):
        kept = Kept(SqliteDatabase(place / "history.sqlite"))
        add(kept, NOW, 1)
        kept.writer.start()
        kept.writer.flush(1.2)
    assert kept.writer.problem is not None
    assert len(caplog.records) == 1
    place.unlink()
    assert kept.writer.flush()
    assert values(kept.read(kept.tags[0])) == [(NOW, 1)]
    kept.writer.end()
    kept.leave()


def test_memory_is_bounded_while_nothing_can_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from opcua_server.history import archive

    monkeypatch.setattr(archive, "MAX_SAMPLES_IN_MEMORY", 10)
    kept = Kept(SqliteDatabase(tmp_path / "history.sqlite"))
    for number in range(25):
        add(kept, NOW + number, number, (0,))
    assert kept.archive.lost == 15
    assert [value for _, value in values(kept.read(kept.tags[0]))] == list(range(15, 25))
    kept.leave()


def test_a_long_read_ends_when_the_server_does(sqlite: SqliteDatabase) -> None:
    kept = Kept(sqlite)
    add(kept, NOW, 1)
    with kept.archive.view() as view:
        assert len(view.read(kept.tags[0], *ALL, 1, False)) == 1
        kept.archive.close()
        with pytest.raises(StoreError):
            view.read(kept.tags[0], *ALL, 1, False)
    kept.leave()


def test_old_history_is_forgotten(database: Database) -> None:
    kept = Kept(database, Limits(age=10 * DAY_TICKS))
    for days in (30, 20, 11, 9, 1):
        add(kept, NOW - days * DAY_TICKS, days, (0,))
        kept.writer.write(cut=True)
    for _ in range(3):  # a step of time at once
        kept.writer.tidy()
    assert [value for _, value in values(kept.read(kept.tags[0]))] == [9, 1]
    assert kept.writer.oldest == NOW - 9 * DAY_TICKS
    kept.leave()


def test_what_is_too_much_goes_oldest_first(database: Database) -> None:
    kept = Kept(database, Limits(size_bytes=300_000))
    numbers = np.random.default_rng(1).random(4_000)
    for number in range(0, 40_000, 400):
        for place in range(400):
            kept.archive.add_one(
                kept.tags[0], NOW + (number + place) * TICKS_PER_S, NOW, float(numbers[(number + place) % 4_000]), 0
            )
        kept.writer.write(cut=True)
        kept.writer.tidy()
    found = kept.read(kept.tags[0])
    assert 0 < len(found) < 40_000
    assert found.times.tolist() == list(range(int(found.times[0]), NOW + 40_000 * TICKS_PER_S, TICKS_PER_S))
    kept.leave()
    connection = database.connect(to_write=True)
    assert 0 < connection.size_bytes() < 400_000
    connection.close()


def test_a_database_that_goes_away_and_comes_back_misses_nothing(postgresql: str, caplog: pytest.LogCaptureFixture) -> None:
    import psycopg

    from opcua_server.history.postgres import PostgresDatabase

    empty(postgresql)
    kept = Kept(PostgresDatabase(postgresql))
    add(kept, NOW, 1)
    kept.writer.start()
    assert kept.writer.flush()
    with psycopg.connect(postgresql, autocommit=True) as other, caplog.at_level(logging.ERROR, "opcua_server.history"):
        others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cnctwin'"
        assert values(kept.read(kept.tags[0])) == [(NOW, 1)]
        other.execute(others)
        add(kept, NOW + 1, 2)
        assert kept.writer.flush()
        other.execute(others)
    assert values(kept.read(kept.tags[0])) == [(NOW, 1), (NOW + 1, 2)]
    kept.writer.end()
    kept.leave()
