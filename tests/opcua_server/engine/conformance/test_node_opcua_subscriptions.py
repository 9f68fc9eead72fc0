"""Subscriptions, their items and events by node-opcua's client, with its own encoders and decoders."""

from __future__ import annotations

from typing import Any

from tests.harness import wait_for
from tests.opcua_server.engine.conformance.foreign import NodeOpcua
from tests.opcua_server.engine.conformance.node_asks import at, end, monitor, read_id, statuses, subscribe, when
from tests.opcua_server.engine.conformance.plant import Plant


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
