"""``cnctwin nc``: NC programs on the command line."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from opcua_server.machine.gcode import DIALECTS, Budget, interpret_steps
from opcua_server.machine.gcode.drawing import Drawing
from opcua_server.machine.gcode.trace import TRAVEL, alarm_record, json_lines, table_lines, trace_tools
from opcua_server.machine.motion import estimate as cycle
from opcua_server.machine.moves import Move, NcAlarm
from opcua_server.machine.parameters import MACHINES, VF2
from opcua_server.machine.program_file import NoProgramError, dialect_of, read_program

app = typer.Typer(name="nc", help="NC programs: what they move, and where they stop.", no_args_is_help=True)

EXIT_UNREADABLE = 2
EXIT_ALARM = 3
ENDINGS = ("", ".nc", ".NC", ".ngc")
PROGRESS_S = 2.0
"""What takes longer says how far it is, as often."""


@app.callback()
def nc() -> None:
    """NC programs: what they move, and where they stop."""


@app.command()
def trace(
    file: Annotated[Path, typer.Argument(help="NC program.")],
    dialect: Annotated[str, typer.Option(help="fanuc, linuxcnc, or auto: by the program's own statements.")] = "fanuc",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a move.")] = False,
    max_blocks: Annotated[int, typer.Option(help="Stop after so many blocks.", min=1)] = 1_000_000,
    max_seconds: Annotated[float, typer.Option(help="Stop after so many seconds.", min=0.0)] = 60.0,
    block_delete: Annotated[bool, typer.Option("--block-delete", help="Skip blocks that begin with /.")] = False,
    draw: Annotated[Path | None, typer.Option(help="Draw the path into this file too (SVG).")] = None,
) -> None:
    """Print every move of a program. An alarm is the last line, and exit code 3.

    The machine stands at its zero, G54 and all other offsets are 0, tool T is 50 + T mm long and 2 T mm in diameter (10 mm
    from T13 on).
    """
    moves = _moves("trace", file, dialect, max_blocks, max_seconds, block_delete=block_delete)
    drawing = Drawing(file.name)
    if draw is not None:
        moves = drawing.through(moves)
    code = _print(json_lines(moves) if as_json else table_lines(moves), as_json=as_json)
    if draw is not None:
        try:
            draw.write_text(drawing.svg(), encoding="utf-8")
        except OSError as error:
            typer.echo(f"cnctwin nc trace: cannot write {draw}: {error.strerror}", err=True)
            code = EXIT_UNREADABLE
    raise typer.Exit(code)


@app.command()
def estimate(
    file: Annotated[Path, typer.Argument(help="NC program.")],
    machine: Annotated[str, typer.Option(help=f"{' or '.join(MACHINES)}.")] = VF2.name,
    exact_stop: Annotated[bool, typer.Option("--exact-stop", help="Stand at the end of every block, as under G61.")] = False,
    dialect: Annotated[str, typer.Option(help="fanuc, linuxcnc, or auto: by the program's own statements.")] = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    max_blocks: Annotated[int, typer.Option(help="Stop after so many blocks.", min=1)] = 1_000_000,
    max_seconds: Annotated[float, typer.Option(help="Stop after so many seconds.", min=0.0)] = 300.0,
    block_delete: Annotated[bool, typer.Option("--block-delete", help="Skip blocks that begin with /.")] = False,
) -> None:
    """Print how long a program takes: motion, dwells, each tool, travel of each axis, and what keeps it from its feed.

    At overrides of 100 %, with offsets and tools as for trace. Tool changes are counted, their time is not in it. After an
    alarm the times are up to there, and the exit code is 3.
    """
    if machine not in MACHINES:
        typer.echo(f"cnctwin nc estimate: no machine {machine!r}; there are {', '.join(MACHINES)}", err=True)
        raise typer.Exit(EXIT_UNREADABLE)
    moves = _moves("estimate", file, dialect, max_blocks, max_seconds, block_delete=block_delete)
    result = cycle.estimate(moves, MACHINES[machine], exact_stop=exact_stop)
    if as_json:
        typer.echo(json.dumps(cycle.as_json(result)))
    else:
        for line in cycle.as_lines(result):
            typer.echo(line)
        if result.alarm is not None:
            typer.echo(f"ALARM {result.alarm}")
    raise typer.Exit(0 if result.alarm is None else EXIT_ALARM)


def _moves(command: str, file: Path, dialect: str, max_blocks: int, max_seconds: float, *, block_delete: bool) -> Iterator[Move]:
    """The moves of the file; ends the command with one line if there is no such dialect or file."""
    if dialect not in (*DIALECTS, "auto"):
        typer.echo(f"cnctwin nc {command}: no dialect {dialect!r}; there are {', '.join(DIALECTS)} and auto", err=True)
        raise typer.Exit(EXIT_UNREADABLE)
    try:
        program = read_program(file)
    except NoProgramError as error:
        typer.echo(f"cnctwin nc {command}: cannot read {file}: {error}", err=True)
        raise typer.Exit(EXIT_UNREADABLE) from None
    if program.note:
        typer.echo(f"cnctwin nc {command}: {file}: {program.note}", err=True)
    steps = interpret_steps(
        program.text,
        name=file.name,
        dialect=dialect_of(program.text) if dialect == "auto" else dialect,
        tools=trace_tools(),
        limits=TRAVEL,
        resolve=_beside(file),
        block_delete=frozenset(range(1, 10)) if block_delete else frozenset(),
        budget=Budget(blocks=max_blocks, seconds=max_seconds, clock=time.monotonic),
    )
    return _with_progress(steps, command, program.text.count("\n") + 1)


def _with_progress(steps: Iterator[Move | None], command: str, lines: int) -> Iterator[Move]:
    """The moves; every two seconds a line to standard error says where the program is."""
    due = time.monotonic() + PROGRESS_S
    count, line = 0, 0
    for move in steps:
        if move is not None:
            yield move
            count += 1
            line = move.line
            if count % 1024:
                continue
        now = time.monotonic()
        if now >= due:
            due = now + PROGRESS_S
            typer.echo(f"cnctwin nc {command}: {count} moves, at line {line} of {lines}", err=True)


def _beside(file: Path) -> Callable[[str], str | None]:
    """Finds subprograms (O1234, or a LinuxCNC name) among the files beside the program's."""

    def find(name: str) -> str | None:
        if not name.replace("_", "").replace("-", "").isalnum():
            return None
        for ending in ENDINGS:
            path = file.parent / f"{name}{ending}"
            if path.is_file():
                return _subprogram(path)
        return None

    return find


def _subprogram(path: Path) -> str | None:
    try:
        return read_program(path).text
    except NoProgramError:
        return None


def _print(lines: Iterator[str], *, as_json: bool) -> int:
    """Print every line and the alarm, if there is one; the exit code."""
    write = sys.stdout.write
    try:
        try:
            for line in lines:
                write(line + "\n")
        except NcAlarm as alarm:
            write((json.dumps(alarm_record(alarm)) if as_json else f"ALARM {alarm}") + "\n")
            return EXIT_ALARM
        finally:
            sys.stdout.flush()
    except BrokenPipeError:
        # The reader has enough (| head). What is left in the buffer must not fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0
