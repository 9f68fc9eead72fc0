"""Motion codes beyond G0-G3 and the drilling cycles."""

from __future__ import annotations

from collections.abc import Iterator

from opcua_server.machine.gcode.alarms import BlockFault
from opcua_server.machine.gcode.state import State
from opcua_server.machine.moves import Move


def move(state: State, out: list[Move], code: int, words: dict[str, float]) -> Iterator[Move] | None:
    raise BlockFault("PS0010", f"G{code / 10:g}")
