"""Event items: select clauses, where clauses with every operator, queues (OPC 10000-4, 7.7 and 7.22.3) by asyncua's client."""

from __future__ import annotations

from typing import Any

import pytest

from tests.opcua_server.engine.conformance.plant import Caller, Plant, V, monitored, run, ua

O = ua.FilterOperator  # noqa: E741
SERVER, BASE_EVENT, SYSTEM_EVENT, DEVICE_FAILURE = (ua.NodeId(number) for number in (2253, 2041, 2130, 2131))
OVERFLOW_EVENT = ua.NodeId(3035)


def field(*path: str, kind: ua.NodeId = BASE_EVENT, attribute: int = 13) -> ua.SimpleAttributeOperand:
    return ua.SimpleAttributeOperand(kind, [ua.QualifiedName(name, 0) for name in path], attribute, None)


def literal(value: Any, kind: Any = None) -> ua.LiteralOperand:
    return ua.LiteralOperand(ua.Variant(value, kind))


def event_filter(*elements: tuple[Any, list[Any]], select: list[Any] | None = None) -> ua.EventFilter:
    where = ua.ContentFilter([ua.ContentFilterElement(operator, operands) for operator, operands in elements])
    return ua.EventFilter(select if select is not None else [field("Message"), field("Severity")], where)


def listening(handle: int, wanted: ua.EventFilter, queue: int = 0, discard_oldest: bool = True, mode: int = 2) -> Any:
    return monitored(SERVER, handle, attribute=12, wanted=wanted, queue=queue, discard_oldest=discard_oldest, mode=mode)


SEVERITY, MESSAGE, TYPE = field("Severity"), field("Message"), field("EventType")
FILTERS: list[tuple[str, list[tuple[Any, list[Any]]], bool]] = [
    # what it is, elements, whether an event "Tool worn" of severity 700 and SystemEventType passes
    ("no filter", [], True),
    ("Equals", [(O.Equals, [SEVERITY, literal(700)])], True),
    ("Equals, other", [(O.Equals, [SEVERITY, literal(701)])], False),
    ("Equals, text as number", [(O.Equals, [SEVERITY, literal("700")])], True),
    ("IsNull", [(O.IsNull, [field("Nothing")])], True),
    ("IsNull, there", [(O.IsNull, [SEVERITY])], False),
    ("GreaterThan", [(O.GreaterThan, [SEVERITY, literal(699)])], True),
    ("GreaterThan, equal", [(O.GreaterThan, [SEVERITY, literal(700)])], False),
    ("LessThan", [(O.LessThan, [SEVERITY, literal(701)])], True),
    ("LessThan, equal", [(O.LessThan, [SEVERITY, literal(700)])], False),
    ("GreaterThanOrEqual", [(O.GreaterThanOrEqual, [SEVERITY, literal(700)])], True),
    ("LessThanOrEqual", [(O.LessThanOrEqual, [SEVERITY, literal(699)])], False),
    ("Like", [(O.Like, [MESSAGE, literal("Tool%")])], True),
    ("Like, one character", [(O.Like, [MESSAGE, literal("Tool_worn")])], True),
    ("Like, set", [(O.Like, [MESSAGE, literal("[ST]ool [^a-c]orn")])], True),
    ("Like, other", [(O.Like, [MESSAGE, literal("tool%")])], False),
    ("Not", [(O.Not, [ua.ElementOperand(1)]), (O.Equals, [SEVERITY, literal(1)])], True),
    ("Not Null", [(O.Not, [ua.ElementOperand(1)]), (O.Equals, [field("Nothing"), literal(1)])], False),
    ("Between", [(O.Between, [SEVERITY, literal(700), literal(800)])], True),
    ("Between, outside", [(O.Between, [SEVERITY, literal(701), literal(800)])], False),
    ("InList", [(O.InList, [SEVERITY, literal(1), literal(700.0)])], True),
    ("InList, other", [(O.InList, [SEVERITY, literal(1)])], False),
    ("InList, of none", [(O.InList, [SEVERITY])], False),
    ("InList, of none, Not", [(O.Not, [ua.ElementOperand(1)]), (O.InList, [SEVERITY])], True),
    ("And", [(O.And, [ua.ElementOperand(1), ua.ElementOperand(2)]), (O.OfType, [literal(SYSTEM_EVENT)]),
             (O.GreaterThan, [SEVERITY, literal(500)])], True),
    ("And, one false", [(O.And, [literal(True), literal(False)])], False),
    ("Or", [(O.Or, [literal(False), ua.ElementOperand(1)]), (O.Like, [MESSAGE, literal("%worn")])], True),
    ("Or, Null and false", [(O.Or, [literal(None), literal(False)])], False),
    ("Cast", [(O.Equals, [ua.ElementOperand(1), literal("700")]), (O.Cast, [SEVERITY, literal(ua.NodeId(12))])], True),
    ("OfType", [(O.OfType, [literal(SYSTEM_EVENT)])], True),
    ("OfType, supertype", [(O.OfType, [literal(BASE_EVENT)])], True),
    ("OfType, subtype", [(O.OfType, [literal(DEVICE_FAILURE)])], False),
    ("BitwiseAnd", [(O.Equals, [ua.ElementOperand(1), literal(700 & 12)]), (O.BitwiseAnd, [SEVERITY, literal(12)])], True),
    ("BitwiseOr", [(O.Equals, [ua.ElementOperand(1), literal(700 | 3)]), (O.BitwiseOr, [SEVERITY, literal(3)])], True),
]  # fmt: skip


def test_every_operator_lets_pass_what_it_should(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        items = [listening(handle, event_filter(*elements)) for handle, (_name, elements, _passes) in enumerate(FILTERS)]
        results = await call.monitor(made, *items)
        assert [one.StatusCode.name for one in results] == ["Good"] * len(FILTERS)
        plant.emit(700, "Tool worn", 2130)
        expected = {name for name, _elements, passes in FILTERS if passes}
        found = {FILTERS[handle][0] for handle, _fields, _status in await call.gather(len(expected))}
        assert found == expected

    run(plant, act)


def test_a_queue_has_room_for_the_fields_that_are_selected_later(plant: Plant) -> None:
    """Room is for events of so many fields: with more of them it was full before there were as many events as was said."""

    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, listening(1, event_filter(select=[SEVERITY]), queue=10))
        changed = listening(1, event_filter(select=[SEVERITY, *[field("SourceName")] * 11]), queue=10).RequestedParameters
        (result,) = (
            await call(
                "ModifyMonitoredItems", SubscriptionId=made.SubscriptionId, TimestampsToReturn=ua.TimestampsToReturn.Both,
                ItemsToModify=[ua.MonitoredItemModifyRequest(one.MonitoredItemId, changed)],
            )
        ).Results  # fmt: skip
        assert (result.StatusCode.name, result.RevisedQueueSize) == ("Good", 10)
        for severity in range(1, 11):
            plant.emit(severity, "hello")
        assert [fields[0] for _, fields, _ in await call.gather(10)] == list(range(1, 11))

    run(plant, act)


def test_a_range_of_a_field_is_selected_and_compared(plant: Plant) -> None:
    def part(name: str, index_range: str) -> ua.SimpleAttributeOperand:
        return ua.SimpleAttributeOperand(BASE_EVENT, [ua.QualifiedName(name, 0)], 13, index_range)

    select = [
        part("EventId", "0:1"),
        part("SourceName", "2:3"),
        part("Numbers", "1:9"),
        part("Numbers", "7"),
        part("Severity", "0"),
    ]

    async def act(call: Caller) -> None:
        made = await call.subscribe()
        where = (O.Equals, [part("SourceName", "0"), literal("S", V.String)]), (O.Equals, [part("SourceName", "0"), literal("s")])
        first, second = await call.monitor(made, *(listening(n, event_filter(one, select=select)) for n, one in enumerate(where)))
        assert (first.StatusCode.name, second.StatusCode.name) == ("Good", "Good")
        plant.emit(321, "hello", 2130, Numbers=([1, 2, 3], V.Int32))
        assert await call.gather(1) == [(0, [b"he", "rv", [2, 3], None, None], 0)]

    run(plant, act)


def test_the_fields_selected_come_in_their_order_and_null_where_there_is_none(plant: Plant) -> None:
    select = [
        field("Severity"), field("Nothing"), field("Message"), field("EventType"), field("SourceName", kind=SYSTEM_EVENT),
        field("SourceName", kind=DEVICE_FAILURE), field("Extra", "Deep"), field("EventId"),
    ]  # fmt: skip

    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, listening(5, event_filter(select=select)))
        assert one.RevisedSamplingInterval == 0.0
        plant.emit(321, "hello", 2130, **{"Extra/Deep": (5, V.Int32)})
        assert await call.gather(1) == [(5, [321, None, ua.LocalizedText("hello"), SYSTEM_EVENT, "Server", None, 5, b"hello"], 0)]

    run(plant, act)


@pytest.mark.parametrize(
    ("operator", "operands", "element", "operand"),
    [
        (O.Equals, [literal(1)], "BadFilterOperandCountMismatch", None),
        (O.Not, [literal(1), literal(1)], "BadFilterOperandCountMismatch", None),
        (O.InView, [literal(1)], "BadFilterOperatorUnsupported", None),
        (O.RelatedTo, [literal(1)] * 6, "BadFilterOperatorUnsupported", None),
        (O.Not, [ua.ElementOperand(0)], "BadFilterOperandInvalid", "BadFilterOperandInvalid"),
        (O.Not, [ua.ElementOperand(9)], "BadFilterOperandInvalid", "BadFilterOperandInvalid"),
        (O.OfType, [literal(5)], "BadFilterOperandInvalid", "BadFilterOperandInvalid"),
        (O.OfType, [literal(ua.NodeId(85))], "BadFilterOperandInvalid", "BadFilterOperandInvalid"),
    ],
)
def test_where_clauses_that_cannot_be_say_which_part(
    plant: Plant, operator: Any, operands: list[Any], element: str, operand: str | None
) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, listening(1, event_filter((operator, operands))))
        assert one.StatusCode.name == "BadEventFilterInvalid"
        (result,) = one.FilterResult.WhereClauseResult.ElementResults
        assert result.StatusCode.name == element
        assert [status.name for status in result.OperandStatusCodes or []] == ([operand] if operand else [])

    run(plant, act)


@pytest.mark.parametrize(
    ("selected", "status"),
    [
        (field("Message", kind=ua.NodeId(85)), "BadTypeDefinitionInvalid"),
        (field("Message", kind=ua.NodeId(61)), "BadTypeDefinitionInvalid"),  # FolderType: an ObjectType, but of no event
        (field("Message", attribute=77), "BadAttributeIdInvalid"),
        (field(""), "BadBrowseNameInvalid"),
        (ua.SimpleAttributeOperand(BASE_EVENT, [ua.QualifiedName("EventId", 0)], 13, "3:1"), "BadIndexRangeInvalid"),
    ],
)
def test_select_clauses_that_cannot_be_say_which_field(plant: Plant, selected: Any, status: str) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        (one,) = await call.monitor(made, listening(1, event_filter(select=[selected, selected])))
        assert one.StatusCode.name == "BadEventFilterInvalid"
        assert [result.name for result in one.FilterResult.SelectClauseResults] == [status, status]
        # With one that can be, events are told (7.22.3).
        (one,) = await call.monitor(made, listening(1, event_filter(select=[selected, field("Severity"), selected])))
        assert one.StatusCode.name == "Good"
        assert [result.name for result in one.FilterResult.SelectClauseResults] == [status, "Good", status]
        plant.emit(321, "hello")
        assert await call.gather(1) == [(1, [None, 321, None], 0)]

    run(plant, act)


def test_events_are_monitored_only_where_they_are_emitted_and_with_a_filter(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        results = await call.monitor(
            made, monitored(SERVER, attribute=12), monitored("Conformance", attribute=12, wanted=event_filter()),
            monitored("Double", attribute=12, wanted=event_filter()), listening(1, event_filter(select=[])),
        )  # fmt: skip
        assert [one.StatusCode.name for one in results] == [
            "BadEventFilterInvalid", "BadNotSupported", "BadAttributeIdInvalid", "BadEventFilterInvalid",
        ]  # fmt: skip

    run(plant, act)


@pytest.mark.parametrize("discard_oldest", [True, False])
def test_lost_events_leave_an_event_that_says_so(plant: Plant, discard_oldest: bool) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        wanted = event_filter((O.GreaterThan, [SEVERITY, literal(900)]), select=[MESSAGE, TYPE, field("Time")])
        (one,) = await call.monitor(made, listening(1, wanted, 2, discard_oldest, mode=1))
        assert one.RevisedQueueSize == 2
        for number in range(4):
            plant.emit(901, str(number))
        await call(
            "SetMonitoringMode", SubscriptionId=made.SubscriptionId, MonitoringMode=2, MonitoredItemIds=[one.MonitoredItemId]
        )
        found = [fields for _handle, fields, _status in await call.gather(3)]
        lost = next(fields for fields in found if fields[1] == OVERFLOW_EVENT)
        assert lost[2] is not None
        kept = [fields[0].Text for fields in found if fields is not lost]
        if discard_oldest:
            assert found[0] is lost
            assert kept == ["2", "3"]
        else:
            assert found[-1] is lost
            assert kept == ["0", "3"]
        plant.emit(902, "later")
        assert [fields[0].Text for _handle, fields, _status in await call.gather(1)] == ["later"]

    run(plant, act)


def test_an_event_queue_has_the_size_the_server_gives_where_none_is_asked_for(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        zero, one, two = await call.monitor(made, *[listening(size, event_filter(), size) for size in range(3)])
        assert (zero.RevisedQueueSize, one.RevisedQueueSize, two.RevisedQueueSize) == (1000, 1000, 2)

    run(plant, act)
