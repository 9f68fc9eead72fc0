"""One subscription for all signals of all machines: made in batches, read in order, checked for gaps.

    PublishRequest x 3 in flight --> responses in the order sent --> sequence check --> notifications --> MachineState

A message whose sequence number is missing is fetched by Republish while the server still has it; what it no longer has is
reported as a gap of every machine. Keep-alives carry the next number, so a loss shows without further data, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Final, TypeVar

from asyncua import Client, ua

from cnctwin.link.state import MachineState
from cnctwin.link.values import BAD_NO_DATA, from_ticks, quality, reading, usable
from cnctwin.reading import BAD_WAITING_FOR_INITIAL_DATA, UNCERTAIN_INITIAL_VALUE, Batch, Reading
from cnctwin.wire.notifications import Message, Numbers, Published, read_published, read_republished

log = logging.getLogger(__name__)

IN_FLIGHT: Final = 3
"""PublishRequests the server always has: one is too few to answer while the next is on its way, many pile up after a stop."""
QUEUE_SIZE: Final = 16
"""Values of one signal the server keeps between two publications: a late publication loses nothing up to 16 periods."""
DEFAULT_PER_CALL: Final = 1000
LIFETIME_S: Final = 30.0
MOST_IN_A_ROW: Final = 100
"""Messages that say there are more; a server that never ends is not waited for."""
_SEQUENCE_END: Final = 2**32

T = TypeVar("T")
EventFields = Callable[[Sequence[ua.Variant]], Awaitable[None]]


class Feed:
    """The subscription. ``handed`` receives every batch; ``heard`` is when the server last answered (loop clock, s);
    ``max_age_s``: how long it may be silent and still be there, given what it made of our periods."""

    def __init__(
        self,
        client: Client,
        machines: Mapping[str, MachineState],
        handed: Callable[[Batch], None],
        *,
        interval_s: float,
        sampling_s: float,
        max_age_s: float,
    ) -> None:
        self.client = client
        self.machines = machines
        self.heard = asyncio.get_running_loop().time()
        self.messages = 0
        self._handed = handed
        self._interval_s = interval_s
        self._sampling_s = sampling_s
        self._max_age_s = self.max_age_s = max_age_s
        self._items: dict[int, tuple[MachineState, str]] = {}
        self._events: dict[int, EventFields] = {}
        self._id = 0
        self._next = 1
        self._handles = 0

    async def subscribe(self, nodes: Mapping[str, Mapping[str, ua.NodeId]]) -> None:
        """Create the subscription with an item for each signal of each machine; one that is refused reads as its refusal."""
        parameters = ua.CreateSubscriptionParameters()
        parameters.RequestedPublishingInterval = self._interval_s * 1000
        # Three keep-alives fit into the age at which data stops being current, so one that is late means nothing yet.
        keep_alive = max(1, int(self._max_age_s / 3 / self._interval_s))
        parameters.RequestedMaxKeepAliveCount = keep_alive
        parameters.RequestedLifetimeCount = max(3 * keep_alive, int(LIFETIME_S / self._interval_s))
        parameters.MaxNotificationsPerPublish = 0
        parameters.PublishingEnabled = True
        result = await self.client.uaclient.create_subscription(parameters, _nothing)
        self._id = result.SubscriptionId
        await self._agree(result.RevisedPublishingInterval, result.RevisedMaxKeepAliveCount)
        for machine_id, signals in nodes.items():
            self.machines[machine_id].expect(signals)
        wanted = [
            (self.machines[machine_id], name, node) for machine_id, signals in nodes.items() for name, node in signals.items()
        ]
        for some in chunks(wanted, await self._per_call()):
            await self._create(some)

    async def _agree(self, interval_ms: float, keep_alive: int) -> None:
        """Live with what the server made of our periods: one that publishes more slowly speaks less often than we asked, and what
        is late there is no loss. It is asked for keep-alives that are as frequent as they can be first."""
        spoken_s = interval_ms / 1000 * keep_alive
        if spoken_s > self._max_age_s / 3 and keep_alive > 1:
            parameters = ua.ModifySubscriptionParameters()
            parameters.SubscriptionId = self._id
            parameters.RequestedPublishingInterval = interval_ms
            parameters.RequestedMaxKeepAliveCount = max(1, int(self._max_age_s / 3 / (interval_ms / 1000)))
            parameters.RequestedLifetimeCount = max(3 * parameters.RequestedMaxKeepAliveCount, int(LIFETIME_S * 1000 / interval_ms))
            with contextlib.suppress(ua.UaStatusCodeError):
                result = await self.client.uaclient.modify_subscription(parameters)
                spoken_s = result.RevisedPublishingInterval / 1000 * result.RevisedMaxKeepAliveCount
        self.max_age_s = max(self._max_age_s, 3 * spoken_s)
        if self.max_age_s > self._max_age_s:
            log.info("the server speaks every %.1f s at the least: data is old after %.1f s", spoken_s, self.max_age_s)

    async def subscribe_events(self, node: ua.NodeId, event_filter: ua.EventFilter, receive: EventFields) -> None:
        """Add an item for events of a node; raises the server's refusal."""
        request = self._request(node, ua.AttributeIds.EventNotifier, 0.0, 1000)
        request.RequestedParameters.Filter = event_filter
        self._events[request.RequestedParameters.ClientHandle] = receive
        (result,) = await self._create_items([request])
        result.StatusCode.check()

    @property
    def subscription_id(self) -> int:
        return self._id

    async def publish(self) -> None:
        """Read the subscription until it ends; raises what ended it."""
        pending: deque[asyncio.Task[Published]] = deque()
        acknowledge: list[ua.SubscriptionAcknowledgement] = []
        loop, in_a_row = asyncio.get_running_loop(), 0
        try:
            while True:
                while len(pending) < IN_FLIGHT:
                    pending.append(asyncio.create_task(self._ask(acknowledge)))
                    acknowledge = []
                # The server answers requests in the order they came (OPC 10000-4, 5.14.5), so that is the order of the data.
                try:
                    result = await pending[0]
                except ua.uaerrors.BadTimeout:
                    continue
                finally:
                    pending.popleft()
                self.heard = loop.time()
                if result.subscription != self._id:
                    continue
                message = result.message
                await self._in_sequence(message, result.available)
                if message.parts:
                    acknowledge.append(ua.SubscriptionAcknowledgement(self._id, message.number))
                in_a_row = in_a_row + 1 if result.more else 0
                if in_a_row % MOST_IN_A_ROW == 0:
                    self._flush()
        finally:
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _ask(self, acknowledge: list[ua.SubscriptionAcknowledgement]) -> Published:
        """One PublishRequest. asyncua carries it; the answer, nearly all of the traffic, is read by our own codec."""
        request = ua.PublishRequest()
        request.Parameters.SubscriptionAcknowledgements = acknowledge
        body = await self.client.uaclient.session._send_request(request, timeout=0)
        return read_published(bytes(body)[: len(body)])

    async def _ask_again(self, number: int) -> Message:
        request = ua.RepublishRequest()
        request.Parameters.SubscriptionId, request.Parameters.RetransmitSequenceNumber = self._id, number
        body = await self.client.uaclient.session._send_request(request)
        return read_republished(bytes(body)[: len(body)])

    async def delete(self) -> None:
        """End the subscription on a server that goes on living."""
        with contextlib.suppress(Exception):
            await self.client.uaclient.delete_subscriptions([self._id])

    def complete(self) -> None:
        """Hand out the snapshots of machines of which some signal has not spoken."""
        now_ns = time.time_ns()
        for machine in self.machines.values():
            for batch in machine.complete(now_ns):
                self._handed(batch)

    async def _in_sequence(self, message: Message, available: Sequence[int]) -> None:
        number = message.number
        missing = (number - self._next) % (_SEQUENCE_END - 1)
        if 0 < missing < _SEQUENCE_END // 2:
            await self._fetch(missing, frozenset(available))
        if not message.parts:
            self._next = number
            return
        self._next = _after(number)
        await self._take(message)

    async def _fetch(self, missing: int, available: frozenset[int]) -> None:
        lost = 0
        number = self._next
        # Beyond the first hundred the server has surely forgotten them; asking for each would block the link.
        for _ in range(min(missing, 100)):
            if number in available:
                try:
                    await self._take(await self._ask_again(number))
                except ua.UaStatusCodeError:
                    lost += 1
            else:
                lost += 1
            number = _after(number)
        lost += max(missing - 100, 0)
        if lost:
            log.warning("%d messages of the server were lost", lost)
            for machine in self.machines.values():
                machine.mark_gap(f"{lost} messages lost on the way")

    async def _take(self, message: Message) -> None:
        self.messages += 1
        received_ns = time.time_ns()
        for data in message.parts:
            if isinstance(data, Numbers):
                self._put_numbers(data, received_ns)
            elif isinstance(data, ua.MonitoredItemNotification):
                self._put(data.ClientHandle, data.Value, received_ns)
            elif isinstance(data, ua.EventNotificationList):
                for event in data.Events:
                    receive = self._events.get(event.ClientHandle)
                    if receive is not None:
                        await receive(event.EventFields)
            elif isinstance(data, ua.StatusChangeNotification):
                data.Status.check()

    def _put_numbers(self, run: Numbers, received_ns: int) -> None:
        """A run of numbers with all their times. One without a value, or with a time before all times, is read as it is alone."""
        values = run.values.tolist() if run.values is not None else [None] * len(run.handles)
        rows = zip(run.handles.tolist(), values, run.statuses.tolist(), run.sources.tolist(), run.servers.tolist(), strict=True)
        for handle, value, code, source, server in rows:
            place = self._items.get(handle)
            if place is None:
                continue
            machine, name = place
            status, overflow = quality(code)
            if overflow:
                machine.mark_gap(f"{name}: the server's queue overflowed")
            if status == UNCERTAIN_INITIAL_VALUE:
                value, status = None, BAD_WAITING_FOR_INITIAL_DATA
            elif status >> 31:
                value = None
            elif value is None:
                status = BAD_NO_DATA
            server_ns = usable(from_ticks(server), received_ns)
            machine.add(Reading(name, value, status, usable(from_ticks(source), server_ns), server_ns))

    def _put(self, handle: int, data: ua.DataValue, received_ns: int) -> None:
        place = self._items.get(handle)
        if place is None:
            return
        machine, name = place
        item, overflow = reading(name, data, received_ns)
        if overflow:
            machine.mark_gap(f"{name}: the server's queue overflowed")
        machine.add(item)

    def _flush(self) -> None:
        for machine in self.machines.values():
            for batch in machine.flush():
                self._handed(batch)

    async def _create(self, wanted: Sequence[tuple[MachineState, str, ua.NodeId]]) -> None:
        requests = []
        for machine, name, node in wanted:
            request = self._request(node, ua.AttributeIds.Value, self._sampling_s * 1000, QUEUE_SIZE)
            self._items[request.RequestedParameters.ClientHandle] = (machine, name)
            requests.append(request)
        now_ns = time.time_ns()
        for request, result in zip(requests, await self._create_items(requests), strict=True):
            if result.StatusCode.is_bad():
                refused = ua.DataValue(Value=None, StatusCode=result.StatusCode)
                self._put(request.RequestedParameters.ClientHandle, refused, now_ns)
                continue
            machine, name = self._items[request.RequestedParameters.ClientHandle]
            machine.sampling_ns[name] = int(min(max(0.0, result.RevisedSamplingInterval), 1e9) * 1e6)

    async def _create_items(self, requests: list[ua.MonitoredItemCreateRequest]) -> list[ua.MonitoredItemCreateResult]:
        parameters = ua.CreateMonitoredItemsParameters()
        parameters.SubscriptionId = self._id
        parameters.TimestampsToReturn = ua.TimestampsToReturn.Both
        parameters.ItemsToCreate = requests
        results: list[ua.MonitoredItemCreateResult] = await self.client.uaclient.create_monitored_items(parameters)
        return results

    def _request(
        self, node: ua.NodeId, attribute: ua.AttributeIds, sampling_ms: float, queue: int
    ) -> ua.MonitoredItemCreateRequest:
        self._handles += 1
        request = ua.MonitoredItemCreateRequest()
        request.ItemToMonitor.NodeId = node
        request.ItemToMonitor.AttributeId = attribute
        request.MonitoringMode = ua.MonitoringMode.Reporting
        request.RequestedParameters.ClientHandle = self._handles
        request.RequestedParameters.SamplingInterval = sampling_ms
        request.RequestedParameters.QueueSize = queue
        request.RequestedParameters.DiscardOldest = True
        return request

    async def _per_call(self) -> int:
        """MaxMonitoredItemsPerCall of the server; 0 and a server that does not say mean no limit of its own."""
        node = ua.NodeId(ua.ObjectIds.Server_ServerCapabilities_OperationLimits_MaxMonitoredItemsPerCall)
        with contextlib.suppress(ua.UaError):
            (value,) = await self.client.uaclient.read_attributes([node], ua.AttributeIds.Value)
            limit = value.Value.Value if value.Value is not None else None
            if isinstance(limit, int) and limit > 0:
                return min(limit, DEFAULT_PER_CALL)
        return DEFAULT_PER_CALL


def _after(number: int) -> int:
    """Sequence numbers go from 1 to 4294967295 and then begin again at 1."""
    return 1 if number + 1 >= _SEQUENCE_END else number + 1


def _nothing(_: Any) -> None:
    """asyncua wants a callback for its own publish loop, which does not run here."""


def chunks(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
