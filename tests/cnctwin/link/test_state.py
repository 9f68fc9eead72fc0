"""How messages become batches, what a slow reader keeps, and what a value means; without a server."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from asyncua import ua
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.link.readers import SLOW, BatchReader
from cnctwin.link.state import MachineState
from cnctwin.link.values import BAD_NO_DATA, nanoseconds, reading, timestamp
from cnctwin.reading import BAD_WAITING_FOR_INITIAL_DATA, Batch, Reading

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
