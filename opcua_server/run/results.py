"""How old the analytics' results are. A result whose writer is silent or gone is no longer Good. Pure: the time comes in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

SILENT_S: Final = 5.0
Gone = Callable[[], bool]


@dataclass(slots=True)
class _Writer:
    last_s: float
    gone: Gone


class ResultsWatch:
    """Who wrote each machine's results, and when."""

    def __init__(self) -> None:
        self._writers: dict[str, _Writer] = {}

    def wrote(self, machine_id: str, now_s: float, gone: Gone) -> None:
        """``gone`` tells whether the writer's session is closed."""
        self._writers[machine_id] = _Writer(now_s, gone)

    def lost(self, now_s: float) -> list[str]:
        """Machines whose results nobody keeps up any more; each is told once, until somebody writes again."""
        lost = [machine_id for machine_id, writer in self._writers.items() if now_s - writer.last_s > SILENT_S or writer.gone()]
        for machine_id in lost:
            del self._writers[machine_id]
        return lost
