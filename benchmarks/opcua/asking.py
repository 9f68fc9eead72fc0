"""Scenarios of request and response: one session, one request after the other, answers checked at the beginning and the end."""

from __future__ import annotations

import asyncio
import struct
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.opcua.link import Link, Refused
from benchmarks.opcua.listening import subscribe
from benchmarks.opcua.space import ADD, FOLDER, SETS, set_node, var
from cnctwin.wire import decoder
from cnctwin.wire.budget import Budget
from cnctwin.wire.scalars import ua

WARM_UP = 20


def reading(namespace: int, nodes: list[Any]) -> Any:
    request = ua.ReadRequest()
    request.Parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
    request.Parameters.NodesToRead = [ua.ReadValueId(node, ua.UInt32(13)) for node in nodes]
    return request


class Asking:
    """Sends ``request`` again as soon as it is answered; ``per`` operations each. ``check`` raises Refused for a wrong answer."""

    response: Any = None

    def __init__(self, port: int, identity: Any, namespace: int, items: int) -> None:
        self.namespace = namespace
        self.items = items
        self.per = items
        self._port, self._identity = port, identity
        self._count = 0
        self._answer = b""
        self._stopped: asyncio.Future[None] | None = None
        self._seconds = 0.0

    def request(self) -> Any:
        raise NotImplementedError

    def check(self, response: Any) -> None:
        raise NotImplementedError

    async def check_after(self) -> None:
        """What only shows when all is over."""

    async def prepare(self) -> None:
        self.link = await Link(self._identity).open(self._port)
        self._body = self.link.built(self.request())
        for _ in range(WARM_UP):
            self.check(await self.link.ask(self.request(), self.response))

    async def start(self) -> None:
        self._seconds = time.perf_counter()
        self.link.heard = self._heard
        self.link.send(self._body)

    def _heard(self, message: bytes) -> None:
        self._count += 1
        if self._stopped is None:
            self.link.send(self._body)
        else:
            self._answer = message
            self._stopped.set_result(None)

    async def stop(self) -> dict[str, float]:
        self._stopped = asyncio.get_running_loop().create_future()
        await asyncio.wait_for(self._stopped, 60)
        seconds = time.perf_counter() - self._seconds
        (status,) = struct.unpack_from("<I", self._answer, 16)
        if status:
            raise Refused(ua.StatusCode(status).name)
        self.check(decoder(self.response)(self._answer, 0, Budget())[0])
        self.link.heard = self.link._answer
        await self.check_after()
        await self.link.end()
        return {"operations": self._count * self.per, "seconds": seconds}


class Reading(Asking):
    """Values of the first ``items`` variables, with both timestamps."""

    response = ua.ReadResponse

    def request(self) -> Any:
        return reading(self.namespace, [var(number, self.namespace) for number in range(self.items)])

    def check(self, response: Any) -> None:
        ticks = {one.Value.Value - number for number, one in enumerate(response.Results)}
        if len(response.Results) != self.items or len(ticks) > 2:  # two, where a tick falls into a long Read
            raise Refused("values that do not belong together")


class Writing(Asking):
    response = ua.WriteResponse

    def request(self) -> Any:
        request = ua.WriteRequest()
        for number in range(self.items):
            value = ua.DataValue(ua.Variant(number + 0.5, ua.VariantType.Double))
            request.Parameters.NodesToWrite.append(
                ua.WriteValue(set_node(number % SETS, self.namespace), ua.UInt32(13), None, value)
            )
        return request

    def check(self, response: Any) -> None:
        bad = [one.name for one in response.Results if not one.is_good()]
        if bad or len(response.Results) != self.items:
            raise Refused(f"Write: {bad[:1]}")

    async def check_after(self) -> None:
        nodes = [set_node(number, self.namespace) for number in range(self.items)]
        found = await self.link.ask(reading(self.namespace, nodes), ua.ReadResponse)
        if [one.Value.Value for one in found.Results] != [number + 0.5 for number in range(self.items)]:
            raise Refused("what was written is not there")


class Browsing(Asking):
    """References of the folder, as many as there are: operations are references."""

    response = ua.BrowseResponse

    def request(self) -> Any:
        request = ua.BrowseRequest()
        references = ua.NodeId(ua.ObjectIds.HierarchicalReferences)
        request.Parameters.NodesToBrowse = [
            ua.BrowseDescription(
                ua.NodeId(FOLDER, self.namespace), ua.BrowseDirection.Forward, references, True, ua.UInt32(0), ua.UInt32(63)
            )
        ]
        return request

    def check(self, response: Any) -> None:
        self.per = len(response.Results[0].References or [])
        if self.per < self.items:
            raise Refused(f"{self.per} references")


class Calling(Asking):
    response = ua.CallResponse

    def request(self) -> Any:
        request = ua.CallRequest()
        given = [ua.Variant(number, ua.VariantType.Double) for number in (1.5, 2.25)]
        request.Parameters.MethodsToCall = [
            ua.CallMethodRequest(ua.NodeId(FOLDER, self.namespace), ua.NodeId(ADD, self.namespace), given)
        ]
        return request

    def check(self, response: Any) -> None:
        result = response.Results[0]
        if not result.StatusCode.is_good() or result.OutputArguments[0].Value != 3.75:
            raise Refused(f"Call: {result.StatusCode.name}")


class Together:
    """Sessions that each do the same, none waiting for another."""

    def __init__(self, parts: Sequence[Asking]) -> None:
        self._parts = parts

    async def prepare(self) -> None:
        for part in self._parts:
            await part.prepare()

    async def start(self) -> None:
        for part in self._parts:
            await part.start()

    async def stop(self) -> dict[str, float]:
        reports = await asyncio.gather(*(part.stop() for part in self._parts))
        return {"operations": sum(one["operations"] for one in reports), "seconds": max(one["seconds"] for one in reports)}


class Connecting:
    """Connections with a session, opened and closed one after the other."""

    def __init__(self, port: int, identity: Any, _namespace: int, _items: int) -> None:
        self._port, self._identity = port, identity
        self._running = True
        self._task: asyncio.Task[int] | None = None
        self._seconds = 0.0

    async def _one(self) -> None:
        link = await Link(self._identity).open(self._port)
        await link.end()

    async def prepare(self) -> None:
        await self._one()

    async def start(self) -> None:
        self._seconds = time.perf_counter()
        self._task = asyncio.create_task(self._all())

    async def _all(self) -> int:
        count = 0
        while self._running:
            await self._one()
            count += 1
        return count

    async def stop(self) -> dict[str, float]:
        self._running = False
        count = await self._task if self._task is not None else 0
        return {"operations": count, "seconds": time.perf_counter() - self._seconds}


class Holding:
    """Sessions that are open and, after ``start``, have a subscription with items: for what they take in memory."""

    def __init__(self, port: int, identity: Any, namespace: int, sessions: int, items: int) -> None:
        self._terms = port, identity, namespace, sessions, items
        self._links: list[Link] = []

    async def prepare(self) -> None:
        port, identity, _namespace, sessions, _items = self._terms
        self._links = [await Link(identity).open(port) for _ in range(sessions)]

    async def start(self) -> None:
        for link in self._links:
            await subscribe(link, self._terms[2], self._terms[4])

    async def stop(self) -> dict[str, float]:
        await asyncio.gather(*(link.end() for link in self._links))
        return {"operations": len(self._links), "seconds": 0.0}


__all__ = ["Browsing", "Calling", "Connecting", "Holding", "Reading", "Together", "Writing"]
