"""The last telemetry documents of every machine: those of the watched server, and those that other programs send in by REST.

A machine that is not on the watched server is registered by its first document. What is sent in for a machine that is on the
server is kept in its history too, and is its latest until the machine's own next data.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterable
from typing import Any, Final

MACHINES: Final = 1000
"""Machines kept; the one that was silent longest makes room."""
HISTORY: Final = 200


class Recent:
    """Documents by machine: {timestamp, machine_id, data}, in order of arrival, the last HISTORY of each."""

    def __init__(self) -> None:
        self.registered: set[str] = set()
        self._documents: OrderedDict[str, deque[dict[str, Any]]] = OrderedDict()

    def add(self, machine_id: str, document: dict[str, Any], *, register: bool = False) -> None:
        """Take in a document; ``register`` where its machine came in this way."""
        if register:
            self.registered.add(machine_id)
        self._documents.setdefault(machine_id, deque(maxlen=HISTORY)).append(document)
        self._documents.move_to_end(machine_id)
        while len(self._documents) > MACHINES:
            gone, _ = self._documents.popitem(last=False)
            self.registered.discard(gone)

    def preload(self, machine_id: str, documents: Iterable[dict[str, Any]]) -> None:
        """Documents of an earlier run, oldest first, before those of this one."""
        kept = [*documents, *self._documents.get(machine_id, ())]
        self._documents[machine_id] = deque(kept, maxlen=HISTORY)

    def history(self, machine_id: str) -> list[dict[str, Any]]:
        return list(self._documents.get(machine_id, ()))

    def latest(self, machine_id: str) -> dict[str, Any] | None:
        known = self._documents.get(machine_id)
        return known[-1] if known else None
