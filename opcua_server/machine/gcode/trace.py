"""A program's moves as lines: the corpus's JSON form, or a table to read."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator

from opcua_server.machine.gcode.extended import RETURN_STROKE
from opcua_server.machine.gcode.tables import Limits, Tool, ToolTable
from opcua_server.machine.moves import Move, NcAlarm

TRACED = frozenset(("rapid", "feed", "arc", "tap", "probe", "dwell", "toolchange"))
DECIMALS = 9
LARGEST_TOOL = 60
"""Pockets of the magazine the trace assumes; a larger T is alarm EX1001."""
TRAVEL = Limits((-30_000.0, -30_000.0, -2_500.0), (30_000.0, 30_000.0, 2_500.0))
"""Soft limits the trace assumes, mm: wider than any mill, so that only what is surely wrong is an alarm."""


def trace_tools() -> ToolTable:
    """Tool T of 1 to 400: length 50 + T mm, diameter 2 T mm below 13 and 10 mm from there on."""
    tools = {number: Tool(50.0 + number, number if number < 13 else 5.0) for number in range(1, 401)}
    return ToolTable(tools, largest=LARGEST_TOOL)


def _rounded(values: tuple[float, ...]) -> list[float]:
    return [round(value, DECIMALS) for value in values]


def record(move: Move) -> dict[str, object] | None:
    """One move in the corpus's form; None for what it does not record (spindle, coolant, stops, messages)."""
    if move.kind not in TRACED or move.text == RETURN_STROKE:
        return None
    entry: dict[str, object] = {"n": move.line, "t": move.kind}
    if move.kind == "dwell":
        entry["s"] = move.dwell_s
    elif move.kind == "toolchange":
        entry["tool"] = move.tool
    else:
        entry["m"], entry["w"] = _rounded(move.end), _rounded(move.work)
        if move.kind != "rapid":
            entry["F"] = round(move.feed, DECIMALS)
        if move.centre is not None and move.normal is not None:
            entry["c"] = _rounded(move.centre)
            entry["nrm"] = [round(value) for value in move.normal]
            count = max(math.ceil(abs(move.turns) - 1e-6), 1)
            entry["rot"] = -count if move.turns < 0.0 else count
    return entry


def alarm_record(alarm: NcAlarm) -> dict[str, object]:
    return {"alarm": alarm.number, "text": alarm.text, "line": alarm.line, "o": alarm.program}


def json_lines(moves: Iterator[Move]) -> Iterator[str]:
    """One line of JSON a move."""
    for move in moves:
        entry = record(move)
        if entry is not None:
            yield json.dumps(entry, separators=(",", ":"))


def table_lines(moves: Iterator[Move]) -> Iterator[str]:
    """A table to read, with everything the program does."""
    yield f"{'line':>6}  {'kind':<10} {'X mm':>12} {'Y mm':>12} {'Z mm':>12} {'F mm/min':>10}"
    for move in moves:
        x, y, z = move.end
        row = f"{move.line:>6}  {move.kind:<10} {x:>12.4f} {y:>12.4f} {z:>12.4f} {move.feed:>10.1f}"
        if move.centre is not None:
            row += f"  centre {move.centre[0]:.4f} {move.centre[1]:.4f} {move.centre[2]:.4f}, {move.turns:+.4f} turns"
        elif move.kind == "dwell":
            row += f"  {move.dwell_s:g} s"
        elif move.kind == "toolchange":
            row += f"  T{move.tool}"
        elif move.kind == "spindle":
            angle = move.modal.spindle_angle_deg
            way = ("stop", "M3", "M4")[move.modal.spindle_direction] if angle is None else f"stop at {angle:g} deg"
            row += f"  S{move.modal.spindle_speed:g} {way}"
        elif move.text:
            row += f"  {move.text}"
        yield row
