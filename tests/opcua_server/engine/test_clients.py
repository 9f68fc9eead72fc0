"""asyncua's client against our front: every policy and mode, and the services one by one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import (
    SecurityPolicyAes128Sha256RsaOaep,
    SecurityPolicyAes256Sha256RsaPss,
    SecurityPolicyBasic256Sha256,
)

from opcua_server.engine.engine import Engine
from tests.opcua_server.bench import Bench, machine
from tests.opcua_server.engine.bench import running

POLICIES = [SecurityPolicyBasic256Sha256, SecurityPolicyAes128Sha256RsaOaep, SecurityPolicyAes256Sha256RsaPss]
MODES = [ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt]
SERVER_STATUS = ua.NodeId(2256)
CURRENT_TIME = ua.NodeId(2258)
NAMESPACES = ua.NodeId(2255)


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    with running(tmp_path_factory.mktemp("engine"), engines) as made:
        yield made


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("user", [None, "operator"])
def test_a_client_opens_reads_browses_and_calls_with_every_policy_and_mode(bench: Bench, policy: Any, mode: Any, user: Any) -> None:
    async def run() -> None:
        async with bench.client(user, policy=policy, mode=mode) as client:
            assert isinstance(await client.get_node(CURRENT_TIME).read_value(), datetime)
            assert len(await client.nodes.objects.get_children()) > 2
            mill = await machine(client)
            if user is None:
                with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                    await mill.call("Hold")
            else:
                await mill.call("Hold")
            await client.open_secure_channel(renew=True)
            assert isinstance(await client.get_node(CURRENT_TIME).read_value(), datetime)

    asyncio.run(run())


def test_without_security_only_discovery_is_answered(bench: Bench) -> None:
    async def run() -> None:
        client = Client(bench.settings.endpoint)
        endpoints = await client.connect_and_get_server_endpoints()
        assert len(endpoints) == 14
        assert all(one.SecurityMode != ua.MessageSecurityMode.None_ for one in endpoints)
        assert len(await client.connect_and_find_servers()) == 1
        with pytest.raises(ua.uaerrors.BadSecurityPolicyRejected):
            await Client(bench.settings.endpoint).connect()

    asyncio.run(run())


def read(client: Client, *items: ua.ReadValueId, timestamps: int = 2, max_age: float = 0) -> Any:
    params = ua.ReadParameters(max_age, ua.TimestampsToReturn(timestamps), list(items))
    return client.uaclient.read(params)


def item(node_id: ua.NodeId, attribute: int = 13, index_range: str | None = None, encoding: Any = None) -> ua.ReadValueId:
    return ua.ReadValueId(node_id, ua.AttributeIds(attribute), index_range, encoding or ua.QualifiedName())


def test_read_answers_each_node_with_its_own_status(bench: Bench) -> None:
    async def run() -> None:
        async with bench.client() as client:
            results = await read(
                client,
                item(ua.NodeId("no such node", 2)),
                item(ua.NodeId(85), 13),
                item(NAMESPACES, 13, "1"),
                item(NAMESPACES, 13, "0:1"),
                item(NAMESPACES, 13, "1:0"),
                item(NAMESPACES, 13, "9999"),
                item(CURRENT_TIME, 13, "0"),
                item(CURRENT_TIME, 13, None, ua.QualifiedName("Default Binary", 0)),
                item(SERVER_STATUS, 13, None, ua.QualifiedName("Default XML", 0)),
                item(SERVER_STATUS, 13, None, ua.QualifiedName("Default Binary", 0)),
                item(ua.NodeId(85), 3),
            )
            names = [result.StatusCode.name for result in results]
            assert names == [
                "BadNodeIdUnknown", "BadAttributeIdInvalid", "Good", "Good", "BadIndexRangeInvalid", "BadIndexRangeNoData",
                "BadIndexRangeNoData", "BadDataEncodingInvalid", "BadDataEncodingUnsupported", "Good", "Good",
            ]  # fmt: skip
            assert results[3].Value.Value == (await client.get_namespace_array())[:2]
            assert results[2].Value.Value == [(await client.get_namespace_array())[1]]
            assert results[-1].Value.Value == ua.QualifiedName("Objects", 0)

    asyncio.run(run())


@pytest.mark.parametrize("timestamps", [0, 1, 2, 3])
def test_only_the_timestamps_that_were_asked_for_come_back(bench: Bench, timestamps: int) -> None:
    async def run() -> None:
        async with bench.client() as client:
            for _ in range(2):
                (result,) = await read(client, item(CURRENT_TIME), timestamps=timestamps)
                assert (result.SourceTimestamp is not None) == (timestamps in (0, 2))
                assert (result.ServerTimestamp is not None) == (timestamps in (1, 2))

    asyncio.run(run())


def test_a_polled_list_shows_each_change(bench: Bench) -> None:
    async def run() -> None:
        async with bench.client() as client:
            seen = set()
            while len(seen) < 3:
                (result,) = await read(client, item(CURRENT_TIME))
                seen.add(result.Value.Value)
            assert abs((datetime.now(UTC) - max(seen).replace(tzinfo=UTC)).total_seconds()) < 5

    asyncio.run(run())


def test_the_server_status_lives_and_is_one_with_its_parts(bench: Bench) -> None:
    async def run() -> None:
        async with bench.client() as client:
            first = status = (await read(client, item(SERVER_STATUS)))[0].Value.Value
            async with asyncio.timeout(30):
                while status.CurrentTime <= first.CurrentTime:
                    status = (await read(client, item(SERVER_STATUS)))[0].Value.Value
            assert status.State == ua.ServerState.Running
            assert status.StartTime == first.StartTime <= status.CurrentTime
            started, state, build = await read(client, *[item(ua.NodeId(number)) for number in (2257, 2259, 2260)])
            assert (started.Value.Value, state.Value.Value) == (status.StartTime, int(status.State))
            assert build.Value.Value == status.BuildInfo

    asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"max_age": -1.0}, "BadMaxAgeInvalid"),
        ({"max_age": float("nan")}, "BadMaxAgeInvalid"),
        ({"items": []}, "BadNothingToDo"),
        ({"items": [item(CURRENT_TIME)] * 10_001}, "BadTooManyOperations"),
    ],
)
def test_a_read_that_cannot_be_is_refused_as_a_whole(bench: Bench, change: dict[str, Any], status: str) -> None:
    async def run() -> None:
        async with bench.client() as client:
            with pytest.raises(ua.UaStatusCodeError) as caught:
                await read(client, *change.get("items", [item(CURRENT_TIME)]), max_age=change.get("max_age", 0))
            assert status in str(caught.value)

    asyncio.run(run())


def test_ten_thousand_nodes_are_read_in_one_request(bench: Bench) -> None:
    async def run() -> None:
        async with bench.client() as client:
            for _ in range(2):
                results = await read(client, *[item(CURRENT_TIME)] * 10_000)
                assert len(results) == 10_000
                assert all(result.StatusCode.is_good() for result in results)

    asyncio.run(run())


def test_browse_goes_on_where_it_stopped(bench: Bench) -> None:
    async def run() -> None:
        async with bench.client() as client:
            description = ua.BrowseDescription(ua.NodeId(84), ua.BrowseDirection.Forward, ua.NodeId(33), True, 0, 63)
            params = ua.BrowseParameters(NodesToBrowse=[description])
            (whole,) = await client.uaclient.browse(params)
            params.RequestedMaxReferencesPerNode = 1
            (page,) = await client.uaclient.browse(params)
            found = list(page.References)
            while page.ContinuationPoint:
                point = page.ContinuationPoint
                (page,) = await client.uaclient.browse_next(ua.BrowseNextParameters(False, [point]))
                found += page.References
            assert found == whole.References
            assert len(found) > 1
            (again,) = await client.uaclient.browse_next(ua.BrowseNextParameters(False, [point]))
            assert again.StatusCode.name == "BadContinuationPointInvalid"

    asyncio.run(run())


def test_browse_gives_what_plain_asyncua_would(bench: Bench, engines: list[Engine]) -> None:
    async def run() -> None:
        async with bench.client() as client:
            plain = engines[0].server.iserver.view_service
            nodes = list(engines[0].aspace._nodes)[::50][:100]
            asked = [ua.BrowseDescription(node, ua.BrowseDirection.Both, ua.NodeId(33), True, 0, 63) for node in nodes]
            results = await client.uaclient.browse(ua.BrowseParameters(NodesToBrowse=asked))
            for description, result in zip(asked, results, strict=True):
                assert [(r.NodeId, r.BrowseName, r.NodeClass, r.IsForward) for r in result.References] == [
                    (r.NodeId, r.BrowseName, r.NodeClass, r.IsForward) for r in plain._browse(description).References
                ]

    asyncio.run(run())


def test_paths_lead_to_nodes_or_say_why_not(bench: Bench) -> None:
    async def run() -> None:
        async with bench.client() as client:
            assert (await client.nodes.root.get_child(["0:Objects", "0:Server"])).nodeid == ua.NodeId(2253)
            with pytest.raises(ua.uaerrors.BadNoMatch):
                await client.nodes.root.get_child(["0:Objects", "0:Nothing"])
            (registered,) = await client.uaclient.register_nodes([CURRENT_TIME])
            assert registered == CURRENT_TIME
            await client.uaclient.unregister_nodes([registered])

    asyncio.run(run())


def test_only_the_analytics_write_and_only_what_fits(bench: Bench, engines: list[Engine]) -> None:
    async def run() -> None:
        results = list(engines[0].server.rights.results)
        aspace = engines[0].aspace
        number = next(n for n in results if aspace[n].attributes[ua.AttributeIds.DataType].value.Value.Value == ua.NodeId(11))
        good = ua.DataValue(ua.Variant(12.5, ua.VariantType.Double))
        async with bench.client("analytics") as client:

            async def status(
                value: ua.DataValue, node_id: ua.NodeId = number, attribute: int = 13, where: str | None = None
            ) -> str:
                item = ua.WriteValue(node_id, ua.AttributeIds(attribute), where, value)
                (result,) = await client.uaclient.write(ua.WriteParameters([item]))
                return str(result.name)

            assert await status(good) == "Good"
            assert await client.get_node(number).read_value() == 12.5
            assert await status(ua.DataValue(ua.Variant("12", ua.VariantType.String))) == "BadTypeMismatch"
            assert await status(ua.DataValue(ua.Variant([1.0], ua.VariantType.Double))) == "BadTypeMismatch"
            assert await status(ua.DataValue(ua.Variant(float("nan"), ua.VariantType.Double))) == "BadOutOfRange"
            assert await status(good, CURRENT_TIME) == "BadNotWritable"
            assert await status(good, number, 4) == "BadNotWritable"
            assert await status(good, ua.NodeId("no such node", 2)) == "BadNodeIdUnknown"
            assert await status(good, where="0") == "BadIndexRangeNoData"
        async with bench.client("operator") as client:
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await client.get_node(number).write_value(good)

    asyncio.run(run())


def test_a_service_that_is_not_there_is_said_to_be_unsupported(bench: Bench) -> None:
    async def run() -> None:
        async with bench.client() as client:
            with pytest.raises(ua.uaerrors.BadServiceUnsupported):
                await client.uaclient.add_nodes([ua.AddNodesItem()])

    asyncio.run(run())
