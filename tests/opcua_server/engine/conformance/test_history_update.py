"""HistoryUpdate over the wire (OPC 10000-11, 6.8 and 6.9): what was recorded is changed, and what was there before is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
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
            (ua.UpdateEventDetails(NodeId=node("Edited")), ("BadHistoryOperationUnsupported", [])),
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


# Events and annotations ------------------------------------------------------------------------------------------------

OVER: datetime = datetime(2033, 1, 1, tzinfo=UTC)  # no other test's events
REMOVE = ua.PerformUpdateType.Remove
CLAUSES = ("EventId", "EventType", "Time", "Message", "Severity")


def put_events(how: Any, *rows: Any, fields: tuple[str, ...] = CLAUSES, on: Any = SERVER, where: Any = ()) -> Any:
    """(EventId, second, text) -> UpdateEventDetails."""
    kinds = (V.ByteString, V.NodeId, V.DateTime, V.LocalizedText, V.UInt16)
    data = []
    for event_id, second, text, *kind in rows:
        whole = (event_id, *(kind or [ua.NodeId(2041)]), OVER + timedelta(seconds=second), ua.LocalizedText(text, "en"), 500)
        given = {name: ua.Variant(*pair) if pair[0] is not None else ua.Variant()
                 for name, pair in zip(CLAUSES, zip(whole, kinds, strict=True), strict=True)}  # fmt: skip
        data.append(ua.HistoryEventFieldList([given[name] for name in fields]))
    wanted = event_filter(*where, select=[field(name) for name in fields])
    return ua.UpdateEventDetails(NodeId=on, PerformInsertReplace=how, Filter=wanted, EventData=data)


def take_events(*ids: bytes, on: Any = SERVER) -> Any:
    return ua.DeleteEventDetails(NodeId=on, EventIds=list(ids))


async def events(call: Caller, start: int = 0, end: int = 60, count: int = 0) -> list[tuple[bytes, str]]:
    """Over as many pages as it takes."""
    wanted = event_filter(select=[field("EventId"), field("Message")])
    details = ua.ReadEventDetails(
        NumValuesPerNode=count, StartTime=OVER + timedelta(seconds=start), EndTime=OVER + timedelta(seconds=end), Filter=wanted
    )
    found, point = [], b""
    while True:
        (page,) = await read(call, details, value_id(SERVER, point))
        found += [(one.EventFields[0].Value, one.EventFields[1].Value.Text) for one in page.HistoryData.Events or []]
        point = page.ContinuationPoint
        if not point:
            return found


def test_events_are_inserted_replaced_and_deleted_beside_what_was_told(plant: Plant) -> None:
    for number in range(4):
        moment = (OVER + timedelta(seconds=number // 2), V.DateTime)
        plant.emit(100, f"recorded {number}", Time=moment)

    async def act(call: Caller) -> None:
        def recorded(*numbers: int) -> list[tuple[bytes, str]]:
            return [(f"recorded {n}".encode(), f"recorded {n}") for n in numbers]

        assert await events(call) == recorded(0, 1, 2, 3)
        done = await change(
            call,
            put_events(INSERT, (b"mine", 0, "was forgotten"), (b"recorded 1", 0, "there already"), (None, 30, "by hand")),
            put_events(REPLACE, (b"recorded 2", 1, "as it was"), (b"nobody", 1, "?"), (b"mine", 0, "said better")),
            put_events(UPDATE, (b"recorded 0", 2, "later than thought"), (b"new", 40, "late")),
            put_events(REPLACE, (b"new", 0, "only the words"), fields=("EventId", "Message")),
            take_events(b"recorded 3", b"recorded 3", b"nobody", b""),
        )  # fmt: skip
        assert names(done) == [
            ("Good", ["GoodEntryInserted", "BadEntryExists", "GoodEntryInserted"]),
            ("Good", ["GoodEntryReplaced", "BadNoEntryExists", "GoodEntryReplaced"]),
            ("Good", ["GoodEntryReplaced", "GoodEntryInserted"]), ("Good", ["GoodEntryReplaced"]),
            ("Good", ["Good", "BadNoEntryExists", "BadNoEntryExists", "BadNoEntryExists"]),
        ]  # fmt: skip
        whole = await events(call)
        assert [text for _, text in whole] == [
            "recorded 1", "said better", "as it was", "later than thought", "by hand", "only the words",
        ]  # fmt: skip
        made_up = next(event_id for event_id, text in whole if text == "by hand")
        assert len(made_up) == 16
        assert await events(call, count=1) == whole
        assert await events(call, 60, -1, count=2) == whole[::-1]
        assert names(await change(call, take_events(*(event_id for event_id, _ in whole)))) == [("Good", ["Good"] * 6)]
        assert await events(call) == []

    run(plant, act, "Engineer")


def test_changes_of_events_that_cannot_be_say_why(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        one = (b"x", 1, "x")
        is_severe = ((ua.FilterOperator.GreaterThan, [field("Severity"), literal(1)]),)
        done = await change(
            call, put_events(INSERT, one, on=node("Conformance")), put_events(INSERT, one, on=node("nowhere")),
            put_events(REMOVE, one), put_events(INSERT), put_events(INSERT, one, where=is_severe),
            put_events(INSERT, one, fields=("EventId", "EventType")), put_events(REPLACE, one, fields=("Time", "EventType")),
            put_events(INSERT, (b"x", 1, "x", ua.NodeId(58)), (b"x", 1, "x" * 9_000)), take_events(),
            take_events(b"x", on=node("Past")),
        )  # fmt: skip
        assert names(done) == [
            ("BadHistoryOperationUnsupported", []), ("BadNodeIdUnknown", []), ("BadInvalidArgument", []), ("BadNothingToDo", []),
            ("BadEventFilterInvalid", []), ("BadArgumentsMissing", []), ("BadArgumentsMissing", []),
            ("Good", ["BadTypeDefinitionInvalid", "BadOutOfRange"]), ("BadNothingToDo", []),
            ("BadHistoryOperationUnsupported", []),
        ]  # fmt: skip
        async with calling(plant, "Operator") as operator:
            assert names(await change(operator, put_events(INSERT, one), take_events(b"x"))) == [("BadUserAccessDenied", [])] * 2

    run(plant, act, "Engineer")


NOTES = node("Past.Annotations")


def note(how: Any, *rows: tuple[float, str, str, datetime], on: Any = NOTES) -> Any:
    """(minute, message, user, when)."""
    values = [
        ua.DataValue(ua.Variant(ua.Annotation(message, user, when), V.ExtensionObject), SourceTimestamp=at(minute))
        for minute, message, user, when in rows
    ]
    return ua.UpdateStructureDataDetails(NodeId=on, PerformInsertReplace=how, UpdateValues=values)


def test_values_are_annotated_and_what_was_said_is_read_changed_and_removed(plant: Plant) -> None:
    noon, later = at(60), at(61)

    async def act(call: Caller) -> None:
        async def said(details: Any, on: Any = NOTES) -> list[tuple[float, str, str]]:
            (result,) = await read(call, details, value_id(on))
            return [(m, value.Value.Value.Message, value.Value.Value.UserName)
                    for m, value in zip(minutes(result), result.HistoryData.DataValues or [], strict=True)]  # fmt: skip

        def now() -> Any:
            return call.read(ua.ReadValueId(NOTES, 13))

        (before,) = await now()
        assert (before.StatusCode.name, before.Value.Value.Message) == ("Good", ""), "nobody has said anything"
        done = await change(
            call, note(INSERT, (2, "tool was blunt", "somebody", noon), (2, "and loud", "", later), (3, "late", "", noon)),
            note(INSERT, (2, "once more", "", noon)), note(REPLACE, (2, "tool was worn", "Engineer", noon), (9, "?", "", noon)),
            note(UPDATE, (3, "much too late", "", noon), (5, "fine again", "", noon)),
            note(REMOVE, (2, "", "", later), (9, "", "", noon)),
        )  # fmt: skip
        assert names(done) == [
            ("Good", ["GoodEntryInserted"] * 3), ("Good", ["BadEntryExists"]), ("Good", ["GoodEntryReplaced", "BadNoEntryExists"]),
            ("Good", ["GoodEntryReplaced", "GoodEntryInserted"]), ("Good", ["Good", "BadNoEntryExists"]),
        ]  # fmt: skip
        everything = [(2, "tool was worn", "Engineer"), (3, "much too late", "Engineer"), (5, "fine again", "Engineer")]
        assert await said(raw(at(0), at(20))) == everything
        assert await said(raw(at(20), at(0))) == everything[::-1]
        assert await said(raw(at(3), UNSET, 1)) == everything[1:2]
        at_times = ua.ReadAnnotationDataDetails(ReqTimes=[at(5), at(2), at(4)])
        assert await said(at_times) == await said(at_times, node("Past")) == [everything[0], everything[2]]
        (counted,) = await read(call, processed(at(0), at(9), 180_000, "AnnotationCount"), "Past")
        assert (minutes(counted), shown(counted)) == ([0, 3, 6], [1, 2, 0])
        (newest,) = await now()
        assert newest.Value.Value.Message == "fine again"
        (result,) = await read(call, raw(at(0), at(9)), "Past")
        assert shown(result) == [0, 2, 3, 5, 6], "the values are as they were"
        bad = await change(
            call, note(INSERT, (1, "x" * 2_001, "", UNSET)), note(INSERT), note(INSERT, (1, "x", "", UNSET), on=node("Past")),
            put(INSERT, (1, 1.0), name="Past.Annotations"),
        )  # fmt: skip
        assert names(bad) == [("Good", ["BadOutOfRange"]), ("BadNothingToDo", []), *[("BadHistoryOperationUnsupported", [])] * 2]
        async with calling(plant, "Operator") as operator:
            assert names(await change(operator, note(INSERT, (1, "x", "", UNSET)))) == [("BadUserAccessDenied", [])]
        await change(call, note(REMOVE, *((m, "", "", noon) for m in (2, 3, 5))))
        assert await said(raw(at(0), at(20))) == []

    run(plant, act, "Engineer")


def test_administrators_hear_who_changed_events_and_annotations(plant: Plant) -> None:
    async def act(admin: Caller) -> None:
        fields = ("EventType", "ClientUserId", "Status", "UpdatedNode", "OldValues", "NewValues", "EventIds")
        is_change = (ua.FilterOperator.OfType, [literal(ua.NodeId(ua.ObjectIds.AuditHistoryUpdateEventType))])
        await admin.monitor(
            await admin.subscribe(20), listening(1, event_filter(is_change, select=[field(name) for name in fields]))
        )
        async with calling(plant, "Engineer") as engineer:
            await change(
                engineer, put_events(INSERT, (b"heard", 9, "first")), put_events(REPLACE, (b"heard", 9, "second")),
                take_events(b"heard"), note(INSERT, (2, "heard", "", at(70))), note(REMOVE, (2, "", "", at(70))),
            )  # fmt: skip
        heard: list[Any] = []
        while len(heard) < 5:
            heard += [values for _, values, _ in told(await admin.publish())]
        kinds = ["EventUpdate", "EventUpdate", "EventDelete", "AnnotationUpdate", "AnnotationUpdate"]
        assert [(one[0].Identifier, one[1], one[2]) for one in heard] == [
            (getattr(ua.ObjectIds, f"AuditHistory{kind}EventType"), "Engineer", True) for kind in kinds
        ]  # fmt: skip
        assert [one[3] for one in heard] == [*[SERVER] * 3, *[NOTES] * 2]
        assert [len(one[4]) for one in heard] == [0, 1, 1, 0, 1], "what was there before"
        texts = [
            [field.Value.Text for field in one[4][0].EventFields if field.VariantType is V.LocalizedText] for one in heard[1:3]
        ]
        assert texts == [["first"], ["second"]]
        assert heard[2][6] == [b"heard"]
        assert (heard[3][5][0].Message, heard[4][4][0].Message) == ("heard", "heard")

    run(plant, act, "Admin")
