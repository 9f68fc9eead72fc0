"""A slot that is set by hand, an answer that keeps what it was given, and a subscription at a desk."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import datetime
from typing import Any

from cnctwin.wire import decode, encode
from cnctwin.wire.scalars import ua
from opcua_server.engine.subscriptions.columns import Changes
from opcua_server.engine.subscriptions.feeds import Sampler
from opcua_server.engine.subscriptions.item import Item
from opcua_server.engine.subscriptions.panel import Panels
from opcua_server.engine.subscriptions.publishing import Desk
from opcua_server.engine.subscriptions.subscription import Subscription, Terms

MOMENT = datetime(2026, 1, 2, 3, 4, 5)


class HandSlot:
    def __init__(self, value: Any = 0.0, attribute: int = 13) -> None:
        self.node_id = ua.NodeId(1, 2)
        self.attribute = attribute
        self.value = data_value(value)
        self._watchers: list[Callable[[Any], None]] = []

    def encoded(self) -> bytes:
        return encode(self.value)

    def watch(self, changed: Callable[[Any], None]) -> None:
        self._watchers.append(changed)

    def unwatch(self, changed: Callable[[Any], None]) -> None:
        self._watchers.remove(changed)

    def set(self, value: Any, status: int = 0) -> None:
        self.value = data_value(value, status)
        for watcher in list(self._watchers):
            watcher(self)

    @property
    def is_watched(self) -> bool:
        return bool(self._watchers)


def data_value(value: Any, status: int = 0) -> Any:
    return ua.DataValue(ua.Variant(value), ua.StatusCode(status), MOMENT, MOMENT)


class Kept:
    """An Answer that keeps the response."""

    def __init__(self) -> None:
        self.is_open = True
        self.backlog = 0
        self.body: bytes | None = None
        self.status: int | None = None

    @property
    def is_ready(self) -> bool:
        return self.is_open and not self.backlog

    def send(self, response_type: int, body: Any, *, status: int = 0) -> None:
        assert self.body is None
        assert self.status is None
        assert response_type == 829
        self.body = bytes(body)

    def publish(self, subscription: int, sequence: int, ticks: int, elements: int, data: bytes, results: bytes) -> None:
        head = struct.pack("<IiI?Iqi", subscription, 1, sequence, False, sequence, ticks, elements)
        self.send(829, head + data + results)

    def fault(self, status: int) -> None:
        assert self.body is None
        self.status = status

    @property
    def result(self) -> Any:
        assert self.body is not None
        return decode(ua.PublishResult, self.body)


class Rig:
    """One desk with one subscription; ``tick`` is a publishing cycle."""

    def __init__(self, **terms: Any) -> None:
        self.changes = Changes()
        self.panels = Panels(self.changes)
        self.desk = Desk(10)
        self.samplers: dict[float, Sampler] = {}
        self.number = 0
        self.subscription = self.subscribe(**terms)

    def subscribe(self, *, priority: int = 0, limit: int = 0, keep_alive: int = 3, lifetime: int = 9) -> Subscription:
        self.number += 1
        made = Subscription(
            self.number, Terms(100.0, lifetime, keep_alive, limit, priority), True, self.changes, self.panels, retained=5
        )
        self.desk.add(made)
        return made

    def item(
        self, slot: Any, handle: int = 1, *, interval: float = 0.0, on: Subscription | None = None, mode: int = 2, **options: Any
    ) -> Item:
        subscription = on or self.subscription
        item = Item(subscription, subscription.next_item, slot, handle, mode, 2)
        for name, value in options.items():
            setattr(item, name, value)
        item.sampler = self.samplers.setdefault(interval, Sampler(interval, self.changes))
        subscription.next_item += 1
        subscription.items[item.number] = item
        item.attach()
        subscription.changed_items()
        return item

    def ask(self, expires: float = 1e9) -> Kept:
        kept = Kept()
        if self.desk.request((kept, expires, b"", 0)):
            self.desk.serve_waiting(0.0, 0)
        return kept

    def tick(self, subscription: Subscription | None = None, now: float = 0.0) -> bool:
        return self.desk.cycle(subscription or self.subscription, now, 0)

    def values(self) -> list[tuple[int, Any, int]]:
        """(client handle, value, status) of the next message."""
        kept = self.ask()
        if kept.body is None:
            self.tick()
        return told(kept.result)


def told(result: Any) -> list[tuple[int, Any, int]]:
    found = []
    for data in result.NotificationMessage.NotificationData or []:
        for one in data.MonitoredItems:
            value = one.Value.Value
            found.append((one.ClientHandle, None if value is None else value.Value, one.Value.StatusCode.value))
    return found
