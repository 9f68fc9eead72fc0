"""HistoryRead and HistoryUpdate, by asyncua's client."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

from asyncua import ua

from opcua_server.history.aggregates import AGGREGATES, BY_NAME
from tests.opcua_server.engine.conformance.past import FIVE, LONG, at, value_id
from tests.opcua_server.engine.conformance.plant import Caller, Plant, V, calling, item, node, run
from tests.opcua_server.engine.conformance.test_events import SERVER, SEVERITY, TYPE, O, event_filter, field, literal

UNSET = datetime(1601, 1, 1)
BOTH = ua.TimestampsToReturn.Both


def raw(start: datetime = UNSET, end: datetime = UNSET, count: int = 0, *, bounds: bool = False, modified: bool = False) -> Any:
    return ua.ReadRawModifiedDetails(
        IsReadModified=modified, StartTime=start, EndTime=end, NumValuesPerNode=count, ReturnBounds=bounds
    )


def processed(start: datetime, end: datetime, ms: float, *names: Any, **configuration: Any) -> Any:
    types = [ua.NodeId(BY_NAME[name].node_id) if isinstance(name, str) else name for name in names]
    given = ua.AggregateConfiguration(UseServerCapabilitiesDefaults=not configuration, **configuration)
    return ua.ReadProcessedDetails(
        StartTime=start, EndTime=end, ProcessingInterval=ms, AggregateType=types, AggregateConfiguration=given
    )


def at_times(*times: datetime, simple: bool = False) -> Any:
    return ua.ReadAtTimeDetails(ReqTimes=list(times), UseSimpleBounds=simple)


async def read(call: Caller, details: Any, *items: Any, timestamps: Any = BOTH, release: bool = False) -> list[Any]:
    nodes = [value_id(node(one)) if isinstance(one, str) else one for one in items]
    done = await call(
        "HistoryRead", HistoryReadDetails=details, TimestampsToReturn=timestamps, ReleaseContinuationPoints=release,
        NodesToRead=nodes,
    )  # fmt: skip
    return list(done.Results)


def shown(result: Any) -> list[Any]:
    """Values, or the name of the status where there is none."""
    found = []
    for value in result.HistoryData.DataValues or []:
        has_value = value.Value is not None and value.Value.Value is not None
        found.append(value.Value.Value if has_value else ua.StatusCode(value.StatusCode.value & 0xFFFF0000).name)
    return found


def minutes(result: Any) -> list[float]:
    return [(value.SourceTimestamp - FIVE) / timedelta(minutes=1) for value in result.HistoryData.DataValues or []]


# Raw -----------------------------------------------------------------------------------------------------------------


def test_a_range_is_read_in_both_directions_and_from_one_end(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        for details, expected in (
            (raw(at(0), at(5)), [0, 2, 3]),
            (raw(at(5), at(0)), [5, 3, 2]),
            (raw(at(1), UNSET, 2), [2, 3]),
            (raw(UNSET, at(5), 3), [5, 3, 2]),
            (raw(at(2), at(2)), [2]),
        ):
            (result,) = await read(call, details, "Past")
            assert (shown(result), result.StatusCode.name) == (expected, "Good")
            assert minutes(result) == expected
            assert not result.ContinuationPoint

    run(plant, act)


def test_bounds_are_the_nearest_values_or_said_not_to_be_found(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        for details, expected in (
            (raw(at(1), at(4), bounds=True), [0, 2, 3, 5]),
            (raw(at(-1), at(2.5), bounds=True), ["BadBoundNotFound", 0, 2, 3]),
            (raw(at(7), at(4), bounds=True), ["BadBoundNotFound", 6, 5, 3]),
        ):
            (result,) = await read(call, details, "Past")
            assert shown(result) == expected
        assert minutes(result)[0] == 7

    run(plant, act)


def test_no_values_are_good_no_data(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        results = await read(call, raw(at(10), at(11)), "Past", "Nothing")
        assert [result.StatusCode.name for result in results] == ["GoodNoData"] * 2
        assert [shown(result) for result in results] == [[], []]

    run(plant, act)


def test_pages_of_history_together_are_the_whole(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        details = raw(at(0), at(60))
        (page,) = await read(call, details, "Long")
        found = shown(page)
        assert len(found) == 10_000  # where the client sets no limit the server does
        while page.ContinuationPoint:
            point = page.ContinuationPoint
            (page,) = await read(call, details, value_id(node("Long"), point))
            found += shown(page)
        assert found == list(range(LONG))
        (again,) = await read(call, details, value_id(node("Long"), point))
        assert again.StatusCode.name == "BadContinuationPointInvalid"
        (page,) = await read(call, raw(at(60), at(0), 7), "Long")
        (next_page,) = await read(call, raw(at(60), at(0), 7), value_id(node("Long"), page.ContinuationPoint))
        assert shown(page) + shown(next_page) == list(range(LONG - 1, LONG - 15, -1))

    run(plant, act)


def test_one_end_and_a_number_are_read_to_the_end_over_pages(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        details = raw(at(0), UNSET, 12_000)
        (page,) = await read(call, details, "Long")
        (rest,) = await read(call, details, value_id(node("Long"), page.ContinuationPoint))
        assert (len(shown(page)), len(shown(rest)), rest.ContinuationPoint) == (10_000, 2_000, None)

    run(plant, act)


def test_released_points_of_history_are_gone_and_those_of_others_nothing(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        details = raw(at(0), at(60), 5)
        first, second = await read(call, details, "Long", "Past")
        assert not second.ContinuationPoint
        items = [value_id(node("Long"), first.ContinuationPoint), value_id(node("Long"), b"nothing")]
        async with calling(plant) as other:
            (stranger,) = await read(other, details, items[0])
            assert stranger.StatusCode.name == "BadContinuationPointInvalid"
        released = await read(call, details, *items, release=True)
        assert [one.StatusCode.name for one in released] == ["Good", "BadContinuationPointInvalid"]
        (gone,) = await read(call, details, items[0])
        assert gone.StatusCode.name == "BadContinuationPointInvalid"
        (first,) = await read(call, details, "Long")
        (wrong,) = await read(call, details, value_id(node("Past"), first.ContinuationPoint))
        assert wrong.StatusCode.name == "BadContinuationPointInvalid", "it is of another node"

    run(plant, act)


def test_points_of_history_run_out_within_a_request_and_earlier_ones_make_room(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        details = raw(at(0), at(60), 5)
        first = await read(call, details, *["Long"] * 5)  # four are to be had
        assert [one.StatusCode.name for one in first] == ["Good"] * 4 + ["BadNoContinuationPoints"]
        (later,) = await read(call, details, "Long")
        assert later.StatusCode.is_good()
        old, kept = await read(call, details, *(value_id(node("Long"), one.ContinuationPoint) for one in first[:2]))
        assert (old.StatusCode.name, shown(kept)) == ("BadContinuationPointInvalid", [5, 6, 7, 8, 9])

    run(plant, act)


def test_history_has_the_timestamps_asked_for(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        for timestamps, has_source, has_server in ((0, True, False), (1, False, True), (2, True, True)):
            (result,) = await read(call, raw(at(0), at(3)), "Past", timestamps=ua.TimestampsToReturn(timestamps))
            for value in result.HistoryData.DataValues:
                assert (value.SourceTimestamp is not None, value.ServerTimestamp is not None) == (has_source, has_server)
        assert (value.ServerTimestamp - value.SourceTimestamp) == timedelta(milliseconds=2)

    run(plant, act)


def test_texts_and_flags_are_read_and_texts_by_range(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        texts, flags = await read(call, raw(at(0), at(9)), "Sayings", "Flags")
        assert shown(texts) == ["alpha", "be", "BadOutOfService"]
        assert shown(flags) == [False, True, False]
        (part,) = await read(call, raw(at(0), at(9)), value_id(node("Sayings"), index_range="2:3"))
        assert shown(part)[:2] == ["ph", "BadIndexRangeNoData"]

    run(plant, act)


def test_each_node_of_a_history_read_has_a_status_of_its_own(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        results = await read(
            call, raw(at(0), at(9)), "Past", "nothing there", "Double", "Conformance",
            value_id(node("Past"), index_range="1"), value_id(node("Past"), index_range="x"),
            value_id(node("Past"), encoding=ua.QualifiedName("Default Binary")),
            value_id(node("Past"), encoding=ua.QualifiedName("Default JSON")), value_id(node("Past"), b"?"),
        )  # fmt: skip
        assert [result.StatusCode.name for result in results] == [
            "Good", "BadNodeIdUnknown", "BadHistoryOperationUnsupported", "BadHistoryOperationUnsupported", "BadIndexRangeNoData",
            "BadIndexRangeInvalid", "BadDataEncodingInvalid", "BadDataEncodingUnsupported", "BadContinuationPointInvalid",
        ]  # fmt: skip

    run(plant, act)


def test_a_history_read_that_cannot_be_is_refused_as_a_whole(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        async def refused(details: Any, *items: Any, timestamps: Any = BOTH) -> str:
            return await call.refused(
                "HistoryRead", HistoryReadDetails=details, TimestampsToReturn=timestamps, ReleaseContinuationPoints=False,
                NodesToRead=[value_id(node(one)) for one in items],
            )  # fmt: skip

        assert await refused(raw(at(0), at(1))) == "BadNothingToDo"
        assert await refused(raw(at(0), at(1)), *["Past"] * 11) == "BadTooManyOperations"
        assert await refused(raw(at(0)), "Past") == "BadHistoryOperationInvalid"
        assert await refused(raw(count=5), "Past") == "BadHistoryOperationInvalid"
        assert await refused(ua.ExtensionObject(), "Past") == "BadHistoryOperationInvalid"
        assert await refused(ua.ReadAnnotationDataDetails(), "Past") == "BadNothingToDo"
        assert await refused(raw(at(0), at(1)), "Past", timestamps=ua.TimestampsToReturn.Neither) == "BadTimestampsToReturnInvalid"
        assert await refused(processed(at(0), at(1), 0, "Count"), "Past", "Even") == "BadAggregateListMismatch"
        assert await refused(processed(UNSET, at(1), 0, "Count"), "Past") == "BadInvalidTimestampArgument"
        assert await refused(at_times(), "Past") == "BadNothingToDo"

    run(plant, act)


def test_others_are_served_while_history_is_read(plant: Plant) -> None:
    room = plant.engine.table[664].service.handler.__self__  # type: ignore[attr-defined]
    reads, begun, gate = room._page, threading.Event(), threading.Event()

    def slow(job: Any, most: int) -> Any:
        begun.set()
        assert gate.wait(20)
        return reads(job, most)

    async def act(call: Caller) -> None:
        room._page = slow
        try:
            long = asyncio.create_task(read(call, raw(at(0), at(5)), "Past"))
            while not begun.is_set():
                await asyncio.sleep(0.01)
            async with calling(plant) as other:
                assert await other.value("Double") == 1.5
            assert await call.value("Double") == 1.5  # of the same connection too
            assert not long.done()
        finally:
            gate.set()
            room._page = reads
        assert shown((await long)[0]) == [0, 2, 3]

    run(plant, act)


# Address space -------------------------------------------------------------------------------------------------------


def test_the_address_space_says_what_has_a_history_and_how_it_is_kept(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        ids = ua.AttributeIds
        for name, level, user, historizing in (("Past", 13, 5, True), ("Double", 3, 3, False)):
            found = await call.read(item(name, ids.AccessLevel), item(name, ids.UserAccessLevel), item(name, ids.Historizing))
            assert [value.Value.Value for value in found] == [level, user, historizing]

        async def below(node_id: Any, reference: int) -> dict[str, Any]:
            description = ua.BrowseDescription(
                NodeId=node_id, BrowseDirection=ua.BrowseDirection.Forward, ReferenceTypeId=ua.NodeId(reference),
                IncludeSubtypes=True, NodeClassMask=ua.NodeClass(0), ResultMask=ua.BrowseResultMask(63),
            )  # fmt: skip
            (result,) = (await call("Browse", NodesToBrowse=[description], View=ua.ViewDescription())).Results
            return {one.BrowseName.Name: one.NodeId for one in result.References}

        async def value(node_id: Any) -> Any:
            return (await call.read(ua.ReadValueId(node_id, ids.Value)))[0].Value.Value

        configuration = (await below(node("Past"), 56))["HA Configuration"]
        children = await below(configuration, 44)
        assert await value(children["Stepped"]) is False
        assert await value(children["StartOfArchive"]) == FIVE
        assert await value(children["ServerTimestampSupported"]) is True
        defaults = await below(children["AggregateConfiguration"], 46)
        assert [await value(defaults[name]) for name in ("TreatUncertainAsBad", "PercentDataBad", "PercentDataGood")] == [
            True,
            100,
            100,
        ]
        assert set(await below(children["AggregateFunctions"], 35)) == {one.name for one in AGGREGATES}
        sayings = await below((await below(node("Sayings"), 56))["HA Configuration"], 44)
        assert await value(sayings["Stepped"]) is True
        assert "Average" not in await below(sayings["AggregateFunctions"], 35)
        capabilities = await below(ua.NodeId(ua.ObjectIds.HistoryServerCapabilities), 44)
        shown = {name: await value(capabilities[name]) for name in capabilities if name != "AggregateFunctions"}
        assert shown["AccessHistoryDataCapability"] is True
        assert shown["MaxReturnDataValues"] == 10_000
        can = {"InsertData", "ReplaceData", "UpdateData", "DeleteRaw", "DeleteAtTime", "InsertAnnotation"}
        can |= {f"{verb}Event" for verb in ("Insert", "Replace", "Update", "Delete")}
        kinds = ("Insert", "Replace", "Update", "Delete")
        assert {name for name in shown if name.startswith(kinds) and shown[name]} == {f"{name}Capability" for name in can}
        offered = await below(capabilities["AggregateFunctions"], 35)
        assert set(offered) == {one.name for one in AGGREGATES}
        everywhere = await below(ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_AggregateFunctions), 35)
        assert everywhere == offered, "also where there is no history: monitored items have them too"
        said = await call.read(*(ua.ReadValueId(node_id, ids.Description) for node_id in offered.values()))
        texts = {one.Value.Value.Text for one in said}
        assert len(texts) == len(AGGREGATES), "each says what it is (OPC 10000-13, 4.2.2.2)"
        assert all(texts)

    run(plant, act)


# Events --------------------------------------------------------------------------------------------------------------


def test_events_are_read_again_with_a_filter_over_pages_and_backwards(plant: Plant) -> None:
    since = datetime(2031, 1, 1, tzinfo=UTC)  # no other test's events
    for number in range(7):
        moment = since + timedelta(seconds=number // 2)
        plant.emit(100 * number, f"event {number}", Time=(moment, V.DateTime), Extra=([number, -1], V.Int32))
    seconds = [since + timedelta(seconds=s) for s in range(5)]

    def events(start: datetime, end: datetime, count: int = 0, *elements: Any, select: Any = None) -> Any:
        wanted = event_filter(*elements, select=select or [field("Message")])
        return ua.ReadEventDetails(NumValuesPerNode=count, StartTime=start, EndTime=end, Filter=wanted)

    def told(result: Any) -> list[Any]:
        texts = [one.EventFields[0].Value.Text for one in result.HistoryData.Events or []]
        return [int(text.removeprefix("event ")) for text in texts]

    async def act(call: Caller) -> None:
        server = value_id(SERVER)
        for details, expected in (
            (events(seconds[0], seconds[2]), [0, 1, 2, 3]),
            (events(seconds[2], seconds[0]), [5, 4, 3, 2]),
            (events(seconds[1], UNSET, 3), [2, 3, 4]),
            (events(UNSET, seconds[1], 3), [3, 2, 1]),
            (events(seconds[0], seconds[4], 0, (O.GreaterThan, [SEVERITY, literal(350)])), [4, 5, 6]),
        ):
            (result,) = await read(call, details, server)
            assert told(result) == expected
            assert not result.ContinuationPoint
        for start, end, expected in ((0, 4, [0, 1, 2, 3, 4, 5, 6]), (4, 0, [6, 5, 4, 3, 2])):
            details = events(seconds[start], seconds[end], 3)
            (page,) = await read(call, details, server)
            found = told(page)
            while page.ContinuationPoint:
                (page,) = await read(call, details, value_id(SERVER, page.ContinuationPoint))
                found += told(page)
            assert found == expected
        select = [SEVERITY, field("Extra"), TYPE, field("None")]
        (result,) = await read(call, events(seconds[3], seconds[4], select=select), server)
        (fields,) = (one.EventFields for one in result.HistoryData.Events)
        assert [one.Value for one in fields] == [600, [6, -1], ua.NodeId(2041), None]
        (none,) = await read(call, events(seconds[4], seconds[4] + timedelta(seconds=1)), server)
        assert none.StatusCode.name == "GoodNoData"
        bad = events(seconds[0], seconds[4], 0, (O.InView, [literal(1)]))
        results = [*(await read(call, bad, server)), *(await read(call, events(seconds[0], seconds[4]), "Events", "Past"))]
        statuses = [one.StatusCode.name for one in results]
        assert statuses == ["BadEventFilterInvalid", "BadNodeIdUnknown", "BadHistoryOperationUnsupported"]
        (notifier,) = await call.read(ua.ReadValueId(SERVER, ua.AttributeIds.EventNotifier))
        assert notifier.Value.Value == 13
        # What the node says of its history (OPC 10000-11, 5.4.2 and 5.4.3) is a filter that it takes.
        description = ua.BrowseDescription(
            NodeId=SERVER, BrowseDirection=ua.BrowseDirection.Forward, ReferenceTypeId=ua.NodeId(), IncludeSubtypes=True,
            NodeClassMask=ua.NodeClass(0), ResultMask=ua.BrowseResultMask(63),
        )  # fmt: skip
        (browsed,) = (await call("Browse", NodesToBrowse=[description], View=ua.ViewDescription())).Results
        there = {one.BrowseName.Name: one for one in browsed.References}
        assert there["HE Configuration"].ReferenceTypeId == ua.NodeId(ua.ObjectIds.HasHistoricalConfiguration)
        assert there["HE Configuration"].TypeDefinition == ua.NodeId(ua.ObjectIds.HistoricalEventConfigurationType)
        (kept,) = await call.read(ua.ReadValueId(there["HistoricalEventFilter"].NodeId, ua.AttributeIds.Value))
        clauses = kept.Value.Value.SelectClauses
        assert not kept.Value.Value.WhereClause.Elements
        details = ua.ReadEventDetails(NumValuesPerNode=0, StartTime=seconds[3], EndTime=seconds[4], Filter=kept.Value.Value)
        (result,) = await read(call, details, server)
        names = ["/".join(part.Name for part in clause.BrowsePath) for clause in clauses]
        (fields,) = (dict(zip(names, one.EventFields, strict=True)) for one in result.HistoryData.Events)
        assert (fields["Severity"].Value, fields["Message"].Value.Text, fields["AckedState/Id"].Value) == (600, "event 6", None)

    run(plant, act)
