"""A part of an array, or of a text, as a slot of its own (IndexRange of a monitored item)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from cnctwin.wire import encode
from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import ServiceFault, Slot
from opcua_server.engine.ranges import cut


class RangedSlot:
    def __init__(self, slot: Slot, bounds: list[tuple[int, int]]) -> None:
        self._slot = slot
        self._bounds = bounds
        self._whole: Any = None
        self._part: Any = None
        self._told: dict[Callable[[Any], None], Callable[[Slot], None]] = {}
        self.node_id = slot.node_id
        self.attribute = slot.attribute
        self.is_live = getattr(slot, "is_live", False)
        self.is_personal = getattr(slot, "is_personal", False)

    @property
    def value(self) -> Any:
        whole = self._slot.value
        if whole is not self._whole:
            self._whole = whole
            try:
                self._part = replace(whole, Value=cut(whole.Value, self._bounds)) if whole.Value is not None else whole
            except ServiceFault as fault:
                self._part = replace(whole, Value=ua.Variant(), StatusCode=ua.StatusCode(fault.status))
        return self._part

    def encoded(self) -> bytes:
        return encode(self.value)

    def watch(self, changed: Callable[[Any], None]) -> None:
        def tell(_slot: Slot) -> None:
            changed(self)

        self._told[changed] = tell
        self._slot.watch(tell)

    def unwatch(self, changed: Callable[[Any], None]) -> None:
        tell = self._told.pop(changed, None)
        if tell is not None:
            self._slot.unwatch(tell)
