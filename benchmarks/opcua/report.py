"""Measurements, their medians, and the tables made of them."""

from __future__ import annotations

import importlib.metadata
import platform
import statistics
from typing import Any

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.opcua.measure import Figures
from benchmarks.opcua.scenarios import Scenario
from benchmarks.opcua.servers import NODE_OPCUA, OURS


class Results:
    """All figures, by scenario and server."""

    def __init__(self, kinds: list[str], names: list[str]) -> None:
        self.kinds = kinds
        self.names = names
        self.found: dict[tuple[str, str], list[Figures]] = {}
        self.failed: dict[tuple[str, str], str] = {}

    def add(self, name: str, kind: str, figures: Figures) -> None:
        self.found.setdefault((name, kind), []).append(figures)

    def median(self, name: str, kind: str, figure: str) -> float | None:
        values = [one[figure] for one in self.found.get((name, kind), ()) if figure in one]
        return statistics.median(values) if values else None

    def plain(self) -> dict[str, Any]:
        """As JSON takes it, and ``Results.of`` reads it back."""
        return {
            "servers": self.kinds,
            "scenarios": self.names,
            "measurements": [
                {"scenario": name, "server": kind, "round": number, **figures}
                for (name, kind), all_figures in self.found.items()
                for number, figures in enumerate(all_figures, 1)
            ],
            "not_measured": [{"scenario": name, "server": kind, "why": why} for (name, kind), why in self.failed.items()],
        }

    @classmethod
    def of(cls, plain: dict[str, Any]) -> Results:
        made = cls(plain["servers"], plain["scenarios"])
        for one in plain["measurements"]:
            figures = {key: value for key, value in one.items() if key not in ("scenario", "server", "round")}
            made.add(one["scenario"], one["server"], figures)
        made.failed = {(one["scenario"], one["server"]): one["why"] for one in plain["not_measured"]}
        return made


def machine() -> dict[str, str]:
    """Where and with what it was measured."""
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": str(psutil.cpu_count()),
        "load": " ".join(f"{one:.1f}" for one in psutil.getloadavg()),
        "python": platform.python_version(),
        "asyncua": importlib.metadata.version("asyncua"),
        "node-opcua": NODE_OPCUA.partition("@")[2],
    }


def show(console: Console, results: Results, scenarios: list[Scenario]) -> None:
    """The tables."""
    operations = [one for one in scenarios if one.action != "hold"]
    if operations:
        console.print(_costs(results, operations))
    listening = [one for one in operations if one.action == "subscribe"]
    if listening:
        console.print(_arrivals(results, listening))
    for scenario in scenarios:
        if scenario.action == "hold":
            console.print(_starts(results, scenario))
    for (name, kind), why in results.failed.items():
        if (name, kind) not in results.found:
            console.print(f"{name}, {kind}: not measured, {why}", highlight=False)


def _costs(results: Results, scenarios: list[Scenario]) -> Table:
    rounds = max((len(all_figures) for all_figures in results.found.values()), default=0)
    table = Table(title=f"Server CPU in us per operation, and operations per s with this client; medians of {rounds}")
    peers = results.kinds[1:]
    for heading in ("Scenario", "per", *results.kinds, *(f"{kind} / {OURS}" for kind in peers)):
        table.add_column(heading, justify="left" if heading in ("Scenario", "per") else "right")
    for scenario in scenarios:
        medians = {kind: results.median(scenario.name, kind, "cpu_us") for kind in results.kinds}
        cells = [scenario.name, scenario.operation]
        for kind in results.kinds:
            value, rate = medians[kind], results.median(scenario.name, kind, "rate")
            cells.append(f"{value:.3g} ({rate:,.0f})" if value is not None and rate is not None else "-")
        ours = medians[OURS]
        for kind in peers:
            value = medians[kind]
            cells.append(f"{value / ours:.1f}" if value is not None and ours else "-")
        table.add_row(*cells)
    return table


def _arrivals(results: Results, scenarios: list[Scenario]) -> Table:
    table = Table(
        title="What arrived: ticks per s a session saw of 10, changes lost, latency from SourceTimestamp, shares of a core"
    )
    table.add_column("Scenario")
    for heading in ("server", "ticks/s", "lost", "p50 ms", "p99 ms", "server core", "client core"):
        table.add_column(heading, justify="left" if heading == "server" else "right")
    for scenario in scenarios:
        for kind in results.kinds:
            values = [
                results.median(scenario.name, kind, figure)
                for figure in ("rate_hz", "lost", "p50_ms", "p99_ms", "core", "client_core")
            ]
            if values[0] is not None:
                forms = (".1f", ",.0f", ".1f", ".1f", ".3f", ".3f")
                cells = [format(value, form) if value is not None else "-" for value, form in zip(values, forms, strict=True)]
                table.add_row(scenario.name, kind, *cells)
    return table


def _starts(results: Results, scenario: Scenario) -> Table:
    table = Table(title="Start-up with 60 variables, and memory (RSS)")
    for heading in ("server", "ready after s", "CPU s", "MB", "kB per session", "bytes per monitored item"):
        table.add_column(heading, justify="left" if heading == "server" else "right")
    for kind in results.kinds:
        columns = (("start_s", 1, ".2f"), ("start_cpu_s", 1, ".2f"), ("memory", 1e6, ".0f"), ("per_session", 1e3, ".1f"))
        cells = []
        for figure, unit, form in (*columns, ("per_item", 1, ",.0f")):
            value = results.median(scenario.name, kind, figure)
            cells.append(format(value / unit, form) if value is not None else "-")
        table.add_row(kind, *cells)
    return table
