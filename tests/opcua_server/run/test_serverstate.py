"""ServiceLevel follows the machines, and a client hears of the end before the connection closes."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from asyncua import Node, ua

from opcua_server.run import serverstate
from tests.opcua_server.jobs.plant import Plant, plant

O = ua.ObjectIds  # noqa: E741 - as asyncua's own examples call it


class Heard:
    def __init__(self) -> None:
        self.values: dict[int, list[Any]] = {}

    def datachange_notification(self, node: Node, value: Any, _data: Any) -> None:
        self.values.setdefault(int(node.nodeid.Identifier), []).append(value)


async def story(p: Plant) -> None:
    heard = Heard()
    subscription = await p.client.create_subscription(20, heard)
    level, state, back = O.Server_ServiceLevel, O.Server_ServerStatus_State, O.Server_EstimatedReturnTime
    await subscription.subscribe_data_change([p.client.get_node(ua.NodeId(number, 0)) for number in (level, state, back)])
    shown = []
    for in_service in ([True, True], [True, False], [False, False], [True, True]):
        serverstate.show_service_level(p.server, in_service)
        shown.append(await p.client.get_node(ua.NodeId(level, 0)).read_value())
    assert shown == [255, 100, 1, 255]
    await serverstate.announce_end(p.server)
    while heard.values.get(level, [None])[-1] != 0 or heard.values[state][-1] != ua.ServerState.Shutdown:
        await asyncio.sleep(0.02)
    assert heard.values[back][-1].replace(tzinfo=UTC) > datetime.now(UTC)
    status = await p.client.get_node(ua.NodeId(O.Server_ServerStatus, 0)).read_value()
    assert (status.State, bool(status.ShutdownReason.Text)) == (ua.ServerState.Shutdown, True)


def test_clients_hear_of_the_end_and_of_machines_out_of_service(tmp_path: Path) -> None:
    async def tell() -> None:
        async with plant(tmp_path) as p:
            await story(p)

    asyncio.run(tell())
