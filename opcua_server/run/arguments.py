"""What a method is given, against what its type says it takes (OPC 10000-4, 5.12.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from asyncua import ua

from opcua_server.engine.reasons import refusal

_C: Final = ua.StatusCodes
_V: Final = ua.VariantType


def fits(given: Any, kind: Any) -> bool:
    """Whether a Variant is what an argument wants: a type on the wire, a structure, or a list of one of them. What is empty
    may come as Null."""
    is_list = isinstance(kind, list)
    wanted = kind[0] if is_list else kind
    if given.VariantType is _V.Null:
        return is_list or wanted is _V.String or wanted is ua.ContentFilter
    if bool(given.is_array) is not is_list:
        return False
    if isinstance(wanted, _V):
        return given.VariantType is wanted
    values = (given.Value or []) if is_list else [given.Value]
    return given.VariantType is _V.ExtensionObject and all(isinstance(value, wanted) for value in values)


def refused(given: Sequence[Any], kinds: Sequence[Any]) -> Any:
    """The answer to a call whose arguments do not fit; None when they do. ``kinds``: as ``fits`` takes them."""
    if len(given) != len(kinds):
        code = _C.BadArgumentsMissing if len(given) < len(kinds) else _C.BadTooManyArguments
        return refusal(ua.CallMethodResult(ua.StatusCode(code), [], [], []), f"It takes {len(kinds)} arguments, not {len(given)}")
    statuses = [0 if fits(one, kind) else int(_C.BadTypeMismatch) for one, kind in zip(given, kinds, strict=True)]
    if not any(statuses):
        return None
    result = ua.CallMethodResult(ua.StatusCode(_C.BadInvalidArgument), [ua.StatusCode(status) for status in statuses], [], [])
    wrong = [
        f"argument {place} is no {_name(kind)}"
        for place, (kind, status) in enumerate(zip(kinds, statuses, strict=True), 1)
        if status
    ]
    return refusal(result, "; ".join(wrong))


def _name(kind: Any) -> str:
    return f"list of {_name(kind[0])}" if isinstance(kind, list) else str(kind.name if isinstance(kind, _V) else kind.__name__)
