"""Moves of a program, interpreted once for all its runs: the same moves in each of them, down to their identities.

A run that begins at another place is interpreted anew, and has the moves of the first wherever it comes to make the same.

run 1   0 1 2 3 4 5 6 ...         Whoever is furthest takes the next move from the interpreter and leaves it for the others.
run 2   0 1 2                     A program that goes on beyond ``MOST`` moves is interpreted anew for each run from there on,
run 3   0 1 2 3 4                 but for the first that comes there: one without an end must not fill the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

from opcua_server.machine.moves import Move, NcAlarm

MOST: Final = 8000
"""Moves that are kept of a program: 4 MB."""


class Listing:
    """``interpret`` begins at the first move; ``like``: a run of the same program that begins elsewhere.

    Iterating raises NcAlarm where the interpreter does.
    """

    def __init__(self, interpret: Callable[[], Iterator[Move]], like: Listing | None = None, most: int = MOST) -> None:
        self._interpret, self._most = interpret, most
        self._like = like._moves if like is not None else []
        self._source: Iterator[Move] | None = interpret()
        """None when it has ended, or went on with the first run that came to the end of what is kept."""
        self._moves: list[Move] = []
        self._alarm: NcAlarm | None = None

    def __iter__(self) -> Iterator[Move]:
        moves, k = self._moves, 0
        while k < self._most:
            if k == len(moves) and not self._further():
                return
            yield moves[k]
            k += 1
        source, self._source = self._source, None
        yield from source if source is not None else islice(self._interpret(), k, None)

    def _further(self) -> bool:
        """Take one more move from the interpreter. False at the end; NcAlarm at an alarm."""
        if self._source is not None:
            try:
                move, k = next(self._source), len(self._moves)
                self._moves.append(self._like[k] if k < len(self._like) and self._like[k] == move else move)
                return True
            except StopIteration:
                pass
            except NcAlarm as alarm:
                self._alarm = alarm
            self._source = None
        if self._alarm is not None:
            one = self._alarm
            raise NcAlarm(one.number, one.text, one.line, one.program, one.block)
        return False
