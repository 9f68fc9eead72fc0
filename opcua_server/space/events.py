"""Events of a machine that are no alarms, as MT:NotificationEventType (severity up to 333); alarms are conditions (``alarms``).

asyncua delivers an event to the subscribers of one node only, so each is sent to the machine's Messages, to the machine and to
the Server object. What the control or the program says to the operator is told at the CNC interface too, as CNC:CncMessageType,
where OPC 40502 (6.11) looks for it: the same event, with the same EventId.
"""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import Server, ua
from asyncua.common.events import Event

from cnctwin.reading import utc
from opcua_server.sources.source import SourceEvent
from opcua_server.space.types import TypeSpace
from opcua_server.space.zone import local_time

_V = ua.VariantType
_SERVER: Final = ua.NodeId(2253, 0)
_HIGHEST: Final = 333
Rows = dict[str, tuple[Any, ua.VariantType]]


class Events:
    """Sends the events of one machine."""

    def __init__(
        self, server: Server, types: TypeSpace, name: str, machine: ua.NodeId, messages: ua.NodeId, interface: ua.NodeId
    ) -> None:
        self._service = server.iserver.subscription_service
        self._notification = types.type_id("MT:NotificationEventType")
        self._cnc_message = types.type_id("CNC:CncMessageType")
        self._interface = interface
        self._name = name
        self._machine = machine
        self._emitters = (messages, machine, _SERVER)

    async def send(self, event: SourceEvent) -> None:
        """It is one event wherever it is heard, with one EventId."""
        rows = self._rows(event)
        for emitter in self._emitters:
            await self._tell(emitter, rows)
        if event.kind == "message":
            del rows["Identifier"]  # which that type does not have
            await self._tell(self._interface, rows | {"EventType": (self._cnc_message, _V.NodeId)})

    async def _tell(self, emitter: ua.NodeId, rows: Rows) -> None:
        made = Event(emitter)
        for name, (value, kind) in rows.items():
            made.add_property(name, value, kind)
        await self._service.trigger_event(made)

    def _rows(self, source: SourceEvent) -> Rows:
        return {
            "EventId": (uuid.uuid4().bytes, _V.ByteString),
            "EventType": (self._notification, _V.NodeId),
            "SourceNode": (self._machine, _V.NodeId),
            "SourceName": (self._name, _V.String),
            "Time": (utc(source.source_time_ns), _V.DateTime),
            "ReceiveTime": (datetime.now(UTC), _V.DateTime),
            "LocalTime": (local_time(source.source_time_ns / 1e9), _V.ExtensionObject),
            "Message": (ua.LocalizedText(source.text, "en"), _V.LocalizedText),
            "Severity": (min(max(source.severity, 1), _HIGHEST), _V.UInt16),
            "Identifier": (source.code or source.kind, _V.String),
        }
