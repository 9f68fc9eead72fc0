"""``cnctwin bench startup``: the product's server as it is, with one machine, two and eleven, from its first breath to "ready".

    first start   an empty data folder: passwords, keys and a certificate are made
    start         the same folder again: what the machines did is there and is gone on from

All counts take turns, there and back, so that what slows the computer slows all alike; the figures are medians. What a further
machine costs is what each of the others adds to one machine alone, so it holds all of it: its source, its nodes, its alarms, its
first tick. It is the median of what starts of one turn differ by: those stand side by side, the medians of two kinds do not.
"""

from __future__ import annotations

import json
import os
import selectors
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Final

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.opcua.servers import WAIT_S, Failed, free_port
from cnctwin.program import STATUS_FD

_CLONE: Final = Path(__file__).resolve().parents[1]
SETTLED_S: Final = 5.0
"""After "ready", until memory is measured again: by then a checkpoint was written and the history has its first minute begun."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start. ``ready_s``: from the call to "ready". ``cpu_s``: all threads, until then. ``settled_mb``: some seconds later."""

    machines: int
    is_first: bool
    ready_s: float
    cpu_s: float
    ready_mb: float
    settled_mb: float


def startup(
    machines: Annotated[list[int] | None, typer.Option(min=1, help="1, 2 and 11 when it is not given.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Starts of each number of machines, after the first one.")] = 3,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all starts to this file.")] = None,
) -> None:
    """How long the server takes to be ready, its memory, and what a further machine costs."""
    counts = sorted({1, *(machines or (2, 11))})
    starts: list[Start] = []
    try:
        with tempfile.TemporaryDirectory(prefix="cnctwin-startup-") as folder:
            for number in range(rounds + 1):
                turn = counts if number % 2 else counts[::-1]
                starts += [start(count, Path(folder) / str(count), is_first=number == 0) for count in turn]
    except Failed as problem:
        typer.echo(f"cnctwin: {problem}", err=True)
        raise typer.Exit(1) from None
    if json_file is not None:
        json_file.write_text(json.dumps([asdict(one) for one in starts], indent=1) + "\n", "utf-8")
    show(Console(width=150), starts)


def start(machines: int, data: Path, *, is_first: bool) -> Start:
    """Start the server, wait until it is ready, look, and end it. Raises Failed."""
    command = [sys.executable, "-m", "cnctwin", "server", "--data", str(data)]
    command += ["--opcua-port", str(free_port()), "--machines", str(machines)]
    hears, says = os.pipe()
    begun_s = time.perf_counter()
    server = subprocess.Popen(
        command, cwd=_CLONE, env={**os.environ, STATUS_FD: str(says)}, pass_fds=(says,),
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(says)
    try:
        wait_ready(hears)
        ready_s = time.perf_counter() - begun_s
        process = psutil.Process(server.pid)
        times, ready_mb = process.cpu_times(), process.memory_info().rss / 1e6
        time.sleep(SETTLED_S)
        return Start(machines, is_first, ready_s, times.user + times.system, ready_mb, process.memory_info().rss / 1e6)
    finally:
        os.close(hears)
        server.terminate()
        server.communicate()


def wait_ready(hears: int) -> None:
    """Read what a program says of itself until it is ready. Raises Failed."""
    said = b""
    until_s = time.monotonic() + WAIT_S
    with selectors.DefaultSelector() as selector:
        selector.register(hears, selectors.EVENT_READ)
        while selector.select(max(0.0, until_s - time.monotonic())):
            data = os.read(hears, 1 << 16)
            if not data:
                raise Failed("the server ended before it was ready")
            *lines, said = (said + data).split(b"\n")
            for line in map(json.loads, lines):
                if line.get("state") == "failed":
                    raise Failed(f"the server does not start: {line['reason']}")
                if line.get("state") == "ready":
                    return
    raise Failed(f"the server is not ready after {WAIT_S:.0f} s")


FIGURES: Final = ("ready_s", "cpu_s", "ready_mb", "settled_mb")


def medians(starts: list[Start], machines: int, *, is_first: bool) -> dict[str, float]:
    """Of each figure, over the starts of one kind."""
    those = [one for one in starts if one.machines == machines and one.is_first is is_first]
    return {name: statistics.median(getattr(one, name) for one in those) for name in FIGURES}


def per_further_machine(starts: list[Start], machines: int) -> dict[str, float]:
    """What each machine beyond the first adds to a start: the same figures, medians of the differences within a turn."""
    one, several = ([s for s in starts if s.machines == count and not s.is_first] for count in (1, machines))
    return {
        name: statistics.median((getattr(b, name) - getattr(a, name)) / (machines - 1) for a, b in zip(one, several, strict=True))
        for name in FIGURES
    }


def show(console: Console, starts: list[Start]) -> None:
    counts = sorted({one.machines for one in starts})
    load = f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"
    table = Table(title=f"The product's server until it is ready, medians of {len(starts) // len(counts) - 1} starts; {load}")
    for heading in ("", "ready after s", "CPU s", "MB when ready", f"MB {SETTLED_S:.0f} s later"):
        table.add_column(heading, justify="right" if heading else "left")
    for is_first in (True, False):
        for count in counts:
            what = f"{'first start' if is_first else 'start'}, {count} machine{'s' if count > 1 else ''}"
            table.add_row(what, *_written(medians(starts, count, is_first=is_first), ".2f", ".0f"))
    for count in counts:
        if count > 1:
            table.add_row(f"each of {count - 1} further", *_written(per_further_machine(starts, count), ".3f", ".1f"))
    console.print(table)


def _written(figures: dict[str, float], seconds: str, megabytes: str) -> list[str]:
    return [format(value, seconds if name.endswith("_s") else megabytes) for name, value in figures.items()]
