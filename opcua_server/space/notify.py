"""Events that are no alarms and no messages of the control: of job orders, and of changes of the address space.

asyncua delivers an event to the subscribers of one node only, so each is sent once for every notifier.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import Server, ua
from asyncua.common.events import Event

from opcua_server.space.zone import local_time

_V = ua.VariantType
SERVER: Final = ua.NodeId(2253, 0)
LOW: Final = 100
"""Severity of what nobody has to act on."""
Fields = Mapping[str, tuple[Any, ua.VariantType]]


class Notifier:
    """Sends events in the name of one node."""

    def __init__(self, server: Server, source: ua.NodeId, name: str) -> None:
        self._service = server.iserver.subscription_service
        self._source = source
        self._name = name

    async def send(self, event_type: ua.NodeId, text: str, fields: Fields, emitters: Iterable[ua.NodeId], moment: datetime) -> None:
        """``emitters``: whose subscribers hear of it; it is one event wherever it is heard, with one EventId."""
        rows: dict[str, tuple[Any, ua.VariantType]] = {
            "EventId": (uuid.uuid4().bytes, _V.ByteString),
            "EventType": (event_type, _V.NodeId),
            "SourceNode": (self._source, _V.NodeId),
            "SourceName": (self._name, _V.String),
            "Time": (moment, _V.DateTime),
            "ReceiveTime": (datetime.now(UTC), _V.DateTime),
            "LocalTime": (local_time(moment.timestamp()), _V.ExtensionObject),
            "Message": (ua.LocalizedText(text, "en"), _V.LocalizedText),
            "Severity": (LOW, _V.UInt16),
            **fields,
        }
        for emitter in emitters:
            made = Event(emitter)
            for name, (value, kind) in rows.items():
                made.add_property(name, value, kind)
            await self._service.trigger_event(made)
