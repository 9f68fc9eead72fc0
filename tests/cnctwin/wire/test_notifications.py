"""Publish responses: what our reader makes of them is what asyncua wrote, run by run and value by value."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.wire import DecodingError
from cnctwin.wire.encode import to_ticks
from cnctwin.wire.notifications import Numbers, Published, read_published, read_republished

START = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
T = ua.VariantType
VALUES = {
    T.Double: st.floats(allow_nan=False), T.Boolean: st.booleans(), T.Int32: st.integers(-(2**31), 2**31 - 1),
    T.UInt16: st.integers(0, 2**16 - 1), T.Byte: st.integers(0, 255), T.UInt64: st.integers(0, 2**64 - 1),
    T.String: st.text(max_size=9),
}  # fmt: skip
STATUSES = st.sampled_from([0, 0x40900000, 0x80320000, 0x00000480])


@st.composite
def data_values(draw: st.DrawFn) -> ua.DataValue:
    kind = draw(st.sampled_from(list(VALUES)))
    status = draw(STATUSES)
    bare = draw(st.booleans()) and draw(st.booleans())
    source = None if bare else START + timedelta(microseconds=draw(st.integers(0, 10**9)))
    if status >> 31:
        value = ua.Variant()
    elif draw(st.integers(0, 9)) == 0:
        value = ua.Variant(draw(st.lists(VALUES[kind], max_size=3)), kind, is_array=True)
    else:
        value = ua.Variant(draw(VALUES[kind]), kind)
    return ua.DataValue(value, ua.StatusCode(status), source, START)


def response(parts: list[Any], number: int = 5, *, more: bool = False, available: tuple[int, ...] = ()) -> bytes:
    made = ua.PublishResponse()
    made.Parameters.SubscriptionId = 7
    made.Parameters.AvailableSequenceNumbers = list(available)
    made.Parameters.MoreNotifications = more
    made.Parameters.NotificationMessage = ua.NotificationMessage(number, START, parts)
    written: bytes = struct_to_binary(made)
    return written


def items(read: Published) -> Iterator[tuple[int, Any, int, int | None, int | None]]:
    """Every value of a message as (handle, value, status, source and server ticks)."""
    for part in read.message.parts:
        if isinstance(part, Numbers):
            values = part.values.tolist() if part.values is not None else [None] * len(part.handles)
            columns = (part.handles.tolist(), values, part.statuses.tolist(), part.sources.tolist(), part.servers.tolist())
            yield from zip(*columns, strict=True)
        else:
            data = part.Value
            source, server = (None if t is None else to_ticks(t) for t in (data.SourceTimestamp, data.ServerTimestamp))
            yield part.ClientHandle, data.Value.Value, data.StatusCode.value, source, server


def expected(handle: int, data: ua.DataValue) -> tuple[int, Any, int, int | None, int | None]:
    source, server = (None if t is None else to_ticks(t) for t in (data.SourceTimestamp, data.ServerTimestamp))
    return handle, data.Value.Value, data.StatusCode.value, source, server


@given(st.lists(data_values(), max_size=30), st.booleans(), st.lists(st.integers(1, 2**32 - 1), max_size=4))
def test_every_value_is_read_as_it_was_written(values: list[ua.DataValue], more: bool, available: list[int]) -> None:
    told = [ua.MonitoredItemNotification(handle, value) for handle, value in enumerate(values)]
    read = read_published(response([ua.DataChangeNotification(told)], 9, more=more, available=tuple(available)))
    assert (read.subscription, read.more, list(read.available), read.message.number) == (7, more, available, 9)
    assert list(items(read)) == [expected(handle, value) for handle, value in enumerate(values)]


def test_equal_numbers_are_one_view_on_the_message() -> None:
    values = [ua.DataValue(ua.Variant(float(n), T.Double), ua.StatusCode(0), START, START) for n in range(1000)]
    told = [ua.MonitoredItemNotification(n, value) for n, value in enumerate(values)]
    read = read_published(response([ua.DataChangeNotification(told)]))
    (run,) = read.message.parts
    assert run.values.tolist() == [float(n) for n in range(1000)]
    assert not run.values.flags.owndata


def test_events_statuses_and_keep_alives_come_in_their_order() -> None:
    event = ua.EventNotificationList([ua.EventFieldList(3, [ua.Variant("x")])])
    number = ua.MonitoredItemNotification(1, ua.DataValue(ua.Variant(1.0), ua.StatusCode(0), START, START))
    status = ua.StatusChangeNotification(ua.StatusCode(0x800A0000))
    read = read_published(response([event, ua.DataChangeNotification([number]), status]))
    assert [type(part).__name__ for part in read.message.parts] == ["EventNotificationList", "Numbers", "StatusChangeNotification"]
    assert read.message.parts[0].Events[0].EventFields[0].Value == "x"
    assert list(read_published(response([])).message.parts) == []


def test_a_refusal_is_raised_and_another_response_is_none() -> None:
    refused = ua.PublishResponse()
    refused.ResponseHeader.ServiceResult = ua.StatusCode(ua.StatusCodes.BadNoSubscription)
    with pytest.raises(ua.uaerrors.BadNoSubscription):
        read_published(struct_to_binary(refused))
    with pytest.raises(DecodingError, match="i=829"):
        read_published(struct_to_binary(ua.ReadResponse()))


def test_a_republished_message_is_read_the_same_way() -> None:
    number = ua.MonitoredItemNotification(1, ua.DataValue(ua.Variant(2.5), ua.StatusCode(0), START, START))
    made = ua.RepublishResponse()
    made.NotificationMessage = ua.NotificationMessage(4, START, [ua.DataChangeNotification([number])])
    message = read_republished(struct_to_binary(made))
    assert message.number == 4
    assert message.parts[0].values.tolist() == [2.5]


@given(st.lists(data_values(), min_size=1, max_size=8), st.data())
def test_whatever_the_bytes_are_it_ends_with_a_message_or_a_decoding_error(values: list[ua.DataValue], data: st.DataObject) -> None:
    told = [ua.MonitoredItemNotification(handle, value) for handle, value in enumerate(values)]
    body = bytearray(response([ua.DataChangeNotification(told)]))
    for _ in range(data.draw(st.integers(1, 4))):
        body[data.draw(st.integers(4, len(body) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(4, len(body)))
    try:
        read = read_published(bytes(body[:cut]))
    except (DecodingError, ua.UaStatusCodeError):
        return
    assert sum(1 for part in read.message.parts if isinstance(part, Numbers) for _ in part.handles) <= len(body) // 12
