"""``cnctwin bench attacks``: a healthy client reads every 20 ms while each attack runs; what it and the server notice of it.

server (insecure, so that attacks reach the services without a login)  <--  healthy client, one process for all
                                                                       <--  attacker, a process for each attack
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import psutil
import typer
from rich.console import Console
from rich.table import Table

from benchmarks.opcua.link import Link, Refused
from benchmarks.opcua.servers import Program, free_port
from benchmarks.security.attacks import ATTACKS
from cnctwin.secrets import Vault
from cnctwin.wire.scalars import ua

_CLONE = Path(__file__).resolve().parents[2]
RECOVERY_S = 30.0
SAMPLE_S = 0.25
LEFT_S = 30.0
"""Beyond the attack's own length, that what it left may last: sessions and subscriptions that nobody uses go after that length."""
_SESSIONS, _SUBSCRIPTIONS = ua.NodeId(2277), ua.NodeId(2285)
HEADINGS = (
    "attack", "p50 ms", "p99 ms", "max ms", "login s", "refused", "lost", "frames/s", "CPU ms/frame", "RSS MB", "calm after s",
)  # fmt: skip


@dataclass
class Found:
    """One attack. ``taken``: the healthy client's figures; ``frames`` the attacker's; ``cpu_s`` the server's processor time.

    Memory and processor time of attacks: how much more than while nobody attacked. ``problem``: why the row says nothing of
    the attack, or nothing of the next one.
    """

    name: str
    taken: dict[str, Any]
    frames: int
    cpu_s: float
    memory_mb: float
    recovery_s: float | None
    problem: str = ""


def attacks(
    only: Annotated[list[str] | None, typer.Option(help="Attacks whose name contains this.")] = None,
    seconds: Annotated[float, typer.Option(min=2.0, help="Of each attack.")] = 8.0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write all measurements to this file.")] = None,
) -> None:
    """Latency of a healthy client, login time, memory and processor time of the server, while each attack runs."""
    names = [name for name in ATTACKS if name == "nobody" or not only or any(part in name for part in only)]
    with tempfile.TemporaryDirectory(prefix="cnctwin-attacks-") as folder:
        found = _all(names, seconds, Path(folder))
    if json_file is not None:
        json_file.write_text(json.dumps([vars(one) for one in found], indent=1), "utf-8")
    load = f"load of the machine {os.getloadavg()[0]:.1f}"
    table = Table(title=f"A read every 20 ms and a login every 2 s, while somebody attacks for {seconds:g} s; {load}")
    for heading in HEADINGS:
        table.add_column(heading, justify="right" if heading != "attack" else "left")
    for one in found:
        figures = one.taken
        table.add_row(
            one.name, *(_shown(figures[key], ".1f") for key in ("p50_ms", "p99_ms", "max_ms")), _shown(figures["login_s"], ".2f"),
            str(figures["refused_logins"]), str(figures["lost"]), f"{one.frames / seconds:.0f}",
            _shown(1e3 * one.cpu_s / one.frames if one.frames else None, ".2f"),
            format(one.memory_mb, ".0f" if one is found[0] else "+.0f"),
            _shown(one.recovery_s, ".1f"),
        )  # fmt: skip
    Console(width=150).print(table)
    problems = [f"{one.name}: {one.problem}" for one in found if one.problem]
    if problems:
        raise SystemExit("cnctwin: " + "\n".join(problems))


def _shown(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _all(names: list[str], seconds: float, folder: Path) -> list[Found]:
    """A server and a healthy client for all attacks, so that memory that one leaves behind is seen by the next; each waits until
    the sessions and subscriptions of the one before are gone."""
    port = free_port()
    first = Vault(folder / "data").ensure()
    password = next(login.password for login in first.logins if login.user == "operator") if first is not None else ""
    command = [sys.executable, "-m", "cnctwin", "server", "--insecure", "--data", str(folder / "data"), "--opcua-port", str(port)]
    server = subprocess.Popen(command, cwd=_CLONE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait_for(port)
        meter = _Meter(server.pid)
        arguments = [str(port), "operator", password, str(folder / "healthy")]
        healthy = Program([sys.executable, "-m", "benchmarks.security.healthy", *arguments], "ready")
        try:
            time.sleep(3.0)
            healthy.ask("take")
            before = asyncio.run(_used(port))
            found: list[Found] = []
            for name in names:
                one = _attack(name, port, seconds, healthy, meter, found[0] if found else None)
                one.problem = one.problem or _left(port, before, seconds + LEFT_S)
                typer.echo(f"{name}: {one.taken} {one.problem}", err=True)
                found.append(one)
            return found
        finally:
            healthy.end()
    finally:
        server.terminate()
        server.wait()


class _Meter:
    """Memory and processor time of a process."""

    def __init__(self, pid: int) -> None:
        self._process = psutil.Process(pid)

    @property
    def rss(self) -> int:
        return int(self._process.memory_info().rss)

    @property
    def cpu_s(self) -> float:
        times = self._process.cpu_times()
        return float(times.user + times.system)


def _attack(name: str, port: int, seconds: float, healthy: Program, meter: _Meter, calm: Found | None) -> Found:
    used = meter.cpu_s
    healthy.ask("take")
    command = [sys.executable, "-m", "benchmarks.security.attacks", name, str(port), str(seconds)]
    attacker = subprocess.Popen(command, cwd=_CLONE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    most = meter.rss
    while attacker.poll() is None:
        time.sleep(SAMPLE_S)
        most = max(most, meter.rss)
    taken, cpu_s = json.loads(healthy.ask("take")), meter.cpu_s - used
    output, errors = attacker.communicate()
    said = json.loads(output or "{}")
    frames, answers = int(said.get("frames", 0)), said.get("answers", {})
    typer.echo(f"{name}: {frames} frames, answers {answers}", err=True)
    problem = ""
    if attacker.returncode:
        problem = "the attacker ended early: " + errors.decode(errors="replace").strip().rpartition("\n")[2]
    elif calm is not None and not frames:
        problem = "the attacker sent nothing"
    elif answers and not answers.get("served"):
        problem = f"the attacker was refused all that it asked: {answers}"
    if calm is None:
        return Found(name, taken, frames, cpu_s, most / 2**20, None, problem)
    recovery_s = _recovery_s(healthy, calm.taken["p99_ms"] or 0.0)
    return Found(name, taken, frames, cpu_s - calm.cpu_s, most / 2**20 - calm.memory_mb, recovery_s, problem)


async def _used(port: int) -> tuple[int, int]:
    """Sessions, ours among them, and subscriptions that the server has. Raises Refused when it has no session for us."""
    link = Link()
    try:
        await link.open(port)
        asked = ua.ReadRequest()
        asked.Parameters.NodesToRead = [ua.ReadValueId(one, ua.UInt32(13)) for one in (_SESSIONS, _SUBSCRIPTIONS)]
        sessions, subscriptions = (one.Value.Value for one in (await link.ask(asked, ua.ReadResponse)).Results)
        await link.end()
        return int(sessions), int(subscriptions)
    finally:
        link.close()


def _left(port: int, before: tuple[int, int], wait_s: float) -> str:
    """Wait until sessions (but for a login of the healthy client) and subscriptions are as many as ``before``; what is left."""
    until = time.monotonic() + wait_s
    while True:
        try:
            sessions, subscriptions = asyncio.run(_used(port))
            left = f"{sessions - before[0]} sessions and {subscriptions - before[1]} subscriptions are left"
            if sessions <= before[0] + 1 and subscriptions <= before[1]:
                return ""
        except (Refused, OSError) as refusal:
            left = f"the server has no session for anybody: {refusal}"
        if time.monotonic() > until:
            return f"{left} after {wait_s:g} s"
        time.sleep(0.5)


def _recovery_s(healthy: Program, calm_ms: float) -> float | None:
    """Seconds until half a second of reads is as fast as before, within a factor of two; None when that does not come."""
    begun = time.monotonic()
    while time.monotonic() - begun < RECOVERY_S:
        time.sleep(0.5)
        taken = json.loads(healthy.ask("take"))
        if taken["reads"] >= 10 and not taken["lost"] and taken["p99_ms"] <= max(2 * calm_ms, 10.0):
            return time.monotonic() - begun
    return None


def _wait_for(port: int) -> None:
    until = time.monotonic() + 120
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit("cnctwin: the server did not start")
