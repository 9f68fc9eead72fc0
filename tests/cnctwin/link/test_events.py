"""Events of conditions as alarms of machines: what is news, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua

from cnctwin.link import events
from cnctwin.link.contract import LinkAlarm, LinkCondition
from cnctwin.link.events import MOST_TEXT, Alarms
from nodesets.namespaces import URI

MACHINE = ua.NodeId("Mill", 3)


class Namespaces:
    """All that is asked of a client here."""

    uaclient: Any

    def __init__(self) -> None:
        self.uaclient = self

    async def read_attributes(self, _nodes: Any, _attribute: Any) -> Any:
        return [ua.DataValue(ua.Variant(["http://opcfoundation.org/UA/", URI["MT"]]))]


def changed(*types: ua.NodeId) -> dict[str, Any]:
    """The event of a server to which nodes of these types were added."""
    rows = [ua.ModelChangeStructureDataType(ua.NodeId(f"Mill.{n}", 3), kind, ua.Byte(1)) for n, kind in enumerate(types)]
    return {"EventType": ua.NodeId(ua.ObjectIds.GeneralModelChangeEventType), "Changes": rows or None}


@pytest.mark.parametrize(
    ("types", "is_bound_anew"),
    [
        ((), True),  # it does not say what
        ((ua.NodeId(13, 1),), True),  # a machine tool
        ((ua.NodeId(29, 1),), False),  # a production job
        ((ua.NodeId(ua.ObjectIds.FileType), ua.NodeId(37, 1)), False),
        ((ua.NodeId(37, 1), ua.NodeId(ua.ObjectIds.BaseDataVariableType)), True),
    ],
)
def test_what_comes_and_goes_without_signals_below_it_is_no_reason_to_bind_anew(
    types: tuple[ua.NodeId, ...], is_bound_anew: bool
) -> None:
    bound: list[None] = []
    told(changed(*types), model_changed=lambda: bound.append(None))
    assert bool(bound) is is_bound_anew


@pytest.mark.parametrize(("kind", "is_bound_anew"), [(ua.NodeId(29, 1), False), (ua.NodeId(13, 1), True), (None, True)])
def test_what_a_list_tells_beside_a_node_that_came_is_about_that_node(kind: ua.NodeId | None, is_bound_anew: bool) -> None:
    event = changed(*([kind] if kind is not None else []))
    of_list = ua.ModelChangeStructureDataType(ua.NodeId("Mill", 3), ua.NodeId(ua.ObjectIds.FolderType), ua.Byte(4))
    event["Changes"] = [of_list, *(event["Changes"] or [])]
    bound: list[None] = []
    told(event, model_changed=lambda: bound.append(None))
    assert bool(bound) is is_bound_anew


def handed(*events: dict[str, Any]) -> list[LinkAlarm]:
    return told(*events)[0]


def told(
    *events: dict[str, Any], model_changed: Callable[[], None] = lambda: None
) -> tuple[list[LinkAlarm], list[LinkCondition], int]:
    """What is news, what is said of conditions, and how often a refresh was asked for."""
    found: list[LinkAlarm] = []
    conditions: list[LinkCondition] = []
    asked: list[None] = []

    async def refreshed() -> None:
        asked.append(None)

    client: Any = Namespaces()
    alarms = Alarms(client, {MACHINE: "Mill"}, ("Mill",), found.append, model_changed, conditions.append, refreshed)

    async def receive() -> None:
        wanted = await alarms.event_filter()
        names = ["/".join(part.Name for part in operand.BrowsePath) or "ConditionId" for operand in wanted.SelectClauses]
        for event in events:
            given = {"SourceNode": MACHINE, "Severity": 500, "Message": ua.LocalizedText("hot", "en"), **event}
            await alarms.receive([ua.Variant(given.get(name)) for name in names])

    asyncio.run(receive())
    return found, conditions, len(asked)


def condition(active: bool, **more: Any) -> dict[str, Any]:
    return {"ConditionName": "SpindleTemperature", "ActiveState/Id": active, "BranchId": ua.NodeId(), **more}


def test_a_condition_without_a_code_goes_by_its_name() -> None:
    (alarm,) = handed(condition(True))
    assert (alarm.machine_id, alarm.code, alarm.text, alarm.active) == ("Mill", "SpindleTemperature", "hot", True)
    (alarm,) = handed(condition(True, ErrorCode="PS0020"))
    assert alarm.code == "PS0020"


def test_acknowledging_is_no_news_and_becoming_worse_is() -> None:
    found = handed(condition(True), condition(True), condition(True, Severity=800), condition(False), condition(False))
    assert [(alarm.active, alarm.severity) for alarm in found] == [(True, 500), (True, 800), (False, 500)]


def test_earlier_states_of_a_condition_do_not_end_the_present_one() -> None:
    branch = ua.NodeId("SpindleTemperature#1", 3)
    assert [alarm.active for alarm in handed(condition(True), condition(False, BranchId=branch))] == [True]


def test_what_is_put_aside_from_the_beginning_is_no_alarm_until_it_is_so_no_longer() -> None:
    aside = {"SuppressedOrShelved": True, "SuppressedState": ua.LocalizedText("Suppressed: EX1000", "en")}
    assert handed(condition(True, **aside), condition(False, **aside)) == []
    assert [alarm.active for alarm in handed(condition(True, **aside), condition(True), condition(False, **aside))] == [True, False]
    _, (known,), _ = told(retained(b"1", **aside))
    assert (known.put_aside, known.aside_because) == (True, "EX1000")
    _, (foreign,), _ = told(retained(b"1", SuppressedOrShelved=True, SuppressedState=ua.LocalizedText("Suppressed", "en")))
    assert (foreign.put_aside, foreign.aside_because) == (True, "")


def test_every_message_is_news() -> None:
    assert len(handed({}, {}, {})) == 3


AT = [datetime(2026, 11, 26, 3, 0, second, tzinfo=UTC) for second in range(10)]
START, END, REQUIRED = ({"EventType": ua.NodeId(number), "SourceNode": ua.NodeId(ua.ObjectIds.Server)} for number in (
    ua.ObjectIds.RefreshStartEventType, ua.ObjectIds.RefreshEndEventType, ua.ObjectIds.RefreshRequiredEventType))  # fmt: skip
HOT = ua.NodeId("Mill.Hot", 3)


def retained(event_id: bytes, *, acked: bool = False, active: bool = True, retain: bool = True, **more: Any) -> dict[str, Any]:
    state = {"ConditionId": HOT, "EventId": event_id, "Retain": retain, "AckedState/Id": acked, "ConfirmedState/Id": True}
    return condition(active, **state, **more)


def test_a_condition_is_known_while_it_is_retained_and_its_end_is_said_once() -> None:
    news, said, _ = told(
        retained(b"1"),
        retained(b"2", acked=True, Comment=ua.LocalizedText("seen", "en"), ClientUserId="anna", SuppressedOrShelved=True),
        retained(b"3", acked=True, active=False, retain=False),
        retained(b"4", acked=True, active=False, retain=False),
    )
    assert [(one.event_id, one.acknowledged, one.active, one.retain) for one in said] == [
        (b"1", False, True, True), (b"2", True, True, True), (b"2", True, True, False),
    ]  # fmt: skip
    assert {(one.id, one.condition_id, one.name, one.code) for one in said} == {
        (said[0].id, "ns=3;s=Mill.Hot", "SpindleTemperature", "SpindleTemperature")
    }
    assert (said[1].comment, said[1].user, said[1].put_aside, said[1].confirmed) == ("seen", "anna", True, True)
    assert [alarm.active for alarm in news] == [True, False], "what somebody did is no news of the machine"
    assert "EventId" not in news[0].details


def test_an_earlier_state_is_an_entry_of_its_own() -> None:
    branch = retained(b"1", active=False, BranchId=ua.NodeId("Mill.Hot#1", 3))
    _, said, _ = told(branch, retained(b"2"), {**branch, "Retain": False, "EventId": b"3"})
    assert [(one.is_earlier, one.event_id, one.retain) for one in said] == [
        (True, b"1", True), (False, b"2", True), (True, b"1", False),
    ]  # fmt: skip
    assert said[0].id == said[2].id != said[1].id


def test_what_a_refresh_does_not_tell_again_is_over_and_what_it_tells_is_no_news() -> None:
    gone = {"ConditionId": ua.NodeId("Mill.Gone", 3), "ConditionName": "Gone"}
    news, said, _ = told(
        {**retained(b"1"), **gone, "Time": AT[0]},
        {**START, "Time": AT[5]},
        {**retained(b"2"), "Time": AT[1]},  # so since before the refresh
        {**retained(b"3"), "ConditionId": ua.NodeId("Mill.New", 3), "ConditionName": "New", "Time": AT[6]},  # raised meanwhile
        {**END, "Time": AT[7]},
    )
    assert [(one.name, one.retain) for one in said] == [
        ("Gone", True), ("SpindleTemperature", True), ("New", True), ("Gone", False),
    ]  # fmt: skip
    assert [alarm.code for alarm in news] == ["Gone", "New"]


def test_a_server_that_lost_events_is_asked_for_a_refresh() -> None:
    assert told(REQUIRED, condition(True))[2] == 1


def test_what_is_no_condition_or_has_no_such_states_is_not_kept() -> None:
    nothing = {"ConditionId": None, "EventId": b"1", "Retain": True}
    assert (
        told({}, condition(True), condition(True, **nothing), condition(True, ConditionId=ua.NodeId(), EventId=b"1", Retain=True))[
            1
        ]
        == []
    )
    simple = {"ConditionId": HOT, "EventId": b"1", "Retain": True}
    (one,) = told(condition(True, **simple))[1]
    assert (one.acknowledged, one.confirmed) == (True, None)


def test_sources_of_events_without_end_are_not_all_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_MOST_CONDITIONS", 10)

    class Below(Namespaces):
        async def browse(self, _parameters: Any) -> Any:
            return [ua.BrowseResult(References=[ua.ReferenceDescription(NodeId=ua.ExpandedNodeId("Mill", 3))])]

    client: Any = Below()
    found: list[LinkAlarm] = []
    alarms = Alarms(client, {MACHINE: "Mill"}, ("Mill",), found.append, lambda: None, lambda _: None, lambda: asyncio.sleep(0))

    async def receive() -> None:
        for number in range(50):
            assert await alarms._machine_of(ua.NodeId(f"Mill.{number}", 3), None) == "Mill"

    asyncio.run(receive())
    assert len(alarms._machines) <= 12


def test_what_is_kept_of_an_event_is_no_longer_than_it_may_be_and_says_that_it_was_cut() -> None:
    megabyte = "x" * (1 << 20)
    long = {"Message": ua.LocalizedText(megabyte), "Comment": ua.LocalizedText(megabyte), "ClientUserId": megabyte}
    kept = {"ConditionName": megabyte, "ConditionId": ua.NodeId("c", 3), "EventId": b"1", "Retain": True}
    given = {**condition(True), **long, **kept}
    (alarm,), (shown,), _ = told(given)
    for text in (alarm.text, alarm.code, shown.text, shown.comment, shown.user, shown.name, alarm.details["ConditionName"]):
        assert text == "x" * MOST_TEXT + "... (cut: 1048576 characters)"
    assert len(repr(alarm)) + len(repr(shown)) < 10 * MOST_TEXT


def test_an_event_whose_names_are_megabytes_is_told_without_them() -> None:
    megabyte = b"x" * (1 << 20)
    given = {"SourceNode": ua.NodeId(megabyte, 3), "ConditionId": ua.NodeId(megabyte, 3), "EventId": megabyte, "Retain": True}
    (alarm,), shown, _ = told({**condition(True), **given})
    assert (alarm.machine_id, alarm.text, shown) == ("Mill", "hot", [])
