"""How far a program is: which of its moves have begun."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from opcua_server.machine.moves import Move
from opcua_server.machine.work import Job


class Progress:
    """Of one run of a program. ``counted`` is what motion takes its moves from."""

    def __init__(self) -> None:
        self._ahead: deque[Move] = deque()
        """Moves that motion has taken from the program and not yet begun."""
        self._begun = 0
        self._percent = (0, 0.0)
        """Share of the time that is done, behind the number of moves that have begun."""

    def counted(self, moves: Iterator[Move]) -> Iterator[Move]:
        """The moves of a new run."""
        self._ahead.clear()
        self._begun = 0
        self._percent = (0, 0.0)
        return self._taken(moves)

    def _taken(self, moves: Iterator[Move]) -> Iterator[Move]:
        for move in moves:
            self._ahead.append(move)
            yield move

    def begun(self, move: Move) -> None:
        """This move has begun, and all that motion took before it are done."""
        if any(move is ahead for ahead in self._ahead):
            while self._ahead and self._ahead.popleft() is not move:
                self._begun += 1
            self._begun += 1

    def percent(self, job: Job | None) -> float:
        """Planned time of the moves that are done, of that of all; an M30 that was reached is 100."""
        if job is None or job.total_s <= 0.0 or self._begun < 2:
            return 0.0
        if self._percent[0] != self._begun:
            done = min(self._begun - 1, len(job.planned_s)) - 1
            self._percent = (self._begun, min(100.0, 100.0 * float(job.planned_s[done]) / job.total_s))
        return self._percent[1]
