"""Events on their way to items, and what filters ask of the address space: subtypes, ranges.

asyncua's event generators end in ``subscription_service.trigger_event``; while the engine runs it leads here as well. An event
is told to the items of the node that emits it; senders name each notifier, as asyncua expects it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Final

from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import Core
from opcua_server.engine.subscriptions.item import DISABLED, Item
from opcua_server.engine.turns import Turn
from opcua_server.security.access import may_configure
from opcua_server.security.audit import SERVER

_logger = logging.getLogger(__name__)
_HAS_SUBTYPE: Final = ua.NodeId(45, 0)
_HAS_PROPERTY: Final = ua.NodeId(46, 0)
_HAS_CONFIGURATION: Final = ua.NodeId(56, 0)
_NUMBER: Final = ua.NodeId(26, 0)
_SIMPLE: Final = frozenset(range(1, 16))
"""Built-in types that a variable may have as its data type, from Boolean to ByteString."""
_BASE_EVENT: Final = ua.NodeId(2041, 0)
_AUDIT_EVENT: Final = ua.NodeId(2052, 0)
AT_ONCE: Final = 100
"""Items that hear of an event right away."""
STEP: Final = 5
MOST_WAITING: Final = 1_000
"""Events that wait to be told; beyond, they are told without turns."""


def _may_audit(item: Item) -> bool:
    """Audit events are for administrators (OPC 10000-5, 6.4.3), whoever else listens to the Server object."""
    session = item.subscription.owner.session
    return session is not None and may_configure(session.role)


class EventHub:
    def __init__(self, core: Core) -> None:
        self._core = core
        self._items: dict[Any, dict[Item, None]] = {}
        self._ancestors: dict[Any, frozenset[Any]] = {}
        self._original: Any = None
        self._waiting: deque[tuple[Any, list[Item]]] = deque()
        """Events and whom to tell of them, where there are many."""
        self._teller: asyncio.Task[None] | None = None
        self.heard: list[Callable[[Any], None]] = []
        """Called with each event, whoever monitors it or not; must not raise."""

    def start(self) -> None:
        service = self._core.server.iserver.subscription_service
        self._original = original = service.trigger_event

        async def trigger_event(event: Any, subscription_id: int | None = None) -> None:
            await original(event, subscription_id)
            if subscription_id is None:
                self.tell(event)
                for hear in self.heard:
                    hear(event)

        service.trigger_event = trigger_event
        audit = self._core.audit
        audit.tell, audit.listening = self.tell, lambda: SERVER in self._items

    def stop(self) -> None:
        self._waiting.clear()
        if self._original is not None:
            self._core.server.iserver.subscription_service.trigger_event = self._original
            self._original = None
            self._core.audit.tell = None

    def add(self, item: Item) -> None:
        self._items.setdefault(item.slot.node_id, {})[item] = None

    def remove(self, item: Item) -> None:
        items = self._items.get(item.slot.node_id, {})
        items.pop(item, None)
        if not items:
            self._items.pop(item.slot.node_id, None)

    def tell(self, event: Any) -> None:
        """Queue an event for the items of the node that emits it."""
        items = self._items.get(event.emitting_node)
        if not items:
            return
        if not self._waiting and len(items) <= AT_ONCE:
            self._offer(event, items)
            return
        if len(self._waiting) >= MOST_WAITING:
            self._offer(*self._waiting.popleft())
        self._waiting.append((event, list(items)))
        if self._teller is None or self._teller.done():
            self._teller = asyncio.get_running_loop().create_task(self._tell_in_turns())

    async def _tell_in_turns(self) -> None:
        """Filters of many items are many to work out: others are served meanwhile. Each item hears of events in their order."""
        turn = Turn()
        while self._waiting:
            event, items = self._waiting.popleft()
            for start in range(0, len(items), STEP):
                self._offer(event, items[start : start + STEP])
                if turn.is_over:
                    await turn.rest()

    def _offer(self, event: Any, items: Iterable[Item]) -> None:
        is_audit = self.is_subtype(getattr(event, "EventType", None), _AUDIT_EVENT)
        is_condition = hasattr(event, "BranchId")
        for item in items:
            if item.mode == DISABLED or item.query is None or item.number not in item.subscription.items:
                continue
            if is_audit and not _may_audit(item):
                continue
            try:
                if item.query.passes(event):
                    item.offer_event(item.query.fields(event), is_condition)
            except Exception:
                _logger.exception("an event could not be told to a monitored item")

    def is_subtype(self, node_id: Any, ancestor: Any) -> bool:
        """Whether a type is another one or derived from it."""
        if node_id is None:
            return False
        found = self._ancestors.get(node_id)
        if found is None:
            known: set[Any] = set()
            waiting = [node_id]
            while waiting:
                one = waiting.pop()
                if one in known:
                    continue
                known.add(one)
                node = self._core.aspace.get(one)
                if node is not None:
                    waiting += [r.NodeId for r in node.references if r.ReferenceTypeId == _HAS_SUBTYPE and not r.IsForward]
            found = self._ancestors[node_id] = frozenset(known)
        return ancestor in found

    def has_type(self, node_id: Any) -> bool:
        """Whether a node is an event type of the address space."""
        return node_id in self._core.aspace and self.is_subtype(node_id, _BASE_EVENT)

    def is_numeric(self, node_id: Any) -> bool:
        return self.is_subtype(self._attribute(node_id, ua.AttributeIds.DataType), _NUMBER)

    def scalar_type(self, slot: Any) -> Any:
        """VariantType of the single values that a variable has; None where it has others, or of different types."""
        variant = slot.value.Value
        if variant is not None and variant.VariantType.value:
            return None if isinstance(variant.Value, list | tuple) else variant.VariantType
        kind, rank = (self._attribute(slot.node_id, one) for one in (ua.AttributeIds.DataType, ua.AttributeIds.ValueRank))
        is_built_in = kind is not None and not kind.NamespaceIndex and kind.Identifier in _SIMPLE
        return ua.VariantType(kind.Identifier) if is_built_in and rank == -1 else None

    def is_stepped(self, node_id: Any, kind: Any) -> bool:
        """Whether a value holds until the next one: as its historical configuration says, otherwise when it is no floating point
        number."""
        for reference in self._references(node_id, _HAS_CONFIGURATION):
            for child in self._references(reference.NodeId, _HAS_PROPERTY):
                if child.BrowseName.Name == "Stepped":
                    return bool(self._attribute(child.NodeId, ua.AttributeIds.Value))
        return kind not in (ua.VariantType.Double, ua.VariantType.Float)

    def _references(self, node_id: Any, kind: Any) -> Iterable[Any]:
        node = self._core.aspace.get(node_id)
        return [r for r in node.references if r.IsForward and r.ReferenceTypeId == kind] if node is not None else []

    def range_of(self, node_id: Any) -> tuple[float, float] | None:
        """EURange of an AnalogItem, in its unit; None where it has none that makes a deadband."""
        for reference in self._references(node_id, _HAS_PROPERTY):
            if reference.BrowseName.Name == "EURange":
                value = self._attribute(reference.NodeId, ua.AttributeIds.Value)
                if isinstance(value, ua.Range) and value.High > value.Low:
                    return float(value.Low), float(value.High)
        return None

    def _attribute(self, node_id: Any, attribute: Any) -> Any:
        node = self._core.aspace.get(node_id)
        held = node.attributes.get(attribute) if node is not None else None
        value = held.value if held is not None else None
        return value.Value.Value if value is not None and value.Value is not None else None
