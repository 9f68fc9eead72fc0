"""The last predictions and anomalies of every machine, as REST shows them: from the analytics, and from requests to predict."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.core import Gateway
from gateway.twin import Update
from gateway.twin.results import Results

KEPT: Final = 100
MACHINES: Final = 2000


class Records:
    """Bounded: KEPT records of each kind for each machine. Each of ``keep`` takes one (kind, machine id, record)."""

    def __init__(self, gateway: Gateway, keep: Sequence[Callable[[str, str, dict[str, Any]], None]]) -> None:
        self._gateway = gateway
        self._keep = keep
        self._results = Results()
        self._known: OrderedDict[tuple[str, str], deque[dict[str, Any]]] = OrderedDict()

    def update(self, update: Update) -> None:
        machine = self._gateway.twin.machines[update.machine_id]
        for record in self._results.judge(update, machine.readings):
            self.add(record.kind, record.machine_id, record.body)

    def add(self, kind: str, machine_id: str, body: dict[str, Any], *, keep: bool = True) -> None:
        known = self._known.setdefault((kind, machine_id), deque(maxlen=KEPT))
        known.append(body)
        self._known.move_to_end((kind, machine_id))
        if len(self._known) > MACHINES:
            self._known.popitem(last=False)
        if keep:
            for kept in self._keep:
                kept(kind, machine_id, body)
            if kind == "anomaly":
                self._gateway.metrics.anomalies_detected.labels(body["detector"]).inc()

    def of(self, kind: str, machine_id: str) -> list[dict[str, Any]]:
        """Oldest first."""
        return list(self._known.get((kind, machine_id), ()))

    def all(self, kind: str, limit: int) -> list[dict[str, Any]]:
        """Of all machines, newest first."""
        found = [body for (of_kind, _), known in self._known.items() if of_kind == kind for body in known]
        return sorted(found, key=lambda body: str(body.get("timestamp", "")), reverse=True)[:limit]
