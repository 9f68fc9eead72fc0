"""``cnctwin bench opcua``: servers side by side in one run, interleaved; medians of server CPU per operation, and their ratios."""

from __future__ import annotations

import contextlib
import json
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks.opcua.awake import awake, one_core
from benchmarks.opcua.chart import chart
from benchmarks.opcua.encryption import encryption
from benchmarks.opcua.report import Results, machine, show
from benchmarks.opcua.rounds import Rounds
from benchmarks.opcua.scenarios import SCENARIOS
from benchmarks.opcua.servers import OURS, PEERS, Failed, node_modules
from benchmarks.security.commands import attacks
from benchmarks.startup import startup

app = typer.Typer(no_args_is_help=True, help="Measure against other servers.")


@app.command()
def opcua(
    quick: Annotated[bool, typer.Option("--quick", help="One short round: some minutes.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Scenarios whose name contains this.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="asyncua, node-opcua or none; both when it is not given.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="3, or 1 with --quick.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.2, help="Of each measurement: 4, or 1.5 with --quick.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all measurements to this file.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw cost over items and sessions into this file.")] = None,
    of: Annotated[Path | None, typer.Option("--of", help="Measure nothing: show and draw what --json wrote.")] = None,
    stay_awake: Annotated[bool, typer.Option("--awake", help="Let no core fall asleep meanwhile (Linux).")] = False,
    on_one: Annotated[bool, typer.Option("--one-core", help="Servers and clients take turns on one core (Linux).")] = False,
    data: Annotated[Path, typer.Option(envvar="CNCTWIN_DATA", help="Where node-opcua is installed.")] = Path(".data"),
) -> None:
    """CPU of the server process per notification, value, reference or call: ours, plain asyncua, node-opcua."""
    scenarios = [one for one in SCENARIOS if not only or any(part.lower() in one.name.lower() for part in only)]
    if not scenarios:
        typer.echo(f"cnctwin: no scenario has {' or '.join(only or [])} in its name", err=True)
        raise typer.Exit(2)
    if of is not None:
        written: dict[str, Any] = json.loads(of.read_text("utf-8"))
        results = Results.of(written)
    else:
        kinds, modules = _kinds(against, data)
        results = Results(kinds, [one.name for one in scenarios])

        def keep() -> None:
            """After each round, so that a run that is stopped is not lost."""
            if json_file is not None:
                plain = {"machine": {**machine(), "awake": stay_awake, "one_core": on_one}, **results.plain()}
                json_file.write_text(json.dumps(plain, indent=1) + "\n", "utf-8")

        with tempfile.TemporaryDirectory(prefix="cnctwin-bench-") as folder, contextlib.ExitStack() as stack:
            try:
                if on_one:
                    stack.enter_context(one_core())
                if stay_awake:
                    stack.enter_context(awake())
            except Failed as problem:
                raise typer.BadParameter(str(problem)) from None
            plan = Rounds(results, scenarios, seconds or (1.5 if quick else 4.0), Path(folder), modules)
            plan.run(rounds or (1 if quick else 3), keep)
    show(Console(width=150), results, scenarios)
    if svg is not None:
        svg.write_text(chart(results), "utf-8")


def _kinds(against: list[str] | None, data: Path) -> tuple[list[str], Path | None]:
    """The servers to compare, and where node-opcua is; it is left out, with the reason said, where it cannot be had."""
    kinds = [OURS, *(kind for kind in PEERS if against is None or kind in against)]
    if "node-opcua" not in kinds:
        return kinds, None
    try:
        return kinds, node_modules(data / "bench")
    except Failed as problem:
        typer.echo(f"node-opcua is left out: {problem}", err=True)
        return [kind for kind in kinds if kind != "node-opcua"], None


app.command()(attacks)
app.command()(encryption)
app.command()(startup)


@app.callback()
def _bench() -> None:
    """Measure against other servers."""


if __name__ == "__main__":
    app()
