"""Plain asyncua with the same variables. python -m benchmarks.opcua.plain FOLDER VARIABLES PORT"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.opcua.orders import lines, say
from benchmarks.opcua.space import space, var
from certs.application import ensure_application
from cnctwin.wire.scalars import ua


class Source:
    """``number`` is the tick that the variables show next."""

    def __init__(self, server: Any) -> None:
        self.number = 1
        self._server = server

    async def write(self, count: int) -> None:
        now = datetime.now(UTC)
        for number in range(count):
            value = ua.Variant(float(number + self.number), ua.VariantType.Double)
            await self._server.write_attribute_value(var(number), ua.DataValue(value, ua.StatusCode(0), now, now))
        self.number += 1

    async def ticking(self, count: int, rate_hz: float) -> None:
        due_s = time.monotonic()
        while True:
            await self.write(count)
            due_s = max(due_s + 1.0 / rate_hz, time.monotonic())
            await asyncio.sleep(due_s - time.monotonic())


async def main(folder: Path, variables: int, port: int) -> None:
    logging.disable(logging.CRITICAL)
    certificate, key = ensure_application(folder / "pki" / "server", "bench", "urn:bench:server", ["127.0.0.1"])
    server = await space(variables)
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    await server.set_application_uri("urn:bench:server")
    await server.load_certificate(str(certificate))
    await server.load_private_key(str(key))
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity, ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    async with server:
        say(f"ready {port}")
        source = Source(server)
        ticks: asyncio.Task[None] | None = None
        async for order, *words in lines():
            if order == "publish":
                before = time.process_time()
                for _ in range(int(words[1])):
                    await source.write(int(words[0]))
                say(str(time.process_time() - before))
                continue
            if ticks is not None:
                ticks.cancel()
            if order == "tick":
                ticks = asyncio.create_task(source.ticking(int(words[0]), float(words[1])))
            say("ok")


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
