"""Commands and result values on their way to the server, and its refusals on their way back."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, Final

from asyncua import Client, ua

from cnctwin.link.bounds import read
from cnctwin.link.contract import Handling, MethodFailed
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
_PLAIN: Final = {
    ua.StatusCodes.BadInvalidState: "not possible in the machine's present state",
    ua.StatusCodes.BadNotFound: "there is nothing of that name",
}
"""What an operator reads where the server says nothing; the specification's own words speak of objects that are closed or
uninitialized."""
_REASONS: Final = 0x40 | 0x80
"""ReturnDiagnostics: LocalizedText and AdditionalInfo of the operation."""
LONGEST_REASON: Final = 512
_CONDITION_TYPE: Final = ua.NodeId(ua.ObjectIds.ConditionType)
_REFRESH: Final = ua.NodeId(ua.ObjectIds.ConditionType_ConditionRefresh)
_HANDLING: Final[dict[Handling, ua.NodeId]] = {
    "Acknowledge": ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge),
    "Confirm": ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Confirm),
    "AddComment": ua.NodeId(ua.ObjectIds.ConditionType_AddComment),
}


async def call(client: Client, bound: Bound, method: str, arguments: Sequence[Value]) -> None:
    """Call a method of ``nodesets.methods``. Raises MethodFailed, ConnectionError, KeyError."""
    parent, node = bound.methods[method]
    inputs = BY_NAME[method].inputs
    if len(arguments) != len(inputs):
        bad = ua.StatusCodes.BadArgumentsMissing if len(arguments) < len(inputs) else ua.StatusCodes.BadTooManyArguments
        raise failed(bad, f"{method} takes {len(inputs)} arguments: {', '.join(argument.name for argument in inputs)}")
    request = ua.CallMethodRequest()
    request.ObjectId, request.MethodId = parent, node
    request.InputArguments = [variant(value, argument.type) for value, argument in zip(arguments, inputs, strict=True)]
    try:
        result, reason = await _called(client, request)
    except (ua.UaStatusCodeError, TimeoutError) as error:
        raise raised(error, method) from error
    if not result.StatusCode.is_good():
        names = [
            argument.name
            for argument, status in zip(inputs, result.InputArgumentResults or (), strict=False)
            if not status.is_good()
        ]
        said = reason or f"{method}: {', '.join(names) or 'refused'}: {_words(result.StatusCode)}"
        raise failed(result.StatusCode.value, said)


async def handle(client: Client, act: Handling, condition_id: str, event_id: bytes, comment: str) -> None:
    """Acknowledge, confirm or comment on the state of a condition that an event told of. Raises MethodFailed, ConnectionError.

    By the method's node at the type, which every server takes (OPC 10000-9, 5.7.3); one that does not may have a method of its own
    below the condition.
    """
    request = ua.CallMethodRequest()
    request.ObjectId, request.MethodId = ua.NodeId.from_string(condition_id), _HANDLING[act]
    said = ua.LocalizedText(comment, "en") if comment else ua.LocalizedText(None, None)
    request.InputArguments = [ua.Variant(event_id, ua.VariantType.ByteString), ua.Variant(said, ua.VariantType.LocalizedText)]
    try:
        result, reason = await _called(client, request)
        if result.StatusCode.value == ua.StatusCodes.BadMethodInvalid:
            with contextlib.suppress(ua.uaerrors.BadNoMatch, ua.uaerrors.BadNodeIdUnknown):
                request.MethodId = (await client.get_node(request.ObjectId).get_child(f"0:{act}")).nodeid
                result, reason = await _called(client, request)
    except (ua.UaStatusCodeError, TimeoutError) as error:
        raise raised(error, act) from error
    if not result.StatusCode.is_good():
        raise failed(result.StatusCode.value, reason or f"{act}: refused: {result.StatusCode.doc}")


async def _called(client: Client, one: ua.CallMethodRequest) -> tuple[Any, str]:
    """The result of one call, and the server's words where it refused: its DiagnosticInfo (OPC 10000-4, 7.12), which asyncua's
    own ``call`` neither asks for nor hands out. Raises UaStatusCodeError, TimeoutError."""
    request = ua.CallRequest()
    request.Parameters.MethodsToCall = [one]
    request.RequestHeader.ReturnDiagnostics = _REASONS
    response = read(ua.CallResponse, await client.uaclient.session._send_request(request))
    response.ResponseHeader.ServiceResult.check()
    (result,) = response.Results
    return result, _reason(response)


def _reason(response: Any) -> str:
    infos, strings = response.DiagnosticInfos or [], response.ResponseHeader.StringTable or []
    place = infos[0].LocalizedText if infos else None
    if place is not None and 0 <= place < len(strings) and strings[place]:
        return str(strings[place])[:LONGEST_REASON]
    return str(infos[0].AdditionalInfo or "")[:LONGEST_REASON] if infos else ""


async def refresh(client: Client, subscription_id: int) -> str:
    """Have the server tell a subscription what is retained; the name of the status. Raises ConnectionError."""
    request = ua.CallMethodRequest()
    request.ObjectId, request.MethodId = _CONDITION_TYPE, _REFRESH
    request.InputArguments = [ua.Variant(subscription_id, ua.VariantType.UInt32)]
    try:
        (result,) = await client.uaclient.call([request])
    except (ua.UaStatusCodeError, TimeoutError) as error:
        refusal = raised(error, "ConditionRefresh")
        if isinstance(refusal, MethodFailed):
            return refusal.name
        raise refusal from error
    return str(result.StatusCode.name)


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
        raise raised(error, "write") from error
    for item, status in zip(readings, results, strict=True):
        if not status.is_good():
            raise failed(status.value, f"write {item.signal}: {status.doc}")


def _words(status: ua.StatusCode) -> str:
    return _PLAIN.get(status.value) or str(status.doc)


def raised(error: Exception, what: str) -> Exception:
    """What a service that came to nothing is to who asked for it: a refusal of the server, or a server that is away."""
    if isinstance(error, ua.UaStatusCodeError) and error.code not in _AWAY:
        return failed(error.code, f"{what}: {ua.StatusCode(error.code).doc}")
    return ConnectionError(f"{what}: {error or 'no answer'}")


def failed(code: int, text: str) -> MethodFailed:
    """A refusal by its status code, with words for the operator."""
    return MethodFailed(code, ua.StatusCode(code).name, text)
