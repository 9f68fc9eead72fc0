"""Fan-out to WebSocket clients: everything is encoded once, every client has a bounded queue of its own.

    Update --> DocumentFeed      one JSON telemetry document a batch           /ws/machines/{id}/telemetry
          '--> Channel           what changed, at most max_hz times a second   /api/v1/stream
                  '-- Outbox     per client; a client too slow for it gets a fresh snapshot instead of what it missed

Clients that ask for the same (machines, signals, rate) share a channel, so a hundred pages cost one encoding.

What is told of several machines at one moment is a message for each, and the connection may break between two of them: the last
one alone has the ``seq`` of that moment, those before it the one from which all of it can be told again (``NOWHERE``: only by
snapshots).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

from cnctwin.link import LinkAlarm, LinkCondition
from cnctwin.reading import Reading, iso
from gateway.twin import Twin, Update

OUTBOX: Final = 32
"""Messages that may wait for one client."""
MAX_CHANNELS: Final = 256
NOWHERE: Final = 0
"""A ``seq`` that no stream can be resumed from."""
OPTIONS: Final = orjson.OPT_UTC_Z | orjson.OPT_NON_STR_KEYS


class Outbox:
    """Messages on their way to one client. ``skipped`` is told how many a slow client does not get."""

    def __init__(self, skipped: Callable[[int], None]) -> None:
        self._waiting: deque[bytes] = deque()
        self._skipped = skipped
        self._filled = asyncio.Event()
        self.overflowed = False

    def put(self, message: bytes) -> None:
        if len(self._waiting) >= OUTBOX:
            self._skipped(len(self._waiting))
            self._waiting.clear()
            self.overflowed = True
        self._waiting.append(message)
        self._filled.set()

    def take_overflow(self) -> bool:
        """Whether messages were skipped since the last call."""
        overflowed, self.overflowed = self.overflowed, False
        return overflowed

    async def get(self) -> bytes:
        while not self._waiting:
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.popleft()


class DocumentFeed:
    """Telemetry documents to the clients of one machine each."""

    def __init__(self, skipped: Callable[[int], None]) -> None:
        self._skipped = skipped
        self._clients: dict[str, set[Outbox]] = {}

    def join(self, machine_id: str) -> Outbox:
        outbox = Outbox(self._skipped)
        self._clients.setdefault(machine_id, set()).add(outbox)
        return outbox

    def leave(self, machine_id: str, outbox: Outbox) -> None:
        clients = self._clients.get(machine_id, set())
        clients.discard(outbox)
        if not clients:
            self._clients.pop(machine_id, None)

    def publish(self, machine_id: str, document: Mapping[str, Any]) -> None:
        if clients := self._clients.get(machine_id):
            message = orjson.dumps(document, option=OPTIONS)
            for outbox in clients:
                outbox.put(message)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a client wants: None means all. ``max_hz``: messages a second for each machine, 0.1 to 50."""

    machines: frozenset[str] | None
    signals: frozenset[str] | None
    max_hz: float


class Channel:
    """One subscription, shared by its clients: keeps the newest reading of each signal until the next message is due."""

    def __init__(self, subscription: Subscription, twin: Twin) -> None:
        self.subscription = subscription
        self.clients: set[Outbox] = set()
        self._twin = twin
        self._pending: dict[str, dict[str, Reading]] = {}
        self._times: dict[str, int] = {}
        self._told_seq = twin.seq
        """Up to here everything was told before what is pending."""
        self._changed = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    def wants(self, machine_id: str) -> bool:
        return self.subscription.machines is None or machine_id in self.subscription.machines

    def update(self, update: Update) -> None:
        if not self.wants(update.machine_id):
            return
        signals = self.subscription.signals
        pending = self._pending.setdefault(update.machine_id, {})
        for reading in update.readings:
            if signals is None or reading.signal in signals:
                pending[reading.signal] = reading
        self._times[update.machine_id] = update.source_time_ns
        if pending and not self._changed.is_set():
            self._told_seq = update.seq - 1
            self._changed.set()

    async def run(self) -> None:
        """Send what is pending, at most ``max_hz`` times a second, until cancelled."""
        period = 1.0 / self.subscription.max_hz
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            await self._changed.wait()
            if (wait := due - loop.time()) > 0:
                await asyncio.sleep(wait)
            due = loop.time() + period
            self._changed.clear()
            pending, self._pending = self._pending, {}
            told = [
                (machine_id, self._times[machine_id], readings.values()) for machine_id, readings in pending.items() if readings
            ]
            for message in self._round("update", told, self._told_seq):
                self.put(message)

    def _round(self, kind: str, told: Sequence[tuple[str, int, Iterable[Reading]]], before: int) -> list[bytes]:
        """What is told of machines, (id, time, readings), at this moment; ``before``: from where it can be told again."""
        last = len(told) - 1
        return [encode(kind, self._twin.seq if i == last else before, *one) for i, one in enumerate(told)]

    def put(self, message: bytes) -> None:
        for outbox in self.clients:
            outbox.put(message)

    def snapshots(self) -> list[bytes]:
        """The present of every machine the subscription names, one message each."""
        signals = self.subscription.signals
        told = [
            (one.machine_id, one.telemetry_time_ns, [r for r in one.readings.values() if signals is None or r.signal in signals])
            for one in self._twin.machines.values()
            if self.wants(one.machine_id)
        ]
        return self._round("snapshot", told, NOWHERE)

    def resumed(self, seq: int) -> list[bytes] | None:
        """What changed after ``seq``, newest reading of each signal; None where only a snapshot can tell."""
        updates = self._twin.since(seq)
        if updates is None:
            return None
        signals = self.subscription.signals
        # Also where nothing changed there is a message: it tells the client that it is up to date.
        merged: dict[str, dict[str, Reading]] = {name: {} for name in self._twin.machines if self.wants(name)}
        for update in updates:
            if self.wants(update.machine_id):
                merged[update.machine_id].update((r.signal, r) for r in update.readings if signals is None or r.signal in signals)
        machines = self._twin.machines
        return self._round(
            "update", [(name, machines[name].telemetry_time_ns, told.values()) for name, told in merged.items()], seq
        )


class Streams:
    """The channels in use. ``spawn`` starts a channel's task in the program's task group."""

    def __init__(self, twin: Twin, spawn: Callable[[Any, str], asyncio.Task[None]], skipped: Callable[[int], None]) -> None:
        self._twin = twin
        self._skipped = skipped
        self._spawn = spawn
        self._channels: dict[Subscription, Channel] = {}

    def join(self, subscription: Subscription) -> tuple[Channel, Outbox]:
        """A place in the channel of this subscription. Raises OverflowError when too many different ones are in use."""
        channel = self._channels.get(subscription)
        if channel is None:
            if len(self._channels) >= MAX_CHANNELS:
                raise OverflowError("too many different subscriptions")
            channel = self._channels[subscription] = Channel(subscription, self._twin)
            channel.task = self._spawn(channel.run(), "stream-channel")
        outbox = Outbox(self._skipped)
        channel.clients.add(outbox)
        return channel, outbox

    def leave(self, channel: Channel, outbox: Outbox) -> None:
        channel.clients.discard(outbox)
        if not channel.clients:
            self._channels.pop(channel.subscription, None)
            if channel.task is not None:
                channel.task.cancel()

    def update(self, update: Update) -> None:
        for channel in self._channels.values():
            channel.update(update)

    def alarm(self, alarm: LinkAlarm) -> None:
        self._put(alarm.machine_id, {"type": "alarm", "machine": alarm.machine_id, **alarm_record(alarm)})

    def condition(self, condition: LinkCondition) -> None:
        told = {"machine": condition.machine_id, **condition_record(condition), "retain": condition.retain}
        self._put(condition.machine_id, {"type": "condition", **told})

    def _put(self, machine_id: str, told: Mapping[str, Any]) -> None:
        message = orjson.dumps(told, option=OPTIONS)
        for channel in self._channels.values():
            if channel.wants(machine_id):
                channel.put(message)


def alarm_record(alarm: LinkAlarm) -> dict[str, Any]:
    return {
        "time": iso(alarm.source_time_ns),
        "severity": alarm.severity,
        "code": alarm.code,
        "text": alarm.text,
        "active": alarm.active,
    }


def condition_record(condition: LinkCondition) -> dict[str, Any]:
    """``event`` names the state that is shown, for whoever handles it."""
    return {
        "id": condition.id,
        "event": condition.event_id.hex(),
        "time": iso(condition.source_time_ns),
        "name": condition.name,
        "severity": condition.severity,
        "code": condition.code,
        "text": condition.text,
        "active": condition.active,
        "acknowledged": condition.acknowledged,
        "confirmed": condition.confirmed,
        "comment": condition.comment,
        "user": condition.user,
        "put_aside": condition.put_aside,
        "aside_because": condition.aside_because,
        "is_earlier": condition.is_earlier,
    }


def encode(kind: str, seq: int, machine_id: str, time_ns: int, readings: Iterable[Reading]) -> bytes:
    """One message of the stream: {type, seq, machine, time, values: {name: [value, status, source_time]}}."""
    texts: dict[int, str] = {}
    values: dict[str, list[Any]] = {}
    for reading in readings:
        text = texts.get(reading.source_time_ns)
        if text is None:
            text = texts[reading.source_time_ns] = iso(reading.source_time_ns)
        values[reading.signal] = [reading.value, reading.status, text]
    message = {"type": kind, "seq": seq, "machine": machine_id, "time": iso(time_ns), "values": values}
    return orjson.dumps(message, option=OPTIONS)
