"""The NC interpreter: program text to moves. See ``interpret``."""

from __future__ import annotations

from collections.abc import Callable, Iterator

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
    "Tool",
    "ToolTable",
    "WorkOffsets",
    "interpret",
    "interpret_steps",
]


def interpret_steps(
    text: str,
    *,
    name: str = "",
    dialect: Dialect | str = "fanuc",
    tools: ToolTable | None = None,
    offsets: WorkOffsets | None = None,
    start: Point = (0.0, 0.0, 0.0),
    limits: Limits | None = None,
    resolve: Callable[[str], str | None] | None = None,
    block_delete: frozenset[int] = frozenset(),
    optional_stop: bool = False,
    variables: dict[int, float] | None = None,
    probe: Callable[[Point, Point], Point | None] | None = None,
    budget: Budget | None = None,
) -> Iterator[Move | None]:
    """As ``interpret``, with a None at least every 256 blocks, so that a caller keeps control of a program that does
    not move."""
    return Interpreter(
        text,
        name=name,
        dialect=dialect,
        tools=tools,
        offsets=offsets,
        start=start,
        limits=limits,
        resolve=resolve,
        block_delete=block_delete,
        optional_stop=optional_stop,
        variables=variables,
        probe=probe,
        budget=budget,
    ).steps()


def interpret(
    text: str,
    *,
    name: str = "",
    dialect: Dialect | str = "fanuc",
    tools: ToolTable | None = None,
    offsets: WorkOffsets | None = None,
    start: Point = (0.0, 0.0, 0.0),
    limits: Limits | None = None,
    resolve: Callable[[str], str | None] | None = None,
    block_delete: frozenset[int] = frozenset(),
    optional_stop: bool = False,
    variables: dict[int, float] | None = None,
    probe: Callable[[Point, Point], Point | None] | None = None,
    budget: Budget | None = None,
) -> Iterator[Move]:
    """The moves of an NC program, made one after another as they are asked for.

    ``start`` is the machine's position (mm, machine coordinates). ``tools`` and ``offsets`` are the machine's own
    memories: G10 writes into them. ``limits`` are the soft limits; without them no OT alarm is raised. ``resolve``
    gives the text of a program that is not in ``text``, by name such as "O1234". ``block_delete`` holds the numbers of
    the block skip switches that are on (a bare ``/`` is 1). ``probe`` says where a probing move from its first to its
    second point (machine coordinates) makes contact, or None. ``budget`` ends a program that does not end by itself;
    by default only 200,000 blocks without a move do.

    Ends after the move of kind "end". Raises ``NcAlarm`` at the block that cannot be executed, after the moves of all
    blocks before it; nothing else for any text.
    """
    for move in interpret_steps(
        text,
        name=name,
        dialect=dialect,
        tools=tools,
        offsets=offsets,
        start=start,
        limits=limits,
        resolve=resolve,
        block_delete=block_delete,
        optional_stop=optional_stop,
        variables=variables,
        probe=probe,
        budget=budget,
    ):
        if move is not None:
            yield move
