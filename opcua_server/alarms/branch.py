"""One state of a condition, and what operators say of it (OPC 10000-9, 5.5.2 and 5.5.6). Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

MOST_COMMENT: Final = 1_000
"""Characters of a comment."""
MOST_LOCALE: Final = 64


class Refused(Exception):
    """A method is not possible now. ``status``: name of the status code; ``text``: why, where that does not say it all."""

    def __init__(self, status: str, text: str = "") -> None:
        super().__init__(text or status)
        self.status = status
        self.text = text


@dataclass(frozen=True, slots=True)
class Comment:
    """What an operator says. Without text and locale nothing is said, and the comment before stays; an empty text with a locale
    takes it away (5.5.6)."""

    text: str | None
    locale: str | None = None

    @property
    def is_null(self) -> bool:
        return not self.text and not self.locale

    def must_fit(self) -> None:
        """Raise Refused when it is longer than what is kept (5.5.2 lets a server set a limit)."""
        if len(self.text or "") > MOST_COMMENT or len(self.locale or "") > MOST_LOCALE:
            raise Refused("BadInvalidArgument", f"A comment has up to {MOST_COMMENT} characters, its locale up to {MOST_LOCALE}")


@dataclass(slots=True)
class Branch:
    """One state of a condition. ``number`` 0 is the present one. ``level``: what it is active at, None while it is not.

    ``told_ns``: when the last thing happened to it. ``*_ns``: last transitions. ``event_ids``: newest last.
    """

    number: int = 0
    level: str | None = None
    severity: int = 1
    last_severity: int = 0
    message: str = ""
    acked: bool = True
    confirmed: bool = True
    comment: str = ""
    locale: str = "en"
    user: str = ""
    told_ns: int = 0
    active_ns: int = 0
    acked_ns: int = 0
    confirmed_ns: int = 0
    severity_ns: int = 0
    comment_ns: int = 0
    event_ids: tuple[bytes, ...] = ()

    @property
    def wants_somebody(self) -> bool:
        """Whether it is active, or not yet acknowledged and confirmed."""
        return self.level is not None or not (self.acked and self.confirmed)

    @property
    def event_id(self) -> bytes:
        return self.event_ids[-1] if self.event_ids else b""

    def note(self, comment: Comment, user: str, now_ns: int) -> None:
        """Keep what somebody said, and who did."""
        if not comment.is_null:
            self.comment, self.locale, self.comment_ns = comment.text or "", comment.locale or "", now_ns
        self.user = user
