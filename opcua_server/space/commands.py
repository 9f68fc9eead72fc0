"""The methods of ``<machine>/Commands``: argument checks from `nodesets.methods`, then the machine's callback.

What a caller sees (OPC 10000-4, 5.12.2): BadArgumentsMissing, BadTooManyArguments; BadInvalidArgument with BadTypeMismatch or
BadOutOfRange per argument; BadInvalidState, BadInvalidArgument or BadNotFound when the machine refuses, with its words.
"""

from __future__ import annotations

import inspect
import logging
import math
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import Value
from nodesets.methods import METHODS, Argument, Method
from opcua_server.engine.reasons import refusal
from opcua_server.sources.source import CommandRefused
from opcua_server.space.signals import KINDS

_logger = logging.getLogger(__name__)
_C = ua.StatusCodes
_REFUSED: Final = {"state": _C.BadInvalidState, "argument": _C.BadInvalidArgument, "not_found": _C.BadNotFound}

Call = Callable[[str, Sequence[Value]], Awaitable[None] | None]
"""(method, arguments); raises CommandRefused."""
Handler = Callable[..., Coroutine[Any, Any, ua.CallMethodResult]]


def check(argument: Argument, given: ua.Variant) -> int:
    """The status of one input argument."""
    is_array = argument.type.endswith("[]")
    kind = KINDS[argument.type.removesuffix("[]")][0]
    if not isinstance(given, ua.Variant) or given.VariantType is not kind or bool(given.is_array) is not is_array:
        return int(_C.BadTypeMismatch)
    if given.Value is None:
        return int(_C.BadTypeMismatch)
    for value in given.Value if is_array else [given.Value]:
        if isinstance(value, float) and not math.isfinite(value):
            return int(_C.BadOutOfRange)
        if (argument.low is not None and value < argument.low) or (argument.high is not None and value > argument.high):
            return int(_C.BadOutOfRange)
    return int(_C.Good)


def _problem(argument: Argument, status: int) -> str:
    """What is wrong with one input argument, in words."""
    if status != _C.BadOutOfRange:
        return f"{argument.name} must be {argument.type}"
    return f"{argument.name} must be {_bound(argument.low)} to {_bound(argument.high)}"


def _bound(limit: float | None) -> str:
    return "any finite number" if limit is None else f"{limit:g}"


def _answer(code: int, arguments: Sequence[int] = ()) -> ua.CallMethodResult:
    result = ua.CallMethodResult()
    result.StatusCode = ua.StatusCode(code)
    if code == _C.BadInvalidArgument:  # the list is empty otherwise
        result.InputArgumentResults = [ua.StatusCode(status) for status in arguments]
    return result


def handler(method: Method, call: Call) -> Handler:
    """The coroutine that asyncua calls for one method of one machine."""

    async def run(_parent: ua.NodeId, *given: ua.Variant) -> ua.CallMethodResult:
        expected = len(method.inputs)
        if len(given) != expected:
            code = _C.BadArgumentsMissing if len(given) < expected else _C.BadTooManyArguments
            return refusal(_answer(code), f"{method.name} takes {expected} arguments, not {len(given)}")
        statuses = [check(argument, variant) for argument, variant in zip(method.inputs, given, strict=True)]
        if any(statuses):
            problems = [_problem(argument, status) for argument, status in zip(method.inputs, statuses, strict=True) if status]
            return refusal(_answer(_C.BadInvalidArgument, statuses), f"{method.name}: {'; '.join(problems)}")
        try:
            pending = call(method.name, [variant.Value for variant in given])
            if inspect.isawaitable(pending):
                await pending
        except CommandRefused as refused:
            _logger.info("%s refused: %s", method.name, refused)
            statuses = [int(_C.BadOutOfRange) if place == refused.place else int(_C.Good) for place in range(expected)]
            return refusal(_answer(_REFUSED[refused.reason], statuses), str(refused))
        return _answer(_C.Good)

    return run


def handlers(call: Call) -> dict[str, Handler]:
    return {method.name: handler(method, call) for method in METHODS}
