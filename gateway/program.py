"""The gateway: one task group, every task owned, ends within two seconds.

link.run -> batches -> twin -> streams, MQTT sinks, store, alerts, records
HTTP     -> REST, WebSocket, page; commands back through link.call
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import ExitStack
from typing import Any, Final

from cnctwin.link import Link, LinkCondition, LinkSettings
from cnctwin.link.mapping import binding
from cnctwin.program import Status
from cnctwin.reading import Batch
from cnctwin.results_file import ResultsFile
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from gateway.alerts import Alerts
from gateway.alerts.channels import channels_of
from gateway.api import app as api
from gateway.api import compat, server
from gateway.api.access import Doorkeeper
from gateway.api.parts import Parts
from gateway.commands import Commands
from gateway.core import ALARMS, Gateway, OpcUa, Peer
from gateway.detector import Detector
from gateway.mqtt.bridge import Bridge
from gateway.mqtt.events import Events
from gateway.mqtt.sparkplug.bridge import SparkplugBridge
from gateway.records import KEPT, Records
from gateway.store import Store
from gateway.store.memory import Memory, remember
from gateway.twin.recent import HISTORY

log = logging.getLogger("gateway")
WATCH_S: Final = 0.25
RESULTS_S: Final = 1.0


async def serve(settings: Settings, status: Status) -> None:
    """Run the gateway until cancelled."""
    link = Link(LinkSettings.of(settings, "gateway", settings.publication_period), bind=binding(settings.opcua_map))
    await run(settings, status, link)


async def run(settings: Settings, status: Status, link: OpcUa, listener: socket.socket | None = None) -> None:
    """Run the gateway on this link; ``listener`` replaces the socket the settings name (tests use a free port)."""
    tls = server.tls_of(settings)
    with ExitStack() as stack:
        listener = stack.enter_context(listener or server.bind(settings.host, settings.http_port))
        ports = [stack.enter_context(server.bind(settings.host, port, "--compat-ports")) for port in _compat_ports(settings)]
        store = Store(settings.data / "store", Peer("store"))
        await store.open()
        try:
            await _run(settings, status, link, store, listener, ports, tls)
        finally:
            await store.close()  # the last one out: until here others had something to write


async def _run(
    settings: Settings, status: Status, link: OpcUa, store: Store, listener: socket.socket, ports: list[socket.socket],
    tls: ssl.SSLContext | None,
) -> None:  # fmt: skip
    async with asyncio.TaskGroup() as group:

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            return group.create_task(work, name=name)

        gateway = Gateway(settings, link, store.peer, spawn)
        doorkeeper = Doorkeeper(settings, Vault(settings.data))
        outbox = settings.data / "store" / "events.sqlite"
        events = Events(outbox, settings.site, gateway.metrics, gateway.topics) if settings.has_broker else None
        parts = await _assemble(gateway, store, events)
        spawn(_batches(gateway), "batches")
        spawn(_alarms(gateway), "alarms")
        spawn(_conditions(gateway, link.conditions()), "conditions")
        spawn(_results(gateway), "results")
        spawn(link.run(), "link")
        spawn(parts.alerts.run(), "alerts")
        spawn(parts.detector.run(), "detector")
        if events is not None:
            spawn(events.run(), "events")
            spawn(Bridge(gateway, events).run(), "mqtt")
            if settings.sparkplug_group is not None:
                spawn(SparkplugBridge(gateway).run(), "sparkplug")
        spawn(_watch(parts, status), "watch")
        spawn(server.serve(api.create(parts, doorkeeper), listener, tls), "http")
        for app, port in zip(compat.create(parts, doorkeeper), ports, strict=False):
            spawn(server.serve(app, port, tls), "http-of-old")


async def _assemble(gateway: Gateway, store: Store, events: Events | None) -> Parts:
    """The parts, wired to the gateway, with what an earlier run left in the store; ``events``: None without a broker."""
    keepers: list[Store | Events] = [store] if events is None else [store, events]
    records = Records(gateway, [one.record for one in keepers])
    alerts = Alerts(gateway, store, channels_of(gateway.settings), tell=None if events is None else events.alert)
    detector = Detector(gateway.settings.seed, store.forest)
    gateway.listeners.updates += [store.update, records.update, alerts.update, detector.update]
    gateway.listeners.documents += [store.document, alerts.document, detector.document]
    gateway.listeners.alarms += [one.alarm for one in keepers]
    until = store.clock() + 5_000_000
    memory = await store.ask(
        lambda reader: remember(reader, until, alarms=ALARMS, records=KEPT, documents=HISTORY), Memory, fresh=False
    )
    for alarm in memory.alarms:
        gateway.alarms.setdefault(alarm.machine_id, deque(maxlen=ALARMS)).append(alarm)
    for kind, machine_id, body in memory.records:
        records.add(kind, machine_id, body, keep=False)
    for machine_id, documents in memory.documents.items():
        gateway.recent.preload(machine_id, documents)
    gateway.recent.registered |= memory.external
    detector.take_up(memory.forests)
    commands = Commands(gateway, [one.command for one in keepers])
    return Parts(gateway, store, commands, records, alerts, detector)


async def _batches(gateway: Gateway) -> None:
    async for batch in gateway.link.batches():
        gateway.take(batch)


async def _alarms(gateway: Gateway) -> None:
    async for alarm in gateway.link.alarms():
        gateway.take_alarm(alarm)


async def _conditions(gateway: Gateway, conditions: AsyncIterator[LinkCondition]) -> None:
    async for condition in conditions:
        gateway.take_condition(condition)


async def _results(gateway: Gateway) -> None:
    """Take up the results of the analytics that are not at the server: it has no place for them, or lets nobody write there."""
    files: dict[str, ResultsFile] = {}
    while True:
        for machine in tuple(gateway.link.machines.values()):
            if gateway.link.state != "connected":
                continue
            is_first = machine.machine_id not in files
            file = files.setdefault(machine.machine_id, ResultsFile(gateway.settings.data, machine.machine_id))
            readings = file.news()
            if is_first and not any(reading.is_good for reading in readings):
                # Of an earlier run: what the server has nodes for is there by now.
                readings = tuple(reading for reading in readings if reading.signal not in machine.signals)
            if readings:
                gateway.take(Batch(machine.machine_id, max(reading.source_time_ns for reading in readings), readings))
        await asyncio.sleep(RESULTS_S)


def _compat_ports(settings: Settings) -> range:
    first, _, last = (settings.compat_ports or "").partition("-")
    return range(int(first), int(last) + 1) if first else range(0)


async def _watch(parts: Parts, status: Status) -> None:
    """See to it that a lost link shows at once, and tell the supervisor which peers are away."""
    gateway = parts.gateway
    told: tuple[tuple[str, ...], tuple[str, ...]] | None = None
    before = gateway.link.state
    while True:
        state = gateway.link.state
        if state == "lost" and before == "connected":
            gateway.lose()
        before = state
        gateway.opcua.up = state == "connected" and bool(gateway.twin.machines)
        gateway.opcua.reason = "" if gateway.opcua.up else gateway.link.reason or f"{state}: {gateway.settings.watched_url}"
        parts.store.check()
        _measure(gateway, parts.store)
        missing = tuple(f"{peer.name}: {peer.reason}" for peer in gateway.peers if not peer.up)
        remarks = tuple(map(str, gateway.remarks))
        if (missing, remarks) != told:
            told = missing, remarks
            if missing:
                status.degraded("; ".join(missing + remarks))
            else:
                status.ready("; ".join(remarks), http=gateway.settings.http_port, machines=len(gateway.twin.machines))
        await asyncio.sleep(WATCH_S)


def _measure(gateway: Gateway, store: Store) -> None:
    metrics = gateway.metrics
    metrics.link_up.set(gateway.link.state == "connected")
    metrics.remarks.set(len(gateway.link.remarks))
    metrics.link_dropped.set(gateway.link.dropped)
    metrics.gaps.set(gateway.twin.gaps)
    metrics.broker_up.set(gateway.broker.up)
    metrics.store_up.set(gateway.store_peer.up)
    metrics.store_waiting.set(store.writer.waiting)
    metrics.store_written.set(store.writer.written)
    metrics.store_dropped.set(store.writer.dropped)
    metrics.store_bytes.set(store.writer.size_bytes)
    metrics.clients.set(gateway.clients)
    now_ns = time.time_ns()
    for machine in gateway.twin.machines.values():
        metrics.data_age.labels(machine.machine_id).set((now_ns - machine.telemetry_time_ns) / 1e9)
