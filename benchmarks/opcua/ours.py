"""Our engine over the benchmark's address space; its variables are rows of columns, and change all at once.

python -m benchmarks.opcua.ours FOLDER VARIABLES PORT
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import numpy as np
from cryptography.hazmat.primitives.serialization import Encoding

from benchmarks.opcua.orders import lines, say
from benchmarks.opcua.space import ADD, BASE, FOLDER, NAMESPACE, SETS, set_node, space, var
from certs.application import ensure_application, load_certificate, load_key
from certs.pki import Trust
from cnctwin.secrets import Role
from cnctwin.wire.scalars import ua
from nodesets.methods import Method
from opcua_server.engine.channel import Own
from opcua_server.engine.contract import Limits
from opcua_server.engine.discovery import Application
from opcua_server.engine.engine import Engine
from opcua_server.engine.subscriptions.columns import Column, Columns
from opcua_server.engine.subscriptions.service import services, ticks_now
from opcua_server.run.schedule import Schedule
from opcua_server.security.rights import Rights
from opcua_server.security.users import Person, Users

BLOCKS: Final = (60, 1_000, 6_000)
"""Where a column ends and the next begins: a tick of 60 variables is one column of 60."""
LIMITS: Final = Limits(connections=2_000, pending_per_address=2_000, sessions=2_000, held_bytes=4 << 30)

__all__ = ["BASE", "bind", "engine_of", "own_certificate", "space"]
"""What tests of the engine take from here, too."""


class Everybody(Users):
    """Whoever comes has the role that the scenario needs; there is no vault."""

    def __init__(self) -> None:
        nobody: Any = None
        super().__init__(nobody, "Engineer")
        self.role: Role = "Engineer"

    def without_login(self, peer: str) -> Person:
        return Person(None, self.role)


class Source:
    """The columns, and the tick they show."""

    def __init__(self, server: Any, columns: Columns, variables: int) -> None:
        self.number = 0
        self.columns: list[Column] = []
        ends = [*(end for end in BLOCKS if end < variables), variables] if variables <= BLOCKS[-1] else [variables]
        start = 0
        for end in ends:
            self.columns.append(bind(server, columns, [var(number) for number in range(start, end)]))
            start = end
        self.write(variables)

    def write(self, count: int) -> None:
        """The next tick of the first ``count`` variables."""
        now, start = ticks_now(), 0
        for column in self.columns:
            if start >= count:
                break
            size = len(column.values)
            column.write(np.arange(start, start + size, dtype=float) + self.number, 0, now, now)
            start += size
        self.number += 1


def bind(server: Any, columns: Columns, node_ids: list[Any]) -> Column:
    """A column of doubles behind nodes of the address space: reads of them see the column."""
    column = columns.add(ua.VariantType.Double, node_ids)
    for row, node_id in enumerate(node_ids):
        held = server.iserver.aspace.get(node_id).attributes[ua.AttributeIds.Value]
        slot = column.slot(row)
        held.value_callback = lambda _node, _attribute, slot=slot: slot.value
    return column


def rights() -> Rights:
    """The method may be called by an Operator, the ``Set`` nodes written as results are."""
    made = Rights()
    made.methods[ua.NodeId(FOLDER, NAMESPACE), ua.NodeId(ADD, NAMESPACE)] = ("bench", Method("Add", "The sum of two numbers."))
    made.results.update((set_node(number), "bench") for number in range(SETS))
    return made


def own_certificate(uri: str = "urn:bench") -> Own:
    """A certificate and key of a server that lives for minutes; policy None carries sessions too."""
    with tempfile.TemporaryDirectory() as folder:
        return _own(Path(folder), uri)


def _own(folder: Path, uri: str) -> Own:
    certificate, key = ensure_application(folder, "bench", uri, ["127.0.0.1"])
    return Own(load_certificate(certificate).public_bytes(Encoding.DER), load_key(key), insecure=True)


def engine_of(server: Any, columns: Columns, port: int, limits: Limits | None = None, **options: Any) -> Engine:
    """An engine on 127.0.0.1 over any server. ``options`` of ``Engine``: by default anonymous sessions that may do nothing."""
    own: Own = options.pop("own", None) or own_certificate()
    application = Application("urn:bench", "urn:bench", "bench", own.certificate, True, True, False)
    nobody: Any = None  # no vault: nobody has a password here
    settings: dict[str, Any] = {"trust": None, "users": Users(nobody, "Admin"), "rights": Rights(), **options}
    return Engine(
        server, host="127.0.0.1", port=port, own=own, application=lambda: application, limits=limits,
        columns=columns, rooms=[services], **settings,
    )  # fmt: skip


def bench_engine(server: Any, columns: Columns, folder: Path, port: int, users: Users) -> Engine:
    """As it is measured: with certificates that are checked, users, and rights."""
    pki = folder / "pki" / "server"
    trust = Trust(pki, first_use=True)
    return engine_of(server, columns, port, LIMITS, own=_own(pki, "urn:bench"), trust=trust, users=users, rights=rights())


async def ticking(source: Source, columns: Columns, count: int, rate_hz: float) -> None:
    """Ticks as the product's machines have them: at a steady rate, shortly before the moments at which the engine samples."""
    columns.ticks.period_s = 1.0 / rate_hz
    schedule = Schedule.before_publishing(columns.ticks.period_s, time.monotonic(), time.time_ns())
    while True:
        await columns.ticks.pause(schedule.wait_s(time.monotonic()))
        schedule.take(time.monotonic(), time.time_ns())
        with columns.ticks.one():
            source.write(count)


async def main(folder: Path, variables: int, port: int) -> None:
    server = await space(variables)
    columns, users = Columns(), Everybody()
    source = Source(server, columns, variables)
    engine = bench_engine(server, columns, folder, port, users)
    await engine.start()
    say(f"ready {engine.port}")
    ticks: asyncio.Task[None] | None = None
    async for order, *words in lines():
        if order == "publish":
            before = time.process_time()
            for _ in range(int(words[1])):
                source.write(int(words[0]))
            say(str(time.process_time() - before))
            continue
        if ticks is not None:
            ticks.cancel()
        if order == "role":
            users.role = "Analytics" if words[0] == "Analytics" else "Engineer"
        elif order == "tick":
            ticks = asyncio.create_task(ticking(source, columns, int(words[0]), float(words[1])))
        say("ok")
    await engine.stop()


if __name__ == "__main__":
    import uvloop

    uvloop.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
