"""What is kept of ticks: changes, how long values held, and where the server was not running."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import ua
from asyncua.server.address_space import AttributeValue

from opcua_server.engine.subscriptions.columns import Columns
from opcua_server.engine.values import AttributeSlot
from opcua_server.history.archive import Archive, Tag
from opcua_server.history.recorder import REFRESH, Recorder
from opcua_server.history.series import BAD_NO_DATA, TICKS_PER_MS, TICKS_PER_S, Series
from opcua_server.history.sqlite import SqliteDatabase
from opcua_server.history.writer import Limits, Writer

NOW = 133_000_000_000_000_000


class Run:
    """A run of a server with two numbers and a text, over the history of the folder."""

    def __init__(self, folder: Path, now: int = NOW) -> None:
        self.archive = Archive(SqliteDatabase(folder / "history.sqlite"))
        self.a, self.b = (self.archive.tag(name, "Double", is_stepped=False) for name in "AB")
        self.text = self.archive.tag("T", "String", is_stepped=True)
        self.writer = Writer(self.archive, Limits(), lambda: now)
        self.writer.open()
        self.recorder = Recorder(self.archive, lambda: now)
        self.recorder.note_gap()
        self.column = Columns().add(ua.VariantType.Double, [ua.NodeId(1), ua.NodeId(2)])
        self.recorder.follow_column(self.column, [(0, self.a), (1, self.b)])

    def tick(self, time: int, *values: float, status: int = 0) -> None:
        self.column.write(list(values), status, time, time + 20 * TICKS_PER_MS)

    def read(self, tag: Tag) -> Series:
        with self.archive.view() as view:
            return view.read(tag, 0, (1 << 63) - 1, 1 << 30, False)

    def end(self) -> None:
        self.recorder.close()
        self.writer.write(cut=False)
        self.writer._disconnect()
        self.archive.close_reader()


def shown(series: Series) -> list[tuple[int, Any]]:
    """(time behind NOW in s, value)"""
    values = [
        None if status >> 31 else value for value, status in zip(series.values.tolist(), series.statuses.tolist(), strict=True)
    ]
    return list(zip(((series.times - NOW) / TICKS_PER_S).tolist(), values, strict=True))


def test_changes_are_kept_and_how_long_the_value_before_had_held(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for second, value in enumerate([1, 1, 1, 1, 2, 3, 3, 1]):
        run.tick(NOW + second * TICKS_PER_S, value, second)
    assert shown(run.read(run.a)) == [(0, 1), (3, 1), (4, 2), (5, 3), (6, 3), (7, 1)]
    assert shown(run.read(run.b)) == [(second, second) for second in range(8)]
    found = run.read(run.a)
    assert (found.servers - found.times).tolist() == [20 * TICKS_PER_MS] * 6
    assert run.recorder.seen == NOW + 7 * TICKS_PER_S
    run.end()


def test_a_first_tick_that_stands_for_a_moment_before_the_start_is_no_earlier_run(tmp_path: Path) -> None:
    earlier = Run(tmp_path, NOW - 60 * TICKS_PER_S)
    earlier.tick(NOW - 60 * TICKS_PER_S, 1, 1)
    earlier.tick(NOW - 50 * TICKS_PER_S, 2, 1)
    earlier.end()
    run = Run(tmp_path)
    before = shown(run.read(run.a))
    assert before == [(-60, 1), (-50, 2), (-49.999, None)]
    run.tick(NOW - TICKS_PER_S // 20, 5, 5)
    run.tick(NOW + TICKS_PER_S // 20, 6, 6)
    run.recorder.note_gap()  # as late as it may come: ticks go on while it is looked up
    assert shown(run.read(run.a)) == [*before, (-0.05, 5), (0.05, 6)]
    run.end()


def test_a_bad_status_is_a_change(tmp_path: Path) -> None:
    run = Run(tmp_path)
    run.tick(NOW, 1, 1)
    run.tick(NOW + TICKS_PER_S, 1, 1, status=0x80340000)
    run.tick(NOW + 2 * TICKS_PER_S, 1, 1)
    assert shown(run.read(run.a)) == [(0, 1), (1, None), (2, 1)]
    run.end()


def test_what_does_not_change_is_kept_now_and_then(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for time in range(NOW, NOW + 2 * REFRESH + TICKS_PER_S, 30 * TICKS_PER_S):
        run.tick(time, 5, 5)
    assert [second for second, _ in shown(run.read(run.a))] == [0, 570, 1140]
    run.end()


def test_a_clock_that_is_set_back_is_followed(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for second, value in ((0, 1), (1, 2), (2, 3), (-10, 4), (-9, 5), (1, 6)):
        run.tick(NOW + second * TICKS_PER_S, value, 0)
    assert shown(run.read(run.a)) == [(-10, 4), (-9, 5), (0, 1), (1, 6), (2, 3)]
    run.end()


def test_what_holds_while_the_clock_is_set_back_is_said_at_those_times_too(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for second in (0, 1, -86_400, -86_399):
        run.tick(NOW + second * TICKS_PER_S, 5, second)
    assert shown(run.read(run.a)) == [(-86_400, 5), (0, 5)]
    run.end()


def test_a_time_without_the_server_has_no_data(tmp_path: Path) -> None:
    run = Run(tmp_path)
    for second, b in ((0, 1), (1, 2), (2, 3)):
        run.tick(NOW + second * TICKS_PER_S, 7, b)
    run.end()
    again = Run(tmp_path, NOW + 3600 * TICKS_PER_S)
    again.tick(NOW + 3600 * TICKS_PER_S, 8, 8)
    just_behind = 2 + TICKS_PER_MS / TICKS_PER_S
    assert shown(again.read(again.a)) == [(0, 7), (2, 7), (just_behind, None), (3600, 8)]
    assert shown(again.read(again.b)) == [(0, 1), (1, 2), (2, 3), (just_behind, None), (3600, 8)]
    assert int(again.read(again.a).statuses[2]) == BAD_NO_DATA
    assert not len(again.read(again.text))
    again.end()
    third = Run(tmp_path, NOW + 7200 * TICKS_PER_S)  # it ended again, and the gap is noted once
    assert [value for _, value in shown(third.read(third.a))] == [7, 7, None, 8, None]
    third.end()


def test_what_is_no_row_of_a_column_is_kept_value_by_value(tmp_path: Path) -> None:
    run = Run(tmp_path)
    held = AttributeValue(ua.DataValue(ua.Variant("", ua.VariantType.String)))
    slot = AttributeSlot(ua.NodeId(3), 13, held)
    run.recorder.follow_slot(slot, run.text)
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    for text, status in (("a", 0), ("b", 0x40000000), (None, 0x80340000)):
        moment = moment.replace(second=moment.second + 1)
        held.value = ua.DataValue(ua.Variant(text, ua.VariantType.String), ua.StatusCode(status), moment, moment)
    found = run.read(run.text)
    assert found.values.tolist() == ["a", "b", ""]
    assert found.statuses.tolist() == [0, 0x40000000, 0x80340000]
    run.end()
    held.value = ua.DataValue(ua.Variant("later", ua.VariantType.String), ua.StatusCode(0), moment, moment)
    assert len(run.read(run.text)) == 3
    run.archive.close_reader()
