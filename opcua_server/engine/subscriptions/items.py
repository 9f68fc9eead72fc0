"""MonitoredItem service set (OPC 10000-4, 5.13): requests against the items of a subscription."""

from __future__ import annotations

import struct
from typing import Any, Final

from cnctwin.wire import encode
from cnctwin.wire.scalars import ua
from opcua_server.engine.attributes import may_read
from opcua_server.engine.contract import LARGE, Request, ServiceFault
from opcua_server.engine.ranges import parse
from opcua_server.engine.subscriptions import revise
from opcua_server.engine.subscriptions.columns import ColumnSlot
from opcua_server.engine.subscriptions.costs import ENTRY, PLAIN, QUEUED, cost, cost_with, entry
from opcua_server.engine.subscriptions.item import DISABLED, NO_LINKS, REPORTING, SAMPLING, Item
from opcua_server.engine.subscriptions.personal import PersonalSlot
from opcua_server.engine.subscriptions.queues import UNFILTERED, EventQueue
from opcua_server.engine.subscriptions.ranged import RangedSlot
from opcua_server.engine.subscriptions.renewed import let_go, seen_by, take_up
from opcua_server.engine.subscriptions.subscription import Subscription
from opcua_server.engine.subscriptions.wanted import EVENT_NOTIFIER, size_of, wanted
from opcua_server.engine.turns import Turn

_C: Final = ua.StatusCodes
_QUEUED_PER_SESSION: Final = 200_000
"""Entries that all queues of a session may promise together."""
_SURE: Final = 1_000
"""Items that a session may have in any case: queues leave room for them."""


class ItemServices:
    def __init__(self, hub: Any) -> None:
        self._hub = hub

    # Create ----------------------------------------------------------------------------------------------------------

    async def create(self, request: Request, asked: Any) -> Any:
        hub = self._hub
        subscription = hub.owned(request, asked.SubscriptionId)
        self._bound(asked.ItemsToCreate)
        timestamps = _timestamps(asked.TimestampsToReturn)
        subscription.touch()
        made, turn = [], Turn()
        for one in asked.ItemsToCreate:
            if turn.is_over:
                await turn.rest()
                subscription = hub.owned(request, asked.SubscriptionId)
            try:
                result = self._create(request, subscription, one, timestamps)
            except ServiceFault as fault:
                request.answer.reasons.fault(len(made), fault)
                result = _made(ua.MonitoredItemCreateResult, fault.status, result=getattr(fault, "result", None))
            made.append(encode(result))
        subscription.changed_items()
        return _all_of(made)

    def _create(self, request: Request, subscription: Subscription, asked: Any, timestamps: int) -> Any:
        hub = self._hub
        if subscription.owner.item_count() >= hub.limits.items_per_session:
            raise ServiceFault(_C.BadTooManyMonitoredItems)
        mode = _mode(asked.MonitoringMode)
        target, parameters = asked.ItemToMonitor, asked.RequestedParameters
        role = request.session.role if request.session is not None else None
        if not may_read(hub.core.rights, target.NodeId, target.AttributeId, role):
            raise ServiceFault(_C.BadUserAccessDenied)
        is_event = target.AttributeId == EVENT_NOTIFIER
        slot = self._slot(request, subscription, target, is_event)
        item = Item(subscription, subscription.next_item, slot, parameters.ClientHandle, mode, timestamps)
        large = 0 if is_event else self._large(subscription, slot)
        result = self._apply(item, parameters)
        if large:
            subscription.large[item.number] = large
        subscription.next_item += 1
        subscription.items[item.number] = item
        item.attach()
        if is_event:
            hub.events.add(item)
        return _made(ua.MonitoredItemCreateResult, 0, item, result)

    def _slot(self, request: Request, subscription: Subscription, target: Any, is_event: bool) -> Any:
        hub = self._hub
        slot = hub.core.values.slot(target.NodeId, target.AttributeId)
        hub.core.attributes.check_encoding(target, slot)
        if getattr(slot, "is_passing", False) and hub.core.values.passing.hides(target.NodeId, request.session):
            raise ServiceFault(_C.BadUserAccessDenied)
        if getattr(slot, "is_passing", False) or hub.core.attributes.depends_on_user(target.NodeId, target.AttributeId):
            slot = PersonalSlot(slot, subscription, hub.core, request.security)
        if is_event:
            notifier = slot.value.Value.Value if slot.value.Value is not None else 0
            if not int(notifier or 0) & 1:
                raise ServiceFault(_C.BadNotSupported)
            return slot
        if target.IndexRange:
            return RangedSlot(slot, parse(target.IndexRange))
        return slot

    def _large(self, subscription: Subscription, slot: Any) -> int:
        """Bytes of the value, where it is a large one: each message has it as often as there are items, and messages are kept.
        Raises ServiceFault."""
        if isinstance(slot, ColumnSlot):
            return 0
        size = len(encode(slot.value)) if isinstance(slot, PersonalSlot | RangedSlot) else len(slot.encoded())
        if size <= LARGE:
            return 0
        held = sum(sum(one.large.values()) for one in subscription.owner.subscriptions.values() if one.large)
        if held + size > self._hub.limits.large_bytes_per_session:
            raise ServiceFault(_C.BadTooManyMonitoredItems, "The items of a session watch too many large values")
        return size

    def _apply(self, item: Item, parameters: Any) -> Any:
        """Take over the requested parameters; the filter result, or None. Raises ServiceFault before anything is changed."""
        hub, desk, subscription = self._hub, item.subscription.owner, item.subscription
        is_event, discard_oldest = item.slot.attribute == EVENT_NOTIFIER, bool(parameters.DiscardOldest)
        is_known = item.number in subscription.items
        before, queued, terms = (cost(item), item.queue_size, size_of(item)) if is_known else (0, 0, 0)
        left = hub.shares.left(desk.session) + before
        promised = _QUEUED_PER_SESSION - sum(one.promised for one in desk.subscriptions.values()) + queued
        found = wanted(hub, item, parameters, max(1, min(promised, left // ENTRY)))
        left -= cost_with(item, found.query, found.change, 1, discard_oldest)
        if left < 0:
            raise ServiceFault(_C.BadTooManyMonitoredItems, "All sessions together watch as much as the server takes")
        spare = (left - QUEUED - PLAIN * max(0, _SURE - desk.item_count())) // entry(found.query)
        queue_size = revise.queue_size(parameters.QueueSize, is_event, max(1, min(promised, spare)))

        old, item.query, item.change = item.change, found.query, found.change
        item.discard_oldest, item.queue_size = discard_oldest, queue_size
        item.handle, item.interval_ms = parameters.ClientHandle, found.interval_ms
        item.sampler = None if is_event else hub.sampler(found.interval_ms)
        hub.shares.change(desk.session, cost(item) - before)
        subscription.terms_of_filters += found.size - terms
        subscription.promised += queue_size - queued
        old.stop()
        if item.queue is not None:  # the same filter goes on with what it has seen
            item.change = old if found.change == old else found.change.anew()
        return found.result

    # Modify, mode, triggering, delete --------------------------------------------------------------------------------

    async def modify(self, request: Request, asked: Any) -> Any:
        subscription = self._hub.owned(request, asked.SubscriptionId)
        self._bound(asked.ItemsToModify)
        timestamps = _timestamps(asked.TimestampsToReturn)
        subscription.touch()
        made, turn = [], Turn()
        for one in asked.ItemsToModify:
            if turn.is_over:
                await turn.rest()
                subscription = self._hub.owned(request, asked.SubscriptionId)
            item = subscription.items.get(one.MonitoredItemId)
            if item is None:
                request.answer.reasons.note(len(made), _C.BadMonitoredItemIdInvalid)
                made.append(encode(_made(ua.MonitoredItemModifyResult, _C.BadMonitoredItemIdInvalid)))
                continue
            try:
                result = self._modify(item, one.RequestedParameters, timestamps)
            except ServiceFault as fault:
                request.answer.reasons.fault(len(made), fault)
                result = _made(ua.MonitoredItemModifyResult, fault.status, result=getattr(fault, "result", None))
            made.append(encode(result))
        subscription.changed_items()
        self._hub.settle()
        return _all_of(made)

    def _modify(self, item: Item, parameters: Any, timestamps: int) -> Any:
        before, old_sampler, seen = _way(item), item.sampler, seen_by(item)
        result = self._apply(item, parameters)
        item.timestamps = timestamps
        if item.mode == DISABLED:
            return _made(ua.MonitoredItemModifyResult, 0, item, result)
        if item.query is None and before != _way(item):
            # Another way of sampling: what is queued stays queued, and the value it now sees is judged by the new filter.
            item.sampler, new_sampler = old_sampler, item.sampler
            had = let_go(item, seen)
            item.sampler = new_sampler
            take_up(item, had)
        elif item.queue is not None:
            if isinstance(item.queue, EventQueue):
                item.queue.entry = entry(item.query)
            item.queue.resize(item.queue_size, item.discard_oldest)
        elif item.rows is not None:
            item.fit_backlog()
        return _made(ua.MonitoredItemModifyResult, 0, item, result)

    def set_mode(self, request: Request, asked: Any) -> bytes:
        subscription = self._hub.owned(request, asked.SubscriptionId)
        mode = _mode(asked.MonitoringMode)
        self._bound(asked.MonitoredItemIds)
        subscription.touch()
        statuses = []
        for number in asked.MonitoredItemIds:
            item = subscription.items.get(number)
            statuses.append(0 if item is not None else int(_C.BadMonitoredItemIdInvalid))
            if item is not None and item.mode != mode:
                if self._hub.shares.take(subscription.owner.session, cost(item, mode=mode) - cost(item)):
                    self._switch(item, mode)
                else:
                    statuses[-1] = int(_C.BadTooManyMonitoredItems)
        subscription.changed_items()
        return results(request, statuses)

    @staticmethod
    def _switch(item: Item, mode: int) -> None:
        if item.query is not None or (item.queue is not None and mode != DISABLED and not item.is_plain_in(mode)):
            item.mode = mode
            if mode == DISABLED:
                item.detach()
            elif item.queue is None:
                item.attach()
            if mode == REPORTING and item.queue is not None and item.queue.entries:
                item.subscription.ready[item] = None
            elif mode != REPORTING:
                item.subscription.ready.pop(item, None)
            return
        if DISABLED in (mode, item.mode):
            item.detach()
            item.subscription.ready.pop(item, None)
            item.mode = mode
            item.attach()
        else:
            had = let_go(item, seen_by(item))
            item.mode = mode
            take_up(item, had)

    def set_triggering(self, request: Request, asked: Any) -> Any:
        subscription = self._hub.owned(request, asked.SubscriptionId)
        if not asked.LinksToAdd and not asked.LinksToRemove:
            raise ServiceFault(_C.BadNothingToDo)
        if len(asked.LinksToAdd or []) + len(asked.LinksToRemove or []) > self._hub.limits.items_per_session:
            raise ServiceFault(_C.BadTooManyOperations)
        item = subscription.items.get(asked.TriggeringItemId)
        if item is None:
            raise ServiceFault(_C.BadMonitoredItemIdInvalid)
        subscription.touch()
        removed, added = [], []
        links = dict(item.links)
        for number in asked.LinksToRemove or []:
            removed.append(0 if links.pop(number, None) is not None else int(_C.BadMonitoredItemIdInvalid))
        for number in asked.LinksToAdd or []:
            linked = subscription.items.get(number)
            added.append(0 if linked is not None else int(_C.BadMonitoredItemIdInvalid))
            if linked is not None:
                links[number] = linked
        others = sum(len(one.links) for one in subscription.items.values()) - len(item.links)
        if others + len(links) > self._hub.limits.items_per_session:
            raise ServiceFault(_C.BadTooManyOperations, "The items of a subscription have too many links")
        if not self._hub.shares.take(subscription.owner.session, cost(item, links=links) - cost(item)):
            raise ServiceFault(_C.BadTooManyOperations, "All sessions together have as many links as the server takes")
        had = let_go(item, seen_by(item)) if item.is_direct and links else None
        for number in set(item.links) - set(links):
            item.links[number].linked_from.pop(item.number, None)
        item.links = links or NO_LINKS
        for linked in links.values():
            if linked.linked_from is NO_LINKS:
                linked.linked_from = {}
            linked.linked_from[item.number] = item
        if had is not None:
            take_up(item, had)
        subscription.changed_items()
        infos = request.answer.reasons.infos
        return ua.SetTriggeringResult(
            [ua.StatusCode(one) for one in added], infos(added), [ua.StatusCode(one) for one in removed], infos(removed)
        )

    async def delete(self, request: Request, asked: Any) -> bytes:
        subscription = self._hub.owned(request, asked.SubscriptionId)
        self._bound(asked.MonitoredItemIds)
        subscription.touch()
        statuses, turn = [], Turn()
        for number in asked.MonitoredItemIds:
            if turn.is_over:
                await turn.rest()
            item = subscription.items.get(number)
            statuses.append(0 if item is not None else int(_C.BadMonitoredItemIdInvalid))
            if item is not None:
                self.drop(item)
        self._hub.settle()
        return results(request, statuses)

    def drop(self, item: Item) -> None:
        """Remove an item, its links in both directions, and what it watches."""
        freed = cost(item) if item.number in item.subscription.items else 0
        for linked in item.links.values():
            linked.linked_from.pop(item.number, None)
        for source in list(item.linked_from.values()):
            freed += cost(source)
            source.links.pop(item.number, None)
            freed -= cost(source)
        self._hub.shares.change(item.subscription.owner.session, -freed)
        # is_plain depends on links; what was attached is what is released
        item.detach()
        if item.query is not None:
            self._hub.events.remove(item)
        item.subscription.items.pop(item.number, None)
        item.subscription.large.pop(item.number, None)
        item.subscription.promised -= item.queue_size
        item.subscription.terms_of_filters -= size_of(item)
        item.change = UNFILTERED
        item.subscription.removed(item)

    def _bound(self, operations: Any) -> None:
        if not operations:
            raise ServiceFault(_C.BadNothingToDo)
        if len(operations) > self._hub.limits.items_per_session:
            raise ServiceFault(_C.BadTooManyOperations)


def _way(item: Item) -> tuple[Any, ...]:
    """How an item watches: another one means to attach it anew."""
    return item.sampler, item.is_plain, item.change.deadband, item.change.trigger


def _mode(mode: Any) -> int:
    if int(mode) not in (DISABLED, SAMPLING, REPORTING):
        raise ServiceFault(_C.BadMonitoringModeInvalid)
    return int(mode)


def _timestamps(asked: Any) -> int:
    if int(asked) not in (0, 1, 2, 3):
        raise ServiceFault(_C.BadTimestampsToReturnInvalid)
    return int(asked)


def _made(kind: Any, status: int, item: Item | None = None, result: Any = None) -> Any:
    made = kind(StatusCode=ua.StatusCode(status))
    if result is not None:
        made.FilterResult = result
    if item is not None:
        made.RevisedSamplingInterval = item.interval_ms
        made.RevisedQueueSize = item.queue_size
        if kind is ua.MonitoredItemCreateResult:
            made.MonitoredItemId = item.number
    return made


def _all_of(made: list[bytes]) -> bytes:
    """Results, encoded, and no DiagnosticInfos, as both services answer."""
    return b"".join((struct.pack("<i", len(made)), *made, struct.pack("<i", 0)))


def results(request: Request, statuses: list[int]) -> bytes:
    """Results that are nothing but statuses."""
    for place, status in enumerate(statuses):
        if status:
            request.answer.reasons.note(place, status)
    return struct.pack(f"<i{len(statuses)}Ii", len(statuses), *statuses, 0)
