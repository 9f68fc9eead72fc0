"""``dt/cnc/{machine}/telemetry``: the telemetry document of every batch, flat JSON, QoS 0, not retained.

Published only while the data is current: a reader of this topic knows no quality, so silence is the only word it can trust.
"""

from __future__ import annotations

from collections.abc import Iterable

import orjson

from cnctwin.settings import Settings
from gateway.mqtt.message import Message
from gateway.topics import TopicNames
from gateway.twin import Twin, Update


class Telemetry:
    name = "telemetry"

    def __init__(self, settings: Settings, twin: Twin, topics: TopicNames) -> None:
        self._topics = topics

    def update(self, update: Update, now_s: float) -> Iterable[Message]:
        document = update.document
        if document is not None and document.is_current:
            yield Message(f"dt/cnc/{self._topics.of(update.machine_id)}/telemetry", orjson.dumps(document.flat()))

    def tick(self, now_s: float) -> Iterable[Message]:
        return ()

    def everything(self, now_s: float) -> Iterable[Message]:
        return ()

    def farewell(self) -> Iterable[Message]:
        return ()
