"""Events to the broker: ``{site}/{machine}/{stream}``, QoS 1, not retained, none lost on the way and each named by its number.

    alarms, anomalies, predictions, commands, alerts --> memory (PENDING) --commit--> Outbox --WINDOW in flight--> broker
                                                              '-- disk fails: kept here, tried again, the rest counted

What is lost is counted with its reason (``cnctwin_mqtt_dropped_total``, sink "events"), and shows to readers as a missing ``seq``
where it had one.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, TypeVar

from cnctwin.link import LinkAlarm
from gateway.alerts import Alert
from gateway.commands import Command
from gateway.feed import alarm_record
from gateway.metrics import Metrics
from gateway.mqtt.message import Message
from gateway.mqtt.outbox import Event, Outbox, Stored
from gateway.topics import TopicNames

log = logging.getLogger("gateway.mqtt")
PENDING: Final = 5000
WINDOW: Final = 200
AGAIN_S: Final = 1.0
REFUSED_S: Final = 60.0
"""After that what the broker has refused is sent again: somebody may have let it in."""
STREAM_OF: Final = {"anomaly": "anomalies", "prediction": "predictions"}
T = TypeVar("T")
Publish = Callable[[Message, Callable[[bool], None]], bool]


class Events:
    """``path``: file of the outbox. Give it what happens; ``run`` keeps it and ``came_up`` publishes it."""

    def __init__(self, path: Path, site: str, metrics: Metrics, topics: TopicNames) -> None:
        self._outbox = Outbox(path)
        self._site = site
        self._metrics = metrics
        self._topics = topics
        self._pending: deque[Event] = deque()
        self._acknowledged: set[int] = set()
        self._ready: deque[Stored] = deque()
        self._behind = 0
        """Number up to which all events on disk were read for publishing in this life of the connection."""
        self._in_flight = 0
        self._refused = self._is_due = False
        """Whether the broker refused something since it was all sent, and whether that is to be sent again."""
        self._life = 0
        self._publish: Publish | None = None
        self._woken = asyncio.Event()
        self._problem = ""
        self._dropped = 0

    def alarm(self, alarm: LinkAlarm) -> None:
        self._add(alarm.machine_id, "alarms", alarm_record(alarm))

    def record(self, kind: str, machine_id: str, body: dict[str, Any]) -> None:
        self._add(machine_id, STREAM_OF[kind], body)

    def command(self, command: Command) -> None:
        """When it was given and when it was settled; its arguments may be a whole program and stay in the audit."""
        told = {"id": command.id, "method": command.method, "user": command.user, "state": command.state, "reason": command.reason}
        self._add(command.machine_id, "commands", told)

    def alert(self, alert: Alert, status: str) -> None:
        self._add(alert.machine_id, "alerts", {**asdict(alert), "status": status})

    def came_up(self, publish: Publish) -> None:
        """The broker is there: everything that it has not acknowledged goes to it, oldest first."""
        self._life += 1
        self._publish, self._in_flight, self._behind = publish, 0, 0
        self._ready.clear()
        self._woken.set()

    def went_away(self) -> None:
        self._publish = None

    async def run(self) -> None:
        """Keep and publish, until cancelled; what is pending then is still kept."""
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                await self._round()
        finally:
            with contextlib.suppress(sqlite3.Error, OSError):
                self._commit(list(self._pending), tuple(self._acknowledged))
            self._outbox.close()

    async def _round(self) -> None:
        try:
            if self._pending or self._acknowledged:
                await _to_its_end(self._commit, list(self._pending), tuple(self._acknowledged))
            if self._is_due and not self._in_flight and not self._ready:
                self._is_due, self._behind = False, 0
            while self._publish is not None and self._in_flight < WINDOW:
                if not self._ready:
                    self._ready.extend(await _to_its_end(self._outbox.after, self._behind, WINDOW))
                    if not self._ready:
                        break
                    self._behind = self._ready[-1].id
                self._send(self._ready.popleft())
        except (sqlite3.Error, OSError) as error:
            if str(error) != self._problem:
                self._problem = str(error)
                log.error("events cannot be kept (%s): tried again, %d wait in memory", error, len(self._pending))
            await asyncio.sleep(AGAIN_S)
            self._woken.set()

    def _commit(self, new: list[Event], gone: tuple[int, ...]) -> None:
        """In a thread: what is committed leaves memory in the same breath, or a cancellation in between would commit it twice."""
        self._outbox.commit(new, gone)
        for _ in new:
            self._pending.popleft()
        self._acknowledged.difference_update(gone)
        if self._problem:
            log.warning("events are kept again")
            self._problem = ""
        if lost := self._outbox.dropped - self._dropped:
            self._dropped = self._outbox.dropped
            self._metrics.mqtt_dropped.labels("events", "full").inc(lost)
        self._metrics.mqtt_kept.set(self._outbox.waiting)

    def _send(self, stored: Stored) -> None:
        life = self._life

        def settled(delivered: bool) -> None:
            if delivered:
                self._acknowledged.add(stored.id)
            elif not self._refused:
                self._refused = True
                asyncio.get_running_loop().call_later(REFUSED_S, self._once_more)
            if life == self._life:
                self._in_flight -= 1
            self._woken.set()

        publish = self._publish
        if publish is not None and publish(Message(stored.topic, stored.payload, qos=1), settled):
            self._in_flight += 1
            self._metrics.mqtt_published.labels("events").inc()
        else:
            # On its way down: it comes again in the connection's next life.
            self._publish = None

    def _once_more(self) -> None:
        """All that is on disk from the beginning, when nothing is on its way."""
        self._refused, self._is_due = False, True
        self._woken.set()

    def _add(self, machine_id: str, stream: str, body: dict[str, Any]) -> None:
        if len(self._pending) >= PENDING:
            self._metrics.mqtt_dropped.labels("events", "disk").inc()
            return
        self._pending.append(Event(machine_id, stream, f"{self._site}/{self._topics.of(machine_id)}/{stream}", body))
        self._woken.set()


async def _to_its_end(work: Callable[..., T], *arguments: Any) -> T:
    """The result of work in a thread. A cancellation waits for it: the thread uses what the canceller closes next."""
    running = asyncio.ensure_future(asyncio.to_thread(work, *arguments))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait((running,))
        raise
