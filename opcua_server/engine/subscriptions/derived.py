"""A slot that shows what is made of another slot's value, and is watched as that one is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnctwin.wire import encode
from opcua_server.engine.contract import Slot


class DerivedSlot:
    """``slot``: the one it is made of. Subclasses give ``value``."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._told: dict[Callable[[Any], None], Callable[[Slot], None]] = {}
        self.node_id = slot.node_id
        self.attribute = slot.attribute
        self.is_live = getattr(slot, "is_live", False)

    @property
    def value(self) -> Any:
        raise NotImplementedError

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
