"""What the gateway's parts share: the twin, who listens to it, and the state of its peers.

    link --batches--> take() --> twin --> listeners (streams, broker, store, alerts, records), each with a bounded buffer of its own
    REST documents --> ingest() --> recent documents, alerts, store

Listeners are plain functions called in the event loop; none may wait.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from cnctwin.link import Handling, LinkAlarm, LinkCondition, LinkState, Machine, Remark
from cnctwin.reading import Batch, Reading, Value
from cnctwin.settings import Settings
from gateway.feed import DocumentFeed, Streams
from gateway.metrics import Metrics
from gateway.topics import TopicNames
from gateway.twin import Recent, Twin, Update

log = logging.getLogger("gateway")
ALARMS: Final = 500
"""Alarms and messages kept in memory for each machine."""


class OpcUa(Protocol):
    """What the gateway needs of ``cnctwin.link.Link``; tests play one."""

    state: LinkState
    reason: str
    remarks: tuple[Remark, ...]
    machines: dict[str, Machine]
    dropped: int

    async def run(self) -> None: ...
    def batches(self) -> Any: ...
    def alarms(self) -> Any: ...
    def conditions(self) -> Any: ...
    async def handle(self, act: Handling, condition: LinkCondition, event_id: bytes, comment: str = "") -> None: ...
    async def call(self, machine_id: str, method: str, arguments: Any = ()) -> None: ...
    async def past(self, machine_id: str, signal: str, start_ns: int, end_ns: int, most: int) -> list[Reading]: ...


@dataclass(slots=True)
class Peer:
    """A peer of the gateway and whether it is there; ``reason`` is one line for the operator."""

    name: str
    up: bool = False
    reason: str = "not connected yet"


@dataclass(slots=True)
class Listeners:
    updates: list[Callable[[Update], None]] = field(default_factory=list)
    documents: list[Callable[[str, dict[str, Any], bool], None]] = field(default_factory=list)
    """(machine id, {timestamp, machine_id, data}, whether it came in by REST)"""
    alarms: list[Callable[[LinkAlarm], None]] = field(default_factory=list)


class Gateway:
    """One running gateway. ``spawn`` starts a task in the program's task group."""

    def __init__(
        self,
        settings: Settings,
        link: OpcUa,
        store: Peer,
        spawn: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
    ) -> None:
        self.settings = settings
        self.link = link
        self.spawn = spawn
        self.metrics = Metrics()
        # Microseconds since the epoch: higher than any number of an earlier run, and exact as a JSON number until 2255.
        self.twin = Twin(first_seq=time.time_ns() // 1000)
        self.recent = Recent()
        self.alarms: dict[str, deque[LinkAlarm]] = {}
        self.conditions: dict[str, dict[str, LinkCondition]] = {}
        """Machine id -> condition id -> what wants somebody now; empty while the server is away."""
        self.listeners = Listeners()
        self.topics = TopicNames(settings.data / "store" / "topics.json" if settings.has_broker else None)
        self.clients = 0
        self.feed = DocumentFeed(self.metrics.skipped.inc)
        self.streams = Streams(self.twin, spawn, self.metrics.skipped.inc)
        self.opcua = Peer("OPC UA")
        self.broker = Peer("MQTT broker")
        self.store_peer = store
        self.listeners.updates.append(self.streams.update)
        self.listeners.documents.append(lambda machine_id, document, _external: self.feed.publish(machine_id, document))
        self.listeners.alarms.append(self.streams.alarm)

    @property
    def peers(self) -> tuple[Peer, ...]:
        return (self.opcua, *((self.broker,) if self.settings.has_broker else ()), self.store_peer)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """What is the matter with a server that is there, and which machines have other topics than their names make."""
        return (*self.link.remarks, *self.topics.remarks)

    def take(self, batch: Batch) -> None:
        """Take in what the link brings."""
        self.metrics.messages_processed.inc()
        if batch.machine_id not in self.twin.machines or not self.twin.machines[batch.machine_id].methods:
            self._identify(batch.machine_id)
        self._tell(self.twin.apply(batch))

    def lose(self) -> None:
        """The link is gone: everything the twin holds is Uncertain from now on."""
        for machine_id in list(self.twin.machines):
            update = self.twin.degrade(machine_id)
            if update is not None:
                self._tell(update)

    def take_alarm(self, alarm: LinkAlarm) -> None:
        self.alarms.setdefault(alarm.machine_id, deque(maxlen=ALARMS)).append(alarm)
        for listener in self.listeners.alarms:
            listener(alarm)

    def take_condition(self, condition: LinkCondition) -> None:
        known = self.conditions.setdefault(condition.machine_id, {})
        if condition.retain:
            known[condition.id] = condition
        else:
            known.pop(condition.id, None)
        self.streams.condition(condition)

    def ingest(self, machine_id: str, document: dict[str, Any]) -> None:
        """Take in a document that another program sent."""
        self.metrics.messages_processed.inc()
        self.recent.add(machine_id, document, register=machine_id not in self.twin.machines)
        for listener in self.listeners.documents:
            listener(machine_id, document, True)

    def knows(self, machine_id: str) -> bool:
        return machine_id in self.twin.machines or machine_id in self.recent.registered

    async def call(self, machine_id: str, method: str, arguments: tuple[Value, ...]) -> None:
        await self.link.call(machine_id, method, arguments)

    def _identify(self, machine_id: str) -> None:
        machine = self.link.machines.get(machine_id)
        if machine is not None:
            self.twin.identify(
                machine_id,
                manufacturer=machine.manufacturer,
                model=machine.model,
                serial_number=machine.serial_number,
                location=machine.location,
                methods=machine.methods,
            )

    def _tell(self, update: Update) -> None:
        for told in self.listeners.updates:
            told(update)
        if update.document is not None and update.document.is_current:
            document = update.document.envelope()
            self.recent.add(update.machine_id, document)
            for listener in self.listeners.documents:
                listener(update.machine_id, document, False)
