"""Thousands of wrong frames at the real socket: each is answered or its connection closed, nothing is a bug, and nothing stays.

Seconds are not asserted: what a frame costs is counted in memory (tests/cnctwin/wire/test_fuzz.py) and measured in processor time
by ``cnctwin bench attacks``. ``CNCTWIN_FUZZ_SLICES=50`` looks longer.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import struct
from collections.abc import Iterator

import psutil
import pytest
from asyncua import ua

from certs.application import load_certificate
from opcua_server.engine.configuration import room as configuration
from opcua_server.engine.contract import Limits
from opcua_server.engine.engine import Engine
from opcua_server.engine.subscriptions import service as subscriptions
from tests.certs.authority import der
from tests.opcua_server.bench import Bench
from tests.opcua_server.engine import mutants
from tests.opcua_server.engine.bench import running
from tests.opcua_server.engine.raw import Raw, opened, request
from tests.opcua_server.engine.strangers import Session, assert_well

SLICES = int(os.environ.get("CNCTWIN_FUZZ_SLICES", "1"))
STRUCTURED, RANDOM = 800, 400
"""Frames of one slice."""
C = ua.StatusCodes
MAX_GROWTH_BYTES = 64 << 20


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    """Without security everybody is an engineer: the frames reach every service."""
    rooms = [subscriptions.services, configuration.services]
    limits = Limits(handshake_s=30.0, sessions=5_000)  # what a broken connection leaves waits for its timeout
    with running(tmp_path_factory.mktemp("fuzz"), engines, insecure=True, limits=limits, rooms=rooms) as made:
        yield made


@pytest.fixture(autouse=True)
def nothing_is_a_bug_and_nothing_stays(bench: Bench, engines: list[Engine], caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.ERROR)
    yield
    assert_well(bench, engines[0], caplog)


@pytest.mark.parametrize("part", range(SLICES))
def test_requests_damaged_at_a_field_are_answered_or_closed(bench: Bench, part: int) -> None:
    process = psutil.Process()
    made = mutants.Mutants(1_000 + part, [ua.NodeId("CNC-001", index) for index in range(2, 12)])
    session, closed, number = Session(bench), 0, 0
    before = process.memory_info().rss
    for _ in range(STRUCTURED):
        number += 1
        body = made.request(session.token)
        if len(body) > 60_000:
            continue
        if not session.send(body, number) or (number % 100 == 0 and not session.settled()):
            session.close()
            session = Session(bench)
            closed += 1
    if not session.settled():
        closed += 1
    session.close()
    assert closed < STRUCTURED / 2, "most requests must come through, or nothing but the door was tried"
    assert process.memory_info().rss - before < MAX_GROWTH_BYTES


@pytest.mark.parametrize("part", range(SLICES))
def test_random_frames_are_answered_or_closed(bench: Bench, part: int) -> None:
    source = random.Random(part)  # noqa: S311 - a seed, so that a failure can be repeated
    kinds = [b"HEL", b"OPN", b"MSG", b"CLO", b"ACK", b"ERR", b"RHE", bytes(3)]
    for _ in range(RANDOM // 4):
        with opened(bench) if source.random() < 0.5 else Raw(bench) as raw:
            for _ in range(4):
                content = source.randbytes(source.choice([0, 4, 16, 100, 2_000]))
                if raw.channel and source.random() < 0.5:
                    raw.message(content, chunk=source.choice([b"F", b"F", b"C", b"A"]))
                    continue
                size = source.choice([len(content) + 8, len(content) + 8, 0, 7, 2**31, 2**32 - 1])
                raw.send(source.choice(kinds) + source.choice([b"F", b"C", b"A", b"X"]) + struct.pack("<I", size) + content)
            raw.send(b"GET / HTTP/1.1\r\n\r\n" * 200)  # whatever came before: this ends it
            raw.socket.settimeout(60)
            raw.end()  # raises when the server neither answers nor closes


ATTACKS = {
    "deep Variants": mutants.nested(1_000),
    "deep structures": mutants.nested_structures(500),
    "an array of Null": bytes([24 | 0x80]) + struct.pack("<i", 60_000) + bytes(50_000),
    "an array that lies": bytes([12 | 0x80]) + struct.pack("<i", 2**31 - 1),
    "a negative length": bytes([12]) + struct.pack("<i", -(2**31)),
    "dimensions that overflow": bytes([6 | 0xC0]) + struct.pack("<iiiii", 1, 0, 2, 2**30, 2**30),
    "text that is no UTF-8": bytes([12]) + struct.pack("<i", 4) + b"\xff\xfe\xfd\xfc",
    "an unknown structure": b"\x16\x01\x00\xff\xff\x01" + struct.pack("<i", 4) + bytes(4),
    "a type that is none": bytes([62]) + bytes(20),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_values_that_were_made_to_harm_are_refused_before_they_cost_anything(bench: Bench, name: str) -> None:
    with contextlib.closing(Session(bench)) as session:
        _try(session, ATTACKS[name])


def _try(session: Session, value: bytes) -> None:
    """Write a value that is made by hand."""
    write = ua.WriteRequest()
    write.RequestHeader.AuthenticationToken = session.token
    write.Parameters.NodesToWrite = [ua.WriteValue(ua.NodeId(2258), 13, None, ua.DataValue(ua.Variant(True)))]
    body = request(write)
    assert body.endswith(b"\x03\x01\x01" + bytes(4))
    session.raw.message(body[:-7] + b"\x01" + value, request=1)
    frame = session.raw.frame()
    kind, status = struct.unpack_from("<H", frame, 26)[0], struct.unpack_from("<I", frame, 40)[0]
    assert frame[:3] == b"MSG"
    assert kind == 397 or status == 0, "a fault, or a result for each node"
    if kind == 397:
        assert status in (C.BadDecodingError, C.BadEncodingLimitsExceeded)


def test_a_chain_of_certificates_without_end_is_refused(bench: Bench) -> None:
    """OPN whose sender certificate is the same certificate again and again."""
    own = load_certificate(bench.settings.data / "pki" / "server" / "own" / "cert.der")
    sender = der(*[own] * 60)
    uri = b"http://opcfoundation.org/UA/SecurityPolicy#Basic256Sha256"
    with Raw(bench) as raw:
        raw.hello()
        body = struct.pack("<Ii", 0, len(uri)) + uri + struct.pack("<i", len(sender)) + sender
        body += struct.pack("<i", 20) + bytes(20) + bytes(256)
        raw.send(struct.pack("<3scI", b"OPN", b"F", 8 + len(body)) + body)
        assert raw.end() in (C.BadCertificateInvalid, C.BadTcpMessageTooLarge)
