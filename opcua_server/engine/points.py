"""Continuation points (OPC 10000-4, 7.9): what is left of an answer, by a key that only its session has.

    keep -> key | None: all that there may be are of this very response      take -> what was kept, once

Those of earlier responses make room for new ones. What they hold counts among what the session holds.
"""

from __future__ import annotations

import secrets
from typing import Any, Generic, TypeVar

from opcua_server.engine.contract import Session
from opcua_server.engine.shares import Shares

T = TypeVar("T")


class Points(Generic[T]):
    """``name``: under which they are in a session's state. ``most``: of a session."""

    def __init__(self, name: str, most: int, shares: Shares) -> None:
        self._name, self._most, self._shares = name, most, shares

    def _of(self, session: Session | None) -> dict[bytes, tuple[T, int]]:
        if session is None:
            return {}
        found: dict[bytes, tuple[T, int]] | None = session.state.get(self._name)
        if found is None:
            found = session.state[self._name] = {}
            session.closing.append(self._session_closed)
        return found

    def keep(self, session: Session | None, what: T, size: int, made: set[bytes]) -> bytes | None:
        """A new one, of so many bytes. ``made``: those of this response."""
        points = self._of(session)
        while len(points) >= self._most or not self._shares.take(session, size):
            oldest = next(iter(points), None)
            if oldest is None or oldest in made:
                return None
            self.take(session, oldest)
        point = secrets.token_bytes(8)
        made.add(point)
        points[point] = what, size
        return point

    def take(self, session: Session | None, point: Any) -> T | None:
        """What a continuation point stands for; it is there no longer."""
        what, size = self._of(session).pop(point, (None, 0))
        self._shares.change(session, -size)
        return what

    def _session_closed(self, session: Session, _delete: bool) -> None:
        for point in list(self._of(session)):
            self.take(session, point)
