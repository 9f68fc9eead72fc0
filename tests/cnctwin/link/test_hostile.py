"""A server that means harm, at the first word: GetEndpoints goes over a channel that nothing protects yet."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from asyncua.ua.ua_binary import struct_to_binary

from cnctwin.link import bounds, connect, link
from cnctwin.wire import DecodingError
from nodesets.binding import Bound

Answer = Callable[[asyncio.StreamWriter, int], Awaitable[None]]
MEGABYTE = 1 << 20


def frame(kind: bytes, body: bytes) -> bytes:
    return struct.pack("<4sI", kind, 8 + len(body)) + body


def answer(body: bytes, request: int, chunk: bytes = b"F", sequence: int = 2) -> bytes:
    return frame(b"MSG" + chunk, struct.pack("<IIII", 1, 1, sequence, request) + body)


def endpoints(additional: bytes = b"\x00\x00\x00", array: bytes = b"\x00\x00\x00\x00") -> bytes:
    """A GetEndpointsResponse; ``additional``: the AdditionalHeader, as it is written."""
    header = struct.pack("<qII", 0, 1, 0) + b"\x00" + struct.pack("<i", 0) + additional
    return b"\x01\x00" + struct.pack("<H", 431) + header + array


def additional(variant: bytes) -> bytes:
    """AdditionalParameters with one value."""
    body = struct.pack("<i", 1) + struct.pack("<Hi", 0, 1) + b"k" + variant
    return b"\x01\x00" + struct.pack("<H", 17537) + b"\x01" + struct.pack("<i", len(body)) + body


async def asked(folder: Path, what: Answer) -> None:
    """What a program of ours makes of a server that answers its first question so."""

    served: list[asyncio.Task[Any]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served.append(task)
        try:
            await words(reader, writer)
        finally:
            writer.transport.abort()

    async def words(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                kind, size = struct.unpack("<4sI", await reader.readexactly(8))
                body = await reader.readexactly(size - 8)
                if kind == b"HELF":
                    writer.write(frame(b"ACKF", struct.pack("<IIIII", 0, 65_535, 65_535, 0, 0)))
                elif kind == b"OPNF":
                    uri = b"http://opcfoundation.org/UA/SecurityPolicy#None"
                    made = ua.OpenSecureChannelResponse()
                    made.Parameters.SecurityToken.ChannelId = made.Parameters.SecurityToken.TokenId = 1
                    made.Parameters.SecurityToken.RevisedLifetime = 60_000
                    head = struct.pack("<Ii", 1, len(uri)) + uri + b"\xff" * 8 + struct.pack("<II", 1, 1)
                    writer.write(frame(b"OPNF", head + struct_to_binary(made)))
                else:
                    (request,) = struct.unpack_from("<I", body, 12)
                    await what(writer, request)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"opc.tcp://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        login = connect.Login()
        try:
            async with asyncio.timeout(60), connect.session(url, "test", folder, login, insecure=False):
                pass
        finally:
            for task in served:
                task.cancel()
            await asyncio.gather(*served, return_exceptions=True)
            await asyncio.sleep(0)


def run(folder: Path, what: Answer) -> None:
    asyncio.run(asked(folder, what))


def test_a_server_that_offers_nothing_is_refused(tmp_path: Path) -> None:
    """That the frames made by hand are read at all."""

    async def nothing(writer: asyncio.StreamWriter, request: int) -> None:
        writer.write(answer(endpoints(additional(b"\x01\x01")), request))

    with pytest.raises(connect.Refused, match="no endpoint"):
        run(tmp_path, nothing)


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(b"\x80" + struct.pack("<i", 3_000_000), id="an array of nothing"),
        pytest.param(b"\xc6" + struct.pack("<iiii", 0, 2, 1_000, 900), id="a matrix without elements"),
        pytest.param((b"\x98" + struct.pack("<i", 1)) * 300 + b"\x00", id="variants in variants"),
    ],
)
def test_what_says_it_is_more_than_its_bytes_is_refused(tmp_path: Path, variant: bytes) -> None:
    async def lies(writer: asyncio.StreamWriter, request: int) -> None:
        writer.write(answer(endpoints(additional(variant)), request))

    with pytest.raises(DecodingError):
        run(tmp_path, lies)


def test_chunks_without_end_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MESSAGE_BYTES", MEGABYTE)
    sent = 0

    async def endless(writer: asyncio.StreamWriter, request: int) -> None:
        nonlocal sent
        while not writer.is_closing():
            sent += 1
            writer.write(answer(bytes(60_000), request, b"C", sent + 1))
            await writer.drain()

    with pytest.raises(ua.UaStatusCodeError) as refused:
        run(tmp_path, endless)
    assert refused.value.code == ua.StatusCodes.BadRequestTooLarge


def test_a_frame_of_gigabytes_is_not_waited_for(tmp_path: Path) -> None:
    async def huge(writer: asyncio.StreamWriter, _request: int) -> None:
        writer.write(struct.pack("<4sI", b"MSGF", 0xFFFF_FFFF))

    with pytest.raises(ua.UaStatusCodeError) as refused:
        run(tmp_path, huge)
    assert refused.value.code == ua.StatusCodes.BadTcpMessageTooLarge


def test_what_the_server_says_of_sizes_does_not_change_ours(tmp_path: Path) -> None:
    limits = bounds._Limits(bounds.FRAME_BYTES, bounds.FRAME_BYTES, bounds.CHUNKS, bounds.MESSAGE_BYTES)
    limits.update_client_limits(ua.Acknowledge(0, 1, 4_000_000_000, 0, 0))
    assert (limits.max_recv_buffer, limits.max_chunk_count, limits.max_message_size) == (65_535, 4_096, 64 << 20)
    assert limits.max_send_buffer == 8_192


def test_a_machine_whose_name_is_a_megabyte_is_left_out_and_of_a_plate_the_beginning_is_kept(
    caplog: pytest.LogCaptureFixture,
) -> None:
    node, long = ua.NodeId("Mill", 3), "x" * MEGABYTE
    plate = {"manufacturer": long, "model": long, "serial_number": long, "location": long}

    async def bind(_client: Any) -> dict[str, Bound]:
        return {"Mill": Bound("Mill", node, **plate), long: Bound(long, node)}

    client: Any = None
    named = link._with_names(bind)
    for _ in range(2):  # it is looked for again and again
        found = asyncio.run(named(client))
    assert list(found) == ["Mill"]
    (record,) = caplog.records
    assert "1048576 characters" in record.getMessage()
    assert len(record.getMessage()) < 200
    made = link._machine(found["Mill"])
    assert {made.manufacturer, made.model, made.serial_number, made.location} == {"x" * 256}
