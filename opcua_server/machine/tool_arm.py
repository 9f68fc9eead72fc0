"""The arm that changes tools: which one it brings, until when, and whether the drawbar holds meanwhile. It takes a tool at one
angle of the spindle, for the two slots of its taper."""

from __future__ import annotations

from typing import Final

from opcua_server.machine.moves import Modal
from opcua_server.machine.pneumatics import AirUnit
from opcua_server.machine.spindle import orients_within_s

TOOL_CHANGE_S: Final = 4.5
"""Chip to chip."""
LETS_GO: Final = 0.75
"""Of that, what is left when the drawbar lets go."""


class ToolArm:
    """``brings``: number of the tool that it is about to put into the spindle, None while it rests; ``modal``: what the control
    goes on with. Times are machine time in s."""

    __slots__ = ("_air", "_until_s", "brings", "modal", "wanted")

    def __init__(self, air: AirUnit) -> None:
        self._air = air
        self._until_s = 0.0
        self.wanted: int | None = None
        """Tool that somebody asked for by hand, while the spindle rises to the arm."""
        self.brings: int | None = None
        self.modal: Modal | None = None

    @property
    def takes_s(self) -> float:
        """Longer with little air."""
        return TOOL_CHANGE_S + self._air.clamping_s

    def change_s(self, speed_rpm: float) -> float:
        """Longer too from a speed at which the spindle would not stand at its angle when the drawbar is to let go."""
        takes_s = self.takes_s
        return takes_s + max(orients_within_s(speed_rpm) - (1.0 - LETS_GO) * takes_s, 0.0)

    def begin(self, now_s: float, number: int, modal: Modal | None, speed_rpm: float) -> None:
        """``speed_rpm``: at which the spindle still turns, which is told to stand at its angle."""
        self._until_s, self.wanted, self.brings, self.modal = now_s + self.change_s(speed_rpm), None, number, modal

    def rest(self) -> None:
        """It is done, or stopped on the way."""
        self.wanted = self.brings = None

    @property
    def rests(self) -> bool:
        return self.wanted is None and self.brings is None

    def is_done(self, now_s: float) -> bool:
        return self.brings is not None and now_s >= self._until_s

    def clamps(self, now_s: float) -> bool:
        """The drawbar lets go in the middle of a change."""
        return self.brings is None or not 0.25 < (self._until_s - now_s) / self.takes_s < LETS_GO
