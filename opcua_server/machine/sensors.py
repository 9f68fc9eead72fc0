"""Sensors and a data link that fail: what is read then, and what a control notices of it.

Only ``read`` values go through here, never the state they are read from, so that everything that depends on the state stays
right while one channel breaks with it. Random numbers are keyed by windows of time: a spell of 30 s is the same spell however
time was cut.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

from cnctwin.reading import BAD_SENSOR_FAILURE, GOOD
from opcua_server.machine.noise import LINK, STICKING, generator

SPELL_BLOCKS: Final = 300
"""A turbine hangs or turns for 30 s at a time."""
BLOCK_S: Final = 0.1
SWARF_LAG_S: Final = 0.5
"""How late a turbine is that swarf hangs on, by the share of the time for which it hangs."""
COLUMN_RANGE_C: Final = (-10.0, 80.0)
"""Beyond it the input card reports a broken wire."""
SPIKES_PER_READING: Final = 0.06
SPIKE_K: Final = 6.0
LINK_BLOCKS: Final = 100
LONGEST_GAP: Final = 0.7
"""Of a window of 10 s."""
LATE_S: Final = 2.0


@dataclass(slots=True)
class StickingSensor:
    """A turbine on which swarf has caught: it hangs for spells, in which it says what it said when the spell began, and turns
    sluggishly between them, so that the pump's ripple is lost to it."""

    turns: float = 0.0
    held: float = 0.0
    spell: int = -1
    hangs: bool = False

    def read(self, true: float, share: float, block: int, seed: int, machine: int) -> float:
        """``share`` of the spells in which it hangs."""
        if share <= 0.0:
            self.spell = -1
            return true
        self.turns = true if self.spell < 0 else true + (self.turns - true) * math.exp(-BLOCK_S / (SWARF_LAG_S * share))
        spell = block // SPELL_BLOCKS
        if spell != self.spell:
            self.spell = spell
            hung, self.hangs = self.hangs, float(generator(seed, machine, STICKING, spell).uniform()) < share
            if not (hung and self.hangs):
                self.held = self.turns
        return self.held if self.hangs else self.turns


def loose_plug(true_c: float, last_c: float, looseness: float, when: float, size: float) -> tuple[float, int]:
    """(what is read, status). ``when`` and ``size``: standard normal numbers of this reading.

    A jump out of the sensor's range is a broken wire for the control: the last value stays, marked as failed.
    """
    share = math.erfc(abs(when) / math.sqrt(2.0))  # uniform in 0..1
    if share >= SPIKES_PER_READING * looseness:
        return true_c, GOOD
    read = true_c + SPIKE_K * looseness * size**3
    if not COLUMN_RANGE_C[0] <= read <= COLUMN_RANGE_C[1]:
        return last_c, BAD_SENSOR_FAILURE
    return read, GOOD


@dataclass(slots=True)
class DataLink:
    """The line between control and server. ``up``; ``late_s``: how old a reading is when it comes."""

    up: bool = True
    late_s: float = 0.0

    def step(self, loss: float, block: int, seed: int, machine: int) -> None:
        """``loss``: share of 10 s windows that have a gap in them, the longer the worse."""
        if loss <= 0.0:
            self.up, self.late_s = True, 0.0
            return
        window, at = divmod(block, LINK_BLOCKS)
        fails, begins, lasts, late = generator(seed, machine, LINK, window).uniform(size=4)
        length = LONGEST_GAP * (0.1 + 0.9 * loss * lasts)
        start = begins * (1.0 - length)
        self.up = not (fails < loss and start <= at / LINK_BLOCKS < start + length)
        self.late_s = LATE_S * loss * late * late
