"""``{site}/{machine}/alarms``: every alarm and its end as one JSON message, QoS 1, not retained."""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from cnctwin.link import LinkAlarm
from cnctwin.settings import Settings
from gateway.feed import OPTIONS, alarm_record
from gateway.mqtt.message import Message, level
from gateway.twin import Twin, Update


class Alarms:
    name = "alarms"

    def __init__(self, settings: Settings, twin: Twin) -> None:
        self._site = settings.site

    def update(self, update: Update, now_s: float) -> Iterable[Message]:
        return ()

    def alarm(self, alarm: LinkAlarm) -> Iterable[Message]:
        payload = orjson.dumps({"machine": alarm.machine_id, **alarm_record(alarm)}, option=OPTIONS)
        yield Message(f"{self._site}/{level(alarm.machine_id)}/alarms", payload, qos=1)

    def tick(self, now_s: float) -> Iterable[Message]:
        return ()

    def everything(self, now_s: float) -> Iterable[Message]:
        return ()

    def farewell(self) -> Iterable[Message]:
        return ()
