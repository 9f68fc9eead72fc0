"""Who asks, and what they may: API keys, login sessions, and the reader on this machine.

    x-api-key header      role of the key; a key that is not known is refused, whatever else came with it
    session cookie        role of the user who logged in; writes and WebSockets need the page's own Origin
    neither               Viewer, for the product's own API, where the gateway listens on loopback and is asked by that name

Keys never come in URLs: those end up in logs and histories.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from cnctwin.errors import ConfigurationError
from cnctwin.secrets import Role, Vault
from cnctwin.settings import LOOPBACK, Settings

COOKIE: Final = "cnctwin_session"
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{1,100}")
SESSION_S: Final = 12 * 3600.0
SESSIONS: Final = 1000
RANK: Final[Mapping[str, int]] = {"Viewer": 0, "Operator": 1, "Engineer": 2, "Admin": 3}
SETTINGS_KEY_ROLE: Final[Role] = "Operator"
"""Role of the keys given in API_KEYS: all that the first REST surface can do, and no more."""


@dataclass(frozen=True, slots=True)
class Access:
    """``bucket`` names the rate limit this caller draws from; ``user`` is None for the reader without login."""

    user: str | None
    role: Role
    via: Literal["key", "cookie", "loopback"]
    bucket: str

    def may(self, role: Role) -> bool:
        return RANK.get(self.role, 0) >= RANK.get(role, 99)


class WrongKey(Exception):
    """The x-api-key header holds no known key."""


@dataclass(slots=True)
class _Session:
    user: str
    role: Role
    until: float
    stamp: str
    """Of the password the user came in with: with another one the session is over."""


class Doorkeeper:
    """Knows keys and sessions. Times are seconds of the monotonic clock."""

    def __init__(self, settings: Settings, vault: Vault) -> None:
        self._settings = settings
        self.vault = vault
        self._keys = tuple(hashlib.sha256(key.encode()).digest() for key in settings.api_keys)
        self._sessions: dict[bytes, _Session] = {}
        """By the digest of their tokens, the oldest first."""

    def identify(self, headers: Mapping[str, str], client: str) -> Access | None:
        """The caller by key or cookie; None where neither is given. Raises WrongKey."""
        if (key := headers.get("x-api-key")) is not None:
            return self._by_key(key)
        if (cookie := headers.get("cookie")) is not None and (token := _token(cookie)) is not None:
            session = self._sessions.get(_digest(token))
            if session is not None and session.until > time.monotonic() and session.stamp == self._stamp(session.user):
                return Access(session.user, session.role, "cookie", f"user:{session.user}")
        return None

    def reader(self, headers: Mapping[str, str], client: str) -> Access | None:
        """The Viewer without login: only on a loopback listener, from this machine, and asked for by a loopback name, so that a
        foreign page whose name was pointed at 127.0.0.1 reads nothing."""
        host = headers.get("host", "").rsplit("@", 1)[-1]
        name = host[1 : host.find("]")] if host.startswith("[") else host.partition(":")[0]
        if self._settings.is_loopback and client in LOOPBACK and name in LOOPBACK:
            return Access(None, "Viewer", "loopback", f"reader:{client}")
        return None

    def open(self, user: str, role: Role) -> str:
        """A new session; the token that goes into the cookie."""
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = _Session(user, role, time.monotonic() + SESSION_S, self._stamp(user))
        if len(self._sessions) > SESSIONS:  # who logs in without end takes his own places
            held = Counter(session.user for session in self._sessions.values())
            del self._sessions[max(self._sessions, key=lambda known: held[self._sessions[known].user])]
        return token

    def _stamp(self, user: str) -> str:
        try:
            return self.vault.stamp(user) or ""
        except (OSError, ConfigurationError):  # nobody is known while the file is away
            return ""

    def close(self, headers: Mapping[str, str]) -> None:
        if (token := _token(headers.get("cookie", ""))) is not None:
            self._sessions.pop(_digest(token), None)

    def _by_key(self, key: str) -> Access:
        digest = hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
        found = [known for known in self._keys if hmac.compare_digest(known, digest)]
        role: Role | None = SETTINGS_KEY_ROLE if found else None
        if role is None and key:
            try:
                role = self.vault.key_role(key)
            except (FileNotFoundError, ConfigurationError, UnicodeEncodeError):
                role = None
        if role is None:
            raise WrongKey
        name = digest.hex()[:12]
        return Access(f"key {name}", role, "key", f"key:{name}")


def own_origin(headers: Mapping[str, str]) -> bool:
    """Whether the Origin header names the host that was asked; also where there is none (no browser sent this)."""
    origin = headers.get("origin")
    if origin is None:
        return True
    scheme, _, host = origin.partition("://")
    return scheme in ("http", "https") and host == headers.get("host")


def only_session(cookie: str) -> str | None:
    """Of a Cookie header what is ours, as a header; None where there is none of it. Routes see no other: Python's own parser takes
    seconds for one of 60 kB that is full of quotes, and a browser sends the cookies of every port of a host."""
    token = _token(cookie)
    return None if token is None else f"{COOKIE}={token}"


def _token(cookie: str) -> str | None:
    for part in cookie.split(";"):
        name, _, value = part.strip().partition("=")
        if name == COOKIE and _TOKEN.fullmatch(value):
            return value
    return None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
