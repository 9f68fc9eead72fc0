"""What strangers try at the port: each is answered with ERR or a ServiceFault, and nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from asyncua import Client, ua

from certs.application import load_certificate
from certs.pki import Trust, thumbprint
from opcua_server.engine import engine as engine_module
from opcua_server.engine.contract import Limits
from opcua_server.engine.engine import Engine
from opcua_server.engine.sessions import OpenSession
from opcua_server.security.users import NotThem, Users
from tests.harness import wait_for
from tests.opcua_server.bench import Bench
from tests.opcua_server.engine.bench import running
from tests.opcua_server.engine.raw import Raw, opened, request

C = ua.StatusCodes
CURRENT_TIME = ua.NodeId(2258)


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    with running(
        tmp_path_factory.mktemp("doors"), engines, limits=Limits(handshake_s=5.0, sessions=10, waiting_sessions=10)
    ) as made:
        yield made


@pytest.fixture(autouse=True)
def nobody_is_left(engines: list[Engine]) -> Iterator[None]:
    yield
    if engines:
        wait_for(lambda: not engines[0].connections, "all connections are gone", 10)
        for session in list(engines[0].sessions.values()):
            session.timeout_ms = -1e9
        wait_for(lambda: not engines[0].sessions, "no session waits for another connection", 10)


BEFORE_HELLO = {
    "no OPC UA": (b"GET / HTTP/1.1\r\n\r\n", C.BadTcpMessageTypeInvalid),
    "chunk of 4 GB": (b"HELF\xff\xff\xff\xff", C.BadTcpMessageTooLarge),
    "chunk of nothing": (b"HELF\x00\x00\x00\x00", C.BadTcpMessageTypeInvalid),
    "chunk type": (b"HELX\x20\x00\x00\x00", C.BadTcpMessageTypeInvalid),
    "hello in chunks": (b"HELC\x20\x00\x00\x00" + bytes(24), C.BadTcpMessageTypeInvalid),
    "small buffers": (struct.pack("<3scIIIIIIi", b"HEL", b"F", 32, 0, 100, 100, 0, 0, -1), C.BadConnectionRejected),
    "long URL": (struct.pack("<3scIIIIIIi", b"HEL", b"F", 32, 0, 65535, 65535, 0, 0, 5000), C.BadTcpEndpointUrlInvalid),
    "URL that lies": (struct.pack("<3scIIIIIIi", b"HEL", b"F", 32, 0, 65535, 65535, 0, 0, 50), C.BadDecodingError),
    "no hello": (b"OPNF\x10\x00\x00\x00" + bytes(8), C.BadTcpMessageTypeInvalid),
    "message first": (b"MSGF\x18\x00\x00\x00" + bytes(16), C.BadTcpSecureChannelUnknown),
}


@pytest.mark.parametrize("name", BEFORE_HELLO)
def test_what_is_no_hello_gets_an_error_and_is_closed(bench: Bench, name: str) -> None:
    data, status = BEFORE_HELLO[name]
    with Raw(bench) as raw:
        raw.send(data)
        assert raw.end() == status


OPENED = {
    "another channel": ({"channel": 1}, C.BadTcpSecureChannelUnknown),
    "another token": ({"token": 9}, C.BadSecureChannelTokenUnknown),
    "sequence number again": ({"sequence": 1}, C.BadSequenceNumberInvalid),
    "sequence number skipped": ({"sequence": 50}, C.BadSequenceNumberInvalid),
}


@pytest.mark.parametrize("name", OPENED)
def test_a_message_that_is_not_the_next_of_its_channel_closes_it(bench: Bench, name: str) -> None:
    changed, status = OPENED[name]
    with opened(bench) as raw:
        raw.message(request(ua.GetEndpointsRequest()), **changed)
        assert raw.end() == status


def test_a_replayed_frame_closes_the_channel(bench: Bench) -> None:
    with opened(bench) as raw:
        body = request(ua.GetEndpointsRequest())
        raw.message(body)
        assert raw.frame()[:3] == b"MSG"
        raw.message(body, sequence=raw.sequence)
        assert raw.end() == C.BadSequenceNumberInvalid


def test_a_second_hello_and_a_second_issue_close_the_connection(bench: Bench) -> None:
    with opened(bench) as raw:
        assert struct.unpack_from("<I", raw.hello(), 8)[0] == C.BadTcpMessageTypeInvalid
    with opened(bench) as raw:
        assert struct.unpack_from("<I", raw.open(), 8)[0] == C.BadRequestTypeInvalid


def test_a_token_lives_an_hour_at_most(bench: Bench) -> None:
    with Raw(bench) as raw:
        raw.hello()
        answer = raw.open(lifetime_ms=0xFFFFFFFF)
        assert struct.pack("<I", 3_600_000) in answer[-12:]


def test_an_expired_token_closes_the_channel(bench: Bench, engines: list[Engine]) -> None:
    with opened(bench) as raw:
        (connection,) = engines[0].connections
        for token in connection.channel._tokens.values():
            token.ends_s = 0.0
        raw.message(request(ua.GetEndpointsRequest()))
        assert raw.end() == C.BadSecureChannelTokenUnknown


def test_chunks_beyond_the_limit_close_the_connection(bench: Bench) -> None:
    with opened(bench) as raw:
        for _ in range(3):
            raw.message(bytes(30_000), chunk=b"C")
        assert raw.end() == C.BadTcpMessageTooLarge


def test_a_message_given_up_is_forgotten(bench: Bench) -> None:
    with opened(bench) as raw:
        raw.message(bytes(1_000), chunk=b"C")
        raw.message(bytes(8), chunk=b"A")
        raw.message(request(ua.GetEndpointsRequest()))
        assert raw.fault() == 0


def test_parts_of_messages_that_never_become_whole_are_bounded_in_all(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who keeps most of them goes; the others go on."""
    monkeypatch.setattr(engine_module, "PARKED_BYTES", 100_000)
    with opened(bench) as greedy, opened(bench) as other:
        for _ in range(2):
            greedy.message(bytes(30_000), chunk=b"C")
        for size in (30_000, 15_000):
            other.message(bytes(size), chunk=b"C")
        assert greedy.end() == C.BadTcpNotEnoughResources
        other.message(bytes(8), chunk=b"A")
        other.message(request(ua.GetEndpointsRequest()))
        assert other.frame()[:3] == b"MSG"


def test_a_message_that_is_not_whole_in_time_closes_the_connection(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "MESSAGE_S", -1.0)
    with opened(bench) as raw:
        raw.message(bytes(100), chunk=b"C")
        assert raw.end() == C.BadTimeout


NEED_SECURITY = [
    ua.CreateSessionRequest,
    ua.ActivateSessionRequest,
    ua.ReadRequest,
    ua.BrowseRequest,
    ua.CallRequest,
    ua.WriteRequest,
]


@pytest.mark.parametrize("kind", NEED_SECURITY)
def test_without_security_services_are_refused(bench: Bench, kind: Any) -> None:
    with opened(bench) as raw:
        raw.message(request(kind()))
        assert raw.fault() == C.BadSecurityPolicyRejected


def test_an_unknown_service_is_unsupported(bench: Bench) -> None:
    with opened(bench) as raw:
        for kind in (ua.QueryFirstRequest, ua.RegisterServerRequest, ua.AddNodesRequest):
            raw.message(request(kind()))
            assert raw.fault() == C.BadServiceUnsupported


def test_counts_that_lie_cost_nothing(bench: Bench) -> None:
    """GetEndpoints whose array of locales says it has two thousand million elements."""
    body = request(ua.GetEndpointsRequest())
    with opened(bench) as raw:
        begun = time.perf_counter()
        raw.message(body[:-8] + struct.pack("<ii", 2_000_000_000, -1))
        assert raw.fault() == C.BadDecodingError
        assert raw.end() == C.BadDecodingError
        assert time.perf_counter() - begun < 5


def test_a_header_whose_token_is_null_is_refused_as_any_other(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    body = request(ua.ReadRequest())
    for form in (3, 5):
        with opened(bench) as raw:
            raw.message(body[:4] + bytes((form, 0, 0)) + b"\xff" * 4 + body[6:])
            assert raw.fault() == C.BadSecurityPolicyRejected
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


def test_who_says_nothing_is_closed(bench: Bench) -> None:
    with Raw(bench) as raw:
        assert raw.end() == C.BadTimeout


def test_an_address_gets_so_many_connections_without_a_session(bench: Bench) -> None:
    async def run() -> None:
        async with contextlib.AsyncExitStack() as held:
            for _ in range(10):
                await held.enter_async_context(bench.channel())
            with Raw(bench) as one_more:
                assert await asyncio.to_thread(one_more.end) == C.BadTcpNotEnoughResources

    asyncio.run(run())


def test_connections_without_a_channel_make_room_for_who_logs_in_from_their_address(bench: Bench) -> None:
    """Behind one address there may be a plant: ten silent connections, made again and again, kept all others of it out."""
    held = [Raw(bench) for _ in range(10)]
    held[1].hello()

    async def run() -> None:
        for _ in range(3):
            async with bench.client() as client:
                assert await client.nodes.server_state.read_value() == ua.ServerState.Running
            held.append(Raw(bench))

    asyncio.run(run())
    assert held[0].frame() == b"", "who has waited longest"
    for raw in held:
        raw.socket.close()


def test_sessions_are_limited_and_tokens_cannot_be_guessed(bench: Bench, engines: list[Engine]) -> None:
    async def run() -> None:
        async with bench.client() as client, bench.client() as other:
            tokens = [one.token for one in engines[0].sessions.values()]
            assert len({*tokens}) == 2
            assert all(len(token) == 39 for token in tokens)
            mine = other.uaclient.session
            known = mine.authentication_token
            stolen = client.uaclient.session.authentication_token
            for token in (ua.NodeId(1000), ua.NodeId(), stolen):
                mine.restore_authentication_token(token)
                with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
                    await other.get_node(CURRENT_TIME).read_value()
            mine.restore_authentication_token(known)
            await other.get_node(CURRENT_TIME).read_value()

    asyncio.run(run())


def test_a_session_moves_only_with_the_same_certificate_and_user(bench: Bench, engines: list[Engine]) -> None:
    async def run() -> None:
        async with bench.client("operator") as first, bench.client("operator", name="stranger") as other:
            (session,) = [one for one in engines[0].sessions.values() if one.client_uri == first.application_uri]
            assert isinstance(session, OpenSession)
            own = other.uaclient.session.authentication_token
            other.uaclient.session.restore_authentication_token(first.uaclient.session.authentication_token)
            with pytest.raises(ua.UaStatusCodeError):
                await other.activate_session(username="operator", password=bench.password("operator"))
            other.uaclient.session.restore_authentication_token(own)
            assert not session.is_closed
            await first.get_node(CURRENT_TIME).read_value()

    asyncio.run(run())


async def _another_session(client: Client) -> Any:
    """One more, not activated; the client's own stays the one that it keeps alive. None when there is no place for it."""
    own = client.uaclient.session.authentication_token
    try:
        return await client.create_session()
    except ua.uaerrors.BadTooManySessions:
        return None
    finally:
        client.uaclient.session.restore_authentication_token(own)


def test_who_makes_sessions_without_end_takes_his_own_places(bench: Bench, engines: list[Engine]) -> None:
    """A session that is not activated yet outlasts any number of those that others make meanwhile."""

    async def run() -> None:
        async with bench.client() as greedy, bench.client() as more, bench.client() as honest:
            for client in (greedy, more) * 8:
                assert await _another_session(client) is not None
            assert len(engines[0].sessions) == 19
            created = await _another_session(honest)
            for client in (greedy, more) * 12:
                await _another_session(client)
            assert len(engines[0].sessions) == 20
            for client in (greedy, more):
                assert await client.nodes.server_state.read_value() == ua.ServerState.Running, "those in use stay"
            honest.uaclient.session.restore_authentication_token(created.AuthenticationToken)
            await honest.activate_session()
            assert await honest.nodes.server_state.read_value() == ua.ServerState.Running

    asyncio.run(run())


def test_sessions_in_use_are_limited_and_give_way_to_nobody_who_has_as_many(bench: Bench, engines: list[Engine]) -> None:
    async def run() -> None:
        async with bench.client() as client, bench.client() as other:
            for one in (client, other):
                for _ in range(4):
                    await one.create_session()
                    await one.activate_session()
            assert len(engines[0].sessions) == 10
            with pytest.raises(ua.uaerrors.BadTooManySessions):
                async with bench.client():
                    pass
            for one in (client, other):
                assert await one.nodes.server_state.read_value() == ua.ServerState.Running
            assert sum(one.role is not None for one in engines[0].sessions.values()) == 10

    asyncio.run(run())


def test_logins_under_way_are_few_for_each_connection(bench: Bench, engines: list[Engine], monkeypatch: pytest.MonkeyPatch) -> None:
    """Who guesses on many sessions at once does not make others wait for all of them."""
    go_on = threading.Event()
    begun: list[str] = []

    async def held(_self: Any, user: str, *_: Any) -> Any:
        begun.append(user)
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        raise NotThem("BadUserAccessDenied", "wrong")

    monkeypatch.setattr(Users, "with_password", held)

    async def run() -> None:
        async with bench.client() as client:
            tries = [asyncio.create_task(client.activate_session(username="x", password="y")) for _ in range(5)]
            done: set[Any] = set()
            while len(done) < 3:
                done |= (await asyncio.wait(set(tries) - done, return_when=asyncio.FIRST_COMPLETED))[0]
            assert len(begun) == 2
            go_on.set()
            codes = sorted(getattr(one, "code", 0) for one in await asyncio.gather(*tries, return_exceptions=True))
            assert codes == sorted([C.BadUserAccessDenied] * 2 + [C.BadTooManyOperations] * 3)

    asyncio.run(run())


def test_who_is_trusted_no_longer_loses_the_channel(bench: Bench, engines: list[Engine]) -> None:
    """The folders are looked at all the time: an operator who rejects a certificate need not wait until its channel ends."""

    async def run() -> None:
        async with bench.client(name="outlaw") as client:
            certificate = (bench.folder / "outlaw" / "own" / "cert.der").read_bytes()
            (held,) = [one for one in engines[0].connections if one.channel.certificate == certificate]
            Trust(bench.settings.data / "pki" / "server").reject(_thumbprint(bench, "outlaw"))
            while held.is_open:
                await asyncio.sleep(0.05)
            with pytest.raises((ua.UaError, ConnectionError)):
                await client.nodes.server_state.read_value()

    asyncio.run(run())


def test_who_is_trusted_no_longer_does_not_renew_the_channel(
    bench: Bench, engines: list[Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(_self: Any) -> None: ...

    monkeypatch.setattr(Engine, "_look_at_trust", nothing)

    async def run() -> None:
        async with bench.client(name="renegade") as client:
            await client.open_secure_channel(renew=True)
            Trust(bench.settings.data / "pki" / "server").reject(_thumbprint(bench, "renegade"))
            with pytest.raises((ua.UaError, ConnectionError)):
                await client.open_secure_channel(renew=True)

    asyncio.run(run())


def _thumbprint(bench: Bench, name: str) -> str:
    return thumbprint(load_certificate(bench.folder / name / "own" / "cert.der"))


def test_a_wrong_password_is_refused_and_locks_out(bench: Bench) -> None:
    async def run() -> None:
        for _ in range(6):
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                async with bench.client("engineer", "wrong"):
                    pass
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            async with bench.client("engineer"):
                pass

    asyncio.run(run())


def test_a_silent_session_ends(bench: Bench, engines: list[Engine]) -> None:
    async def run() -> None:
        async with bench.client() as client:
            (session,) = engines[0].sessions.values()
            closed: list[bool] = []
            session.closing.append(lambda _session, delete: closed.append(delete))
            session.timeout_ms = -1e9
            while not closed:
                await asyncio.sleep(0.05)
            assert closed == [True]
            # asyncua's own watchdog may have found the session gone before this request does.
            with pytest.raises((ua.uaerrors.BadSessionIdInvalid, ConnectionError)):
                await client.get_node(CURRENT_TIME).read_value()

    asyncio.run(run())


def test_a_peer_that_does_not_read_is_cut_off(bench: Bench, engines: list[Engine]) -> None:
    with opened(bench) as raw:
        (connection,) = engines[0].connections
        body = request(ua.GetEndpointsRequest())
        raw.socket.settimeout(0.5)
        sent = 0
        try:
            while connection.is_open and sent < 200_000:
                raw.sequence += 1
                head = struct.pack("<3scIIIII", b"MSG", b"F", 24 + len(body), raw.channel, raw.token, raw.sequence, 7)
                raw.socket.sendall(head + body)
                sent += 1
                assert connection.backlog <= 9 << 20
        except OSError:
            pass  # the server reads no more from who does not read
        assert sent < 200_000


def test_random_frames_leave_the_server_well(bench: Bench) -> None:
    source = random.Random(1)  # noqa: S311 - a seed, so that a failure can be repeated
    bodies = [request(kind()) for kind in (ua.GetEndpointsRequest, ua.FindServersRequest, ua.ReadRequest, ua.CreateSessionRequest)]
    for _ in range(150):
        with opened(bench) as raw:
            body = bytearray(source.choice(bodies))
            for _ in range(source.randrange(1, 8)):
                body[source.randrange(len(body))] = source.randrange(256)
            raw.message(bytes(body))
            raw.socket.settimeout(5)
            raw.frame()  # an answer, or the end: never silence

    async def run() -> None:
        assert len(await Client(bench.settings.endpoint).connect_and_get_server_endpoints()) == 14

    asyncio.run(run())
