"""Why something was refused, in words, for who asks: DiagnosticInfos of services and of operations (OPC 10000-4, 7.12 and 7.34)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import nodeid_from_binary, struct_from_binary

from cnctwin.wire import encode
from opcua_server.engine.plans import Plan
from opcua_server.engine.reasons import MOST, NOT_ASKED, Reasons
from opcua_server.engine.values import failed
from tests.opcua_server.engine.conformance.past import FIVE, at, value_id
from tests.opcua_server.engine.conformance.plant import Caller, Plant, V, calling, item, monitored, node, run
from tests.opcua_server.engine.conformance.test_history import processed, raw

NO_NODE = "There is no such node"
NO_ITEM = "The subscription has no such monitored item"
NO_SUBSCRIPTION = "The session has no such subscription"


async def answered(call: Caller, service: str, **parameters: Any) -> tuple[Any, bytes]:
    """A response, a ServiceFault too, and its bytes from the ServiceResult on."""
    request = getattr(ua, f"{service}Request")()
    request.RequestHeader.ReturnDiagnostics = parameters.pop("diagnostics", 0)
    for name, value in parameters.items():
        setattr(request if name in request.__dataclass_fields__ else request.Parameters, name, value)
    data = await asyncio.wait_for(call.client.uaclient.protocol._send_request(request, 20), 20)
    encoded = bytes(data._data[data._cur_pos : data._cur_pos + data._size])
    is_fault = nodeid_from_binary(data.copy()).Identifier == ua.ObjectIds.ServiceFault_Encoding_DefaultBinary
    return struct_from_binary(ua.ServiceFault if is_fault else getattr(ua, f"{service}Response"), data), encoded[16:]


def said(info: Any, strings: list[str]) -> Any:
    """(locale, text) of a DiagnosticInfo, or its AdditionalInfo, or None."""
    if info is None or info.LocalizedText is None:
        return info.AdditionalInfo if info is not None else None
    return strings[info.Locale], strings[info.LocalizedText]


def told(response: Any) -> Any:
    """What follows the header of a response, wherever asyncua puts it."""
    return response if hasattr(response, "DiagnosticInfos") else response.Parameters


def described(name: str, direction: int = 0) -> ua.BrowseDescription:
    return ua.BrowseDescription(
        NodeId=node(name), BrowseDirection=direction, IncludeSubtypes=True, NodeClassMask=ua.NodeClass(0), ResultMask=63
    )


def path(*names: str) -> ua.BrowsePath:
    elements = [
        ua.RelativePathElement(TargetName=ua.QualifiedName(name, 2), IsInverse=False, IncludeSubtypes=True) for name in names
    ]
    return ua.BrowsePath(node("Conformance"), ua.RelativePath(elements))


def written(name: str, value: Any, kind: Any = V.Double) -> ua.WriteValue:
    return ua.WriteValue(node(name), ua.AttributeIds.Value, None, ua.DataValue(ua.Variant(value, kind)))


BOTH = ua.TimestampsToReturn.Both
CASES: dict[str, tuple[dict[str, Any], list[str | None]]] = {
    "Read": (
        {"NodesToRead": [item("Double"), item("none"), item("Double", 99), item("Array", index_range="x"),
                         item("Double", ua.AttributeIds.UserAccessLevel), item("Hidden"), item("Array", index_range="99")],
         "TimestampsToReturn": BOTH},
        [None, NO_NODE, "The node has no such attribute", "The IndexRange cannot be read", None, "It is not there to be read",
         "There is nothing in the range"],
    ),
    "Write": (
        {"NodesToWrite": [written("Double", 1.0), written("Double", "1", V.String), written("Fixed", 1.0), written("none", 1.0),
                          written("Double", float("nan")), written("Open", 1.0)]},
        [None, "The variable is Double, the value String", "It is read only", NO_NODE,
         "The value is too long, too large, or no finite number", "Your role may not do this"],
    ),
    "Browse": (
        {"NodesToBrowse": [described("Many"), described("none"), described("Many", 7)]},
        [None, NO_NODE, "The direction is forward, inverse or both"],
    ),
    "BrowseNext": (
        {"ContinuationPoints": [b"x"]},
        ["There is no such continuation point: released, pushed out by later ones, or of another session"],
    ),
    "TranslateBrowsePathsToNodeIds": (
        {"BrowsePaths": [path("Double"), path("Many", "lost"), path("")]},
        [None, "2:lost is not there", "Each element of a path needs the name of its target"],
    ),
    "HistoryRead": (
        {"HistoryReadDetails": raw(FIVE, at(9)), "TimestampsToReturn": BOTH, "ReleaseContinuationPoints": False,
         "NodesToRead": [value_id(node(name)) for name in ("Past", "Double", "none")]},
        [None, "There is no such history of this node", NO_NODE],
    ),
    "DeleteSubscriptions": ({"SubscriptionIds": [987_654]}, [NO_SUBSCRIPTION]),
    "SetPublishingMode": ({"SubscriptionIds": [987_654], "PublishingEnabled": True}, [NO_SUBSCRIPTION]),
    "TransferSubscriptions": ({"SubscriptionIds": [987_654], "SendInitialValues": False}, [NO_SUBSCRIPTION]),
}  # fmt: skip


@pytest.mark.parametrize("service", CASES)
def test_who_asks_is_told_why_operations_were_refused(plant: Plant, service: str) -> None:
    parameters, reasons = CASES[service]

    async def act(call: Caller) -> None:
        plain, plain_bytes = await answered(call, service, **parameters)
        assert not told(plain).DiagnosticInfos
        assert not plain.ResponseHeader.StringTable
        for asked in (0x1F, 0x3FF, 0x40, 0x80):
            done, encoded = await answered(call, service, diagnostics=asked, **parameters)
            strings = done.ResponseHeader.StringTable or []
            found = [said(info, strings) for info in told(done).DiagnosticInfos or []]
            if asked & 0x40:
                assert found == [("en", reason) if reason is not None else None for reason in reasons]
                assert sorted(strings) == sorted({"en", *filter(None, reasons)}), "each once"
            elif asked & 0x80:
                assert (found, strings) == (reasons, [])
            else:
                assert (encoded, found, strings) == (plain_bytes, [], []), "as if nothing was asked"

    run(plant, act)


def test_a_node_that_is_asked_for_many_times_is_worked_out_once_and_told_of_each_time(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        many = [item("Array", index_range="99"), item("Hidden"), item("none"), item("Double")] * 100
        done, _ = await answered(call, "Read", diagnostics=0x40, NodesToRead=many, TimestampsToReturn=BOTH)
        strings = done.ResponseHeader.StringTable
        found = [said(info, strings) for info in done.DiagnosticInfos]
        assert found == [("en", "There is nothing in the range"), ("en", "It is not there to be read"), ("en", NO_NODE), None] * 100
        assert len(strings) == 4

    run(plant, act)
    worked_out = []
    plan = Plan(b"", 3)
    for _ in range(5):
        plan.add_special((item("Double"), "one slot", None))
    plan.close()
    reasons = Reasons(0x40)

    def work_out(place: int, _planned: Any) -> Any:
        worked_out.append(place)
        reasons.note(place, ua.StatusCodes.BadNotReadable)
        return failed(ua.StatusCodes.BadNotReadable)

    body = reasons.whole(plan.body(work_out, reasons.same, 1_000))
    assert worked_out == [0]
    assert body.endswith(b"\x05\0\0\0" + 5 * encode(ua.DiagnosticInfo(Locale=0, LocalizedText=1)))


def test_who_asks_is_told_why_monitored_items_were_refused(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe()
        on = {"SubscriptionId": made.SubscriptionId, "diagnostics": 0x80}

        async def infos(service: str, field: str = "DiagnosticInfos", **parameters: Any) -> list[str | None]:
            done, _ = await answered(call, service, **on, **parameters)
            return [said(info, []) for info in getattr(getattr(done, "Parameters", done), field) or []]

        deadband = ua.uaprotocol_auto.DataChangeFilter(ua.DataChangeTrigger.StatusValue, 2, 10.0)
        wanted = [monitored("Double"), monitored("none"), monitored("Double", wanted=deadband), monitored("Text", wanted=deadband)]
        assert await infos("CreateMonitoredItems", TimestampsToReturn=BOTH, ItemsToCreate=wanted) == [
            None, NO_NODE, "Monitored items have no aggregates, and percent deadbands only where there is an EURange",
            "This filter is not for this attribute or this type of value",
        ]  # fmt: skip
        change = ua.MonitoredItemModifyRequest(987_654, ua.MonitoringParameters())
        assert await infos("ModifyMonitoredItems", TimestampsToReturn=BOTH, ItemsToModify=[change]) == [NO_ITEM]
        assert await infos("SetMonitoringMode", MonitoringMode=2, MonitoredItemIds=[1, 987_654]) == [None, NO_ITEM]
        links = {"TriggeringItemId": 1, "LinksToAdd": [1, 987_654], "LinksToRemove": [987_653]}
        assert await infos("SetTriggering", "AddDiagnosticInfos", **links) == [None, NO_ITEM]
        assert await infos("SetTriggering", "RemoveDiagnosticInfos", **links) == [NO_ITEM]
        assert await infos("DeleteMonitoredItems", MonitoredItemIds=[1, 987_654]) == [None, NO_ITEM]

    run(plant, act)


def test_who_asks_is_told_why_a_message_could_not_be_acknowledged(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        made = await call.subscribe(RequestedMaxKeepAliveCount=1)
        await call.monitor(made, monitored("Double"))
        first = await call.publish()
        number, sequence = made.SubscriptionId, first.NotificationMessage.SequenceNumber

        async def said_of(*acks: tuple[int, int], asked: int = 0x40) -> tuple[list[Any], list[str]]:
            given = [ua.SubscriptionAcknowledgement(*one) for one in acks]
            plant.show("Double", 2.5, 1.5)
            done, _ = await answered(call, "Publish", diagnostics=asked, SubscriptionAcknowledgements=given)
            strings = done.ResponseHeader.StringTable or []
            found = told(done)
            return [said(info, strings) for info in found.DiagnosticInfos or []], [one.name for one in found.Results]

        no_message = ("en", "There is no such message to acknowledge")
        assert await said_of((number, 987_654)) == ([no_message], ["BadSequenceNumberUnknown"])
        assert await said_of((number, sequence), (987_654, 1)) == (
            [None, ("en", NO_SUBSCRIPTION)], ["Good", "BadSubscriptionIdInvalid"],
        )  # fmt: skip
        assert await said_of((number, 987_654), asked=0) == ([], ["BadSequenceNumberUnknown"])
        assert await said_of((number, 987_654), asked=0x80) == ([no_message[1]], ["BadSequenceNumberUnknown"])

    run(plant, act)


def test_who_asks_is_told_why_the_history_is_not_worked_out_or_changed(plant: Plant) -> None:
    async def act(call: Caller) -> None:
        async def infos(service: str, **parameters: Any) -> list[Any]:
            done, _ = await answered(call, service, diagnostics=0x80, **parameters)
            outer = [said(info, []) for info in told(done).DiagnosticInfos or []]
            inner = [[said(one, []) for one in getattr(result, "DiagnosticInfos", None) or []] for result in told(done).Results]
            return [outer, inner]

        details = processed(FIVE, at(9), 0, "Average")
        asked = {"HistoryReadDetails": details, "TimestampsToReturn": BOTH, "ReleaseContinuationPoints": False}
        asked["NodesToRead"] = [value_id(node("Sayings"))]
        assert (await infos("HistoryRead", **asked))[0] == ["There is no Average of values of type String"]
        values = [ua.DataValue(ua.Variant(1.0, V.Double), SourceTimestamp=at(minute)) for minute in (7, 8)]  # nothing changes
        change = ua.UpdateDataDetails(NodeId=node("Edited"), PerformInsertReplace=ua.PerformUpdateType.Replace, UpdateValues=values)
        elsewhere = ua.UpdateDataDetails(
            NodeId=node("none"), PerformInsertReplace=ua.PerformUpdateType.Replace, UpdateValues=values
        )
        outer, inner = await infos("HistoryUpdate", HistoryUpdateDetails=[change, elsewhere])
        assert (outer, inner) == ([None, NO_NODE], [["There is no entry at that time"] * 2, []])

    run(plant, act, "Engineer")


def test_who_asks_is_told_why_a_request_as_a_whole_was_refused(plant: Plant) -> None:
    nothing = "The request is empty"
    many = {"NodesToRead": [item("Double")] * 501, "TimestampsToReturn": BOTH}
    cases: list[tuple[str, dict[str, Any], str]] = [
        ("Read", {"TimestampsToReturn": BOTH}, nothing),
        ("Read", many, "501 nodes are more than 500"),
        ("Browse", {"NodesToBrowse": [described("Many")] * 301}, "301 are more than 300"),
        ("CreateMonitoredItems", {"SubscriptionId": 987_654, "TimestampsToReturn": BOTH}, NO_SUBSCRIPTION),
        ("HistoryRead", {"HistoryReadDetails": raw(FIVE, at(1)), "TimestampsToReturn": BOTH}, nothing),
        ("QueryNext", {}, "This server does not have this service"),
    ]

    async def act(call: Caller) -> None:
        for service, parameters, reason in cases:
            plain, plain_bytes = await answered(call, service, **parameters)
            for asked, expected in ((0x02, ("en", reason)), (0x04, reason), (0x3FF, ("en", reason)), (0x3E0, None)):
                refused, encoded = await answered(call, service, diagnostics=asked, **parameters)
                header = refused.ResponseHeader
                assert header.ServiceResult.value == plain.ResponseHeader.ServiceResult.value
                assert said(header.ServiceDiagnostics, header.StringTable or []) == expected
                assert expected is not None or encoded == plain_bytes

    run(plant, act)


def test_a_reason_is_cut_at_the_length_that_a_text_may_have_and_who_does_not_ask_costs_nothing() -> None:
    reasons = Reasons(0x40)
    reasons.note(0, ua.StatusCodes.BadNotWritable, "x" * 1000)
    body = reasons.whole(b"\x01\0\0\0" + b"....." + b"\0\0\0\0")
    assert b"x" * MOST in reasons.in_header()
    assert b"x" * (MOST + 1) not in reasons.in_header()
    assert body[:9] == b"\x01\0\0\0" + b"....."
    NOT_ASKED.note(0, ua.StatusCodes.BadNotWritable, "why")
    assert (NOT_ASKED.whole(b"...."), NOT_ASKED.in_header()) == (b"....", b"")


def test_nobody_is_told_why_a_login_failed(plant: Plant) -> None:
    """Of security no DiagnosticInfo says anything (7.12)."""

    async def main() -> None:
        async with calling(plant) as call:
            wrong = ua.ActivateSessionParameters(UserIdentityToken=ua.X509IdentityToken(PolicyId="none", CertificateData=b"x"))
            refused, _ = await answered(call, "ActivateSession", diagnostics=0x3FF, Parameters=wrong)
            assert refused.ResponseHeader.ServiceResult.is_bad()
            assert said(refused.ResponseHeader.ServiceDiagnostics, []) is None
            assert not refused.ResponseHeader.StringTable

    asyncio.run(main())
