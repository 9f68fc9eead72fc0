"""The whole product as a user has it: `cnctwin up` in a process of its own, talked to through sockets only."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from certs.pki import application_uri, ensure_application
from tests.harness import port_base, wait_for

READY_S = 90.0


@dataclass
class Installation:
    """A running `up`. ``logins`` are the passwords it printed on its first start."""

    process: subprocess.Popen[str]
    data: Path
    base: int
    output: Path
    logins: dict[str, str] = field(default_factory=dict)

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.base}"

    @property
    def mqtt_port(self) -> int:
        return self.base + 1

    @property
    def opcua(self) -> str:
        return f"opc.tcp://127.0.0.1:{self.base + 2}"

    def report(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.data / "run" / "state.json").read_text())
        except (OSError, ValueError):
            return {"ready": False, "programs": []}
        return found

    def program(self, name: str) -> dict[str, Any]:
        return next(
            (entry for entry in self.report()["programs"] if entry["name"] == name), {"pid": None, "state": "", "restarts": -1}
        )

    def is_ready(self) -> bool:
        if self.process.poll() is not None:
            pytest.fail(f"`up` ended with code {self.process.returncode}:\n{self.output.read_text()}")
        report = self.report()
        return bool(report["ready"] and all(entry["state"] == "ready" for entry in report["programs"]))

    def wait_ready(self) -> None:
        wait_for(self.is_ready, f"ready; {self.report()}", READY_S)

    def get(self, path: str) -> Any:
        """JSON of a GET, with the API key."""
        request = urllib.request.Request(self.http + path, headers={"x-api-key": self.logins["API key"]})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def post(self, path: str, body: object) -> tuple[int, Any]:
        headers = {"x-api-key": self.logins["API key"], "content-type": "application/json"}
        request = urllib.request.Request(self.http + path, json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def signals(self, machine: str = "CNC-001") -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = self.get(f"/api/v1/machines/{machine}/signals")["signals"]
        return found

    async def client(self, user: str | None = None) -> Client:
        """A plain asyncua client, not connected yet, with encryption and a certificate of its own."""
        uri = application_uri("test")
        certificate, key = ensure_application(self.data / "pki-of-the-test", "test", uri, ["127.0.0.1"])
        client = Client(self.opcua, timeout=10)
        client.application_uri = uri
        if user is not None:
            client.set_user(user)
            client.set_password(self.logins[user])
        mode = ua.MessageSecurityMode.SignAndEncrypt
        await client.set_security(SecurityPolicyBasic256Sha256, str(certificate), str(key), mode=mode)
        return client


Starter = Callable[..., Installation]


def _start(folder: Path, arguments: tuple[str, ...], base: int | None) -> Installation:
    base = base or port_base()
    output = folder / "output.txt"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("CNCTWIN_", "MQTT_"))}
    environment["RATE_LIMIT_PER_MIN"] = "1000000"  # tests poll; the limit has tests of its own
    command = [sys.executable, "-m", "cnctwin", "up", "--port-base", str(base), "--data", str(folder / "data"), *arguments]
    with output.open("w") as file:
        process = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, text=True, env={**environment, "COLUMNS": "200"})
    return Installation(process, folder / "data", base, output)


def _logins(text: str) -> dict[str, str]:
    return dict(re.findall(r"(operator|engineer|admin|API key)\s+(\S{16,})", text))


def _stop(installation: Installation) -> None:
    if installation.process.poll() is None:
        installation.process.send_signal(signal.SIGTERM)
        try:
            installation.process.wait(10)
        except subprocess.TimeoutExpired:
            installation.process.kill()
            installation.process.wait()


@pytest.fixture
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Starter]:
    """Start installations that are ended with the test."""
    started: list[Installation] = []

    def starter(*arguments: str, wait: bool = True, base: int | None = None) -> Installation:
        installation = _start(tmp_path_factory.mktemp("up"), arguments, base)
        started.append(installation)
        if wait:
            installation.wait_ready()
            installation.logins = _logins(installation.output.read_text())
        return installation

    yield starter
    for installation in started:
        _stop(installation)


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    """One installation that tests which only look at it share."""
    installation = _start(tmp_path_factory.mktemp("shared-up"), (), None)
    try:
        installation.wait_ready()
        installation.logins = _logins(installation.output.read_text())
        yield installation
    finally:
        _stop(installation)
