"""Commands and result values on their way to the server, and its refusals on their way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from asyncua import Client, ua

from cnctwin.link.contract import MethodFailed
from cnctwin.link.values import data_value, variant
from cnctwin.reading import Reading, Value
from nodesets.binding import Bound
from nodesets.methods import BY_NAME

_AWAY: Final = frozenset(
    (
        ua.StatusCodes.BadSessionIdInvalid,
        ua.StatusCodes.BadSessionClosed,
        ua.StatusCodes.BadSessionNotActivated,
        ua.StatusCodes.BadSecureChannelClosed,
        ua.StatusCodes.BadSecureChannelIdInvalid,
        ua.StatusCodes.BadConnectionClosed,
        ua.StatusCodes.BadCommunicationError,
        ua.StatusCodes.BadShutdown,
        ua.StatusCodes.BadServerHalted,
        ua.StatusCodes.BadTimeout,
    )
)
"""Codes that say that the server, not the command, is the trouble."""


async def call(client: Client, bound: Bound, method: str, arguments: Sequence[Value]) -> None:
    """Call a method of ``nodesets.methods``. Raises MethodFailed, ConnectionError, KeyError."""
    parent, node = bound.methods[method]
    inputs = BY_NAME[method].inputs
    if len(arguments) != len(inputs):
        bad = ua.StatusCodes.BadArgumentsMissing if len(arguments) < len(inputs) else ua.StatusCodes.BadTooManyArguments
        raise _failed(bad, f"{method} takes {len(inputs)} arguments: {', '.join(argument.name for argument in inputs)}")
    request = ua.CallMethodRequest()
    request.ObjectId, request.MethodId = parent, node
    request.InputArguments = [variant(value, argument.type) for value, argument in zip(arguments, inputs, strict=True)]
    try:
        (result,) = await client.uaclient.call([request])
    except (ua.UaStatusCodeError, TimeoutError) as error:
        raise _raised(error, method) from error
    if not result.StatusCode.is_good():
        names = [
            argument.name
            for argument, status in zip(inputs, result.InputArgumentResults or (), strict=False)
            if not status.is_good()
        ]
        raise _failed(result.StatusCode.value, f"{method}: {', '.join(names) or 'refused'}: {result.StatusCode.doc}")


async def write(client: Client, bound: Bound, readings: Sequence[Reading]) -> None:
    """Write values with status and source time, all in one request. Raises MethodFailed, ConnectionError, KeyError."""
    if not readings:
        return
    parameters = ua.WriteParameters()
    for item in readings:
        wanted = ua.WriteValue()
        wanted.NodeId = bound.nodes[item.signal]
        wanted.AttributeId = ua.AttributeIds.Value
        wanted.Value = data_value(item)
        parameters.NodesToWrite.append(wanted)
    try:
        results = await client.uaclient.write(parameters)
    except (ua.UaStatusCodeError, TimeoutError) as error:
        raise _raised(error, "write") from error
    for item, status in zip(readings, results, strict=True):
        if not status.is_good():
            raise _failed(status.value, f"write {item.signal}: {status.doc}")


def _raised(error: Exception, what: str) -> Exception:
    if isinstance(error, ua.UaStatusCodeError) and error.code not in _AWAY:
        return _failed(error.code, f"{what}: {ua.StatusCode(error.code).doc}")
    return ConnectionError(f"{what}: {error or 'no answer'}")


def _failed(code: int, text: str) -> MethodFailed:
    return MethodFailed(code, ua.StatusCode(code).name, text)
