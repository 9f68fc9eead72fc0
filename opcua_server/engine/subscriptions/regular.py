"""The Publish request that comes as the last one did: what a server gets most, and so the shortest way through it.

|826 token| time handle |diagnostics audit hint count| subscription sequence     one unpack; what stands between is as before

Whatever is otherwise goes the general way (connection.py, service.py), with the same effect.
"""

from __future__ import annotations

import struct
from typing import Any, Final

from opcua_server.engine.contract import Request
from opcua_server.engine.reply import Reply
from opcua_server.engine.subscriptions.publishing import ACKNOWLEDGED, NEVER_S, Desk
from opcua_server.engine.subscriptions.subscription import Subscription

PUBLISH_REQUEST: Final = 826
_BODY: Final = struct.Struct("<43sqI19sII")
_SIZE: Final = _BODY.size
_FRAME: Final = struct.Struct("<12sIII43sqI19sII")
_FRAME_SIZE: Final = _FRAME.size
_read_frame: Final = _FRAME.unpack
_read: Final = _BODY.unpack
_TYPE: Final = struct.pack("<HH", 1, PUBLISH_REQUEST)
_BETWEEN: Final = struct.Struct("<IiI3xi").pack


class Regular:
    """The Publish requests of one session that acknowledge one message. ``request``: one that was served."""

    __slots__ = ("_between", "_desk", "_hint_s", "_session", "_start", "_who")

    def __init__(self, request: Request, desk: Desk) -> None:
        header = request.header
        self._who = _TYPE + header.token
        self._between = _BETWEEN(header.return_diagnostics, -1, header.timeout_hint, 1)
        self._hint_s = header.timeout_hint / 1000
        self._session: Any = request.session
        self._desk = desk
        self._start = request.answer.connection.channel.start_of_frames(_FRAME_SIZE)

    def take_frame(self, connection: Any, frame: bytes) -> bool:
        """Serve a request that is one of them, in its frame; nothing has changed where it is not. Only over a channel without
        keys."""
        if len(frame) != _FRAME_SIZE:
            return False
        start, token, number, request_id, who, _time, handle, between, subscription_id, sequence = _read_frame(frame)
        if start != self._start or who != self._who or between != self._between:
            return False
        now_s = connection.engine.clock()
        subscription = self._of(connection, subscription_id, sequence)
        if subscription is None or not connection.channel.hears(token, number, now_s):
            return False
        self._serve(connection, request_id, handle, subscription, sequence, now_s)
        return True

    def take(self, connection: Any, request_id: int, body: bytes) -> bool:
        """Serve a request that is one of them; nothing has changed where it is not."""
        if len(body) != _SIZE:
            return False
        who, _time, handle, between, number, sequence = _read(body)
        if who != self._who or between != self._between:
            return False
        subscription = self._of(connection, number, sequence)
        if subscription is None:
            return False
        self._serve(connection, request_id, handle, subscription, sequence, connection.engine.clock())
        return True

    def _of(self, connection: Any, number: int, sequence: int) -> Subscription | None:
        """The subscription, if it has such a message to acknowledge, and the request that does will only wait."""
        session, desk = self._session, self._desk
        if session.connection is not connection or session.is_closed or desk.is_busy:
            return None
        subscription = desk.subscriptions.get(number)
        return subscription if subscription is not None and sequence in subscription.sent else None

    def _serve(
        self, connection: Any, request_id: int, handle: int, subscription: Subscription, sequence: int, now_s: float
    ) -> None:
        subscription.acknowledge(sequence)
        session = self._session
        session.last_s = now_s
        session.regular += 1
        hint_s = self._hint_s
        answer = Reply(connection, request_id, handle, PUBLISH_REQUEST, session)
        self._desk.wait((answer, now_s + hint_s if hint_s else NEVER_S, ACKNOWLEDGED, handle))
