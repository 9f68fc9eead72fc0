"""Between twin and broker: every sink is told what happens, and what it answers goes to the connection."""

from __future__ import annotations

import time
from collections.abc import Iterable

from gateway.core import Gateway
from gateway.mqtt.connection import Connection, Settled, StatusWords
from gateway.mqtt.events import Events
from gateway.mqtt.keeping import address_of, keep
from gateway.mqtt.message import Message
from gateway.mqtt.sinks import SINKS, Sink
from gateway.twin import Update


class Bridge:
    """Run it with ``run``; it says goodbye to the broker when it is cancelled."""

    def __init__(self, gateway: Gateway, events: Events) -> None:
        settings = gateway.settings
        self._gateway = gateway
        self._metrics = gateway.metrics
        self._events = events
        self._sinks: list[Sink] = [sink(settings, gateway.twin, gateway.topics) for sink in SINKS]
        self._sink = ""
        self._words = StatusWords(f"{settings.site}/gateway/status", self._remarks)
        self._remarked: list[str] = []
        self.connection = Connection(address_of(settings), self._words, self._came_up, self._changed, self._dropped)
        gateway.broker.reason = f"{self.connection.address}: not connected yet"
        gateway.listeners.updates.append(self.update)

    def update(self, update: Update) -> None:
        if not self.connection.up:
            # Retained state comes whole when the broker is back; what is only told once is lost, and counted.
            if update.document is not None and update.document.is_current:
                self._metrics.mqtt_dropped.labels("telemetry", "away").inc()
            return
        now = time.monotonic()
        for sink in self._sinks:
            self._publish(sink, sink.update(update, now))

    async def run(self) -> None:
        await keep("mqtt", self.connection, self._tick, lambda: (message for sink in self._sinks for message in sink.farewell()))

    def _tick(self) -> None:
        if self.connection.up:
            now = time.monotonic()
            for sink in self._sinks:
                self._publish(sink, sink.tick(now))
            if self._remarked != self._remarks():
                self._remarked = self._remarks()
                self.connection.publish_all(self._words.hello())
        self._metrics.mqtt_waiting.set(self.connection.waiting)

    def _remarks(self) -> list[str]:
        return [str(remark) for remark in self._gateway.remarks]

    def _publish(self, sink: Sink, messages: Iterable[Message]) -> None:
        self._sink = sink.name
        count = self.connection.publish_all(messages)
        if count:
            self._metrics.mqtt_published.labels(sink.name).inc(count)

    def _came_up(self) -> None:
        now = time.monotonic()
        self._remarked = self._remarks()  # said by the connection's first words
        for sink in self._sinks:
            self._publish(sink, sink.everything(now))
        self._events.came_up(self._publish_event)

    def _publish_event(self, message: Message, settled: Settled) -> bool:
        self._sink = "events"
        return self.connection.publish(message, settled)

    def _changed(self, reason: str) -> None:
        self._gateway.broker.up = not reason
        if reason:
            self._events.went_away()
        self._gateway.broker.reason = reason

    def _dropped(self, reason: str) -> None:
        self._metrics.mqtt_dropped.labels(self._sink, reason).inc()
