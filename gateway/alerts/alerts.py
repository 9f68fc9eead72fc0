"""Alerts: told once, and told at last.

    send() --the same was told within REPEAT_S, or there is no channel--> skipped
       '--channel takes it--> sent
       '--channel fails-----> queued --outbox in the store, backoff--> sent, or given up after GIVE_UP_S

The outbox is on disk, so that a restart loses no alert that was answered with "queued".
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

from gateway.alerts.channels import Channel
from gateway.core import Gateway
from gateway.store import Store
from gateway.twin import Update

log = logging.getLogger("gateway.alerts")
Severity = Literal["low", "medium", "high", "critical"]
REPEAT_S: Final = 300.0
REMEMBERED: Final = 5000
OUTBOX: Final = 1000
"""Alerts that may wait; further ones are skipped, and say so."""
RETRY_S: Final = (5.0, 15.0, 60.0, 300.0, 900.0)
GIVE_UP_S: Final = 24 * 3600.0
ROUND_S: Final = 2.0
HYSTERESIS_C: Final = 2.0
AT_ONCE: Final = 4


@dataclass(frozen=True, slots=True)
class Alert:
    machine_id: str
    severity: Severity
    message: str
    source: str
    timestamp: str
    metric: str | None = None
    value: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    status: Literal["sent", "queued", "skipped"]
    detail: str


class Alerts:
    """``channels`` by name; ``clock`` in seconds; ``tell`` hears of every alert and what became of it: sent, queued, skipped."""

    def __init__(
        self,
        gateway: Gateway,
        store: Store,
        channels: dict[str, Channel],
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[Alert, str], None] | None = None,
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._channels = channels
        self._clock = clock
        self._tell = tell
        self._told: OrderedDict[tuple[str, str, str, str], float] = OrderedDict()
        self._hot: dict[str, bool] = {}
        self._waiting = 0
        self._pending: asyncio.Queue[Alert] = asyncio.Queue(OUTBOX)
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def send(self, alert: Alert) -> Outcome:
        """Tell people, and say what became of it."""
        outcome = await self._send(alert)
        self._gateway.metrics.alerts.labels(outcome.status).inc()
        if self._tell is not None:
            self._tell(alert, outcome.status)
        return outcome

    def send_soon(self, alert: Alert) -> None:
        """Tell people without making anybody wait."""
        try:
            self._pending.put_nowait(alert)
        except asyncio.QueueFull:
            self._gateway.metrics.alerts.labels("skipped").inc()

    def update(self, update: Update) -> None:
        """Watch the spindle of a machine of the server: one alert when it gets critical, the next after it cooled down."""
        for reading in update.readings:
            if reading.signal == "Spindle/Temperature" and reading.is_good and isinstance(reading.value, int | float):
                limit = self._gateway.settings.critical_spindle_temp_c
                was = self._hot.get(update.machine_id, False)
                hot = reading.value >= (limit - HYSTERESIS_C if was else limit)
                self._hot[update.machine_id] = hot
                if hot and not was and update.document is not None:
                    self.send_soon(critical_temperature(update.machine_id, float(reading.value), update.document.timestamp))

    def document(self, machine_id: str, document: dict[str, Any], external: bool) -> None:
        """Watch the spindle of a machine whose telemetry was sent in."""
        if not external:
            return
        spindle = document["data"].get("spindle")
        value = spindle.get("temperature_c") if isinstance(spindle, dict) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            limit = self._gateway.settings.critical_spindle_temp_c
            if value >= limit:
                self.send_soon(critical_temperature(machine_id, float(value), document["timestamp"]))

    async def run(self) -> None:
        """Send what was put aside, until cancelled."""
        self._waiting = await self._store.ask(lambda reader: reader.outbox_size(), int)
        while True:
            try:
                async with asyncio.timeout(ROUND_S):
                    alert = await self._pending.get()
            except TimeoutError:
                await self._retry()
            else:
                await self.send(alert)

    async def _send(self, alert: Alert) -> Outcome:
        key = (alert.machine_id, alert.severity, alert.metric or "", alert.message)
        now = self._clock()
        if now - self._told.get(key, -REPEAT_S) < REPEAT_S:
            return Outcome("skipped", f"the same alert was raised less than {REPEAT_S / 60:g} minutes ago")
        if not self._channels:
            return Outcome("skipped", "no alert channel is configured (SLACK_WEBHOOK_URL)")
        self._told[key] = now
        self._told.move_to_end(key)
        if len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        failed = await self._deliver(asdict(alert), list(self._channels))
        if not failed:
            return Outcome("sent", f"sent to {', '.join(self._channels)}")
        problem = "; ".join(f"{name}: {why}" for name, why in failed.items())
        waits = {"alert": asdict(alert), "channels": list(failed)}
        if self._waiting >= OUTBOX or not self._store.queue_alert(waits, self._store.clock() + int(RETRY_S[0] * 1e6)):
            return Outcome("skipped", f"{problem}; the outbox is full")
        self._waiting += 1
        return Outcome("queued", f"{problem}; tried again later")

    async def _deliver(self, alert: dict[str, Any], names: list[str]) -> dict[str, str]:
        """Tell the channels; what is wrong with those that did not take it, by name."""
        failed: dict[str, str] = {}
        for name in names:
            channel = self._channels.get(name)
            if channel is None:
                continue  # it was taken out of the settings since
            try:
                async with self._turns:
                    await asyncio.to_thread(channel, alert)
            except OSError as error:
                failed[name] = str(error)
        return failed

    async def _retry(self) -> None:
        if not self._waiting or not self._channels:
            return
        now = self._store.clock()
        longest_us = int(RETRY_S[-1] * 1e6)
        due: list[tuple[int, int, int, dict[str, Any]]] = await self._store.ask(
            lambda reader: reader.outbox(now, longest_us, 20), list
        )
        for outbox_id, created_us, tries, waits in due:
            failed = await self._deliver(waits["alert"], waits["channels"])
            if not failed:
                self._gateway.metrics.alerts.labels("sent").inc()
            elif now - created_us > GIVE_UP_S * 1e6 and tries > len(RETRY_S):  # a clock set ahead by a day is no day
                log.error("alert given up after a day: %s: %s", failed, waits["alert"].get("message"))
            else:
                pause_us = int(RETRY_S[min(tries, len(RETRY_S) - 1)] * 1e6)
                self._store.postpone_alert(outbox_id, now + pause_us, {**waits, "channels": list(failed)})
                continue
            self._store.settle_alert(outbox_id)
            self._waiting = max(0, self._waiting - 1)


def critical_temperature(machine_id: str, value: float, timestamp: str) -> Alert:
    return Alert(
        machine_id,
        "critical",
        "Spindle temperature crossed critical threshold",
        "digital-twin-api",
        timestamp,
        "spindle.temperature_c",
        value,
    )
