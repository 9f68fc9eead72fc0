"""The same services by node-opcua's client, with its own encoders and decoders."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.harness import wait_for
from tests.opcua_server.engine.conformance.foreign import NodeOpcua, node_opcua
from tests.opcua_server.engine.conformance.past import FIVE, NOON
from tests.opcua_server.engine.conformance.past import at as at_minute
from tests.opcua_server.engine.conformance.plant import MANY, Plant


@pytest.fixture(scope="module")
def node(plant: Plant, modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeOpcua]:
    with node_opcua(plant.url, modules, tmp_path_factory.mktemp("node-opcua")) as started:
        yield started


def at(name: str) -> str:
    return f"ns=2;s={name}"


def statuses(results: list[Any]) -> list[str]:
    return [one if isinstance(one, str) else one["statusCode"] for one in results]


# Attributes ----------------------------------------------------------------------------------------------------------


def read_id(name: str, attribute: int = 13, index_range: str | None = None, encoding: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"nodeId": name if name.startswith("i=") else at(name), "attributeId": attribute}
    if index_range:
        found["indexRange"] = {"$range": index_range}
    if encoding:
        found["dataEncoding"] = {"namespaceIndex": 0, "name": encoding}
    return found


def read(node: NodeOpcua, *items: dict[str, Any], **more: Any) -> Any:
    given = {"maxAge": 0, "timestampsToReturn": 2, "nodesToRead": list(items), **more}
    answer = node.ask("Read", **given)
    return answer if isinstance(answer, str) else answer["results"]


def test_read(node: NodeOpcua) -> None:
    results = read(
        node, read_id("Double"), read_id("nothing"), read_id("i=0"), read_id("Conformance"), read_id("Hidden"),
        read_id("Array", index_range="2:4"), read_id("Array", index_range="10"), read_id("Text", index_range="1:3"),
        read_id("Bytes", index_range="0:1"), read_id("Matrix", index_range="0:1,1:2"),
        read_id("Structure", encoding="Default Binary"), read_id("Structure", encoding="Default XML"),
        read_id("Double", encoding="Default Binary"), read_id("Double", 3), read_id("Double", 23),
    )  # fmt: skip
    assert statuses(results) == [
        "Good", "BadNodeIdUnknown", "BadNodeIdUnknown", "BadAttributeIdInvalid", "BadNotReadable", "Good", "BadIndexRangeNoData",
        "Good", "Good", "Good", "Good", "BadDataEncodingUnsupported", "BadDataEncodingInvalid", "Good", "BadAttributeIdInvalid",
    ]  # fmt: skip
    assert results[5]["value"]["value"] == [2, 3, 4]
    assert results[7]["value"]["value"] == "bcd"
    assert results[8]["value"]["value"] == "01"
    assert results[9]["value"] == {"dataType": "Int32", "value": [1, 2, 11, 12], "dimensions": [2, 2]}
    assert results[10]["value"]["value"] == {"low": 0, "high": 10}
    assert results[13]["value"]["value"] == {"namespaceIndex": 2, "name": "Double"}
    for timestamps, fields in enumerate(({"sourceTimestamp"}, {"serverTimestamp"}, {"sourceTimestamp", "serverTimestamp"}, set())):
        (value,) = read(node, read_id("Double"), timestampsToReturn=timestamps)
        assert {name for name in ("sourceTimestamp", "serverTimestamp") if value[name] is not None} == fields
    assert read(node) == "BadNothingToDo"
    assert read(node, read_id("Double"), maxAge=-1) == "BadMaxAgeInvalid"
    assert read(node, *[read_id("Double")] * 501) == "BadTooManyOperations"


def write(node: NodeOpcua, name: str, kind: str, value: Any, index_range: str | None = None, session: str = "", **data: Any) -> str:
    variant = {"dataType": kind, "value": value}
    if isinstance(value, list):
        variant["arrayType"] = "Array"
    one = {**read_id(name, index_range=index_range), "value": {"value": variant, **data}}
    answer = node.ask("Write", session, nodesToWrite=[one])
    return answer if isinstance(answer, str) else answer["results"][0]


def test_write(node: NodeOpcua, plant: Plant) -> None:
    try:
        assert write(node, "Double", "Double", 2.5) == "Good"
        assert read(node, read_id("Double"))[0]["value"]["value"] == 2.5
        assert write(node, "Array", "Double", [7, 8], "1:2") == "Good"
        assert read(node, read_id("Array"))[0]["value"]["value"] == [0, 7, 8, 3, 4, 5, 6, 7, 8, 9]
        assert write(node, "Text", "String", "XYZ", "1:3") == "Good"
        assert read(node, read_id("Text"))[0]["value"]["value"] == "aXYZefgh"
        assert write(node, "Array", "Double", [7], "1:2") == "BadIndexRangeDataMismatch"
        assert write(node, "Array", "Double", [7], "10") == "BadIndexRangeNoData"
        assert write(node, "Double", "Int32", 2) == "BadTypeMismatch"
        assert write(node, "Double", "Double", [2.0]) == "BadTypeMismatch"
        assert write(node, "Fixed", "Double", 2.0) == "BadNotWritable"
        assert write(node, "Open", "Double", 2.0) == "BadUserAccessDenied"
        assert write(node, "nothing", "Double", 2.0) == "BadNodeIdUnknown"
        assert write(node, "Double", "Double", 2.0, session="Viewer") == "BadUserAccessDenied"
        assert node.ask("Write", nodesToWrite=[]) == "BadNothingToDo"
    finally:
        plant.reset("Double", "Array", "Text")


# View ----------------------------------------------------------------------------------------------------------------


def browse(node: NodeOpcua, *asked: dict[str, Any], limit: int = 0) -> Any:
    given = [
        {"browseDirection": 0, "referenceTypeId": "i=33", "includeSubtypes": True, "nodeClassMask": 0, "resultMask": 63, **one}
        for one in asked
    ]
    answer = node.ask("Browse", requestedMaxReferencesPerNode=limit, nodesToBrowse=given)
    return answer if isinstance(answer, str) else answer["results"]


def point(page: dict[str, Any]) -> dict[str, str]:
    """A continuation point as it came; latin-1 bytes travel as text."""
    return {"$latin": page["continuationPoint"]}


def test_browse_and_browse_next(node: NodeOpcua) -> None:
    forward, inverse, components, unknown, no_type, named = browse(
        node, {"nodeId": at("Conformance")}, {"nodeId": at("Conformance"), "browseDirection": 1},
        {"nodeId": at("Conformance"), "nodeClassMask": 4}, {"nodeId": at("nothing")},
        {"nodeId": at("Conformance"), "referenceTypeId": "i=85"},
        {"nodeId": at("Analog"), "referenceTypeId": "i=46", "resultMask": 8},
    )  # fmt: skip
    assert {"Double", "Many", "Hold"} <= {one["browseName"]["name"] for one in forward["references"]}
    assert [one["browseName"]["name"] for one in inverse["references"]] == ["Objects"]
    assert {one["nodeClass"] for one in components["references"]} == {4}
    assert statuses([unknown, no_type]) == ["BadNodeIdUnknown", "BadReferenceTypeIdInvalid"]
    assert [(one["browseName"]["name"], one["displayName"]["text"]) for one in named["references"]] == [("EURange", None)]
    (page,) = browse(node, {"nodeId": at("Many")}, limit=100)
    found = [one["browseName"]["name"] for one in page["references"]]
    while page["continuationPoint"]:
        last = point(page)
        (page,) = node.ask("BrowseNext", releaseContinuationPoints=False, continuationPoints=[last])["results"]
        found += [one["browseName"]["name"] for one in page["references"]]
    assert len(found) == len(set(found)) == MANY
    for release in (False, True):
        (gone,) = node.ask("BrowseNext", releaseContinuationPoints=release, continuationPoints=[last])["results"]
        assert gone["statusCode"] == "BadContinuationPointInvalid"
    pages = browse(node, *[{"nodeId": at("Many")}] * 5, limit=1)
    assert statuses(pages) == ["Good"] * 4 + ["BadNoContinuationPoints"]
    released = node.ask("BrowseNext", releaseContinuationPoints=True, continuationPoints=[point(page) for page in pages[:4]])
    assert statuses(released["results"]) == ["Good"] * 4
    assert browse(node) == "BadNothingToDo"


def test_translate_and_register(node: NodeOpcua) -> None:
    def path(start: str, *names: str, inverse: bool = False) -> dict[str, Any]:
        steps = [
            {
                "referenceTypeId": "i=33", "isInverse": inverse, "includeSubtypes": True,
                "targetName": {"namespaceIndex": 2, "name": name},
            }
            for name in names
        ]  # fmt: skip
        return {"startingNode": at(start), "relativePath": {"elements": steps}}

    answer = node.ask(
        "TranslateBrowsePathsToNodeIds",
        browsePaths=[
            path("Conformance", "Double"), path("Double", "Conformance", inverse=True), path("Conformance", "Twins", "Twin"),
            path("Conformance", "nothing"), path("Conformance"), path("nothing", "Double"),
        ],
    )  # fmt: skip
    results = answer["results"]
    assert statuses(results) == ["Good", "Good", "Good", "BadNoMatch", "BadNothingToDo", "BadNodeIdUnknown"]
    targets = [[target["targetId"] for target in one["targets"]] for one in results[:3]]
    assert targets == [[at("Double")], [at("Conformance")], [at("Twin0"), at("Twin1")]]
    registered = node.ask("RegisterNodes", nodesToRegister=[at("Double"), at("Count")])["registeredNodeIds"]
    assert (
        statuses(node.ask("Read", nodesToRead=[{"nodeId": one, "attributeId": 13} for one in registered])["results"])
        == ["Good"] * 2
    )
    assert isinstance(node.ask("UnregisterNodes", nodesToUnregister=registered), dict)


# Methods -------------------------------------------------------------------------------------------------------------


def test_call(node: NodeOpcua) -> None:
    def call(method: str, *arguments: tuple[str, Any], on: str = "Conformance", session: str = "Engineer") -> Any:
        given = [{"dataType": kind, "value": value} for kind, value in arguments]
        one = {"objectId": at(on), "methodId": at(method), "inputArguments": given}
        (result,) = node.ask("Call", session, methodsToCall=[one])["results"]
        return result["statusCode"], result["inputArgumentResults"]

    assert call("SetFeedOverride", ("Double", 80)) == ("Good", [])
    assert call("SetFeedOverride") == ("BadArgumentsMissing", [])
    assert call("SetFeedOverride", ("Double", 80), ("Double", 80)) == ("BadTooManyArguments", [])
    assert call("SetFeedOverride", ("Int32", 80)) == ("BadInvalidArgument", ["BadTypeMismatch"])
    assert call("SetFeedOverride", ("Double", 151)) == ("BadInvalidArgument", ["BadOutOfRange"])
    assert call("SetFeedOverride", ("Double", 80), on="Twins") == ("BadMethodInvalid", [])
    assert call("Double") == ("BadMethodInvalid", [])
    assert call("Hold", session="Viewer") == ("BadUserAccessDenied", [])
    assert node.ask("Call", methodsToCall=[]) == "BadNothingToDo"


def test_why_a_call_was_refused(node: NodeOpcua) -> None:
    given = [{"dataType": "Double", "value": 151}]
    one = {"objectId": at("Conformance"), "methodId": at("SetFeedOverride"), "inputArguments": given}
    header = {"$": "RequestHeader", "returnDiagnostics": 0x3FF}
    done = node.ask("Call", "Engineer", requestHeader=header, methodsToCall=[one])
    strings, (info,) = done["responseHeader"]["stringTable"], done["diagnosticInfos"]
    assert (strings[info["locale"]], strings[info["localizedText"]]) == ("en", "SetFeedOverride: Percent must be 0 to 150")


# Subscriptions -------------------------------------------------------------------------------------------------------


def subscribe(node: NodeOpcua, session: str = "", **more: Any) -> int:
    given = {
        "requestedPublishingInterval": 20, "requestedLifetimeCount": 3000, "requestedMaxKeepAliveCount": 1000,
        "publishingEnabled": True, **more,
    }  # fmt: skip
    return int(node.ask("CreateSubscription", session, **given)["subscriptionId"])


def monitor(node: NodeOpcua, subscription: int, *items: tuple[dict[str, Any], dict[str, Any]], session: str = "") -> Any:
    wanted = [
        {
            "itemToMonitor": target, "monitoringMode": parameters.pop("mode", 2),
            "requestedParameters": {"samplingInterval": 0, "queueSize": 1, "discardOldest": True, **parameters},
        }
        for target, parameters in items
    ]  # fmt: skip
    answer = node.ask("CreateMonitoredItems", session, subscriptionId=subscription, timestampsToReturn=2, itemsToCreate=wanted)
    assert isinstance(answer, dict), answer
    return answer["results"]


def told(answer: Any) -> list[tuple[int, Any, str]]:
    found = []
    for data in answer["notificationMessage"]["notificationData"]:
        for one in data.get("monitoredItems", []):
            found.append((one["clientHandle"], one["value"]["value"]["value"], one["value"]["statusCode"]))
        for event in data.get("events", []):
            found.append((event["clientHandle"], [field["value"] for field in event["eventFields"]], "Good"))
    return found


def gather(node: NodeOpcua, count: int, session: str = "") -> list[tuple[int, Any, str]]:
    found: list[tuple[int, Any, str]] = []
    while len(found) < count:
        found += told(node.ask("Publish", session, subscriptionAcknowledgements=[]))
    return found


def end(node: NodeOpcua, *numbers: int, session: str = "") -> None:
    assert statuses(node.ask("DeleteSubscriptions", session, subscriptionIds=list(numbers))["results"]) == ["Good"] * len(numbers)


def test_subscriptions_are_revised_and_published(node: NodeOpcua) -> None:
    made = node.ask(
        "CreateSubscription", requestedPublishingInterval=-1, requestedLifetimeCount=1, requestedMaxKeepAliveCount=5,
        publishingEnabled=True, maxNotificationsPerPublish=2,
    )  # fmt: skip
    assert (made["revisedPublishingInterval"], made["revisedLifetimeCount"], made["revisedMaxKeepAliveCount"]) == (10, 15, 5)
    number = made["subscriptionId"]
    node.ask("ModifySubscription", subscriptionId=number, requestedPublishingInterval=20, requestedLifetimeCount=3000,
             requestedMaxKeepAliveCount=1, maxNotificationsPerPublish=2)  # fmt: skip
    monitor(node, number, *[(read_id(f"Many{one}"), {"clientHandle": one}) for one in range(5)])
    waiting = [node.send("Publish", {"subscriptionAcknowledgements": []}) for _ in range(3)]
    answers = [node.answer(one) for one in waiting]
    assert [(len(told(one)), one["moreNotifications"]) for one in answers] == [(2, True), (2, True), (1, False)]
    assert answers[2]["availableSequenceNumbers"] == [1, 2, 3]
    acks = [{"subscriptionId": number, "sequenceNumber": one} for one in (1, 1, 99)]
    keep_alive = node.ask("Publish", subscriptionAcknowledgements=[*acks, {"subscriptionId": 987_654, "sequenceNumber": 1}])
    assert told(keep_alive) == []
    assert keep_alive["notificationMessage"]["sequenceNumber"] == 4
    assert keep_alive["results"] == ["Good", "BadSequenceNumberUnknown", "BadSequenceNumberUnknown", "BadSubscriptionIdInvalid"]
    again = node.ask("Republish", subscriptionId=number, retransmitSequenceNumber=2)
    assert again["notificationMessage"] == answers[1]["notificationMessage"]
    assert node.ask("Republish", subscriptionId=number, retransmitSequenceNumber=1) == "BadMessageNotAvailable"
    off = node.ask("SetPublishingMode", publishingEnabled=False, subscriptionIds=[number, 987_654])
    assert off["results"] == ["Good", "BadSubscriptionIdInvalid"]
    end(node, number)
    assert node.ask("Publish", subscriptionAcknowledgements=[]) == "BadNoSubscription"


def test_aggregates_of_monitored_items(node: NodeOpcua, plant: Plant) -> None:
    defaults = {"$": "AggregateConfiguration", "useServerCapabilitiesDefaults": True}

    def asked(number: int, ms: float) -> dict[str, Any]:
        given = {"aggregateType": {"$node": f"i={number}"}, "processingInterval": ms, "aggregateConfiguration": defaults}
        return {"$": "AggregateFilter", "startTime": when(0), **given}

    number = subscribe(node)
    results = monitor(
        node, number,
        (read_id("Count"), {"clientHandle": 1, "queueSize": 20, "filter": asked(2347, 200)}),
        (read_id("Count"), {"clientHandle": 2, "filter": asked(2345, 200)}),
        (read_id("Count"), {"clientHandle": 3, "filter": asked(2342, -1)}),
        (read_id("Text"), {"clientHandle": 4, "filter": asked(2342, 200)}),
    )  # fmt: skip
    assert statuses(results) == ["Good", "BadAggregateNotSupported", "BadMonitoredItemFilterInvalid", "BadAggregateNotSupported"]
    revised = results[0]["filterResult"]
    assert (revised["revisedProcessingInterval"], revised["revisedAggregateConfiguration"]["percentDataGood"]) == (200, 100)
    plant.show("Count", 3, 12, 7)
    seen: list[tuple[int, Any, str]] = []
    while (1, 12) not in [one[:2] for one in seen]:
        seen += gather(node, 1)
    assert {one[0] for one in seen} == {1}
    end(node, number)


def test_items_queue_filter_and_trigger(node: NodeOpcua, plant: Plant) -> None:
    number = subscribe(node, requestedMaxKeepAliveCount=1)
    ten_percent = {"$": "DataChangeFilter", "trigger": 1, "deadbandType": 2, "deadbandValue": 10}
    one_absolute = {"$": "DataChangeFilter", "trigger": 1, "deadbandType": 1, "deadbandValue": 1}
    status_only = {"$": "DataChangeFilter", "trigger": 0, "deadbandType": 0, "deadbandValue": 0}
    try:
        results = monitor(
            node, number,
            (read_id("Count"), {"clientHandle": 1, "queueSize": 3, "mode": 1}),
            (read_id("Count"), {"clientHandle": 2, "queueSize": 3, "discardOldest": False, "mode": 1}),
            (read_id("Analog"), {"clientHandle": 3, "queueSize": 9, "filter": ten_percent}),
            (read_id("Double"), {"clientHandle": 4, "queueSize": 9, "filter": one_absolute}),
            (read_id("Small"), {"clientHandle": 5, "queueSize": 9, "filter": status_only}),
            (read_id("Text"), {"clientHandle": 6, "filter": one_absolute}),
            (read_id("Double"), {"clientHandle": 7, "filter": ten_percent}),
            (read_id("nothing"), {"clientHandle": 8}),
            (read_id("Array", index_range="1:2"), {"clientHandle": 9, "queueSize": 4}),
        )  # fmt: skip
        assert statuses(results) == [
            *["Good"] * 5, "BadFilterNotAllowed", "BadMonitoredItemFilterUnsupported", "BadNodeIdUnknown", "Good",
        ]  # fmt: skip
        assert sorted(handle for handle, _value, _status in gather(node, 4)) == [3, 4, 5, 9]
        plant.show("Count", 1, 2, 3, 4)
        plant.show("Analog", 69.0, 71.0)
        plant.show("Double", 2.5, 2.6)
        plant.show("Small", 8)
        plant.show("Array", [9.0, 8.0, 7.0])
        assert sorted(gather(node, 3)) == [(3, 71, "Good"), (4, 2.6, "Good"), (9, [8, 7], "Good")]
        plant.show("Small", 9, status=0x40000000)
        assert [one[:2] for one in gather(node, 1)] == [(5, 9)]
        handles = [one["monitoredItemId"] for one in results[:2]]
        modes = node.ask("SetMonitoringMode", subscriptionId=number, monitoringMode=2, monitoredItemIds=[*handles, 987_654])
        assert modes["results"] == ["Good", "Good", "BadMonitoredItemIdInvalid"]
        found = gather(node, 6)
        assert [(handle, value, "Overflow" in status) for handle, value, status in found] == [
            (1, 2, True), (1, 3, False), (1, 4, False), (2, 0, False), (2, 1, False), (2, 4, True),
        ]  # fmt: skip
        modified = node.ask(
            "ModifyMonitoredItems", subscriptionId=number, timestampsToReturn=2, itemsToModify=[
                {"monitoredItemId": one, "requestedParameters": {"clientHandle": 11, "samplingInterval": 50, "queueSize": 2}}
                for one in (handles[0], 987_654)
            ],
        )  # fmt: skip
        assert statuses(modified["results"]) == ["Good", "BadMonitoredItemIdInvalid"]
        assert (modified["results"][0]["revisedSamplingInterval"], modified["results"][0]["revisedQueueSize"]) == (50, 2)
        linked = monitor(node, number, (read_id("Flag"), {"clientHandle": 12, "queueSize": 5, "mode": 1}))[0]["monitoredItemId"]
        links = node.ask(
            "SetTriggering", subscriptionId=number, triggeringItemId=handles[1], linksToAdd=[linked, 987_654], linksToRemove=[]
        )
        assert links["addResults"] == ["Good", "BadMonitoredItemIdInvalid"]
        plant.show("Count", 7)
        assert (12, False, "Good") in gather(node, 3)
        deleted = node.ask("DeleteMonitoredItems", subscriptionId=number, monitoredItemIds=[*handles, 987_654])
        assert deleted["results"] == ["Good", "Good", "BadMonitoredItemIdInvalid"]
    finally:
        plant.reset("Count", "Analog", "Double", "Small", "Array")
        end(node, number)


def test_events(node: NodeOpcua, plant: Plant) -> None:
    def field(name: str) -> dict[str, Any]:
        return {"$": "SimpleAttributeOperand", "typeDefinitionId": "i=2041", "browsePath": [{"name": name}], "attributeId": 13}

    def literal(kind: str, value: Any) -> dict[str, Any]:
        return {"$": "LiteralOperand", "value": {"dataType": kind, "value": value}}

    def event_filter(*elements: tuple[int, list[Any]]) -> dict[str, Any]:
        where = [{"filterOperator": operator, "filterOperands": operands} for operator, operands in elements]
        select = [{key: value for key, value in field(name).items() if key != "$"} for name in ("Message", "Severity")]
        return {"$": "EventFilter", "selectClauses": select, "whereClause": {"elements": where}}

    filters: list[tuple[dict[str, Any], bool]] = [
        (event_filter(), True),
        (event_filter((0, [field("Severity"), literal("UInt16", 700)])), True),
        (event_filter((1, [field("Nothing")])), True),
        (event_filter((2, [field("Severity"), literal("Int32", 700)])), False),
        (event_filter((5, [field("Severity"), literal("Int32", 700)])), True),
        (event_filter((6, [field("SourceName"), literal("String", "Ser%")])), True),
        (event_filter((7, [{"$": "ElementOperand", "index": 1}]), (0, [field("Severity"), literal("Int32", 1)])), True),
        (event_filter((8, [field("Severity"), literal("Int32", 1), literal("Int32", 2)])), False),
        (event_filter((9, [field("Severity"), literal("Int32", 1), literal("Int32", 700)])), True),
        (event_filter((14, [literal("NodeId", {"$node": "i=2130"})])), True),
        (event_filter((14, [literal("NodeId", {"$node": "i=2131"})])), False),
    ]
    number = subscribe(node)
    try:
        items = [({**read_id("i=2253", 12)}, {"clientHandle": one, "filter": wanted}) for one, (wanted, _) in enumerate(filters)]
        results = monitor(node, number, *items, ({**read_id("i=2253", 12)}, {"clientHandle": 99, "filter": event_filter((13, []))}))
        assert statuses(results) == ["Good"] * len(filters) + ["BadEventFilterInvalid"]
        plant.emit(700, "Tool worn", 2130)
        expected = [one for one, (_, passes) in enumerate(filters) if passes]
        found = gather(node, len(expected))
        assert sorted(handle for handle, _fields, _status in found) == expected
        assert found[0][1][1] == 700
        assert found[0][1][0]["text"] == "Tool worn"
    finally:
        end(node, number)


def test_transfer_and_resend(node: NodeOpcua) -> None:
    number = subscribe(node, "Analytics.1")
    monitor(node, number, (read_id("Count"), {"clientHandle": 4}), session="Analytics.1")
    assert gather(node, 1, "Analytics.1") == [(4, 0, "Good")]
    refused = node.ask("TransferSubscriptions", "Viewer", subscriptionIds=[number], sendInitialValues=True)
    assert statuses(refused["results"]) == ["BadUserAccessDenied"]
    moved = node.ask("TransferSubscriptions", "Analytics.2", subscriptionIds=[number, 987_654], sendInitialValues=True)
    assert statuses(moved["results"]) == ["Good", "BadSubscriptionIdInvalid"]
    last = node.ask("Publish", "Analytics.1", subscriptionAcknowledgements=[])
    (change,) = last["notificationMessage"]["notificationData"]
    assert change["status"] == "GoodSubscriptionTransferred"
    assert gather(node, 1, "Analytics.2") == [(4, 0, "Good")]
    given = [{"dataType": "UInt32", "value": number}]
    calls = [{"objectId": "i=2253", "methodId": method, "inputArguments": given} for method in ("i=11492", "i=12873")]
    listed, resent = node.ask("Call", "Analytics.2", methodsToCall=calls)["results"]
    assert [one["value"] for one in listed["outputArguments"]] == [[1], [4]]
    assert resent["statusCode"] == "Good"
    assert gather(node, 1, "Analytics.2") == [(4, 0, "Good")]
    (stranger,) = node.ask("Call", "Viewer", methodsToCall=calls[:1])["results"]
    assert stranger["statusCode"] == "BadUserAccessDenied"
    end(node, number, session="Analytics.2")


def test_diagnostics(node: NodeOpcua) -> None:
    number = subscribe(node, "Operator.seen")
    monitor(node, number, (read_id("Count"), {"clientHandle": 4}), session="Operator.seen")
    targets = [read_id("i=2275"), read_id("i=3707"), read_id("i=3708"), read_id("i=2290")]
    summary, sessions, security, subscriptions = node.ask("Read", "Admin", timestampsToReturn=2, nodesToRead=targets)["results"]
    assert summary["value"]["value"]["currentSubscriptionCount"] >= 1
    (mine,) = [one for one in subscriptions["value"]["value"] if one["subscriptionId"] == number]
    assert mine["monitoredItemCount"] == 1
    (session,) = [one for one in sessions["value"]["value"] if one["sessionId"] == mine["sessionId"]]
    assert session["createSubscriptionCount"] == {"totalCount": 1, "errorCount": 0}
    (secured,) = [one for one in security["value"]["value"] if one["sessionId"] == mine["sessionId"]]
    assert (secured["clientUserIdOfSession"], secured["authenticationMechanism"]) == ("Operator", "UserName")
    assert (secured["encoding"], secured["securityMode"]) == ("UA Binary", 1)
    refused = node.ask("Read", "Viewer", nodesToRead=targets)["results"]
    assert statuses(refused) == ["Good", *["BadUserAccessDenied"] * 3]
    end(node, number, session="Operator.seen")


def test_session_objects(node: NodeOpcua) -> None:
    """As a diagnostics view does it: browse, then read what is there."""

    def below(target: str) -> dict[str, str]:
        given = {
            "nodeId": target,
            "referenceTypeId": {"$node": "i=47"},
            "includeSubtypes": True,
            "nodeClassMask": 0,
            "resultMask": 63,
        }
        (result,) = node.ask("Browse", "Admin", nodesToBrowse=[given])["results"]
        return {one["browseName"]["name"]: one["nodeId"] for one in result["references"]}

    found = below("i=3706")
    shown = {name: one for name, one in found.items() if not name.endswith("Array")}
    assert shown
    for name, session in shown.items():
        parts = below(session)
        assert set(parts) >= {"SessionDiagnostics", "SessionSecurityDiagnostics", "SubscriptionDiagnosticsArray"}
        ids = [session for one in ("SessionDiagnostics", "SessionSecurityDiagnostics") for session in below(parts[one]).values()]
        results = node.ask("Read", "Admin", timestampsToReturn=2, nodesToRead=[{"nodeId": one, "attributeId": 13} for one in ids])
        assert set(statuses(results["results"])) == {"Good"}
        whole, secured = node.ask(
            "Read", "Admin", timestampsToReturn=2,
            nodesToRead=[{"nodeId": parts[f"Session{one}Diagnostics"], "attributeId": 13} for one in ("", "Security")],
        )["results"]  # fmt: skip
        assert whole["value"]["value"]["sessionName"] == name
        assert secured["value"]["value"]["sessionId"] == session


# History -------------------------------------------------------------------------------------------------------------


def when(minutes: float, since: datetime = FIVE) -> dict[str, str]:
    return {"$date": at_minute(minutes, since).isoformat()}


def history(node: NodeOpcua, details: dict[str, Any], *names: str, points: Any = None, **more: Any) -> Any:
    nodes = [
        {"nodeId": at(name), "continuationPoint": {"$latin": point}} for name, point in zip(names, points or [""] * 9, strict=False)
    ]
    given = {"historyReadDetails": details, "timestampsToReturn": 2, "nodesToRead": nodes, **more}
    answer = node.ask("HistoryRead", **given)
    return answer if isinstance(answer, str) else answer["results"]


def values(result: Any) -> list[Any]:
    return [one["value"]["value"] for one in result["historyData"]["dataValues"] or []]


def test_history_read(node: NodeOpcua) -> None:
    raw = {"$": "ReadRawModifiedDetails", "startTime": when(1), "endTime": when(4), "returnBounds": True}
    past, unknown, none = history(node, raw, "Past", "not there", "Double")
    assert values(past) == [0, 2, 3, 5]
    assert [past["historyData"]["dataValues"][0][name] for name in ("sourceTimestamp", "serverTimestamp")] == [
        "2026-03-01T05:00:00.000Z", "2026-03-01T05:00:00.002Z",
    ]  # fmt: skip
    assert statuses([unknown, none]) == ["BadNodeIdUnknown", "BadHistoryOperationUnsupported"]
    back = {"$": "ReadRawModifiedDetails", "startTime": when(60), "endTime": when(0), "numValuesPerNode": 3}
    (page,) = history(node, back, "Long")
    (following,) = history(node, back, "Long", points=[page["continuationPoint"]])
    assert values(page) + values(following) == [24_999, 24_998, 24_997, 24_996, 24_995, 24_994]
    release = history(node, back, "Long", points=[following["continuationPoint"]], releaseContinuationPoints=True)
    assert statuses(release) == ["Good"]
    times = {"$": "ReadAtTimeDetails", "reqTimes": [when(0.25, NOON), when(0, NOON)]}
    (at_times,) = history(node, times, "Even")
    assert values(at_times) == [15, None]
    assert history(node, back) == "BadNothingToDo"
    # With the methods of its own session.
    own = node.ask("readHistoryValue", **{"with": [at("Past"), when(0), when(5)]})
    assert values(own) == [0, 2, 3, 5]  # it asks for bounds
    interval_ms = 50_000
    for number, expected in ((2352, [3, 4]), (2347, [30, 90])):  # Count, Maximum
        own = node.ask(
            "readAggregateValue", **{"with": [{"nodeId": at("Even")}, when(0, NOON), when(5 / 3, NOON), number, interval_ms]}
        )
        assert values(own) == expected
    assert statuses(
        node.ask("HistoryUpdate", historyUpdateDetails=[{"$": "DeleteRawModifiedDetails", "nodeId": at("Past")}])["results"]
    ) == ["BadUserAccessDenied"]


@pytest.mark.parametrize("service", ["AddNodes", "DeleteNodes", "QueryFirst"])
def test_services_that_are_not_offered(node: NodeOpcua, service: str) -> None:
    assert node.ask(service) == "BadServiceUnsupported"


def test_its_own_subscription_hears_every_change(node: NodeOpcua, plant: Plant) -> None:
    one = {"nodeId": at("Count"), "parameters": {"samplingInterval": 0, "queueSize": 20, "discardOldest": True}}
    try:
        assert isinstance(node.answer(node.send("watch", [one], "Operator")), int)
        wait_for(lambda: [at("Count"), 0] in node.ask("heard", "Operator"), "the first value")
        plant.show("Count", *range(1, 11))
        wait_for(lambda: [at("Count"), 10] in node.ask("heard", "Operator"), "the last value")
        assert [value for _, value in node.ask("heard", "Operator")] == list(range(11))
    finally:
        plant.reset("Count")
