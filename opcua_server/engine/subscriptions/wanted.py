"""What becomes of the filter that a client asks for (OPC 10000-4, 7.22): a query for events; a data change filter or an aggregate
for values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import ServiceFault
from opcua_server.engine.subscriptions import revise
from opcua_server.engine.subscriptions.aggregated import Aggregation, revised
from opcua_server.engine.subscriptions.calculations import MOST_A_SECOND
from opcua_server.engine.subscriptions.filters import EventQuery, check
from opcua_server.engine.subscriptions.item import Item
from opcua_server.engine.subscriptions.queues import UNFILTERED, DataChange, percent_deadband
from opcua_server.engine.subscriptions.ranged import RangedSlot

_C: Final = ua.StatusCodes
_DataChangeFilter: Final = ua.uaprotocol_auto.DataChangeFilter  # what is decoded; ua.DataChangeFilter is derived from it
EVENT_NOTIFIER, VALUE = 12, 13
_TERMS_PER_SESSION: Final = 20_000
"""Fields and operands of the event filters of all its items together, a kilobyte each; aggregates count as some."""
_NUMBERS: Final = frozenset(range(2, 12))
"""Built-in types a deadband can be applied to."""
_MADE_MS: Final = 100.0
"""A value that is made when it is asked for has to be asked."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """``query`` of an item of events; ``change`` of one of values. ``result``: FilterResult, None where there is none."""

    interval_ms: float
    query: EventQuery | None
    change: DataChange | Aggregation
    result: Any = None

    @property
    def size(self) -> int:
        """How many terms it has."""
        return self.query.size if self.query is not None else self.change.size


def wanted(hub: Any, item: Item, parameters: Any, left: int) -> Wanted:
    """Checked, and nothing is changed yet. ``left``: entries of queues that may still be promised. Raises ServiceFault; its
    ``result`` is the FilterResult of a filter that cannot be."""
    given = parameters.Filter
    if item.slot.attribute == EVENT_NOTIFIER:
        found = _events(hub, given)
    else:
        interval_ms = revise.sampling_interval(parameters.SamplingInterval, item.subscription.terms.interval_ms)
        if interval_ms == 0 and getattr(item.slot, "is_live", False):
            interval_ms = _MADE_MS
        interval_ms = hub.sampled_at(interval_ms)
        if isinstance(given, ua.AggregateFilter):
            queue_size = revise.queue_size(parameters.QueueSize, False, left)
            found = _aggregate(hub, item, given, interval_ms, queue_size)
        else:
            found = Wanted(interval_ms, None, _change(hub, item.slot, given))
    _bound(item, found.size)
    return found


def size_of(item: Item) -> int:
    """How many terms the filter of an item has."""
    return item.query.size if item.query is not None else item.change.size


def _bound(item: Item, size: int) -> None:
    """Filters of a session are bounded all together: each of ten thousand items could have a long one."""
    if not size:
        return
    held = sum(one.terms_of_filters for one in item.subscription.owner.subscriptions.values())
    if item.number in item.subscription.items:
        held -= size_of(item)
    if held + size > _TERMS_PER_SESSION:
        raise ServiceFault(_C.BadTooManyMonitoredItems)


def _events(hub: Any, given: Any) -> Wanted:
    if not isinstance(given, ua.EventFilter):
        raise ServiceFault(_C.BadEventFilterInvalid)
    status, result = check(given, hub.events.has_type)
    if status:
        fault = ServiceFault(status)
        fault.result = result  # type: ignore[attr-defined]
        raise fault
    return Wanted(0.0, EventQuery(given, hub.events.is_subtype), UNFILTERED, result)


def _change(hub: Any, slot: Any, given: Any) -> DataChange:
    if given is None or (isinstance(given, ua.ExtensionObject) and given.TypeId.is_null()):
        return UNFILTERED
    if not isinstance(given, _DataChangeFilter):
        raise ServiceFault(_C.BadFilterNotAllowed if isinstance(given, ua.EventFilter) else _C.BadMonitoredItemFilterInvalid)
    trigger = int(given.Trigger)
    if trigger not in (0, 1, 2):
        raise ServiceFault(_C.BadMonitoredItemFilterInvalid)
    if given.DeadbandType == 0:
        return DataChange(trigger)
    if given.DeadbandType not in (1, 2):
        raise ServiceFault(_C.BadDeadbandFilterInvalid)
    if slot.attribute != VALUE:
        raise ServiceFault(_C.BadFilterNotAllowed)
    value = given.DeadbandValue
    if not math.isfinite(value) or value < 0 or (given.DeadbandType == 2 and value > 100):
        raise ServiceFault(_C.BadDeadbandFilterInvalid)
    if not _is_number(hub, slot):
        raise ServiceFault(_C.BadFilterNotAllowed)
    if given.DeadbandType == 2:
        low_high = hub.events.range_of(slot.node_id)
        if low_high is None:
            raise ServiceFault(_C.BadMonitoredItemFilterUnsupported)
        value = percent_deadband(value, *low_high)
    return DataChange(trigger, value)


def _is_number(hub: Any, slot: Any) -> bool:
    variant = slot.value.Value
    if variant is not None and variant.VariantType.value:
        return variant.VariantType.value in _NUMBERS
    return bool(hub.events.is_numeric(slot.node_id))


def _aggregate(hub: Any, item: Item, given: Any, interval_ms: float, queue_size: int) -> Wanted:
    slot = item.slot
    if slot.attribute != VALUE:
        raise ServiceFault(_C.BadFilterNotAllowed)
    if getattr(slot, "is_personal", False):
        raise ServiceFault(_C.BadMonitoredItemFilterUnsupported, "Who looks decides what this shows")
    kind = hub.events.scalar_type(slot)
    if kind is None:
        raise ServiceFault(_C.BadMonitoredItemFilterUnsupported, "Aggregates are of single values of one type")
    calculations = hub.calculations
    is_stepped, publishing_ms = hub.events.is_stepped(slot.node_id, kind), item.subscription.terms.interval_ms
    is_kept = calculations.past is not None and not isinstance(slot, RangedSlot) and calculations.past.has(slot.node_id)
    past = queue_size if is_kept else None
    terms, result = revised(given, kind, is_stepped, interval_ms, publishing_ms, calculations.now(), past)
    before = item.change.terms.rate if isinstance(item.change, Aggregation) else 0.0
    if calculations.rate - before + terms.rate > MOST_A_SECOND:
        raise ServiceFault(_C.BadResourceUnavailable, "More aggregates are asked for than are worked out in time")
    change = Aggregation(terms, calculations.now, calculations.begun, calculations.ended)
    change.item = item
    return Wanted(terms.sampling_ms, None, change, result)
