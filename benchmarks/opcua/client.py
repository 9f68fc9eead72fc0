"""A client that costs little: prebuilt requests over policy None, responses counted rather than decoded. A process of its own.

python -m benchmarks.opcua.client SCENARIO PORT NAMESPACE SERVER_PID SECONDS SESSIONS ITEMS   ->  one line of JSON
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import time
from typing import Any

import psutil

from benchmarks.opcua.ours import BASE
from cnctwin.wire import decoder, encode
from cnctwin.wire.budget import Budget
from cnctwin.wire.scalars import ua

_PUBLISH = encode(ua.FourByteNodeId(826))
_OUTSTANDING = 3


class Link:
    """One connection with a session; requests are answered in order, or counted (Publish)."""

    def __init__(self) -> None:
        self.token = b"\x00\x00"
        self._sequence = 1
        self._channel = b"\x00" * 8

    async def open(self, port: int) -> None:
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        url = f"opc.tcp://127.0.0.1:{port}"
        body = struct.pack("<IIIII", 0, 1 << 16, 1 << 16, 1 << 24, 4096) + encode(url, ua.String)
        self.writer.write(b"HELF" + struct.pack("<I", len(body) + 8) + body)
        await self._frame()
        policy = b"http://opcfoundation.org/UA/SecurityPolicy#None"
        request = ua.OpenSecureChannelRequest()
        request.Parameters.SecurityMode = ua.MessageSecurityMode.None_
        request.Parameters.RequestedLifetime = 3_600_000
        head = struct.pack("<i", len(policy)) + policy + struct.pack("<ii", -1, -1) + struct.pack("<II", 1, 1)
        message = head + encode(request)
        self.writer.write(b"OPNF" + struct.pack("<II", len(message) + 12, 0) + message)
        frame = await self._frame()
        skip = 12 + 4 + len(policy) + 8 + 8
        response, _p = decoder(ua.OpenSecureChannelResponse)(frame, skip, Budget())
        token = response.Parameters.SecurityToken
        self._channel = struct.pack("<II", token.ChannelId, token.TokenId)
        create = ua.CreateSessionRequest()
        create.Parameters.EndpointUrl = url
        create.Parameters.SessionName = "bench"
        create.Parameters.RequestedSessionTimeout = 60_000
        create.Parameters.ClientNonce = os.urandom(32)  # node-opcua refuses one it has seen
        create.Parameters.ClientDescription.ApplicationUri = "urn:bench:client"
        made = (await self.ask(create, ua.CreateSessionResponse)).Parameters
        endpoint = next(e for e in made.ServerEndpoints if e.SecurityMode == ua.MessageSecurityMode.None_)
        policy_id = next(t.PolicyId for t in endpoint.UserIdentityTokens if t.TokenType == ua.UserTokenType.Anonymous)
        self.token = encode(made.AuthenticationToken)
        activate = ua.ActivateSessionRequest()
        activate.Parameters.UserIdentityToken = ua.AnonymousIdentityToken(policy_id)
        await self.ask(activate, ua.ActivateSessionResponse)

    async def _frame(self) -> bytes:
        head = await self.reader.readexactly(8)
        (size,) = struct.unpack_from("<I", head, 4)
        body = head + await self.reader.readexactly(size - 8)
        if head[:3] == b"ERR":
            raise ConnectionError(body[8:].hex())
        return body

    async def message(self) -> bytes:
        """A whole response, from its type id on."""
        parts = []
        while True:
            frame = await self._frame()
            parts.append(frame[24:])
            if frame[3:4] == b"F":
                return b"".join(parts)

    def request(self, body: bytes) -> bytes:
        self._sequence += 1
        return b"".join(
            (b"MSGF", struct.pack("<I", len(body) + 24), self._channel, struct.pack("<II", self._sequence, self._sequence), body)
        )

    def built(self, request: Any) -> bytes:
        """Type id, header with our token, parameters."""
        request.RequestHeader.TimeoutHint = 600_000
        body = encode(request)
        type_id = encode(request.TypeId)
        header = encode(request.RequestHeader)
        return (
            type_id + self.token + header[len(encode(request.RequestHeader.AuthenticationToken)) :] + body[len(type_id + header) :]
        )

    async def ask(self, request: Any, response: Any) -> Any:
        self.writer.write(self.request(self.built(request)))
        answer = await self.message()
        (status,) = struct.unpack_from("<I", answer, 16)
        if status >> 31:
            raise ConnectionError(f"{type(request).__name__}: 0x{status:08X}")
        return decoder(response)(answer, 0, Budget())[0]

    async def close(self) -> None:
        self.writer.close()


def publish_body(token: bytes, acknowledged: tuple[int, int] | None) -> bytes:
    head = _PUBLISH + token + struct.pack("<qIIiI", 0, 0, 0, -1, 600_000) + b"\x00\x00\x00"
    return head + (struct.pack("<iII", 1, *acknowledged) if acknowledged else struct.pack("<i", 0))


async def subscribed(link: Link, namespace: int, items: int) -> None:
    create = ua.CreateSubscriptionRequest()
    create.Parameters.RequestedPublishingInterval = 100.0
    create.Parameters.RequestedLifetimeCount = 10_000
    create.Parameters.RequestedMaxKeepAliveCount = 100
    number = (await link.ask(create, ua.CreateSubscriptionResponse)).Parameters.SubscriptionId
    for start in range(0, items, 1_000):
        asked = ua.CreateMonitoredItemsRequest()
        asked.Parameters.SubscriptionId = number
        asked.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Source
        for index in range(start, min(items, start + 1_000)):
            parameters = ua.MonitoringParameters(index, 100.0, ua.ExtensionObject(), 1, True)
            target = ua.ReadValueId(ua.NodeId(BASE + index, namespace), ua.UInt32(13))
            asked.Parameters.ItemsToCreate.append(ua.MonitoredItemCreateRequest(target, ua.MonitoringMode.Reporting, parameters))
        made = await link.ask(asked, ua.CreateMonitoredItemsResponse)
        if not all(one.StatusCode.is_good() for one in made.Results):
            raise ConnectionError(str(made.Results[0].StatusCode))


async def listen(link: Link, counts: list[int]) -> None:
    for _ in range(_OUTSTANDING):
        link.writer.write(link.request(publish_body(link.token, None)))
    while True:
        answer = await link.message()
        p = 28
        number, available = struct.unpack_from("<Ii", answer, p)
        p += 8 + 4 * max(available, 0) + 1
        sequence, _time, parts = struct.unpack_from("<Iqi", answer, p)
        if parts > 0:
            counts[0] += struct.unpack_from("<i", answer, p + 16 + 9)[0]
        counts[1] += 1
        link.writer.write(link.request(publish_body(link.token, (number, sequence) if parts > 0 else None)))


async def fan_out(port: int, namespace: int, server: psutil.Process, seconds: float, sessions: int, items: int) -> dict[str, float]:
    links = [Link() for _ in range(sessions)]
    for link in links:
        await link.open(port)
        await subscribed(link, namespace, items)
    counts = [0, 0]
    tasks = [asyncio.create_task(listen(link, counts)) for link in links]
    await asyncio.sleep(1.5)
    start, before, cpu = time.perf_counter(), counts[0], _cpu(server)
    await asyncio.sleep(seconds)
    took, told, used = time.perf_counter() - start, counts[0] - before, _cpu(server) - cpu
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled() and task.exception() is not None:
            raise ConnectionError(str(task.exception()))
    return {"cpu_us": used / max(told, 1) * 1e6, "rate": told / took, "core": used / took}


async def repeat(link: Link, request: Any, server: psutil.Process, seconds: float, per: int) -> dict[str, float]:
    """One request after the other, for a time; figures per element."""
    body = link.built(request)
    count = 0
    for _ in range(20):
        link.writer.write(link.request(body))
        answer = await link.message()
    start, cpu = time.perf_counter(), _cpu(server)
    while time.perf_counter() - start < seconds:
        link.writer.write(link.request(body))
        answer = await link.message()
        count += per
    if struct.unpack_from("<I", answer, 16)[0] >> 31:
        raise ConnectionError(f"{type(request).__name__}: 0x{struct.unpack_from('<I', answer, 16)[0]:08X}")
    if isinstance(request, ua.BrowseRequest):  # per reference, as many as there really were
        found = decoder(ua.BrowseResponse)(answer, 0, Budget())[0].Results[0]
        count = count // per * len(found.References or [])
        if not count:
            raise ConnectionError(f"no references: {found.StatusCode}")
    took, used = time.perf_counter() - start, _cpu(server) - cpu
    return {"cpu_us": used / count * 1e6, "rate": count / took, "core": used / took}


def _cpu(server: psutil.Process) -> float:
    times = server.cpu_times()
    return float(times.user + times.system)


def request_of(scenario: str, namespace: int, items: int) -> tuple[Any, int]:
    node = ua.NodeId
    if scenario == "read":
        asked = ua.ReadRequest()
        asked.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        asked.Parameters.NodesToRead = [ua.ReadValueId(node(BASE + n, namespace), ua.UInt32(13)) for n in range(items)]
        return asked, items
    if scenario == "write":
        write = ua.WriteRequest()
        value = ua.DataValue(ua.Variant(1.0, ua.VariantType.Double))
        write.Parameters.NodesToWrite = [ua.WriteValue(node(BASE - 10, namespace), ua.UInt32(13), None, value)] * items
        return write, items
    if scenario == "browse":
        browse = ua.BrowseRequest()
        browse.Parameters.RequestedMaxReferencesPerNode = 0
        browse.Parameters.NodesToBrowse = [
            ua.BrowseDescription(
                node(BASE - 1, namespace), ua.BrowseDirection.Forward, node(33, 0), True, ua.UInt32(0), ua.UInt32(63)
            )
        ]
        return browse, items
    call = ua.CallRequest()
    call.Parameters.MethodsToCall = [ua.CallMethodRequest(node(BASE - 1, namespace), node(BASE - 2, namespace), [])]
    return call, 1


async def main(scenario: str, port: int, namespace: int, pid: int, seconds: float, sessions: int, items: int) -> dict[str, float]:
    server = psutil.Process(pid)
    if scenario == "subscribe":
        return await fan_out(port, namespace, server, seconds, sessions, items)
    if scenario == "connect":
        start, cpu, count = time.perf_counter(), _cpu(server), 0
        while time.perf_counter() - start < seconds:
            link = Link()
            await link.open(port)
            await link.ask(ua.CloseSessionRequest(), ua.CloseSessionResponse)
            await link.close()
            count += 1
        took, used = time.perf_counter() - start, _cpu(server) - cpu
        return {"cpu_us": used / count * 1e6, "rate": count / took, "core": used / took}
    link = Link()
    await link.open(port)
    request, per = request_of(scenario, namespace, items)
    return await repeat(link, request, server, seconds, per)


if __name__ == "__main__":
    import uvloop

    action, port, namespace, pid, seconds, sessions, items = sys.argv[1:8]
    print(json.dumps(uvloop.run(main(action, int(port), int(namespace), int(pid), float(seconds), int(sessions), int(items)))))
