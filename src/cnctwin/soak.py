"""`cnctwin soak`: run everything with clients on it, and show whether memory, sockets or tasks grow.

Starts its own `up` in a folder of its own, holds an OPC UA session with subscriptions, a WebSocket and an MQTT subscription
on it, and prints one line a minute. Memory is judged once the last new NC program has come (`growth.py`); sockets and tasks in the
last quarter are compared with those in the second (the first one warms up). Growth fails, and so does any restart or any break in
the data.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil

from cnctwin.errors import StartError
from cnctwin.growth import growth
from cnctwin.link import Link, LinkSettings
from cnctwin.up import read_report

COUNT_ALLOWANCE: Final = 3.0
READY_S: Final = 120.0


@dataclass(slots=True)
class Sample:
    minute: float
    memory_mb: float
    sockets: int
    tasks: int
    threads: int


@dataclass(slots=True)
class Traffic:
    """What the clients saw: batches and messages, breaks (lost link, closed socket), and the longest silence in seconds."""

    opcua_batches: int = 0
    websocket_messages: int = 0
    mqtt_messages: int = 0
    breaks: list[str] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    """Why data was lost on its way."""
    programs: set[tuple[str, str]] = field(default_factory=set)
    """NC programs that machines have run."""
    came: list[float] = field(default_factory=list)
    """When an NC program came, by the monotonic clock."""
    last_new: float = 0.0
    """When one came that was new."""


def run(duration_s: float, *, machines: int, speed: float, port_base: int, every_s: float) -> int:
    """Returns 0 when nothing grew and nothing broke, else 1."""
    with tempfile.TemporaryDirectory(prefix="cnctwin-soak-") as folder:
        data = Path(folder)
        arguments = ["--port-base", str(port_base), "--data", folder, "--machines", str(machines), "--speed", str(speed)]
        process = subprocess.Popen([sys.executable, "-m", "cnctwin", "up", *arguments], stdout=subprocess.DEVNULL)
        try:
            return asyncio.run(_soak(process, data, duration_s, port_base, every_s))
        finally:
            process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
            process.kill()
            process.wait()


async def _soak(process: subprocess.Popen[bytes], data: Path, duration_s: float, port_base: int, every_s: float) -> int:
    await _ready(process, data)
    traffic = Traffic()
    clients = [
        asyncio.create_task(_opcua(data, port_base + 2, traffic)),
        asyncio.create_task(_websocket(port_base, traffic)),
        asyncio.create_task(_mqtt(port_base + 1, traffic)),
    ]
    samples: dict[str, list[Sample]] = {}
    restarts: dict[str, int] = {}
    print(f"{'minute':>6}  {'program':<10} {'memory MB':>9} {'sockets':>8} {'tasks':>6} {'threads':>8} {'restarts':>9}", flush=True)
    began = time.monotonic()
    printed = -every_s
    try:
        while (passed := time.monotonic() - began) < duration_s:
            report = read_report(data)
            if process.poll() is not None or report is None:
                print(f"`cnctwin up` ended after {passed:.0f} s with code {process.poll()}")
                return 1
            rows = {entry["name"]: (entry, _measure(entry, passed / 60)) for entry in report["programs"]}
            for name, (entry, sample) in rows.items():
                restarts[name] = entry["restarts"]
                if sample is not None:
                    samples.setdefault(name, []).append(sample)
            if passed - printed >= every_s:
                printed = passed
                _print_rows(passed, rows, traffic)
            await asyncio.sleep(min(5.0, every_s))
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    return _judge(samples, restarts, traffic, began)


async def _ready(process: subprocess.Popen[bytes], data: Path) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StartError(f"`cnctwin up` ended with code {process.returncode} before it was ready; its message is above")
        report = read_report(data)
        if report is not None and report["ready"]:
            return
        await asyncio.sleep(0.2)
    raise StartError(f"`cnctwin up` was not ready after {READY_S:g} s; its logs are in {data / 'logs'}")


def _measure(entry: dict[str, Any], minute: float) -> Sample | None:
    try:
        process = psutil.Process(entry["pid"])
        memory_mb, sockets = process.memory_info().rss / 1e6, len(process.net_connections())
        return Sample(minute, memory_mb, sockets, entry["tasks"] or 0, process.num_threads())
    except (psutil.Error, TypeError, ValueError):
        return None


def _print_rows(passed: float, rows: dict[str, tuple[dict[str, Any], Sample | None]], traffic: Traffic) -> None:
    for name, (entry, s) in rows.items():
        if s is not None:
            counts = f"{s.sockets:8d} {s.tasks:6d} {s.threads:8d} {entry['restarts']:9d}"
            print(f"{passed / 60:6.1f}  {name:<10} {s.memory_mb:9.1f} {counts}", flush=True)
    seen = f"OPC UA batches {traffic.opcua_batches}, WebSocket {traffic.websocket_messages}, MQTT {traffic.mqtt_messages}"
    met = f"NC programs met {len(traffic.programs)}"
    print(f"        clients: {seen}, gaps {len(traffic.gaps)}, breaks {len(traffic.breaks)}, {met}", flush=True)


def _judge(samples: dict[str, list[Sample]], restarts: dict[str, int], traffic: Traffic, began: float) -> int:
    problems = [f"{name} was restarted {count} times" for name, count in restarts.items() if count]
    problems += traffic.breaks
    if traffic.gaps:
        problems.append(f"{len(traffic.gaps)} gaps in the OPC UA data, the first: {traffic.gaps[0]}")
    problems += [
        f"no {what} data arrived"
        for what, count in (
            ("OPC UA", traffic.opcua_batches),
            ("WebSocket", traffic.websocket_messages),
            ("MQTT", traffic.mqtt_messages),
        )
        if not count
    ]
    came_min = [(at - began) / 60 for at in traffic.came]
    last_new_min = max(0.0, (traffic.last_new - began) / 60)
    shown_min = ", ".join(f"{minute:.0f}" for minute in came_min[-12:])
    print(f"\n{len(traffic.programs)} NC programs came at minutes {shown_min}, the last new one at {last_new_min:.0f}")
    for name, series in samples.items():
        grown = growth([(sample.minute, sample.memory_mb) for sample in series], came_min, last_new_min)
        if grown.problem:
            problems.append(f"{name}: {grown.problem}")
        quarter = max(1, len(series) // 4)
        early, late = series[quarter : 2 * quarter] or series, series[-quarter:]
        shown = []
        for what, allowance in (("sockets", COUNT_ALLOWANCE), ("tasks", COUNT_ALLOWANCE)):
            before, after = (statistics.median(getattr(s, what) for s in part) for part in (early, late))
            shown.append(f"{what} {before:.0f} -> {after:.0f}")
            if after - before > allowance:
                problems.append(f"{name}: {what} grew from {before:.1f} to {after:.1f}")
        print(f"{name:<10} {grown}; {', '.join(shown)}")
    for problem in problems:
        print(f"FAIL {problem}")
    print("soak passed: nothing grew, nothing broke" if not problems else "soak failed")
    return 1 if problems else 0


async def _opcua(data: Path, port: int, traffic: Traffic) -> None:
    link = Link(LinkSettings(f"opc.tcp://127.0.0.1:{port}", "soak", data))
    running = asyncio.create_task(link.run())
    try:
        async for batch in link.batches():
            traffic.opcua_batches += 1
            traffic.gaps += [batch.gap] if batch.gap is not None else []
            for item in batch:
                if item.signal == "Channel/ActMainProgramName" and item.value:
                    traffic.came.append(time.monotonic())
                    if (key := (batch.machine_id, str(item.value))) not in traffic.programs:
                        traffic.programs.add(key)
                        traffic.last_new = traffic.came[-1]
            if link.state == "lost":
                traffic.breaks.append("the OPC UA link was lost")
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _websocket(port: int, traffic: Traffic) -> None:
    import websockets

    url = f"ws://127.0.0.1:{port}/api/v1/stream"
    try:
        async with websockets.connect(url, origin=websockets.Origin(f"http://127.0.0.1:{port}")) as socket:
            await socket.send('{"max_hz": 10}')
            async for _message in socket:
                traffic.websocket_messages += 1
    except (OSError, websockets.WebSocketException) as error:
        traffic.breaks.append(f"the WebSocket broke: {error}")
    else:
        traffic.breaks.append("the WebSocket was closed by the server")


async def _mqtt(port: int, traffic: Traffic) -> None:
    import paho.mqtt.client as mqtt
    from paho.mqtt.enums import CallbackAPIVersion

    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id=f"soak-{os.getpid()}")

    def arrived(*_: Any) -> None:
        traffic.mqtt_messages += 1

    def lost(*_: Any) -> None:
        traffic.breaks.append("the MQTT connection was lost")

    client.on_message = arrived
    client.on_disconnect = lost
    client.connect("127.0.0.1", port)
    client.subscribe("#")
    client.loop_start()
    try:
        await asyncio.Event().wait()
    finally:
        client.on_disconnect = None
        client.disconnect()
        client.loop_stop()
