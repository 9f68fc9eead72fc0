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
        return self._serve(connection, request_id, handle, subscription_id, sequence, token, number)

    def take(self, connection: Any, request_id: int, body: bytes) -> bool:
        """Serve a request that is one of them; nothing has changed where it is not."""
        if len(body) != _SIZE:
            return False
        who, _time, handle, between, number, sequence = _read(body)
        if who != self._who or between != self._between:
            return False
        return self._serve(connection, request_id, handle, number, sequence)

    def _serve(
        self, connection: Any, request_id: int, handle: int, number: int, sequence: int, token: int = 0, frame: int = 0
    ) -> bool:
        """Let a request wait for its subscription, if that has such a message to acknowledge and the request will only wait.
        ``token`` and sequence number of its ``frame``, where the channel has not checked them yet."""
        session, desk = self._session, self._desk
        if session.connection is not connection or session.is_closed:
            return False
        requests, subscriptions = desk.requests, desk.subscriptions
        if desk.notices or desk.late or len(requests) >= desk.capacity:
            return False
        subscription = subscriptions.get(number)
        if subscription is None or sequence not in subscription.sent:
            return False
        now_s = connection.engine.clock()
        if token and not connection.channel.hears(token, frame, now_s):
            return False
        subscription.acknowledge(sequence)
        session.last_s = now_s
        session.regular += 1
        hint_s = self._hint_s
        answer = Reply(connection, request_id, handle, PUBLISH_REQUEST, session)
        requests.append((answer, now_s + hint_s if hint_s else NEVER_S, ACKNOWLEDGED, handle))
        for each in subscriptions.values():
            each.without_request = 0
        return True
