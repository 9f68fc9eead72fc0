"""A gateway that runs in a thread of its own, with a link that a test plays, and an HTTP client that knows its keys."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
import time
import uuid
from collections.abc import Callable, Coroutine, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
from fake_link import FakeLink

from cnctwin.program import Status
from cnctwin.secrets import FirstSecrets, Vault
from cnctwin.settings import Settings
from gateway.api import server
from gateway.program import run

T = TypeVar("T")
SETTINGS_KEY = "key-of-old"


def data_of(response: httpx.Response) -> Any:
    """What an answer of the first surface brings, in its envelope."""
    assert response.status_code == 200, response.text
    body = response.json()
    assert set(body) == {"status", "data", "metadata"}
    assert body["status"] == "success"
    uuid.UUID(body["metadata"]["request_id"])
    assert datetime.fromisoformat(body["metadata"]["timestamp"]).tzinfo is not None
    return body["data"]


def until(condition: Callable[[], T], timeout_s: float = 60.0) -> T:
    """The first true answer of ``condition``; fails when there is none in time."""
    deadline = time.monotonic() + timeout_s
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"not in {timeout_s} s: {condition}"
        time.sleep(0.01)
    return answer


class Gate:
    def __init__(self, settings: Settings, link: FakeLink) -> None:
        self.settings = settings
        self.link = link
        self.status = Status("gateway")
        self.secrets: FirstSecrets | None = Vault(settings.data).ensure()
        self.listener = server.bind("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        self.base = f"{settings.http_scheme}://127.0.0.1:{self.port}"
        # Under TLS the authority lies beside the certificate.
        known = settings.http_cert_path
        trust = True if known is None else ssl.create_default_context(cafile=str(known.with_name("ca.pem")))
        self.loop = asyncio.new_event_loop()
        self.task: asyncio.Task[None] | None = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, name="gate")
        self.http = httpx.Client(base_url=self.base, headers={"x-api-key": SETTINGS_KEY}, timeout=10.0, verify=trust)
        self.bare = httpx.Client(base_url=self.base, timeout=10.0, verify=trust)

    @property
    def password(self) -> dict[str, str]:
        assert self.secrets is not None
        return {login.user: login.password for login in self.secrets.logins}

    def metric(self, name: str) -> float:
        """What /metrics says of a series; ``name`` with its labels."""
        (line,) = [line for line in self.http.get("/metrics").text.splitlines() if line.startswith(f"{name} ")]
        return float(line.rpartition(" ")[2])

    def dropped(self, reason: str, sink: str) -> float:
        """Messages of MQTT that were dropped."""
        return self.metric(f'cnctwin_mqtt_dropped_total{{reason="{reason}",sink="{sink}"}}')

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.task = self.loop.create_task(run(self.settings, self.status, self.link, self.listener))
        with contextlib.suppress(asyncio.CancelledError):
            try:
                self.loop.run_until_complete(self.task)
            except BaseExceptionGroup as error:
                self.error = error
        self.loop.run_until_complete(self.loop.shutdown_default_executor())
        self.loop.close()

    def start(self) -> Gate:
        self.thread.start()
        until(self._answers)
        return self

    def _answers(self) -> bool:
        assert self.thread.is_alive(), self.error
        try:
            return self.bare.get("/health").status_code == 200
        except httpx.HTTPError:
            return False

    def stop(self) -> float:
        """End it; the seconds it took."""
        began = time.monotonic()
        self.http.close()
        self.bare.close()
        if self.thread.is_alive() and self.task is not None:
            self.loop.call_soon_threadsafe(self.task.cancel)
            self.thread.join(10)
        assert not self.thread.is_alive()
        if self.error is not None:
            raise self.error
        return time.monotonic() - began

    def do(self, work: Callable[[], Any]) -> Any:
        """Run ``work`` in the gateway's loop."""

        async def call() -> Any:
            return work()

        return self.wait(call())

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(10)

    def play(self, values: dict[str, Any], machine_id: str = "CNC-001", time_ns: int | None = None) -> None:
        """Hand a batch to the gateway."""
        self.do(lambda: self.link.play(machine_id, values, time_ns))


@contextlib.contextmanager
def opened(data: Path, link: FakeLink | None = None, **settings: Any) -> Iterator[Gate]:
    """A running gateway; without a broker unless ``mqtt_port`` is given."""
    given = {"api_keys": (SETTINGS_KEY,), "rate_limit_per_min": 100_000, "mqtt_port": 1, "data": data, **settings}
    gate = Gate(Settings(**given), link or FakeLink(period_s=None)).start()
    try:
        yield gate
    finally:
        gate.stop()
