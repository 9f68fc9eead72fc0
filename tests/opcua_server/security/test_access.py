"""Who may do what, through real sockets with asyncua's client."""

from __future__ import annotations

import asyncio
import contextlib
import math
import select
import socket
import struct
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asyncua import Client, Node, ua
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)
from asyncua.ua.uaerrors import (
    BadInvalidState,
    BadMethodInvalid,
    BadNodeIdUnknown,
    BadNotWritable,
    BadOutOfRange,
    BadSecurityPolicyRejected,
    BadServiceUnsupported,
    BadTooManyOperations,
    BadTypeMismatch,
    BadUserAccessDenied,
)

from nodesets.namespaces import URI, instance_uri
from opcua_server.sources.source import CommandRefused
from tests.opcua_server.bench import Bench, machine, running

Modes = ua.MessageSecurityMode
RESULT = "Analytics/AnomalyScore"


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with running(tmp_path_factory.mktemp("friendly")) as served:
        yield served


def run(coroutine: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine(), 60))  # type: ignore[arg-type]


@pytest.mark.parametrize("mode", [Modes.Sign, Modes.SignAndEncrypt], ids=["sign", "encrypt"])
@pytest.mark.parametrize(
    "policy",
    [SecurityPolicyBasic256Sha256, SecurityPolicyAes128Sha256RsaOaep, SecurityPolicyAes256Sha256RsaPss],
    ids=["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"],
)
def test_operator_logs_in_over_every_policy(bench: Bench, policy: Any, mode: Any) -> None:
    async def session() -> Any:
        async with bench.client("operator", policy=policy, mode=mode) as client:
            return await client.nodes.server_state.read_value()

    assert run(session) == ua.ServerState.Running


def test_endpoints_offer_no_unencrypted_one_and_ask_for_encrypted_passwords(bench: Bench) -> None:
    endpoints = run(lambda: Client(bench.settings.endpoint).connect_and_get_server_endpoints())
    assert {(e.SecurityPolicyUri.rpartition("#")[2], e.SecurityMode) for e in endpoints} == {
        (policy, mode)
        for policy in (
            "Basic256Sha256",
            "Aes128_Sha256_RsaOaep",
            "Aes256_Sha256_RsaPss",
            "ECC_nistP256",
            "ECC_nistP384",
            "ECC_nistP256_AesGcm",
            "ECC_nistP256_ChaChaPoly",
        )
        for mode in (Modes.Sign, Modes.SignAndEncrypt)
    }
    for endpoint in endpoints:
        kinds = {token.TokenType: token for token in endpoint.UserIdentityTokens}
        assert set(kinds) == {ua.UserTokenType.Anonymous, ua.UserTokenType.UserName}
        assert kinds[ua.UserTokenType.UserName].SecurityPolicyUri == endpoint.SecurityPolicyUri


def test_policy_none_finds_the_server_and_nothing_else(bench: Bench) -> None:
    async def attempt() -> None:
        servers = await Client(bench.settings.endpoint).connect_and_find_servers()
        assert [server.ApplicationUri.rpartition(":")[2] for server in servers] == ["server"]
        async with bench.client(policy=None):
            pass

    with pytest.raises(BadSecurityPolicyRejected):
        run(attempt)


def test_anonymous_reads_but_neither_calls_nor_writes(bench: Bench) -> None:
    async def session() -> None:
        async with bench.client() as client:
            mill = await machine(client)
            first = await (await mill.signal("Axes/X/ActPos")).read_data_value()
            assert first.StatusCode.is_good()
            with pytest.raises(BadUserAccessDenied):
                await mill.call("Hold")
            with pytest.raises(BadUserAccessDenied):
                await (await mill.own(RESULT)).write_value(0.5)
            with pytest.raises(BadNotWritable):
                await (await mill.signal("Axes/X/ActPos")).write_value(1.0)

    before = len(bench.sources["CNC-001"].calls)
    run(session)
    assert len(bench.sources["CNC-001"].calls) == before


def test_operator_holds_but_does_not_inject_faults_and_engineer_does(bench: Bench) -> None:
    async def session() -> None:
        async with bench.client("operator") as client:
            mill = await machine(client)
            await mill.call("Hold")
            with pytest.raises(BadUserAccessDenied):
                await mill.call("InjectFault", "coolant", 0.5, 10.0)
            with pytest.raises(BadUserAccessDenied):
                await mill.call("LoadProgramText", "x.nc", "M30")
        for user in ("engineer", "admin", "gateway"):
            async with bench.client(user) as client:
                await (await machine(client)).call("InjectFault", "coolant", 0.5, 10.0)
        async with bench.client("analytics") as client:
            with pytest.raises(BadUserAccessDenied):
                await (await machine(client)).call("Hold")

    calls = bench.sources["CNC-001"].calls
    del calls[:]
    run(session)
    assert [name for name, _ in calls] == ["Hold", "InjectFault", "InjectFault", "InjectFault"]


def test_operators_order_jobs_and_others_only_look(bench: Bench) -> None:
    unknown_order = 2

    async def cancel(client: Client) -> int:
        spaces = await client.get_namespace_array()
        own, jobs = spaces.index(instance_uri("CNC-001")), spaces.index(URI["JC"])
        control = client.get_node(f"ns={own};s=CNC-001.MachineryBuildingBlocks.JobManagement.JobOrderControl")
        comment = ua.Variant([], ua.VariantType.LocalizedText, is_array=True)
        return int(await control.call_method(f"{jobs}:Cancel", "A", comment))

    async def session() -> None:
        async with bench.client("operator") as client:
            assert await cancel(client) == unknown_order
        for user in (None, "analytics"):
            async with bench.client(user) as client:
                with pytest.raises(BadUserAccessDenied):
                    await cancel(client)

    run(session)


def test_engineers_change_programs_operators_read_them_and_nobody_else_does(bench: Bench) -> None:
    read, write = ua.Variant(1, ua.VariantType.Byte), ua.Variant(2, ua.VariantType.Byte)

    async def session() -> None:
        async with bench.client("engineer") as client:
            own = (await client.get_namespace_array()).index(instance_uri("CNC-001"))
            folder = client.get_node(f"ns={own};s=CNC-001.FileSystem.WorkMasters")
            node_id, _ = await folder.call_method("0:CreateFile", "rights.nc", False)
            assert await (await client.get_node(node_id).get_child("0:UserWritable")).read_value()
        for user, may_read in (("operator", True), (None, False), ("analytics", False)):
            async with bench.client(user) as client:
                file = client.get_node(node_id)
                assert await (await file.get_child("0:Writable")).read_value()
                assert not await (await file.get_child("0:UserWritable")).read_value()
                if may_read:
                    await file.call_method("0:Open", read)
                else:
                    with pytest.raises(BadUserAccessDenied):
                        await file.call_method("0:Open", read)
                with pytest.raises(BadUserAccessDenied):
                    await file.call_method("0:Open", write)
                for method, arguments in (("CreateFile", ("x.nc", False)), ("Delete", (node_id,)), ("CreateDirectory", ("x",))):
                    with pytest.raises(BadUserAccessDenied):
                        await client.get_node(folder.nodeid).call_method(f"0:{method}", *arguments)
        async with bench.client("engineer") as client:  # what the operator had open went with the session
            await client.get_node(folder.nodeid).call_method("0:Delete", node_id)

    run(session)


def test_engineers_write_what_the_name_plate_leaves_to_the_user(bench: Bench) -> None:
    async def plate(client: Client, name: str) -> Node:
        own = (await client.get_namespace_array()).index(instance_uri("CNC-001"))
        return client.get_node(f"ns={own};s=CNC-001.Identification.{name}")

    async def session() -> None:
        async with bench.client("engineer") as client:
            location = await plate(client, "Location")
            await location.write_value("N 48.1 E 11.5")
            assert await location.read_value() == "N 48.1 E 11.5"
            await (await plate(client, "ComponentName")).write_value(ua.LocalizedText("Mill by the door", "en"))
            with pytest.raises(BadTypeMismatch):
                await location.write_value(7)
            with pytest.raises(BadOutOfRange):
                await location.write_value("x" * 300)
            with pytest.raises(BadNotWritable):
                await (await plate(client, "SerialNumber")).write_value("stolen")
        for user in ("operator", None, "analytics"):
            async with bench.client(user) as client:
                with pytest.raises(BadUserAccessDenied):
                    await (await plate(client, "AssetId")).write_value("mine")

    run(session)


def test_refused_command_says_why(bench: Bench) -> None:
    async def session() -> None:
        async with bench.client("operator") as client:
            mill = await machine(client)
            bench.sources["CNC-001"].refuse = CommandRefused("state", "not now")
            try:
                with pytest.raises(BadInvalidState):
                    await mill.call("Start")
            finally:
                bench.sources["CNC-001"].refuse = None
            with pytest.raises(ua.UaStatusCodeError):
                await mill.call("SetFeedOverride", math.nan)

    run(session)


def test_methods_are_called_on_their_own_object_only(bench: Bench) -> None:
    async def session() -> None:
        async with bench.client("operator") as client:
            mill = await machine(client)
            commands = await mill._at("Commands")
            hold = await mill._at("Commands", "Hold")
            with pytest.raises(BadMethodInvalid):
                await client.nodes.objects.call_method(hold.nodeid)
            with pytest.raises(BadNodeIdUnknown):
                await commands.call_method(ua.NodeId("no such method", commands.nodeid.NamespaceIndex))

    run(session)


def test_analytics_writes_results_with_their_status_and_source_time(bench: Bench) -> None:
    moment = datetime(2026, 5, 4, 3, 2, 1, 500000, tzinfo=UTC)

    async def session() -> Any:
        async with bench.client("analytics") as client, bench.client() as viewer:
            node = await (await machine(client)).own(RESULT)
            uncertain = ua.StatusCode(ua.StatusCodes.UncertainSensorNotAccurate)
            value = ua.DataValue(ua.Variant(0.25, ua.VariantType.Double), uncertain, moment)
            await node.write_attribute(ua.AttributeIds.Value, value)
            shown = await (await machine(viewer)).own(RESULT)
            wanted = ua.ReadParameters(0, ua.TimestampsToReturn.Both, [ua.ReadValueId(shown.nodeid, ua.AttributeIds.Value)])
            (seen,) = await viewer.uaclient.read(wanted)
            return seen

    seen = run(session)
    assert seen.Value.Value == 0.25
    assert seen.StatusCode.value == ua.StatusCodes.UncertainSensorNotAccurate
    assert seen.SourceTimestamp == moment
    assert abs(seen.ServerTimestamp - datetime.now(UTC)) < timedelta(minutes=1)


def test_results_take_no_value_that_does_not_fit(bench: Bench) -> None:
    double = ua.VariantType.Double

    async def session() -> None:
        async with bench.client("analytics") as client:
            mill = await machine(client)
            node = await mill.own(RESULT)
            for bad, error in (
                (ua.Variant([1.0], double), BadTypeMismatch),
                (ua.Variant("1", ua.VariantType.String), BadTypeMismatch),
                (ua.Variant(math.nan, double), BadOutOfRange),
                (ua.Variant(math.inf, double), BadOutOfRange),
            ):
                with pytest.raises(error):
                    await node.write_attribute(ua.AttributeIds.Value, ua.DataValue(bad))
            with pytest.raises(BadNotWritable):
                await node.write_attribute(ua.AttributeIds.DisplayName, ua.DataValue(ua.Variant(ua.LocalizedText("mine"))))
            with pytest.raises(BadNotWritable):
                await (await mill.signal("Spindle/ActSpeed")).write_value(1.0)

    run(session)


def test_nobody_changes_the_address_space(bench: Bench) -> None:
    async def session() -> None:
        async with bench.client("admin") as client:
            with pytest.raises(BadServiceUnsupported):
                await client.nodes.objects.add_object(1, "mine")
            with pytest.raises(BadServiceUnsupported):
                await client.delete_nodes([client.nodes.server])
            reference = ua.AddReferencesItem(client.nodes.objects.nodeid, ua.NodeId(35, 0), True, "", client.nodes.server.nodeid)
            with pytest.raises(BadServiceUnsupported):
                await client.uaclient.add_references([reference])

    run(session)


def test_rights_hold_whatever_form_a_node_id_has(bench: Bench) -> None:
    """Four bytes, seven, or with a namespace URI or a server's index, which a NodeId should not have: it is the same node."""

    def forms(number: int) -> list[ua.NodeId]:
        numeric = ua.NodeIdType.Numeric
        return [
            ua.NodeId(number, 0, ua.NodeIdType.FourByte), ua.NodeId(number, 0, numeric),
            ua.ExpandedNodeId(number, 0, numeric, "urn:x", None), ua.ExpandedNodeId(number, 0, numeric, None, 5),
        ]  # fmt: skip

    async def session() -> None:
        async with bench.client("operator") as client:
            trust_list_size, create_signing_request, configuration = 12643, 12737, 12637
            read = ua.ReadParameters(NodesToRead=[ua.ReadValueId(one, ua.AttributeIds.Value) for one in forms(trust_list_size)])
            assert {one.StatusCode.name for one in await client.uaclient.read(read)} == {"BadUserAccessDenied"}
            for method in forms(create_signing_request):
                calls = [ua.CallMethodRequest(on, method, []) for on in forms(configuration)]
                assert {one.StatusCode.name for one in await client.uaclient.call(calls)} == {"BadUserAccessDenied"}

    run(session)


def test_too_many_operations_are_refused(bench: Bench) -> None:
    async def session() -> None:
        async with bench.client() as client:
            wanted = [ua.ReadValueId(ua.NodeId(2259, 0), ua.AttributeIds.Value)] * 10_001
            with pytest.raises(BadTooManyOperations):
                await client.uaclient.read(ua.ReadParameters(NodesToRead=wanted))

    run(session)


def test_user_access_level_and_executable_say_what_the_role_may(bench: Bench) -> None:
    async def seen(user: str | None) -> tuple[bool, bool, bool]:
        async with bench.client(user) as client:
            mill = await machine(client)
            level = (await (await mill.own(RESULT)).read_attribute(ua.AttributeIds.UserAccessLevel)).Value.Value
            hold = (await (await mill._at("Commands", "Hold")).read_attribute(ua.AttributeIds.UserExecutable)).Value.Value
            fault = (await (await mill._at("Commands", "InjectFault")).read_attribute(ua.AttributeIds.UserExecutable)).Value.Value
            return bool(level & 2), hold, fault

    assert run(lambda: seen(None)) == (False, False, False)
    assert run(lambda: seen("operator")) == (False, True, False)
    assert run(lambda: seen("analytics")) == (True, False, False)
    assert run(lambda: seen("gateway")) == (False, True, True)


def test_connections_without_a_session_are_few_for_each_address(bench: Bench) -> None:
    """The eleventh takes the place of the first, which has said nothing for longest."""
    idle = [socket.create_connection(("127.0.0.1", bench.settings.opcua_port), timeout=10) for _ in range(11)]
    try:
        with contextlib.suppress(ConnectionResetError):
            assert idle[0].recv(1) == b""
        assert select.select(idle[1:], [], [], 0.2)[0] == [], "the others may go on"
    finally:
        for each in idle:
            each.close()

    async def session() -> Any:
        while True:
            try:
                async with bench.client() as client:
                    return await client.nodes.server_state.read_value()
            except (TimeoutError, ua.UaError, ConnectionError):
                await asyncio.sleep(0.05)  # the server has not seen yet that the others are gone

    assert run(session) == ua.ServerState.Running


@pytest.mark.parametrize(
    "frame",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"HELF" + struct.pack("<I", 2**31),
        b"HELF" + struct.pack("<I", 4),
        b"MSGF" + struct.pack("<III", 24, 0, 0) + b"\0" * 8,
        b"OPNF" + struct.pack("<II", 40, 0) + b"\xff" * 28,
    ],
    ids=["http", "huge", "tiny", "message before hello", "broken open"],
)
def test_what_is_no_opc_ua_is_answered_once_and_closed(bench: Bench, frame: bytes) -> None:
    with socket.create_connection(("127.0.0.1", bench.settings.opcua_port), timeout=10) as connection:
        connection.sendall(frame)
        answer = b""
        while chunk := connection.recv(4096):
            answer += chunk
    assert answer[:4] == b"ERRF"
    assert struct.unpack_from("<I", answer, 4)[0] == len(answer)
