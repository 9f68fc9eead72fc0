"""The store: what survives, what is set aside, what is counted."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from fake_link import FakeLink
from gate import opened, until
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.reading import Batch, Reading
from gateway.api.replies import Refusal
from gateway.api.seed.models import TelemetryBody
from gateway.api.v1.history import _us as microseconds
from gateway.api.v1.history import buckets
from gateway.core import Peer
from gateway.store import Store
from gateway.store.reader import Reader
from gateway.store.rollups import Rollups, bucket_start_us
from gateway.store.schema import COLUMN, COLUMNS
from gateway.store.store import NAME
from gateway.store.writer import HOUR_US, Frame, Limits, Sample, Writer
from gateway.twin import Twin

HISTORY = "/api/v1/machines/CNC-001/history/"


@given(st.integers(-(10**17), 10**17), st.sampled_from([60, 300, 3600]))
def test_a_bucket_holds_its_time_and_starts_at_a_multiple(ts_us: int, length_s: int) -> None:
    start = bucket_start_us(ts_us, length_s * 1_000_000)
    assert start <= ts_us < start + length_s * 1_000_000
    assert start % (length_s * 1_000_000) == 0


@given(st.lists(st.tuples(st.integers(0, 10_000_000_000), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_rollups_tell_count_minimum_maximum_sum_and_last(points: list[tuple[int, float]]) -> None:
    rollups = Rollups()
    for ts_us, value in points:
        rollups.add("m", "x", ts_us, value)
    rows = {(res, bucket): rest for _, _, res, bucket, *rest in rollups.take()}
    for res in (60, 300, 3600):
        grouped: dict[int, list[float]] = {}
        for ts_us, value in points:
            grouped.setdefault(bucket_start_us(ts_us, res * 1_000_000), []).append(value)
        for bucket, values in grouped.items():
            count, low, high, total, last = rows[res, bucket]
            assert (count, low, high, last) == (len(values), min(values), max(values), values[-1])
            assert total == pytest.approx(sum(values), abs=1e-3)
    assert list(rollups.take()) == []


def frame(ts_us: int, **values: float) -> Frame:
    numbers = np.full(len(COLUMNS), np.nan)
    for name, value in values.items():
        numbers[COLUMN[name.replace("__", "/")]] = value
    return Frame("CNC-001", ts_us, numbers)


def writer_on(path: Path, limits: Limits | None = None, now_us: int = 1_000_000) -> Writer:
    writer = Writer(path, limits or Limits(), lambda: now_us)
    writer._guarded(writer._open)
    return writer


def test_frames_come_back_as_they_were_put_in(tmp_path: Path) -> None:
    writer = writer_on(tmp_path / NAME)
    writer._write([frame(1, Spindle__ActSpeed=1.1), frame(2), frame(3, Spindle__ActSpeed=3.3)])
    reader = Reader(tmp_path / NAME)
    assert reader.points("CNC-001", "Spindle/ActSpeed", 0, 10) == [(1, 1.1), (2, None), (3, 3.3)]
    assert reader.points("CNC-001", "Spindle/ActSpeed", 2, 3) == [(2, None)]
    assert reader.points("CNC-002", "Spindle/ActSpeed", 0, 10) == []
    reader.close()
    writer._close()


def test_two_frames_of_one_moment_are_one(tmp_path: Path) -> None:
    writer = writer_on(tmp_path / NAME)
    writer._write([frame(1, Spindle__ActSpeed=1.0), frame(1, Spindle__ActSpeed=2.0), frame(2, Spindle__ActSpeed=4.0)])
    reader = Reader(tmp_path / NAME)
    assert reader.points("CNC-001", "Spindle/ActSpeed", 0, 10) == [(1, 2.0), (2, 4.0)]
    assert reader.buckets("CNC-001", ["Spindle/ActSpeed"], 60) == [(0, 2, 2.0, 4.0, 3.0)]
    reader.close()
    writer._close()


def test_what_is_old_is_forgotten_and_the_file_stays_small(tmp_path: Path) -> None:
    limits = Limits(frames_us=1000)
    writer = writer_on(tmp_path / NAME, limits, now_us=5000)
    writer._write([frame(ts_us, Spindle__ActSpeed=1.0) for ts_us in range(3000, 5000)])
    writer._tidy()
    reader = Reader(tmp_path / NAME)
    assert next(ts_us for ts_us, _ in reader.points("CNC-001", "Spindle/ActSpeed", 0, 10_000)) == 3999
    reader.close()
    writer._close()


@pytest.mark.parametrize(
    ("clock_us", "kept"),
    [(0, 1000), (5 * HOUR_US, 1000), (-2 * HOUR_US, 2000), (48 * HOUR_US, 0)],
    ids=["right", "behind", "ahead", "gone"],
)
def test_a_machine_whose_clock_is_off_keeps_its_last_hours_too(tmp_path: Path, clock_us: int, kept: int) -> None:
    newest = 100 * HOUR_US
    writer = writer_on(tmp_path / NAME, Limits(frames_us=1000), now_us=newest + clock_us)
    writer._write([frame(ts_us, Spindle__ActSpeed=1.0) for ts_us in range(newest - 1999, newest + 1)])
    writer._tidy()
    reader = Reader(tmp_path / NAME)
    assert len(reader.points("CNC-001", "Spindle/ActSpeed", 0, newest + 1)) in (kept, kept + 1)
    reader.close()
    writer._close()


def test_a_full_database_keeps_the_newest_and_what_people_gave_in_memory_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gateway.store.writer import Row

    monkeypatch.setattr("gateway.store.writer.QUEUE", 101)
    writer = writer_on(tmp_path / NAME, Limits(size_bytes=600_000))
    audit = {"ts_us": 1, "command": "c", "method": "Stop", "arguments": "{}", "user": "u", "state": "done", "reason": None}
    row = Row("command", None, {**audit, "machine": "CNC-001"}, accepted=True)
    frames = [frame(ts_us, Spindle__ActSpeed=1.0) for ts_us in range(2000)]
    writer._write([row, *frames])
    assert writer.problem is not None
    assert "full" in writer.problem
    assert (writer.dropped, writer.waiting) == (1900, 101)
    writer._guarded(writer._tidy, proves=False)
    assert "full" in str(writer.problem), "nothing was there to forget: tidying up proves nothing"
    writer._write([])
    assert writer.problem is None
    connection = sqlite3.connect(tmp_path / NAME)
    assert connection.execute("SELECT command FROM command").fetchall() == [("c",)]
    assert connection.execute("SELECT min(ts_us), max(ts_us), count(*) FROM frame").fetchall() == [(1900, 1999, 100)]
    connection.close()
    writer._close()


def test_a_record_that_no_database_takes_holds_up_no_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = writer_on(tmp_path / NAME)
    odd = [Sample("CNC-001", "Channel/ActProgramName", 1, value, 0) for value in ("\ud800", 1 << 64)]
    writer._write([frame(1, Spindle__ActSpeed=1.0), *odd, frame(2, Spindle__ActSpeed=1.0)])
    assert (writer.written, writer.dropped, writer.problem) == (2, 2, None)
    assert len(caplog.records) == 2
    writer._close()


def test_a_file_that_is_taken_away_is_begun_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = writer_on(tmp_path / NAME)
    writer._write([frame(1, Spindle__ActSpeed=1.0)])
    for path in tmp_path.glob(f"{NAME}*"):
        path.unlink()
    writer._write([frame(2, Spindle__ActSpeed=1.0)])
    writer._write([frame(3, Spindle__ActSpeed=1.0)])
    reader = Reader(tmp_path / NAME)
    assert [ts_us for ts_us, _ in reader.points("CNC-001", "Spindle/ActSpeed", 0, 10)] == [2, 3]
    reader.close()
    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]
    assert "was taken away" in caplog.text
    writer._close()


def test_what_a_reader_finds_damaged_is_set_aside_though_it_can_be_written(tmp_path: Path) -> None:
    writer = writer_on(tmp_path / NAME)
    for first in range(0, 3000, 1000):
        writer._write([frame(ts_us, Spindle__ActSpeed=1.0) for ts_us in range(first, first + 1000)])
    assert writer._connection is not None
    writer._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with (tmp_path / NAME).open("r+b") as file:
        file.seek(200 * 4096)
        file.write(bytes(100 * 4096))
    writer._write([frame(3000, Spindle__ActSpeed=1.0)])
    assert writer.problem is None
    writer.is_doubted = True
    writer._write([frame(3001, Spindle__ActSpeed=1.0)])
    writer._write([])
    assert (writer.problem, writer.dropped) == (None, 0)
    assert list(tmp_path.glob("*-damaged.sqlite"))
    reader = Reader(tmp_path / NAME)
    assert [ts_us for ts_us, _ in reader.points("CNC-001", "Spindle/ActSpeed", 0, 10_000)] == [3001]
    reader.close()
    writer._close()


def test_a_clock_that_jumps_ahead_takes_no_more_than_a_step_of_the_store(tmp_path: Path) -> None:
    clock = [400 * 24 * HOUR_US]
    writer = writer_on(tmp_path / NAME)
    writer._now_us = lambda: clock[0]
    minutes = [clock[0] - minute * 60_000_000 for minute in range(60)]
    writer._write([frame(ts_us, Spindle__ActSpeed=1.0) for ts_us in minutes])
    writer._write([Sample("CNC-001", "Channel/ActProgramName", ts_us, "a", 0) for ts_us in minutes])
    clock[0] += 400 * 24 * HOUR_US
    writer._write([frame(clock[0], Spindle__ActSpeed=1.0)])
    writer._tidy()
    assert writer._connection is not None
    left = [
        writer._connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        for table in ("frame", "sample", "rollup WHERE res = 60")
    ]
    assert (left[0] >= 55, left[1] >= 49, left[2] >= 49) == (True, True, True)
    writer._close()


def test_what_is_measured_while_another_program_holds_the_file_is_written_when_it_lets_go(tmp_path: Path) -> None:
    writer = writer_on(tmp_path / NAME)
    assert writer._connection is not None
    writer._connection.execute("PRAGMA busy_timeout = 0")
    copying = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    copying.execute("BEGIN IMMEDIATE")
    for ts_us in range(3):
        writer._write([frame(ts_us, Spindle__ActSpeed=1.0)])
    assert (writer.problem, writer.dropped, writer.waiting) == ("database is locked", 0, 3)
    copying.execute("ROLLBACK")
    copying.close()
    writer._write([])
    assert (writer.problem, writer.written) == (None, 3)
    reader = Reader(tmp_path / NAME)
    assert [ts_us for ts_us, _ in reader.points("CNC-001", "Spindle/ActSpeed", 0, 10)] == [0, 1, 2]
    reader.close()
    writer._close()


@pytest.mark.parametrize("damage", [b"this is no database" * 100, b"SQLite format 3\x00" + b"\xff" * 4096])
def test_a_damaged_file_is_set_aside_and_never_deleted(tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / NAME).write_bytes(damage)
    with opened(tmp_path, FakeLink()) as gate:
        until(lambda: (folder / NAME).exists() and "store" not in gate.bare.get("/ready").json().get("reasons", {}))
        (aside,) = folder.glob("*-damaged.sqlite")
        assert aside.read_bytes() == damage
    assert len([record for record in caplog.records if "set aside" in record.getMessage()]) == 1


def test_a_folder_that_cannot_be_written_leaves_the_gateway_running(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    with opened(tmp_path, FakeLink()) as gate:
        until(lambda: "store" in gate.bare.get("/ready").json()["reasons"])
        assert gate.http.get("/machines/CNC-001/telemetry").status_code == 200
        assert gate.http.get(HISTORY + "Spindle/ActSpeed").json()["points"] == []
        until(lambda: gate.metric("cnctwin_store_waiting") > 0)
        (tmp_path / "store").unlink()
        until(lambda: "store" not in gate.bare.get("/ready").json().get("reasons", {}))
        until(lambda: gate.http.get(HISTORY + "Spindle/ActSpeed").json()["points"])


def test_history_survives_a_restart(tmp_path: Path) -> None:
    sent = {"timestamp": "2026-02-04T10:00:00Z", "machine_id": "E1", "data": {"spindle": {"rpm": 1}}}
    link = FakeLink(period_s=None)
    now = time.time_ns() // 1000 * 1000
    with opened(tmp_path, link) as gate:
        gate.play(link.moment("CNC-001"), time_ns=now - 2_000_000_000)
        gate.play({"Spindle/ActSpeed": 1234.5, "Channel/ActProgramName": "other.nc"}, time_ns=now - 1_000_000_000)
        gate.http.post("/machines/E1/telemetry", json=sent)
        gate.http.post(
            "/predict/tool-rul", json={"machine_id": "E1", "wear_percent": 1, "runtime_minutes": 1, "cutting_speed_m_min": 1}
        )
        until(lambda: len(gate.http.get("/machines/CNC-001/history").json()["data"]) == 2)
        before = gate.http.get("/machines/CNC-001/history").json()["data"]
        points = gate.http.get(HISTORY + "Spindle/ActSpeed").json()["points"]
        assert points[-1][1] == 1234.5
    with opened(tmp_path, FakeLink(period_s=None)) as gate:
        assert gate.http.get("/machines/CNC-001/history").json()["data"] == before
        assert [machine["id"] for machine in gate.http.get("/machines").json()["data"]] == ["E1"]
        assert gate.http.get("/machines/E1/history").json()["data"][0]["data"] == sent["data"]
        assert len(gate.http.get("/predictions/E1").json()["data"]) == 1


def test_history_comes_in_points_and_in_buckets(tmp_path: Path) -> None:
    link = FakeLink(period_s=None)
    start = 1_780_000_000_000_000_000
    with opened(tmp_path, link) as gate:
        for number in range(180):
            gate.play(
                {"Spindle/ActSpeed": float(number), "Channel/ActProgramName": f"p{number // 90}"},
                time_ns=start + number * 1_000_000_000,
            )
        until(lambda: len(gate.link._batches._queue) == 0)
        asked = {"start": "2026-05-28T20:26:40Z", "end": "2026-05-28T20:29:40Z"}
        points = gate.http.get(HISTORY + "Spindle/ActSpeed", params=asked).json()["points"]
        assert points[0] == ["2026-05-28T20:26:40.000000Z", 0.0]
        assert [value for _, value in points] == [float(number) for number in range(180)]
        for interval, first in (
            ("10s", {"count": 10, "min": 0.0, "max": 9.0, "avg": 4.5}),
            ("1min", {"count": 20, "min": 0.0, "max": 19.0, "avg": 9.5}),
        ):
            buckets = gate.http.get(HISTORY + "Spindle/ActSpeed", params={**asked, "interval": interval}).json()["buckets"]
            assert {name: buckets[0][name] for name in first} == first
            assert sum(bucket["count"] for bucket in buckets) == 180
        texts = gate.http.get(HISTORY + "Channel/ActProgramName", params=asked).json()["points"]
        assert [value for _, value in texts] == ["p0", "p1"]
        for wrong in ({"start": "x"}, {"interval": "0s"}, {"interval": "x"}, {"start": asked["end"], "end": asked["start"]}):
            assert gate.http.get(HISTORY + "Spindle/ActSpeed", params={**asked, **wrong}).status_code == 422
        assert gate.http.get(HISTORY + "No/Signal").status_code == 404


def test_buckets_of_more_than_a_question_brings_are_whole_and_say_where_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("gateway.store.reader", "gateway.api.v1.history"):
        monkeypatch.setattr(f"{module}.POINTS", 25)
    writer = writer_on(tmp_path / NAME)
    writer._write([frame(second * 1_000_000, Spindle__ActSpeed=float(second)) for second in range(60)])
    reader = Reader(tmp_path / NAME)
    counts: list[int] = []
    end_us: int | None = 60_000_000
    rounds = 0
    while end_us is not None:
        told = buckets(reader, "CNC-001", "Spindle/ActSpeed", 0, end_us, 10)
        counts += [bucket["count"] for bucket in told["buckets"]]
        end_us = int(datetime.fromisoformat(told["next_end"]).timestamp()) * 1_000_000 if "next_end" in told else None
        rounds += 1
    assert counts == [10] * 6
    assert rounds == 3
    with pytest.raises(Refusal, match="interval"):
        buckets(reader, "CNC-001", "Spindle/ActSpeed", 0, 60_000_000, 30)
    reader.close()
    writer._close()


def test_a_clock_that_is_set_back_loses_nothing_and_the_future_is_not_the_latest(tmp_path: Path) -> None:
    writer = writer_on(tmp_path / NAME)
    writer._write([frame(10_000_000_000, Spindle__ActSpeed=9.0), frame(1_000, Spindle__ActSpeed=1.0)])
    reader = Reader(tmp_path / NAME)
    assert len(reader.points("CNC-001", "Spindle/ActSpeed", 0, 1 << 60)) == 2
    latest = reader.documents("CNC-001", 5_000, 200)[-1]
    assert latest["data"]["spindle"]["rpm"] == 1.0
    reader.close()
    writer._close()


def test_what_was_flushed_survives_kill_9(tmp_path: Path) -> None:
    script = """
import asyncio, sys, time
from pathlib import Path
from cnctwin.reading import Batch, Reading
from gateway.core import Peer
from gateway.store import Store
from gateway.twin import Twin
async def main():
    store = Store(Path(sys.argv[1]), Peer("store"))
    await store.open()
    twin = Twin(0)
    for number in range(1, 10_000_000):
        at = number * 1000
        store.update(twin.apply(Batch("M", at, (Reading("Spindle/ActSpeed", float(number), 0, at, at),))))
        if number % 100 == 0:
            await store.flush()
            print(number, flush=True)
asyncio.run(main())
"""
    process = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    for _ in range(20):
        said = int(process.stdout.readline())
    os.kill(process.pid, signal.SIGKILL)
    rest = process.stdout.read().split()
    process.stdout.close()
    process.wait()
    said = int(rest[-1]) if rest else said
    reader = Reader(tmp_path / NAME)
    values = [value for _, value in reader.points("M", "Spindle/ActSpeed", 0, 1 << 60)]
    reader.close()
    assert values[:said] == [float(number) for number in range(1, said + 1)]


def test_a_batch_that_is_not_current_leaves_a_gap_and_no_frame(tmp_path: Path) -> None:
    async def play() -> list:
        store, twin = Store(tmp_path, Peer("store")), Twin(0)
        await store.open()
        store.update(twin.apply(Batch("M", 1000, (Reading("Spindle/ActSpeed", 1.0, 0, 1000, 1000),))))
        update = twin.degrade("M")
        assert update is not None
        store.update(update)
        points = await store.ask(lambda reader: reader.points("M", "Spindle/ActSpeed", 0, 10), list)
        await store.close()
        return points

    assert asyncio.run(play()) == [(1, 1.0)]


def test_an_alert_that_waits_goes_out_though_the_clock_was_set_back(tmp_path: Path) -> None:
    from gateway.store.writer import Row

    writer = writer_on(tmp_path / NAME)
    now = 100 * HOUR_US
    for number, next_us in enumerate((now - 1, now + 900_000_000, now + HOUR_US)):
        writer._write([Row("outbox", None, {"created_us": 0, "next_us": next_us, "tries": 1, "body": str(number)}, accepted=True)])
    reader = Reader(tmp_path / NAME)
    assert [body for *_, body in reader.outbox(now, 900_000_000, 20)] == [0, 2]
    reader.close()
    writer._close()


def test_a_file_of_a_newer_version_is_set_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    writer = writer_on(tmp_path / NAME)
    writer._write([frame(1, Spindle__ActSpeed=1.0)])
    assert writer._connection is not None
    writer._connection.execute("PRAGMA user_version = 2")
    writer._close()
    again = Writer(tmp_path / NAME, Limits(), lambda: 1)
    again._write([frame(2, Spindle__ActSpeed=1.0)])
    again._write([])
    assert again.problem is None
    assert "not a database of this version of the program: 2, not 1" in caplog.text
    assert len(list(tmp_path.glob("*-damaged.sqlite"))) == 1
    reader = Reader(tmp_path / NAME)
    assert [ts_us for ts_us, _ in reader.points("CNC-001", "Spindle/ActSpeed", 0, 10)] == [2]
    reader.close()
    again._close()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2016-12-31T23:59:60Z", 59),
        ("2016-12-31T23:59:60.5Z", 59.5),
        ("2017-01-01T05:29:60+05:30", 59),
        ("2016-12-31T23:59:58Z", 58),
        ("2016-12-31T23:59:60", 59),
    ],
)
def test_a_leap_second_is_a_time(text: str, seconds: float) -> None:
    start_of_minute = datetime.fromisoformat("2016-12-31T23:59:00Z").timestamp()
    assert microseconds(text, "start") == (start_of_minute + seconds) * 1_000_000
    body = {"timestamp": text, "machine_id": "E1", "data": {"spindle": {"rpm": 1}}}
    assert TelemetryBody.model_validate(body).timestamp.timestamp() == start_of_minute + seconds


@pytest.mark.parametrize("text", ["2016-12-31T23:58:60Z", "2016-12-31T23:60:00Z", "2016-12-31T24:00:60Z", "2016-12-31T23:59:61Z"])
def test_what_is_no_leap_second_is_none(text: str) -> None:
    with pytest.raises(Refusal):
        microseconds(text, "start")
