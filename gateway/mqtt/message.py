"""One MQTT message, and the topics of a plant."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """``expiry_s``: how long a broker that speaks MQTT 5 keeps a retained message that is not renewed; None for ever."""

    topic: str
    payload: bytes
    retain: bool = False
    qos: int = 0
    expiry_s: int | None = None


def level(text: str) -> str:
    """A name as one topic level: without what MQTT or a broker gives a meaning to, or refuses as no text (MQTT 5, 1.5.4)."""
    return "".join("_" if char in "/+# $" or not char.isprintable() else char for char in text) or "_"
