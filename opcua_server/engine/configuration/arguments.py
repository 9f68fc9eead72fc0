"""Input arguments of the server's own methods: how many, of which type (OPC 10000-4, 5.12.2). Pure."""

from __future__ import annotations

from typing import Any

from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import ServiceFault

_C = ua.StatusCodes


def values(given: list[Any], *kinds: str) -> list[Any]:
    """The values of the arguments; ``kinds``: names of built-in types, with [] for an array. Raises ServiceFault."""
    if len(given) != len(kinds):
        raise ServiceFault(_C.BadArgumentsMissing if len(given) < len(kinds) else _C.BadTooManyArguments)
    found = []
    for one, kind in zip(given, kinds, strict=True):
        is_array = kind.endswith("[]")
        variant_type = ua.VariantType[kind.removesuffix("[]")]
        if one.VariantType is ua.VariantType.Null and (is_array or kind in ("String", "ByteString")):
            found.append([] if is_array else None)  # asyncua and others send an empty one as Null
            continue
        if one.VariantType is not variant_type or bool(one.is_array) is not is_array:
            raise ServiceFault(_C.BadInvalidArgument)
        found.append(one.Value if one.Value is not None or not is_array else [])
    return found


def answer(*outputs: Any) -> Any:
    """A CallMethodResult with the output Variants."""
    return ua.CallMethodResult(ua.StatusCode(0), [], [], list(outputs))
