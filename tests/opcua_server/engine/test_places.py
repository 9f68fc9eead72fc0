"""Who takes all sessions or connections keeps nobody out who has fewer; who is told of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
from asyncua import Client, ua

from opcua_server.engine.contract import Limits
from opcua_server.engine.engine import Engine
from tests.harness import wait_for
from tests.opcua_server.bench import Bench, run
from tests.opcua_server.engine.bench import running
from tests.opcua_server.engine.raw import opened, request
from tests.opcua_server.engine.strangers import assert_gone

PLACES = 4


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    limits = Limits(connections=PLACES, waiting_connections=12, sessions=2 * PLACES, handshake_s=60.0)
    with running(tmp_path_factory.mktemp("places"), engines, limits=limits) as made:
        yield made


@pytest.fixture(autouse=True)
def nobody_is_left(engines: list[Engine]) -> Iterator[None]:
    yield
    if engines:
        assert_gone(engines[0])


async def is_served(client: Client) -> bool:
    try:
        return bool(await client.nodes.server_state.read_value() == ua.ServerState.Running)
    except (ua.UaStatusCodeError, ConnectionError, asyncio.CancelledError):
        return False


async def held(stack: contextlib.AsyncExitStack, bench: Bench, count: int, user: str | None = None, **options: Any) -> list[Client]:
    """So many clients, each with a connection of its own; the first has been silent longest."""
    made = []
    for _ in range(count):
        made.append(await stack.enter_async_context(bench.client(user, **options)))
    return made


async def more_sessions(client: Client, bench: Bench, count: int, user: str | None = None) -> None:
    for _ in range(count):
        await client.create_session()
        await client.activate_session(username=user, password=bench.password(user) if user else None)


def by_user(engine: Engine) -> dict[str | None, int]:
    users = [one.user for one in engine.sessions.values() if one.role is not None]
    return {user: users.count(user) for user in users}


def test_who_has_all_sessions_gives_way_to_who_has_none(
    bench: Bench, engines: list[Engine], caplog: pytest.LogCaptureFixture
) -> None:
    async def session() -> None:
        async with contextlib.AsyncExitStack() as stack:
            (greedy,) = await held(stack, bench, 1, name="greedy")
            await more_sessions(greedy, bench, 2 * PLACES - 1)
            assert by_user(engines[0]) == {None: 8}
            (operator,) = await held(stack, bench, 1, "operator")
            assert await is_served(operator)
            assert by_user(engines[0]) == {None: 7, "operator": 1}
            assert await is_served(greedy), "who is silent longest goes first"

    run(session)
    assert "session of None at 127.0.0.1: ended, all places are taken; 'operator' at 127.0.0.1 has fewer" in caplog.text


def test_who_has_all_connections_gives_way_to_who_has_none(bench: Bench, engines: list[Engine]) -> None:
    async def session() -> None:
        async with contextlib.AsyncExitStack() as stack:
            greedy = await held(stack, bench, PLACES, "operator", name="greedy")
            (engineer,) = await held(stack, bench, 1, "engineer")
            assert await is_served(engineer)
            assert [await is_served(one) for one in greedy] == [False, True, True, True]
            assert by_user(engines[0]) == {"operator": 3, "engineer": 1}

    run(session)


def test_an_application_that_has_all_gives_way_to_another_one(bench: Bench, engines: list[Engine]) -> None:
    """Nobody is logged in: two certificates at one address are two holders."""

    async def session() -> None:
        async with contextlib.AsyncExitStack() as stack:
            greedy = await held(stack, bench, PLACES, name="greedy")
            modest = await held(stack, bench, 2, name="modest")
            assert [await is_served(one) for one in modest] == [True, True]
            assert [await is_served(one) for one in greedy] == [False, False, True, True]
            with pytest.raises(ua.uaerrors.BadTooManySessions):
                await held(stack, bench, 1, name="modest")

    run(session)


def test_who_is_logged_in_gives_way_to_nobody_who_is_not(bench: Bench, engines: list[Engine]) -> None:
    async def session() -> None:
        async with contextlib.AsyncExitStack() as stack:
            operators = await held(stack, bench, PLACES, "operator")
            with pytest.raises(ua.uaerrors.BadTooManySessions):
                await held(stack, bench, 1)
            assert [await is_served(one) for one in operators] == [True] * PLACES

    run(session)


def test_an_administrator_gets_in_in_any_case(bench: Bench, engines: list[Engine]) -> None:
    async def session() -> None:
        async with contextlib.AsyncExitStack() as stack:
            others = [(await held(stack, bench, 1, user))[0] for user in ("operator", "engineer", "analytics")]
            await held(stack, bench, 1)
            with pytest.raises(ua.uaerrors.BadTooManySessions):
                await held(stack, bench, 1, "gateway")
            (admin,) = await held(stack, bench, 1, "admin")
            assert await is_served(admin)
            assert [await is_served(one) for one in others] == [False, True, True]
            with pytest.raises(ua.uaerrors.BadTooManySessions):
                await held(stack, bench, 1, "admin")

    run(session)


def test_channels_over_which_nobody_logs_in_make_room_after_a_while(bench: Bench, engines: list[Engine]) -> None:
    """Ten channels of one address, opened anew whenever they were closed, kept all others behind it out."""

    async def session() -> None:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(10):
                await stack.enter_async_context(bench.channel())
            with pytest.raises((ConnectionError, TimeoutError, ua.UaStatusCodeError)):
                await held(stack, bench, 1)
            for connection in engines[0].connections:
                connection.waits_since_s -= 60.0
            (client,) = await held(stack, bench, 1)
            assert await is_served(client)
            stack.pop_all()  # who has waited longest is gone without a word to say goodbye to

    run(session)


def test_a_connection_that_was_closed_is_cut_off_where_the_peer_does_not_read(bench: Bench, engines: list[Engine]) -> None:
    """Whose time was over and who read nothing kept one of the ten places of his address for as long as he liked."""
    with opened(bench) as raw:
        raw.socket.settimeout(1)
        (connection,) = engines[0].connections
        while not connection.is_backed_up:
            raw.message(request(ua.GetEndpointsRequest()))
        connection.since_s -= 60.0
        wait_for(lambda: not engines[0].connections, "it is cut off", 20)
