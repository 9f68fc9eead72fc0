"""Programs of the tests, run to their end or their alarm."""

from __future__ import annotations

from opcua_server.machine.gcode import Tool, ToolTable, WorkOffsets, interpret
from opcua_server.machine.moves import Move, NcAlarm

MOTION = ("rapid", "feed", "arc", "tap", "probe")


def tools() -> ToolTable:
    """Tools 1 to 9, 100 + T mm long, of radius T mm; a magazine of 20."""
    return ToolTable({number: Tool(100.0 + number, float(number)) for number in range(1, 10)}, largest=20)


def run(text: str, **settings: object) -> tuple[list[Move], NcAlarm | None]:
    """All moves of a program and the alarm it ended with, if any. Lines may be separated by | to keep cases short."""
    moves: list[Move] = []
    arguments: dict[str, object] = {"tools": tools(), "offsets": WorkOffsets(), **settings}
    try:
        for move in interpret(text.replace("|", "\n"), **arguments):  # type: ignore[arg-type]
            moves.append(move)
    except NcAlarm as alarm:
        return moves, alarm
    return moves, None


def ends(text: str, **settings: object) -> list[tuple[float, float, float]]:
    """Machine positions after each motion, rounded to 1e-9 mm; the program must end well."""
    moves, alarm = run(text, **settings)
    assert alarm is None, alarm
    return [tuple(round(v, 9) + 0.0 for v in move.end) for move in moves if move.kind in MOTION]  # type: ignore[misc]


def alarm_of(text: str, **settings: object) -> tuple[str, int]:
    """Number and line of the alarm the program ends with."""
    _, alarm = run(text, **settings)
    assert alarm is not None, "no alarm"
    return alarm.number, alarm.line
