"""What the runner tells a server or client that it started, line by line through its standard input and output.

server:  ready PORT | tick COUNT HZ -> ok | still -> ok | role NAME -> ok | publish COUNT TICKS -> seconds of CPU
client:  set | start -> started | stop -> one line of JSON
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


async def lines() -> AsyncIterator[list[str]]:
    """Words of each line that comes in, until the runner is gone."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        yield line.decode().split()
