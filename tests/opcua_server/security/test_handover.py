"""What a session keeps when another person takes it over, when it moves to another connection, and when its password is changed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asyncua import Client, ua

from cnctwin.secrets import Vault
from opcua_server.engine.engine import Engine
from tests.opcua_server.bench import Bench, machine

C = ua.StatusCodes
WHO_IS_THERE = ua.NodeId(ua.ObjectIds.Server_ServerDiagnostics_SessionsDiagnosticsSummary_SessionDiagnosticsArray)
WHO_IS_ADMIN = ua.NodeId(ua.ObjectIds.WellKnownRole_SecurityAdmin_Identities)
RESULT = "Analytics/AnomalyScore"
ENOUGH_S = 60.0


def run(session: Callable[[], Awaitable[None]]) -> None:
    asyncio.run(asyncio.wait_for(session(), 90))  # type: ignore[arg-type]


class Told:
    """Statuses and values of one item, as they come."""

    def __init__(self) -> None:
        self.values: asyncio.Queue[Any] = asyncio.Queue()
        self.events: list[Any] = []

    def datachange_notification(self, _node: Any, _value: Any, data: Any) -> None:
        self.values.put_nowait(data.monitored_item.Value)

    def event_notification(self, event: Any) -> None:
        self.events.append(event)

    async def status(self, wanted: int) -> Any:
        """The next value with this status."""
        while True:
            value = await asyncio.wait_for(self.values.get(), ENOUGH_S)
            if value.StatusCode.value == wanted:
                return value


def desks(engines: list[Engine]) -> set[Any]:
    return set(engines[0].subscriptions.desks.values())


async def become(client: Client, served: Bench, user: str | None) -> None:
    await client.activate_session(username=user, password=served.password(user) if user else None)


def test_what_only_administrators_see_is_told_to_nobody_else(served: Bench) -> None:
    """A value that is kept, and one that is made when it is asked for."""

    async def session() -> None:
        async with served.client("admin") as client:
            told = {node: Told() for node in (WHO_IS_ADMIN, WHO_IS_THERE)}
            for node, one in told.items():
                made = await client.create_subscription(50, one)
                await made.subscribe_data_change(client.get_node(node))
                assert (await one.status(C.Good)).Value.Value
            await become(client, served, "operator")
            for node, one in told.items():
                await one.status(C.BadUserAccessDenied)
                with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                    await made.subscribe_data_change(client.get_node(node))
            await become(client, served, "admin")
            for one in told.values():
                assert (await one.status(C.Good)).Value.Value

    run(session)


def test_rights_that_are_monitored_are_those_of_who_looks(served: Bench) -> None:
    async def session() -> None:
        async with served.client("engineer") as client:
            mill = await machine(client)
            commands = await mill._at("Commands")
            methods = {(await one.read_browse_name()).Name: one for one in await commands.get_methods()}
            hold = methods["Hold"]
            told, rows = Told(), Told()
            made = await client.create_subscription(50, told)
            await made.subscribe_data_change(hold, ua.AttributeIds.UserExecutable)
            assert (await told.status(C.Good)).Value.Value is True
            other = await client.create_subscription(50, rows)
            await other.subscribe_data_change(hold, ua.AttributeIds.UserRolePermissions)
            assert len((await rows.status(C.Good)).Value.Value) == 1, "its own role, and no other"
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await other.subscribe_data_change(hold, ua.AttributeIds.RolePermissions)
            await become(client, served, None)
            assert (await told.status(C.Good)).Value.Value is False

    run(session)


def test_what_is_known_of_a_request_says_nothing_of_who_may_make_it(served: Bench) -> None:
    """Reads, writes and calls that come again go short ways (plans.py, rewrites.py, recalls.py)."""

    async def session() -> None:
        async with served.client("admin") as client:
            mill = await machine(client)
            for _ in range(3):
                await client.get_node(WHO_IS_ADMIN).read_value()
                await mill.call("SetFeedOverride", 90.0)
            result = await mill.own(RESULT)
            await become(client, served, "analytics")
            for value in (0.1, 0.2, 0.3):
                await result.write_value(value)
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await mill.call("SetFeedOverride", 80.0)
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await client.get_node(WHO_IS_ADMIN).read_value()
            await become(client, served, "operator")
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await result.write_value(0.4)
            await mill.call("SetFeedOverride", 90.0)
            await become(client, served, None)
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await mill.call("SetFeedOverride", 80.0)
            assert await result.read_value() == 0.3

    before = len(served.sources["CNC-001"].calls)
    run(session)
    assert len(served.sources["CNC-001"].calls) == before + 4


def test_a_trust_list_that_somebody_opened_is_not_the_next_one_s(served: Bench) -> None:
    async def session() -> None:
        async with served.client("admin") as client:
            trust_list = client.get_node(
                ua.NodeId(ua.ObjectIds.ServerConfiguration_CertificateGroups_DefaultApplicationGroup_TrustList)
            )

            async def call(name: str, *given: ua.Variant) -> Any:
                return await trust_list.call_method(f"0:{name}", *given)

            to_write = ua.Variant(6, ua.VariantType.Byte)
            handle = ua.Variant(await call("Open", to_write), ua.VariantType.UInt32)
            await become(client, served, "operator")
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await call("Write", handle, ua.Variant(b"x", ua.VariantType.ByteString))
            await become(client, served, "admin")
            with pytest.raises(ua.uaerrors.BadInvalidArgument):
                await call("Close", handle)
            await call("Close", ua.Variant(await call("Open", to_write), ua.VariantType.UInt32))

    run(session)


def test_audit_events_end_with_the_administrator(served: Bench, engines: list[Engine]) -> None:
    async def session() -> None:
        async with served.client("admin") as client, served.client("operator", name="other") as other:
            told, before = Told(), desks(engines)
            made = await client.create_subscription(3_600_000, told)  # nothing is told while this test lasts
            await made.subscribe_events(client.nodes.server, [client.get_node(ua.NodeId(ua.ObjectIds.AuditEventType))])
            (desk,) = desks(engines) - before
            (mine,) = desk.subscriptions.values()
            (item,) = mine.items.values()
            await (await machine(other)).call("Hold")
            assert item.queue.entries, "the administrator would hear of it"
            await become(client, served, "operator")
            assert not item.queue.entries
            await (await machine(other)).call("Hold")
            assert not item.queue.entries

    run(session)


def test_a_session_that_moved_is_told_nothing_on_its_old_connection(served: Bench, engines: list[Engine]) -> None:
    async def session() -> None:
        async with served.client("operator") as old, served.channel() as new:
            told, before = Told(), desks(engines)
            made = await old.create_subscription(50, told)
            await made.subscribe_data_change(old.get_node(ua.NodeId(2258)), sampling_interval=50)
            await told.status(C.Good)
            (desk,) = desks(engines) - before
            new.uaclient.session.restore_authentication_token(old.uaclient.session.authentication_token)
            new._server_nonce, new._locale = old._server_nonce, old._locale
            new._policy_ids = old._policy_ids
            await become(new, served, "operator")
            assert not desk.requests, "those of the old connection were refused"
            assert isinstance(await new.get_node(ua.NodeId(2258)).read_value(), object)
            with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
                await old.get_node(ua.NodeId(2258)).read_value()
            await new.close_session()

    run(session)


def test_who_has_another_password_or_role_now_loses_the_session(served: Bench) -> None:
    vault = Vault(served.settings.data)
    users = vault._read("users")
    known = users["operator"]
    changed = {"a": {**known, "hash": "another"}, "b": {**known, "role": "Viewer"}, "c": None}
    vault._write("users", {**users, **dict.fromkeys(changed, known)})

    async def until_it_is_gone(client: Client) -> None:
        with contextlib.suppress(ua.uaerrors.BadSessionIdInvalid, ConnectionError):
            while True:
                await client.get_node(ua.NodeId(2258)).read_value()
                await asyncio.sleep(0.05)

    async def session() -> None:
        async with contextlib.AsyncExitStack() as stack:
            password = served.password("operator")
            clients = [await stack.enter_async_context(served.client(name, password)) for name in changed]
            other = await stack.enter_async_context(served.client("operator"))
            vault._write("users", {**users, **{name: entry for name, entry in changed.items() if entry is not None}})
            await asyncio.wait_for(asyncio.gather(*map(until_it_is_gone, clients)), ENOUGH_S)
            await other.get_node(ua.NodeId(2258)).read_value()

    try:
        run(session)
    finally:
        vault._write("users", users)
