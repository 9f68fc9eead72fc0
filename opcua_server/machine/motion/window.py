"""The moves ahead: pulled from the interpreter as late as possible, turned into segments, joined to each other."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from copy import copy
from itertools import islice
from typing import Final

from opcua_server.machine.motion.corner import join, meet, part
from opcua_server.machine.motion.profile import brake
from opcua_server.machine.motion.segment import Rules, Segment
from opcua_server.machine.moves import Move, NcAlarm, Point

PATH: Final = frozenset({"rapid", "feed", "arc", "tap", "probe"})
"""Kinds of moves that go somewhere."""

NOWHERE: Final = PATH | {"block"}
"""Kinds of moves that are nothing where they stand in the queue as they are."""
_NOWHERE_MM: Final = 1e-9
"""A shorter way is rounding of the program's arithmetic."""
_M_CODES: Final = frozenset({"spindle", "index", "coolant", "message"})


class Window:
    """A bounded queue of what comes next: segments of the path, and the moves that take place standing.

    It pulls only up to the next stand, because nothing behind it can change the speed before it. Moves of no length are left
    out. ``alarm`` is what the interpreter raised; it is due when the queue is empty.
    """

    def __init__(self, rules: Rules, blocks: int, *, exact_stop: bool = False) -> None:
        self._rules = rules
        self._blocks = blocks
        self._exact_stop = exact_stop
        self._moves: Iterator[Move] = iter(())
        self._programmed: Point = (0.0, 0.0, 0.0)
        self._queue: deque[Segment | Move] = deque()
        self._planned = 0
        """Blocks that a planner with a queue of its own has taken since the queue was empty."""
        self.alarm: NcAlarm | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def load(self, moves: Iterable[Move], position_mm: Point) -> None:
        self.clear()
        self._moves = iter(moves)
        self._programmed = position_mm

    def clear(self) -> None:
        self._moves = iter(())
        self._queue.clear()
        self._planned = 0
        self.alarm = None

    @property
    def head(self) -> Segment | Move:
        """What comes next; IndexError if nothing is queued."""
        return self._queue[0]

    def pop(self) -> None:
        """The head is done."""
        if self._queue:
            self._queue.popleft()

    def own(self) -> None:
        """Take the segments that are queued out of what tracks remember: they may be changed from now on."""
        self._queue = deque(copy(one) if isinstance(one, Segment) else one for one in self._queue)

    def fill(self, *, single_block: bool = False) -> None:
        """Pull moves until the group at the head is complete or the window is full. ``single_block``: what goes nowhere is not
        left out, as the end of its block is a stop."""
        queue = self._queue
        complete = self._complete(0)
        while not complete and len(queue) < self._blocks and self.alarm is None:
            try:
                move = next(self._moves)
            except StopIteration:
                break
            except NcAlarm as alarm:
                self.alarm = alarm
                break
            self._append(move, keeps=single_block)
            complete = self._complete(max(0, len(queue) - 2))
        if queue and isinstance(queue[-1], Segment):
            queue[-1].close()

    def _complete(self, first: int) -> bool:
        """Whether a stand is queued from ``first`` on, and nothing behind it matters any more."""
        queue = self._queue
        ahead = len(queue) - 1 if self._rules.overlap is not None else len(queue)
        for k, one in enumerate(islice(queue, first, None), first):
            if not isinstance(one, Segment):
                return True
            if one.exact and (k < ahead or not one.rapid):
                return True
        return False

    def _append(self, move: Move, *, keeps: bool) -> None:
        queue = self._queue
        before = queue[-1] if queue else None
        if move.kind == "block":
            self._keep(move, keeps=keeps)
            return
        if move.kind not in PATH:
            if not self._rules.stops_at_m_codes and move.kind in _M_CODES:
                return
            queue.append(move)
            self._planned = 0
        else:
            segment = Segment(move, self._programmed, self._rules)
            if segment.length <= _NOWHERE_MM:
                self._keep(move, keeps=keeps and (before is None or not same_block(move_of(before), move)))
                return
            self._programmed = move.end
            segment.exact = segment.exact or self._exact_stop
            queue.append(segment)
            self._planned += 1
            if isinstance(before, Segment):
                self._meet(before, segment)
        if isinstance(before, Segment):
            before.close()

    def _keep(self, move: Move, *, keeps: bool) -> None:
        """A move that goes nowhere: the path stands before it, where it is kept at all."""
        if keeps:
            before = self._queue[-1] if self._queue else None
            self._queue.append(move)
            self._planned = 0
            if isinstance(before, Segment):
                before.close()

    def _meet(self, before: Segment, after: Segment) -> None:
        """Say how the path gets from one segment to the next."""
        overlap = self._rules.overlap
        if overlap is not None and self._planned > overlap.queue_blocks + 1:
            self._planned = 1
            before.exact = before.refills = True
        elif before.rapid and after.rapid:
            meet(before, after, self._rules)
        elif after.from_stand:
            before.exact = True
        elif not before.exact:
            self._planned += join(before, after, self._rules)

    def group(self) -> tuple[list[Segment], bool]:
        """The segments from the head to the next stand, and whether the window ends before it."""
        group: list[Segment] = []
        for one in self._queue:
            if not isinstance(one, Segment):
                return group, False
            group.append(one)
            if one.exact:
                return group, False
        return group, len(group) >= self._blocks


def block_end(group: list[Segment], s_mm: float, v_mm_s: float) -> int:
    """How many segments of ``group`` to run so that it stands where a block ends, the first one that can be reached.

    The path will stand right in that corner, so it is not rounded any more: too late if the axes are in it already.
    """
    stops = brake(group, s_mm, v_mm_s)
    for k in range(stops[-1][0] if stops else 0, len(group) - 1):
        reached = k == 0 and s_mm > group[k].length - group[k].zone_out[0]
        if not reached and not same_block(group[k].move, group[k + 1].move):
            part(group[k], group[k + 1])
            return k + 1
    return len(group)


def move_of(one: Segment | Move) -> Move:
    return one.move if isinstance(one, Segment) else one


def same_block(one: Move, other: Move) -> bool:
    return one.line == other.line and one.program == other.program
