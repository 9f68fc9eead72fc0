"""Conditions of machines that want somebody, as events tell of them (OPC 10000-9, 5.5): what a refresh brings, and what changes.

    session begins --ConditionRefresh--> RefreshStart, what is retained, RefreshEnd --> known; what was not told again is over
    an event with Retain --> known         without --> over, and said once more         session lost --> all are over

An earlier state of a condition (a branch) is an entry of its own, as it is acknowledged on its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from asyncua import ua

from cnctwin.link.contract import LinkCondition
from cnctwin.link.values import nanoseconds, plain

REFRESH_STARTS: Final = ua.NodeId(ua.ObjectIds.RefreshStartEventType)
REFRESH_ENDS: Final = ua.NodeId(ua.ObjectIds.RefreshEndEventType)
REFRESH_REQUIRED: Final = ua.NodeId(ua.ObjectIds.RefreshRequiredEventType)
FIELDS: Final = (
    "EventId",
    "Retain",
    "AckedState/Id",
    "ConfirmedState/Id",
    "Comment",
    "ClientUserId",
    "SuppressedOrShelved",
    "SuppressedState",
)
MOST: Final = 5_000


class Conditions:
    """Those of one session. ``handed`` takes each that is new, changed or over."""

    def __init__(self, handed: Callable[[LinkCondition], None]) -> None:
        self._handed = handed
        self._known: dict[str, LinkCondition] = {}
        self._began: datetime | None = None
        """When the refresh that is under way began, by the server's clock."""
        self._untold: set[str] = set()
        """Known ones that this refresh has not told of yet."""

    def refresh_starts(self, when: datetime | None) -> None:
        self._began, self._untold = when, set(self._known)

    def refresh_ends(self) -> None:
        for key in self._untold:
            self._over(key)
        self._began, self._untold = None, set()

    def is_repeated(self, event: Mapping[str, Any]) -> bool:
        """Whether an event only says again what was so before the refresh under way."""
        time = event.get("Time")
        return self._began is not None and time is not None and time <= self._began and event.get("ConditionId") is not None

    def take(self, machine_id: str, code: str, event: Mapping[str, Any]) -> None:
        """One event of a machine; what is no condition is passed over."""
        condition_id, event_id, retain = event.get("ConditionId"), event.get("EventId"), event.get("Retain")
        if not isinstance(condition_id, ua.NodeId) or condition_id.is_null() or not isinstance(event_id, bytes):
            return
        branch = event.get("BranchId")
        is_branch = isinstance(branch, ua.NodeId) and not branch.is_null()
        key = _key(condition_id, branch if is_branch else None)
        self._untold.discard(key)
        if not retain:
            self._over(key)
            return
        severity, confirmed = event.get("Severity"), event.get("ConfirmedState/Id")
        found = LinkCondition(
            machine_id=machine_id,
            id=key,
            condition_id=condition_id.to_string(),
            event_id=event_id,
            name=str(event.get("ConditionName") or ""),
            code=code,
            text=str(plain(event.get("Message")) or ""),
            severity=severity if isinstance(severity, int) else 0,
            source_time_ns=nanoseconds(event["Time"]) if event.get("Time") is not None else 0,
            active=bool(event.get("ActiveState/Id")),
            acknowledged=event.get("AckedState/Id") is not False,  # a type without that state has nothing to acknowledge
            confirmed=None if confirmed is None else bool(confirmed),
            comment=str(plain(event.get("Comment")) or ""),
            user=str(event.get("ClientUserId") or ""),
            put_aside=bool(event.get("SuppressedOrShelved")),
            aside_because=_because(event),
            is_earlier=is_branch,
        )
        if key not in self._known and len(self._known) >= MOST:
            self._over(next(iter(self._known)))
        if self._known.get(key) != found:
            self._known[key] = found
            self._handed(found)

    def lose(self) -> None:
        """The session is over: nothing of it can be handled any more."""
        for key in list(self._known):
            self._over(key)

    def _over(self, key: str) -> None:
        known = self._known.pop(key, None)
        if known is not None:
            self._handed(replace(known, retain=False))


def _because(event: Mapping[str, Any]) -> str:
    """Why it is suppressed: what the name of that state says beyond the standard's own word."""
    name = str(plain(event.get("SuppressedState")) or "") if event.get("SuppressedOrShelved") else ""
    return name.partition(":")[2].strip()[:200] if name.startswith("Suppressed:") else ""


def _key(condition_id: ua.NodeId, branch: ua.NodeId | None) -> str:
    text = f"{condition_id.to_string()} {branch.to_string() if branch is not None else ''}"
    return hashlib.blake2s(text.encode(), digest_size=8).hexdigest()
