"""The gateway: one task group, every task owned, ends within two seconds.

link.run -> batches -> twin -> streams, MQTT sinks, store, alerts, records
HTTP     -> REST, WebSocket, page; commands back through link.call
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, Final

from cnctwin.link import Link, LinkSettings
from cnctwin.program import Status
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from gateway.api import app as api
from gateway.api import server
from gateway.api.access import Doorkeeper
from gateway.commands import Commands
from gateway.core import Gateway, OpcUa

log = logging.getLogger("gateway")
WATCH_S: Final = 0.25


async def serve(settings: Settings, status: Status) -> None:
    """Run the gateway until cancelled."""
    login = Vault(settings.data).login("gateway")
    link = Link(
        LinkSettings(
            settings.watched_url,
            "gateway",
            settings.data,
            user=login.user if login else None,
            password=login.password if login else None,
            publishing_interval=settings.publication_period,
            insecure=settings.insecure,
        )
    )
    await run(settings, status, link)


async def run(settings: Settings, status: Status, link: OpcUa, listener: socket.socket | None = None) -> None:
    """Run the gateway on this link; ``listener`` replaces the socket the settings name (tests use a free port)."""
    with ExitStack() as stack:
        listener = stack.enter_context(listener or server.bind(settings.host, settings.http_port))
        async with asyncio.TaskGroup() as group:

            def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
                return group.create_task(work, name=name)

            gateway = Gateway(settings, link, spawn)
            doorkeeper = Doorkeeper(settings, Vault(settings.data))
            commands = Commands(gateway, lambda command: None)
            spawn(link.run(), "link")
            spawn(_batches(gateway), "batches")
            spawn(_alarms(gateway), "alarms")
            spawn(_watch(gateway, status), "watch")
            spawn(server.serve(api.create(gateway, doorkeeper, commands), listener), "http")


async def _batches(gateway: Gateway) -> None:
    async for batch in gateway.link.batches():
        gateway.take(batch)


async def _alarms(gateway: Gateway) -> None:
    async for alarm in gateway.link.alarms():
        gateway.take_alarm(alarm)


async def _watch(gateway: Gateway, status: Status) -> None:
    """See to it that a lost link shows at once, and tell the supervisor which peers are away."""
    told: tuple[str, ...] | None = None
    before = gateway.link.state
    while True:
        state = gateway.link.state
        if state == "lost" and before == "connected":
            gateway.lose()
        before = state
        gateway.opcua.up = state == "connected" and bool(gateway.twin.machines)
        gateway.opcua.reason = "" if gateway.opcua.up else f"{state}: {gateway.settings.watched_url}"
        _measure(gateway)
        missing = tuple(f"{peer.name}: {peer.reason}" for peer in gateway.peers if not peer.up)
        if missing != told:
            told = missing
            if missing:
                status.degraded("; ".join(missing))
            else:
                status.ready(http=gateway.settings.http_port, machines=len(gateway.twin.machines))
        await asyncio.sleep(WATCH_S)


def _measure(gateway: Gateway) -> None:
    metrics = gateway.metrics
    metrics.link_up.set(gateway.link.state == "connected")
    metrics.link_dropped.set(gateway.link.dropped)
    metrics.gaps.set(gateway.twin.gaps)
    metrics.broker_up.set(gateway.broker.up)
    metrics.store_up.set(gateway.store_peer.up)
    metrics.clients.set(gateway.clients)
    now_ns = time.time_ns()
    for machine in gateway.twin.machines.values():
        metrics.data_age.labels(machine.machine_id).set((now_ns - machine.telemetry_time_ns) / 1e9)
