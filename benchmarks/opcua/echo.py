"""A server that does nothing but send back what it gets: what it takes is the system's part of each answer, and no server is below.

python -m benchmarks.opcua.echo FOLDER VARIABLES PORT    (as the servers that are compared; only PORT is used)
"""

from __future__ import annotations

import asyncio
import sys
import time
from typing import Any, Final

from benchmarks.opcua.orders import lines, say

MESSAGE: Final = bytes(110)
"""As long as a Read of one value."""


class Echo(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


class Echoing(asyncio.Protocol):
    """Its client: sends a message again as soon as it has come back."""

    def __init__(self, port: int, _identity: Any, _namespace: int, _items: int) -> None:
        self._port = port
        self._count = 0
        self._seconds = 0.0
        self._stopped: asyncio.Future[None] | None = None

    async def prepare(self) -> None:
        self._transport, _ = await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", self._port)

    async def start(self) -> None:
        self._seconds = time.perf_counter()
        self._transport.write(MESSAGE)

    def data_received(self, _data: bytes) -> None:
        self._count += 1
        if self._stopped is None:
            self._transport.write(MESSAGE)
        else:
            self._stopped.set_result(None)

    async def stop(self) -> dict[str, float]:
        self._stopped = asyncio.get_running_loop().create_future()
        await asyncio.wait_for(self._stopped, 60)
        self._transport.close()
        return {"operations": self._count, "seconds": time.perf_counter() - self._seconds}


async def main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Echo, "127.0.0.1", port)
    async with server:
        say(f"ready {port}")
        async for _ in lines():
            say("ok")


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(int(sys.argv[3])))
