"""The results of the analytics at one machine: values that only their program may write."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime

from asyncua import ua

from opcua_server.space.instances import Builder
from opcua_server.space.publish import put, status_code
from opcua_server.space.waiting import is_not_known_yet, not_known_yet


class Verdicts:
    """``nodes``: their variables, which say that nothing is known yet."""

    def __init__(self, builder: Builder, nodes: Iterable[ua.NodeId]) -> None:
        self._values = []
        for node_id in nodes:
            builder.writable(node_id)
            held = builder.value(node_id)
            self._values.append(held)
            kind = builder.types.builtin(builder.types.attribute(node_id, ua.AttributeIds.DataType))
            put(held, not_known_yet([kind], builder.now))

    def set_status(self, status: int) -> None:
        """Give all of them an Uncertain status, when their writer is lost: they keep value and source time. One that nobody has
        worked out yet stays as it is."""
        now = datetime.now(UTC)
        for held in self._values:
            before = held.value
            has_value = before is not None and before.Value is not None and before.Value.Value is not None
            if has_value and not is_not_known_yet(before):
                put(held, replace(before, StatusCode=status_code(status), ServerTimestamp=now))
