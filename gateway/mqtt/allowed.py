"""What a broker takes, as it says when it lets somebody in (MQTT 5, 3.2.2.3). Pure.

message --> larger than Maximum Packet Size   None: it would end the connection, and again after each reconnect
       '--> above Maximum QoS, or retained where it retains nothing   as the broker takes it
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from gateway.mqtt.message import Message

HEADER: Final = 16
"""Bytes of a PUBLISH beside topic and payload, at most: type and length 5, length of the topic 2, number 2, expiry 6."""


def packet_size(message: Message) -> int:
    """Bytes of the whole packet, at most."""
    return len(message.topic.encode()) + len(message.payload) + HEADER


@dataclass(frozen=True, slots=True)
class Allowed:
    """``size``: bytes of a whole packet, None where the broker sets no limit."""

    size: int | None = None
    qos: int = 2
    retain: bool = True

    @classmethod
    def of(cls, properties: Any) -> Allowed:
        """From the properties of a CONNACK; None and those of MQTT 3.1.1 say nothing."""
        size, qos, retain = (getattr(properties, name, None) for name in ("MaximumPacketSize", "MaximumQoS", "RetainAvailable"))
        return cls(size, 2 if qos is None else qos, retain is None or bool(retain))

    def fitted(self, message: Message) -> Message | None:
        if self.size is not None and packet_size(message) > self.size:
            return None
        if message.qos <= self.qos and (self.retain or not message.retain):
            return message
        return replace(message, qos=min(message.qos, self.qos), retain=message.retain and self.retain)
