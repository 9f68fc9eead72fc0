"""Logins and sessions, through real sockets with asyncua's client: what is one person's is out of another's reach."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.ua.uaerrors import (
    BadIdentityTokenInvalid,
    BadSessionIdInvalid,
    BadSubscriptionIdInvalid,
    BadTooManySessions,
    BadUserAccessDenied,
)

from opcua_server.engine.sessions import PER_CONNECTION
from tests.opcua_server.bench import Bench, running

Modes = ua.MessageSecurityMode


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with running(tmp_path_factory.mktemp("sessions")) as served:
        yield served


def run(coroutine: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine(), 60))  # type: ignore[arg-type]


def test_wrong_password_is_refused_and_the_sixth_try_is_locked_out_even_when_right(bench: Bench) -> None:
    async def session() -> None:
        for _ in range(5):
            with pytest.raises(BadUserAccessDenied):
                async with bench.client("engineer", "wrong"):
                    pass
        with pytest.raises(BadUserAccessDenied):
            async with bench.client("engineer"):
                pass
        async with bench.client("operator") as client:  # nobody else is locked out
            assert await client.nodes.server_state.read_value() == ua.ServerState.Running

    run(session)


def test_password_in_clear_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Client, "_encrypt_password", lambda self, password, policy: (password.encode(), ""))

    async def session() -> None:
        async with bench.client("operator"):
            pass

    with pytest.raises(BadIdentityTokenInvalid):
        run(session)


def test_password_of_another_session_is_refused(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """The encrypted password holds the server's nonce: one that was recorded is worth nothing later."""
    honest = Client._encrypt_password

    def replayed(self: Any, password: str, policy: str) -> Any:
        self._server_nonce = b"\x01" * 32
        return honest(self, password, policy)

    monkeypatch.setattr(Client, "_encrypt_password", replayed)

    async def session() -> None:
        async with bench.client("operator"):
            pass

    with pytest.raises(BadIdentityTokenInvalid):
        run(session)


def test_requests_need_the_sessions_own_token(bench: Bench) -> None:
    async def session() -> None:
        async with bench.client() as client, bench.client() as other:
            own = client.uaclient.protocol.authentication_token
            assert len(own.Identifier) == 32
            assert own != other.uaclient.protocol.authentication_token
            client.uaclient.protocol.authentication_token = other.uaclient.protocol.authentication_token
            with pytest.raises(BadSessionIdInvalid):
                await client.nodes.server_state.read_value()
            client.uaclient.protocol.authentication_token = own
            await client.nodes.server_state.read_value()

    run(session)


def test_session_is_not_taken_over_by_another_user_or_certificate(bench: Bench) -> None:
    async def session() -> None:
        async with bench.client("operator") as client, bench.client(name="stranger") as thief:
            thief.uaclient.protocol.authentication_token = client.uaclient.protocol.authentication_token
            with pytest.raises(ua.UaStatusCodeError):
                await thief.activate_session()
            with pytest.raises(BadSessionIdInvalid):
                await thief.nodes.server_state.read_value()
            assert await client.nodes.server_state.read_value() == ua.ServerState.Running

    run(session)


def test_sessions_of_one_connection_are_few(bench: Bench) -> None:
    async def session() -> None:
        async with bench.client() as client:
            own = client.uaclient.protocol.authentication_token
            for _ in range(PER_CONNECTION - 1):
                await client.create_session()
            with pytest.raises(BadTooManySessions):
                await client.create_session()
            client.uaclient.protocol.authentication_token = own
            assert await client.nodes.server_state.read_value() == ua.ServerState.Running

    run(session)


def test_subscription_of_another_session_is_out_of_reach(bench: Bench) -> None:
    class Nothing:
        def datachange_notification(self, *_: Any) -> None: ...

    async def session() -> None:
        async with bench.client("operator") as owner, bench.client(name="stranger") as thief:
            subscription = await owner.create_subscription(100, Nothing())
            number = subscription.subscription_id
            assert [status.name for status in await thief.uaclient.delete_subscriptions([number])] == ["BadSubscriptionIdInvalid"]
            with pytest.raises(BadSubscriptionIdInvalid):
                await thief.uaclient.create_monitored_items(
                    ua.CreateMonitoredItemsParameters(number, ua.TimestampsToReturn.Both, [ua.MonitoredItemCreateRequest()])
                )
            (moved,) = await thief.uaclient.transfer_subscriptions(ua.TransferSubscriptionsParameters([number], True))
            assert moved.StatusCode.name == "BadUserAccessDenied"
            await subscription.delete()

    run(session)


def test_publishing_interval_is_revised(bench: Bench) -> None:
    async def session() -> list[float]:
        async with bench.client() as client:
            asked = [ua.CreateSubscriptionParameters(interval, 100, 10, 0, True, 0) for interval in (0.0, -5.0, math.nan, 1e12)]
            return [(await client.uaclient.create_subscription(one, lambda *_: None)).RevisedPublishingInterval for one in asked]

    assert run(session) == [10.0, 10.0, 10.0, 3_600_000.0]
