"""``cnctwin nc``: NC programs on the command line."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from opcua_server.machine.gcode import DIALECTS, Budget, interpret
from opcua_server.machine.gcode.trace import TRAVEL, alarm_record, json_lines, table_lines, trace_tools
from opcua_server.machine.moves import NcAlarm

app = typer.Typer(name="nc", help="NC programs: what they move, and where they stop.", no_args_is_help=True)

EXIT_UNREADABLE = 2
EXIT_ALARM = 3


@app.callback()
def nc() -> None:
    """NC programs: what they move, and where they stop."""


@app.command()
def trace(
    file: Annotated[Path, typer.Argument(help="NC program.")],
    dialect: Annotated[str, typer.Option(help="fanuc or linuxcnc.")] = "fanuc",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a move.")] = False,
    max_blocks: Annotated[int, typer.Option(help="Stop after so many blocks.", min=1)] = 5_000_000,
    max_seconds: Annotated[float, typer.Option(help="Stop after so many seconds.", min=0.0)] = 60.0,
    block_delete: Annotated[bool, typer.Option("--block-delete", help="Skip blocks that begin with /.")] = False,
) -> None:
    """Print every move of a program. An alarm is the last line, and exit code 3.

    The machine stands at its zero, G54 and all other offsets are 0, tool T is 50 + T mm long and 2 T mm in diameter (10 mm
    from T13 on).
    """
    if dialect not in DIALECTS:
        typer.echo(f"cnctwin nc trace: no dialect {dialect!r}; there are {', '.join(DIALECTS)}", err=True)
        raise typer.Exit(EXIT_UNREADABLE)
    try:
        text = file.read_bytes().decode("utf-8", errors="replace")
    except OSError as error:
        typer.echo(f"cnctwin nc trace: cannot read {file}: {error.strerror or error}", err=True)
        raise typer.Exit(EXIT_UNREADABLE) from None
    moves = interpret(
        text,
        name=file.name,
        dialect=dialect,
        tools=trace_tools(),
        limits=TRAVEL,
        resolve=_beside(file),
        block_delete=frozenset(range(1, 10)) if block_delete else frozenset(),
        budget=Budget(blocks=max_blocks, seconds=max_seconds, clock=time.monotonic),
    )
    raise typer.Exit(_print(json_lines(moves) if as_json else table_lines(moves), as_json=as_json))


def _beside(file: Path):  # type: ignore[no-untyped-def]
    return lambda name: None


def _print(lines: Iterator[str], *, as_json: bool) -> int:
    import json

    write = sys.stdout.write
    try:
        for line in lines:
            write(line + "\n")
    except NcAlarm as alarm:
        write((json.dumps(alarm_record(alarm)) if as_json else f"ALARM {alarm}") + "\n")
        return EXIT_ALARM
    return 0
