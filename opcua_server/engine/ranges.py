"""NumericRange (OPC 10000-4, 7.27): ``2``, ``2:5``, and by dimension ``1:2,0:3``. Pure."""

from __future__ import annotations

import re
from typing import Any, Final

from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import ServiceFault

_C = ua.StatusCodes
_PART: Final = re.compile(r"([0-9]{1,10})(?::([0-9]{1,10}))?")
MAX_DIMENSIONS: Final = 16


def parse(text: str) -> list[tuple[int, int]]:
    """First and last index of each dimension. Raises ServiceFault BadIndexRangeInvalid."""
    parts = text.split(",")
    if len(parts) > MAX_DIMENSIONS:
        raise ServiceFault(_C.BadIndexRangeInvalid)
    bounds = []
    for part in parts:
        found = _PART.fullmatch(part)
        if found is None:
            raise ServiceFault(_C.BadIndexRangeInvalid)
        low = int(found[1])
        high = low if found[2] is None else int(found[2])
        if found[2] is not None and low >= high:
            raise ServiceFault(_C.BadIndexRangeInvalid)
        bounds.append((low, high))
    return bounds


def cut(variant: Any, bounds: list[tuple[int, int]]) -> Any:
    """The part of an array, matrix, string or byte string. Raises ServiceFault BadIndexRangeNoData."""
    value = variant.Value
    rank = len(variant.Dimensions) if variant.Dimensions else 1
    if isinstance(value, str | bytes) and len(bounds) == 1:
        return ua.Variant(_slice(value, bounds[0]), variant.VariantType)
    if not isinstance(value, list):
        raise ServiceFault(_C.BadIndexRangeNoData)
    if len(bounds) == rank + 1 and variant.VariantType in (ua.VariantType.String, ua.VariantType.ByteString):
        inner = bounds[-1]
        taken = [_slice(text, inner) for text in _take(value, bounds[:-1])]
        return ua.Variant(taken, variant.VariantType, is_array=True)
    if len(bounds) != rank:
        raise ServiceFault(_C.BadIndexRangeNoData)
    taken = _take(value, bounds)
    if rank == 1:
        return ua.Variant(taken, variant.VariantType, is_array=True)
    dimensions, level = [], taken
    for _ in range(rank):
        dimensions.append(len(level))
        level = level[0]
    return ua.Variant(taken, variant.VariantType, dimensions, is_array=True)


def paste(variant: Any, bounds: list[tuple[int, int]], part: Any) -> Any:
    """The value with a part of it replaced by ``part``, a Variant of the same type; nothing of ``variant`` is changed.

    Raises ServiceFault: BadIndexRangeNoData where the value does not reach, BadIndexRangeDataMismatch where the part has another
    size than the range.
    """
    if variant is None or variant.Value is None or variant.VariantType is not part.VariantType:
        raise ServiceFault(_C.BadIndexRangeNoData)
    value = _replaced(variant.Value, bounds, part.Value)
    return ua.Variant(value, variant.VariantType, variant.Dimensions, is_array=variant.is_array)


def _replaced(value: Any, bounds: list[tuple[int, int]], part: Any) -> Any:
    low, high = bounds[0]
    if not isinstance(value, list | str | bytes) or high >= len(value) or (len(bounds) > 1 and not isinstance(value, list)):
        raise ServiceFault(_C.BadIndexRangeNoData)
    if type(part) is not type(value) or len(part) != high - low + 1:
        raise ServiceFault(_C.BadIndexRangeDataMismatch)
    if len(bounds) == 1:
        if value and isinstance(value[0], list):
            raise ServiceFault(_C.BadIndexRangeNoData)
        return value[:low] + part + value[high + 1 :]
    inner = [_replaced(old, bounds[1:], new) for old, new in zip(value[low : high + 1], part, strict=True)]
    return value[:low] + inner + value[high + 1 :]


def _slice(value: Any, bounds: tuple[int, int]) -> Any:
    part = value[bounds[0] : bounds[1] + 1]
    if not part:
        raise ServiceFault(_C.BadIndexRangeNoData)
    return part


def _take(value: Any, bounds: list[tuple[int, int]]) -> Any:
    part = _slice(value, bounds[0])
    return part if len(bounds) == 1 else [_take(inner, bounds[1:]) for inner in part]
