"""Our engine over a bare address space: ``Var0`` ... doubles in one column, changed all at once at a rate.

python -m benchmarks.opcua.ours PORT VARIABLES HZ
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from asyncua.server.server import Server
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

from cnctwin.wire.scalars import ua
from opcua_server.engine.channel import Own
from opcua_server.engine.contract import Limits
from opcua_server.engine.discovery import Application
from opcua_server.engine.engine import Engine
from opcua_server.engine.subscriptions.columns import Columns
from opcua_server.engine.subscriptions.service import room, ticks_now
from opcua_server.security.rights import Rights
from opcua_server.security.users import Users

BASE = 2_000_000


def own_certificate(uri: str = "urn:bench") -> Own:
    """Self-signed, for an hour; policy None carries sessions."""
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "bench")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
        .sign(key, SHA256())
    )
    return Own(made.public_bytes(Encoding.DER), key, insecure=True)


async def space(variables: int) -> Server:
    """An asyncua server, not started, with an object that holds the variables."""
    server = Server()
    await server.init()
    folder = await server.nodes.objects.add_object(ua.NodeId(BASE - 1, 2), ua.QualifiedName("Bench", 2))
    for number in range(variables):
        await folder.add_variable(ua.NodeId(BASE + number, 2), ua.QualifiedName(f"Var{number}", 2), 0.0, ua.VariantType.Double)
    for number in range(2):
        node = await folder.add_variable(ua.NodeId(BASE - 10 - number, 2), ua.QualifiedName(f"Set{number}", 2), 0.0)
        await node.set_writable()
    await folder.add_method(ua.NodeId(BASE - 2, 2), ua.QualifiedName("Do", 2), _do, [], [])
    return server


async def _do(_parent: Any) -> list[Any]:
    return []


def engine_of(server: Server, columns: Columns, port: int, limits: Limits | None = None) -> Engine:
    own = own_certificate()
    application = Application("urn:bench", "urn:bench", "bench", own.certificate, True, True, False)
    nobody: Any = None  # no vault: nobody has a password here
    users = Users(nobody, "Admin")
    trust: Any = None
    return Engine(
        server, host="127.0.0.1", port=port, own=own, application=lambda: application, trust=trust, users=users,
        rights=Rights(), limits=limits, rooms=[room(columns)],
    )  # fmt: skip


def bind(server: Server, columns: Columns, node_ids: list[Any]) -> Any:
    """A column of doubles behind nodes of the address space: reads of them see the column."""
    column = columns.add(ua.VariantType.Double, node_ids)
    for row, node_id in enumerate(node_ids):
        space: Any = server.iserver.aspace
        held = space.get(node_id).attributes[ua.AttributeIds.Value]
        slot = column.slot(row)
        held.value_callback = lambda _node, _attribute, slot=slot: slot.value
    return column


async def main(port: int, variables: int, rate_hz: float) -> None:
    server = await space(variables)
    columns = Columns()
    column = bind(server, columns, [ua.NodeId(BASE + number, 2) for number in range(variables)])
    limits = Limits(connections=2_000, pending_per_address=2_000, sessions=2_000)
    engine = engine_of(server, columns, port, limits)
    await engine.start()
    os.write(1, f"ready {engine.port}\n".encode())
    values = np.arange(variables, dtype=float)
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        if rate_hz:
            values += 1.0
            now = ticks_now()
            column.write(values, 0, now, now)
        due += 1.0 / rate_hz if rate_hz else 1.0
        await asyncio.sleep(max(0.0, due - loop.time()))


if __name__ == "__main__":
    import uvloop

    started = time.time()
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))
