"""Places for sessions and connections when all are taken: who logs in gets one of somebody who holds more.

    CreateSession    ``waiting_sessions`` places beyond the limit are for those that nobody is logged in to yet; among them the
                     oldest of the connection that has most gives way
    ActivateSession  now it is known who it is: a session more, or a connection more that has one, is somebody's less

Who holds most is counted by user, then by address, then by application (its certificate). Who is logged in gives way to nobody who
is not, and an administrator who has no session at all gets one in any case. What was silent longest ends, and audit and log say for
whom.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from cnctwin.places import Path, gives_way, holds_most
from cnctwin.secrets import Role
from cnctwin.wire.scalars import ua
from opcua_server.engine import frames
from opcua_server.engine.contract import Limits, ServiceFault

if TYPE_CHECKING:
    from opcua_server.engine.connection import Connection
    from opcua_server.engine.sessions import OpenSession
    from opcua_server.security.users import Person

_C = ua.StatusCodes
_audit = logging.getLogger("opcua_server.audit")
_ADMIN: Final[Role] = "Admin"


@dataclass(frozen=True, slots=True)
class _Place:
    """``path``: whose it is. ``last_s``: when it was used last. ``taken_by``: the session, or the connection."""

    path: Path
    role: Role | None
    last_s: float
    taken_by: Any


class Places:
    """``sessions``: gives all of them, the oldest first. ``end``: closes one."""

    def __init__(self, limits: Limits, sessions: Callable[[], list[OpenSession]], end: Callable[[OpenSession], None]) -> None:
        self._limits = limits
        self._sessions = sessions
        self._end = end

    def for_one_more(self) -> None:
        """Room for a session that nobody is logged in to yet. Who makes them without end takes his own places: one that is just
        logging in keeps its own."""
        sessions = self._sessions()
        if len(sessions) < self._limits.sessions + self._limits.waiting_sessions:
            return
        waiting = [one for one in sessions if not one.is_activated]
        held = Counter(one.connection for one in waiting)
        self._end(max(waiting, key=lambda one: held[one.connection]))

    def for_person(self, session: OpenSession, person: Person, connection: Connection) -> None:
        """Room for a person on a session and on a connection. Raises ServiceFault where nobody has so many that he gives way."""
        others = [one for one in self._sessions() if one.is_activated and one is not session]
        asks = (person.name, connection.counted_as, session.certificate)
        if not session.is_activated and len(others) >= self._limits.sessions:
            silent = self._whose(asks, person, [_Place(_path(one), one.role, one.last_s, one) for one in others])
            self._displace(silent, person, connection)
        used: dict[Connection, _Place] = {}
        for one in others:
            if one.connection is not None:
                first = used.get(one.connection) or _Place(_path(one), one.role, one.last_s, one.connection)
                used[one.connection] = _Place(first.path, first.role, max(first.last_s, one.last_s), one.connection)
        if connection not in used and len(used) >= self._limits.connections:
            gone = self._whose(asks, person, list(used.values()))
            for one in list(gone.sessions.values()):
                self._displace(one, person, connection)
            gone.close(frames.BAD_TCP_NOT_ENOUGH_RESOURCES, "all connections are taken, and others have fewer")

    def _whose(self, asks: Path, person: Person, places: Sequence[_Place]) -> Any:
        """What is to end of all that is taken."""
        weaker = [place.path for place in places if person.name is not None or place.path[0] is None]
        path = gives_way(asks, weaker)
        if path is None and person.role == _ADMIN and not any(place.path[0] == person.name for place in places):
            others = [place.path for place in places if place.role != _ADMIN]
            path = holds_most(others) if others else None
        if path is None:
            raise ServiceFault(_C.BadTooManySessions, "all places are taken, by nobody who has so many more")
        return min((place for place in places if place.path == path), key=lambda place: place.last_s).taken_by

    def _displace(self, session: OpenSession, person: Person, connection: Connection) -> None:
        _audit.warning(
            "session of %r at %s: ended, all places are taken; %r at %s has fewer",
            session.user, session.counted_as, person.name, connection.address,
        )  # fmt: skip
        self._end(session)


def _path(session: OpenSession) -> Path:
    """Whose an activated session is: user, address, application."""
    return session.user, session.counted_as, session.certificate
