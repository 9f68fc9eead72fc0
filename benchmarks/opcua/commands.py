"""``cnctwin bench opcua``: servers side by side in one run, interleaved; medians of server CPU per operation, and their ratios.

round:  a server of each kind is started;  for each scenario: ours, asyncua, node-opcua, one after the other;  all end
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.opcua.chart import chart
from benchmarks.opcua.measure import measure
from benchmarks.opcua.report import Results, machine, show
from benchmarks.opcua.scenarios import PUBLISHED, SCENARIOS, VARIABLES, Scenario
from benchmarks.opcua.servers import OURS, PEERS, Failed, Server, node_modules
from certs.application import ensure_application

app = typer.Typer(no_args_is_help=True, help="Measure against other servers.")
_APART = {"publish": PUBLISHED, "hold": 60}
"""Scenarios that need a server of their own, with as many variables."""


@app.command()
def opcua(
    quick: Annotated[bool, typer.Option("--quick", help="One short round: some minutes.")] = False,
    only: Annotated[list[str] | None, typer.Option(help="Scenarios whose name contains this.")] = None,
    against: Annotated[list[str] | None, typer.Option(help="asyncua, node-opcua or none; both when it is not given.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="3, or 1 with --quick.")] = None,
    seconds: Annotated[float | None, typer.Option(min=0.2, help="Of each measurement: 4, or 1.5 with --quick.")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all measurements to this file.")] = None,
    svg: Annotated[Path | None, typer.Option(help="Draw cost over items and sessions into this file.")] = None,
    data: Annotated[Path, typer.Option(envvar="CNCTWIN_DATA", help="Where node-opcua is installed.")] = Path(".data"),
) -> None:
    """CPU of the server process per notification, value, reference or call: ours, plain asyncua, node-opcua."""
    scenarios = [one for one in SCENARIOS if not only or any(part.lower() in one.name.lower() for part in only)]
    if not scenarios:
        typer.echo(f"cnctwin: no scenario has {' or '.join(only or [])} in its name", err=True)
        raise typer.Exit(2)
    kinds = [OURS, *(kind for kind in PEERS if against is None or kind in against)]
    modules: Path | None = None
    if "node-opcua" in kinds:
        try:
            modules = node_modules(data / "bench")
        except Failed as problem:
            typer.echo(f"node-opcua is left out: {problem}", err=True)
            kinds.remove("node-opcua")
    results = Results(kinds, [one.name for one in scenarios])
    with tempfile.TemporaryDirectory(prefix="cnctwin-bench-") as folder:
        _all(
            results,
            scenarios,
            kinds,
            rounds or (1 if quick else 3),
            seconds or (1.5 if quick else 4.0),
            Path(folder),
            modules,
        )
    show(Console(width=150), results, scenarios)
    if json_file is not None:
        json_file.write_text(json.dumps({"machine": machine(), **results.plain()}, indent=1) + "\n", "utf-8")
    if svg is not None:
        svg.write_text(chart(results), "utf-8")


def _all(
    results: Results,
    scenarios: list[Scenario],
    kinds: list[str],
    rounds: int,
    seconds: float,
    folder: Path,
    modules: Path | None,
) -> None:
    ensure_application(folder / "pki" / "client", "client", "urn:bench:client", ["127.0.0.1"])
    total = rounds * sum(len(kinds) if not one.only_ours else 1 for one in scenarios)
    began_s, count = time.monotonic(), 0
    for number in range(rounds):
        with _together(results, scenarios, kinds, folder, modules) as servers:
            for scenario in scenarios:
                for kind in kinds:
                    if scenario.only_ours and kind != OURS:
                        results.failed[scenario.name, kind] = scenario.only_ours
                        continue
                    count += 1
                    typer.echo(
                        f"[{count}/{total}, {time.monotonic() - began_s:.0f} s] round {number + 1}, {scenario.name}, {kind}: ",
                        nl=False,
                        err=True,
                    )
                    typer.echo(_one(results, scenario, kind, servers, seconds, folder, modules), err=True)


@contextlib.contextmanager
def _together(
    results: Results, scenarios: list[Scenario], kinds: list[str], folder: Path, modules: Path | None
) -> Iterator[dict[str, Server]]:
    """The servers that stay up for a round; those that do not start are missing."""
    servers: dict[str, Server] = {}
    try:
        if any(one.action not in _APART for one in scenarios):
            for kind in kinds:
                typer.echo(f"starting {kind} with {VARIABLES:,} variables", err=True)
                with contextlib.suppress(Failed):
                    servers[kind] = Server(kind, folder, VARIABLES, modules)
        yield servers
    finally:
        for server in servers.values():
            server.end()


def _one(
    results: Results,
    scenario: Scenario,
    kind: str,
    servers: dict[str, Server],
    seconds: float,
    folder: Path,
    modules: Path | None,
) -> str:
    """One measurement into the results; what to say of it."""
    try:
        if scenario.action in _APART:
            server = Server(kind, folder, _APART[scenario.action], modules)
            try:
                found = measure(scenario, server, seconds, folder)
            finally:
                server.end()
        elif kind not in servers:
            raise Failed("does not run")
        else:
            found = measure(scenario, servers[kind], seconds, folder)
    except Failed as problem:
        results.failed[scenario.name, kind] = str(problem)
        return str(problem)
    results.add(scenario.name, kind, found)
    return ", ".join(f"{name} {value:.4g}" for name, value in found.items())


@app.callback()
def _bench() -> None:
    """Measure against other servers."""


if __name__ == "__main__":
    app()
