"""Binding to servers that are not ours: other names, other order, only a part, and small limits."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable
from typing import Any

from asyncua import Client, Server, ua

from nodesets import loader
from nodesets.binding import Bound, bind, choose
from nodesets.paths import QName, Step
from nodesets.space_access import References, namespace_array, set_namespace_array
from opcua_server.space.instances import Builder, wanted
from opcua_server.space.types import HAS_COMPONENT, ORGANIZES, TypeSpace

MONITORED = "MT:Monitoring/{MT:ChannelMonitoringType}Kanal_1"
FOREIGN = (
    f"{MONITORED}/MT:FeedOverride",
    "MT:Monitoring/{MT:SpindleMonitoringType}Main/MT:Override",
    "DI:Identification/DI:Model",
    "MT:Monitoring/MT:Stacklight/{IA:StackElementLightType}Light1",
    "MT:Monitoring/MT:Stacklight/{IA:StackElementLightType}Light2",
)


def build_foreign(server: Server, axes: Iterable[str]) -> None:
    """A machine of the official types alone, in a namespace of its own, with axes named as its maker likes."""
    loader.load(server, own=False)
    aspace = server.iserver.aspace
    uris = namespace_array(aspace)
    set_namespace_array(aspace, [*uris, "urn:foreign:machine"])
    types = TypeSpace(aspace)
    abstract = types.type_id("MA:MachineryItemIdentificationType")
    builder = Builder(types, References(aspace), len(uris), {abstract: types.type_id("MA:MachineIdentificationType")})
    ns = builder.namespace
    machine = builder.instance(
        ua.NodeId(1001, types.index["MA"]),
        ORGANIZES,
        ua.QualifiedName("Fraese", ns),
        types.type_id("MT:MachineToolType"),
        wanted(FOREIGN),
    )
    interface = builder.instance(
        machine,
        HAS_COMPONENT,
        ua.QualifiedName("Steuerung", ns),
        types.type_id("CNC:CncInterfaceType"),
        wanted([*(f"CNC:CncAxisList/{{CNC:CncAxisType}}{axis}" for axis in axes), "CNC:CncSpindleList/{CNC:CncSpindleType}Sp"]),
    )
    assert builder.at(interface, "CNC:CncSpindleList")
    for name, colour in (("Light1", 2), ("Light2", 1)):
        light = f"MT:Monitoring/MT:Stacklight/{{IA:StackElementLightType}}{name}"
        builder.set(builder.at(machine, f"{light}/IA:SignalColor"), colour)
    builder.set(builder.at(machine, "DI:Identification/DI:Manufacturer"), ua.LocalizedText("Foreign", "de"))


async def bind_foreign(axes: tuple[str, ...] = ("X1", "Y1", "Z1"), browse_limit: int | None = None) -> tuple[Bound, list[int]]:
    server = Server()
    await server.init()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = f"opc.tcp://127.0.0.1:{probe.getsockname()[1]}"
    server.set_endpoint(url)
    build_foreign(server, axes)
    if browse_limit is not None:
        for name in ("MaxNodesPerBrowse", "MaxNodesPerTranslateBrowsePathsToNodeIds", "MaxNodesPerRead"):
            identifier = getattr(ua.ObjectIds, f"Server_ServerCapabilities_OperationLimits_{name}")
            await server.get_node(ua.NodeId(identifier)).write_value(browse_limit, ua.VariantType.UInt32)
    sizes: list[int] = []
    async with server, Client(url) as client:
        translate, browse = client.uaclient.translate_browsepaths_to_nodeids, client.uaclient.browse

        async def counted_translate(paths: list[Any]) -> Any:
            sizes.append(len(paths))
            return await translate(paths)

        async def counted_browse(parameters: Any) -> Any:
            sizes.append(len(parameters.NodesToBrowse))
            return await browse(parameters)

        client.uaclient.translate_browsepaths_to_nodeids = counted_translate
        client.uaclient.browse = counted_browse
        bound = await bind(client)
    return bound["Fraese"], sizes


def test_a_foreign_machine_binds_with_what_it_has() -> None:
    bound, sizes = asyncio.run(bind_foreign())
    assert bound.manufacturer == "Foreign"
    assert bound.methods == {}
    names = {name: node_id.Identifier for name, node_id in bound.nodes.items()}
    assert names["Channel/FeedOverride"].endswith("Monitoring.Kanal_1.FeedOverride")
    assert names["Spindle/Override"].endswith("CncSpindleList.Sp.ActOverride")
    assert names["Axes/Y/ActPos"].endswith("CncAxisList.Y1.PosDirect.ActPos")
    assert names["Spindle/ActSpeed"].endswith("CncSpindleList.Sp.ActSpeed")
    assert names["Machine/StacklightGreen"].endswith("Light1.SignalOn")
    assert names["Machine/StacklightRed"].endswith("Light2.SignalOn")
    assert "Machine/StacklightYellow" in bound.missing
    assert "Analytics/AnomalyScore" in bound.missing
    assert "Spindle/VibrationVelocity" in bound.missing
    assert "Channel/ActFeedrate" in bound.missing
    assert len(sizes) < 25


def test_named_axes_win_over_their_order() -> None:
    bound, _ = asyncio.run(bind_foreign(("Z", "C", "X")))
    assert bound.nodes["Axes/X/ActPos"].Identifier.endswith("CncAxisList.X.PosDirect.ActPos")
    assert bound.nodes["Axes/Z/ActPos"].Identifier.endswith("CncAxisList.Z.PosDirect.ActPos")
    assert "Axes/Y/ActPos" in bound.missing


def test_batches_respect_the_servers_limits() -> None:
    bound, sizes = asyncio.run(bind_foreign(browse_limit=7))
    assert max(sizes) <= 7
    assert "Axes/Y/ActPos" in bound.nodes


def test_a_server_without_the_models_has_no_machines() -> None:
    async def check() -> None:
        server = Server()
        await server.init()
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            url = f"opc.tcp://127.0.0.1:{probe.getsockname()[1]}"
        server.set_endpoint(url)
        async with server, Client(url) as client:
            assert await bind(client) == {}

    asyncio.run(check())


def test_a_lamp_is_never_bound_by_order() -> None:
    light = QName("IA", "StackElementLightType")
    lamps = [("Lamp1", ua.NodeId(1, 2)), ("Lamp2", ua.NodeId(2, 2))]
    assert choose(Step("Red", type=light), ["Red", "Yellow"], lamps) is None
    assert choose(Step("Red", type=light), ["Red", "Yellow"], [*lamps, ("Red", ua.NodeId(3, 2))]) == ua.NodeId(3, 2)
