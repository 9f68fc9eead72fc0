"""The codec against asyncua's own, over every type and over random values; and against bytes that mean harm."""

from __future__ import annotations

import contextlib
import struct
import tracemalloc
import uuid
from dataclasses import is_dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import extensionobject_to_binary, struct_from_binary, struct_to_binary, variant_to_binary
from hypothesis import given, settings
from hypothesis import strategies as st

from cnctwin.wire import Budget, DecodingError, decode, encode
from cnctwin.wire.decode import guarded

ASYNCUA_IS_WRONG = {
    "LogRecord": "its Encoding mask is written with another width than it is read",
}
"""Types that asyncua 2.1.0 cannot read back itself. Structures that hold an ExtensionObject of an empty structure are left out
below: asyncua leaves out the length of an empty body."""


def default_values() -> list[Any]:
    made = []
    for name in dir(ua):
        kind = getattr(ua, name)
        if isinstance(kind, type) and is_dataclass(kind) and name not in ASYNCUA_IS_WRONG:
            try:
                value = _at_one_time(kind())
                written = struct_to_binary(value)
            except Exception:
                continue
            if not _has_empty_body(written):
                made.append(pytest.param(value, id=name))
    return made


def _at_one_time(value: Any) -> Any:
    """A structure whose times are not those of its making: what is tested is the same in every run, and in every process."""
    for name in value.__dataclass_fields__:
        part = getattr(value, name)
        if isinstance(part, datetime):
            setattr(value, name, datetime(2026, 11, 24, 12, tzinfo=UTC))
        elif is_dataclass(part):
            _at_one_time(part)
    return value


def _has_empty_body(written: bytes) -> bool:
    """Whether a four-byte type id is followed by "a body" that is not there (asyncua writes no length for an empty one)."""
    return any(
        written[i] == 1
        and written[i + 1] == 0
        and written[i + 4 : i + 5] == b"\x01"
        and written[i + 5 : i + 9] not in (b"\x00\x00\x00\x00",)
        for i in range(len(written) - 4)
        if int.from_bytes(written[i + 2 : i + 4], "little") > 15000
    )


@pytest.mark.parametrize("value", default_values())
def test_every_structure_is_written_as_asyncua_writes_it_and_read_back(value: Any) -> None:
    written = struct_to_binary(value)
    assert encode(value) == written
    assert encode(decode(type(value), written), type(value)) == written


text = st.none() | st.text(st.characters(exclude_categories=("Cs",)), max_size=12)
node_ids = st.one_of(
    st.builds(lambda i: ua.NodeId(i, 0, ua.NodeIdType.TwoByte), st.integers(0, 255)),
    st.builds(lambda i, n: ua.NodeId(i, n, ua.NodeIdType.FourByte), st.integers(0, 65535), st.integers(0, 255)),
    st.builds(lambda i, n: ua.NodeId(i, n, ua.NodeIdType.Numeric), st.integers(0, 2**32 - 1), st.integers(0, 65535)),
    st.builds(lambda i, n: ua.NodeId(i, n, ua.NodeIdType.String), st.text(max_size=8), st.integers(0, 65535)),
    st.builds(lambda i, n: ua.NodeId(i, n, ua.NodeIdType.Guid), st.uuids(), st.integers(0, 65535)),
    st.builds(lambda i, n: ua.NodeId(i, n, ua.NodeIdType.ByteString), st.binary(max_size=8), st.integers(0, 65535)),
)
times = st.datetimes(datetime(1700, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))
V = ua.VariantType
SCALARS: dict[ua.VariantType, st.SearchStrategy[Any]] = {
    V.Boolean: st.booleans(), V.SByte: st.integers(-128, 127), V.Byte: st.integers(0, 255),
    V.Int16: st.integers(-(2**15), 2**15 - 1),
    V.UInt16: st.integers(0, 2**16 - 1), V.Int32: st.integers(-(2**31), 2**31 - 1), V.UInt32: st.integers(0, 2**32 - 1),
    V.Int64: st.integers(-(2**63), 2**63 - 1), V.UInt64: st.integers(0, 2**64 - 1), V.Float: st.floats(width=32, allow_nan=False),
    V.Double: st.floats(allow_nan=False), V.String: text, V.DateTime: times, V.Guid: st.uuids(),
    V.ByteString: st.none() | st.binary(max_size=9),
    V.NodeId: node_ids, V.StatusCode: st.builds(ua.StatusCode, st.sampled_from([0, 0x40000000, 0x80000000, 0x80320000])),
    V.QualifiedName: st.builds(lambda n, i: ua.QualifiedName(n, i), text, st.integers(0, 2**15 - 1)),
    V.LocalizedText: st.builds(lambda t, n: ua.LocalizedText(t, n), text, text),
    V.ExtensionObject: st.builds(lambda a, b: ua.Range(a, b), st.floats(allow_nan=False), st.floats(allow_nan=False)),
}  # fmt: skip


@st.composite
def variants(draw: st.DrawFn) -> ua.Variant:
    kind = draw(st.sampled_from(list(SCALARS)))
    if draw(st.booleans()):
        return ua.Variant(draw(SCALARS[kind]), kind)
    rows, columns = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    flat = draw(st.lists(SCALARS[kind], min_size=rows * columns, max_size=rows * columns))
    if draw(st.booleans()):
        return ua.Variant(flat, kind, is_array=True)
    return ua.Variant([flat[i : i + columns] for i in range(0, len(flat), columns)], kind, [rows, columns], is_array=True)


@given(variants(), st.sampled_from([0, 0x40900000, 0x80320000]), times, st.none() | times)
def test_a_data_value_is_written_as_asyncua_writes_it_and_read_back(
    value: ua.Variant, status: int, source: datetime, server: Any
) -> None:
    data = ua.DataValue(value, ua.StatusCode(status), source.replace(tzinfo=None), server)
    written = struct_to_binary(data)
    assert encode(data) == written
    again = decode(ua.DataValue, written)
    assert again.Value == value
    assert encode(again) == written


def test_picoseconds_follow_their_own_timestamp() -> None:
    """OPC 10000-6, 5.2.2.17; node-opcua sends them with each value."""
    second = 10_000_000
    written = bytes((0x3D, 1, 1)) + struct.pack("<qHqH", 13_000_000_000 * second, 5, 13_000_000_001 * second, 7)
    value = decode(ua.DataValue, written)
    assert (value.SourcePicoseconds, value.ServerPicoseconds) == (5, 7)
    assert (value.ServerTimestamp - value.SourceTimestamp).total_seconds() == 1.0
    assert encode(value) == written


@given(st.lists(st.tuples(node_ids, st.integers(0, 30), text), max_size=20))
def test_a_request_is_read_as_asyncua_reads_it(items: list[tuple[Any, int, Any]]) -> None:
    request = ua.ReadRequest()
    request.Parameters.NodesToRead = [ua.ReadValueId(node, attribute, index) for node, attribute, index in items]
    written = struct_to_binary(request)
    ours, theirs = decode(ua.ReadRequest, written), struct_from_binary(ua.ReadRequest, Buffer(written))
    assert ours.Parameters == theirs.Parameters


@given(
    st.binary(max_size=200),
    st.sampled_from([ua.ReadRequest, ua.CallRequest, ua.WriteRequest, ua.Variant, ua.DiagnosticInfo, ua.ExtensionObject]),
)
@settings(max_examples=500)
def test_random_bytes_end_in_a_value_or_a_decoding_error(data: bytes, kind: type) -> None:
    with contextlib.suppress(DecodingError):
        decode(kind, data)


@given(st.data())
@settings(max_examples=300)
def test_a_damaged_request_ends_in_a_value_or_a_decoding_error(data: st.DataObject) -> None:
    request = ua.WriteRequest()
    request.Parameters.NodesToWrite = [ua.WriteValue(ua.NodeId("a", 1), 13, None, ua.DataValue(data.draw(variants())))]
    raw = bytearray(struct_to_binary(request))
    for position in data.draw(st.lists(st.integers(0, len(raw) - 1), min_size=1, max_size=4)):
        raw[position] = data.draw(st.integers(0, 255))
    with contextlib.suppress(DecodingError):
        decode(ua.WriteRequest, bytes(raw))


def null_array(count: int) -> bytes:
    """A Variant that claims ``count`` Variants of which no byte follows."""
    return bytes([24 | 0x80]) + struct.pack("<i", count)


@pytest.mark.parametrize(
    "data",
    [
        null_array(2**31 - 1),
        null_array(-2),
        bytes([12]) + struct.pack("<i", 2**31 - 1),
        bytes([12]) + struct.pack("<i", -5),
        bytes([6 | 0x80]) + struct.pack("<i", 1 << 30),
        bytes([6 | 0xC0]) + struct.pack("<iii", 0, 1, 2**31 - 1),
        bytes([6 | 0xC0]) + struct.pack("<i", 4) + bytes(16) + struct.pack("<iii", 2, 2**16, 2**16),
        bytes([26]),
        bytes([0x80]),
        bytes([24, 1, 1]),
        bytes([12]) + struct.pack("<i", 2) + b"\xff\xfe",
    ],
)
def test_a_lie_about_size_or_form_is_refused(data: bytes) -> None:
    with pytest.raises(DecodingError):
        decode(ua.Variant, data)


def test_nesting_ends_at_the_limit() -> None:
    nested = b"".join(bytes([24 | 0x80]) + struct.pack("<i", 1) for _ in range(3000)) + b"\x01\x01"
    with pytest.raises(DecodingError, match="nested too deeply"):
        decode(ua.Variant, nested)
    with pytest.raises(DecodingError, match="nested too deeply"):
        decode(ua.DiagnosticInfo, b"\x40" * 3000 + b"\x00")


def test_memory_stays_in_proportion_to_the_bytes_received() -> None:
    small_elements = null_array(60_000) + b"\x00" * 60_000
    many = bytes([24 | 0x80]) + struct.pack("<i", 10) + small_elements * 10
    tracemalloc.start()
    try:
        with pytest.raises(DecodingError, match="too many array elements"):
            decode(ua.Variant, many)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 200 * len(many)


def test_structures_in_structures_are_read_where_they_stand() -> None:
    """A copy for each of 90 levels would take 90 times what was sent."""
    body = bytes([12]) + struct.pack("<i", 100_000) + bytes(100_000)
    for _ in range(45):
        body = bytes([22]) + b"\x01\x00" + struct.pack("<H", 597) + b"\x01" + struct.pack("<i", len(body)) + body
    decode(ua.Variant, body)  # what it has in it is compiled when it is first met
    tracemalloc.start()
    try:
        decode(ua.Variant, body)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5 * len(body)


def test_a_matrix_of_thousands_of_dimensions_is_refused_before_they_are_multiplied() -> None:
    """Their product would have a quarter of a million digits."""
    many = bytes([6 | 0xC0]) + struct.pack("<ii", 1, 0) + struct.pack("<i", 30_000) + struct.pack("<i", 2**30) * 30_000
    with pytest.raises(DecodingError, match="30000 dimensions"):
        decode(ua.Variant, many)


@pytest.mark.parametrize(("form", "empty"), [(3, ""), (5, b"")])
def test_a_node_id_whose_identifier_is_null_is_a_null_node_id(form: int, empty: Any) -> None:
    """asyncua's NodeId cannot be made of it, and raises what is no ValueError."""
    for length in (-1, 0):
        value = decode(ua.NodeId, bytes((form, 2, 0)) + struct.pack("<i", length))
        assert (value.NamespaceIndex, value.Identifier) == (2, empty)
    with pytest.raises(DecodingError):
        guarded(_refusing, b"", 0, Budget())


def _refusing(_b: Any, _p: int, _budget: Budget) -> tuple[Any, int]:
    raise ua.UaError("what asyncua says of a value that it does not take")


def test_a_structure_that_says_another_length_than_it_has_is_refused() -> None:
    right = b"\x01\x00" + struct.pack("<H", 597) + b"\x01" + struct.pack("<i", 2) + bytes([1, 1])  # LiteralOperand of a Boolean
    assert decode(ua.ExtensionObject, right).Value.Value is True
    for length, rest in ((1, b""), (-2, b""), (2**31 - 1, b""), (1, b"\x01\x01")):
        with pytest.raises(DecodingError):
            decode(ua.ExtensionObject, right[:5] + struct.pack("<i", length) + right[9:] + rest)


def test_a_budget_is_spent_over_the_whole_message() -> None:
    array = variant_to_binary(ua.Variant([1.0] * 100, V.Double))
    assert decode(ua.Variant, array, Budget(100)).Value == [1.0] * 100
    with pytest.raises(DecodingError):
        decode(ua.Variant, array, Budget(99))


def test_an_unknown_structure_keeps_its_bytes() -> None:
    known = extensionobject_to_binary(ua.ExtensionObject(ua.NodeId(uuid.UUID(int=5), 7), b"\x01\x02"))
    value = decode(ua.ExtensionObject, known)
    assert (value.TypeId, value.Body) == (ua.NodeId(uuid.UUID(int=5), 7), b"\x01\x02")
    assert encode(value, ua.ExtensionObject) == known


def test_two_forms_of_one_node_id_keep_their_own_bytes() -> None:
    forms = [ua.NodeId(0, 0, kind) for kind in (ua.NodeIdType.TwoByte, ua.NodeIdType.FourByte, ua.NodeIdType.Numeric)]
    assert [encode(node) for node in forms] == [b"\x00\x00", b"\x01\x00\x00\x00", b"\x02\x00\x00\x00\x00\x00\x00"]
