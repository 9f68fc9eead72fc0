"""How messages become batches, what a slow reader keeps, and what a value means; without a server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.link.lookout import Lookout
from cnctwin.link.readers import SLOW, BatchReader
from cnctwin.link.remarks import HOLD_S, Remarks, named
from cnctwin.link.state import STILL_NS, MachineState
from cnctwin.link.values import (
    BAD_ENCODING_LIMITS_EXCEEDED,
    BAD_NO_DATA,
    LAST_NS,
    MOST_ELEMENTS,
    MOST_TEXT,
    nanoseconds,
    reading,
    timestamp,
)
from cnctwin.reading import BAD_NODE_ID_UNKNOWN, BAD_TYPE_MISMATCH, BAD_WAITING_FOR_INITIAL_DATA, Batch, Reading

NAMES = ("Spindle/ActSpeed", "Spindle/Temperature", "Tool/Number")


def item(name: str, time_ns: int, value: float = 0.0, status: int = 0) -> Reading:
    return Reading(name, value, status, time_ns, time_ns)


def ready() -> MachineState:
    state = MachineState("M")
    state.expect(NAMES)
    for name in NAMES:
        state.add(item(name, 1))
    assert len(list(state.flush())) == 1
    return state


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(2, 9), st.floats(0, 9)), min_size=1))
def test_batches_come_oldest_first_with_one_source_time_each(said: list[tuple[str, int, float]]) -> None:
    state = ready()
    for name, when, value in said:
        state.add(item(name, when, value))
    batches = list(state.flush())
    times = [batch.source_time_ns for batch in batches]
    assert times == sorted(set(times))
    assert all(entry.source_time_ns == batch.source_time_ns for batch in batches for entry in batch)
    last = {name: max((w for n, w, _ in said if n == name), default=1) for name in NAMES}
    assert {name: entry.source_time_ns for name, entry in state.latest.items()} == last


def test_what_has_not_changed_since_is_part_of_the_sample_it_came_with() -> None:
    state = ready()
    for when in (7, 17):  # two samples in one message: the speed is another in each, the rest changed before it or not at all
        state.add(item("Spindle/ActSpeed", when))
    state.add(item("Tool/Number", 4))
    state.add(item("Spindle/Temperature", 12))
    assert [(batch.source_time_ns, batch.sampled_ns) for batch in state.flush()] == [(4, 7), (7, 7), (12, 17), (17, 17)]
    state.add(item("Tool/Number", 21))
    state.add(item("Spindle/ActSpeed", 27))
    assert [(batch.source_time_ns, batch.sampled_ns) for batch in state.flush()] == [(21, 27), (27, 27)]


def test_a_snapshot_waits_for_every_signal_and_ends_with_those_that_never_spoke_marked() -> None:
    state = MachineState("M")
    state.expect(NAMES)
    state.add(item("Tool/Number", 5))
    assert list(state.flush()) == []
    assert state.snapshot() is None
    (batch,) = state.complete(9)
    assert [entry.signal for entry in batch] == list(NAMES)
    assert batch.readings[0].status == BAD_WAITING_FOR_INITIAL_DATA
    assert batch.readings[2].is_good


def test_a_loss_is_said_once() -> None:
    state = ready()
    assert [entry.quality for batch in state.lose() for entry in batch] == ["Uncertain"] * 3
    assert list(state.lose()) == []


def test_a_gap_is_told_with_the_next_batch_and_then_forgotten() -> None:
    state = ready()
    state.mark_gap("two messages lost")
    state.add(item("Tool/Number", 2))
    state.add(item("Tool/Number", 3))
    assert [batch.gap for batch in state.flush()] == ["two messages lost", None]


@given(st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from(NAMES), st.floats(0, 9)), max_size=60), st.integers(2, 8))
def test_a_slow_reader_ends_with_the_right_state_and_knows_that_it_missed_something(
    said: list[tuple[str, str, float]], size: int
) -> None:
    reader = BatchReader(size, None, None)
    truth: dict[tuple[str, str], float] = {}
    for when, (machine, name, value) in enumerate(said):
        reader.offer(Batch(machine, when, (item(name, when, value),)))
        truth[machine, name] = value
    state: dict[tuple[str, str], object] = {}
    gaps = 0

    async def drain() -> None:
        nonlocal gaps
        while reader._items:
            batch = await anext(reader)
            gaps += batch.gap is not None and SLOW in batch.gap
            state.update({(batch.machine_id, entry.signal): entry.value for entry in batch})

    asyncio.run(drain())
    assert state == truth
    assert (gaps > 0) == (reader.dropped > 0)


def test_a_gap_outlives_batches_that_hold_nothing_for_a_reader() -> None:
    reader = BatchReader(5, "A", frozenset(["Tool/Number"]))
    reader.offer(Batch("A", 1, (item("Spindle/ActSpeed", 1),), "lost"))
    reader.offer(Batch("B", 1, (item("Tool/Number", 1),)))
    reader.offer(Batch("A", 2, (item("Tool/Number", 2),)))
    assert asyncio.run(anext(reader)).gap == "lost"


def test_a_value_that_is_missing_under_a_good_status_is_not_good() -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    empty, _ = reading("Spindle/ActSpeed", ua.DataValue(Value=None, SourceTimestamp=now), 7)
    assert (empty.value, empty.status, empty.server_time_ns) == (None, BAD_NO_DATA, 7)
    text, _ = reading("Machine/AlarmText", ua.DataValue(Value=None), 7)
    assert (text.value, text.status, text.source_time_ns) == ("", 0, 7)


def test_an_overflow_of_the_servers_queue_is_seen_and_does_not_stay_in_the_status() -> None:
    value = ua.DataValue(Value=ua.Variant(1.0), StatusCode=ua.StatusCode(0x00000480))
    found, overflow = reading("Spindle/ActSpeed", value, 7)
    assert overflow
    assert found.status == 0
    limited = ua.DataValue(Value=ua.Variant(1.0), StatusCode=ua.StatusCode(0x00000500))
    assert reading("Spindle/ActSpeed", limited, 7)[1] is False


@given(st.integers(0, 4_000_000_000_000_000))
def test_times_survive_the_way_to_the_server_and_back(microseconds: int) -> None:
    assert nanoseconds(timestamp(microseconds * 1000)) == microseconds * 1000


@pytest.mark.parametrize(
    ("signal", "value", "shown"),
    [
        ("Spindle/ActSpeed", float("nan"), None),
        ("Spindle/ActSpeed", float("-inf"), None),
        ("Spindle/ActSpeed", "fast", None),
        ("Spindle/ActSpeed", [1.0], None),
        ("Spindle/ActSpeed", 7, 7.0),
        ("Tool/Number", 1e300, None),
        ("Tool/Number", 2**63, None),
        ("Tool/Number", -1, None),
        ("Tool/Number", 3.0, 3),
        ("Coolant/IsOn", 1, True),
        ("Channel/ActProgramName", ["O1", "O2"], None),
        ("Channel/ActProgramName", 17, "17"),
        ("Channel/ActGFunctions", [10, float("nan")], None),
        ("Channel/ActGFunctions", [10.0, 20], [10, 20]),
        ("Channel/ActGFunctions", 10, None),
    ],
)
def test_what_does_not_fit_its_signal_is_bad_and_told_until_it_fits_again(signal: str, value: Any, shown: Any) -> None:
    state = ready()
    state.add(Reading(signal, value, 0, 2, 2))
    (batch,) = state.flush()
    (found,) = batch
    assert (found.value, type(found.value)) == (shown, type(shown))
    assert found.status == (BAD_TYPE_MISMATCH if shown is None else 0)
    assert set(state.unfit) == ({signal} if shown is None else set())
    state.add(
        Reading(signal, shown if shown is not None else {"Tool/Number": 3, "Spindle/ActSpeed": 1.0}.get(signal, "x"), 0, 3, 3)
    )
    if signal in ("Tool/Number", "Spindle/ActSpeed", "Channel/ActProgramName"):
        assert state.unfit == {}


def test_a_source_time_that_stands_still_while_the_value_changes_gives_way_to_the_servers_until_it_moves() -> None:
    state = ready()
    frozen = 5 * 10**9

    def after(server_ns: int, value: float, source_ns: int = frozen) -> int:
        state.add(Reading("Spindle/ActSpeed", value, 0, source_ns, server_ns))
        (batch,) = state.flush()
        return batch.source_time_ns

    assert [after(frozen + n * 10**9, float(n)) for n in range(9)] == [frozen] * 9, (
        "whole seconds, or tens of them, are no standstill"
    )
    assert state.still == ()
    seen = [after(frozen + STILL_NS + n * 10**9, float(n)) for n in range(2, 6)]
    assert seen == [frozen, frozen, *(frozen + STILL_NS + n * 10**9 for n in (4, 5))]
    assert state.still == ("Spindle/ActSpeed",)
    assert after(frozen + 30 * 10**9, 1.0, source_ns=frozen + 10**9) == frozen + 10**9
    assert state.still == ()


def test_an_unchanged_value_may_keep_its_time_for_ever() -> None:
    state = ready()
    for n in range(100):
        state.add(Reading("Spindle/ActSpeed", 1.0, 0, 5, n * 10**9))
    (batch,) = state.flush()
    assert (batch.source_time_ns, state.still) == (5, ())


def test_a_signal_that_is_gone_is_bad_and_its_return_is_a_value_again() -> None:
    state = ready()
    state.expect(NAMES[:2])
    for name in NAMES[:2]:
        state.add(item(name, 5))
    (batch,) = state.flush()
    assert {entry.signal: (entry.value, entry.status) for entry in batch}["Tool/Number"] == (None, BAD_NODE_ID_UNKNOWN)
    state.expect(NAMES)
    for name in NAMES:
        state.add(item(name, 6))
    (batch,) = state.flush()
    assert all(entry.is_good for entry in batch)


@pytest.mark.parametrize("none", [datetime.min, datetime.max, datetime(1601, 1, 1), datetime(9999, 12, 31), datetime(2262, 5, 1)])
def test_a_time_that_is_none_gives_way_to_the_next_one_that_is(none: datetime) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    found, _ = reading("Spindle/ActSpeed", ua.DataValue(ua.Variant(1.0), SourceTimestamp=none, ServerTimestamp=at), 7)
    assert found.source_time_ns == found.server_time_ns == nanoseconds(at)
    found, _ = reading("Spindle/ActSpeed", ua.DataValue(ua.Variant(1.0), SourceTimestamp=none, ServerTimestamp=none), 7)
    assert (found.source_time_ns, found.server_time_ns) == (7, 7)
    assert LAST_NS < 2**63


def test_a_remark_is_logged_when_it_begins_and_when_it_has_been_over_for_a_while(caplog: pytest.LogCaptureFixture) -> None:
    remarks = Remarks("opc.tcp://mill")
    broken = {("M1", "values"): "values that do not fit are Bad: Tool/Number"}
    with caplog.at_level("INFO"):
        assert remarks.take({}, 0.0) == ()
        for now in (1.0, 2.0):
            assert [str(one) for one in remarks.take(broken, now)] == ["M1: values that do not fit are Bad: Tool/Number"]
        assert len(remarks.take({}, 2.0 + HOLD_S)) == 1, "what comes and goes is one remark"
        assert remarks.take({}, 2.1 + HOLD_S) == ()
    assert [record.message for record in caplog.records] == [
        "opc.tcp://mill: M1: values that do not fit are Bad: Tool/Number",
        "opc.tcp://mill: over: M1: values that do not fit are Bad: Tool/Number",
    ]
    assert named("edcba") == "a, b, c and 2 others"
    assert named("ba") == "a, b"


@pytest.mark.parametrize(
    ("value", "later_s", "silent"),
    [(7.0, 20, True), (7.0, 5, False), (0.0, 20, False), (7.0, -3600, False)],
    ids=["another for long", "another just now", "the same", "a clock that was set back"],
)
def test_a_subscription_that_lives_on_without_its_node_is_found_by_asking(value: float, later_s: int, silent: bool) -> None:
    state = ready()
    state.told = {"Spindle/ActSpeed": lambda shown: shown / 2.0}
    state.add(item("Spindle/ActSpeed", 10**15))
    list(state.flush())
    assert state.is_silent(item("Spindle/ActSpeed", 10**15 + later_s * 10**9, 2 * value), 10 * 10**9) is silent
    assert state.is_silent(item("Coolant/Flow", 10**18), 10) is False, "what was never heard is no news"


def test_a_server_that_looks_seldom_is_not_silent_and_no_signal_is_doubted_again_and_again() -> None:
    state = ready()
    state.sampling_ns = {"Spindle/ActSpeed": 60 * 10**9}
    assert [state.is_silent(item("Spindle/ActSpeed", second * 10**9, 7.0), 10 * 10**9) for second in (100, 189)] == [False, False]
    late = [190, 200, 3000, 3789, 3790, 3800]
    said = [state.is_silent(item("Spindle/ActSpeed", second * 10**9, 7.0), 10 * 10**9) for second in late]
    assert said == [False, True, False, False, False, True]


def test_a_clock_of_source_times_that_jumps_is_told_once_and_until_it_is_right_again() -> None:
    state = ready()
    lookout = Lookout(None, None, {}, {"M": state}, lambda: None)  # type: ignore[arg-type]
    said = []
    for now_s, ahead_s in ((100, 0), (110, 7200), (120, 7205), (130, None), (140, -3600), (150, 2)):
        if ahead_s is not None:
            state.add(item("Spindle/ActSpeed", (10**6 + now_s + ahead_s) * 10**9))
            list(state.flush())
        lookout.look_at_the_clocks((10**6 + now_s) * 10**9)
        said.append(lookout.clocks.get("M", ""))
    assert said == ["", *["7200 s ahead of ours"] * 3, "3600 s behind ours", ""]


@pytest.mark.parametrize(
    "value",
    [
        "x" * (MOST_TEXT + 1),
        b"x" * (MOST_TEXT + 1),
        ua.LocalizedText("x" * (MOST_TEXT + 1)),
        ua.NodeId("x" * (MOST_TEXT + 1), 1),
        ["x" * MOST_TEXT, "x"],
        [ua.LocalizedText("x" * MOST_TEXT), ua.LocalizedText("x")],
        [["x" * MOST_TEXT], ["x"]],
        [0] * (MOST_ELEMENTS + 1),
        ua.Argument(Name="x" * MOST_TEXT),
    ],
    ids=["text", "bytes", "localized text", "node", "texts", "localized texts", "matrix", "numbers", "structure"],
)
def test_a_value_that_is_too_long_to_be_kept_is_bad_and_no_part_of_it_passes_for_the_whole(value: Any) -> None:
    found, _ = reading("Channel/ActProgramName", ua.DataValue(ua.Variant(value)), 7)
    assert (found.value, found.status) == (None, BAD_ENCODING_LIMITS_EXCEEDED)
    was_bad, _ = reading("Channel/ActProgramName", ua.DataValue(ua.Variant(value), ua.StatusCode(BAD_NODE_ID_UNKNOWN)), 7)
    assert (was_bad.value, was_bad.status) == (None, BAD_NODE_ID_UNKNOWN)


def test_a_value_as_long_as_may_be_is_taken_whole() -> None:
    for value in ("x" * MOST_TEXT, ["x" * 6] * MOST_ELEMENTS):
        found, _ = reading("Channel/ActProgramName", ua.DataValue(ua.Variant(value)), 7)
        assert (found.value, found.status) == (value, 0)
