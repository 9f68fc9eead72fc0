"""CncPositionDataType variables: the structure and its three sub-variables, always in step.

Axis and spindle positions have their sub-variables from the catalogue; here the structure follows. The tool centre point is
worked out from them:

    base frame (Bcs)   machine coordinates of the tool's tip = axis position, minus the tool's length in Z
    work frame (Wcs)   the same minus the active work offset
    A, B, C            0: a three-axis mill cannot turn its tool
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue

from cnctwin.reading import Columns
from nodesets.catalogue import AXES, NUMERIC
from opcua_server.space.publish import put, shown

_V = ua.VariantType
_INDEX: Final = {signal.name: index for index, signal in enumerate(NUMERIC)}
MEMBERS: Final = ("ActPos", "CmdPos", "RemDist")
_AXIS_MEMBERS: Final = {"PosDirect": ("ActPos", "CmdPos", "RemDist"), "PosIndirect": ("MotorPos", "CmdPos", "RemDist")}

Numbers = Callable[[str], float]


class Position:
    """One CncPositionVariableType instance. ``parts`` are sub-variables that nothing else drives."""

    def __init__(self, structure: AttributeValue, cls: type, parts: tuple[AttributeValue, ...] = ()) -> None:
        self._structure = structure
        self._class = cls
        self._parts = parts
        self._last: tuple[float, float, float, int] | None = None

    def show(self, act: float, cmd: float, rem: float, status: int, moment: datetime, server_time: datetime) -> None:
        now = (act, cmd, rem, status)
        if now == self._last:
            return
        before, self._last = self._last, now
        value: Any = self._class(ActPos=act, CmdPos=cmd, RemDist=rem)
        put(self._structure, shown(value, _V.ExtensionObject, status, moment, server_time))
        for index, part in enumerate(self._parts):
            if before is None or before[index] != now[index] or before[3] != status:
                put(part, shown(now[index], _V.Double, status, moment, server_time))


def worst(*statuses: int) -> int:
    """The most severe of some status codes."""
    return max(statuses, key=lambda status: status >> 30)


class Positions:
    """All position structures of a machine, written at the end of each tick."""

    def __init__(self, status_of: Callable[[Columns, str], int]) -> None:
        self._status_of = status_of
        self._direct: list[tuple[Position, tuple[str, str, str | None]]] = []
        self._tips: list[tuple[Position, str, bool]] = []
        self.tool_length_mm = 0.0

    def follow(self, position: Position, act: str, cmd: str, rem: str | None) -> None:
        """The structure shows three signals; without ``rem`` there is no distance to go."""
        self._direct.append((position, (act, cmd, rem)))

    def follow_axis(self, position: Position, letter: str, which: str) -> None:
        act, cmd, rem = (f"Axes/{letter}/{name}" for name in _AXIS_MEMBERS[which])
        self.follow(position, act, cmd, rem)

    def follow_tip(self, position: Position, letter: str, work: bool) -> None:
        """The tool centre point along X, Y or Z, in the work frame or the base frame."""
        self._tips.append((position, letter, work))

    def write(self, columns: Columns, moment: datetime, server_time: datetime) -> None:
        numbers = columns.numbers
        status_of = self._status_of
        for position, names in self._direct:
            values = [0.0 if name is None else float(numbers[_INDEX[name]]) for name in names]
            status = worst(*(status_of(columns, name) for name in names if name is not None))
            position.show(values[0], values[1], values[2], status, moment, server_time)
        frames = {}
        for letter in AXES:
            act, cmd, rem, offset = (
                float(numbers[_INDEX[f"Axes/{letter}/{name}"]]) for name in ("ActPos", "CmdPos", "RemDist", "ZeroOffset")
            )
            status = worst(*(status_of(columns, f"Axes/{letter}/{name}") for name in ("ActPos", "CmdPos", "ZeroOffset")))
            frames[letter] = (act, cmd, rem, offset, status)
        for position, letter, work in self._tips:
            act, cmd, rem, offset, status = frames[letter]
            shift = (self.tool_length_mm if letter == "Z" else 0.0) + (offset if work else 0.0)
            position.show(act - shift, cmd - shift, rem, status, moment, server_time)
