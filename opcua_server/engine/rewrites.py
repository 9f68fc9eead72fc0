"""Writes that come again with other values: what a control system sends, again and again, is one list of nodes.

first    decoded, and checked node by node (attributes.py); where all are Good numbers, the request's shape is kept:
            |count NodeId 13 - mask type| value |NodeId 13 - mask type| value |0 0 ...|
again    one unpack; the bytes between the values are those of the shape --numbers finite?--> shown
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from cnctwin.wire import Budget, decoder
from cnctwin.wire.scalars import ua
from nodesets.space_access import population
from opcua_server.engine.forms import MAX_FORMS, NUMBERS, Form
from opcua_server.security.rights import Rights

_V = ua.VariantType
_FLOATS: Final = frozenset({_V.Float, _V.Double})
_read_item: Final = decoder(ua.WriteValue)
_new_variant: Final[Callable[..., Any]] = ua.Variant.__new__
_new_value: Final[Callable[..., Any]] = ua.DataValue.__new__
_Variant: Final[Any] = ua.Variant
_DataValue: Final[Any] = ua.DataValue
MAX_ITEMS: Final = 1_000


class _Shape:
    """``targets``: where each value is shown, its type, its status. ``machines``: whose results they are."""

    def __init__(self, raw: bytes, items: list[Any], helds: list[Any], machines: set[str]) -> None:
        """Raises ValueError when an item is more than a Good number without times."""
        self.machines = machines
        self.targets = [
            (held, item.Value.Value.VariantType, item.Value.StatusCode) for held, item in zip(helds, items, strict=True)
        ]
        self.has_floats = any(kind in _FLOATS for _, kind, _ in self.targets)
        budget = Budget()
        holes, p = [], 4
        for item in items:
            _item, p = _read_item(raw, p, budget)
            kind = _number(item)
            holes.append((p - NUMBERS[kind][1] - (4 if item.Value.StatusCode is not None else 0), kind))
        if p != len(raw):
            raise ValueError("bytes behind the items")
        self.form = Form(raw, holes)
        self.answer = struct.pack(f"<i{len(items)}Ii", len(items), *[0] * len(items), 0)


def _number(item: Any) -> Any:
    """The type of an item's value. Raises ValueError when there is more to it."""
    given = item.Value
    times = (given.SourceTimestamp, given.ServerTimestamp, given.SourcePicoseconds, given.ServerPicoseconds)
    if item.AttributeId != 13 or item.IndexRange or any(one is not None for one in times) or given.Value.is_array:
        raise ValueError("no plain value")
    if (given.StatusCode is not None and given.StatusCode.value) or given.Value.VariantType not in NUMBERS:
        raise ValueError("no Good number")
    return given.Value.VariantType


class Rewrites:
    """The shapes of one address space's Write requests. ``is_watched``: whether each write has to be told of, one by one."""

    def __init__(self, aspace: Any, rights: Rights, is_watched: Callable[[], bool]) -> None:
        self._aspace = aspace
        self._rights = rights
        self._is_watched = is_watched
        self._shapes: dict[tuple[int, bytes], _Shape] = {}
        self._nodes = 0, 0

    def learn(self, raw: bytes, items: list[Any]) -> None:
        """Keep the shape of a request of which every value was taken over."""
        if len(items) > MAX_ITEMS:
            return
        try:
            helds = [self._aspace.get(item.NodeId).attributes[ua.AttributeIds.Value] for item in items]
            shape = _Shape(raw, items, helds, {self._rights.results[item.NodeId] for item in items})
        except ValueError:
            return
        if len(self._shapes) >= MAX_FORMS:
            self._shapes.clear()
        self._shapes[len(raw), raw[:16]] = shape

    def again(self, raw: bytes, now: datetime) -> _Shape | None:
        """Show the values of a request of a known shape, from somebody who may write them; None when there is more to check."""
        nodes = population(self._aspace)
        if nodes != self._nodes:  # nodes came or went: what was looked up may be another
            self._nodes = nodes
            self._shapes.clear()
        shape = self._shapes.get((len(raw), raw[:16]))
        if shape is None or self._is_watched():
            return None
        values = shape.form.numbers(raw)
        if values is None or (shape.has_floats and not all(map(math.isfinite, values))):
            return None
        for (held, kind, status), value in zip(shape.targets, values, strict=True):
            variant = _new_variant(_Variant)
            variant.Value = value
            variant.VariantType = kind
            variant.Dimensions = None
            variant.is_array = False
            shown = _new_value(_DataValue)
            shown.Value = variant
            shown.Encoding = 0
            shown.StatusCode = status if status is not None else _GOOD
            shown.SourceTimestamp = shown.ServerTimestamp = now
            shown.SourcePicoseconds = shown.ServerPicoseconds = None
            held.value = shown
        return shape


_GOOD: Final = ua.StatusCode()
