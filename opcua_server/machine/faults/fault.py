"""What a fault is: a root cause with a law of growth that changes parameters of the physics.

    severity ^          _________ final        progress = growth(age / onset), from 0 to 1;
             |        .'                       severity = progress * final.
             |     . '
             |_ . '_____________> age          Ground truth: the record of injections and clearings, and the present severity.
               onset

A fault is one file with a ``FAULT`` and one line in the registry (``faults/__init__.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from opcua_server.machine.physics import Physics

Growth = Callable[[float], float]
"""Share of the final severity (0 to 1) by share of the onset time (0 to 1)."""


def linear(progress: float) -> float:
    return progress


def accelerating(progress: float) -> float:
    """Damage that feeds itself: a spall grows at its own edges."""
    return progress**2


def saturating(progress: float) -> float:
    """A leak or a hot spot: fast at first, then towards a balance."""
    return progress * (2.0 - progress)


@dataclass(frozen=True, slots=True)
class Expected:
    """What the fault does to a signal while the machine works: for the conformance test and for the docs."""

    signal: str
    direction: Literal["up", "down", "spreads", "parts", "departs"]
    """spreads: varies more. parts: from the scale of its axis. departs: from what the same machine would show healthy."""


@dataclass(frozen=True, slots=True)
class Fault:
    """``act`` changes the physics for a severity above 0, up to 1."""

    name: str
    title: str
    root_cause: str
    growth: Growth
    act: Callable[[Physics, float], None]
    expected: tuple[Expected, ...]
    alarms: tuple[str, ...] = ()
    """Codes of alarms it may lead to."""
    renews_tools: bool = False
    """Whether a tool that it broke is replaced when it is cleared."""

    def severity(self, final: float, age_s: float, onset_s: float) -> float:
        """Severity 0 to ``final`` at an age; an onset of 0 is there at once."""
        if age_s < 0.0:
            return 0.0
        return final * self.growth(1.0 if onset_s <= 0.0 else min(age_s / onset_s, 1.0))
