"""A client process: does one scenario's part when it is told to, and reports.

python -m benchmarks.opcua.client ACTION PORT NAMESPACE SESSIONS ITEMS FOLDER    (FOLDER: the client's keys, or - for policy None)
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any, Final

from benchmarks.opcua.asking import Browsing, Calling, Connecting, Holding, Reading, Together, Writing
from benchmarks.opcua.echo import Echoing
from benchmarks.opcua.link import Identity, server_certificate
from benchmarks.opcua.listening import Listening
from benchmarks.opcua.orders import lines, say

ASKING: Final[dict[str, Any]] = {
    "read": Reading, "write": Writing, "browse": Browsing, "call": Calling, "connect": Connecting,
    "echo": Echoing,
}  # fmt: skip
LISTENING: Final[dict[str, Any]] = {"subscribe": Listening, "hold": Holding}


async def main(action: str, port: int, namespace: int, sessions: int, items: int, folder: str) -> None:
    identity = None if folder == "-" else Identity.of(Path(folder), await server_certificate(port))
    part: Any
    if action in LISTENING:
        part = LISTENING[action](port, identity, namespace, sessions, items)
    else:
        parts = [ASKING[action](port, identity, namespace, items) for _ in range(sessions)]
        part = parts[0] if sessions == 1 else Together(parts)
    await part.prepare()
    say("set")
    cpu = 0.0
    async for (order,) in lines():
        if order == "start":
            cpu = time.process_time()
            await part.start()
            say("started")
        else:
            found = await part.stop()
            say(json.dumps({**found, "client_cpu": time.process_time() - cpu}))
            return


if __name__ == "__main__":
    import uvloop

    action, port, namespace, sessions, items, folder = sys.argv[1:7]
    uvloop.run(main(action, int(port), int(namespace), int(sessions), int(items), folder))
