"""What people change of the history: read as changed, kept over restarts, and what was there before is not lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnctwin.wire.scalars import to_datetime, ua
from opcua_server.history import archive as archives
from opcua_server.history.archive import Archive
from opcua_server.history.changes import Changes
from opcua_server.history.edits import DELETE, FORGET, INSERT, REPLACE, UPDATE, Change, Edit, applied, read, superseded
from opcua_server.history.series import TICKS_PER_S, of
from opcua_server.history.sqlite import SqliteDatabase
from opcua_server.history.store import Database, StoreDamaged
from opcua_server.history.writer import DAY_TICKS, Limits, Writer
from tests.opcua_server.history.test_store import ALL, NOW, Kept, add, values

NAMES = {"put": UPDATE, "delete": DELETE, "forget": FORGET}
ACTS = st.lists(
    st.tuples(st.sampled_from(["record", "put", "put", "delete", "forget"]), st.integers(1, 30), st.integers(0, 8)), max_size=20
)


class Model:
    """The same by a dictionary: time -> value, and what is no longer there, the latest change of a time first."""

    def __init__(self) -> None:
        self.there: dict[int, int] = {}
        self.gone: list[tuple[int, int, int]] = []

    def do(self, number: int, act: str, low: int, width: int) -> None:
        high = low + width
        if act == "record":
            self.there.setdefault(low, number)  # a sample is recorded before anybody changes it
        elif act == "put":
            self._take(number, low)
            self.there[low] = number
        elif act == "delete":
            for time in [time for time in self.there if low <= time <= high]:
                self._take(number, time)
        else:
            self.gone = [one for one in self.gone if not low <= one[0] <= high]

    def _take(self, number: int, time: int) -> None:
        if time in self.there:
            self.gone.append((time, number, self.there.pop(time)))


@given(ACTS)
def test_edits_do_to_a_series_what_they_say(acts: list[tuple[str, int, int]]) -> None:
    model, edits = Model(), list[Edit]()
    acts.sort(key=lambda act: act[0] != "record")  # what is recorded later at a time that was changed is told below
    recorded = {}
    for number, (act, low, width) in enumerate(acts, start=100):
        model.do(number, act, low, width)
        if act == "record":
            recorded.setdefault(low, number)
        else:
            high = low if act == "put" else low + width
            edits.append(Edit(number, 1, NAMES[act], low, high, number, "anna", number if act == "put" else None))
    base = of("Int32", [(time, value, 0, 0) for time, value in sorted(recorded.items())])
    assert dict(values(applied(base, edits, "Int32"))) == model.there
    told = [(one.time, one.edit.id, one.value) for one in superseded(base, edits)]
    assert told == sorted(model.gone, key=lambda one: (one[0], -one[1]))
    assert [read(edit.id, 1, edit.low, edit.high, edit.body()) for edit in edits] == edits


def test_a_deleted_time_that_is_recorded_again_shows() -> None:
    base = of("Double", [(10, 1.0, 0, 5), (11, 2.0, 0, 50)])  # the second was recorded after the deletion, by a clock set back
    edits = [Edit(1, 1, DELETE, 0, 20, 30, "anna")]
    assert values(applied(base, edits, "Double")) == [(11, 2.0)]
    assert [one.time for one in superseded(base, edits)] == [10]


@settings(max_examples=20)
@given(ACTS, st.integers(1, 5))
def test_any_part_of_it_is_read_as_the_whole_is(tmp_path_factory: pytest.TempPathFactory, acts: list[Any], most: int) -> None:
    kept = Kept(SqliteDatabase(tmp_path_factory.mktemp("edits") / "history.sqlite"))
    tag, others = kept.tags[2], kept.tags[0]
    for number in range(1, 31, 2):
        add(kept, number, number)
    kept.writer.write(cut=True)
    for number in range(2, 31, 4):
        add(kept, number, number)
    for number, (act, low, width) in enumerate(acts, start=100):
        if act != "record":
            high = low if act == "put" else low + width
            assert kept.archive.edit(tag, [Change(NAMES[act], low, high, number)], NOW, "anna")
    whole = values(kept.read(tag))
    assert len(values(kept.read(others))) == 23, "another tag is not concerned"
    for low in (0, 7, 16):
        for high in (15, 24, 40):
            part = [row for row in whole if low <= row[0] <= high]
            assert values(kept.read(tag, low, high, most)) == part[:most]
            assert values(kept.read(tag, low, high, most, True)) == part[-most:]
    with kept.archive.view() as view:
        every, more = view.modified(tag, *ALL, 1_000, 0)
        assert not more
        paged = []
        for skip in range(0, len(every) + most, most):
            found, more = view.modified(tag, *ALL, most, skip)
            assert more is (skip + most < len(every))
            paged += found
        assert paged == every
    kept.leave()


def test_a_long_deleted_range_is_passed_over_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "LARGEST_STRETCH", 100)
    kept = Kept(SqliteDatabase(tmp_path / "history.sqlite"))
    for number in range(1, 2_001):
        add(kept, number, number, (0,))
    kept.writer.write(cut=True)
    kept.archive.edit(kept.tags[0], [Change(DELETE, 2, 1_999)], NOW, "anna")
    assert values(kept.read(kept.tags[0], most=2)) == [(1, 1.0), (2_000, 2_000.0)]
    assert values(kept.read(kept.tags[0], most=2, backwards=True)) == [(1, 1.0), (2_000, 2_000.0)]
    with kept.archive.view() as view:
        found, more = view.modified(kept.tags[0], *ALL, 3, 1_000)
        assert ([one.time for one in found], more) == ([1_002, 1_003, 1_004], True)
    kept.leave()


def test_changes_are_kept_in_either_database(database: Database) -> None:
    kept = Kept(database)
    for number in (10, 20, 30):
        add(kept, number, number)
    tag, text = kept.tags[0], kept.tags[3]
    kept.archive.edit(tag, [Change(REPLACE, 20, 20, 2.5, 0x40000000)], 5 * 10**17, "anna")
    kept.archive.edit(text, [Change(INSERT, 25, 25, "ü", 0)], 5 * 10**17, "ben")
    kept.writer.write(cut=False)
    kept.archive.edit(tag, [Change(DELETE, 30, 30, None, 0)], 6 * 10**17, "ben")
    kept.writer.write(cut=True)
    kept.leave()
    again = Kept(database)
    assert values(again.read(tag)) == [(10, 10.0), (20, 2.5)]
    assert again.read(tag).statuses.tolist() == [0, 0x40000000]
    assert values(again.read(text))[2] == (25, "ü")
    with again.archive.view() as view:
        found, _ = view.modified(tag, *ALL, 10, 0)
    assert [(one.time, one.value, one.edit.kind, one.edit.user, one.edit.at) for one in found] == [
        (20, 20.0, REPLACE, "anna", 5 * 10**17), (30, 30.0, DELETE, "ben", 6 * 10**17),
    ]  # fmt: skip
    again.archive.edit(tag, [Change(UPDATE, 10, 10, 1.5, 0)], 7 * 10**17, "anna")
    again.writer.write(cut=False)
    again.leave()
    last = Kept(database)
    assert values(last.read(tag)) == [(10, 1.5), (20, 2.5)]
    last.leave()


def test_changes_go_with_the_history_they_are_of_and_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Kept(SqliteDatabase(tmp_path / "history.sqlite"), Limits(age=DAY_TICKS))
    tag = kept.tags[0]
    for time in (NOW - 2 * DAY_TICKS, NOW - 10):
        add(kept, time, 1)
        kept.archive.edit(tag, [Change(UPDATE, time, time, 2.0, 0)], NOW, "anna")
    kept.writer.write(cut=True)
    kept.writer.tidy()
    kept.leave()
    again = Kept(SqliteDatabase(tmp_path / "history.sqlite"))
    assert values(again.read(tag)) == [(NOW - 10, 2.0)]
    monkeypatch.setattr(archives, "MOST_EDITS", 2)
    assert again.archive.edit(tag, [Change(UPDATE, 1, 1, 2.0, 0)], NOW, "anna")
    assert not again.archive.edit(tag, [Change(UPDATE, 2, 2, 2.0, 0)], NOW, "anna")
    again.leave()


def test_an_edit_that_cannot_be_read_is_a_damaged_database(tmp_path: Path) -> None:
    database = SqliteDatabase(tmp_path / "history.sqlite")
    kept = Kept(database)
    kept.archive.edit(kept.tags[0], [Change(UPDATE, 1, 1, 2.0, 0)], NOW, "anna")
    kept.writer.write(cut=False)
    connection = database.connect(to_write=True)
    connection.run("UPDATE history_edit SET body = ?", (b"[1, 2",))
    connection.close()
    kept.leave()
    again = Archive(database)

    writer = Writer(again, Limits(), lambda: NOW)
    with pytest.raises(StoreDamaged):
        writer._connect()
    writer._disconnect()
    writer.open()  # as the server does: set aside, and a new one begun
    assert "damaged" in str(writer.problem)
    assert len(list(tmp_path.glob("*-damaged.sqlite"))) == 1
    writer._disconnect()


@pytest.mark.parametrize("apart", [1, 7, 400])
def test_many_values_are_put_at_once_however_far_apart_they_are(tmp_path: Path, apart: int) -> None:
    kept = Kept(SqliteDatabase(tmp_path / "history.sqlite"))
    tag = kept.tags[0]
    for number in range(2_000):
        add(kept, NOW + 2 * number * TICKS_PER_S, number, (0,))
    kept.writer.write(cut=True)
    nobody: Any = None
    changes = Changes(nobody, kept.archive, {}, lambda: NOW + DAY_TICKS)
    times = [NOW + number * TICKS_PER_S for number in range(0, 4_000, apart)]
    times.append(times[0])  # twice in one operation: the second finds what the first put
    values = [
        ua.DataValue(ua.Variant(-1.0, ua.VariantType.Double), ua.StatusCode(0), SourceTimestamp=to_datetime(time)) for time in times
    ]
    status, statuses, old = changes.carry_out(
        tag, ua.UpdateDataDetails(ua.NodeId(1, 1), ua.PerformUpdateType.Update, values), "anna"
    )
    there = [(time - NOW) // TICKS_PER_S % 2 == 0 for time in times]
    codes = [ua.StatusCodes.GoodEntryReplaced if was else ua.StatusCodes.GoodEntryInserted for was in there]
    assert (status, statuses) == (0, codes)
    assert [value.Value.Value for value in old][:2] == [0.0, {1: 1.0, 7: 7.0, 400: 200.0}[apart]]
    found = kept.read(tag)
    assert np.count_nonzero(found.values == -1.0) == len(set(times))
    details = ua.DeleteAtTimeDetails(ua.NodeId(1, 1), [to_datetime(time) for time in times])
    _, statuses, _ = changes.carry_out(tag, details, "anna")
    assert statuses == [0] * (len(times) - 1) + [ua.StatusCodes.BadNoEntryExists]
    assert len(kept.read(tag)) == len(found) - len(set(times))
    kept.leave()
