"""One measurement: a scenario against a server, and the figures of it.

set up: connect, subscribe -> ticks begin, it runs warm -> CPU of server | clients count | CPU of server -> ticks end
"""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

from benchmarks.opcua.scenarios import PUBLISHED, RATE_HZ, Scenario
from benchmarks.opcua.servers import Client, Failed, Server

Figures = dict[str, float]
"""``cpu_us``: of the server per operation. ``rate``: operations per s. ``core``, ``client_core``: shares of a core of the
server and of the busiest client. Of subscriptions also ``lost``, ``p50_ms``, ``p99_ms`` and ``rate_hz``, which is ticks seen."""
WARM_S: Final = 1.0
LISTEN_S: Final = 3.0
"""The least time that subscriptions are watched: a server that falls behind shows little for seconds."""
PUBLISH_TICKS: Final = 5


def measure(scenario: Scenario, server: Server, seconds: float, folder: Path) -> Figures:
    """Raises Failed."""
    keys = folder / "pki" / "client" if scenario.encrypted else None
    if scenario.action == "hold":
        return _held(scenario, server)
    if scenario.action == "publish":
        return _published(server)
    server.ask("role Analytics" if scenario.action == "write" else "role Engineer")
    share = scenario.sessions // scenario.clients
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(scenario.clients):
            clients.append(Client(scenario.action, server, share, scenario.items, keys))
            stack.callback(clients[-1].end)
        if scenario.ticking:
            server.ask(f"tick {scenario.items} {RATE_HZ}")
            stack.callback(_quiet, server)
            time.sleep(WARM_S)
        for client in clients:
            client.ask("start")
        cpu, began = server.cpu_s, time.perf_counter()
        time.sleep(max(seconds, LISTEN_S) if scenario.ticking else seconds)
        used, took = server.cpu_s - cpu, time.perf_counter() - began
        for client in clients:
            client.tell("stop")
        reports = [client.report() for client in clients]
    return _figures(reports, used, took)


def _figures(reports: list[Figures], used: float, took: float) -> Figures:
    operations = sum(one["operations"] / one["seconds"] for one in reports) * took
    if not operations:
        raise Failed("nothing arrived")
    found = {
        "cpu_us": used / operations * 1e6,
        "rate": operations / took,
        "core": used / took,
        "client_core": max(one["client_cpu"] / one["seconds"] for one in reports),
    }
    if "p99_ms" in reports[0]:
        for name in ("lost", "wrong"):
            found[name] = sum(one[name] for one in reports)
        for name in ("p50_ms", "p99_ms"):
            found[name] = max(one[name] for one in reports)
        found["rate_hz"] = min(one["rate_hz"] for one in reports)
        if found["wrong"]:
            raise Failed(f"{found['wrong']:.0f} values went backwards")
    return found


def _quiet(server: Server) -> None:
    with contextlib.suppress(Failed):
        server.ask("still")


def _published(server: Server) -> Figures:
    """The simulator's side: nobody listens. ``tick_ms`` is CPU time of one tick."""
    server.ask(f"publish {PUBLISHED} 1")
    used = float(server.ask(f"publish {PUBLISHED} {PUBLISH_TICKS}")) / PUBLISH_TICKS
    return {"cpu_us": used / PUBLISHED * 1e6, "rate": PUBLISHED / used, "core": 1.0, "client_core": 0.0, "tick_ms": used * 1e3}


def _held(scenario: Scenario, server: Server) -> Figures:
    """Start-up, and what sessions and items take. Bytes; times in s."""
    found = {"start_s": server.start_s, "start_cpu_s": server.start_cpu_s, "memory": float(server.memory_bytes)}
    client = Client("hold", server, scenario.sessions, scenario.items, None)
    try:
        with_sessions = server.memory_bytes
        client.ask("start")
        with_items = server.memory_bytes
        client.tell("stop")
        client.report()
    finally:
        client.end()
    found["per_session"] = (with_sessions - found["memory"]) / scenario.sessions
    found["per_item"] = (with_items - with_sessions) / scenario.sessions / scenario.items
    return found
