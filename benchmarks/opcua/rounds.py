"""Rounds: a server of each kind is started; for each scenario ours, asyncua, node-opcua one after the other; all end.

What slows the machine slows all of them alike that way, and no server meets only the quiet moments.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import typer

from benchmarks.opcua.measure import measure
from benchmarks.opcua.report import Results
from benchmarks.opcua.scenarios import PUBLISHED, VARIABLES, Scenario
from benchmarks.opcua.servers import OURS, Failed, Server
from certs.application import ensure_application

APART: Final = {"echo": 0, "publish": PUBLISHED, "hold": 60}
"""Scenarios that need a server of their own, with as many variables."""


@dataclass
class Rounds:
    """``seconds``: of each measurement. ``folder``: for keys. ``modules``: of node-opcua, where it is compared."""

    results: Results
    scenarios: list[Scenario]
    seconds: float
    folder: Path
    modules: Path | None
    variables: int = VARIABLES
    """Of the servers that stay up for a round."""

    def run(self, rounds: int, after_each: Callable[[], None]) -> None:
        """Progress goes to standard error."""
        ensure_application(self.folder / "pki" / "client", "client", "urn:bench:client", ["127.0.0.1"])
        total = rounds * sum(1 if one.only_ours else len(self.results.kinds) for one in self.scenarios)
        began_s, count = time.monotonic(), 0
        for number in range(rounds):
            with self._together() as servers:
                for scenario, kind in self._pairs():
                    count += 1
                    at = f"[{count}/{total}, {time.monotonic() - began_s:.0f} s] round {number + 1}, {scenario.name}, {kind}: "
                    typer.echo(at, nl=False, err=True)
                    typer.echo(self._one(scenario, kind, servers), err=True)
            after_each()

    def _pairs(self) -> Iterator[tuple[Scenario, str]]:
        for scenario in self.scenarios:
            for kind in self.results.kinds:
                if scenario.only_ours and kind != OURS:
                    self.results.failed[scenario.name, kind] = scenario.only_ours
                else:
                    yield scenario, kind

    @contextlib.contextmanager
    def _together(self) -> Iterator[dict[str, Server]]:
        """The servers that stay up for a round, or until a measurement fails; those that do not start are missing."""
        servers: dict[str, Server] = {}
        try:
            if any(one.action not in APART for one in self.scenarios):
                for kind in self.results.kinds:
                    typer.echo(f"starting {kind} with {self.variables:,} variables", err=True)
                    with contextlib.suppress(Failed):
                        servers[kind] = Server(kind, self.folder, self.variables, self.modules)
            yield servers
        finally:
            for server in servers.values():
                server.end()

    def _one(self, scenario: Scenario, kind: str, servers: dict[str, Server]) -> str:
        """One measurement into the results; what to say of it."""
        try:
            if scenario.action in APART:
                started = "echo" if scenario.action == "echo" else kind
                server = Server(started, self.folder, APART[scenario.action], self.modules)
                try:
                    found = measure(scenario, server, self.seconds, self.folder)
                finally:
                    server.end()
            else:
                if kind not in servers:
                    servers[kind] = Server(kind, self.folder, self.variables, self.modules)
                found = measure(scenario, servers[kind], self.seconds, self.folder)
        except Failed as problem:
            if scenario.action not in APART and kind in servers:  # what was left of it would load the next measurement
                servers.pop(kind).end()
            self.results.failed[scenario.name, kind] = str(problem)
            return str(problem)
        self.results.add(scenario.name, kind, found)
        return ", ".join(f"{name} {value:.4g}" for name, value in found.items())
