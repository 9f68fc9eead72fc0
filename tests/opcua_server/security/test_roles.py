"""Roles of OPC 10000-18 through real sockets: who has which, and that what is shown is what is enforced."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import BadUserAccessDenied
from typer.testing import CliRunner

from certs.commands import app
from nodesets.methods import METHODS
from opcua_server.security.roles import ROLE_IDS
from tests.opcua_server.bench import Bench, machine

IDENTITIES = {"Anonymous": 16192, "Observer": 16214, "Operator": 16225, "Engineer": 16236, "SecurityAdmin": 16258}
CALL, WRITE = ua.PermissionType.Call, ua.PermissionType.Write


def run(coroutine: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine(), 90))  # type: ignore[arg-type]


async def rules(client: Client, number: int) -> set[tuple[str, str]]:
    return {(rule.CriteriaType.name, rule.Criteria) for rule in await client.get_node(ua.NodeId(number)).read_value()}


def test_administrators_see_who_has_which_role_and_a_change_at_once(served: Bench) -> None:
    async def session() -> None:
        async with served.client("admin") as admin:
            assert await rules(admin, IDENTITIES["Observer"]) == {("Anonymous", "")}
            assert await rules(admin, IDENTITIES["Operator"]) == {("UserName", "operator")}
            assert await rules(admin, IDENTITIES["SecurityAdmin"]) == {("UserName", "admin")}
            roles = {(await node.read_browse_name()).Name: node for node in await admin.get_node(ua.NodeId(15606)).get_children()}
            assert {"Analytics", "Gateway", "Observer", "Operator", "Engineer", "SecurityAdmin"} <= {*roles}
            shown = {name: await (await role.get_child("0:Identities")).read_value_rank() for name, role in roles.items()}
            assert set(shown.values()) == {ua.ValueRank.OneDimension}, shown
            own = str(served.folder / "client" / "own" / "cert.der")
            given = CliRunner().invoke(app, ["user", "carol", own, "--role", "Engineer", "--data", str(served.settings.data)])
            assert given.exit_code == 0, given.output
            thumbprint = given.output.split()[1]
            assert await rules(admin, IDENTITIES["Engineer"]) == {("UserName", "engineer"), ("Thumbprint", thumbprint)}

    run(session)


def test_nobody_else_reads_or_monitors_identities_and_nobody_changes_roles(served: Bench) -> None:
    class Nothing:
        def datachange_notification(self, *_: Any) -> None: ...

    async def session() -> None:
        for user in ("engineer", None):
            async with served.client(user) as client:
                node = client.get_node(ua.NodeId(IDENTITIES["Operator"]))
                with pytest.raises(BadUserAccessDenied):
                    await node.read_value()
                subscription = await client.create_subscription(100, Nothing())
                with pytest.raises(BadUserAccessDenied):
                    await subscription.subscribe_data_change(node)
                level = await node.read_attribute(ua.AttributeIds.UserAccessLevel)
                assert level.Value.Value == 0
                with pytest.raises(BadUserAccessDenied):
                    await client.get_node(ua.NodeId(15680)).call_method(ua.NodeId(15684), ua.Variant("x"))
        async with served.client("admin") as admin:
            with pytest.raises(ua.uaerrors.BadNodeIdUnknown):  # it is not offered, so it is not there
                await admin.get_node(ua.NodeId(15680)).call_method(ua.NodeId(15684), ua.Variant("x"))

    run(session)


def test_role_permissions_say_what_is_enforced(served: Bench) -> None:
    async def session() -> None:
        async with served.client("admin") as admin:
            mill = await machine(admin)
            shown = {}
            for method in METHODS:
                node = await mill._at("Commands", method.name)
                rows = (await node.read_attribute(ua.AttributeIds.RolePermissions)).Value.Value
                shown[method.name] = {row.RoleId for row in rows if row.Permissions & CALL}
            result = await mill.own("Analytics/AnomalyScore")
            rows = (await result.read_attribute(ua.AttributeIds.RolePermissions)).Value.Value
            assert {row.RoleId for row in rows if row.Permissions & WRITE} == {ROLE_IDS["Analytics"]}
        for user, role in (("operator", "Operator"), ("engineer", "Engineer"), ("gateway", "Gateway"), ("analytics", "Analytics")):
            async with served.client(user) as client:
                mill = await machine(client)
                for name in ("Hold", "InjectFault"):
                    node = await mill._at("Commands", name)
                    mine = (await node.read_attribute(ua.AttributeIds.UserRolePermissions)).Value.Value or []
                    executable = (await node.read_attribute(ua.AttributeIds.UserExecutable)).Value.Value
                    allowed = ROLE_IDS[role] in shown[name]
                    assert any(row.Permissions & CALL for row in mine) is allowed is executable
                    with pytest.raises(BadUserAccessDenied):
                        await node.read_attribute(ua.AttributeIds.RolePermissions)
                    try:
                        await mill.call(name, *(("coolant", 0.5, 10.0) if name == "InjectFault" else ()))
                        called = True
                    except BadUserAccessDenied:
                        called = False
                    assert called is allowed, (user, name)

    run(session)
