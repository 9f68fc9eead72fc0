"""`cnctwin up`: everything on one machine, under one supervisor, with a panel that says what runs where.

check what must be true -> secrets -> broker, server, analytics, gateway -> panel -> until Ctrl-C or SIGTERM
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console, Group

from cnctwin import __version__, broker, preflight, program
from cnctwin.errors import CnctwinError
from cnctwin.panel import insecure_banner, logins, panel
from cnctwin.secrets import FirstSecrets, Vault
from cnctwin.settings import Settings
from cnctwin.supervisor import Child, Command, Supervisor

REPORT_NAME = "state.json"
REPORT_PERIOD_S = 2.0
PATIENCE_S = 15.0
"""How long the panel waits for programs that are up and miss a peer."""


def run(settings: Settings) -> None:
    """Start everything and keep it running. Returns after Ctrl-C or SIGTERM; raises CnctwinError when it cannot run."""
    console = Console(highlight=False, markup=False)  # brackets are those of addresses
    preflight.keep_others_out()
    preflight.check(settings)
    with preflight.claim(settings.data):
        first = Vault(settings.data).ensure()
        _Session(settings, console, first).run()


class _Session:
    def __init__(self, settings: Settings, console: Console, first: FirstSecrets | None) -> None:
        self.settings = settings
        self.console = console
        self.first = first
        self.began = time.monotonic()
        self.shown = False
        folder = settings.data / "run"
        folder.mkdir(exist_ok=True, mode=0o700)
        self.report_path = folder / REPORT_NAME
        self.let_in_by = self._let_in_by()
        self.supervisor = Supervisor(self._commands(folder), settings.data / "logs", self._changed)

    def run(self) -> None:
        if self.settings.insecure:
            self.console.print(insecure_banner())
        try:
            with self._status():
                asyncio.run(self._run())
        finally:
            if self.first is not None and not self.shown:  # they were made, and no later start can show them
                self.console.print(Group(*logins(self.settings, self.first)))
        self.console.print("cnctwin: stopped")

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        work = asyncio.create_task(self.supervisor.run(), name="supervisor")
        reporting = asyncio.create_task(self._report(), name="report")

        def stop() -> None:
            if not work.cancelling():  # a second Ctrl-C must not interrupt the ending of the programs
                work.cancel()

        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.add_signal_handler(number, stop)
        try:
            await work
        except asyncio.CancelledError:
            pass
        finally:
            reporting.cancel()
            with contextlib.suppress(OSError):  # a disk that has become read-only
                self.report_path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def _status(self) -> Any:
        """A spinner until everything is ready, on a terminal; nothing where output goes to a file."""
        self.spinner = self.console.status("starting") if self.console.is_terminal else None
        if self.spinner is None:
            yield
            return
        with self.spinner:
            yield

    def _commands(self, folder: Path) -> list[Command]:
        path = folder / "settings.json"
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(self.settings.model_dump_json())
        embedded = broker.command(self.settings)
        programs = [
            Command(name, (sys.executable, "-m", "cnctwin", "program", name, "--settings", str(path)))
            for name in program.names()
            if not (name == "server" and self.settings.opcua_url)
        ]
        return [embedded, *programs] if embedded else programs

    def _changed(self, child: Child) -> None:
        if self.shown:
            if child.state != "starting":
                self._tell(f"{child.name} {child.state}" + (f": {child.reason}" if child.reason else ""))
            return
        self._show_when_ready()
        if self.spinner is not None and not self.shown:
            self.spinner.update("starting: " + ", ".join(f"{other.name} {other.state}" for other in self.supervisor.children))

    def _tell(self, news: str) -> None:
        """One line each, also in a file; with the moment as the logs have it, which tell more."""
        self.console.print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {news}", soft_wrap=True)

    def _show_when_ready(self) -> None:
        """The panel, once all are ready; or are up at least and a peer is still away, which the lines below it say."""
        children = self.supervisor.children
        patient = time.monotonic() - self.began < PATIENCE_S
        if self.shown or not all(child.state == "ready" or (child.is_up and not patient) for child in children):
            return
        self.shown = True
        if self.spinner is not None:
            self.spinner.stop()
        self.console.print(panel(self.settings, self.first, time.monotonic() - self.began))
        for child in children:
            if child.reason:
                self.console.print(f"{child.name} {child.state}: {child.reason}", soft_wrap=True)

    async def _report(self) -> None:
        """Keep the state of everything in a file, for the soak command and for whoever looks."""
        while True:
            self._show_when_ready()
            self._let_in_new_readers()
            report = {"version": __version__, "pid": os.getpid(), "ready": self.shown, "programs": self.supervisor.report()}
            temporary = self.report_path.with_suffix(".tmp")
            with contextlib.suppress(OSError):  # a full disk: what runs goes on, and the next report may have room
                temporary.write_text(json.dumps(report, default=str), "utf-8")
                temporary.replace(self.report_path)
            await asyncio.sleep(REPORT_PERIOD_S if self.shown else 0.2)

    def _let_in_new_readers(self) -> None:
        """The broker takes new passwords at once, as the programs do, and a renewed certificate: its configuration is written anew,
        and it is told. What is broken in the folder, or in the certificate, stops the next start, not what runs."""
        if (let_in_by := self._let_in_by()) == self.let_in_by:
            return
        is_renewed, self.let_in_by = let_in_by[1:] != self.let_in_by[1:], let_in_by
        try:
            broker.command(self.settings)
        except (CnctwinError, OSError) as error:
            self._tell(f"broker goes on as it was: {error}")
            return
        if is_renewed:
            self._tell(f"broker shows the new {self.settings.broker_cert_path}")
        for child in self.supervisor.children:
            if child.name == "broker" and child.pid is not None:
                os.kill(child.pid, signal.SIGHUP)

    def _let_in_by(self) -> tuple[int, ...]:
        """When the password of readers and the broker's certificate and key were made; 0 what is not there."""
        paths = (self.settings.data / "secrets" / "reader.json", self.settings.broker_cert_path, self.settings.broker_key_path)
        made = []
        for path in paths:
            try:
                made.append(0 if path is None else path.stat().st_mtime_ns)
            except OSError:
                made.append(0)
        return tuple(made)


def read_report(data: Path) -> dict[str, Any] | None:
    """What a running `up` says of its programs; None when none runs there."""
    try:
        report: dict[str, Any] = json.loads((data / "run" / REPORT_NAME).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return report
