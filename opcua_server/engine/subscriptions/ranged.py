"""A part of an array, or of a text, as a slot of its own (IndexRange of a monitored item)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import ServiceFault, Slot
from opcua_server.engine.ranges import cut
from opcua_server.engine.subscriptions.derived import DerivedSlot


class RangedSlot(DerivedSlot):
    def __init__(self, slot: Slot, bounds: list[tuple[int, int]]) -> None:
        super().__init__(slot)
        self._bounds = bounds
        self._whole: Any = None
        self._part: Any = None
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
