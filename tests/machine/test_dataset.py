"""The labelled table: its labels are what was injected, its files say the same, and the same arguments give the same bytes."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
import re
import struct
import sys
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cnctwin import cli
from nodesets.catalogue import BY_NAME
from opcua_server.machine.faults import FAULTS
from opcua_server.realism.dataset import COLUMNS, COUNTERS, LABELS, Dataset, plan_of
from opcua_server.realism.table import TableFile

Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def made() -> tuple[Dataset, Rows]:
    """Two machines of two and a half minutes with several faults each."""
    dataset = Dataset(plan_of(150.0, ["coolant", "network_gaps"], None, machines=2, healthy_s=25.0, fault_s=25.0))
    names = [column.name for column in COLUMNS]
    return dataset, [dict(zip(names, row, strict=True)) for chunk in dataset.chunks() for row in zip(*chunk, strict=True)]


def test_every_row_is_labelled_with_the_fault_that_acts_then_and_no_other(made: tuple[Dataset, Rows]) -> None:
    dataset, rows = made
    assert len(rows) == dataset.plan.rows == 300
    assert {episode.fault for episode in dataset.episodes} == {"coolant", "network_gaps"}
    for row in rows:
        acting = [
            episode
            for episode in dataset.episodes
            if episode.machine == row["machine"]
            and episode.begun_s < row["time_s"] <= (episode.ended_s if episode.ended_s is not None else 150.0)
        ]
        assert row["fault"] == (acting[0].fault if acting else "none")
        assert (row["severity"] > 0.0) == bool(acting)
        if acting:
            (episode,) = acting
            share = min((row["time_s"] - episode.begun_s) / episode.onset_s, 1.0)
            # The machine is up to a block of 100 ms ahead of the moment that is shown.
            later = min((row["time_s"] + 0.1 - episode.begun_s) / episode.onset_s, 1.0)
            growth = FAULTS[episode.fault].growth
            assert episode.severity * growth(share) - 1e-6 <= row["severity"] <= episode.severity * growth(later) + 1e-6


def test_the_line_to_the_control_is_down_only_where_the_label_says_so(made: tuple[Dataset, Rows]) -> None:
    """The label belongs to its row: a moment earlier or later it would not."""
    _dataset, rows = made
    down = [row for row in rows if not row["is_current"]]
    assert down
    assert {row["fault"] for row in down} == {"network_gaps"}
    before = {(row["machine"], row["time_s"]): row for row in rows}
    for row in down:
        earlier = before[row["machine"], row["time_s"] - 1.0]
        if not earlier["is_current"]:
            assert row["Axes/X/ActPos"] == earlier["Axes/X/ActPos"], "what was read last"


def test_all_edges_that_bad_ones_wore_are_new_after_the_repair_that_of_the_tool_in_the_spindle_too() -> None:
    dataset = Dataset(plan_of(700.0, ["accelerated_tool_wear"], "contour.nc", healthy_s=120.0, fault_s=240.0, seed=118))
    names = [column.name for column in COLUMNS]
    rows = [dict(zip(names, row, strict=True)) for chunk in dataset.chunks() for row in zip(*chunk, strict=True)]
    episode = dataset.episodes[0]
    assert episode.ended_s is not None
    in_spindle = rows[int(episode.ended_s) - 1]["Tool/Number"]
    first: dict[int, float] = {}
    for before, row in pairwise(rows):
        if before["time_s"] >= episode.ended_s and row["Tool/Number"] != before["Tool/Number"]:
            first.setdefault(row["Tool/Number"], row["Tool/CuttingTime"])
    assert in_spindle in first
    assert in_spindle > 0
    assert max(first.values()) == 0.0, first


def test_what_is_no_feature_is_named_and_what_is_said_to_count_on_does(made: tuple[Dataset, Rows]) -> None:
    dataset, rows = made
    assert dataset.about()["counters"] == list(COUNTERS)
    assert dataset.about()["labels"] == [column.name for column in LABELS]
    told = {word for note in dataset.about()["notes"] for word in re.findall(r"\b[a-z]+_s\b", note)}
    assert told <= set(dataset.about()["plan"]) | set(dataset.about()["episodes"][0]), "by the names that stand there"
    assert told >= {"period_s", "onset_s", "begun_s", "ended_s"}
    own = [row for row in rows if row["machine"] == "CNC-001" and row["is_current"]]
    for name in COUNTERS:
        steps = [later[name] - row[name] for row, later in pairwise(own)]
        assert min(steps) >= 0.0 or max(steps) <= 0.0, name
    running = own[-1]["time_s"] / 3600.0
    assert own[-1]["Machine/PowerOnDuration"] == pytest.approx(running)


def test_tables_of_one_seed_are_the_same_until_something_acts_and_of_another_they_are_not() -> None:
    """What docs/dataset.md says to whoever learns from one table and judges by another."""

    def rows(faults: list[str], seconds: float, seed: int) -> list[tuple[Any, ...]]:
        plan = plan_of(seconds, faults, "contour.nc", healthy_s=60.0, fault_s=30.0, seed=seed)
        return [row for chunk in Dataset(plan).chunks() for row in zip(*chunk, strict=True)]

    faulty = rows(["coolant"], 120.0, 3)
    fault = [column.name for column in COLUMNS].index("fault")
    healthy = next(index for index, row in enumerate(faulty) if row[fault] != "none")
    assert healthy > 30
    assert rows(["none"], 90.0, 3)[:healthy] == faulty[:healthy]
    assert rows(["none"], 90.0, 4)[:healthy] != faulty[:healthy]


def test_columns_are_the_signals_of_the_catalogue_with_their_units() -> None:
    for column in COLUMNS[len(LABELS) :]:
        signal = BY_NAME[column.name]
        assert column.unit == (signal.unit.symbol if signal.unit is not None else "")
        assert not column.name.startswith("Simulation/")
    assert len({column.name for column in COLUMNS}) == len(COLUMNS)


def write(path: Path) -> Dataset:
    dataset = Dataset(plan_of(30.0, ["network_gaps", "spindle_bearing"], "contour.nc", healthy_s=8.0, fault_s=8.0, seed=3))
    with TableFile(path, COLUMNS, lambda: {"cnctwin": json.dumps(dataset.about())}) as file:
        for chunk in dataset.chunks():
            file.append(chunk)
    return dataset


def test_csv_and_parquet_hold_the_same_rows_and_the_same_arguments_give_the_same_bytes(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        for name in ("runs.csv", "runs.csv.gz", "runs.parquet"):
            write(folder / name)
            assert (folder / name).read_bytes() == (tmp_path / "one" / name).read_bytes()
    one = tmp_path / "one"
    assert gzip.decompress((one / "runs.csv.gz").read_bytes()) == (one / "runs.csv").read_bytes()
    with (one / "runs.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    table, about = parquet(one / "runs.parquet")
    assert list(table) == [column.name for column in COLUMNS]
    assert len(lines) == 30
    for column in COLUMNS:
        for line, value in zip(lines, table[column.name], strict=True):
            text = line[column.name]
            if value is None or column.kind == "text":
                assert text == (value or "")
            else:
                assert float(text) == pytest.approx(float(value), rel=1e-8, abs=1e-12)
    assert json.loads(about["cnctwin"])["episodes"], "the record is complete when the file is"


def test_what_is_missing_is_missing_in_both(tmp_path: Path) -> None:
    columns = [COLUMNS[0], COLUMNS[1], COLUMNS[2], COLUMNS[5]]
    rows: list[list[Any]] = [["a", None, 'ü,"x"'] * 5, [None, 1.5, -2.0] * 5, [1, None, 2**40] * 5, [True, None, False] * 5]
    for name in ("x.csv", "x.parquet"):
        with TableFile(tmp_path / name, columns, dict) as file:
            file.append(rows)
            file.append(rows)
    table, _about = parquet(tmp_path / "x.parquet")
    assert [table[column.name] for column in columns] == [column * 2 for column in rows]
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as text:
        told = list(csv.reader(text))
    assert told[1:4] == [["a", "", "1", "1"], ["", "1.5", "", ""], ['ü,"x"', "-2", str(2**40), "0"]]
    assert len(told) == 31


def test_a_table_that_breaks_off_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("the one before")

    def write_half() -> None:
        with TableFile(path, COLUMNS[:2], dict) as file:
            file.append([["a"], [1.0]])
            file.append([["a"]])

    with pytest.raises(ValueError, match="shorter"):
        write_half()
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.csv"]
    assert path.read_text() == "the one before"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("dataset", "x.xls"), "x.xls: the name must end in .csv, .csv.gz, .parquet"),
        (
            ("dataset", "x.csv", "--fault", "gremlin"),
            "gremlin: there is no such fault; faults are all, none, accelerated_tool_wear",
        ),
        (("dataset", "x.csv", "--program", "gone.nc"), "gone.nc: there is no such program or file; programs are contour.nc"),
        (("dataset", "gone/x.csv", "--hours", "0.01"), "cannot write gone/x.csv: No such file or directory"),
        (("record", "x.npz", "--fault", "coolant"), "coolant: give the severity, 0 to 1, such as coolant=0.5"),
        (("record", "x.npz", "--program", "gone.nc"), "gone.nc: there is no such program or file; programs are contour.nc"),
    ],
)
def test_a_mistake_is_one_line_that_says_what_there_is(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["cnctwin", "machine", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    told = capfd.readouterr().err
    assert ended.value.code == 2
    assert told.startswith(f"cnctwin machine {arguments[0]}: {said}")
    assert told.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_what_says_the_columns_of_one_table_is_not_overwritten_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def make(name: str) -> int | str | None:
        monkeypatch.setattr(sys, "argv", ["cnctwin", "machine", "dataset", name, "--hours", "0.01", "--period", "36"])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code

    assert make("x.csv") == 0
    described = (tmp_path / "x.json").read_text()
    assert json.loads(described)["sha256"] == hashlib.sha256((tmp_path / "x.csv").read_bytes()).hexdigest()
    assert make("x.csv.gz") == 2
    assert "x.json says what the columns of x.csv are: choose another name" in capfd.readouterr().err
    assert (tmp_path / "x.json").read_text() == described
    assert not (tmp_path / "x.csv.gz").exists()
    assert make("x.csv") == 0
    (tmp_path / "x.csv").unlink()
    assert make("x.csv.gz") == 0


def test_the_page_shows_what_the_command_writes() -> None:
    """docs/dataset.md: its labels, and its shell lines, are those of the command."""
    text = (Path(__file__).parents[2] / "docs" / "dataset.md").read_text("utf-8")
    table = re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)
    assert table == [column.name for column in LABELS]


# A reader of its own, by the format's description and not by the writer's code: just what the tests need.


def parquet(path: Path) -> tuple[dict[str, list[Any]], dict[str, str]]:
    """Columns by name, and the key-value texts."""
    raw = path.read_bytes()
    assert raw[:4] == raw[-4:] == b"PAR1"
    (length,) = struct.unpack("<I", raw[-8:-4])
    footer, _ = thrift(raw, len(raw) - 8 - length)
    schema = footer[2][1:]
    table: dict[str, list[Any]] = {column[4].decode(): [] for column in schema}
    for group in footer[4]:
        for chunk, column in zip(group[1], schema, strict=True):
            about = chunk[3]
            header, at = thrift(raw, about[9])
            body = zlib.decompress(raw[at : at + header[3]], 31)
            assert len(body) == header[2]
            assert at + header[3] - about[9] == about[7]
            table[column[4].decode()] += cells(body, header[5][1], column[1])
    assert all(len(values) == footer[3] for values in table.values())
    return table, {text[1].decode(): text[2].decode() for text in footer[5]}


def cells(body: bytes, count: int, kind: int) -> list[Any]:
    (length,) = struct.unpack_from("<I", body)
    head, at = varint(body, 4)
    if head & 1:
        there = [body[at + k // 8] >> k % 8 & 1 for k in range(count)]
    else:
        there = [body[at]] * count
        assert head >> 1 == count
    at, values = 4 + length, []
    for k in range(sum(there)):
        if kind == 0:
            values.append(bool(body[at + k // 8] >> k % 8 & 1))
        elif kind == 6:
            (size,) = struct.unpack_from("<I", body, at)
            values.append(body[at + 4 : at + 4 + size].decode())
            at += 4 + size
        else:
            values.append(struct.unpack_from("<d" if kind == 5 else "<q", body, at + 8 * k)[0])
    present = iter(values)
    return [next(present) if one else None for one in there]


def varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        value |= (raw[at] & 0x7F) << shift
        shift += 7
        at += 1
        if raw[at - 1] < 0x80:
            return value, at


def thrift(raw: bytes, at: int) -> tuple[dict[int, Any], int]:
    fields: dict[int, Any] = {}
    last = 0
    while raw[at]:
        last += raw[at] >> 4
        fields[last], at = value_of(raw, at + 1, raw[at] & 15)
    return fields, at + 1


def value_of(raw: bytes, at: int, code: int) -> tuple[Any, int]:
    if code in (5, 6):
        number, at = varint(raw, at)
        return number >> 1, at
    if code == 8:
        size, at = varint(raw, at)
        return raw[at : at + size], at + size
    if code == 12:
        return thrift(raw, at)
    assert code == 9, code
    size, kind = raw[at] >> 4, raw[at] & 15
    at += 1
    if size == 15:
        size, at = varint(raw, at)
    items = []
    for _ in range(size):
        item, at = value_of(raw, at, kind)
        items.append(item)
    return items, at
