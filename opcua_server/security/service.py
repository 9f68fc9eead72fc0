"""The services every session from outside gets: asyncua's, with rights, ownership and limits in front of them.

asyncua trusts its session's user with everything an AccessLevel allows, lets any session delete or take another's
subscriptions, and takes arrays and NaN into scalars. This class is where that ends; sessions inside the server are not touched.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from asyncua import ua
from asyncua.common.utils import ServiceError
from asyncua.server.internal_session import InternalSession, SessionState

from cnctwin.secrets import Role
from nodesets.methods import Method
from opcua_server.security.access import may_call, may_write_results
from opcua_server.security.users import Person

_C = ua.StatusCodes
_A = ua.AttributeIds
_audit = logging.getLogger("opcua_server.audit")

_FOR_READERS: Final = frozenset(
    ua.NodeId(number)
    for number in (
        ua.ObjectIds.ConditionType_ConditionRefresh,
        ua.ObjectIds.ConditionType_ConditionRefresh2,
    )
)
"""Methods that change nothing and that everybody may call."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask for. Shown to clients as OperationLimits where OPC 10000-5 has a node for it."""

    connections: int = 100
    pending_per_address: int = 10
    """Connections of one address that have no activated session yet."""
    sessions: int = 100
    subscriptions_per_session: int = 50
    items_per_session: int = 10_000
    nodes_per_read: int = 10_000
    nodes_per_write: int = 1_000
    nodes_per_browse: int = 1_000
    calls: int = 100
    items_per_call: int = 10_000
    min_publishing_ms: float = 20.0
    max_publishing_ms: float = 60_000.0
    message_bytes: int = 4 * 1024 * 1024
    unsent_bytes: int = 16 * 1024 * 1024
    """A peer that does not read loses its connection before it costs more than this."""
    array_length: int = 65_536
    string_length: int = 1_048_576
    queue_length: int = 10_000
    continuation_points: int = 0


@dataclass(slots=True)
class Rights:
    """What the address space says about commands and results; filled when the machines are built.

    ``methods``: (object, method) -> the command it is and its machine. ``results``: nodes only the Analytics role writes.
    ``on_results``: told which machine's results were written, for the watchdog.
    """

    methods: dict[tuple[ua.NodeId, ua.NodeId], tuple[str, Method]] = field(default_factory=dict)
    results: dict[ua.NodeId, str] = field(default_factory=dict)
    on_results: Callable[[str, Session], None] | None = None

    def add_machine(
        self, machine_id: str, methods: Mapping[Method, tuple[ua.NodeId, ua.NodeId]], results: Iterable[ua.NodeId]
    ) -> None:
        self.methods.update({nodes: (machine_id, method) for method, nodes in methods.items()})
        self.results.update(dict.fromkeys(results, machine_id))


def fail(code: int) -> ServiceError:
    return ServiceError(code)


class Session(InternalSession):
    """A session from outside. ``person`` is None until it is activated; ``certificate`` is the channel's it was created on."""

    iserver: Any

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.iserver.unregister_external_session(self)
        self.session_id = ua.NodeId(uuid.uuid4(), 1)
        # asyncua counts tokens up from 1000; whoever guesses a token has the session.
        self.auth_token = ua.NodeId(secrets.token_bytes(32), 0)
        self.iserver.register_external_session(self)
        self.person: Person | None = None
        self.certificate: bytes | None = None
        self.processor: Any = None
        """The connection it is bound to."""

    @property
    def is_closed(self) -> bool:
        return bool(self.state is SessionState.Closed)

    @property
    def role(self) -> Role | None:
        return self.person.role if self.person is not None else None

    @property
    def _limits(self) -> Limits:
        limits: Limits = self.iserver.limits
        return limits

    @property
    def _rights(self) -> Rights:
        rights: Rights = self.iserver.rights
        return rights

    def _who(self) -> str:
        name = self.person.name if self.person is not None else None
        return f"{name or 'anonymous'} from {self.name}"

    # Attributes -----------------------------------------------------------------------------------------------------

    async def read(self, params: Any) -> Any:
        _bounded(params.NodesToRead, self._limits.nodes_per_read)
        if not params.MaxAge >= 0:
            raise fail(_C.BadMaxAgeInvalid)
        results = await super().read(params)
        for position, wanted in enumerate(params.NodesToRead):
            if wanted.AttributeId in (_A.UserAccessLevel, _A.UserExecutable):
                results[position] = self._for_this_user(wanted, results[position])
            elif wanted.AttributeId == _A.Value and not self._has_bit(wanted.NodeId, ua.AccessLevel.CurrentRead):
                results[position] = ua.DataValue(StatusCode=ua.StatusCode(_C.BadNotReadable))
        return results

    def _for_this_user(self, wanted: Any, shown: Any) -> Any:
        """UserAccessLevel and UserExecutable as they are for this session's role: no write bit, not executable where refused."""
        if shown.Value is None or shown.Value.Value is None:
            return shown
        value = shown.Value.Value
        if wanted.AttributeId == _A.UserAccessLevel:
            if wanted.NodeId not in self._rights.results or not may_write_results(self.role):
                value = int(value) & ~(1 << int(ua.AccessLevel.CurrentWrite))
        else:
            allowed = wanted.NodeId in _FOR_READERS or any(
                node == wanted.NodeId and may_call(self.role, method) for (_, node), (_, method) in self._rights.methods.items()
            )
            value = bool(value) and allowed
        return replace(shown, Value=ua.Variant(value, shown.Value.VariantType))

    async def write(self, params: Any) -> Any:
        _bounded(params.NodesToWrite, self._limits.nodes_per_write)
        results = [ua.StatusCode(self._refusal(item)) for item in params.NodesToWrite]
        allowed = [position for position, status in enumerate(results) if status.is_good()]
        if allowed:
            items = [params.NodesToWrite[position] for position in allowed]
            now = datetime.now(UTC)
            for item in items:
                if item.Value.SourceTimestamp is None:
                    item.Value = replace(item.Value, SourceTimestamp=now)
            written = await super().write(ua.WriteParameters(NodesToWrite=items))
            for position, status in zip(allowed, written, strict=True):
                results[position] = status
            if self._rights.on_results is not None:
                for machine_id in {self._rights.results[item.NodeId] for item in items}:
                    self._rights.on_results(machine_id, self)
        return results

    def _refusal(self, item: Any) -> int:
        """The status of one write before it is tried: Good, or why not."""
        if item.NodeId not in self.aspace:
            return int(_C.BadNodeIdUnknown)
        if item.AttributeId != _A.Value:
            return int(_C.BadNotWritable)
        if item.NodeId not in self._rights.results:
            return int(_C.BadNotWritable if not self._has_bit(item.NodeId, ua.AccessLevel.CurrentWrite) else _C.BadUserAccessDenied)
        if not may_write_results(self.role):
            _audit.warning("write %s by %s: refused", item.NodeId.to_string(), self._who())
            return int(_C.BadUserAccessDenied)
        if item.IndexRange:
            return int(_C.BadWriteNotSupported)
        return self._mismatch(item)

    def _mismatch(self, item: Any) -> int:
        """Whether a value fits its node in rank and is a number at all; asyncua itself checks the type."""
        variant = item.Value.Value
        if item.Value.StatusCode is not None and item.Value.StatusCode.is_bad():
            return int(_C.Good)
        if variant is None or variant.Value is None:
            return int(_C.BadTypeMismatch)
        rank = self.aspace.read_attribute_value(item.NodeId, _A.ValueRank).Value.Value
        if variant.is_array != (rank >= 0) and rank != ua.ValueRank.Any:
            return int(_C.BadTypeMismatch)
        values = variant.Value if variant.is_array else [variant.Value]
        if len(values) > self._limits.array_length:
            return int(_C.BadOutOfRange)
        if any(isinstance(value, float) and not math.isfinite(value) for value in values):
            return int(_C.BadOutOfRange)
        return int(_C.Good)

    def _has_bit(self, node_id: Any, bit: Any) -> bool:
        level = self.aspace.read_attribute_value(node_id, _A.AccessLevel)
        if level.Value is None or level.Value.Value is None:
            return True  # no variable, or no such node: asyncua says what is wrong
        return bool(int(level.Value.Value) >> int(bit) & 1)

    # Methods --------------------------------------------------------------------------------------------------------

    async def call(self, params: Any) -> Any:
        _bounded(params, self._limits.calls)
        return [await self._call(one) for one in params]

    async def _call(self, request: Any) -> Any:
        refused = self._call_refusal(request)
        if refused:
            return ua.CallMethodResult(StatusCode=ua.StatusCode(refused))
        (result,) = await super().call([request])
        known = self._rights.methods.get((request.ObjectId, request.MethodId))
        if known is not None:
            _audit.info("%s on %s by %s: %s", known[1].name, known[0], self._who(), result.StatusCode.name)
        return result

    def _call_refusal(self, request: Any) -> int:
        if request.ObjectId not in self.aspace or request.MethodId not in self.aspace:
            return int(_C.BadNodeIdUnknown)
        if request.MethodId in _FOR_READERS:
            return 0
        known = self._rights.methods.get((request.ObjectId, request.MethodId))
        if known is None:
            ours = any(method == request.MethodId for _, method in self._rights.methods)
            return int(_C.BadMethodInvalid if ours else _C.BadNotImplemented)
        if not may_call(self.role, known[1]):
            _audit.warning("%s on %s by %s: refused", known[1].name, known[0], self._who())
            return int(_C.BadUserAccessDenied)
        return 0

    # View and node management ---------------------------------------------------------------------------------------

    async def browse(self, params: Any) -> Any:
        _bounded(params.NodesToBrowse, self._limits.nodes_per_browse)
        results: list[Any] = []
        for start in range(0, len(params.NodesToBrowse), 50):
            part = ua.BrowseParameters(params.View, params.RequestedMaxReferencesPerNode, params.NodesToBrowse[start : start + 50])
            results += await super().browse(part)
            await asyncio.sleep(0)  # others are served between the slices of a long request
        return results

    async def translate_browsepaths_to_nodeids(self, params: Any) -> Any:
        _bounded(params, self._limits.nodes_per_browse)
        results: list[Any] = []
        for start, path in enumerate(params):
            if not path.RelativePath.Elements:
                results.append(ua.BrowsePathResult(StatusCode=ua.StatusCode(_C.BadNothingToDo)))
            else:
                results += await super().translate_browsepaths_to_nodeids([path])
            if start % 50 == 49:
                await asyncio.sleep(0)
        return results

    async def add_nodes(self, params: Any) -> Any:
        raise fail(_C.BadUserAccessDenied)

    delete_nodes = add_references = delete_references = history_update = add_nodes

    # Subscriptions --------------------------------------------------------------------------------------------------

    def _own(self, subscription_id: int) -> Any:
        found = self.subscription_service.subscriptions.get(subscription_id)
        return found if found is not None and found.session_id == self.session_id else None

    def _need_own(self, subscription_id: int) -> Any:
        found = self._own(subscription_id)
        if found is None:
            raise fail(_C.BadSubscriptionIdInvalid)
        return found

    def _all_own(self) -> list[Any]:
        return [sub for sub in self.subscription_service.subscriptions.values() if sub.session_id == self.session_id]

    async def create_subscription(self, params: Any, callback: Any, request_callback: Any = None) -> Any:
        if len(self._all_own()) >= self._limits.subscriptions_per_session:
            raise fail(_C.BadTooManySubscriptions)
        asked = params.RequestedPublishingInterval
        low, high = self._limits.min_publishing_ms, self._limits.max_publishing_ms
        params.RequestedPublishingInterval = min(max(asked, low), high) if math.isfinite(asked) else 1000.0
        result = await super().create_subscription(params, callback, request_callback)
        sub = self.subscription_service.subscriptions[result.SubscriptionId]
        sub.owner = (self.person, self.certificate)
        return result

    def modify_subscription(self, params: Any) -> Any:
        self._need_own(params.SubscriptionId)
        return super().modify_subscription(params)

    async def delete_subscriptions(self, ids: Any) -> Any:
        allowed = [one for one in ids if self._own(one) is not None]
        done = dict(zip(allowed, await super().delete_subscriptions(allowed), strict=True)) if allowed else {}
        return [done.get(one, ua.StatusCode(_C.BadSubscriptionIdInvalid)) for one in ids]

    async def transfer_subscriptions(self, params: Any, callback: Any) -> Any:
        results: list[Any] = []
        for one in params.SubscriptionIds:
            sub = self.subscription_service.subscriptions.get(int(one))
            if sub is None or getattr(sub, "owner", None) != (self.person, self.certificate):
                status = _C.BadSubscriptionIdInvalid if sub is None else _C.BadUserAccessDenied
                results.append(ua.TransferResult(StatusCode=ua.StatusCode(status)))
                continue
            results += await super().transfer_subscriptions(
                ua.TransferSubscriptionsParameters([one], params.SendInitialValues), callback
            )
            # asyncua leaves the way to ask for publish requests at the connection that is gone: nothing would be delivered.
            sub.pub_request_callback = self.processor.get_publish_request
        return results

    async def create_monitored_items(self, params: Any) -> Any:
        self._need_own(params.SubscriptionId)
        _bounded(params.ItemsToCreate, self._limits.items_per_call)
        there = sum(len(sub.monitored_item_srv._monitored_items) for sub in self._all_own())
        if there + len(params.ItemsToCreate) > self._limits.items_per_session:
            raise fail(_C.BadTooManyMonitoredItems)
        return await super().create_monitored_items(params)

    async def modify_monitored_items(self, params: Any) -> Any:
        self._need_own(params.SubscriptionId)
        return await super().modify_monitored_items(params)

    async def delete_monitored_items(self, params: Any) -> Any:
        self._need_own(params.SubscriptionId)
        return await super().delete_monitored_items(params)

    async def set_monitoring_mode(self, params: Any) -> Any:
        self._need_own(params.SubscriptionId)
        return await super().set_monitoring_mode(params)

    async def set_publishing_mode(self, params: Any) -> Any:
        for one in params.SubscriptionIds:
            self._need_own(one)
        return await super().set_publishing_mode(params)

    def republish(self, params: Any) -> Any:
        self._need_own(params.SubscriptionId)
        return super().republish(params)

    def publish(self, acks: Any = None) -> Any:
        own = self._all_own()
        if not own:
            raise fail(_C.BadNoSubscription)
        given = list(acks or ())
        _, done = super().publish([ack for ack in given if self._own(ack.SubscriptionId) is not None])
        rest = iter(done)
        unknown = ua.StatusCode(_C.BadSubscriptionIdInvalid)
        return len(own), [next(rest) if self._own(ack.SubscriptionId) is not None else unknown for ack in given]


def _bounded(items: Any, most: int) -> None:
    if not items:
        raise fail(_C.BadNothingToDo)
    if len(items) > most:
        raise fail(_C.BadTooManyOperations)
