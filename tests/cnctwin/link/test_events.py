"""Events of conditions as alarms of machines: what is news, and what is not."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncua import ua

from cnctwin.link.contract import LinkAlarm
from cnctwin.link.events import Alarms
from nodesets.namespaces import URI

MACHINE = ua.NodeId("Mill", 3)


class Namespaces:
    """All that is asked of a client here."""

    uaclient: Any

    def __init__(self) -> None:
        self.uaclient = self

    async def read_attributes(self, _nodes: Any, _attribute: Any) -> Any:
        return [ua.DataValue(ua.Variant(["http://opcfoundation.org/UA/", URI["MT"]]))]


def handed(*events: dict[str, Any]) -> list[LinkAlarm]:
    found: list[LinkAlarm] = []
    client: Any = Namespaces()
    alarms = Alarms(client, {MACHINE: "Mill"}, ("Mill",), found.append, lambda: None)

    async def receive() -> None:
        wanted = await alarms.event_filter()
        names = ["/".join(part.Name for part in operand.BrowsePath) for operand in wanted.SelectClauses]
        for event in events:
            given = {"SourceNode": MACHINE, "Severity": 500, "Message": ua.LocalizedText("hot", "en"), **event}
            await alarms.receive([ua.Variant(given.get(name)) for name in names])

    asyncio.run(receive())
    return found


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


def test_every_message_is_news() -> None:
    assert len(handed({}, {}, {})) == 3
