"""The conventions the gateway publishes in. Adding one: a file with a class of this shape, and its line in SINKS.

A sink is pure: it is told what happened and when, and answers with messages. The connection asks it for everything it shows
(``everything``) when it comes up, and hands on what it yields in between. Sinks show state, which a broker that was away gets
whole; what happens once goes by ``gateway.mqtt.events``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

from cnctwin.settings import Settings
from gateway.mqtt.message import Message
from gateway.mqtt.sinks.telemetry import Telemetry
from gateway.mqtt.sinks.unified import UnifiedNamespace
from gateway.topics import TopicNames
from gateway.twin import Twin, Update


class Sink(Protocol):
    """``now_s`` is a monotonic time in seconds."""

    name: str

    def __init__(self, settings: Settings, twin: Twin, topics: TopicNames) -> None: ...

    def update(self, update: Update, now_s: float) -> Iterable[Message]:
        """What a batch makes it publish at once."""

    def tick(self, now_s: float) -> Iterable[Message]:
        """What is due; called a few times a second."""

    def everything(self, now_s: float) -> Iterable[Message]:
        """All retained state, for a broker that may know nothing."""

    def farewell(self) -> Iterable[Message]:
        """What must not stay as it is when the gateway ends in an orderly way."""


SINKS: Final[tuple[type[Sink], ...]] = (Telemetry, UnifiedNamespace)

__all__ = ["SINKS", "Sink"]
