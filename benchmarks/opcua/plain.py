"""Plain asyncua with the same variables. python -m benchmarks.opcua.plain PORT VARIABLES HZ"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from datetime import UTC, datetime

from benchmarks.opcua.ours import BASE, space
from cnctwin.wire.scalars import ua


async def main(port: int, variables: int, rate_hz: float) -> None:
    logging.disable(logging.CRITICAL)
    server = await space(variables)
    server.set_endpoint(f"opc.tcp://127.0.0.1:{port}")
    server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    async with server:
        os.write(1, f"ready {port}\n".encode())
        loop = asyncio.get_running_loop()
        due = loop.time()
        value = 0.0
        nodes = [ua.NodeId(BASE + number, 2) for number in range(variables)]
        while True:
            if rate_hz:
                value += 1.0
                now = datetime.now(UTC)
                shown = ua.DataValue(ua.Variant(value, ua.VariantType.Double), ua.StatusCode(0), now, now)
                for node in nodes:
                    await server.write_attribute_value(node, shown)
            due += 1.0 / rate_hz if rate_hz else 1.0
            await asyncio.sleep(max(0.0, due - loop.time()))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
