"""The same position at the same source time, whichever way it is read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import websockets
from asyncua import ua
from paho.mqtt.enums import CallbackAPIVersion

from nodesets.namespaces import URI, instance_uri
from tests.system.conftest import Installation

pytestmark = [pytest.mark.system, pytest.mark.timeout(180)]

AXES = ("X", "Y", "Z")
ENOUGH = 5
"""Source times at which all four views must have been seen together."""

Seen = dict[str, dict[str, float]]
"""Source time, as text with microseconds -> axis -> position in mm."""


def key(time: datetime) -> str:
    return time.replace(tzinfo=UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


async def by_opcua(installation: Installation, seen: Seen, enough: Callable[[], bool]) -> None:
    """A plain asyncua client, anonymous, with a subscription by browse path."""
    client = await installation.client()
    async with client:
        machinery = await client.get_namespace_index(URI["MA"])
        types = await client.get_namespace_index(URI["X"])
        instance = await client.get_namespace_index(instance_uri("CNC-001"))
        cnc = await client.get_namespace_index(URI["CNC"])
        nodes = {}
        for axis in AXES:
            path = ["0:Objects", f"{machinery}:Machines", f"{instance}:CNC-001", f"{types}:Signals"]
            signals = await client.nodes.root.get_child(path)
            nodes[(await _descend(signals, ["Axes", axis, "ActPos"])).nodeid] = axis
        assert cnc > 0

        class Handler:
            def datachange_notification(self, node: Any, value: float, data: Any) -> None:
                stamp = key(data.monitored_item.Value.SourceTimestamp)
                seen.setdefault(stamp, {})[nodes[node.nodeid]] = value

        subscription = await client.create_subscription(100, Handler())
        await subscription.subscribe_data_change([client.get_node(node) for node in nodes], queuesize=50)
        while not enough():
            await asyncio.sleep(0.05)


async def _descend(node: Any, names: list[str]) -> Any:
    for name in names:
        for child in await node.get_children(refs=ua.ObjectIds.HierarchicalReferences):
            if (await child.read_browse_name()).Name == name:
                node = child
                break
        else:
            pytest.fail(f"no {name} below {node}")
    return node


async def by_websocket(installation: Installation, seen: Seen, enough: Callable[[], bool]) -> None:
    url = f"ws://127.0.0.1:{installation.base}/ws/machines/CNC-001/telemetry"
    async with websockets.connect(url, additional_headers={"x-api-key": installation.logins["API key"]}) as socket:
        while not enough():
            _keep(json.loads(await asyncio.wait_for(socket.recv(), 10)), seen)


async def by_rest(installation: Installation, seen: Seen, enough: Callable[[], bool]) -> None:
    while not enough():
        document = await asyncio.to_thread(installation.get, "/api/v1/machines/CNC-001/signals")
        for axis in AXES:
            reading = document["signals"][f"Axes/{axis}/ActPos"]
            seen.setdefault(reading["source_time"], {})[axis] = reading["value"]
        await asyncio.sleep(0.1)


async def by_mqtt(installation: Installation, seen: Seen, enough: Callable[[], bool]) -> None:
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: _keep(json.loads(message.payload), seen)
    client.connect("127.0.0.1", installation.mqtt_port)
    client.subscribe("dt/cnc/CNC-001/telemetry")
    client.loop_start()
    try:
        while not enough():
            await asyncio.sleep(0.05)
    finally:
        client.disconnect()
        client.loop_stop()


def _keep(document: dict[str, Any], seen: Seen) -> None:
    """A telemetry document: flat over MQTT, under "data" over REST and WebSocket."""
    axes = document.get("data", document)["axes"]
    stamp = key(datetime.fromisoformat(document["timestamp"]).astimezone(UTC))
    seen.setdefault(stamp, {}).update({axis: axes[axis.lower()]["position_mm"] for axis in AXES})


def test_opcua_rest_websocket_and_mqtt_agree_at_the_same_source_time(running: Installation) -> None:
    views: dict[str, Seen] = {"OPC UA": {}, "REST": {}, "WebSocket": {}, "MQTT": {}}

    def common() -> list[tuple[str, str]]:
        """Moments and axes that every view has shown."""
        first, *others = [{(stamp, axis) for stamp, axes in seen.items() for axis in axes} for seen in views.values()]
        return sorted(first.intersection(*others))

    def enough() -> bool:
        return len({stamp for stamp, _axis in common()}) >= ENOUGH

    async def watch() -> None:
        tasks = (by_opcua, by_rest, by_websocket, by_mqtt)
        async with asyncio.timeout(90), asyncio.TaskGroup() as group:
            for task, seen in zip(tasks, views.values(), strict=True):
                group.create_task(task(running, seen, enough))

    asyncio.run(watch())
    moments = common()
    assert len(moments) >= ENOUGH
    for stamp, axis in moments:
        values = {name: seen[stamp][axis] for name, seen in views.items()}
        assert len(set(values.values())) == 1, f"{axis} at {stamp}: {values}"
