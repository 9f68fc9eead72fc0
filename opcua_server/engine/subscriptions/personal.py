"""What a monitored item shows depends on who its subscription belongs to now: values that only administrators see, UserAccessLevel
and its like. A session may be taken over by another person, and a subscription by another session of the same one.
"""

from __future__ import annotations

from typing import Any

from opcua_server.engine.contract import Core, Slot
from opcua_server.engine.subscriptions.derived import DerivedSlot
from opcua_server.engine.subscriptions.subscription import Subscription


class PersonalSlot(DerivedSlot):
    """A slot as the owner of a subscription may see it. ``security``: mode of the channel it was asked for on."""

    is_personal = True

    def __init__(self, slot: Slot, subscription: Subscription, core: Core, security: str) -> None:
        super().__init__(slot)
        self._subscription = subscription
        self._core = core
        self._security = security
        self._seen_of: tuple[Any, ...] = ()
        self._seen: Any = None

    @property
    def value(self) -> Any:
        session = self._subscription.owner.session
        role = session.role if session is not None else None
        of = (None if self.is_live else self._slot.value, session, role)
        if self.is_live or of != self._seen_of:
            self._seen_of = of
            self._seen = self._core.attributes.seen(self.node_id, self.attribute, self._slot, session, self._security)
        return self._seen


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
