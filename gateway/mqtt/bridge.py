"""Between twin and broker: every sink is told what happens, and what it answers goes to the connection."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Iterable
from typing import Final

from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from gateway.core import Gateway
from gateway.mqtt.connection import BrokerAddress, Connection, StatusWords
from gateway.mqtt.events import Events
from gateway.mqtt.message import Message
from gateway.mqtt.sinks import SINKS, Sink
from gateway.twin import Update

log = logging.getLogger("gateway.mqtt")
TICK_S: Final = 0.25
GOODBYE_S: Final = 0.5


class Bridge:
    """Run it with ``run``; it says goodbye to the broker when it is cancelled."""

    def __init__(self, gateway: Gateway, events: Events) -> None:
        settings = gateway.settings
        self._gateway = gateway
        self._metrics = gateway.metrics
        self._events = events
        self._sinks: list[Sink] = [sink(settings, gateway.twin) for sink in SINKS]
        self._sink = ""
        self.connection = Connection(
            address_of(settings), StatusWords(f"{settings.site}/gateway/status"), self._came_up, self._changed, self._dropped
        )
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
        ticking = asyncio.create_task(self._tick(), name="mqtt-tick")
        living = asyncio.create_task(self.connection.run(), name="mqtt-connection")
        try:
            # Waited for, not gathered: the connection must outlive this task's cancellation by its last words.
            done, _ = await asyncio.wait((ticking, living), return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            ticking.cancel()
            with contextlib.suppress(Exception):
                await self.connection.say_goodbye((m for sink in self._sinks for m in sink.farewell()), GOODBYE_S)
            living.cancel()
            await asyncio.gather(ticking, living, return_exceptions=True)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self.connection.up:
                now = time.monotonic()
                for sink in self._sinks:
                    self._publish(sink, sink.tick(now))
            self._metrics.mqtt_waiting.set(self.connection.waiting)

    def _publish(self, sink: Sink, messages: Iterable[Message]) -> None:
        self._sink = sink.name
        count = self.connection.publish_all(messages)
        if count:
            self._metrics.mqtt_published.labels(sink.name).inc(count)

    def _came_up(self) -> None:
        now = time.monotonic()
        for sink in self._sinks:
            self._publish(sink, sink.everything(now))
        self._sink = "events"
        self._events.came_up(self.connection.publish)

    def _changed(self, reason: str) -> None:
        self._gateway.broker.up = not reason
        if reason:
            self._events.went_away()
        self._gateway.broker.reason = reason

    def _dropped(self, reason: str) -> None:
        self._metrics.mqtt_dropped.labels(self._sink, reason).inc()


def address_of(settings: Settings) -> BrokerAddress:
    """The broker the settings name, with the credentials they give, or the login of the embedded one."""
    user, password = settings.mqtt_username, settings.mqtt_password
    if user is None and settings.mqtt_broker is None:
        login = Vault(settings.data).login("broker")
        user, password = (login.user, login.password) if login is not None else (None, None)
    return BrokerAddress(
        settings.broker_host,
        settings.mqtt_port,
        user,
        password,
        settings.mqtt_use_tls,
        settings.mqtt_ca_path,
        settings.mqtt_cert_path,
        settings.mqtt_key_path,
    )
