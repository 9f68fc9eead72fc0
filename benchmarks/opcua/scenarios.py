"""What is measured. One row is one measurement of each server; all figures are server CPU time per operation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Action = Literal["subscribe", "read", "write", "browse", "call", "connect", "echo", "publish", "hold"]
VARIABLES: Final = 6_000
"""Of the servers that stay up for a round."""
PUBLISHED: Final = 60_000
RATE_HZ: Final = 10.0
TOGETHER: Final = 8
"""Sessions that each ask again when they are answered: enough for a server to have always one to answer. With one session it waits
for the client between two requests, and what it then costs to wake up is measured too."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """``operation`` is what is counted. ``only_ours``: why the others are not asked; "" where they are."""

    name: str
    action: Action
    operation: str
    sessions: int = 1
    items: int = 1
    clients: int = 1
    """Client processes, which share the sessions."""
    ticking: bool = False
    encrypted: bool = False
    only_ours: str = ""

    @property
    def notifications_per_s(self) -> float:
        return self.sessions * self.items * RATE_HZ


_FULL: Final = "a core is full at 100 sessions"


def _listening(sessions: int, items: int, name: str = "", **more: object) -> Scenario:
    shown = name or f"{sessions:,} {'session' if sessions == 1 else 'sessions'} x {items:,} items"
    return Scenario(shown, "subscribe", "notification", sessions, items, ticking=True, **more)  # type: ignore[arg-type]


def _asking(encrypted: bool) -> list[Scenario]:
    end = ", encrypted" if encrypted else ""
    rows: list[tuple[str, Action, str, int, bool]] = [
        ("Read 1", "read", "Read", 1, False),
        ("Read 60", "read", "value", 60, False),
        ("Read 1,000", "read", "value", 1_000, False),
        ("Read 1,000 that change at 10 Hz", "read", "value", 1_000, True),
        ("Browse 1,000", "browse", "reference", 1_000, False),
        ("Write 1", "write", "Write", 1, False),
        ("Write 60", "write", "value", 60, False),
        ("Call", "call", "Call", 1, False),
        ("Connect", "connect", "session", 1, False),
    ]
    alone = [
        Scenario(name + end, action, operation, items=items, ticking=ticking, encrypted=encrypted)
        for name, action, operation, items, ticking in rows
    ]
    return alone + [
        Scenario(f"{name}, {TOGETHER} at once{end}", action, operation, TOGETHER, items, encrypted=encrypted)
        for name, action, operation, items, _ticking in rows
        if name in ("Read 1", "Read 60", "Write 1", "Write 60", "Call")
    ]


SCENARIOS: Final[tuple[Scenario, ...]] = (
    *(_listening(sessions, 60) for sessions in (1, 10, 20, 50, 100)),
    _listening(300, 60, only_ours=_FULL, clients=2),
    _listening(1_000, 60, only_ours=_FULL, clients=2),
    *(_listening(1, items) for items in (1, 10, 100, 1_000)),
    _listening(1, VARIABLES, "6,000 variables, 1 session"),
    _listening(100, 60, "100 sessions x 60 items, encrypted", encrypted=True),
    Scenario("Nothing: bytes echoed", "echo", "answer", only_ours="it is a server that does nothing (echo.py)"),
    *_asking(False),
    *_asking(True),
    Scenario("Publish 60,000 changes in one tick", "publish", "change", items=PUBLISHED),
    Scenario("Start-up, memory", "hold", "session", sessions=100, items=60),
)
