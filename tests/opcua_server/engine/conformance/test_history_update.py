"""HistoryUpdate over the wire (OPC 10000-11, 6.8 and 6.9): what was recorded is changed, and what was there before is read."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest
from asyncua import ua

from tests.opcua_server.engine.conformance.past import FIVE, at, value_id
from tests.opcua_server.engine.conformance.plant import Caller, Plant, V, calling, node, run, told
from tests.opcua_server.engine.conformance.test_events import SERVER, event_filter, field, listening, literal
from tests.opcua_server.engine.conformance.test_history import UNSET, minutes, processed, raw, read, shown


async def change(call: Caller, *details: Any) -> list[Any]:
    done = await call("HistoryUpdate", HistoryUpdateDetails=list(details))
    return list(done if isinstance(done, list) else done.Results)


def put(how: ua.PerformUpdateType, *values: Any, name: str = "Edited") -> Any:
    """(minute, value) -> UpdateDataDetails."""
    rows = [ua.DataValue(ua.Variant(value, V.Double), ua.StatusCode(0), SourceTimestamp=at(minute)) for minute, value in values]
    return ua.UpdateDataDetails(NodeId=node(name), PerformInsertReplace=how, UpdateValues=rows)


def cut(start: datetime, end: datetime, *, modified: bool = False) -> Any:
    return ua.DeleteRawModifiedDetails(NodeId=node("Edited"), IsDeleteModified=modified, StartTime=start, EndTime=end)


def names(results: list[Any]) -> list[Any]:
    """Statuses of operations, each with those of its values."""
    return [(one.StatusCode.name, [code.name for code in one.OperationResults or []]) for one in results]


INSERT, REPLACE, UPDATE = ua.PerformUpdateType.Insert, ua.PerformUpdateType.Replace, ua.PerformUpdateType.Update


def test_values_are_inserted_replaced_and_deleted_and_what_was_there_is_read_as_modified(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        whole, was = raw(at(0), at(20)), raw(at(0), at(20), modified=True)
        done = await change(
            call, put(INSERT, (1, 10.0), (2, 20.0)), put(REPLACE, (3, 30.0), (4, 40.0)), put(UPDATE, (3, 31.0), (9, 90.0)),
            ua.DeleteAtTimeDetails(NodeId=node("Edited"), ReqTimes=[at(5), at(7)]), cut(at(0), at(0.5)), cut(at(11), at(12)),
        )  # fmt: skip
        assert names(done) == [
            ("Good", ["GoodEntryInserted", "BadEntryExists"]), ("Good", ["GoodEntryReplaced", "BadNoEntryExists"]),
            ("Good", ["GoodEntryReplaced", "GoodEntryInserted"]), ("Good", ["Good", "BadNoEntryExists"]), ("Good", []),
            ("BadNoData", []),
        ]  # fmt: skip
        (result,) = await read(call, whole, "Edited")
        assert (shown(result), minutes(result)) == ([10, 2, 31, 6, 90], [1, 2, 3, 6, 9])
        (result,) = await read(call, raw(at(20), at(0), 3), "Edited")
        assert shown(result) == [90, 6, 31]
        (result,) = await read(call, processed(at(1), at(4), 0, "Average"), "Edited")
        assert shown(result)[0] == pytest.approx((10 + 2 + 31) / 3)

        async def modified(details: Any = was) -> list[Any]:
            (found,) = await read(call, details, "Edited")
            data = found.HistoryData
            rows = zip(data.DataValues or [], data.ModificationInfos or [], strict=True)
            return [(value.Value.Value, info.UpdateType.name, info.UserName) for value, info in rows]

        # Of one time what went last comes first.
        gone = [(0, "Delete", "Engineer"), (30, "Update", "Engineer"), (3, "Replace", "Engineer"), (5, "Delete", "Engineer")]
        assert await modified() == gone
        assert await modified(raw(at(20), at(-1), modified=True)) == [gone[3], gone[1], gone[2], gone[0]]
        pages, point = [], None
        while point != b"":
            (page,) = await read(call, raw(at(0), at(20), 1, modified=True), value_id(node("Edited"), point))
            pages += [value.Value.Value for value in page.HistoryData.DataValues]
            point = page.ContinuationPoint or b""
        assert pages == [value for value, _, _ in gone]
        assert names(await change(call, cut(at(0), at(4), modified=True), cut(at(0), at(4), modified=True))) == [
            ("Good", []), ("BadNoData", []),
        ]  # fmt: skip
        assert await modified() == gone[3:]
        (result,) = await read(call, whole, "Edited")
        assert shown(result) == [10, 2, 31, 6, 90], "what was told as modified is gone, and nothing else"
        assert names(await change(call, cut(at(0), at(20)), put(INSERT, *((m, float(m)) for m in (0, 2, 3, 5, 6))))) == [
            ("Good", []), ("Good", ["GoodEntryInserted"] * 5),
        ]  # fmt: skip
        (result,) = await read(call, whole, "Edited")
        assert shown(result) == [0, 2, 3, 5, 6]

    run(plant, act, "Engineer")


def test_changes_of_the_history_that_cannot_be_say_why(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        def valued(value: Any, time: datetime | None = FIVE) -> Any:
            return ua.UpdateDataDetails(node("Edited"), INSERT, [ua.DataValue(value, ua.StatusCode(0), SourceTimestamp=time)])

        (result,) = await read(call, raw(at(0), at(9), modified=True, bounds=True), "Edited")
        assert result.StatusCode.name == "BadInvalidArgument"
        for details, expected in (
            (put(INSERT, (1, 1.0), name="Double"), ("BadHistoryOperationUnsupported", [])),
            (ua.UpdateDataDetails(ua.NodeId("none", 9), INSERT, []), ("BadNodeIdUnknown", [])),
            (put(INSERT), ("BadNothingToDo", [])),
            (put(ua.PerformUpdateType.Remove, (1, 1.0)), ("BadHistoryOperationInvalid", [])),
            (ua.DeleteAtTimeDetails(node("Edited"), []), ("BadNothingToDo", [])),
            (ua.DeleteAtTimeDetails(node("Edited"), [at(1)] * 10_001), ("BadTooManyOperations", [])),
            (cut(at(9), at(0)), ("BadInvalidTimestampArgument", [])),
            (cut(UNSET, at(0)), ("BadInvalidTimestampArgument", [])),
            (valued(ua.Variant(1, V.Int32)), ("Good", ["BadTypeMismatch"])),
            (valued(ua.Variant([1.0], V.Double)), ("Good", ["BadTypeMismatch"])),
            (valued(ua.Variant()), ("Good", ["BadTypeMismatch"])),
            (valued(ua.Variant(1.0, V.Double), None), ("Good", ["BadInvalidTimestamp"])),
            (ua.UpdateEventDetails(NodeId=SERVER), ("BadHistoryOperationUnsupported", [])),
        ):
            assert names(await change(call, details)) == [expected], details
        assert await call.refused("HistoryUpdate", HistoryUpdateDetails=[]) == "BadNothingToDo"

    run(plant, act, "Engineer")


@pytest.mark.parametrize("role", ["Viewer", "Operator", "Analytics", "Gateway"])
def test_who_does_not_answer_for_the_machine_cannot_change_what_was(plant: Plant, role: str) -> None:
    async def act(call: Caller) -> None:
        done = await change(call, put(UPDATE, (2, 9.0), name="Past"), ua.DeleteAtTimeDetails(node("Past"), [at(2)]))
        assert names(done) == [("BadUserAccessDenied", [])] * 2
        (result,) = await read(call, raw(at(0), at(9)), "Past")
        assert shown(result) == [0, 2, 3, 5, 6]
        (result,) = await read(call, raw(at(0), at(9), modified=True), "Past")
        assert (result.StatusCode.name, shown(result)) == ("GoodNoData", [])
        levels = await call.read(*(ua.ReadValueId(node("Past"), one) for one in (17, 18)))
        assert [level.Value.Value & 8 for level in levels] == [8, 0]

    run(plant, act, role)


def test_administrators_hear_who_changed_what_was(plant: Plant) -> None:
    async def act(admin: Caller) -> None:
        fields = ("EventType", "ClientUserId", "Status", "UpdatedNode", "OldValues", "NewValues", "ReqTimes", "IsDeleteModified")
        is_change = (ua.FilterOperator.OfType, [literal(ua.NodeId(ua.ObjectIds.AuditHistoryUpdateEventType))])
        wanted = event_filter(is_change, select=[field(name) for name in fields])
        made = await admin.subscribe(20)
        await admin.monitor(made, listening(1, wanted))
        async with calling(plant, "Engineer") as engineer, calling(plant, "Viewer") as viewer:
            await change(engineer, put(REPLACE, (6, 66.0)), put(REPLACE, (6, 6.0)), cut(at(0), at(1)), put(INSERT, (0, 0.0)))
            await change(viewer, ua.DeleteAtTimeDetails(node("Edited"), [at(2)]))
        heard: list[Any] = []
        while len(heard) < 5:
            heard += [values for _, values, _ in told(await admin.publish())]
        kinds = [ua.ObjectIds.AuditHistoryValueUpdateEventType] * 2 + [ua.ObjectIds.AuditHistoryRawModifyDeleteEventType]
        kinds += [ua.ObjectIds.AuditHistoryValueUpdateEventType, ua.ObjectIds.AuditHistoryAtTimeDeleteEventType]
        assert [(one[0].Identifier, one[1], one[2]) for one in heard] == [
            *((kind, "Engineer", True) for kind in kinds[:4]), (kinds[4], "Viewer", False),
        ]  # fmt: skip
        assert {one[3] for one in heard} == {node("Edited")}
        assert [value.Value.Value for value in heard[0][4]] == [6.0]
        assert [value.Value.Value for value in heard[0][5]] == [66.0]
        assert heard[2][7] is False
        assert [value.Value.Value for value in heard[2][4]] == [0.0]
        assert len(heard[4][6]) == 1

    run(plant, act, "Admin")
