"""The NC interpreter: program text to moves. See ``interpret``."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TypedDict, Unpack

from opcua_server.machine.gcode.budget import Budget
from opcua_server.machine.gcode.dialect import DIALECTS, FANUC, LINUXCNC, Dialect
from opcua_server.machine.gcode.interpreter import Interpreter
from opcua_server.machine.gcode.tables import Limits, Tool, ToolTable, WorkOffsets
from opcua_server.machine.moves import Move, Point

__all__ = [
    "DIALECTS",
    "FANUC",
    "LINUXCNC",
    "Budget",
    "Dialect",
    "Interpreter",
    "Limits",
    "Options",
    "Tool",
    "ToolTable",
    "WorkOffsets",
    "interpret",
    "interpret_steps",
]


class Options(TypedDict, total=False):
    """How a program is run; what is left out has the default of ``Interpreter``. Positions are machine coordinates in mm."""

    name: str
    dialect: Dialect | str
    tools: ToolTable
    """With ``offsets`` the machine's own memories: G10 writes into them."""
    offsets: WorkOffsets
    start: Point
    """Where the machine stands."""
    limits: Limits
    """The soft limits; without them no OT alarm is raised."""
    resolve: Callable[[str], str | None]
    """The text of a program that is not in the text itself, by name such as "O1234"."""
    block_delete: frozenset[int]
    """Numbers of the block skip switches that are on; a bare ``/`` is 1."""
    optional_stop: bool
    variables: dict[int, float]
    probe: Callable[[Point, Point], Point | None]
    """Where a probing move from its first to its second point makes contact."""
    budget: Budget
    """Ends a program that does not end by itself; by default only 200,000 blocks without a move do."""
    every_block: bool
    """Whether a block that has no moves of its own gives one of kind "block", as single block stops there too: not those of macro
    statements, calls and returns alone (a FANUC does not stop there, parameter 6000 SBM as delivered)."""


def interpret_steps(text: str, **options: Unpack[Options]) -> Iterator[Move | None]:
    """As ``interpret``, with a None at least every 256 blocks, so that a caller keeps control of a program that does
    not move."""
    return Interpreter(text, **options).steps()


def interpret(text: str, **options: Unpack[Options]) -> Iterator[Move]:
    """The moves of an NC program, made one after another as they are asked for.

    Ends after the move of kind "end". Raises ``NcAlarm`` at the block that cannot be executed, after the moves of all
    blocks before it; nothing else for any text.
    """
    return (move for move in Interpreter(text, **options).steps() if move is not None)
