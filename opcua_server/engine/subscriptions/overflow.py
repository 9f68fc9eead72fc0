"""What an event item says when its queue was too small (OPC 10000-4, 7.22.3): one event of EventQueueOverflowEventType, besides
the queue, in front where the oldest were lost, behind where the newest were. Where events of conditions may be among the lost ones,
RefreshRequiredEventType comes after all that is left (OPC 10000-9, 5.11.4)."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any, Final

from asyncua.common.events import Event

from cnctwin.wire.scalars import ua

_V = ua.VariantType
_SERVER: Final = ua.NodeId(2253, 0)
_EVENT_QUEUE_OVERFLOW: Final = ua.NodeId(ua.ObjectIds.EventQueueOverflowEventType, 0)
_REFRESH_REQUIRED: Final = ua.NodeId(ua.ObjectIds.RefreshRequiredEventType, 0)
SEVERITY: Final = 500
"""Something of unknown weight was lost: the middle of the range (OPC 10000-5, 6.4.2)."""


def overflow_event(now: datetime) -> Any:
    """The event; ``now`` is UTC."""
    return _event(_EVENT_QUEUE_OVERFLOW, "events were lost: the queue of the monitored item was full", now)


def refresh_required(now: datetime) -> Any:
    """The event; ``now`` is UTC."""
    return _event(_REFRESH_REQUIRED, "events of alarms may be lost: call ConditionRefresh", now)


def _event(kind: Any, message: str, now: datetime) -> Any:
    made = Event(_SERVER)
    rows: dict[str, tuple[Any, ua.VariantType]] = {
        "EventId": (secrets.token_bytes(16), _V.ByteString),
        "EventType": (kind, _V.NodeId),
        "SourceNode": (_SERVER, _V.NodeId),
        "SourceName": ("Server", _V.String),
        "Time": (now, _V.DateTime),
        "ReceiveTime": (now, _V.DateTime),
        "Message": (ua.LocalizedText(message, "en"), _V.LocalizedText),
        "Severity": (SEVERITY, _V.UInt16),
    }
    for name, (value, variant_type) in rows.items():
        made.add_property(name, value, variant_type)
    return made
