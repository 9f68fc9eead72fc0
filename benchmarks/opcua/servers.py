"""The servers that are compared, each a process of its own, and the clients that load them; all on 127.0.0.1."""

from __future__ import annotations

import json
import os
import selectors
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

import psutil

from benchmarks.opcua.space import NAMESPACE

OURS: Final = "cnctwin"
PEERS: Final = ("asyncua", "node-opcua")
NODE_OPCUA: Final = "node-opcua@2.186.4"
"""The version that is compared; installed without scripts."""
_HERE: Final = Path(__file__).parent
_CLONE: Final = _HERE.parents[1]
WAIT_S: Final = 120.0
"""For any answer of a server or client; what takes longer has failed."""


class Failed(Exception):
    """A server or client did not do its part; the text says which and why, in a few words."""


def node_modules(folder: Path) -> Path:
    """Where node-opcua is installed, which is done on first use. Raises Failed: no npm, or it could not."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise Failed("there is no node and npm here")
    made = folder / NODE_OPCUA.replace("@", "-")
    modules = made / "node_modules"
    if not (made / "installed").exists():
        made.mkdir(parents=True, exist_ok=True)
        command = [npm, "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", NODE_OPCUA]
        try:
            done = subprocess.run(command, cwd=made, capture_output=True, text=True, timeout=600)
        except subprocess.TimeoutExpired:
            raise Failed(f"npm did not install {NODE_OPCUA} in 600 s") from None
        if done.returncode:
            raise Failed(f"npm cannot install {NODE_OPCUA}: {done.stderr.strip()[-120:]}")
        (made / "installed").touch()
    return modules


class Program:
    """A process that takes orders (``orders.py``). Raises Failed when it does not start with ``first``."""

    def __init__(self, command: list[str], first: str, environment: dict[str, str] | None = None) -> None:
        self._name = command[-6] if "benchmarks.opcua.client" in command else Path(command[-4]).name
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, **(environment or {})}, cwd=_CLONE, bufsize=0,
        )  # fmt: skip
        self._buffer = b""
        self.process = psutil.Process(self._process.pid)
        try:
            self.first = self.heard()
            while not self.first.startswith(first):
                self.first = self.heard()
        except BaseException:
            self.end()
            raise

    def heard(self) -> str:
        """The next line of its output."""
        until_s = time.monotonic() + WAIT_S
        output = self._process.stdout
        if output is None:
            raise Failed("has no output")
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                if not selector.select(max(0.0, until_s - time.monotonic())):
                    raise Failed(f"{self._name} says nothing for {WAIT_S:.0f} s")
                data = os.read(output.fileno(), 1 << 16)
                if not data:
                    raise Failed(self._last_words())
                self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line.decode(errors="replace")

    def tell(self, order: str) -> None:
        if self._process.stdin is not None:
            try:
                self._process.stdin.write(order.encode() + b"\n")
            except BrokenPipeError:
                raise Failed(self._last_words()) from None

    def ask(self, order: str) -> str:
        self.tell(order)
        return self.heard()

    def _last_words(self) -> str:
        self._process.kill()
        _, errors = self._process.communicate()
        lines = errors.decode(errors="replace").strip().splitlines()
        return f"{self._name}: {lines[-1][-100:] if lines else 'ended'}"

    @property
    def cpu_s(self) -> float:
        """CPU time of all its threads: in ns where Linux tells it, else in ticks of 10 ms."""
        try:
            tasks = Path(f"/proc/{self._process.pid}/task")
            return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir()) / 1e9
        except (OSError, ValueError, IndexError):
            times = self.process.cpu_times()
            return float(times.user + times.system)

    @property
    def memory_bytes(self) -> int:
        return int(self.process.memory_info().rss)

    def end(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


class Server(Program):
    """One of the servers with a number of variables. ``start_s``, ``start_cpu_s``: until it was ready."""

    def __init__(self, kind: str, folder: Path, variables: int, modules: Path | None) -> None:
        self.kind = kind
        self.port = free_port()
        self.namespace = 1 if kind == "node-opcua" else NAMESPACE
        arguments = [str(folder), str(variables), str(self.port)]
        began_s = time.perf_counter()
        if kind == "node-opcua":
            super().__init__(["node", str(_HERE / "peer.js"), *arguments], "ready", {"NODE_PATH": str(modules)})
        else:
            module = {OURS: "ours", "echo": "echo"}.get(kind, "plain")
            super().__init__([sys.executable, "-m", f"benchmarks.opcua.{module}", *arguments], "ready")
        self.start_s, self.start_cpu_s = time.perf_counter() - began_s, self.cpu_s


class Client(Program):
    """A client that is connected, and subscribed where that is its part. ``report`` is what it says at the end."""

    def __init__(self, action: str, server: Server, sessions: int, items: int, folder: Path | None) -> None:
        arguments = [action, str(server.port), str(server.namespace), str(sessions), str(items), str(folder or "-")]
        super().__init__([sys.executable, "-m", "benchmarks.opcua.client", *arguments], "set")

    def report(self) -> dict[str, float]:
        found: dict[str, float] = json.loads(self.heard())
        return found


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
