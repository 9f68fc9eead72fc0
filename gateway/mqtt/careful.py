"""Which message a broker ends the connection at, where it does not say so: found by sending them one at a time. Pure.

MQTT 3.1.1 has no word for what a broker does not take, and not every broker of MQTT 5 says it. It hangs up, and would at the same
message after each reconnect, for ever.

    lost soon SHORT times in a row --> careful: what is no larger than something taken, of a topic taken, goes at once;
                                       everything else alone, acknowledged before the next
    lost while the same topic is alone on its way, twice in a row --> blamed: its size, where nothing so large was ever taken;
                                       else its topic, where nothing of it was; else nobody: the line is bad,
                                       as where nothing was taken at all
    a connection that lasted is lost --> all is forgotten: the broker may be another one now

A size is blamed half way down to what was taken: the next larger one halves it again where that was too much.
"""

from __future__ import annotations

from typing import Final

from gateway.mqtt.allowed import packet_size
from gateway.mqtt.message import Message

SHORT: Final = 2


class Careful:
    """Tell it of each life of a connection; ``is_on`` says whether the present one is careful."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self.is_on = False
        self.alone: Message | None = None
        """What is on its way, and nothing else that may be to blame."""
        self.limit: int | None = None
        """Bytes of a packet beyond which the connection would end; None while nothing is known."""
        self._refused: set[str] = set()
        self._taken: set[str] = set()
        self._largest = 0
        self._lost = 0
        self._suspect = ""

    def refuses(self, message: Message) -> str:
        """Why the broker does not take it, as it is counted; empty where it may."""
        if message.topic in self._refused:
            return "refused"
        return "large" if self.limit is not None and packet_size(message) > self.limit else ""

    def is_safe(self, message: Message) -> bool:
        return message.topic in self._taken and packet_size(message) <= self._largest

    def took(self, message: Message) -> None:
        """The broker has answered, whatever it said."""
        self.alone = None
        self._taken.add(message.topic)
        self._largest = max(self._largest, packet_size(message))

    def lasted(self) -> None:
        """This life is no short one: its messages go as ever."""
        self.is_on = False

    def lost(self, *, lasted: bool) -> str:
        """The connection is gone: what is to blame, in words, or nothing."""
        alone, self.alone = self.alone, None
        if lasted:
            self._forget()
            return ""
        self._lost += 1
        self.is_on = self._lost >= SHORT
        if alone is None or alone.topic != self._suspect:
            self._suspect = "" if alone is None else alone.topic
            return ""
        self._suspect = ""
        if not self._taken:
            return ""  # it takes nothing at all
        size = packet_size(alone)
        if size > self._largest:
            self.limit = (self._largest + size) // 2
            return f"a packet of {size} bytes to {alone.topic} ended the connection twice: what has more than {self.limit} bytes"
        if alone.topic not in self._taken:
            self._refused.add(alone.topic)
            return f"a message to {alone.topic} ended the connection twice: what goes there"
        return ""
