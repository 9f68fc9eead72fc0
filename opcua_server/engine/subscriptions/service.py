"""Subscription service set (OPC 10000-4, 5.14): requests of sessions against desks and subscriptions, and their clock.

services(core)  ->  rows of the table;  one Hub per engine:  desks (per session), subscriptions, samplers, rhythm
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from cnctwin.wire import DecodingError
from cnctwin.wire.scalars import ua
from opcua_server.engine.contract import Core, Handover, Request, Service, ServiceFault, Session
from opcua_server.engine.subscriptions import calls, revise
from opcua_server.engine.subscriptions.beat import Beat
from opcua_server.engine.subscriptions.calculations import BEAT_MS, Calculations
from opcua_server.engine.subscriptions.costs import SUBSCRIPTION, cost
from opcua_server.engine.subscriptions.events import EventHub
from opcua_server.engine.subscriptions.feeds import Sampler
from opcua_server.engine.subscriptions.items import ItemServices, results
from opcua_server.engine.subscriptions.panel import Panels
from opcua_server.engine.subscriptions.personal import look_again
from opcua_server.engine.subscriptions.publishing import ACKNOWLEDGED, BAD_SESSION_CLOSED, NEVER_S, Desk
from opcua_server.engine.subscriptions.regular import Regular
from opcua_server.engine.subscriptions.subscription import Subscription, Terms
from opcua_server.security.access import may_configure

_C: Final = ua.StatusCodes
_SAMPLE: Final = 0
_PUBLISH: Final = range(1, 257)
"""The order of what is due at one moment: a publishing cycle comes by its priority, the highest of 255 first."""
_SWEEP: Final = 257
_KEY: Final = "subscriptions"
_EPOCH_TICKS: Final = 116_444_736_000_000_000


def ticks_now() -> int:
    """UTC in 100 ns since 1601."""
    return time.time_ns() // 100 + _EPOCH_TICKS


def acknowledged(statuses: list[int]) -> bytes:
    """Results of a Publish request, and no DiagnosticInfos, which come when it is answered."""
    return struct.pack(f"<i{len(statuses)}Ii", len(statuses), *statuses, 0)


SWEEP_US: Final = 500_000
"""How often what waits is looked at: requests for the end of their time, messages for how many there are."""
LEAST_KEPT: Final = 8 << 20
MOST_SAMPLERS: Final = 32
"""Sampling intervals that there are at once as they were asked for: each has all rows of a column once more."""
FEW: Final = 16
ACKNOWLEDGEMENTS: Final = 10_000
"""More than a session has messages. Their results wait with each Publish request, of which there are a hundred; few do no harm."""
_ONE: Final = struct.pack("<i", 1)
_ONE_SIZE: Final = 12
_PAIR: Final = struct.Struct("<II").unpack_from


class Hub:
    """All subscriptions of an engine."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self.limits = core.limits
        self.changes = core.columns.changes
        self.panels = Panels(self.changes)
        self.subscriptions: dict[int, Subscription] = {}
        self.desks: dict[Session, Desk] = {}
        self.owners: dict[int, tuple[Any, ...]] = {}
        self.samplers: dict[float, Sampler] = {}
        self.events = EventHub(core)
        self.items = ItemServices(self)
        self.calculations = Calculations(ticks_now, self._calculate)
        self._beat = Beat(core.columns.ticks, self._serve)
        self._next_id = 1
        self.made = 0
        """How many subscriptions there were."""
        self.shares = core.shares

    # Clock -----------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        self.events.start()
        self._beat.add("requests", SWEEP_US, _SWEEP)
        self._beat.start(asyncio.get_running_loop())
        self.core.columns.ticks.before.append(self._keep_up)

    def stop(self) -> None:
        if self._keep_up in self.core.columns.ticks.before:
            self.core.columns.ticks.before.remove(self._keep_up)
        self.events.stop()
        self._beat.stop()
        for subscription in list(self.subscriptions.values()):
            self.delete(subscription)

    def _serve(self, order: int, keys: list[Any]) -> None:
        if order == _SAMPLE:
            for sampler in keys:
                sampler.sample()
        elif order in _PUBLISH:
            self._publish(keys)
        else:
            now = time.monotonic()
            for desk in self.desks.values():
                desk.expire(now)
            self._bound_kept()

    def _bound_kept(self) -> None:
        """Messages that wait for their acknowledgement take half of what items leave free, and a little in any case: the oldest
        go, of who keeps most."""
        kept = sum(one.sent_bytes for one in self.subscriptions.values())
        most = max(LEAST_KEPT, (self.limits.held_bytes - self.shares.total) // 2)
        if kept <= most:
            return
        for one in sorted(self.subscriptions.values(), key=lambda one: one.sent_bytes, reverse=True):
            while kept > most and len(one.sent) > 1:
                before = one.sent_bytes
                one.acknowledge(next(iter(one.sent)))
                one.tally["DiscardedMessageCount"] += 1
                kept -= before - one.sent_bytes

    def _publish(self, subscriptions: list[Subscription]) -> None:
        now, ticks = time.monotonic(), ticks_now()
        for subscription in subscriptions:
            desk: Desk = subscription.owner
            if not subscription.is_deleted and not desk.cycle(subscription, now, ticks):
                desk.notices.append((subscription.number, subscription.close_with(_C.BadTimeout, ticks)))
                self.delete(subscription)

    def sampled_at(self, interval_ms: float) -> float:
        """At what interval is sampled for who asks for one: at this one, or at a faster one where there are many already."""
        if interval_ms in self.samplers or len(self.samplers) < MOST_SAMPLERS:
            return interval_ms
        return revise.in_series(interval_ms)

    def sampler(self, interval_ms: float) -> Sampler:
        found = self.samplers.get(interval_ms)
        if found is None:
            found = self.samplers[interval_ms] = Sampler(interval_ms, self.changes)
            if interval_ms:
                self._beat.add(found, round(interval_ms * 1000), _SAMPLE)
        return found

    def _calculate(self, is_needed: bool) -> None:
        beat_us = round(BEAT_MS * 1000)
        if is_needed:
            self._beat.add(self.calculations, beat_us, _SAMPLE)
        else:
            self._beat.remove(self.calculations, beat_us, _SAMPLE)

    def _keep_up(self) -> None:
        """Who samples as often as there are ticks takes each, also where a late one is followed by the next before its time."""
        period_ms = self.core.columns.ticks.period_s * 1_000
        for sampler in self.samplers.values():
            if 0 < sampler.interval_ms <= period_ms:
                sampler.keep_up()

    def settle(self) -> None:
        """Give up samplers that nobody uses any more."""
        for interval, sampler in list(self.samplers.items()):
            if sampler.is_idle:
                del self.samplers[interval]
                if interval:
                    self._beat.remove(sampler, round(interval * 1000), _SAMPLE)

    # Sessions --------------------------------------------------------------------------------------------------------

    def desk(self, request: Request) -> Desk:
        session = request.session
        if session is None:
            raise ServiceFault(_C.BadSessionIdInvalid)
        found = self.desks.get(session)
        if found is None:
            if session.is_closed:
                raise ServiceFault(_C.BadSessionClosed)
            found = self.desks[session] = Desk(self.limits.publish_requests_per_session, session, self.shares)
            session.closing.append(self._session_closed)
            session.handing_over.append(self._handed_over)
        return found

    def _handed_over(self, session: Session, handover: Handover) -> None:
        """What was asked for on another connection is not answered there any more; another person sees what is for him."""
        desk = self.desks.get(session)
        if desk is None:
            return
        if handover.moved:
            desk.refuse(_C.BadSecureChannelIdInvalid)
        if handover.role is not None:
            forget = may_configure(handover.role) and not may_configure(session.role)
            for subscription in desk.subscriptions.values():
                look_again(subscription, forget=forget)

    def _session_closed(self, session: Session, delete: bool) -> None:
        desk = self.desks.pop(session, None)
        if desk is None:
            return
        desk.notices.clear()
        desk.refuse(BAD_SESSION_CLOSED)
        for subscription in list(desk.subscriptions.values()):
            if delete or not any(self.owners[subscription.number]):  # nobody could ever take it over
                self.delete(subscription)
        # Others live on, at a desk without requests, until they are transferred or their lifetime is over.
        self._bound_left()

    def _bound_left(self) -> None:
        """Subscriptions without a session are bounded, all together, as those of one are: closed sessions count for no limit.

        The oldest go first, of whoever has left most.
        """
        left = [one for one in self.subscriptions.values() if one.owner.session is not None and one.owner.session.is_closed]
        while len(left) > self.limits.subscriptions_per_session or (
            sum(len(one.items) for one in left) > self.limits.items_per_session
        ):
            held = Counter(self.owners[one.number] for one in left)
            gone = max(left, key=lambda one: held[self.owners[one.number]])
            left.remove(gone)
            self.delete(gone)

    def owned(self, request: Request, number: int) -> Subscription:
        found = self.desk(request).subscriptions.get(number)
        if found is None:
            raise ServiceFault(_C.BadSubscriptionIdInvalid)
        return found

    def delete(self, subscription: Subscription) -> None:
        for item in list(subscription.items.values()):
            self.items.drop(item)
        subscription.is_deleted = True
        self.subscriptions.pop(subscription.number, None)
        self.owners.pop(subscription.number, None)
        self._beat.remove(subscription, *_cycles(subscription.terms))
        self.shares.change(subscription.owner.session, -SUBSCRIPTION)
        subscription.owner.remove(subscription)
        self.settle()

    # Services --------------------------------------------------------------------------------------------------------

    def create(self, request: Request, asked: Any) -> Any:
        desk = self.desk(request)
        if len(desk.subscriptions) >= self.limits.subscriptions_per_session or not self.shares.take(desk.session, SUBSCRIPTION):
            raise ServiceFault(_C.BadTooManySubscriptions)
        terms = self._terms(request, asked)
        number = self._next_id
        self._next_id = number % 0xFFFF_FFFF + 1
        while self._next_id in self.subscriptions:
            self._next_id = self._next_id % 0xFFFF_FFFF + 1
        limits, enabled = self.limits, bool(asked.PublishingEnabled)
        most = limits.large_bytes_per_session // 4
        made = Subscription(number, terms, enabled, self.changes, self.panels, limits.retransmission_messages, most)
        self.subscriptions[number] = made
        self.owners[number] = _identity(request)
        desk.add(made)
        self.made += 1
        self._beat.add(made, *_cycles(terms))
        return ua.CreateSubscriptionResult(number, terms.interval_ms, terms.lifetime, terms.keep_alive)

    def _terms(self, request: Request, asked: Any) -> Any:
        limit = asked.MaxNotificationsPerPublish
        size = request.session.max_response_size if request.session is not None else 0
        if size:  # 64 bytes hold the notification of a number; longer texts may still need more than the client takes
            limit = min(limit or revise.MOST_NOTIFICATIONS, max(1, (size - 256) // 64))
        return revise.terms(
            asked.RequestedPublishingInterval, asked.RequestedLifetimeCount, asked.RequestedMaxKeepAliveCount, limit, asked.Priority
        )

    def modify(self, request: Request, asked: Any) -> Any:
        found = self.owned(request, asked.SubscriptionId)
        self._beat.remove(found, *_cycles(found.terms))
        found.terms = terms = self._terms(request, asked)
        found.tally["ModifyCount"] += 1
        self._beat.add(found, *_cycles(terms))
        found.touch()
        return ua.ModifySubscriptionResult(terms.interval_ms, terms.lifetime, terms.keep_alive)

    def set_publishing_mode(self, request: Request, asked: Any) -> bytes:
        def one(number: int) -> int:
            found = self.owned(request, number)
            found.enabled = bool(asked.PublishingEnabled)
            found.tally["EnableCount" if found.enabled else "DisableCount"] += 1
            found.touch()
            return 0

        return results(request, self._each(asked.SubscriptionIds, one))

    def delete_subscriptions(self, request: Request, asked: Any) -> bytes:
        def one(number: int) -> int:
            self.delete(self.owned(request, number))
            return 0

        return results(request, self._each(asked.SubscriptionIds, one))

    def _each(self, numbers: Any, act: Callable[[int], int]) -> list[int]:
        if not numbers:
            raise ServiceFault(_C.BadNothingToDo)
        if len(numbers) > self.limits.items_per_session:
            raise ServiceFault(_C.BadTooManyOperations)
        statuses = []
        for number in numbers:
            try:
                statuses.append(act(number))
            except ServiceFault as fault:
                statuses.append(fault.status)
        return statuses

    def publish(self, request: Request, raw: Any) -> None:
        """The answer comes with the next notification. The parameters are read here, without objects: it is the most frequent
        request there is."""
        desk, answer = self.desk(request), request.answer
        told = b""
        if len(raw) == _ONE_SIZE and raw[:4] == _ONE:
            status = self._acknowledge(desk, *_PAIR(raw, 4))
            answer.expect(Regular(request, desk))
            told = acknowledged([status]) if status else ACKNOWLEDGED
            if status and answer.reasons.acknowledged([status]):
                answer = answer.explained()
        else:
            (count,) = struct.unpack_from("<i", raw, 0) if len(raw) >= 4 else (1,)
            if count > 0:
                if count * 8 + 4 > len(raw):
                    raise DecodingError(f"{count} acknowledgements in {len(raw)} bytes")
                if count > FEW and count + sum(len(waiting[2]) // 4 for waiting in desk.requests) > ACKNOWLEDGEMENTS:
                    raise ServiceFault(_C.BadTooManyOperations, "Results of too many acknowledgements wait to be sent")
                pairs = struct.unpack_from(f"<{2 * count}I", raw, 4)
                statuses = [self._acknowledge(desk, *pairs[i : i + 2]) for i in range(0, 2 * count, 2)]
                told = acknowledged(statuses)
                if any(statuses) and answer.reasons.acknowledged(statuses):
                    answer = answer.explained()
        now = time.monotonic()
        hint = request.header.timeout_hint
        if desk.request((answer, now + hint / 1000 if hint else NEVER_S, told, request.header.handle)):
            desk.serve_waiting(now, ticks_now())

    @staticmethod
    def _acknowledge(desk: Desk, number: int, sequence: int) -> int:
        found = desk.subscriptions.get(number)
        if found is None:
            return int(_C.BadSubscriptionIdInvalid)
        return 0 if found.acknowledge(sequence) else int(_C.BadSequenceNumberUnknown)

    def republish(self, request: Request, asked: Any) -> bytes:
        found = self.owned(request, asked.SubscriptionId)
        found.touch()
        found.tally["RepublishRequestCount"] += 1
        found.tally["RepublishMessageRequestCount"] += 1
        message = found.again(asked.RetransmitSequenceNumber)
        if message is None:
            raise ServiceFault(_C.BadMessageNotAvailable)
        found.tally["RepublishMessageCount"] += 1
        return message

    def transfer(self, request: Request, asked: Any) -> Any:
        desk = self.desk(request)
        if not asked.SubscriptionIds:
            raise ServiceFault(_C.BadNothingToDo)
        if len(asked.SubscriptionIds) > self.limits.items_per_session:
            raise ServiceFault(_C.BadTooManyOperations)
        made = [self._transfer(request, desk, number, asked.SendInitialValues) for number in asked.SubscriptionIds]
        for place, one in enumerate(made):
            request.answer.reasons.note(place, one.StatusCode.value)
        return ua.TransferSubscriptionsResult(made, [])

    def _transfer(self, request: Request, desk: Desk, number: int, send_values: bool) -> Any:
        found = self.subscriptions.get(number)
        if found is None:
            return ua.TransferResult(ua.StatusCode(_C.BadSubscriptionIdInvalid), [])
        found.tally["TransferRequestCount"] += 1
        identity = _identity(request)
        old: Desk = found.owner
        if old is not desk:
            if not any(identity) or identity != self.owners[number]:
                return ua.TransferResult(ua.StatusCode(_C.BadUserAccessDenied), [])
            if len(desk.subscriptions) >= self.limits.subscriptions_per_session:
                return ua.TransferResult(ua.StatusCode(_C.BadTooManySubscriptions), [])
            ticks = ticks_now()
            old.notices.append((number, found.close_with(_C.GoodSubscriptionTransferred, ticks)))
            old.remove(found)
            desk.add(found)
            size = SUBSCRIPTION + sum(cost(item) + item.held for item in found.items.values())
            self.shares.change(old.session, -size)
            self.shares.change(desk.session, size)
            found.tally["TransferredToSameClientCount"] += 1  # to another one it is refused
            was = old.session.role if old.session is not None else None
            look_again(found, forget=may_configure(was) and not may_configure(desk.session.role))
            old.serve_waiting(time.monotonic(), ticks)
        found.touch()
        if send_values:
            found.resend()
        return ua.TransferResult(ua.StatusCode(0), list(found.sent))

    def cancel(self, request: Request, asked: Any) -> Any:
        """Publish requests are the only ones that wait (OPC 10000-4, 5.7.5)."""
        count = self.desk(request).cancel(asked.RequestHandle)
        self.core.audit.cancelled(request, asked.RequestHandle)
        return ua.CancelResult(count)


def _cycles(terms: Terms) -> tuple[int, int]:
    """Interval in us and order of publishing cycles."""
    return round(terms.interval_ms * 1000), _PUBLISH[-1] - terms.priority


def _identity(request: Request) -> tuple[Any, ...]:
    """Who owns a subscription. An anonymous client without a certificate is nobody, and can take over nothing."""
    session = request.session
    return (None, None) if session is None else (session.user, session.certificate)


def services(core: Core) -> list[Service]:
    """The room of subscriptions over the engine's columns."""
    core.subscriptions = hub = Hub(core)
    core.starting.append(hub.start)
    core.stopping.append(hub.stop)
    core.methods.update(calls.methods(hub))
    return rows(hub)


def rows(hub: Hub) -> list[Service]:
    items = hub.items
    table: list[tuple[str, Any, type | None]] = [
        ("CreateSubscription", hub.create, ua.CreateSubscriptionParameters),
        ("ModifySubscription", hub.modify, ua.ModifySubscriptionParameters),
        ("SetPublishingMode", hub.set_publishing_mode, ua.SetPublishingModeParameters),
        ("DeleteSubscriptions", hub.delete_subscriptions, ua.DeleteSubscriptionsParameters),
        ("Publish", hub.publish, None),
        ("Republish", hub.republish, ua.RepublishParameters),
        ("Cancel", hub.cancel, ua.CancelParameters),
        ("TransferSubscriptions", hub.transfer, ua.TransferSubscriptionsParameters),
        ("CreateMonitoredItems", items.create, ua.CreateMonitoredItemsParameters),
        ("ModifyMonitoredItems", items.modify, ua.ModifyMonitoredItemsParameters),
        ("SetMonitoringMode", items.set_mode, ua.SetMonitoringModeParameters),
        ("SetTriggering", items.set_triggering, ua.SetTriggeringParameters),
        ("DeleteMonitoredItems", items.delete, ua.DeleteMonitoredItemsParameters),
    ]
    made = []
    for name, handler, parameters in table:
        ids = [getattr(ua.ObjectIds, f"{name}{end}_Encoding_DefaultBinary") for end in ("Request", "Response")]
        made.append(Service(name, int(ids[0]), int(ids[1]), handler, parameters))
    return made
