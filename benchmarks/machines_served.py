"""What many machines in one server cost: ``python benchmarks/machines_served.py [--machines 50] [--beside CHECKOUT]``.

The product's server as it is, with history and alarms at 10 Hz, and nobody connected: CPU seconds of all its threads for each
second that passes. With ``--beside`` the server of another checkout runs at the same time, so that what slows the computer slows
both.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from benchmarks.opcua.servers import Failed, free_port
from benchmarks.startup import wait_ready
from cnctwin.program import STATUS_FD

_CLONE: Final = Path(__file__).resolve().parents[1]
TICKS_PER_S: Final = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=10.0, help="Of each round.")
    parser.add_argument("--settle", type=float, default=60.0, help="Seconds after both are ready, until the first round.")
    parser.add_argument("--beside", type=Path, help="Another checkout, whose server runs at the same time.")
    given = parser.parse_args()
    checkouts = [_CLONE] if given.beside is None else [given.beside.resolve(), _CLONE]
    with contextlib.ExitStack() as stack:
        try:
            servers = [stack.enter_context(served(checkout, given.machines)) for checkout in checkouts]
        except Failed as problem:
            sys.exit(f"machines_served: {problem}")
        print(f"{given.machines} machines are served; {given.settle:.0f} s until the first round", flush=True)
        time.sleep(given.settle)
        shares: list[list[float]] = [[] for _ in servers]
        for number in range(1, given.rounds + 1):
            begun_s, before = time.monotonic(), [cpu_s(server) for server in servers]
            time.sleep(given.seconds)
            passed_s = time.monotonic() - begun_s
            for share, server, spent_s in zip(shares, servers, before, strict=True):
                share.append((cpu_s(server) - spent_s) / passed_s)
            print(f"round {number}: " + ", ".join(f"{share[-1]:.3f}" for share in shares), flush=True)
    for checkout, share in zip(checkouts, shares, strict=True):
        each_us = statistics.median(share) / given.machines / TICKS_PER_S * 1e6
        print(f"{checkout.name}: {statistics.median(share):.3f} CPU s per second, {each_us:.0f} us for a tick of a machine")
    if len(shares) > 1:
        print(f"the second of the first: {statistics.median(b / a for a, b in zip(*shares, strict=True)):.2f}")
    print(f"load {os.getloadavg()[0]:.1f}")


@contextlib.contextmanager
def served(checkout: Path, machines: int) -> Iterator[psutil.Process]:
    """The server of a checkout, with data of its own, when it is ready. Raises Failed."""
    with tempfile.TemporaryDirectory(prefix="cnctwin-served-") as data:
        command = [sys.executable, "-m", "cnctwin", "server", "--data", data, "--machines", str(machines)]
        command += ["--opcua-port", str(free_port())]
        hears, says = os.pipe()
        path = os.pathsep.join([str(checkout / "src"), str(checkout)])
        server = subprocess.Popen(
            command, cwd=checkout, env={**os.environ, STATUS_FD: str(says), "PYTHONPATH": path}, pass_fds=(says,),
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(says)
        try:
            wait_ready(hears)
            yield psutil.Process(server.pid)
        finally:
            os.close(hears)
            server.terminate()
            server.communicate()


def cpu_s(server: psutil.Process) -> float:
    times = server.cpu_times()
    return times.user + times.system


if __name__ == "__main__":
    main()
