"""Write (OPC 10000-4, 5.11.4) by asyncua's client."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from tests.opcua_server.engine.conformance.plant import Caller, Plant, V, item, node, run, ua


def matrix(values: list[list[int]]) -> ua.Variant:
    return ua.Variant(values, V.Int32, is_array=True)


@pytest.mark.parametrize(
    ("name", "index_range", "value", "kind", "expected"),
    [
        ("Array", "2", [99.0], V.Double, [0.0, 1.0, 99.0, *map(float, range(3, 10))]),
        ("Array", "8:9", [-1.0, -2.0], V.Double, [*map(float, range(8)), -1.0, -2.0]),
        ("Text", "1:3", "XYZ", V.String, "aXYZefgh"),
        ("Bytes", "0", b"#", V.ByteString, b"#123456789"),
        ("Texts", "0", ["omega"], V.String, ["omega", "beta", "gamma"]),
        ("Texts", "0:1,1:2", ["--", "++"], V.String, ["a--ha", "b++a", "gamma"]),
        ("Matrix", "1,2:3", [[-1, -2]], V.Int32, [[0, 1, 2, 3], [10, 11, -1, -2], [20, 21, 22, 23]]),
    ],
)
def test_a_range_is_written_and_the_rest_stays(
    plant: Plant, name: str, index_range: str, value: Any, kind: Any, expected: Any
) -> None:
    async def act(call: Caller) -> None:
        variant = matrix(value) if name == "Matrix" else ua.Variant(value, kind)
        assert await call.write(name, variant, index_range=index_range) == "Good"
        assert await call.value(name) == expected

    try:
        run(plant, act)
    finally:
        plant.reset(name)


@pytest.mark.parametrize(
    ("name", "index_range", "value", "kind", "status"),
    [
        ("Array", "10", [1.0], V.Double, "BadIndexRangeNoData"),
        ("Array", "8:10", [1.0, 2.0, 3.0], V.Double, "BadIndexRangeNoData"),
        ("Array", "1:3", [1.0, 2.0], V.Double, "BadIndexRangeDataMismatch"),
        ("Array", "1", 1.0, V.Double, "BadIndexRangeDataMismatch"),
        ("Array", "1,1", [[1.0]], V.Double, "BadIndexRangeNoData"),
        ("Array", "3:1", [1.0], V.Double, "BadIndexRangeInvalid"),
        ("Array", "x", [1.0], V.Double, "BadIndexRangeInvalid"),
        ("Array", "1", [1], V.Int32, "BadTypeMismatch"),
        ("Text", "1:3", "X", V.String, "BadIndexRangeDataMismatch"),
        ("Matrix", "1", [1], V.Int32, "BadIndexRangeNoData"),
        ("Double", "0", 1.0, V.Double, "BadIndexRangeNoData"),
    ],
)
def test_a_range_that_cannot_be_written_changes_nothing(
    plant: Plant, name: str, index_range: str, value: Any, kind: Any, status: str
) -> None:
    async def act(call: Caller) -> None:
        before = await call.value(name)
        assert await call.write(name, value, kind, index_range) == status
        assert await call.value(name) == before

    run(plant, act)


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("Double", 2.5, V.Double),
        ("Any", "text", V.String),
        ("Any", 5, V.UInt64),
        ("Number", 5, V.SByte),
        ("Number", 5.5, V.Float),
        ("Octets", b"\x04\x05", V.ByteString),
        ("Octets", [4, 5], V.Byte),
        ("Array", [], V.Double),
        ("Structure", ua.Range(1.0, 2.0), V.ExtensionObject),
    ],
)
def test_what_fits_is_written(plant: Plant, name: str, value: Any, kind: Any) -> None:
    async def act(call: Caller) -> None:
        given = ua.Variant(value, kind, is_array=isinstance(value, list))
        assert await call.write(name, given) == "Good"
        assert await call.value(name) == (list(value) if name == "Octets" else value)

    try:
        run(plant, act)
    finally:
        plant.reset(name)


@pytest.mark.parametrize(
    ("name", "value", "kind", "status"),
    [
        ("Double", 2, V.Int32, "BadTypeMismatch"),
        ("Double", 2.0, V.Float, "BadTypeMismatch"),
        ("Double", [2.0], V.Double, "BadTypeMismatch"),
        ("Double", None, V.Null, "BadTypeMismatch"),
        ("Double", float("nan"), V.Double, "BadOutOfRange"),
        ("Double", float("inf"), V.Double, "BadOutOfRange"),
        ("Array", 2.0, V.Double, "BadTypeMismatch"),
        ("Array", [1.0, float("nan")], V.Double, "BadOutOfRange"),
        ("Matrix", [1, 2], V.Int32, "BadTypeMismatch"),
        ("Number", "1", V.String, "BadTypeMismatch"),
        ("Any", [1.0], V.Double, "BadTypeMismatch"),
        ("Bytes", "text", V.String, "BadTypeMismatch"),
        ("Bytes", [1, 2], V.Byte, "BadTypeMismatch"),
        ("Structure", ua.EUInformation(), V.ExtensionObject, "BadTypeMismatch"),
        ("Structure", 1.0, V.Double, "BadTypeMismatch"),
        ("Fixed", 1.0, V.Double, "BadNotWritable"),
        ("Hidden", 1.0, V.Double, "BadNotWritable"),
        ("Open", 1.0, V.Double, "BadUserAccessDenied"),
        ("no such node", 1.0, V.Double, "BadNodeIdUnknown"),
        ("Conformance", 1.0, V.Double, "BadAttributeIdInvalid"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(plant: Plant, name: str, value: Any, kind: Any, status: str) -> None:
    async def act(call: Caller) -> None:
        (before,) = await call.read(item(name))
        assert await call.write(name, value, kind) == status
        assert (await call.read(item(name)))[0] == before

    run(plant, act)


def test_status_and_timestamps_are_taken_over(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        source, server = datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 3, tzinfo=UTC)
        status = ua.StatusCode(ua.StatusCodes.UncertainLastUsableValue)
        given = {"StatusCode": status, "SourceTimestamp": source, "ServerTimestamp": server}
        assert await call.write("Double", 3.5, V.Double, **given) == "Good"
        (read,) = await call.read(item("Double"))
        assert (read.Value.Value, read.StatusCode) == (3.5, status)
        assert read.SourceTimestamp.replace(tzinfo=UTC) == source
        assert read.ServerTimestamp.replace(tzinfo=UTC) == server
        assert await call.write("Double", 4.5, V.Double) == "Good"
        (read,) = await call.read(item("Double"))
        assert read.StatusCode.is_good()
        assert abs((datetime.now(UTC) - read.SourceTimestamp.replace(tzinfo=UTC)).total_seconds()) < 60

    try:
        run(plant, act)
    finally:
        plant.reset("Double")


def test_a_bad_status_takes_the_value_away(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        bad = ua.StatusCode(ua.StatusCodes.BadSensorFailure)
        for value in (1.0, None):
            assert await call.write("Double", value, V.Double if value else V.Null, StatusCode=bad) == "Good"
            (read,) = await call.read(item("Double"))
            assert read.StatusCode == bad
            assert read.Value.Value is None
        assert await call.write("Array", [1.0], V.Double, "0") == "Good"

    try:
        run(plant, act)
    finally:
        plant.reset("Double", "Array")


def test_picoseconds_and_other_attributes_are_not_written(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        now = datetime.now(UTC)
        assert await call.write("Double", 1.0, V.Double, SourceTimestamp=now, SourcePicoseconds=5) == "BadWriteNotSupported"
        values = [
            ua.WriteValue(node("Double"), attribute, None, ua.DataValue(ua.Variant(ua.LocalizedText("x"), V.LocalizedText)))
            for attribute in (ua.AttributeIds.DisplayName, ua.AttributeIds.IsAbstract)
        ]
        done = await call("Write", NodesToWrite=values)
        assert [status.name for status in done.Results] == ["BadNotWritable", "BadAttributeIdInvalid"]

    run(plant, act)


def test_a_list_is_written_one_by_one(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        def one(name: str, value: Any, kind: Any) -> ua.WriteValue:
            return ua.WriteValue(node(name), ua.AttributeIds.Value, None, ua.DataValue(ua.Variant(value, kind)))

        done = await call("Write", NodesToWrite=[one("Count", 1, V.Int32), one("nothing", 1, V.Int32), one("Count", 2, V.Int32)])
        assert [status.name for status in done.Results] == ["Good", "BadNodeIdUnknown", "Good"]
        assert await call.value("Count") == 2
        assert await call.refused("Write", NodesToWrite=[]) == "BadNothingToDo"
        assert await call.refused("Write", NodesToWrite=[one("Count", 1, V.Int32)] * 301) == "BadTooManyOperations"

    try:
        run(plant, act)
    finally:
        plant.reset("Count")
