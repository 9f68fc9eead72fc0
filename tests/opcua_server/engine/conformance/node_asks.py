"""Requests to node-opcua's client, and what its answers say, for the tests of this folder."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from tests.opcua_server.engine.conformance.foreign import NodeOpcua
from tests.opcua_server.engine.conformance.past import FIVE
from tests.opcua_server.engine.conformance.past import at as at_minute


def at(name: str) -> str:
    return f"ns=2;s={name}"


def statuses(results: list[Any]) -> list[str]:
    return [one if isinstance(one, str) else one["statusCode"] for one in results]


def read_id(name: str, attribute: int = 13, index_range: str | None = None, encoding: str | None = None) -> dict[str, Any]:
    found: dict[str, Any] = {"nodeId": name if name.startswith("i=") else at(name), "attributeId": attribute}
    if index_range:
        found["indexRange"] = {"$range": index_range}
    if encoding:
        found["dataEncoding"] = {"namespaceIndex": 0, "name": encoding}
    return found


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


def end(node: NodeOpcua, *numbers: int, session: str = "") -> None:
    assert statuses(node.ask("DeleteSubscriptions", session, subscriptionIds=list(numbers))["results"]) == ["Good"] * len(numbers)


def when(minutes: float, since: datetime = FIVE) -> dict[str, str]:
    return {"$date": at_minute(minutes, since).isoformat()}
