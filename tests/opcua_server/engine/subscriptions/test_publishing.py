"""Counters, messages, priorities and requests, without a socket and without a clock."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from opcua_server.engine.subscriptions.publishing import (
    BAD_NO_SUBSCRIPTION,
    BAD_TIMEOUT,
    BAD_TOO_MANY_PUBLISH_REQUESTS,
    Desk,
)
from opcua_server.engine.subscriptions.queues import DataChange
from opcua_server.engine.subscriptions.subscription import SENT_BYTES
from tests.opcua_server.engine.subscriptions.rig import HandSlot, Kept, Rig, told

OVERFLOW = 0x480


def test_the_first_cycle_tells_the_current_values_and_later_ones_what_changed() -> None:
    rig = Rig()
    one, two = HandSlot(1.0), HandSlot(2.0)
    rig.item(one, 11)
    rig.item(two, 12)
    assert rig.values() == [(11, 1.0, 0), (12, 2.0, 0)]
    two.set(3.0)
    one.set(1.0)  # the same value again
    assert rig.values() == [(12, 3.0, 0)]


def test_without_items_the_first_cycle_is_a_keep_alive_and_then_every_third() -> None:
    rig = Rig(keep_alive=3)
    first = rig.ask()
    rig.tick()
    assert first.result.NotificationMessage.SequenceNumber == 1
    assert not first.result.NotificationMessage.NotificationData
    second = rig.ask()
    rig.tick()
    rig.tick()
    assert second.body is None
    rig.tick()
    assert second.result.NotificationMessage.SequenceNumber == 1  # keep-alives use up no number


@given(st.integers(1, 20))
def test_a_subscription_nobody_asks_for_ends_after_its_lifetime(lifetime: int) -> None:
    rig = Rig(lifetime=lifetime, keep_alive=1)
    lives = [rig.tick() for _ in range(lifetime)]
    assert lives == [True] * (lifetime - 1) + [False]


def test_a_request_starts_the_lifetime_anew() -> None:
    rig = Rig(lifetime=3, keep_alive=1)
    for _ in range(5):
        assert rig.tick()
        assert rig.tick()
        rig.ask()


def test_a_late_subscription_is_served_as_soon_as_a_request_comes() -> None:
    rig = Rig()
    slot = HandSlot(1.0)
    rig.item(slot)
    rig.tick()
    slot.set(2.0)
    assert told(rig.ask().result) == [(1, 2.0, 0)]


@given(st.lists(st.integers(0, 255), min_size=1, max_size=8))
def test_late_subscriptions_are_served_by_priority_and_in_turn(priorities: list[int]) -> None:
    rig = Rig(priority=priorities[0])
    for priority in priorities[1:]:
        rig.subscribe(priority=priority)
    for subscription in rig.desk.subscriptions.values():
        rig.item(HandSlot(1.0), on=subscription)
        rig.tick(subscription)
    served = [rig.ask().result.SubscriptionId for _ in priorities]
    assert served == [i for _p, i in sorted(((-p, i) for i, p in enumerate(priorities, 1)))]


@given(st.integers(1, 7), st.integers(1, 30))
def test_more_notifications_than_a_message_may_hold_come_in_several_none_lost(limit: int, count: int) -> None:
    rig = Rig(limit=limit)
    for handle in range(count):
        rig.item(HandSlot(float(handle)), handle)
    found: list[Any] = []
    sequence = []
    more = True
    first = True
    while more:
        kept = rig.ask()
        if first:
            rig.tick()
            first = False
        result = kept.result
        assert len(told(result)) <= limit
        found += told(result)
        sequence.append(result.NotificationMessage.SequenceNumber)
        more = result.MoreNotifications
    assert [handle for handle, _v, _s in found] == list(range(count))
    assert sequence == list(range(1, -(-count // limit) + 1))


def test_messages_are_kept_until_they_are_acknowledged_and_five_at_most() -> None:
    rig = Rig()
    slot = HandSlot(0.0)
    rig.item(slot)
    for value in range(7):
        slot.set(float(value + 1))
        rig.values()
    assert list(rig.subscription.sent) == [3, 4, 5, 6, 7]
    assert rig.subscription.acknowledge(5)
    assert not rig.subscription.acknowledge(5)
    assert rig.subscription.again(5) is None
    assert rig.subscription.again(6) is not None


def test_requests_beyond_the_limit_displace_the_oldest_and_old_ones_time_out() -> None:
    rig = Rig()
    asked = [rig.ask(expires=5.0) for _ in range(11)]
    assert asked[0].status == BAD_TOO_MANY_PUBLISH_REQUESTS
    assert all(one.status is None for one in asked[1:])
    rig.desk.expire(5.0)
    assert all(one.status == BAD_TIMEOUT for one in asked[1:])


def test_a_session_without_subscriptions_is_told_so() -> None:
    kept = Kept()
    assert not Desk(10).request((kept, 1e9, b"", 0))
    assert kept.status == BAD_NO_SUBSCRIPTION
    rig = Rig()
    waiting = rig.ask()
    rig.desk.remove(rig.subscription)
    assert waiting.status == BAD_NO_SUBSCRIPTION


def test_a_disabled_subscription_sends_keep_alives_and_the_newest_values_later() -> None:
    rig = Rig(keep_alive=1)
    slot = HandSlot(1.0)
    rig.item(slot)
    rig.subscription.enabled = False
    assert rig.values() == []
    slot.set(2.0)
    assert rig.values() == []
    rig.subscription.enabled = True
    assert rig.values() == [(1, 2.0, 0)]


def test_a_slower_sampling_sees_only_its_own_moments() -> None:
    rig = Rig(keep_alive=1)
    slot = HandSlot(1.0)
    rig.item(slot, interval=500.0)
    assert rig.values() == [(1, 1.0, 0)]
    slot.set(2.0)
    slot.set(3.0)
    assert rig.values() == []
    rig.samplers[500.0].sample()
    assert rig.values() == [(1, 3.0, 0)]


def test_a_queue_tells_every_sample_and_marks_the_gap() -> None:
    rig = Rig()
    slot = HandSlot(0.0)
    rig.item(slot, queue_size=3)
    for value in (1.0, 2.0, 3.0, 4.0):
        slot.set(value)
    assert rig.values() == [(1, 2.0, OVERFLOW), (1, 3.0, 0), (1, 4.0, 0)]


def test_a_sampling_item_is_told_when_the_item_it_is_linked_to_is() -> None:
    rig = Rig(keep_alive=1)
    source, sampled = HandSlot(1.0), HandSlot(10.0)
    linked = rig.item(sampled, 2, mode=1, queue_size=5)
    trigger = rig.item(source, 1, queue_size=2)
    trigger.links = {linked.number: linked}
    assert rig.values() == [(1, 1.0, 0)]
    sampled.set(11.0)
    assert rig.values() == []
    source.set(2.0)
    assert sorted(rig.values()) == [(1, 2.0, 0), (2, 10.0, 0), (2, 11.0, 0)]
    sampled.set(12.0)
    assert rig.values() == []


def test_a_deadband_compares_with_the_last_value_that_was_told() -> None:
    rig = Rig(keep_alive=1)
    slot = HandSlot(0.0)
    rig.item(slot, change=DataChange(deadband=1.0))
    assert rig.values() == [(1, 0.0, 0)]
    slot.set(0.6)
    slot.set(1.0)
    assert rig.values() == []
    slot.set(1.2)
    assert rig.values() == [(1, 1.2, 0)]


def test_what_nobody_watches_is_let_go() -> None:
    rig = Rig()
    slot = HandSlot(0.0)
    plain, queued = rig.item(slot), rig.item(slot, queue_size=4)
    assert slot.is_watched
    plain.detach()
    assert slot.is_watched
    queued.detach()
    assert not slot.is_watched
    assert rig.samplers[0.0].is_idle


def test_equal_subscriptions_share_their_bytes() -> None:
    rig = Rig()
    other = rig.subscribe()
    slot = HandSlot(0.0)
    for subscription in (rig.subscription, other):
        rig.item(slot, 7, on=subscription)
        rig.ask()
        rig.tick(subscription)
    slot.set(5.0)
    for subscription in (rig.subscription, other):
        rig.ask()
        rig.tick(subscription)
    assert rig.subscription.sent[2][2] is other.sent[2][2]


def test_messages_that_nobody_acknowledges_are_kept_up_to_some_megabytes_and_the_last_in_any_case() -> None:
    rig = Rig()
    subscription = rig.subscription
    third = SENT_BYTES // 3

    def send(size: int) -> None:
        subscription._pending.append((1, 1, bytes(size)))
        rig.ask()
        rig.tick()

    for _ in range(4):
        send(third)
    assert list(subscription.sent) == [2, 3, 4]
    assert subscription.tally["DiscardedMessageCount"] == 1
    assert subscription.acknowledge(3)
    send(third)
    assert list(subscription.sent) == [2, 4, 5]
    send(2 * SENT_BYTES)
    assert list(subscription.sent) == [6]
    send(10)
    assert list(subscription.sent) == [7]
