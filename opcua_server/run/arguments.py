"""What a method is given, against what its type says it takes (OPC 10000-4, 5.12.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from asyncua import ua

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


def refused(code: int, statuses: Sequence[int] = ()) -> Any:
    """The answer to a call that is not carried out; ``statuses``: of each argument."""
    return ua.CallMethodResult(ua.StatusCode(code), [ua.StatusCode(status) for status in statuses], [], [])
