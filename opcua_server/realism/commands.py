"""The ``machine`` command: looks at the simulated mill without a server.

cnctwin machine report                statistics of its telemetry against those of a real mill
cnctwin machine burst                 the vibration at one moment as a 25.6 kHz signal
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from opcua_server.machine.burst import RATE_HZ, measure
from opcua_server.realism.figures import figures
from opcua_server.realism.plots import page
from opcua_server.sources import recording
from opcua_server.sources.simulated import SHIPPED, SimulatedSource, read_programs

app = typer.Typer(help="The simulated mill itself: realism of its telemetry, vibration signals.", no_args_is_help=True)

EXIT_OUTSIDE = 1
EXIT_WRONG = 2


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
    program: Annotated[str, typer.Option(help="a program of the product")] = "contour.nc",
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
    if state.turn_hz > 0.0:
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
    program: Annotated[str | None, typer.Option(help="a program of the product; none: all of them in turn")] = None,
    fault: Annotated[list[str] | None, typer.Option(help="NAME=SEVERITY; may be repeated")] = None,
    seed: Annotated[int, typer.Option(help="seed of the machine")] = 1,
) -> None:
    """Let the machine run, as fast as it goes, and keep what it showed every 100 ms."""
    kept = recording.record(_machine("record", seed, program, fault), seconds)
    try:
        kept.save(output)
    except OSError as error:
        typer.echo(f"cnctwin machine record: cannot write {output}: {error.strerror or error}", err=True)
        raise typer.Exit(EXIT_WRONG) from None
    typer.echo(f"wrote {output}: {len(kept.numbers)} rows, {len(kept.events)} events")


def _machine(command: str, seed: int, program: str | None, faults: list[str] | None) -> SimulatedSource:
    """A machine with faults that are there from the beginning; ends the command with one line when it cannot be made."""
    try:
        source = SimulatedSource("CNC-001", seed, read_programs(SHIPPED), program)
        for one in faults or []:
            name, _, severity = one.partition("=")
            source.machine.faults.inject(name, min(max(float(severity), 0.0), 1.0), 0.0, 0.0)
    except (KeyError, ValueError) as error:
        typer.echo(f"cnctwin machine {command}: there is no such program or fault: {error}", err=True)
        raise typer.Exit(EXIT_WRONG) from None
    return source
