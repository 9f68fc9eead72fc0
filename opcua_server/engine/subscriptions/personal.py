"""What a monitored item shows depends on who its subscription belongs to now: values that only administrators see, UserAccessLevel
and its like. A session may be taken over by another person, and a subscription by another session of the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cnctwin.wire import encode
from opcua_server.engine.contract import Core, Slot
from opcua_server.engine.subscriptions.subscription import Subscription


class PersonalSlot:
    """A slot as the owner of a subscription may see it. ``security``: mode of the channel it was asked for on."""

    is_personal = True

    def __init__(self, slot: Slot, subscription: Subscription, core: Core, security: str) -> None:
        self._slot = slot
        self._subscription = subscription
        self._core = core
        self._security = security
        self._seen_of: tuple[Any, ...] = ()
        self._seen: Any = None
        self._told: dict[Callable[[Any], None], Callable[[Slot], None]] = {}
        self.node_id = slot.node_id
        self.attribute = slot.attribute
        self.is_live = getattr(slot, "is_live", False)

    @property
    def value(self) -> Any:
        session = self._subscription.owner.session
        role = session.role if session is not None else None
        of = (None if self.is_live else self._slot.value, session, role)
        if self.is_live or of != self._seen_of:
            self._seen_of = of
            self._seen = self._core.attributes.seen(self.node_id, self.attribute, self._slot, session, self._security)
        return self._seen

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


def look_again(subscription: Subscription, *, forget: bool) -> None:
    """Show what depends on who looks as its owner may see it now. ``forget``: also what waits to be told, or may be asked for once
    more, was for somebody who may see more."""
    if forget:
        subscription.forget()
    for item in subscription.items.values():
        if forget and item.queue is not None:
            item.queue.take_all()
            subscription.ready.pop(item, None)
        if item.feed is not None and getattr(item.slot, "is_personal", False):
            item.feed.take(item.slot.value)
