"""The edge node on a connection of its own: its last will is its death, which no other convention can share."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

from gateway.core import Gateway
from gateway.mqtt.connection import Connection
from gateway.mqtt.keeping import address_of, keep
from gateway.mqtt.message import Message
from gateway.mqtt.sparkplug.node import EdgeNode
from gateway.twin import Update


class SparkplugBridge:
    """Run it with ``run``; it publishes its death when it is cancelled. After a message that could not be handed over the node is
    born again: a host would see the gap in ``seq`` and ask for it. What the broker does not take it
    would not after a birth either."""

    def __init__(self, gateway: Gateway) -> None:
        self._metrics = gateway.metrics
        self._path = gateway.settings.data / "store" / "sparkplug-bdseq"
        self.node = EdgeNode(gateway.settings, gateway.twin, gateway.topics, self._last_bd_seq() + 1)
        self.connection = Connection(
            address_of(gateway.settings), self, self._came_up, lambda _reason: None, self._dropped, listens=self.node.listens,
            heard=self._heard,
        )  # fmt: skip
        self._torn = self._is_refused = False
        gateway.listeners.updates.append(self.update)

    # What the connection says of itself (gateway.mqtt.connection.Words).

    def will(self) -> Message:
        will = self.node.will(_now_ms())
        with contextlib.suppress(OSError):  # the next start then begins with a number that was used: a disk's fault, said elsewhere
            self._path.write_text(str(self.node.bd_seq), "ascii")
        return will

    def hello(self) -> Iterable[Message]:
        return ()

    def goodbye(self) -> Iterable[Message]:
        return (self.node.death(_now_ms()),)

    def _last_bd_seq(self) -> int:
        """Each connection counts on by one, over restarts too; -1 before the first."""
        try:
            return int(self._path.read_text("ascii"))
        except (OSError, ValueError):
            return -1

    def update(self, update: Update) -> None:
        if self.connection.up:
            self._publish(self.node.update(update, _now_ms(), time.monotonic()))

    async def run(self) -> None:
        await keep("sparkplug", self.connection, self._tick)

    def _tick(self) -> None:
        if not self.connection.up:
            return
        if self._torn:
            self._came_up()
        else:
            self._publish(self.node.tick(_now_ms(), time.monotonic()))

    def _came_up(self) -> None:
        self._torn = False
        self._publish(self.node.birth(_now_ms(), time.monotonic()))

    def _heard(self, _topic: str, payload: bytes) -> None:
        self._publish(self.node.heard(payload, _now_ms(), time.monotonic()))

    def _publish(self, messages: Iterable[Message]) -> None:
        count = 0
        for message in messages:
            self._is_refused = False
            if self.connection.publish(message):
                count += 1
            elif self._is_refused:
                self.node.not_taken(message)
        if count:
            self._metrics.mqtt_published.labels(self.node.name).inc(count)

    def _dropped(self, reason: str) -> None:
        self._is_refused = reason in ("large", "refused")
        self._torn = self._torn or not self._is_refused
        self._metrics.mqtt_dropped.labels(self.node.name, reason).inc()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
