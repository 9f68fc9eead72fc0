"""The same services by node-opcua's client, with its own encoders and decoders."""

from __future__ import annotations

from typing import Any

import pytest

from tests.opcua_server.engine.conformance.foreign import NodeOpcua
from tests.opcua_server.engine.conformance.node_asks import at, end, monitor, read_id, statuses, subscribe, when
from tests.opcua_server.engine.conformance.past import NOON
from tests.opcua_server.engine.conformance.plant import MANY, Plant


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
    unknown = [at("Double"), at("nothing")]
    assert node.ask("RegisterNodes", nodesToRegister=unknown)["registeredNodeIds"] == unknown


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
