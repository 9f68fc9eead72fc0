"""Where the tip of the tool goes in a block, tick by tick: what the cut follows from."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.moves import Point

Floats = npt.NDArray[np.float64]

SAMPLES_PER_TICK: Final = 10
PLACE_BYTES: Final = 24


class Tips:
    """Place at each tick of a block (10, 3), mm, in work coordinates of the blank; with its bytes, and those of the last place."""

    __slots__ = ("_box", "last", "path", "places_mm")

    def __init__(self, places_mm: Floats) -> None:
        self.places_mm = places_mm
        self.path = places_mm.tobytes()
        self.last = self.path[-PLACE_BYTES:]
        self._box: tuple[list[float], list[float]] | None = None

    @property
    def box(self) -> tuple[list[float], list[float]]:
        """Lowest and highest X, Y, Z of all places."""
        if self._box is None:
            self._box = self.places_mm.min(axis=0).tolist(), self.places_mm.max(axis=0).tolist()
        return self._box


def tips_along(motion: MotionBlock, origin_mm: Point | None, length_mm: float) -> Tips:
    """Of a tool with a length compensation; ``origin_mm``: zero of the blank, without one the places are those of the axes."""
    known: Tips | None = motion.known.get((origin_mm, length_mm))
    if known is None:
        known = motion.know((origin_mm, length_mm), _along(motion, origin_mm, length_mm))
    return known


def _along(motion: MotionBlock, origin_mm: Point | None, length_mm: float) -> Tips:
    ticks = slice(SAMPLES_PER_TICK - 1, None, SAMPLES_PER_TICK)
    places = motion.rows[:3, ticks].T
    if origin_mm is not None:
        x, y, z = origin_mm
        places = places - np.array((x, y, z + length_mm))
        moves = motion.moves
        if len(moves) > 1 and any(one.modal.tool_length != length_mm for one in moves):
            index = motion.move_index[ticks].tolist()
            places[:, 2] -= [moves[i].modal.tool_length - length_mm if i >= 0 else 0.0 for i in index]
    return Tips(places)
