"""Series as blocks, frames as journal entries, and both as OPC UA binary."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_from_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from cnctwin.wire.encode import to_ticks
from opcua_server.history import blocks, encoding, frames
from opcua_server.history.aggregates import BAD_INVALID_INPUTS
from opcua_server.history.frames import Frame
from opcua_server.history.series import DTYPES, TICKS_PER_MS, Series, joined, of
from opcua_server.history.window import Point

NOW = 133_000_000_000_000_000
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Double": st.floats(width=64), "Boolean": st.booleans(), "Int32": st.integers(-(2**31), 2**31 - 1),
    "UInt16": st.integers(0, 2**16 - 1), "UInt32": st.integers(0, 2**32 - 1), "Byte": st.integers(0, 255),
    "String": st.text(st.characters(codec="utf-8"), max_size=5),
}  # fmt: skip
STATUSES = st.sampled_from([0, 0, 0, 0x40000000, 0x80000000, 0x809B0000])


@st.composite
def histories(draw: Any) -> tuple[str, Series]:
    kind = draw(st.sampled_from(sorted(DTYPES)))
    steps = draw(st.lists(st.integers(1, 2**34) | st.just(1_000_000), min_size=1, max_size=30))
    times = (NOW + np.cumsum(steps)).tolist()
    rows = [
        (time, draw(_VALUES[kind]), draw(STATUSES), time + draw(st.integers(-(2**40), 2**40) | st.just(0)) * TICKS_PER_MS)
        for time in times
    ]
    return kind, of(kind, rows)


def equal(a: Series, b: Series) -> bool:
    same = all((getattr(a, name) == getattr(b, name)).all() for name in ("times", "statuses", "servers"))
    if a.values.dtype == np.float64:
        return same and bool((a.values.view(np.int64) == np.asarray(b.values, np.float64).view(np.int64)).all())
    return same and a.values.tolist() == b.values.tolist()


@settings(max_examples=30)
@given(histories())
def test_a_block_holds_what_was_put_into_it(made: tuple[str, Series]) -> None:
    kind, series = made
    assert equal(blocks.unpack(blocks.pack(series, kind), kind), series)


@settings(max_examples=30)
@given(histories(), st.data())
def test_a_damaged_block_is_said_to_be_none(made: tuple[str, Series], data: st.DataObject) -> None:
    kind, series = made
    packed = bytearray(blocks.pack(series, kind))
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(blocks.BlockError):
        blocks.unpack(bytes(packed[:cut]), kind)


@settings(max_examples=20)
@given(st.lists(histories(), min_size=1, max_size=4))
def test_frames_come_out_of_the_journal_and_into_series(made: list[tuple[str, Series]]) -> None:
    held = [
        Frame(number * 100 + place, kind, int(one.times[place]), int(one.servers[place]), np.array([number], np.int64),
              one.values[place : place + 1], one.statuses[place : place + 1])
        for number, (kind, one) in enumerate(made)
        for place in range(len(one))
    ]  # fmt: skip
    again = list(frames.unpack(frames.pack(held)))
    assert [frame.serial for frame in again] == [frame.serial for frame in held]
    found = {tag: (kind, stretches) for tag, kind, stretches in frames.by_tag(again)}
    for number, (kind, series) in enumerate(made):
        assert found[number][0] == kind
        assert equal(joined(found[number][1], kind), series)
        assert equal(joined(frames.of_tag(again_of(again, kind), number, kind), kind), series)


def again_of(held: list[Frame], kind: str) -> list[Frame]:
    return [frame for frame in held if frame.kind == kind]


def _decoded(body: bytes) -> Any:
    return struct_from_binary(ua.HistoryData, Buffer(body[9:])).DataValues


@settings(max_examples=30)
@given(histories(), st.sampled_from([encoding.SOURCE, encoding.SERVER, encoding.BOTH]))
def test_a_series_is_read_by_asyncua(made: tuple[str, Series], timestamps: int) -> None:
    kind, series = made
    body = encoding.history_data(encoding.series(series, kind, timestamps), len(series))
    values = _decoded(body)
    assert len(values) == len(series)
    for place, value in enumerate(values):
        status = int(series.statuses[place])
        assert value.StatusCode.value == status
        if status >> 31:
            assert value.Value is None or value.Value.Value is None
        else:
            assert value.Value.VariantType == getattr(ua.VariantType, kind)
            expected = series.values[place]
            assert value.Value.Value == expected or (expected != expected and value.Value.Value != value.Value.Value)
        if timestamps == encoding.SERVER:
            assert value.SourceTimestamp is None
        else:
            assert to_ticks(value.SourceTimestamp) == series.times[place] // 10 * 10


def test_a_result_that_its_type_cannot_hold_is_said_to_be_invalid() -> None:
    body = encoding.points([Point(NOW, -1, 0), Point(NOW, 7, 0)], "UInt16", NOW, encoding.SOURCE)
    invalid, fine = _decoded(encoding.history_data(body, 2))
    assert invalid.StatusCode.value == BAD_INVALID_INPUTS
    assert invalid.Value is None or invalid.Value.Value is None
    assert fine.Value.Value == 7


def test_of_two_samples_at_one_time_the_later_recorded_stands() -> None:
    first = of("Int32", [(1, 1, 0, 0), (5, 5, 0, 0), (9, 9, 0, 0)])
    second = of("Int32", [(4, 40, 0, 0), (5, 50, 0, 0), (6, 60, 0, 0)])
    whole = joined([first, second], "Int32")
    assert whole.times.tolist() == [1, 4, 5, 6, 9]
    assert whole.values.tolist() == [1, 40, 50, 60, 9]
