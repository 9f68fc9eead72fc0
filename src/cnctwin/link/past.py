"""What a server has recorded of a variable: raw values of its own history (HistoryRead, OPC 10000-11, 6.5.3)."""

from __future__ import annotations

from asyncua import Client, ua

from cnctwin.link.commands import failed, raised
from cnctwin.link.values import timestamp

_NONE = frozenset((ua.StatusCodes.BadNoData, ua.StatusCodes.BadNoDataAvailable, ua.StatusCodes.BadBoundNotFound))


async def newest(client: Client, node_id: ua.NodeId, start_ns: int, end_ns: int, most: int) -> list[ua.DataValue]:
    """The newest values from ``start_ns`` on and before ``end_ns``, newest first, ``most`` at most.

    Raises MethodFailed where the server keeps no history of it or refuses, ConnectionError where it is away.
    """
    details = ua.ReadRawModifiedDetails()
    details.IsReadModified, details.ReturnBounds = False, False
    # Backwards: the first moment is in, the last one out (6.5.3.2).
    details.StartTime, details.EndTime = timestamp(end_ns - 1000), timestamp(start_ns - 1000)
    found: list[ua.DataValue] = []
    point: bytes | None = None
    try:
        while True:
            # All of it: there are servers that give as many as were asked for and no continuation point.
            details.NumValuesPerNode = most - len(found)
            result = await _read(client, node_id, details, point)
            status = result.StatusCode
            if not status.is_good() and status.value not in _NONE:
                raise failed(status.value, str(status.doc))
            found += getattr(result.HistoryData, "DataValues", None) or ()
            point = result.ContinuationPoint
            if not point:
                return found[:most]
            if len(found) >= most:
                await _read(client, node_id, details, point, release=True)
                return found[:most]
    except (ua.UaStatusCodeError, TimeoutError) as error:
        raise raised(error, "history") from error


async def _read(
    client: Client, node_id: ua.NodeId, details: ua.ReadRawModifiedDetails, point: bytes | None, *, release: bool = False
) -> ua.HistoryReadResult:
    wanted = ua.HistoryReadValueId()
    wanted.NodeId, wanted.ContinuationPoint = node_id, point
    parameters = ua.HistoryReadParameters()
    parameters.HistoryReadDetails = details
    parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    parameters.ReleaseContinuationPoints = release
    parameters.NodesToRead.append(wanted)
    (result,) = await client.uaclient.history_read(parameters)
    return result
