"""ConditionRefresh and ConditionRefresh2 (OPC 10000-9, 4.5, 5.5.7 and 5.5.8): what a client should have on its screen.

    RefreshStart, every retained state that the item's filter lets pass, earlier states first, RefreshEnd

It is queued for the event items of the caller's subscription; nobody else hears of it. The two marks pass every filter. States are
looked at when it is their turn, and others are served in between, so that many items with many alarms hold up nobody; what changes
meanwhile is told as ever. Until the last mark of an item has been published, another refresh of it is BadRefreshInProgress.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Final

from asyncua.common.events import Event

from cnctwin.wire.scalars import ua
from opcua_server.alarms.registry import Registry
from opcua_server.engine.contract import Core, MethodHandler, Request, ServiceFault
from opcua_server.engine.subscriptions.item import DISABLED, REPORTING

_C: Final = ua.StatusCodes
_V: Final = ua.VariantType
_SERVER: Final = ua.NodeId(ua.ObjectIds.Server, 0)
_SLICE: Final = 50
"""Conditions told of before others are served."""


class Refresh:
    def __init__(self, core: Core, registry: Registry) -> None:
        self._core = core
        self._registry = registry
        self._ends: dict[Any, bytes | None] = {}
        """Item -> the RefreshEnd it was given last, None while it is being refreshed."""

    def methods(self) -> dict[Any, MethodHandler]:
        return {
            ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh, 0): self.refresh,
            ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh2, 0): self.refresh2,
        }

    async def refresh(self, request: Request, _object: Any, given: list[Any]) -> Any:
        """All event items of a subscription."""
        items = [item for item in self._of_caller(request, given[0].Value).items.values() if item.query is not None]
        await self._refresh(items)
        return ua.CallMethodResult(ua.StatusCode(0), [], [], [])

    async def refresh2(self, request: Request, _object: Any, given: list[Any]) -> Any:
        """One event item of a subscription."""
        item = self._of_caller(request, given[0].Value).items.get(given[1].Value)
        if item is None or item.query is None:
            raise ServiceFault(_C.BadMonitoredItemIdInvalid)
        await self._refresh([item])
        return ua.CallMethodResult(ua.StatusCode(0), [], [], [])

    def _of_caller(self, request: Request, number: Any) -> Any:
        hub = self._core.subscriptions
        if number in hub.subscriptions and number not in hub.desk(request).subscriptions:
            raise ServiceFault(_C.BadUserAccessDenied)  # another session's
        return hub.owned(request, number)

    async def _refresh(self, items: Iterable[Any]) -> None:
        wanted = [item for item in items if item.mode != DISABLED]
        self._ends = {item: end for item, end in self._ends.items() if end is None or _waits(item, end)}
        if any(item in self._ends for item in wanted):
            raise ServiceFault(_C.BadRefreshInProgress)
        self._ends.update(dict.fromkeys(wanted))
        start, end = (
            _mark(ua.ObjectIds.RefreshStartEventType, "refresh begins"), _mark(ua.ObjectIds.RefreshEndEventType, "refresh ends"),
        )  # fmt: skip
        try:
            for item in wanted:
                item.offer_event(item.query.fields(start))
                await self._repeat(item)
                content = item.query.fields(end)
                item.offer_event(content)
                self._ends[item] = content
        finally:
            for item in wanted:
                if self._ends.get(item) is None:  # it was not finished
                    self._ends.pop(item, None)

    async def _repeat(self, item: Any) -> None:
        now_ns, node_id = time.time_ns(), item.slot.node_id
        for count, held in enumerate(list(self._registry), start=1):
            for branch in held.condition.retained():
                event = held.event_at(node_id, branch, now_ns)
                if event is not None and item.query.passes(event):
                    item.offer_event(item.query.fields(event), True)
            if count % _SLICE == 0:
                await asyncio.sleep(0)
        await asyncio.sleep(0)


def _waits(item: Any, content: bytes) -> bool:
    return item.queue is not None and item.mode == REPORTING and any(entry is content for entry, _ in item.queue.entries)


def _mark(kind: int, message: str) -> Event:
    now = datetime.now(UTC)
    made = Event(_SERVER)
    rows: dict[str, tuple[Any, Any]] = {
        "EventId": (uuid.uuid4().bytes, _V.ByteString),
        "EventType": (ua.NodeId(kind, 0), _V.NodeId),
        "SourceNode": (_SERVER, _V.NodeId),
        "SourceName": ("Server", _V.String),
        "Time": (now, _V.DateTime),
        "ReceiveTime": (now, _V.DateTime),
        "Message": (ua.LocalizedText(message, "en"), _V.LocalizedText),
        "Severity": (1, _V.UInt16),
    }
    for name, (value, variant_type) in rows.items():
        made.add_property(name, value, variant_type)
    return made
