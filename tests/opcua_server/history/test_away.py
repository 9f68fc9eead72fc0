"""A database that goes away, stands still, or is another one, and a clock that jumps: nothing is lost or doubled."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from cnctwin.errors import ConfigurationError
from cnctwin.program import Status
from cnctwin.settings import Settings
from opcua_server.history import archive, postgres
from opcua_server.history import writer as writer_module
from opcua_server.history.recorder import Recorder
from opcua_server.history.series import BAD_DATA_LOST, BAD_NO_DATA, TICKS_PER_S
from opcua_server.history.sqlite import SqliteDatabase
from opcua_server.history.store import MAX_SPAN, Database, StoreError
from opcua_server.history.writer import DAY_TICKS, LEAST_STEP, Limits, Writer
from opcua_server.program import Clock, Plant
from opcua_server.run.checkpoints import Checkpoints
from tests.harness import wait_for
from tests.opcua_server.history.conftest import empty
from tests.opcua_server.history.test_store import ALL, NOW, Kept, add, values


def events(kept: Kept) -> list[int]:
    with kept.archive.view() as view:
        return [event.time for event in view.recorded_events("m", *ALL, 0, 100, backwards=False)]


@pytest.mark.parametrize("cut", [False, True])
def test_what_was_written_just_before_the_database_went_is_not_written_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, cut: bool
) -> None:
    kept = Kept(database)
    for number in range(3):
        add(kept, NOW + number, number)
    kept.archive.add_event("m", NOW, b"x")
    connection = kept.writer._connection
    assert connection is not None
    commit = connection.commit

    def commit_and_go() -> None:
        commit()
        raise StoreError("went away before it said so")

    monkeypatch.setattr(connection, "commit", commit_and_go)
    assert not kept.writer._guarded(lambda: kept.writer.write(cut=cut))
    add(kept, NOW + 3, 3)
    kept.archive.add_event("m", NOW + 1, b"y")
    kept.writer.write(cut=cut)
    kept.leave()
    again = Kept(database)
    assert values(again.read(again.tags[0])) == [(NOW + number, number) for number in range(4)]
    assert events(again) == [NOW, NOW + 1]
    again.writer.write(cut=True)
    reader = database.connect(to_write=False)
    assert [int(count) for (count,) in reader.run("SELECT sum(count) FROM history_block")] == [16]
    reader.close()
    again.leave()


def test_a_database_that_is_another_one_gets_what_is_in_memory(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    """Such as a copy of yesterday that somebody has put back."""
    kept = Kept(database)
    add(kept, NOW, 1)
    kept.writer.write(cut=True)
    add(kept, NOW + 1, 2)
    kept.writer.write(cut=False)
    kept.leave()
    other = database.connect(to_write=True)
    for table in ("journal", "block", "mark"):
        other.run(f"DELETE FROM history_{table}")
    other.run("INSERT INTO history_mark (name, value) VALUES ('cut', 1000)")
    other.close()
    add(kept, NOW + 2, 3)
    kept.writer.write(cut=False)
    assert values(kept.read(kept.tags[0])) == [(NOW + 1, 2), (NOW + 2, 3)]
    kept.leave()
    kept = Kept(database)
    assert values(kept.read(kept.tags[0])) == [(NOW + 1, 2), (NOW + 2, 3)]
    assert [record.message.rsplit(": ", 1)[1] for record in caplog.records] == [
        "is another database now, or an earlier state of it"
    ]
    kept.leave()


def test_a_gap_is_noted_when_the_database_comes_after_the_server(tmp_path: Path) -> None:
    place = tmp_path / "history"
    kept = Kept(SqliteDatabase(place / "history.sqlite"))
    add(kept, NOW, 1)
    kept.writer.write(cut=True)
    kept.leave()
    place.rename(tmp_path / "elsewhere")
    place.write_text("in the way")
    later = NOW + 3600 * TICKS_PER_S
    kept = Kept(SqliteDatabase(place / "history.sqlite"))
    recorder = Recorder(kept.archive, lambda: later)
    kept.writer = Writer(kept.archive, Limits(), lambda: later, first=recorder.note_gap)
    kept.writer.open()
    add(kept, later, 2)
    kept.writer.start()
    place.unlink()
    (tmp_path / "elsewhere").rename(place)
    wait_for(lambda: kept.writer._first is None, "the gap is noted")
    assert kept.writer.flush()
    found = kept.read(kept.tags[0])
    assert found.statuses.tolist() == [0, BAD_NO_DATA, 0]
    assert found.times.tolist() == [NOW, NOW + 10_000, later]
    kept.writer.end()
    kept.leave()


def test_what_had_no_room_in_memory_leaves_a_gap_in_the_history(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(archive, "MAX_SAMPLES_IN_MEMORY", 4)
    monkeypatch.setattr(archive, "MAX_EVENTS_IN_MEMORY", 2)
    kept = Kept(SqliteDatabase(tmp_path / "history.sqlite"))
    kept.writer._trouble("away")
    for number in range(8):
        add(kept, NOW + 10 * number, number, (0,))
    add(kept, NOW + 80, 1, (1,))
    for number in range(5):
        kept.archive.add_event("m", NOW + number, b"x")
    kept.writer.start()
    assert kept.writer.flush()
    assert kept.writer.flush()  # what was noted then is written too
    found = kept.read(kept.tags[0])
    assert found.times.tolist() == [NOW, *(NOW + 10 * number for number in (5, 6, 7))]
    assert found.statuses.tolist() == [BAD_NO_DATA, 0, 0, 0]
    assert kept.read(kept.tags[1]).statuses.tolist() == [0]
    assert events(kept) == [NOW + 3, NOW + 4]
    assert [record.message.rsplit(": ", 1)[1] for record in caplog.records] == [
        "away; what is recorded waits in memory", "works again; 5 values and 3 events had no room",
    ]  # fmt: skip
    kept.writer.end()
    kept.leave()


def test_a_clock_that_jumps_ahead_takes_no_more_than_a_step_of_the_history(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    clock = [NOW]
    kept = Kept(database)
    kept.writer._now = lambda: clock[0]
    kept.writer._limits = Limits(age=10 * DAY_TICKS)
    for hour in range(9 * 24):
        add(kept, NOW - 9 * DAY_TICKS + hour * 3_600 * TICKS_PER_S, hour, (0,))
        kept.writer.write(cut=True)
    kept.archive.add_event("m", NOW, b"x")
    kept.writer.write(cut=False)
    kept.writer.tidy()
    assert len(kept.read(kept.tags[0])) == 9 * 24
    clock[0] += 365 * DAY_TICKS
    kept.writer.tidy()
    kept.writer.tidy()
    left = kept.read(kept.tags[0])
    assert left.times[0] <= NOW - 9 * DAY_TICKS + 2 * (LEAST_STEP + MAX_SPAN)
    assert left.times[-1] == NOW - 3_600 * TICKS_PER_S
    assert events(kept) == [NOW]
    (told,) = [record.message for record in caplog.records]
    assert told.endswith(
        "364 days of it are too old by the clock and go, 30 minutes of them a minute; if that is wrong, set the clock right"
    )
    kept.leave()


@pytest.mark.parametrize(("took_s", "longest_s"), [(0.01, 3.0), (2.5, 5.0), (60.0, 10.0)])
def test_a_full_disk_is_tried_again_soon_but_little_of_the_time_is_spent_on_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, took_s: float, longest_s: float
) -> None:
    """What waits is packed anew for each try: with three million values that takes seconds."""
    now_s = [0.0]
    monkeypatch.setattr(writer_module, "time", SimpleNamespace(monotonic=lambda: now_s[0]))
    kept = Kept(SqliteDatabase(tmp_path / "history.sqlite"))

    def write() -> None:
        now_s[0] += took_s
        raise StoreError("database or disk is full")

    waits = []
    for _ in range(12):
        assert not kept.writer._guarded(write)
        waits.append(round(kept.writer._again_s - now_s[0], 6))
        now_s[0] = kept.writer._again_s
    assert waits[0] == pytest.approx(min(max(0.5, 2 * took_s), 10.0))
    assert waits[-1] == pytest.approx(longest_s)
    assert waits == sorted(waits)
    kept.leave()


def test_what_could_not_be_written_by_the_end_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "history").write_text("in the way")
    kept = Kept(SqliteDatabase(tmp_path / "history" / "history.sqlite"))
    add(kept, NOW, 1)
    kept.writer.start()
    kept.writer.end()
    assert "; the last 4 values and 0 events are lost" in caplog.records[-1].message
    kept.leave()


# PostgreSQL ---------------------------------------------------------------------------------------------------------------


def kept_there(url: str) -> Kept:
    empty(url)
    return Kept(postgres.PostgresDatabase(url))


def test_a_database_that_stands_still_is_told_and_misses_nothing(
    postgresql: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres, "SILENT_S", (0.5, 0.5))
    kept = kept_there(postgresql)
    add(kept, NOW, 1)
    kept.writer.start()
    assert kept.writer.flush()
    assert values(kept.read(kept.tags[0])) == [(NOW, 1)]
    connections: list[Any] = [kept.writer._connection, kept.archive._local.connection[0]]
    backends = [connection._connection.info.backend_pid for connection in connections]
    try:
        for pid in backends:
            os.kill(pid, signal.SIGSTOP)
        add(kept, NOW + 1, 2)
        wait_for(lambda: kept.writer.problem is not None, "that it stands still is told")
        assert values(kept.read(kept.tags[0])) == [(NOW, 1), (NOW + 1, 2)]  # on a connection that is not stopped
    finally:
        for pid in backends:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    assert kept.writer.flush()
    assert values(kept.read(kept.tags[0])) == [(NOW, 1), (NOW + 1, 2)]
    kept.writer.end()
    kept.leave()
    assert "no answer for 0.5 s; what is recorded waits in memory" in caplog.records[0].message


def test_while_a_database_does_not_answer_readers_wait_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request may name a hundred variables, and one thread reads for all clients."""
    database = pytest.importorskip("psycopg") and postgres.PostgresDatabase("postgresql://nobody@127.0.0.1:1/none")
    monkeypatch.setattr(archive, "AWAY_S", 3_600.0)
    tried = []
    connect = database.connect

    def counted(**how: Any) -> Any:
        tried.append(1)
        return connect(**how)

    monkeypatch.setattr(database, "connect", counted)
    found = archive.Archive(database)
    for _ in range(5):
        with pytest.raises(StoreError), found.view():
            pass
    assert len(tried) == 1


def test_two_servers_do_not_mix_their_histories(
    postgresql: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(postgres, "LOCK_WAIT", "100ms")
    first = kept_there(postgresql)
    second = Kept(postgres.PostgresDatabase(postgresql))
    assert second.writer.problem == "another server keeps its history in this database; give each a database of its own"
    add(second, NOW, 2)
    add(first, NOW, 1)
    first.writer.write(cut=True)
    assert values(first.read(first.tags[0])) == [(NOW, 1)]
    first.leave()
    second.leave()
    second.archive.close_reader()


def test_an_address_that_cannot_be_read_is_told_without_its_password() -> None:
    pytest.importorskip("psycopg")
    for address in ("postgresql://u:hun ter2@host/name", "postgresql://u:hunter2@host:port/name", "postgresql://u:hunter2@h/n?a=1"):
        with pytest.raises(ConfigurationError) as raised:
            postgres.PostgresDatabase(address)
        assert "history_url" in str(raised.value)
        assert "ter2" not in str(raised.value)


def test_a_reason_that_becomes_another_one_is_told_too(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "opcua_server.history"):
        kept = Kept(SqliteDatabase(tmp_path / "history.sqlite"))
        for problem in ["nobody there"] * 15 + ["wrong password"] * 30:
            kept.writer._trouble(problem)
    assert [record.message.split(": ")[1].split(";")[0] for record in caplog.records] == ["nobody there", "wrong password"]
    kept.leave()


def test_a_history_that_cannot_be_written_shows_in_the_state_of_the_server(tmp_path: Path) -> None:
    status = Status("server")
    plant = Plant(Settings(data=tmp_path), status, Clock(), cast(Any, None), Checkpoints(tmp_path))
    kept = Kept(SqliteDatabase(tmp_path / "history.sqlite"))
    plant._writer = kept.writer
    kept.writer._trouble("no answer for 20 s")
    plant._tell()
    assert (status.state, status.reason) == ("degraded", "history waits in memory: no answer for 20 s")
    add(kept, NOW, 1)
    assert kept.writer._guarded(lambda: kept.writer.write(cut=True))
    assert not plant._problems()
    kept.leave()


# A file ------------------------------------------------------------------------------------------------------------------


def test_a_file_that_is_taken_away_is_begun_anew_with_what_is_in_memory(
    sqlite: SqliteDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept(sqlite)
    add(kept, NOW, 1)
    kept.writer.write(cut=True)
    add(kept, NOW + 1, 2)
    kept.writer.write(cut=False)
    for path in sqlite.path.parent.glob("*"):
        path.unlink()
    add(kept, NOW + 2, 3)
    kept.writer.start()
    assert kept.writer.flush()
    assert values(kept.read(kept.tags[0])) == [(NOW + 1, 2), (NOW + 2, 3)]
    kept.writer.end()
    kept.leave()
    assert [record.message.rsplit(".sqlite: ", 1)[1] for record in caplog.records] == [
        "its file was taken away, or another put in its place; what is recorded waits in memory",
        "is another database now, or an earlier state of it",
        "works again; 0 values had no room",
    ]


def test_what_a_reader_finds_damaged_is_set_aside_though_it_can_be_written(sqlite: SqliteDatabase) -> None:
    kept = Kept(sqlite)
    numbers = iter(range(1_000_000))
    for _ in range(4):
        for number in range(2_000):
            add(kept, NOW + next(numbers), hash((number, 1)), (0,))
        kept.writer.write(cut=True)
    connection = sqlite.connect(to_write=True)
    connection.run("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    with sqlite.path.open("r+b") as file:
        file.seek(8 * 4096)
        file.write(bytes(sqlite.path.stat().st_size - 9 * 4096))
    kept.archive.close_reader()
    with pytest.raises(StoreError):
        kept.read(kept.tags[0])
    add(kept, NOW + next(numbers), 7)
    kept.writer.start()
    assert kept.writer.flush()
    assert list(sqlite.path.parent.glob("*-damaged.sqlite"))
    assert len(kept.read(kept.tags[0])) == 1
    kept.writer.end()
    kept.leave()


def test_a_database_of_a_newer_version_is_left_as_it_is(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept(database)
    add(kept, NOW, 1)
    kept.writer.write(cut=True)
    writer = kept.writer._connection
    assert writer is not None
    writer.run("UPDATE history_mark SET value = 2 WHERE name = 'version'")
    kept.leave()
    kept = Kept(database)
    assert "a newer version of this program wrote it: 2, not 1" in caplog.records[0].message
    if isinstance(database, SqliteDatabase):
        add(kept, NOW + 1, 2)
        kept.writer.write(cut=True)
        assert values(kept.read(kept.tags[0])) == [(NOW + 1, 2)]
        assert len(list(database.path.parent.glob("*-damaged.sqlite"))) == 1
    else:
        assert kept.writer.problem == "a newer version of this program wrote it: 2, not 1"
    kept.leave()


def test_a_damaged_block_hides_itself_alone(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept(database)
    for block in range(3):
        for number in range(600):
            add(kept, NOW + 600 * block + number, number)
        kept.writer.write(cut=True)
    writer = kept.writer._connection
    assert writer is not None
    ((number,),) = writer.run("SELECT id FROM history_block WHERE tag = ? AND low = ?", (kept.tags[0].number, NOW + 600))
    writer.run("UPDATE history_block SET body = ? WHERE id = ?", (b"\0" * 100, number))
    found = kept.read(kept.tags[0])
    assert found.times.tolist() == [*range(NOW, NOW + 600), NOW + 600, NOW + 1199, *range(NOW + 1200, NOW + 1800)]
    assert set(found.statuses[600:602].tolist()) == {BAD_DATA_LOST}
    assert len(kept.read(kept.tags[3])) == 1_800
    assert "600 values of the history cannot be read any more" in caplog.text
    kept.leave()
