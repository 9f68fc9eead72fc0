"""Events of a machine: alarms as MT:AlertType (severity 334-1000), all else as MT:NotificationEventType (up to 333).

asyncua delivers an event to the subscribers of one node only, so each is sent to the machine's Messages, to the machine and to
the Server object; a control alarm also as CNC:CncAlarmType to the CNC interface, where OPC 40502 looks for it.
Acknowledging and shelving need condition instances; here an alarm is shown and cleared.
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

_V = ua.VariantType
_SERVER: Final = ua.NodeId(2253, 0)
_ALARM_KINDS: Final = frozenset({"alarm", "alarm_cleared"})
_LOWEST_ALERT: Final = 334
_PROCESS_CONDITION_CLASS: Final = ua.NodeId(11164, 0)


class Events:
    """Sends the events of one machine."""

    def __init__(
        self, server: Server, types: TypeSpace, name: str, machine: ua.NodeId, messages: ua.NodeId, interface: ua.NodeId
    ) -> None:
        self._service = server.iserver.subscription_service
        self._alert = types.type_id("MT:AlertType")
        self._notification = types.type_id("MT:NotificationEventType")
        self._cnc_alarm = types.type_id("CNC:CncAlarmType")
        self._name = name
        self._machine = machine
        self._interface = interface
        self._emitters = (messages, machine, _SERVER)

    async def send(self, event: SourceEvent) -> None:
        is_alarm = event.kind in _ALARM_KINDS
        event_type = self._alert if is_alarm else self._notification
        for emitter in self._emitters:
            await self._service.trigger_event(self._event(event, event_type, emitter))
        if is_alarm:
            await self._service.trigger_event(self._event(event, self._cnc_alarm, self._interface))

    def _event(self, source: SourceEvent, event_type: ua.NodeId, emitter: ua.NodeId) -> Event:
        made = Event(emitter)
        is_alarm = source.kind in _ALARM_KINDS
        severity = max(source.severity, _LOWEST_ALERT) if is_alarm else min(source.severity, _LOWEST_ALERT - 1)
        moment = utc(source.source_time_ns)
        rows: dict[str, tuple[Any, ua.VariantType]] = {
            "EventId": (uuid.uuid4().bytes, _V.ByteString),
            "EventType": (event_type, _V.NodeId),
            "SourceNode": (self._machine, _V.NodeId),
            "SourceName": (self._name, _V.String),
            "Time": (moment, _V.DateTime),
            "ReceiveTime": (datetime.now(UTC), _V.DateTime),
            "Message": (ua.LocalizedText(source.text, "en"), _V.LocalizedText),
            "Severity": (min(max(severity, 1), 1000), _V.UInt16),
        }
        if is_alarm:
            rows |= self._condition(source, moment)
            rows["AlarmIdentifier" if event_type == self._cnc_alarm else "ErrorCode"] = (source.code, _V.String)
        else:
            rows["Identifier"] = (source.code or source.kind, _V.String)
        for name, (value, kind) in rows.items():
            made.add_property(name, value, kind)
        return made

    def _condition(self, source: SourceEvent, moment: datetime) -> dict[str, tuple[Any, ua.VariantType]]:
        active = source.kind == "alarm"
        text = ua.LocalizedText
        return {
            "NodeId": (ua.NodeId(f"{self._name}.Alarms.{source.code}", self._machine.NamespaceIndex), _V.NodeId),
            "ConditionName": (source.code, _V.String),
            "ConditionClassId": (_PROCESS_CONDITION_CLASS, _V.NodeId),
            "ConditionClassName": (text("ProcessConditionClassType", "en"), _V.LocalizedText),
            "BranchId": (ua.NodeId(), _V.NodeId),
            "Retain": (active, _V.Boolean),
            "EnabledState": (text("Enabled", "en"), _V.LocalizedText),
            "EnabledState/Id": (True, _V.Boolean),
            "ActiveState": (text("Active" if active else "Inactive", "en"), _V.LocalizedText),
            "ActiveState/Id": (active, _V.Boolean),
            "ActiveState/TransitionTime": (moment, _V.DateTime),
            "AckedState": (text("Acknowledged", "en"), _V.LocalizedText),
            "AckedState/Id": (True, _V.Boolean),
            "Quality": (ua.StatusCode(), _V.StatusCode),
            "Comment": (text("", "en"), _V.LocalizedText),
            "ClientUserId": ("", _V.String),
            "InputNode": (ua.NodeId(), _V.NodeId),
            "SuppressedOrShelved": (False, _V.Boolean),
        }
