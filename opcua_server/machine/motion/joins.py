"""Blocks in which one way meets the next, or a stand, remembered as tracks are: each machine of a process passes the same ones.

    piece of a track --.
    stand -------------+-- side by side, behind the filter as it stands --> Join: MotionBlock, and how the filter stands then
    piece of a track --'

The key is exact: what the filter has seen, to the last bit, and the pieces themselves. What happens in a block besides (events) is
the operator's and the machine's too, and is no part of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from struct import Struct
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from opcua_server.machine.motion.block import Floats, MotionBlock, path_speed
from opcua_server.machine.motion.filter import Average
from opcua_server.machine.motion.window import PATH
from opcua_server.machine.moves import Move, Point

_PLACE: Final = Struct("3d")


class Piece:
    """Samples in a row of a track. ``raw``: (6, n), before the filter; ``segment``: of the track (n,)."""

    __slots__ = ("goals", "index", "last", "moves", "raw", "segment")

    def __init__(
        self, raw: Floats, segment: NDArray[np.integer[Any]], before: int, moves: Sequence[Move], goals: Sequence[Point]
    ) -> None:
        """``before``: segment of the sample before them; ``moves``, ``goals``: of the segments from it to the last."""
        self.raw, self.segment, self.last = raw, segment, int(segment[-1])
        self.index = (segment - before).astype(np.int32)
        self.moves, self.goals = tuple(moves), tuple(goals)

    def __len__(self) -> int:
        return len(self.segment)


class Stand(NamedTuple):
    """``n`` samples in one place."""

    place: Point
    active: Move | None
    n: int

    def key(self) -> Hashable:
        """By bits: 0.0 and -0.0 are one place, but not one result."""
        return _PLACE.pack(*self.place), id(self.active), self.n


@dataclass(slots=True)
class Join:
    """A block without its events; what the filter has seen after it, and where the path is, (3,)."""

    block: MotionBlock
    history: Floats
    at: Floats


class Joins:
    """Of machines with the same limits. ``most``: how many they may be; beyond it what was passed longest ago is forgotten."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._known: dict[Hashable, Join] = {}

    def __len__(self) -> int:
        return len(self._known)

    def of(self, average: Average, pieces: Sequence[Piece | Stand]) -> Join:
        """What comes of pieces, at least one, behind a filter, which moves on."""
        key = (average.history.tobytes(), *(one.key() if isinstance(one, Stand) else one for one in pieces))
        join = self._known.pop(key, None)
        if join is None:
            join = _made(average, pieces)
            while self._known and len(self._known) >= self.most:
                del self._known[next(iter(self._known))]
        self._known[key] = join
        average.history = join.history
        return join


def _made(average: Average, pieces: Sequence[Piece | Stand]) -> Join:
    n = sum(one.n if isinstance(one, Stand) else len(one) for one in pieces)
    raw, index = np.empty((6, n)), np.empty(n, dtype=np.int32)
    moves: list[Move] = []
    goals: list[Point] = []
    i = 0
    for one in pieces:
        if isinstance(one, Piece):
            those = slice(i, i + len(one))
            raw[:, those] = one.raw
            index[those] = one.index + len(moves)
            moves.extend(one.moves)
            goals.extend(one.goals)
            i += len(one)
            continue
        (x, y, z), active, stood = one
        those = slice(i, i + stood)
        raw[0, those], raw[1, those], raw[2, those], raw[3:, those] = x, y, z, 0.0
        index[those] = -1 if active is None else len(moves)
        if active is not None:
            moves.append(active)
            goals.append(active.end if active.kind in PATH else one.place)
        i += stood
    smooth, history = average.through(raw)
    return Join(MotionBlock(smooth, path_speed(smooth[3:]), index, tuple(moves), goals, ()), history, raw[:3, -1].copy())
