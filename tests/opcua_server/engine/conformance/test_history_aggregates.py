"""Values at times and aggregates by HistoryRead, by asyncua's client."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from asyncua import ua

from opcua_server.history import service
from tests.opcua_server.engine.conformance.past import FIVE, LONG, NOON, at, value_id
from tests.opcua_server.engine.conformance.plant import Caller, Plant, node, run
from tests.opcua_server.engine.conformance.test_history import at_times, processed, read, shown

# At times ------------------------------------------------------------------------------------------------------------


def test_values_at_times_are_raw_or_interpolated(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        times = [NOON + timedelta(seconds=s) for s in (45, 15, 20, 5, 40)]
        (result,) = await read(call, at_times(*times), "Even")
        assert shown(result) == [45, 15, 20, "BadNoData", "Bad"]
        assert [value.StatusCode.value & 0x403 for value in result.HistoryData.DataValues] == [0x402, 0x402, 0, 0, 0]
        (result,) = await read(call, at_times(*times, simple=True), "Even")
        assert shown(result) == ["BadNoData", 15, 20, "BadNoData", "Bad"]
        assert [value.SourceTimestamp for value in result.HistoryData.DataValues] == times
        (stepped,) = await read(call, at_times(at(1.5), at(0.5)), "Sayings")
        assert shown(stepped) == ["be", "alpha"]
        (refused,) = await read(call, at_times(*times), "Even", timestamps=ua.TimestampsToReturn.Server)
        assert refused.StatusCode.name == "BadTimestampNotSupported"

    run(plant, act)


def test_times_of_which_some_are_answered_later_come_in_their_order_and_are_kept_once(plant: Plant) -> None:
    """A hundred nodes at 60,000 times, in pages, were 300 MB of continuation points."""
    asked = [at(0) + timedelta(seconds=number % 400) for number in range(1_050)]

    made: list[Any] = []

    class Made(service.AtTimeJob):
        def __init__(self, *given: Any, **named: Any) -> None:
            super().__init__(*given, **named)
            made.append(self.times)

    async def act(call: Caller) -> None:
        with mock.patch.object(service, "MOST_PER_NODE", 200), mock.patch.object(service, "AtTimeJob", Made):
            pages = await read(call, at_times(*asked), "Long", "Long")
            found: list[list[Any]] = [[], []]
            while any(page.ContinuationPoint for page in pages):
                for one, page in zip(found, pages, strict=True):
                    one += shown(page)
                points = [value_id(node("Long"), page.ContinuationPoint) for page in pages]
                pages = await read(call, at_times(*asked), *points)
        for one, page in zip(found, pages, strict=True):
            one += shown(page)
            assert one == [(time - at(0)) // timedelta(seconds=0.1) for time in asked]
        first, *others = made
        assert others
        assert all(one is first for one in others)

    run(plant, act)


# Processed -----------------------------------------------------------------------------------------------------------


def test_aggregates_are_read_one_for_each_node(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        end = NOON + timedelta(seconds=100)
        average, minimum, count = await read(
            call, processed(NOON, end, 16_000, "TimeAverage2", "Minimum", "Count", TreatUncertainAsBad=False, PercentDataBad=100,
                            PercentDataGood=100), "Even", "Even", "Even",
        )  # fmt: skip
        assert shown(minimum) == [10, 20, "BadNoData", 50, "BadNoData", 80, "BadNoData"]
        assert shown(count) == [1, 2, "Bad", 2, 0, 2, "BadNoData"]
        assert count.HistoryData.DataValues[0].Value.VariantType == ua.VariantType.Int32
        assert count.HistoryData.DataValues[0].StatusCode.value == 0x405  # Calculated, Partial
        assert shown(average)[1] == pytest.approx((18 * 4 + 25 * 10 + 30 * 2) / 16)
        (whole,) = await read(call, processed(NOON, end, 0, "Maximum"), "Even")
        assert shown(whole) == [90]
        (backwards,) = await read(call, processed(end, NOON, 50_000, "Count"), "Even")
        assert shown(backwards) == [3, 4]
        assert [value.SourceTimestamp for value in backwards.HistoryData.DataValues] == [end, end - timedelta(seconds=50)]

    run(plant, act)


def test_long_results_of_aggregates_come_in_pages(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        details = processed(at(0), at(60), 200.0, "Average")
        (page,) = await read(call, details, "Long")
        found = shown(page)
        while page.ContinuationPoint:
            (page,) = await read(call, details, value_id(node("Long"), page.ContinuationPoint))
            found += shown(page)
        assert len(found) == 18_000
        assert found[: LONG // 2] == [2 * number + 0.5 for number in range(LONG // 2)]
        assert set(found[LONG // 2 :]) == {"BadNoData"}

    run(plant, act)


def test_aggregates_that_cannot_be_say_why(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        end = at(10)

        async def status(details: Any, name: str = "Past", **more: Any) -> str:
            (result,) = await read(call, details, name, **more)
            return str(result.StatusCode.name)

        assert await status(processed(FIVE, end, 0, ua.NodeId(2345))) == "BadAggregateNotSupported"
        assert await status(processed(FIVE, end, 0, ua.NodeId(2342, 2))) == "BadAggregateNotSupported"
        assert await status(processed(FIVE, end, 0, "Average"), "Sayings") == "BadAggregateNotSupported"
        assert await status(processed(FIVE, end, 0, "Average"), "Flags") == "BadAggregateNotSupported"
        assert await status(processed(FIVE, end, 0, "DurationInStateZero"), "Flags") == "Good"
        assert await status(processed(FIVE, FIVE, 0, "Count")) == "BadInvalidArgument"
        assert await status(processed(FIVE, end, -1, "Count")) == "BadInvalidArgument"
        assert await status(processed(FIVE, end, float("nan"), "Count")) == "BadInvalidArgument"
        assert await status(processed(FIVE, end, float("inf"), "Count")) == "BadInvalidArgument"
        assert await status(processed(FIVE, end, 1e308, "Count")) == await status(processed(FIVE, end, 0, "Count"))
        few = {"TreatUncertainAsBad": True, "PercentDataBad": 40, "PercentDataGood": 50, "UseSlopedExtrapolation": False}
        assert await status(processed(FIVE, end, 0, "Count", **few)) == "BadAggregateConfigurationRejected"
        server = ua.TimestampsToReturn.Server
        assert await status(processed(FIVE, end, 0, "Count"), timestamps=server) == "BadTimestampNotSupported"
        assert await status(processed(FIVE, end, 0, "Count"), "Double") == "BadHistoryOperationUnsupported"

    run(plant, act)
