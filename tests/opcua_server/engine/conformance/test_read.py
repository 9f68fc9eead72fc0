"""Read (OPC 10000-4, 5.11.2) by asyncua's client."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.opcua_server.engine.conformance.plant import Caller, Plant, calling, item, node, run, ua


@pytest.mark.parametrize(
    ("name", "index_range", "expected"),
    [
        ("Array", "2", [2.0]),
        ("Array", "2:4", [2.0, 3.0, 4.0]),
        ("Array", "8:99", [8.0, 9.0]),
        ("Array", "0:9", [float(n) for n in range(10)]),
        ("Text", "1:3", "bcd"),
        ("Text", "7", "h"),
        ("Text", "6:20", "gh"),
        ("Bytes", "0:1", b"01"),
        ("Matrix", "1,2", [[12]]),
        ("Matrix", "0:1,1:2", [[1, 2], [11, 12]]),
        ("Matrix", "2,0:9", [[20, 21, 22, 23]]),
        ("Texts", "1", ["beta"]),
        ("Texts", "0:1,1:2", ["lp", "et"]),
    ],
)
def test_a_range_gives_that_part(plant: Plant, name: str, index_range: str, expected: Any) -> None:
    async def act(call: Caller) -> None:
        (result,) = await call.read(item(name, index_range=index_range))
        assert result.StatusCode.is_good()
        assert result.Value.Value == expected
        if name == "Matrix":
            assert list(result.Value.Dimensions) == [len(expected), len(expected[0])]

    run(plant, act)


@pytest.mark.parametrize(
    ("name", "index_range", "status"),
    [
        ("Array", "10", "BadIndexRangeNoData"),
        ("Array", "1,1", "BadIndexRangeNoData"),
        ("Matrix", "1", "BadIndexRangeNoData"),
        ("Matrix", "3,0", "BadIndexRangeNoData"),
        ("Text", "8", "BadIndexRangeNoData"),
        ("Double", "0", "BadIndexRangeNoData"),
        ("Array", "4:2", "BadIndexRangeInvalid"),
        ("Array", "2:2", "BadIndexRangeInvalid"),
        ("Array", "-1", "BadIndexRangeInvalid"),
        ("Array", "a", "BadIndexRangeInvalid"),
        ("Array", "1:", "BadIndexRangeInvalid"),
        ("Array", "1, 2", "BadIndexRangeInvalid"),
        ("Array", "99999999999", "BadIndexRangeInvalid"),
    ],
)
def test_a_range_that_gives_nothing_says_why(plant: Plant, name: str, index_range: str, status: str) -> None:
    async def act(call: Caller) -> None:
        (result,) = await call.read(item(name, index_range=index_range))
        assert result.StatusCode.name == status
        assert result.Value is None or result.Value.Value is None

    run(plant, act)


def test_each_node_has_a_status_of_its_own(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        results = await call.read(
            item("Double"), item("no such node"), item(ua.NodeId()), item("Conformance"), item("Double", 99), item("Double", 0),
            item("Double", 8), item("Hidden"), item("Double", encoding=ua.QualifiedName("Default Binary", 0)),
            item("Structure", encoding=ua.QualifiedName("Default Binary", 0)),
            item("Structure", encoding=ua.QualifiedName("Default JSON", 0)),
            item("Double", 3, encoding=ua.QualifiedName("Default Binary", 0)),
            item("Double", encoding=ua.QualifiedName("Default JSON", 0)),
            item("Any", encoding=ua.QualifiedName("Default Binary", 0)),
        )  # fmt: skip
        assert [result.StatusCode.name for result in results] == [
            "Good", "BadNodeIdUnknown", "BadNodeIdUnknown", "BadAttributeIdInvalid", "BadAttributeIdInvalid",
            "BadAttributeIdInvalid", "BadAttributeIdInvalid", "BadNotReadable", "BadDataEncodingInvalid", "Good",
            "BadDataEncodingUnsupported", "BadDataEncodingInvalid", "BadDataEncodingInvalid", "BadDataEncodingInvalid",
        ]  # fmt: skip

    run(plant, act)


@pytest.mark.parametrize("timestamps", list(ua.TimestampsToReturn)[:4])
def test_values_have_the_timestamps_asked_for_and_other_attributes_no_source(plant: Plant, timestamps: Any) -> None:
    async def act(call: Caller) -> None:
        value, name = await call.read(item("Double"), item("Double", 3), timestamps=timestamps)
        both = ua.TimestampsToReturn.Both
        assert (value.SourceTimestamp is not None) == (timestamps in (both, ua.TimestampsToReturn.Source))
        assert (value.ServerTimestamp is not None) == (timestamps in (both, ua.TimestampsToReturn.Server))
        assert name.SourceTimestamp is None
        (constant,) = await call.read(item(ua.NodeId(ua.ObjectIds.Server_NamespaceArray)), timestamps=timestamps)
        assert (constant.SourceTimestamp is not None) == (timestamps in (both, ua.TimestampsToReturn.Source))
        assert (name.ServerTimestamp is not None) == (timestamps in (both, ua.TimestampsToReturn.Server))

    run(plant, act)


def test_a_read_that_cannot_be_is_refused_as_a_whole(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        one = [item("Double")]
        assert await call.refused("Read", MaxAge=-1.0, NodesToRead=one) == "BadMaxAgeInvalid"
        assert await call.refused("Read", TimestampsToReturn=ua.TimestampsToReturn.Invalid, NodesToRead=one) == (
            "BadTimestampsToReturnInvalid"
        )
        assert await call.refused("Read", NodesToRead=[]) == "BadNothingToDo"
        assert await call.refused("Read", NodesToRead=one * 501) == "BadTooManyOperations"
        assert len(await call.read(*one * 500)) == 500

    run(plant, act)


def test_whatever_max_age_is_the_newest_value_is_read(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        for number, max_age in enumerate((0.0, 1.0, 1e9, float("inf"))):
            plant.show("Count", number)
            (result,) = await call.read(item("Count"), max_age=max_age)
            assert result.Value.Value == number

    run(plant, act)


def test_a_bad_value_is_read_as_its_status_also_by_range(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        moment = datetime(2026, 1, 2, tzinfo=UTC)
        plant.show("Array", None, status=ua.StatusCodes.BadSensorFailure, source=moment)
        try:
            for one in await call.read(item("Array"), item("Array", index_range="0")):
                assert one.StatusCode.name == "BadSensorFailure"
                assert one.SourceTimestamp.replace(tzinfo=UTC) == moment
        finally:
            plant.reset("Array")

    run(plant, act)


def test_every_attribute_of_every_node_class_is_read_or_said_to_be_none(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        nodes = [node("Double"), node("Conformance"), node("Hold"), ua.NodeId(33), ua.NodeId(58), ua.NodeId(62), ua.NodeId(11)]
        results = await call.read(*[item(one, attribute) for one in nodes for attribute in range(1, 28)])
        names = {result.StatusCode.name for result in results}
        assert names <= {"Good", "BadAttributeIdInvalid"}
        for start in range(0, len(results), 27):  # NodeId, NodeClass, BrowseName, DisplayName are mandatory
            assert all(result.StatusCode.is_good() for result in results[start : start + 4])

    run(plant, act)


def test_who_asks_for_much_that_depends_on_the_user_gets_the_own_answer(plant: Plant) -> None:
    """Five hundred UserAccessLevels, the same request of two users at once, again and again: one may write, the other may not."""
    asked = [item("Double", ua.AttributeIds.UserAccessLevel), item("Count", ua.AttributeIds.UserAccessLevel)] * 250

    async def main() -> None:
        async with calling(plant, "Analytics") as writer, calling(plant, "Viewer") as viewer:
            for _ in range(3):
                reads = [caller.read(*asked) for caller in (writer, viewer, writer, viewer)]
                levels = [[result.Value.Value for result in results] for results in await asyncio.gather(*reads)]
                assert levels[0] == levels[2] == [3, 3] * 250
                assert levels[1] == levels[3] == [1, 1] * 250

    asyncio.run(main())
