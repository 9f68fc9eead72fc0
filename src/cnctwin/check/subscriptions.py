"""Subscriptions and monitored items (OPC 10000-4, 5.13 and 5.14)."""

from __future__ import annotations

import contextlib
import itertools
import math
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from cnctwin.check.caller import Caller, monitored, ua
from cnctwin.check.check import NotOffered, check, expect, refused, status_is
from cnctwin.check.services import NOWHERE, SERVER, TIME

STATE = ua.NodeId(2259)
_LEVEL, _END = ua.NodeId(2267), ua.NodeId(2358)
"""ServiceLevel, which every server has, and the aggregate of the last value."""
MOST_NEWS = 50


@contextlib.asynccontextmanager
async def subscribed(server: Caller, interval_ms: float = 100.0, **more: Any) -> AsyncIterator[Any]:
    made = await server.subscribe(interval_ms, **more)
    try:
        yield made
    finally:
        with contextlib.suppress(ua.UaError, TimeoutError):
            await server.delete(made)


async def _news(server: Caller, least: int) -> list[tuple[int, Any]]:
    """(client handle, DataValue or event fields) until there are so many."""
    found: list[tuple[int, Any]] = []
    for _ in range(MOST_NEWS):
        message = (await server.publish()).NotificationMessage
        for data in message.NotificationData or []:
            found += [(one.ClientHandle, one.Value) for one in getattr(data, "MonitoredItems", None) or []]
            found += [(one.ClientHandle, one.EventFields) for one in getattr(data, "Events", None) or []]
        if len(found) >= least:
            break
    expect(len(found) >= least, f"{len(found)} of {least} notifications in {MOST_NEWS} messages")
    return found


@check("Subscription", "intervals and counts that cannot be are revised", "10000-4 5.14.2.2")
async def revised(server: Caller) -> str:
    seen = []
    for asked in (0.0, -1.0, math.nan, 1e12):
        async with subscribed(server, asked, RequestedLifetimeCount=1, RequestedMaxKeepAliveCount=0) as made:
            interval = made.RevisedPublishingInterval
            expect(math.isfinite(interval) and interval > 0, f"an interval of {asked} ms became {interval}")
            alive, lifetime = made.RevisedMaxKeepAliveCount, made.RevisedLifetimeCount
            expect(alive >= 1, "a keep-alive count of 0 was kept")
            expect(lifetime >= 3 * alive, f"a lifetime of {lifetime} for a keep-alive count of {alive}")
            seen.append(f"{asked:g}: {interval:g} ms")
    return ", ".join(seen)


@check("Subscription", "values that change arrive, with the handle asked for", "10000-4 5.13.1")
async def changes(server: Caller) -> str:
    async with subscribed(server) as made:
        (item,) = await server.monitor(made, monitored(TIME, 4711))
        status_is(item.StatusCode, "Good")
        found = await _news(server, 3)
        expect({handle for handle, _ in found} == {4711}, "another client handle")
        values = [value.Value.Value for _, value in found]
        expect(values == sorted(values) and values[0] != values[-1], "CurrentTime does not go on")
        return f"{len(found)} values"


@check("Subscription", "what does not change is told once, then keep-alives", "10000-4 5.14.1")
async def keep_alive(server: Caller) -> None:
    async with subscribed(server, 50.0, RequestedMaxKeepAliveCount=2) as made:
        await server.monitor(made, monitored(STATE))
        first = await server.publish()
        expect(first.NotificationMessage.NotificationData, "the first message has no value")
        second = await server.publish((made.SubscriptionId, first.NotificationMessage.SequenceNumber))
        expect(not second.NotificationMessage.NotificationData, "a value that did not change came twice")
        status_is(second.Results[0], "Good")
        number = second.NotificationMessage.SequenceNumber
        expect(number == first.NotificationMessage.SequenceNumber + 1, f"a keep-alive with sequence number {number}")


@check("Subscription", "what cannot be monitored says why", "10000-4 5.13.2.4")
async def unmonitorable(server: Caller) -> None:
    percent = ua.DataChangeFilter(ua.DataChangeTrigger.StatusValue, int(ua.DeadbandType.Absolute), 1.0)
    async with subscribed(server) as made:
        node, attribute, deadband, event = await server.monitor(
            made, monitored(NOWHERE), monitored(TIME, attribute=99), monitored(ua.NodeId(2261), wanted=percent),
            monitored(TIME, wanted=ua.EventFilter()),
        )  # fmt: skip
        status_is(node.StatusCode, "BadNodeIdUnknown")
        status_is(attribute.StatusCode, "BadAttributeIdInvalid")
        status_is(deadband.StatusCode, "BadFilterNotAllowed", "BadMonitoredItemFilterUnsupported")
        status_is(event.StatusCode, "BadFilterNotAllowed")
        await refused(
            server, "CreateMonitoredItems", "BadNothingToDo", SubscriptionId=made.SubscriptionId, ItemsToCreate=[],
            TimestampsToReturn=ua.TimestampsToReturn.Both,
        )  # fmt: skip


@check("Subscription", "items are changed, switched off and deleted", "10000-4 5.13.3-6")
async def managed(server: Caller) -> None:
    async with subscribed(server) as made:
        (item,) = await server.monitor(made, monitored(TIME))
        change = ua.MonitoredItemModifyRequest(item.MonitoredItemId, ua.MonitoringParameters(9, 500.0, None, 5, True))
        (modified,) = await server.results(
            "ModifyMonitoredItems", SubscriptionId=made.SubscriptionId, TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToModify=[change],
        )  # fmt: skip
        status_is(modified.StatusCode, "Good")
        ids = [item.MonitoredItemId, 4_000_000_000]
        statuses = await server.results(
            "SetMonitoringMode", SubscriptionId=made.SubscriptionId, MonitoringMode=ua.MonitoringMode.Disabled, MonitoredItemIds=ids
        )
        status_is(statuses[0], "Good")
        status_is(statuses[1], "BadMonitoredItemIdInvalid")
        statuses = await server.results("DeleteMonitoredItems", SubscriptionId=made.SubscriptionId, MonitoredItemIds=ids)
        status_is(statuses[0], "Good")
        status_is(statuses[1], "BadMonitoredItemIdInvalid")


@check("Subscription", "a subscription that is not there", "10000-4 5.14")
async def unknown_subscription(server: Caller) -> None:
    number = 4_000_000_000
    (deleted,) = await server.results("DeleteSubscriptions", SubscriptionIds=[number])
    status_is(deleted, "BadSubscriptionIdInvalid")
    (switched,) = await server.results("SetPublishingMode", PublishingEnabled=True, SubscriptionIds=[number])
    status_is(switched, "BadSubscriptionIdInvalid")
    await refused(
        server, "ModifySubscription", "BadSubscriptionIdInvalid", SubscriptionId=number, RequestedPublishingInterval=100.0,
        RequestedLifetimeCount=100, RequestedMaxKeepAliveCount=10,
    )  # fmt: skip
    await refused(server, "Publish", "BadNoSubscription", SubscriptionAcknowledgements=[])


@check("Subscription", "messages are sent again until they are acknowledged", "10000-4 5.14.6")
async def republished(server: Caller) -> None:
    async with subscribed(server) as made:
        await server.monitor(made, monitored(TIME))
        sent = (await server.publish()).NotificationMessage
        again = await server("Republish", SubscriptionId=made.SubscriptionId, RetransmitSequenceNumber=sent.SequenceNumber)
        message = getattr(again, "NotificationMessage", again)
        expect(message.SequenceNumber == sent.SequenceNumber, "another message")
        await server.publish((made.SubscriptionId, sent.SequenceNumber))
        await refused(
            server, "Republish", "BadMessageNotAvailable", SubscriptionId=made.SubscriptionId,
            RetransmitSequenceNumber=sent.SequenceNumber,
        )  # fmt: skip


@check("Subscription", "more values than a message may hold come in several", "10000-4 5.14.5")
async def more_notifications(server: Caller) -> None:
    async with subscribed(server, MaxNotificationsPerPublish=2) as made:
        await server.monitor(made, *(monitored(STATE, handle) for handle in range(5)))
        first = await server.publish()
        count = len(first.NotificationMessage.NotificationData[0].MonitoredItems)
        expect(count <= 2, f"{count} notifications in a message of at most 2")
        expect(first.MoreNotifications, "MoreNotifications is not set")


@check("Subscription", "aggregates are worked out interval by interval, or refused", "10000-4 7.22.4")
async def aggregates(server: Caller) -> str:
    start, unknown = datetime(2026, 1, 1, tzinfo=UTC), ua.NodeId("cnctwin check: no such aggregate", 0)
    defaults = ua.AggregateConfiguration(UseServerCapabilitiesDefaults=True)
    async with subscribed(server) as made:
        item, other = await server.monitor(
            made, monitored(_LEVEL, queue=20, wanted=ua.AggregateFilter(start, _END, 500.0, defaults)),
            monitored(_LEVEL, wanted=ua.AggregateFilter(start, unknown, 500.0, defaults)),
        )  # fmt: skip
        if item.StatusCode.name in ("BadMonitoredItemFilterUnsupported", "BadAggregateNotSupported", "BadFilterNotAllowed"):
            raise NotOffered(item.StatusCode.name)
        status_is(item.StatusCode, "Good")
        status_is(other.StatusCode, "BadAggregateNotSupported")
        revised = item.FilterResult
        expect(isinstance(revised, ua.AggregateFilterResult), "the filter is taken, and no AggregateFilterResult says how")
        length = timedelta(milliseconds=revised.RevisedProcessingInterval)
        expect(length > timedelta(0), f"a ProcessingInterval of {revised.RevisedProcessingInterval} ms")
        ends = [value.ServerTimestamp for _, value in await _news(server, 2)]
        steps = {later - earlier for earlier, later in itertools.pairwise(ends)}
        expect(steps == {length}, f"intervals of {length} that end at {', '.join(map(str, ends))}")
        return f"every {revised.RevisedProcessingInterval:g} ms"


def select(*names: str) -> Any:
    """An event filter that gives these fields of BaseEventType."""
    wanted = [ua.SimpleAttributeOperand(ua.NodeId(2041), [ua.QualifiedName(name, 0)], 13) for name in names]
    return ua.EventFilter(wanted)


@check("Events", "events of the Server object can be monitored; fields that are none are told", "10000-4 7.22.3")
async def events(server: Caller) -> None:
    async with subscribed(server) as made:
        good, bad = await server.monitor(
            made, monitored(SERVER, attribute=12, queue=10, wanted=select("EventId", "EventType", "Severity", "Message")),
            monitored(SERVER, attribute=12, wanted=select("cnctwin check: no such field")),
        )  # fmt: skip
        status_is(good.StatusCode, "Good")
        result = bad.FilterResult
        told = bool(result is not None and getattr(result, "SelectClauseResults", None))
        expect(told or bad.StatusCode.is_good(), f"{bad.StatusCode.name}, and not which field is wrong")
