"""Alarms and history, where a server has them (OPC 10000-9 and 10000-11)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cnctwin.check.caller import Caller, monitored, ua
from cnctwin.check.check import NotOffered, check, expect, status_is
from cnctwin.check.services import SERVER, TIME
from cnctwin.check.space import crawl
from cnctwin.check.subscriptions import subscribed

CONDITION_TYPE: Final = ua.NodeId(2782)
REFRESH: Final = ua.NodeId(3875)
_STARTS, _ENDS = ua.NodeId(2787), ua.NodeId(2788)
HISTORY_READ: Final = 4
MOST_TRIED: Final = 10


def _filter() -> Any:
    """EventType, Retain and ConditionId (the NodeId attribute of a condition)."""
    names = [("EventType", ua.NodeId(2041)), ("Retain", CONDITION_TYPE)]
    fields = [ua.SimpleAttributeOperand(kind, [ua.QualifiedName(name, 0)], 13) for name, kind in names]
    return ua.EventFilter([*fields, ua.SimpleAttributeOperand(CONDITION_TYPE, [], 1)])


@check("Alarms", "ConditionRefresh brings what is retained, between its two marks", "10000-9 5.5.7")
async def refresh(server: Caller) -> str:
    async with subscribed(server) as made:
        (item,) = await server.monitor(made, monitored(SERVER, attribute=12, queue=1000, wanted=_filter()))
        status_is(item.StatusCode, "Good")
        call = ua.CallMethodRequest(CONDITION_TYPE, REFRESH, [ua.Variant(made.SubscriptionId, ua.VariantType.UInt32)])
        status = (await server.results("Call", MethodsToCall=[call]))[0].StatusCode.name
        if status in ("BadMethodInvalid", "BadNotImplemented", "BadNodeIdUnknown", "BadServiceUnsupported", "BadNotSupported"):
            raise NotOffered(f"ConditionRefresh answers {status}")
        expect(status == "Good", f"ConditionRefresh answers {status}")
        kinds: list[Any] = []
        while _ENDS not in kinds:
            for data in (await server.publish()).NotificationMessage.NotificationData or []:
                for event in getattr(data, "Events", None) or []:
                    kind, retain, condition = (field.Value for field in event.EventFields)
                    kinds.append(kind)
                    if _STARTS in kinds and kind not in (_STARTS, _ENDS):
                        expect(retain is True, f"{condition} came without Retain")
                        expect(condition is not None and not condition.is_null(), "a condition without ConditionId")
        expect(kinds.count(_STARTS) == 1, f"{kinds.count(_STARTS)} RefreshStartEvents")
        return f"{len(kinds) - 2} retained conditions"


@check("History", "what says it keeps history gives it, forward and back", "10000-11 6.5.3")
async def raw(server: Caller) -> str:
    seen = await crawl(server)
    nodes = list(seen.values)
    levels = []
    for start in range(0, len(nodes), 200):
        levels += await server.read(*(ua.ReadValueId(node, 17) for node in nodes[start : start + 200]))
    kept = [
        node
        for node, level in zip(nodes, levels, strict=True)
        if level.Value is not None and int(level.Value.Value or 0) & HISTORY_READ
    ]
    if not kept:
        raise NotOffered("no variable whose history can be read")
    now = datetime.now(UTC)
    counts = []
    for node in kept[:: max(1, len(kept) // MOST_TRIED)]:
        newest = await _raw(server, node, now + timedelta(days=1), now - timedelta(days=1), 10)
        times = [value.SourceTimestamp for value in newest]
        expect(times == sorted(times, reverse=True), f"{node.to_string()}: not from the newest to the oldest")
        expect(len(newest) <= 10, f"{node.to_string()}: {len(newest)} values for a limit of 10")
        if times:
            oldest_first = await _raw(server, node, times[-1], now + timedelta(days=1), 10)
            first = oldest_first[0].SourceTimestamp if oldest_first else None
            expect(first == times[-1], f"{node.to_string()}: from {first}, not from {times[-1]}")
        counts.append(len(newest))
    return f"{len(kept)} variables with history; {sum(counts)} values of {len(counts)} read"


@check("History", "a variable without history says so", "10000-11 6.5")
async def none(server: Caller) -> str:
    result = await _history(server, TIME, datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC), 1)
    refusals = ("BadHistoryOperationUnsupported", "BadHistoryOperationInvalid", "BadNotReadable", "BadUserAccessDenied")
    return status_is(result.StatusCode, *refusals)


async def _history(server: Caller, node: Any, start: datetime, end: datetime, most: int) -> Any:
    details = ua.ReadRawModifiedDetails(
        IsReadModified=False, StartTime=start, EndTime=end, NumValuesPerNode=most, ReturnBounds=False
    )
    try:
        (result,) = await server.results(
            "HistoryRead", HistoryReadDetails=details, TimestampsToReturn=ua.TimestampsToReturn.Both,
            ReleaseContinuationPoints=False, NodesToRead=[ua.HistoryReadValueId(NodeId=node)],
        )  # fmt: skip
    except ua.UaStatusCodeError as error:
        if error.code in (ua.StatusCodes.BadServiceUnsupported, ua.StatusCodes.BadNotImplemented):
            raise NotOffered("HistoryRead is not offered") from error
        raise
    return result


async def _raw(server: Caller, node: Any, start: datetime, end: datetime, most: int) -> list[Any]:
    result = await _history(server, node, start, end, most)
    status_is(result.StatusCode, "Good", "GoodNoData", "GoodMoreData")
    return list(result.HistoryData.DataValues or []) if result.HistoryData is not None else []
