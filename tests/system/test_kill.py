"""Any of the programs may die: the others go on, the supervisor brings it back, and nobody is shown stale data as Good."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
from typing import Any

import paho.mqtt.client as mqtt
import pytest
import websockets
from asyncua import ua
from paho.mqtt.enums import CallbackAPIVersion

from nodesets.catalogue import RESULTS
from tests.harness import wait_for
from tests.system.conftest import Installation, Starter

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]


def kill(installation: Installation, name: str) -> tuple[int, dict[str, int]]:
    """SIGKILL a program; returns its restarts before, and the pids of the others."""
    entry = installation.program(name)
    others = {other["name"]: other["pid"] for other in installation.report()["programs"] if other["name"] != name}
    os.kill(entry["pid"], signal.SIGKILL)
    return entry["restarts"], others


def check_back(installation: Installation, name: str, before: int, others: dict[str, int]) -> None:
    wait_for(lambda: installation.program(name)["restarts"] == before + 1, f"{name} is restarted", 60)
    wait_for(installation.is_ready, "everything is ready again", 60)
    assert {other: installation.program(other)["pid"] for other in others} == others


@pytest.fixture
def installation(start: Starter) -> Installation:
    return start()


def test_without_the_server_everything_is_uncertain_until_it_is_back(installation: Installation) -> None:
    """The gateway holds the last values: their quality says so, the value and its source time stay."""
    wait_for(lambda: installation.signals()["Spindle/ActSpeed"]["quality"] == "Good", "live data")
    frames: list[dict[str, Any]] = []

    async def story() -> tuple[int, dict[str, int]]:
        url = f"ws://127.0.0.1:{installation.base}/api/v1/stream"
        headers = {"x-api-key": installation.logins["API key"]}
        async with websockets.connect(url, additional_headers=headers) as socket:
            await socket.send(json.dumps({"machines": ["CNC-001"], "signals": ["Axes/X/ActPos"], "max_hz": 20}))

            async def listen() -> None:
                async for message in socket:
                    frames.append(json.loads(message))

            listening = asyncio.create_task(listen())
            killed = await asyncio.to_thread(kill, installation, "server")

            def lost() -> bool:
                return all(reading["quality"] != "Good" for reading in installation.signals().values())

            await asyncio.to_thread(wait_for, lost, "every signal is marked", 20)
            await asyncio.to_thread(wait_for, lambda: _last_status(frames) != 0, "the stream says so", 20)
            await asyncio.to_thread(check_back, installation, "server", *killed)
            await asyncio.to_thread(wait_for, lambda: _last_status(frames) == 0, "the stream is Good again", 30)
            listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await listening
            return killed

    asyncio.run(story())
    wait_for(lambda: installation.signals()["Spindle/ActSpeed"]["quality"] == "Good", "live data again")


def _last_status(frames: list[dict[str, Any]]) -> int | None:
    for frame in reversed(frames):
        if "Axes/X/ActPos" in frame.get("values", {}):
            status: int = frame["values"]["Axes/X/ActPos"][1]
            return status
    return None


def test_the_machine_keeps_its_counters_when_the_server_is_killed(installation: Installation) -> None:
    before = wait_for(lambda: installation.signals()["Machine/OperationCycleCounter"]["value"], "a program was started")
    wait_for(lambda: list((installation.data / "server").glob("*.json")), "the state is on disk")
    killed = kill(installation, "server")
    check_back(installation, "server", *killed)
    wait_for(lambda: installation.signals()["Machine/OperationCycleCounter"]["value"] >= before, "the counter goes on")


def test_without_the_analytics_its_results_are_not_good_and_the_machine_is_watched_on(installation: Installation) -> None:
    names = {signal.name for signal in RESULTS}
    wait_for(lambda: installation.signals()["Analytics/ToolRul"]["quality"] == "Good", "a result", 60)

    async def qualities_by_opcua() -> set[bool]:
        client = await installation.client()
        async with client:
            from nodesets.binding import bind

            (bound,) = (await bind(client)).values()
            nodes = [client.get_node(bound.nodes[name]) for name in sorted(names)]
            values = await client.uaclient.read_attributes([node.nodeid for node in nodes], ua.AttributeIds.Value)
            return {value.StatusCode.value >> 30 == 0 for value in values}

    os.kill(installation.process.pid, signal.SIGSTOP)  # the supervisor may not bring it back while we look
    try:
        killed = kill(installation, "analytics")
        wait_for(lambda: asyncio.run(qualities_by_opcua()) == {False}, "the server marks the results", 30)
        wait_for(lambda: all(installation.signals()[name]["quality"] != "Good" for name in names), "the gateway shows it", 30)
        before = installation.signals()["Simulation/Time"]["value"]
        wait_for(lambda: installation.signals()["Simulation/Time"]["value"] > before, "the machine is watched on")
    finally:
        os.kill(installation.process.pid, signal.SIGCONT)
    check_back(installation, "analytics", *killed)
    wait_for(lambda: installation.signals()["Analytics/ToolRul"]["quality"] == "Good", "results are back", 60)


def test_without_the_gateway_its_last_will_speaks_and_the_server_goes_on(installation: Installation) -> None:
    retained: dict[str, Any] = {}
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: retained.__setitem__(message.topic, json.loads(message.payload))
    client.connect("127.0.0.1", installation.mqtt_port)
    client.subscribe("enterprise/site/area/line/gateway/status")
    client.loop_start()
    topic = "enterprise/site/area/line/gateway/status"
    try:
        birth = wait_for(lambda: retained.get(topic), "the gateway's birth")
        os.kill(installation.process.pid, signal.SIGSTOP)
        try:
            killed = kill(installation, "gateway")
            wait_for(lambda: retained[topic] != birth, "the last will")
            assert retained[topic]["state"] == "offline"
        finally:
            os.kill(installation.process.pid, signal.SIGCONT)
        check_back(installation, "gateway", *killed)
        wait_for(lambda: retained[topic]["state"] == "online", "a new birth")
    finally:
        client.disconnect()
        client.loop_stop()
