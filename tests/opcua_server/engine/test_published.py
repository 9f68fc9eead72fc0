"""Weaknesses that were published of other servers, tried at ours: what each did there is in docs/security.md.

The rest of that list is tested where the thing itself is: nested values (test_fuzz.py), chunks without end, and strangers who say
nothing (test_doors.py), subscriptions that are left behind (test_limits.py), certificates that sign each other (test_trust.py),
nodes that go while they are browsed (test_files.py).
"""

from __future__ import annotations

import logging
import struct
from collections.abc import Iterator
from typing import Any

import pytest
from asyncua import ua

from opcua_server.engine.configuration import room as configuration
from opcua_server.engine.contract import Limits
from opcua_server.engine.engine import Engine
from opcua_server.engine.subscriptions import service as subscriptions
from tests.harness import wait_for
from tests.opcua_server.bench import Bench
from tests.opcua_server.engine.bench import running
from tests.opcua_server.engine.raw import opened, request
from tests.opcua_server.engine.strangers import Session, assert_well

C = ua.StatusCodes
SERVER, GET_ITEMS = ua.NodeId(2253), ua.NodeId(11492)
NO_TEXT = b"\xc3\x28\xa0\xa1\xfe\xff\xed\xa0\x80"
"""Bytes that UTF-8 does not have: a broken pair, a lone continuation, a surrogate."""


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    rooms = [subscriptions.services, configuration.services]
    limits = Limits(handshake_s=30.0)
    with running(tmp_path_factory.mktemp("published"), engines, insecure=True, limits=limits, rooms=rooms) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_is_a_bug_and_nothing_stays(bench: Bench, engines: list[Engine], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.ERROR)
    yield
    assert_well(bench, engines[0], caplog)


def test_calls_whose_caller_has_gone_end_with_it(bench: Bench, engines: list[Engine]) -> None:
    """A thousand methods in each of twenty requests, and the connection is cut before the first is answered."""
    session = Session(bench)
    create = ua.CreateSubscriptionRequest()
    create.RequestHeader.AuthenticationToken = session.token
    number = session.ask(create, ua.CreateSubscriptionResponse).Parameters.SubscriptionId
    call = ua.CallRequest()
    call.RequestHeader.AuthenticationToken = session.token
    one = ua.CallMethodRequest(SERVER, GET_ITEMS, [ua.Variant(number, ua.VariantType.UInt32)])
    call.Parameters.MethodsToCall = [one] * 1_000
    body = request(call)
    assert len(body) < 1 << 16
    for index in range(20):
        session.raw.message(body, request=index + 1)
    session.close()
    wait_for(lambda: not engines[0].connections, "the connection is gone")


def test_requests_that_end_too_early_keep_nobody_waiting(bench: Bench) -> None:
    """Two hundred Writes with one byte where their parameters should be: each is answered, and the session goes on."""
    session = Session(bench)
    write = ua.WriteRequest()
    write.RequestHeader.AuthenticationToken = session.token
    body = request(write)
    for index in range(200):
        session.raw.message(body[:-4] + b"\xff", request=index + 1)
    assert [session.raw.fault() for _ in range(200)] == [C.BadDecodingError] * 200
    read = ua.ReadRequest()
    read.RequestHeader.AuthenticationToken = session.token
    read.Parameters.NodesToRead = [ua.ReadValueId(ua.NodeId(2258), ua.UInt32(13))]
    assert session.ask(read, ua.ReadResponse).Results[0].StatusCode.is_good()
    session.close()


def texts(session: Session, text: str) -> dict[str, Any]:
    """A request for each place where a client may put a text."""
    create = ua.CreateSessionRequest()
    create.Parameters.SessionName = text
    read = ua.ReadRequest()
    read.Parameters.NodesToRead = [ua.ReadValueId(ua.NodeId(text, 2), ua.UInt32(13))]
    write = ua.WriteRequest()
    write.Parameters.NodesToWrite = [ua.WriteValue(ua.NodeId(2258), ua.UInt32(13), None, ua.DataValue(ua.Variant([text])))]
    path = ua.TranslateBrowsePathsToNodeIdsRequest()
    element = ua.RelativePathElement(ua.NodeId(33), False, True, ua.QualifiedName(text))
    path.Parameters.BrowsePaths = [ua.BrowsePath(ua.NodeId(85), ua.RelativePath([element]))]
    call = ua.CallRequest()
    call.Parameters.MethodsToCall = [ua.CallMethodRequest(SERVER, GET_ITEMS, [ua.Variant(text)])]
    asked = {"session name": create, "node": read, "value": write, "path": path, "argument": call}
    for one in asked.values():
        one.RequestHeader.AuthenticationToken = session.token
    return asked


@pytest.mark.parametrize("place", ["session name", "node", "value", "path", "argument"])
def test_bytes_that_are_no_text_are_refused_wherever_they_stand(bench: Bench, place: str) -> None:
    session = Session(bench)
    body = request(texts(session, "?" * len(NO_TEXT))[place])
    assert body.count(b"?" * len(NO_TEXT)) == 1
    session.raw.message(body.replace(b"?" * len(NO_TEXT), NO_TEXT))
    assert session.raw.fault() == C.BadDecodingError
    session.close()


@pytest.mark.parametrize("ticks", [-(1 << 63), -1, 0, (1 << 63) - 1])
def test_a_timestamp_of_no_calendar_is_no_trouble_and_tells_nothing(bench: Bench, ticks: int) -> None:
    """CloseSession with it closes the session; the answer has no diagnostics and no text."""
    session = Session(bench)
    close = ua.CloseSessionRequest()
    close.RequestHeader.AuthenticationToken = session.token
    close.RequestHeader.ReturnDiagnostics = 0x3FF
    body = request(close)
    at = body.index(struct.pack("<I", 0x3FF)) - 12
    session.raw.message(body[:at] + struct.pack("<q", ticks) + body[at + 8 :])
    frame = session.raw.frame()
    kind, status = struct.unpack_from("<H", frame, 26)[0], struct.unpack_from("<I", frame, 40)[0]
    assert (kind, status) == (476, 0)
    assert frame[44:45] == b"\x00", "no DiagnosticInfo"
    assert struct.unpack_from("<i", frame, 45)[0] <= 0, "no texts"
    session.close()


def test_a_channel_that_is_renewed_without_end_keeps_two_tokens(bench: Bench, engines: list[Engine]) -> None:
    with opened(bench) as raw:
        for _ in range(300):
            assert raw.open(kind=1)[:3] == b"OPN"
        raw.message(request(ua.GetEndpointsRequest()))
        assert raw.frame()[:3] == b"MSG"
        (connection,) = engines[0].connections
        assert len(connection.channel._tokens) <= 2
