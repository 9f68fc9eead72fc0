"""A small OPC UA server to link to: run as a program of its own, so that a test can kill it.

    python small_server.py PORT FOLDER [--shift N] [--none] [--machines M1,M2] [--encrypted] [--password P]

It prints "ready" once it listens, and obeys lines on standard input: ``set <machine> <signal> <number> [<status>]``,
``event <machine> <text>``, ``add <machine>``, ``remove <machine> <signal>``, ``make <machine> <signal>``,
``historize <machine> <signal>``, ``changed``,
``hang <seconds>`` (answers nobody, as a stopped process does), ``end``.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from asyncua import Server, ua
from asyncua.crypto.permission_rules import User, UserRole
from asyncua.server.user_managers import UserManager

SIGNALS = {
    "Spindle/ActSpeed": 1000.0,
    "Spindle/Temperature": 30.0,
    "Tool/Number": 3,
    "Channel/ActProgramName": "O1",
    "Tool/InCut": True,
}
KINDS = {"Tool/Number": ua.VariantType.UInt32}
RESULTS = {"Analytics/AnomalyScore": 0.0, "Analytics/Explanation": ""}


class Named(UserManager):
    def __init__(self, password: str) -> None:
        self.password = password

    def get_user(self, iserver, username=None, password=None, certificate=None):  # type: ignore[no-untyped-def]
        return User(role=UserRole.User, name=username) if password == self.password else None


async def add_machine(server: Server, folder, index: int, name: str, nodes: dict) -> None:  # type: ignore[no-untyped-def]
    machine = await folder.add_object(ua.NodeId(name, index), ua.QualifiedName(name, index))
    now = datetime.now(UTC)
    for signal, value in {**SIGNALS, **RESULTS}.items():
        variant = ua.Variant(value, KINDS.get(signal)) if signal in KINDS else ua.Variant(value)
        node = await machine.add_variable(ua.NodeId(f"{name}.{signal}", index), ua.QualifiedName(signal, index), variant)
        await node.write_value(ua.DataValue(Value=variant, SourceTimestamp=now, ServerTimestamp=now))
        if signal in RESULTS:
            await node.set_writable()
        nodes[name, signal] = (node, variant.VariantType)

    @server_method
    async def set_speed(parent: ua.NodeId, percent: float) -> None:
        if percent < 0:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadInvalidState)
        if percent > 150:
            raise ua.UaStatusCodeError(ua.StatusCodes.BadOutOfRange)
        node, kind = nodes[name, "Spindle/ActSpeed"]
        await node.write_value(ua.DataValue(Value=ua.Variant(percent, kind), SourceTimestamp=datetime.now(UTC)))

    await machine.add_method(
        ua.NodeId(f"{name}.set", index), ua.QualifiedName("SetFeedOverride", index), set_speed, [ua.VariantType.Double], []
    )


def server_method(function):  # type: ignore[no-untyped-def]
    async def call(parent, percent):  # type: ignore[no-untyped-def]
        try:
            await function(parent, percent.Value)
        except ua.UaStatusCodeError as error:
            return ua.CallMethodResult(StatusCode=ua.StatusCode(error.code))
        return []

    return call


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--shift", type=int, default=0)
    parser.add_argument("--machines", default="M1")
    parser.add_argument("--encrypted", action="store_true")
    parser.add_argument("--password")
    parser.add_argument("--tick", type=float, default=0.0)
    given = parser.parse_args()
    server = Server(user_manager=Named(given.password) if given.password else None)
    await server.init()
    server.set_endpoint(f"opc.tcp://127.0.0.1:{given.port}")
    if given.encrypted:
        from certs.pki import application_uri, ensure_application

        uri = application_uri("server")
        await server.set_application_uri(uri)
        certificate, key = ensure_application(given.folder, "server", uri, ("127.0.0.1",))
        await server.load_certificate(str(certificate))
        await server.load_private_key(str(key))
        server.set_security_policy([ua.SecurityPolicyType.Basic256Sha256_SignAndEncrypt])
    else:
        server.set_security_policy([ua.SecurityPolicyType.NoSecurity])
    for number in range(given.shift):
        await server.register_namespace(f"urn:other:{number}")
    index = await server.register_namespace("urn:small")
    folder = await server.nodes.objects.add_object(ua.NodeId("Machines", index), ua.QualifiedName("Machines", index))
    nodes: dict = {}
    for name in given.machines.split(","):
        await add_machine(server, folder, index, name, nodes)
    alarms = await server.get_event_generator()
    async with server:
        print("ready", flush=True)
        ticking = asyncio.create_task(tick(nodes, given.tick)) if given.tick else None
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := (await reader.readline()).decode().split():
            match line:
                case ["set", name, signal, number, *status]:
                    node, kind = nodes[name, signal]
                    value = ua.DataValue(
                        Value=ua.Variant(float(number), kind),
                        StatusCode=ua.StatusCode(int(status[0], 0)) if status else ua.StatusCode(),
                        SourceTimestamp=datetime.now(UTC),
                        ServerTimestamp=datetime.now(UTC),
                    )
                    await node.write_value(value)
                case ["event", name, text]:
                    alarms.event.SourceName = name
                    alarms.event.SourceNode = ua.NodeId(name, index)
                    alarms.event.Severity = 700
                    await alarms.trigger(message=text)
                case ["historize", name, signal]:
                    await server.historize_node_data_change(nodes[name, signal][0])
                case ["remove", name, signal]:
                    await server.delete_nodes([nodes[name, signal][0]])
                case ["make", name, signal]:
                    parent, node_id = server.get_node(ua.NodeId(name, index)), ua.NodeId(f"{name}.{signal}", index)
                    made = await parent.add_variable(node_id, ua.QualifiedName(signal, index), 44.0)
                    nodes[name, signal] = (made, ua.VariantType.Double)
                case ["add", name]:
                    await add_machine(server, folder, index, name, nodes)
                case ["changed"]:
                    await (await server.get_event_generator(ua.ObjectIds.GeneralModelChangeEventType)).trigger()
                case ["hang", seconds]:
                    time.sleep(float(seconds))  # noqa: ASYNC251 - the point: the whole process stands still
                case ["end"]:
                    break
        if ticking:
            ticking.cancel()


async def tick(nodes: dict, period: float) -> None:
    """Count up, so that a reader can see a missing number."""
    number = 0
    while True:
        number += 1
        now = datetime.now(UTC)
        for (_, signal), (node, kind) in nodes.items():
            if signal == "Spindle/ActSpeed":
                await node.write_value(
                    ua.DataValue(Value=ua.Variant(float(number), kind), SourceTimestamp=now, ServerTimestamp=now)
                )
        await asyncio.sleep(period)


if __name__ == "__main__":
    logging.getLogger("asyncua").setLevel(logging.CRITICAL)
    asyncio.run(main())
