"""History, where a server has it (OPC 10000-11). Nothing of it is changed: what is tried names what is not there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cnctwin.check.caller import Caller, ua
from cnctwin.check.check import NotOffered, check, expect, status_is
from cnctwin.check.services import TIME
from cnctwin.check.space import crawl

HISTORY_READ: Final = 4
HISTORY_WRITE: Final = 8
MOST_TRIED: Final = 10
_CAPABILITIES: Final = {
    "InsertData": 11196, "ReplaceData": 11197, "UpdateData": 11198, "DeleteRaw": 11199, "DeleteAtTime": 11200,
}  # fmt: skip
"""Properties of HistoryServerCapabilities that say what HistoryUpdate can do."""


async def _kept(server: Caller) -> dict[Any, int]:
    """Variables whose history can be read -> their AccessLevel. Raises NotOffered."""
    seen = await crawl(server)
    nodes = list(seen.values)
    levels = []
    for start in range(0, len(nodes), 200):
        levels += await server.read(*(ua.ReadValueId(node, 17) for node in nodes[start : start + 200]))
    found = {node: int(level.Value.Value or 0) for node, level in zip(nodes, levels, strict=True) if level.Value is not None}
    found = {node: level for node, level in found.items() if level & HISTORY_READ}
    if not found:
        raise NotOffered("no variable whose history can be read")
    return found


@check("History", "what says it keeps history gives it, forward and back", "10000-11 6.5.3")
async def raw(server: Caller) -> str:
    kept = list(await _kept(server))
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


@check("History", "timestamps that are none are refused", "10000-4 5.11.3.2")
async def timestamps(server: Caller) -> str:
    node, now = next(iter(await _kept(server))), datetime.now(UTC)
    try:
        result = await _history(server, node, now - timedelta(hours=1), now, 1, ua.TimestampsToReturn.Neither)
    except ua.UaStatusCodeError as error:
        return status_is(ua.StatusCode(error.code), "BadTimestampsToReturnInvalid")
    return status_is(result.StatusCode, "BadTimestampsToReturnInvalid")


@check(
    "History", "what is said of changes of the history agrees, and a value that is not there cannot be deleted", "10000-11 5.4, 6.9"
)
async def changes(server: Caller) -> str:
    kept = await _kept(server)
    numbers = _CAPABILITIES.values()
    can = [name for name, number in zip(_CAPABILITIES, numbers, strict=True) if await server.value(ua.NodeId(number)) is True]
    writable = [node for node, level in kept.items() if level & HISTORY_WRITE]
    expect(bool(can) or not writable, f"{len(writable)} variables have the HistoryWrite bit, and no capability says so")
    # Long before there were machines that could be asked.
    details = ua.DeleteAtTimeDetails(NodeId=next(iter(kept)), ReqTimes=[datetime(1970, 1, 2, tzinfo=UTC)])
    try:
        (result,) = await server.results("HistoryUpdate", HistoryUpdateDetails=[details])
    except ua.UaStatusCodeError as error:
        if error.code in (ua.StatusCodes.BadServiceUnsupported, ua.StatusCodes.BadNotImplemented) and not can:
            raise NotOffered("HistoryUpdate is not offered") from error
        raise
    statuses = list(result.OperationResults or [result.StatusCode])
    refusals = ["BadUserAccessDenied", "BadNoEntryExists", "BadNoData"]
    refusals += [] if "DeleteAtTime" in can else ["BadHistoryOperationUnsupported", "BadNotWritable", "BadHistoryOperationInvalid"]
    return f"{', '.join(can) or 'nothing can be changed'}; {status_is(statuses[0], *refusals)}"


async def _history(
    server: Caller, node: Any, start: datetime, end: datetime, most: int, shown: Any = ua.TimestampsToReturn.Both
) -> Any:
    details = ua.ReadRawModifiedDetails(
        IsReadModified=False, StartTime=start, EndTime=end, NumValuesPerNode=most, ReturnBounds=False
    )
    try:
        (result,) = await server.results(
            "HistoryRead", HistoryReadDetails=details, TimestampsToReturn=shown,
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
