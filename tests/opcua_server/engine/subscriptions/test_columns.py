"""Packed notifications against asyncua's encoder; queues, deadbands and filters against plain references."""

from __future__ import annotations

import fnmatch
import math
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from asyncua.ua.ua_binary import extensionobject_to_binary
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.wire.scalars import to_datetime, ua
from opcua_server.engine.subscriptions import revise
from opcua_server.engine.subscriptions.columns import Columns, Sampled
from opcua_server.engine.subscriptions.filters import EventQuery, cast, check, compare
from opcua_server.engine.subscriptions.like import matches
from opcua_server.engine.subscriptions.panel import Panel, bodies_of, data_change
from opcua_server.engine.subscriptions.queues import ItemQueue, exceeds

KINDS = [ua.VariantType.Double, ua.VariantType.Float, ua.VariantType.Int32, ua.VariantType.UInt16, ua.VariantType.Boolean]
NOW = 134_000_000_000_000_000


def expected(rows: list[tuple[int, Any]], timestamps: int) -> bytes:
    made = []
    for handle, value in rows:
        kept = ua.DataValue(
            value.Value,
            value.StatusCode,
            value.SourceTimestamp if timestamps in (0, 2) else None,
            value.ServerTimestamp if timestamps in (1, 2) else None,
        )
        made.append(ua.MonitoredItemNotification(handle, kept))
    return bytes(extensionobject_to_binary(ua.DataChangeNotification(MonitoredItems=made)))


@given(
    st.sampled_from(KINDS),
    st.lists(st.tuples(st.integers(0, 200), st.sampled_from([0, 0, 0x40000000, 0x80000000, 0x80320000])), min_size=1, max_size=20),
    st.integers(0, 3),
)
def test_a_column_is_packed_as_asyncua_would_encode_it(kind: Any, cells: list[tuple[int, int]], timestamps: int) -> None:
    columns = Columns()
    column = columns.add(kind, [ua.NodeId(n, 2) for n in range(len(cells))])
    values = np.array([value for value, _ in cells], dtype=column.values.dtype)
    column.write(values, np.array([status for _, status in cells], dtype=np.uint32), NOW, NOW + 10)
    panel = Panel([(column, row, row + 100, timestamps) for row in range(len(cells))], columns.changes)
    order = [r for r, c in enumerate(cells) if not c[1] >> 31] + [r for r, c in enumerate(cells) if c[1] >> 31]
    rows = [(row + 100, column.slot(row).value) for row in order]
    assert data_change(panel.records(-1)) == expected(rows, timestamps)


@given(st.lists(st.lists(st.sampled_from([0.0, 1.0, -2.5, math.nan, math.inf]), min_size=4, max_size=4), min_size=1, max_size=8))
def test_a_panel_tells_exactly_what_differs_from_the_tick_before(ticks: list[list[float]]) -> None:
    columns = Columns()
    column = columns.add(ua.VariantType.Double, [ua.NodeId(n, 2) for n in range(4)])
    sampled = Sampled(column)
    panel = Panel([(sampled, row, row, 0) for row in range(4)], columns.changes)
    cursor, last = columns.changes.number, [None] * 4
    for number, tick in enumerate(ticks):
        column.write(np.array(tick), 0, NOW + number, NOW)
        sampled.sample()
        changed = [
            r for r in range(4) if last[r] is None or not (last[r] == tick[r] or (last[r] != last[r] and tick[r] != tick[r]))
        ]
        assert sum(record[0] for record in panel.records(cursor)) == len(changed)
        for row in changed:
            assert column.slot(row).value.SourceTimestamp == to_datetime(NOW + number)
        cursor, last = columns.changes.number, list(tick)


def test_a_change_that_is_sampled_late_is_told_to_who_was_served_in_between() -> None:
    columns = Columns()
    column = columns.add(ua.VariantType.Double, [ua.NodeId(n, 2) for n in range(2)])
    sampled = Sampled(column)
    panel = Panel([(sampled, 0, 5, 2)], columns.changes)
    column.write(np.array([1.0, 0.0]), 0, NOW, NOW)
    served_at = columns.changes.number
    assert panel.records(served_at) == []
    sampled.sample()
    assert [count for count, _content, _size in panel.records(served_at)] == [1]


@given(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 6), st.integers(0, 4))
def test_messages_hold_everything_once_and_no_more_than_allowed(counts: list[int], events: int, limit: int) -> None:
    records = [(count, b"\x01" * (count * 3), 3) for count in counts if count]
    bodies = bodies_of(records, [b"event"] * events, limit)
    assert sum(body[0] for body in bodies) == sum(counts) + events
    assert all(body[0] <= limit for body in bodies if limit)
    assert sum(body[2].count(b"event") for body in bodies) == events


@given(st.lists(st.integers(), max_size=30), st.integers(1, 6), st.booleans())
def test_a_queue_keeps_its_end_of_what_came_and_marks_where_values_are_missing(values: list[int], size: int, oldest: bool) -> None:
    queue: ItemQueue[int] = ItemQueue(size, oldest)
    for value in values:
        queue.put(value)
    kept = queue.take_all()
    if len(values) <= size or size == 1:
        assert kept == [(value, False) for value in (values if size > 1 else values[-1:])]
    elif oldest:
        assert [value for value, _ in kept] == values[-size:]
        assert [mark for _, mark in kept] == [True] + [False] * (size - 1)
    else:
        assert [value for value, _ in kept] == [*values[: size - 1], values[-1]]
        assert [mark for _, mark in kept] == [False] * (size - 1) + [True]


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.floats(0, 1e3))
def test_a_deadband_is_exceeded_by_more_than_its_width(a: float, b: float, width: float) -> None:
    assert exceeds(a, b, width) == (abs(a - b) > width)
    assert exceeds([a, a], [a, b], width) == exceeds(a, b, width)
    assert exceeds(math.nan, b, width)
    assert not exceeds(math.nan, math.nan, width)


@given(st.floats(), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_revised_parameters_are_usable_whatever_is_asked_for(interval: float, lifetime: int, keep_alive: int) -> None:
    terms = revise.terms(interval, lifetime, keep_alive, 0, 0)
    assert 10.0 <= terms.interval_ms <= 3_600_000.0
    assert terms.keep_alive >= 1
    assert 3 * terms.keep_alive <= terms.lifetime <= 2**32 - 1
    assert revise.sampling_interval(interval, terms.interval_ms) >= 0


@given(st.text("ab*?", max_size=12), st.text("ab%_", max_size=12))
def test_like_agrees_with_shell_patterns_where_they_mean_the_same(text: str, pattern: str) -> None:
    text = text.replace("*", "c").replace("?", "d")
    assert matches(text, pattern) == fnmatch.fnmatchcase(text, pattern.replace("%", "*").replace("_", "?"))


def test_like_knows_sets_ranges_and_escapes() -> None:
    assert matches("main.nc", "main.[mn]c")
    assert matches("b", "[a-c]")
    assert not matches("b", "[^a-c]")
    assert matches("50%", "50\\%")
    assert not matches("501", "50\\%")


class Occurred:
    """An event as asyncua's generators make it."""

    def __init__(self, **fields: Any) -> None:
        self.EventType = ua.NodeId(2041, 0)
        self.data_types: dict[str, Any] = {}
        for name, (value, kind) in fields.items():
            setattr(self, name, value)
            self.data_types[name] = kind


def field(name: str) -> Any:
    return ua.SimpleAttributeOperand(ua.NodeId(2041, 0), [ua.QualifiedName(name, 0)], ua.UInt32(13), None)


def literal(value: Any, kind: Any = None) -> Any:
    return ua.LiteralOperand(ua.Variant(value, kind))


def query(*elements: tuple[Any, list[Any]]) -> EventQuery:
    where = ua.ContentFilter([ua.ContentFilterElement(operator, operands) for operator, operands in elements])
    asked = ua.EventFilter([field("Severity"), field("Missing")], where)
    status, _result = check(asked, lambda _node: True)
    assert status == 0
    return EventQuery(asked, lambda node, ancestor: node == ancestor)


O = ua.FilterOperator  # noqa: E741
SEVERE = Occurred(Severity=(700, ua.VariantType.UInt16), Message=(ua.LocalizedText("Tool worn"), ua.VariantType.LocalizedText))


@pytest.mark.parametrize(
    ("operator", "operands", "passes"),
    [
        (O.Equals, [field("Severity"), literal(700)], True),
        (O.Equals, [field("Severity"), literal("700")], True),
        (O.GreaterThan, [field("Severity"), literal(700)], False),
        (O.GreaterThanOrEqual, [field("Severity"), literal(700.0)], True),
        (O.LessThan, [field("Severity"), literal(701)], True),
        (O.LessThanOrEqual, [field("Severity"), literal(699)], False),
        (O.Between, [field("Severity"), literal(500), literal(700)], True),
        (O.InList, [field("Severity"), literal(1), literal(700)], True),
        (O.Like, [field("Message"), literal("Tool%")], True),
        (O.IsNull, [field("Missing")], True),
        (O.Equals, [field("Missing"), literal(1)], False),
        (O.Not, [literal(False)], True),
        (O.OfType, [literal(ua.NodeId(2041, 0))], True),
        (O.OfType, [literal(ua.NodeId(2042, 0))], False),
        (O.And, [literal(True), literal(False)], False),
        (O.Or, [literal(None), literal(True)], True),
        (O.Cast, [literal("true"), literal(ua.NodeId(1, 0))], True),
    ],
)
def test_each_operator_decides_as_the_standard_says(operator: Any, operands: list[Any], passes: bool) -> None:
    assert query((operator, operands)).passes(SEVERE) is passes


def test_null_is_carried_through_not() -> None:
    missing = (O.Equals, [field("Missing"), literal(1)])
    assert not query(missing).passes(SEVERE)
    assert not query((O.Not, [ua.ElementOperand(1)]), missing).passes(SEVERE)


def test_bits_are_combined_and_compared() -> None:
    assert query((O.Equals, [ua.ElementOperand(1), literal(4)]), (O.BitwiseAnd, [literal(12), literal(6)])).passes(SEVERE)
    assert query((O.Equals, [ua.ElementOperand(1), literal(14)]), (O.BitwiseOr, [literal(12), literal(6)])).passes(SEVERE)


def test_a_filter_of_many_shared_elements_costs_each_once() -> None:
    chain = [(O.And, [ua.ElementOperand(n + 1), ua.ElementOperand(n + 1)]) for n in range(200)]
    assert query(*chain, (O.Not, [literal(False)])).passes(SEVERE)


@pytest.mark.parametrize(
    "element",
    [
        (O.RelatedTo, [literal(1)] * 6),
        (O.InView, [literal(1)]),
        (O.Equals, [literal(1)]),
        (O.Not, [ua.ElementOperand(0)]),
        (O.Not, [ua.ElementOperand(5)]),
        (99, [literal(1)]),
        (O.OfType, [literal(1)]),
    ],
)
def test_filters_that_cannot_be_worked_out_are_refused_with_the_element(element: tuple[Any, list[Any]]) -> None:
    where = ua.ContentFilter([ua.ContentFilterElement(*element)])
    status, result = check(ua.EventFilter([field("Severity")], where), lambda _node: True)
    assert status == ua.StatusCodes.BadEventFilterInvalid
    assert not result.WhereClauseResult.ElementResults[0].StatusCode.is_good()


@given(
    st.one_of(st.integers(), st.floats(), st.text(max_size=9), st.binary(max_size=4), st.none(), st.booleans()), st.integers(0, 30)
)
def test_a_cast_gives_a_value_or_null_and_never_fails(value: Any, kind: int) -> None:
    cast(value, ua.NodeId(kind, 0))


@given(st.floats(allow_nan=False) | st.integers(-1000, 1000), st.floats(allow_nan=False) | st.integers(-1000, 1000))
def test_numbers_compare_as_numbers(a: float, b: float) -> None:
    assert compare(a, b) == (a > b) - (a < b)
    assert compare(a, datetime(2026, 1, 1, tzinfo=UTC)) is None
