"""The faults of one machine: which are active, how severe they are now, and the record of what was done when."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from opcua_server.machine.faults import FAULTS
from opcua_server.machine.physics import Physics


@dataclass(slots=True)
class Injection:
    """``begun_s``: machine time at which it began."""

    name: str
    final: float
    onset_s: float
    begun_s: float


@dataclass(frozen=True, slots=True)
class TruthEvent:
    """A line of the ground-truth record."""

    time_s: float
    action: str
    name: str
    root_cause: str
    severity: float
    onset_s: float


HEALTHY: Final = Physics()


class ActiveFaults:
    """Ground truth of one machine. Time is machine time in s, since the machine was first switched on."""

    def __init__(self) -> None:
        self._active: dict[str, Injection] = {}
        self.record: list[TruthEvent] = []

    @property
    def any(self) -> bool:
        """Whether there is one, however small it still is."""
        return bool(self._active)

    def inject(self, name: str, severity: float, onset_s: float, now_s: float) -> None:
        """Begin a fault; one that is active begins anew with the new values. KeyError for a name that does not exist."""
        fault = FAULTS[name]
        self._active[name] = Injection(name, severity, onset_s, now_s)
        self._note(TruthEvent(now_s, "injected", name, fault.root_cause, severity, onset_s))

    def clear(self, name: str, now_s: float) -> list[str]:
        """End a fault, or all with ``All``; returns the names of those that ended. KeyError as for ``inject``."""
        names = list(self._active) if name == "All" else [FAULTS[name].name] * (name in self._active)
        for ended in names:
            fault, injection = FAULTS[ended], self._active.pop(ended)
            severity = fault.severity(injection.final, now_s - injection.begun_s, injection.onset_s)
            self._note(TruthEvent(now_s, "cleared", ended, fault.root_cause, severity, injection.onset_s))
        return names

    def _note(self, event: TruthEvent) -> None:
        self.record.append(event)
        del self.record[:-1000]  # a machine that runs for months must not grow

    def severities(self, now_s: float) -> list[float]:
        """Present severity of every fault, in the order of ``FAULTS``."""
        if not self._active:
            return [0.0] * len(FAULTS)
        return [
            FAULTS[name].severity(i.final, now_s - i.begun_s, i.onset_s) if (i := self._active.get(name)) else 0.0
            for name in FAULTS
        ]

    def physics(self, now_s: float) -> Physics:
        """The parameters that hold now; not to be written to."""
        if not self._active:
            return HEALTHY
        physics = Physics()
        for fault, severity in zip(FAULTS.values(), self.severities(now_s), strict=True):
            if severity > 0.0:
                fault.act(physics, severity)
        return physics

    def save(self) -> list[dict[str, Any]]:
        return [{"name": i.name, "final": i.final, "onset_s": i.onset_s, "begun_s": i.begun_s} for i in self._active.values()]

    def restore(self, saved: list[dict[str, Any]]) -> None:
        self._active = {item["name"]: Injection(**item) for item in saved if item["name"] in FAULTS}
