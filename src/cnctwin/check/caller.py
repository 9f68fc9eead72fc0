"""Requests as they are, answers as they are: asyncua's client below its own conveniences."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Final

from asyncua import Client
from asyncua import ua as _types
from asyncua.ua.ua_binary import struct_from_binary

ua: Any = _types  # its constructors are typed for their own aliases, which are plain numbers at run time
TIMEOUT_S: Final = 20.0
VALUE: Final = 13


OpenChannel = Callable[[], AbstractAsyncContextManager[Client]]


class Caller:
    """One activated session. ``url``: of the server; ``channel`` opens a further secure channel like it, without a session.

    A refused service raises ua.UaStatusCodeError.
    """

    def __init__(self, client: Client, url: str, endpoints: list[Any], channel: OpenChannel) -> None:
        self.client = client
        self.url = url
        self.endpoints = endpoints
        self.channel = channel
        self.seen: object = None
        """What a check found that later ones use too."""

    async def __call__(self, service: str, **parameters: Any) -> Any:
        """The response's parameters; the response itself where it has none."""
        request = getattr(ua, f"{service}Request")()
        for name, value in parameters.items():
            target = request if name in request.__dataclass_fields__ else request.Parameters
            if name not in target.__dataclass_fields__:
                raise TypeError(f"{service} has no parameter {name}")
            setattr(target, name, value)
        protocol: Any = self.client.uaclient.protocol
        data = await asyncio.wait_for(protocol._send_request(request, TIMEOUT_S), TIMEOUT_S)
        protocol.check_answer(data, service)
        response = struct_from_binary(getattr(ua, f"{service}Response"), data)
        response.ResponseHeader.ServiceResult.check()
        return getattr(response, "Parameters", response)

    async def results(self, service: str, **parameters: Any) -> list[Any]:
        """One result for each thing that was asked for."""
        return list((await self(service, **parameters)).Results or [])

    # Attributes -----------------------------------------------------------------------------------------------------

    async def read(self, *items: Any, timestamps: Any = None, max_age_ms: float = 0.0) -> list[Any]:
        """DataValues of ReadValueIds, or of the values of NodeIds."""
        asked = [one if isinstance(one, ua.ReadValueId) else ua.ReadValueId(one, VALUE) for one in items]
        shown = ua.TimestampsToReturn.Both if timestamps is None else timestamps
        return await self.results("Read", MaxAge=max_age_ms, TimestampsToReturn=shown, NodesToRead=asked)

    async def value(self, node_id: Any) -> Any:
        """The Python value of a variable; None where it cannot be read."""
        (found,) = await self.read(node_id)
        return found.Value.Value if found.Value is not None and found.StatusCode.is_good() else None

    # View -----------------------------------------------------------------------------------------------------------

    async def browse(self, node_id: Any, *, forward: bool = True, reference: int = 33, most: int = 0) -> Any:
        """One BrowseResult, as the server gave it. ``reference``: HierarchicalReferences (33) unless another is given."""
        direction = ua.BrowseDirection.Forward if forward else ua.BrowseDirection.Inverse
        wanted = ua.BrowseDescription(node_id, direction, ua.NodeId(reference), True, 0, 63)
        return (await self.results("Browse", RequestedMaxReferencesPerNode=most, NodesToBrowse=[wanted]))[0]

    async def references(self, node_ids: list[Any], *, reference: int = 33) -> list[list[Any]]:
        """All forward references of each node, continuation points followed."""
        wanted = [ua.BrowseDescription(one, ua.BrowseDirection.Forward, ua.NodeId(reference), True, 0, 63) for one in node_ids]
        found: list[list[Any]] = []
        for result in await self.results("Browse", RequestedMaxReferencesPerNode=0, NodesToBrowse=wanted):
            references = list(result.References or [])
            point = result.ContinuationPoint
            while point:
                (more,) = await self.results("BrowseNext", ReleaseContinuationPoints=False, ContinuationPoints=[point])
                references += more.References or []
                point = more.ContinuationPoint
            found.append(references)
        return found

    # Subscriptions ---------------------------------------------------------------------------------------------------

    async def subscribe(self, interval_ms: float = 100.0, **more: Any) -> Any:
        given = {"RequestedLifetimeCount": 3000, "RequestedMaxKeepAliveCount": 10, "PublishingEnabled": True, **more}
        return await self("CreateSubscription", RequestedPublishingInterval=interval_ms, **given)

    async def monitor(self, subscription: Any, *wanted: Any) -> list[Any]:
        return await self.results(
            "CreateMonitoredItems", SubscriptionId=subscription.SubscriptionId, TimestampsToReturn=ua.TimestampsToReturn.Both,
            ItemsToCreate=list(wanted),
        )  # fmt: skip

    async def publish(self, *acknowledged: tuple[int, int]) -> Any:
        acks = [ua.SubscriptionAcknowledgement(*one) for one in acknowledged]
        return await self("Publish", SubscriptionAcknowledgements=acks)

    async def delete(self, subscription: Any) -> None:
        await self("DeleteSubscriptions", SubscriptionIds=[subscription.SubscriptionId])


def monitored(
    node_id: Any, handle: int = 1, *, attribute: int = VALUE, sampling_ms: float = 0.0, queue: int = 1, wanted: Any = None
) -> Any:
    """One MonitoredItemCreateRequest, reporting."""
    parameters = ua.MonitoringParameters(handle, sampling_ms, wanted, queue, True)
    return ua.MonitoredItemCreateRequest(ua.ReadValueId(node_id, attribute), ua.MonitoringMode.Reporting, parameters)
