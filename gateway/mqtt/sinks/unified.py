"""The unified namespace: ``{site}/{machine}/{group}/{tag}``, retained {"value", "timestamp", "quality", "unit"}.

    changed, quality as before  -> at most once in ``interval_s``, the newest value
    changed quality             -> at once: a lost link makes every topic Uncertain
    unchanged for REFRESH_S     -> again, so that a broker that speaks MQTT 5 forgets what nobody renews (EXPIRY_S)

A gateway that is killed leaves topics that still say Good; they expire with MQTT 5, and with MQTT 3.1.1 ``{site}/gateway/status``
(last will) tells.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import orjson

from cnctwin.reading import UNCERTAIN_LAST_USABLE, Reading, iso
from cnctwin.settings import Settings
from gateway.feed import OPTIONS
from gateway.mqtt.message import Message, level
from gateway.topics import TopicNames
from gateway.twin import Twin, Update
from nodesets import catalogue

EXPIRY_S: Final = 120
REFRESH_S: Final = 50.0
SHORTEST_S: Final = 1.0
RATE: Final = 2000.0
"""Messages a second, of all machines together: the interval grows with the fleet so that this is not exceeded."""


@dataclass(slots=True)
class _Topic:
    reading: Reading
    told_s: float
    waiting: bool = False


class UnifiedNamespace:
    name = "unified"

    def __init__(self, settings: Settings, twin: Twin, topics: TopicNames) -> None:
        self._site = settings.site
        self._names = topics
        self._twin = twin
        self._topics: dict[tuple[str, str], _Topic] = {}
        self._waiting: set[tuple[str, str]] = set()

    @property
    def interval_s(self) -> float:
        return max(SHORTEST_S, len(self._topics) / RATE)

    def update(self, update: Update, now_s: float) -> Iterator[Message]:
        interval = self.interval_s
        for reading in update.readings:
            key = (update.machine_id, reading.signal)
            topic = self._topics.get(key)
            if topic is None:
                self._topics[key] = _Topic(reading, now_s)
            elif topic.reading.quality == reading.quality and now_s - topic.told_s < interval:
                topic.reading = reading
                self._waiting.add(key)
                continue
            else:
                topic.reading, topic.told_s = reading, now_s
                self._waiting.discard(key)
            yield self._message(update.machine_id, reading)

    def tick(self, now_s: float) -> Iterator[Message]:
        interval = self.interval_s
        due = [key for key in self._waiting if now_s - self._topics[key].told_s >= interval]
        due += [key for key, topic in self._topics.items() if now_s - topic.told_s >= REFRESH_S and key not in self._waiting]
        for key in due:
            topic = self._topics[key]
            topic.told_s = now_s
            self._waiting.discard(key)
            yield self._message(key[0], topic.reading)

    def everything(self, now_s: float) -> Iterator[Message]:
        self._waiting.clear()
        for machine in self._twin.machines.values():
            for reading in machine.readings.values():
                self._topics[machine.machine_id, reading.signal] = _Topic(reading, now_s)
                yield self._message(machine.machine_id, reading)

    def farewell(self) -> Iterator[Message]:
        for machine in self._twin.machines.values():
            for reading in machine.readings.values():
                yield self._message(machine.machine_id, reading.degraded(UNCERTAIN_LAST_USABLE))

    def _message(self, machine_id: str, reading: Reading) -> Message:
        row = catalogue.BY_NAME.get(reading.signal)
        payload = {
            "value": reading.value,
            "timestamp": iso(reading.source_time_ns),
            "quality": reading.quality,
            "unit": row.unit.symbol if row is not None and row.unit is not None else None,
        }
        tail = "/".join(level(part) for part in reading.signal.split("/"))
        topic = f"{self._site}/{self._names.of(machine_id)}/{tail}"
        return Message(topic, orjson.dumps(payload, option=OPTIONS), retain=True, expiry_s=EXPIRY_S)
