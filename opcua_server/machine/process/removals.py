"""What stamps took from a blank, remembered: every part of a program, on every machine of a fleet, takes the same.

    blank --stamp--> state 1 --stamp--> state 2 --stamp--> state 3        A state is what is left of the blank after these very
                        '------stamp--> state 4 --> ...                   stamps; another path from there is another branch.

The key is exact (state, tool and every bit of the path), so that a remembered result is the one that would be worked out again.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from opcua_server.machine.process.blank import Blank

Key = tuple[int, float, bytes]
MOST: Final = 12_000
"""Stamps remembered: 20 minutes of different cuts, 60 MB with what is known of them; the shipped programs need half. Beyond it
everything is forgotten and learnt anew."""

MOST_PASSES: Final = 4


@dataclass(slots=True)
class Removal:
    """``volumes`` in mm3 and volume-weighted depths ``moments`` in mm3·mm at each place of the tool; the cells that were lowered
    (index into the flat map, None without one) and how far."""

    volumes: npt.NDArray[np.float64]
    moments: npt.NDArray[np.float64]
    cells: npt.NDArray[np.signedinteger] | None = None
    heights: npt.NDArray[np.float64] | float = 0.0
    state: int = -1
    """The state after it."""
    passes: tuple[tuple[Hashable, Any], ...] = ()
    """What else was found out about the cut (``process``), each behind what else it depends on."""
    then: Any = None
    """The way that followed this one last, with what it depends on (``process``)."""

    def found(self, key: Hashable) -> Any:
        """What is remembered of a way in which this stamp was made; None if nothing is."""
        for known, what in self.passes:
            if known == key:
                return what
        return None

    def remember(self, key: Hashable, what: object) -> None:
        """One of the few ways in which one stamp is made again and again; no more are kept."""
        self.passes = (*self.passes[1 - MOST_PASSES :], (key, what))


class Removals:
    """The tree of states. ``most``: how many stamps it may hold."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._known: dict[Key, Removal] = {}
        self._blanks: dict[Blank, int] = {}
        self._states = itertools.count()

    def __len__(self) -> int:
        """Stamps remembered."""
        return len(self._known)

    def begin(self, blank: Blank) -> int:
        """The state of a fresh blank."""
        if blank not in self._blanks:
            self._blanks[blank] = next(self._states)
        return self._blanks[blank]

    def after(self, key: Key) -> Removal | None:
        """What this stamp takes, if it was seen before."""
        return self._known.get(key)

    def keep(self, key: Key, removal: Removal) -> Removal:
        """Remember a stamp, and give the state after it a number."""
        if len(self._known) >= self._most:
            for known in self._known.values():
                known.then = None  # a machine that goes along them must not keep them all
            self._known.clear()
            self._blanks.clear()
        removal.state = next(self._states)
        if removal.cells is not None:
            removal.cells = removal.cells.astype(np.int32)
        self._known[key] = removal
        return removal


REMOVALS: Final = Removals()
"""Of this process."""
