"""How far a program is: which of its moves have begun, and how far the last of them is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.moves import Move, Point
from opcua_server.machine.parameters import SAMPLE_S
from opcua_server.machine.work import HOME, Job, way_mm


class Progress:
    """Of one run of a program. ``counted`` is what motion takes its moves from."""

    def __init__(self) -> None:
        self._ahead: deque[Move] = deque()
        """Moves that motion has taken from the program and not yet begun."""
        self._begun = 0
        self._percent = (0, 0.0, 0.0)
        """Share of the time that is done before the last move that has begun, and its own, behind the number of moves that have."""
        self._size = 0.0
        """Of the last move: its way in mm, or how long it dwells in s."""
        self._done = 0.0
        """Of that."""
        self._dwells = False
        self._end: Point = HOME
        """Where it ends."""
        self._from = 0
        """Sample of the block at which it began."""

    def counted(self, moves: Iterator[Move], start: Point) -> Iterator[Move]:
        """The moves of a new run, which begins there."""
        self._ahead.clear()
        self._end = start
        self._begun = 0
        self._percent = (0, 0.0, 0.0)
        self._size = 0.0
        return self._taken(moves)

    def _taken(self, moves: Iterator[Move]) -> Iterator[Move]:
        for move in moves:
            self._ahead.append(move)
            yield move

    def begun(self, move: Move, sample: int) -> None:
        """This move has begun, at a sample of the block that ``along`` is told of next; all that motion took before it are done."""
        if any(move is ahead for ahead in self._ahead):
            while (ahead := self._ahead.popleft()) is not move:
                self._begun, self._end = self._begun + 1, ahead.end
            self._begun += 1
            self._dwells = move.kind == "dwell"
            self._size, self._done, self._from = move.dwell_s if self._dwells else way_mm(move, self._end), 0.0, sample
            self._end = move.end

    def along(self, block: MotionBlock) -> None:
        """The last move has gone on for a block, at the speed that it has at its end."""
        seconds, self._from = (len(block) - self._from) * SAMPLE_S, 0
        if self._size > 0.0:
            self._done += seconds if self._dwells else seconds * block.feed_mm_s.item(-1)

    def percent(self, job: Job | None) -> float:
        """Planned time of the moves that are done, and of the last one as far as it is, of that of all; an M30 that was reached
        is 100."""
        if job is None or job.total_s <= 0.0 or not self._begun:
            return 0.0
        if self._percent[0] != self._begun:
            before, last = (100.0 * self._planned_s(job, moves) / job.total_s for moves in (self._begun - 1, self._begun))
            self._percent = (self._begun, before, last - before)
        _, before, own = self._percent
        share = min(self._done / self._size, 1.0) if self._size > 0.0 else 0.0
        return min(100.0, before + own * share)

    @staticmethod
    def _planned_s(job: Job, moves: int) -> float:
        """Of the first ``moves`` of a program."""
        moves = min(moves, len(job.planned_s))
        return float(job.planned_s[moves - 1]) if moves else 0.0
