"""The change of a part: door, clamps and the time it takes an operator.

    program ends                                                        next program
    |-- door opens --|-- unclamped: part out, blank in --|-- door closes --|
    0               1.0 2.5                       until - 2.5    until - 1.0

Times in s of the machine.
"""

from __future__ import annotations

from typing import Final

from opcua_server.machine.auxiliaries import Hydraulics

PART_CHANGE_S: Final = 8.0
EDGE_CHANGE_S: Final = 20.0
"""An operator turns or replaces the inserts of one tool, while the door is open."""
DOOR_S: Final = 1.0
CLAMP_S: Final = 2.5


class PartChange:
    """``is_clamped``: whether the fixture holds what lies in it. ``goes_on``: the next program starts afterwards."""

    def __init__(self, hydraulics: Hydraulics) -> None:
        self.goes_on = False
        self.is_clamped = True
        self._hydraulics = hydraulics
        self._begin_s = self._until_s = 0.0

    def begin(self, now_s: float, worn_edges: int, *, goes_on: bool) -> None:
        self._begin_s, self._until_s = now_s, now_s + PART_CHANGE_S + EDGE_CHANGE_S * worn_edges
        self.goes_on = goes_on

    def step(self, now_s: float) -> bool:
        """Let time pass; whether the operator is done."""
        self._clamp(now_s, not self._is_within(now_s, CLAMP_S))
        return now_s >= self._until_s

    def end(self, now_s: float) -> None:
        """It is over, or given up: what lies in the fixture is clamped."""
        self._clamp(now_s, True)
        self._until_s = self._begin_s

    def _clamp(self, now_s: float, clamped: bool) -> None:
        if clamped is not self.is_clamped:
            self.is_clamped = clamped
            self._hydraulics.take(now_s)

    def is_door_open(self, now_s: float) -> bool:
        return self._is_within(now_s, DOOR_S)

    def _is_within(self, now_s: float, margin_s: float) -> bool:
        return self._begin_s + margin_s <= now_s < self._until_s - margin_s
