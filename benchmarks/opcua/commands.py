"""``cnctwin bench opcua``: servers side by side in one run, interleaved; medians of server CPU per operation, and their ratios."""

from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

app = typer.Typer(no_args_is_help=True, help="Measure against other servers.")
_HERE = Path(__file__).parent

SCENARIOS: dict[str, tuple[str, int, int, int, float]] = {
    "fan-out 1 x 60": ("subscribe", 1, 60, 60, 10.0),
    "fan-out 10 x 60": ("subscribe", 10, 60, 60, 10.0),
    "fan-out 100 x 60": ("subscribe", 100, 60, 60, 10.0),
    "6,000 variables": ("subscribe", 1, 6_000, 6_000, 10.0),
    "read 1": ("read", 1, 1, 1_000, 0.0),
    "read 60": ("read", 1, 60, 1_000, 0.0),
    "read 1,000": ("read", 1, 1_000, 1_000, 0.0),
    "browse, per reference": ("browse", 1, 100, 100, 0.0),
    "write 1": ("write", 1, 1, 1, 0.0),
    "write 60": ("write", 1, 60, 1, 0.0),
    "call": ("call", 1, 1, 1, 0.0),
    "connect": ("connect", 1, 1, 1, 0.0),
}
"""Name -> what the client does, sessions, items, variables, rate of change in Hz."""


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _measure(kind: str, scenario: str, seconds: float, node_modules: Path | None) -> dict[str, float] | str:
    """One server, one scenario; the figures, or why there are none."""
    action, sessions, items, variables, rate = SCENARIOS[scenario]
    port = _free_port()
    arguments = [str(port), str(variables), str(rate)]
    environment: dict[str, str] = dict(os.environ)
    if kind == "node-opcua":
        command = ["node", str(_HERE / "peer.js"), *arguments]
        environment["NODE_PATH"] = str(node_modules)
    else:
        command = [sys.executable, "-m", f"benchmarks.opcua.{'ours' if kind == 'cnctwin' else 'plain'}", *arguments]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=_HERE.parents[1])
    try:
        while (line := server.stdout.readline() if server.stdout else b"") and not line.startswith(b"ready"):
            pass
        if not line:
            return "did not start"
        namespace = "1" if kind == "node-opcua" else "2"
        client = [sys.executable, "-m", "benchmarks.opcua.client", action, str(port), namespace, str(server.pid), str(seconds)]
        done = subprocess.run(
            [*client, str(sessions), str(items)], capture_output=True, text=True, timeout=60 + seconds, cwd=_HERE.parents[1]
        )
        if done.returncode:
            return (done.stderr.strip().splitlines() or ["failed"])[-1][-60:]
        found: dict[str, float] = json.loads(done.stdout)
        return found
    except subprocess.TimeoutExpired:
        return "did not finish"
    finally:
        server.terminate()
        server.wait()


@app.command()
def opcua(
    node_modules: Annotated[Path | None, typer.Option(help="Folder `node_modules` with the npm package node-opcua.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Scenarios whose name contains this.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 3,
    seconds: Annotated[float, typer.Option(min=0.5, help="Of each measurement.")] = 4.0,
) -> None:
    """CPU of the server process per notification, value, reference or call: ours, plain asyncua, node-opcua."""
    kinds = ["cnctwin", "asyncua"] + (["node-opcua"] if node_modules is not None else [])
    names = [name for name in SCENARIOS if not only or any(part in name for part in only)]
    found: dict[tuple[str, str], list[dict[str, float]]] = {}
    failed: dict[tuple[str, str], str] = {}
    for _round in range(rounds):
        for name in names:
            for kind in kinds:
                result = _measure(kind, name, seconds, node_modules)
                typer.echo(f"{name}, {kind}: {result}", err=True)
                if isinstance(result, str):
                    failed[name, kind] = result
                else:
                    found.setdefault((name, kind), []).append(result)
    table = Table(title=f"Server CPU in us per operation (rate per s); medians of {rounds}")
    for heading in ("Scenario", *kinds, *(f"{kind} / cnctwin" for kind in kinds[1:])):
        table.add_column(heading)
    for name in names:
        medians = {kind: statistics.median(one["cpu_us"] for one in found[name, kind]) for kind in kinds if (name, kind) in found}
        cells: list[Any] = [name]
        for kind in kinds:
            if kind in medians:
                rate = statistics.median(one["rate"] for one in found[name, kind])
                cells.append(f"{medians[kind]:.3g} ({rate:,.0f})")
            else:
                cells.append(failed[name, kind])
        ours = medians.get("cnctwin")
        cells += [f"{medians[kind] / ours:.1f}" if ours and kind in medians else "-" for kind in kinds[1:]]
        table.add_row(*cells)
    Console(width=160).print(table)


@app.callback()
def _bench() -> None:
    """Measure against other servers."""


if __name__ == "__main__":
    app()
