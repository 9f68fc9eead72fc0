"""How much a program may spend before it is stopped: blocks, seconds, blocks without a move."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.moves import Move

CHECK_EVERY = 256
MOST_STROKES = 16
"""Moves for each block of the budget that cycles and calls may make."""


@dataclass(frozen=True, slots=True)
class Budget:
    """When to stop a program that does not end by itself. None is without limit.

    ``clock`` gives seconds; without it ``seconds`` cannot act. ``idle_blocks`` counts blocks since the last move.
    """

    blocks: int | None = None
    seconds: float | None = None
    idle_blocks: int | None = 200_000
    clock: Callable[[], float] | None = None


class Spending:
    """What one run has spent so far. Raises EX1010 to EX1012."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._deadline: float | None = None
        self._blocks = 0
        self._strokes = 0
        self.idle = 0
        """Blocks since the last move; whoever sees a move sets it back."""

    def begin(self) -> None:
        budget = self._budget
        if budget.clock is not None and budget.seconds is not None:
            self._deadline = budget.clock() + budget.seconds

    def block(self) -> bool:
        """One more block; True when the caller should give up control for a moment."""
        budget = self._budget
        self._blocks += 1
        self.idle += 1
        pause = not self._blocks % CHECK_EVERY
        if pause:
            self._check_time()
        if budget.blocks is not None and self._blocks > budget.blocks:
            raise BlockFault("EX1010", f"{budget.blocks} blocks")
        if budget.idle_blocks is not None and self.idle > budget.idle_blocks:
            raise BlockFault("EX1012", f"{budget.idle_blocks} blocks")
        return pause

    def within(self, moves: Iterable[Move]) -> Iterator[Move]:
        """The moves of one block; a cycle may ask for millions, so that the budget counts here too."""
        if isinstance(moves, list):
            yield from moves
            return
        most = self._budget.blocks
        for move in moves:
            yield move
            self._strokes += 1
            if not self._strokes % CHECK_EVERY:
                self._check_time()
                if most is not None and self._strokes > MOST_STROKES * most:
                    raise BlockFault("EX1010", f"{most} blocks")

    def _check_time(self) -> None:
        budget = self._budget
        if self._deadline is not None and budget.clock is not None and budget.clock() > self._deadline:
            raise BlockFault("EX1011", f"{budget.seconds:g} s")
