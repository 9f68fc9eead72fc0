"""The ``machine`` command: looks at the simulated mill without a server.

cnctwin machine report                statistics of its telemetry against those of a real mill
cnctwin machine burst                 the vibration at one moment as a 25.6 kHz signal
cnctwin machine record                a run, to be served again
cnctwin machine dataset               a labelled table of hours with faults, for those who learn from it
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cnctwin import __version__
from opcua_server.machine.burst import RATE_HZ, measure
from opcua_server.machine.faults import FAULTS
from opcua_server.realism.dataset import COLUMNS, Dataset, chosen, plan_of
from opcua_server.realism.figures import figures
from opcua_server.realism.plots import page
from opcua_server.realism.table import SUFFIXES, TableFile
from opcua_server.sources import recording
from opcua_server.sources.simulated import SHIPPED, SimulatedSource, read_programs

app = typer.Typer(help="The simulated mill itself: realism of its telemetry, vibration signals.", no_args_is_help=True)

EXIT_OUTSIDE = 1
EXIT_WRONG = 2
EXIT_INTERRUPTED = 130


@app.command()
def report(
    seed: Annotated[int, typer.Option(help="seed of the machine")] = 1,
    html: Annotated[Path | None, typer.Option(help="file for a page with plots, all in one")] = None,
) -> None:
    """Statistics of the machine's telemetry beside the ranges found in real mill data; exit code 1 when one is outside."""
    found = []
    for figure in figures(seed):
        found.append(figure)
        verdict = "ok" if figure.inside else "OUTSIDE"
        typer.echo(f"{figure.name:58} {figure.value:9.4f}   {figure.low:g} .. {figure.high:g}   {verdict}")
    if html is not None:
        try:
            html.write_text(page(found, seed), encoding="utf-8")
        except OSError as error:
            typer.echo(f"{html} cannot be written: {error.strerror}", err=True)
            raise typer.Exit(EXIT_WRONG) from None
        typer.echo(f"wrote {html}")
    raise typer.Exit(0 if all(figure.inside for figure in found) else EXIT_OUTSIDE)


@app.command()
def burst(
    seconds: Annotated[float, typer.Option(min=0.01, max=60.0, help="length of the signal")] = 1.0,
    at: Annotated[float, typer.Option(min=0.1, help="machine time at which it is taken, s")] = 60.0,
    program: Annotated[str, typer.Option(help="a program of the product, or an NC file")] = "contour.nc",
    fault: Annotated[list[str] | None, typer.Option(help="NAME=SEVERITY; may be repeated")] = None,
    seed: Annotated[int, typer.Option(help="seed of the machine")] = 1,
    output: Annotated[Path | None, typer.Option(help="file for the signal: time in s, acceleration in m/s2")] = None,
) -> None:
    """The vibration at the front bearing at one moment, sampled at 25.6 kHz, and what a monitor finds in it."""
    source = _machine("burst", seed, program, fault)
    source.advance(at, 1)
    machine = source.machine
    signal = machine.vibration_burst(seconds)
    state = machine.sensing.vibration
    typer.echo(f"{machine.spindle.speed_rpm:.0f} r/min, outer race {state.outer_race_hz:.2f} Hz, teeth {state.tooth_hz:.2f} Hz")
    if state.turn_hz == 0.0:
        typer.echo("the spindle stands at that moment: the signal is noise")
    else:
        found = measure(signal, state.turn_hz * 60.0, max(round(state.tooth_hz / state.turn_hz), 1))
        for name in found._fields:
            typer.echo(f"{name:24} {getattr(found, name):.4f}")
    if output is not None:
        table = np.column_stack([np.arange(len(signal)) / RATE_HZ, signal])
        np.savetxt(output, table, delimiter=",", header="time_s,acceleration_m_s2", comments="", fmt="%.7f")
        typer.echo(f"wrote {output}")


@app.command()
def record(
    output: Annotated[Path, typer.Argument(help="file to write, such as run.npz")],
    seconds: Annotated[float, typer.Option(min=0.1, help="machine time to keep")] = 600.0,
    program: Annotated[
        str | None, typer.Option(help="a program of the product, or an NC file; none: all of the product's in turn")
    ] = None,
    fault: Annotated[list[str] | None, typer.Option(help="NAME=SEVERITY; may be repeated")] = None,
    seed: Annotated[int, typer.Option(help="seed of the machine")] = 1,
) -> None:
    """Let the machine run, as fast as it goes, and keep what it showed every 100 ms."""
    source = _machine("record", seed, program, fault)
    try:
        with _progress(seconds) as advance:
            kept = recording.record(source, seconds, advance=advance)
        kept.save(output)
    except OSError as error:
        typer.echo(f"cnctwin machine record: cannot write {output}: {error.strerror or error}", err=True)
        raise typer.Exit(EXIT_WRONG) from None
    except KeyboardInterrupt:
        typer.echo(f"cnctwin machine record: interrupted; {output} was not written", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    typer.echo(f"wrote {output}: {len(kept.numbers)} rows, {len(kept.events)} events")


@app.command()
def dataset(
    output: Annotated[Path, typer.Argument(help=f"file to write, such as runs.parquet; {', '.join(SUFFIXES)}")],
    hours: Annotated[float, typer.Option(min=0.01, max=10_000.0, help="machine time of each machine, h")] = 8.0,
    machines: Annotated[int, typer.Option(min=1, max=1000, help="number of machines, each with a course of its own")] = 1,
    period: Annotated[float, typer.Option(min=0.1, max=3600.0, help="machine time between two rows, s")] = 1.0,
    fault: Annotated[
        list[str] | None, typer.Option(help="a fault by name; may be repeated; all: each in turn; none: healthy throughout")
    ] = None,
    healthy_minutes: Annotated[float, typer.Option(min=0.1, max=1e6, help="mean time without a fault before each one")] = 30.0,
    fault_minutes: Annotated[
        float, typer.Option(min=0.1, max=1e6, help="mean time that a fault lasts, until it is repaired")
    ] = 30.0,
    program: Annotated[
        str | None, typer.Option(help="a program of the product, or an NC file; none: all of the product's in turn")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of everything random")] = 1,
) -> None:
    """Write a table of hours of telemetry with faults that come and go, each row labelled with what was wrong (docs/dataset.md)."""
    try:
        plan = plan_of(
            hours * 3600.0, fault or ["all"], program, machines=machines, period_s=period, healthy_s=healthy_minutes * 60.0,
            fault_s=fault_minutes * 60.0, seed=seed,
        )  # fmt: skip
        described = _described(output)
        made = Dataset(plan)
        with (
            TableFile(output, COLUMNS, lambda: {"cnctwin": json.dumps(made.about())}) as file,
            _progress(plan.rows * plan.period_s) as advance,
        ):
            for rows in made.chunks():
                file.append(rows)
                advance(len(rows[0]) * plan.period_s)
        about = {"file": output.name, "sha256": _sha256(output), "rows": file.rows, "cnctwin": __version__, **made.about()}
        described.write_text(json.dumps(about, indent=1, ensure_ascii=False), "utf-8")
    except OSError as error:
        typer.echo(f"cnctwin machine dataset: cannot write {output}: {error.strerror or error}", err=True)
        raise typer.Exit(EXIT_WRONG) from None
    except ValueError as problem:
        typer.echo(f"cnctwin machine dataset: {problem}", err=True)
        raise typer.Exit(EXIT_WRONG) from None
    except KeyboardInterrupt:
        typer.echo(f"cnctwin machine dataset: interrupted; {output} was not written", err=True)
        raise typer.Exit(EXIT_INTERRUPTED) from None
    faults = "1 fault" if len(made.episodes) == 1 else f"{len(made.episodes)} faults"
    typer.echo(f"wrote {output}: {file.rows} rows of {len(COLUMNS)} columns, {faults}; {described}: what they are")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _described(output: Path) -> Path:
    """The file beside a table that says what its columns are. Raises ValueError where it is that of another table, still there."""
    described = output.with_name(output.name.removesuffix(".gz").removesuffix(".csv").removesuffix(".parquet") + ".json")
    other = None
    with contextlib.suppress(OSError, ValueError, AttributeError):
        other = json.loads(described.read_text("utf-8")).get("file")
    if isinstance(other, str) and other != output.name and output.with_name(Path(other).name).exists():
        raise ValueError(f"{described} says what the columns of {other} are: choose another name, or another folder")
    return described


@contextlib.contextmanager
def _progress(seconds: float) -> Iterator[Callable[[float], None]]:
    """A bar on a terminal, with the time that is left; nothing where standard error is a file. ``seconds``: of machine time."""
    bar = Progress(
        TextColumn("machine time"), BarColumn(), TextColumn("{task.completed:.2f} of {task.total:.2f} h"), TimeRemainingColumn(),
        console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True,
    )  # fmt: skip
    with bar:
        task = bar.add_task("", total=seconds / 3600.0)
        yield lambda passed: bar.advance(task, passed / 3600.0)


def _machine(command: str, seed: int, program: str | None, faults: list[str] | None) -> SimulatedSource:
    """A machine with faults that are there from the beginning; ends the command with one line when it cannot be made."""
    programs = read_programs(SHIPPED)
    problems = []
    try:
        programs, program = chosen(program, programs)
    except (ValueError, OSError) as problem:
        problems.append(str(problem))
    severities = {}
    for one in faults or []:
        name, _, severity = one.partition("=")
        if name not in FAULTS:
            problems.append(f"{name}: there is no such fault; faults are {', '.join(FAULTS)}")
        try:
            severities[name] = min(max(float(severity), 0.0), 1.0)
        except ValueError:
            problems.append(f"{one}: give the severity, 0 to 1, such as {name}=0.5")
    if problems:
        for problem in problems:
            typer.echo(f"cnctwin machine {command}: {problem}", err=True)
        raise typer.Exit(EXIT_WRONG)
    source = SimulatedSource("CNC-001", seed, programs, program)
    for name, severity_now in severities.items():
        source.machine.faults.inject(name, severity_now, 0.0, 0.0)
    return source
