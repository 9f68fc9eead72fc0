"""A client that behaves, while others do not: a read every 20 ms, a login now and then.

python -m benchmarks.security.healthy PORT USER PASSWORD FOLDER   then lines on stdin: "start" ... "stop" -> one line of JSON
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from benchmarks.opcua.link import Link, Refused
from benchmarks.opcua.orders import lines, say
from certs.pki import ensure_application
from cnctwin.wire.scalars import ua as wire_ua

EVERY_S = 0.02
LOGIN_EVERY_S = 2.0


class Healthy:
    """``latencies``: of reads, in s. ``logins``: of whole connections with a password, in s; None for one that failed."""

    def __init__(self, port: int, user: str, password: str, folder: Path) -> None:
        self.latencies: list[float] = []
        self.logins: list[float | None] = []
        self.lost = 0
        self._port, self._user, self._password = port, user, password
        self._certificate, self._key = ensure_application(folder, "healthy", "urn:bench:healthy", ["127.0.0.1"])

    async def reads(self) -> None:
        while True:
            try:
                link = await Link().open(self._port)
                asked = wire_ua.ReadRequest()
                asked.Parameters.TimestampsToReturn = wire_ua.TimestampsToReturn.Both
                asked.Parameters.NodesToRead = [wire_ua.ReadValueId(wire_ua.NodeId(2258), wire_ua.UInt32(13))]
                body = link.built(asked)
                due_s = time.perf_counter()
                while True:
                    begun = time.perf_counter()
                    await link.answer(body)
                    self.latencies.append(time.perf_counter() - begun)
                    due_s = max(due_s + EVERY_S, time.perf_counter() - EVERY_S)
                    await asyncio.sleep(max(0.0, due_s - time.perf_counter()))
            except (Refused, OSError, TimeoutError):
                self.lost += 1
                await asyncio.sleep(0.1)

    async def logs_in(self) -> None:
        while True:
            begun = time.perf_counter()
            try:
                client = Client(f"opc.tcp://127.0.0.1:{self._port}", timeout=20)
                client.application_uri = "urn:bench:healthy"
                mode = ua.MessageSecurityMode.SignAndEncrypt
                await client.set_security(SecurityPolicyBasic256Sha256, str(self._certificate), str(self._key), mode=mode)
                client.set_user(self._user)
                client.set_password(self._password)
                async with client:
                    self.logins.append(time.perf_counter() - begun)
            except (ua.UaError, OSError, TimeoutError):
                self.logins.append(None)
            await asyncio.sleep(LOGIN_EVERY_S)

    def taken(self) -> dict[str, Any]:
        """What was measured since the last time."""
        found = sorted(self.latencies)
        logins = [one for one in self.logins if one is not None]
        made = {
            "reads": len(found),
            "p50_ms": 1e3 * found[len(found) // 2] if found else None,
            "p99_ms": 1e3 * found[int(len(found) * 0.99)] if found else None,
            "max_ms": 1e3 * found[-1] if found else None,
            "login_s": max(logins) if logins else None,
            "refused_logins": len(self.logins) - len(logins),
            "lost": self.lost,
        }
        self.latencies, self.logins, self.lost = [], [], 0
        return made


async def main(port: int, user: str, password: str, folder: Path) -> None:
    healthy = Healthy(port, user, password, folder)
    tasks = [asyncio.create_task(healthy.reads()), asyncio.create_task(healthy.logs_in())]
    say("ready")
    async for (order,) in lines():
        say(json.dumps(healthy.taken()))
        if order == "end":
            break
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4])))
