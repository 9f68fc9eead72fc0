"""Groups are served at their moments, with a tick that is next to them, and without one that does not come."""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.engine.subscriptions.beat import EARLY_US, PATIENCE_S, Beat
from opcua_server.engine.subscriptions.service import _cycles
from opcua_server.engine.subscriptions.subscription import Terms
from opcua_server.engine.subscriptions.ticks import Ticks

PERIOD_US = 100_000


class Hand:
    """A loop whose time is moved by hand, and ticks that are late when they are said to be."""

    def __init__(self) -> None:
        self.now_us = 1_000
        self.served: list[tuple[int, Any]] = []
        self.problems: list[Any] = []
        self.ticks: Any = SimpleNamespace(done=[], is_due=False)
        self.beat = Beat(self.ticks, self._serve, lambda: self.now_us)
        self._timers: list[tuple[int, int, Any]] = []
        self._count = 0

    def _serve(self, order: int, keys: list[Any]) -> None:
        self.served += [(self.now_us, key) for key in keys]

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Any:
        timer = SimpleNamespace(callback=callback, is_cancelled=False)
        timer.cancel = lambda: setattr(timer, "is_cancelled", True)
        self._count += 1
        heapq.heappush(self._timers, (self.now_us + round(delay_s * 1e6), self._count, timer))
        return timer

    def call_exception_handler(self, context: Any) -> None:
        self.problems.append(context["exception"])

    @property
    def waiting(self) -> int:
        return sum(not timer.is_cancelled for _, _, timer in self._timers)

    def go_to(self, moment_us: int) -> None:
        while self._timers and self._timers[0][0] <= moment_us:
            self.now_us, _, timer = heapq.heappop(self._timers)
            if not timer.is_cancelled:
                timer.callback()
        self.now_us = moment_us

    def tick_is_done(self) -> None:
        self.ticks.is_due = False
        for told in self.ticks.done:
            told()


@pytest.fixture
def hand() -> Hand:
    made = Hand()
    made.beat.add("one", PERIOD_US, 1)
    made.beat.start(made)  # type: ignore[arg-type]
    return made


def test_without_ticks_groups_are_served_at_their_moments(hand: Hand) -> None:
    hand.beat.add("slow", 3 * PERIOD_US, 0)
    hand.go_to(3 * PERIOD_US + 1)
    assert hand.served == [(100_000, "one"), (200_000, "one"), (300_000, "slow"), (300_000, "one")]


def test_at_one_moment_the_higher_priority_goes_first_whatever_the_interval(hand: Hand) -> None:
    def order(priority: int) -> int:
        return _cycles(Terms(100.0, 50, 5, 0, priority))[1]

    hand.beat.add("highest", 2 * PERIOD_US, order(255))
    hand.beat.add("lowest", 2 * PERIOD_US, order(0))
    hand.beat.add("high", PERIOD_US, order(200))
    hand.beat.add("sampler", 2 * PERIOD_US, 0)
    hand.beat.remove("one", PERIOD_US, 1)
    hand.go_to(2 * PERIOD_US)
    assert [key for moment, key in hand.served if moment == 2 * PERIOD_US] == ["sampler", "highest", "high", "lowest"]


def test_a_tick_serves_what_is_due_next_to_it_and_the_timer_does_not_wake_for_it_again(hand: Hand) -> None:
    for number in (1, 2, 3):
        hand.go_to(number * PERIOD_US - 5_000)
        hand.tick_is_done()
        assert hand.waiting == 1
    assert hand.served == [(95_000, "one"), (195_000, "one"), (295_000, "one")]
    hand.go_to(399_999)
    assert len(hand.served) == 3


def test_a_tick_between_two_moments_serves_nobody(hand: Hand) -> None:
    hand.go_to(PERIOD_US - EARLY_US - 1)
    hand.tick_is_done()
    assert not hand.served
    hand.go_to(PERIOD_US + 1_000)
    assert [key for _, key in hand.served] == ["one"]


def test_what_is_due_waits_for_a_tick_that_is_late_or_half_written_but_not_for_ever(hand: Hand) -> None:
    hand.ticks.is_due = True
    hand.go_to(PERIOD_US + 10_000)
    assert not hand.served
    hand.tick_is_done()
    assert hand.served == [(110_000, "one")]
    hand.ticks.is_due = True
    hand.go_to(3 * PERIOD_US - 1)
    assert hand.served[1:] == [(200_000 + round(PATIENCE_S * 1e6), "one")], "the next moment stays where it was"


def test_who_comes_or_goes_while_a_tick_is_waited_for_changes_nothing_for_others(hand: Hand) -> None:
    hand.ticks.is_due = True
    hand.go_to(PERIOD_US + 1_000)
    hand.beat.add("new", 1_000, 1)
    hand.beat.add("gone", PERIOD_US, 1)
    hand.beat.remove("gone", PERIOD_US, 1)
    hand.go_to(PERIOD_US + 5_000)
    hand.tick_is_done()
    assert sorted(hand.served) == [(105_000, "new"), (105_000, "one")]


def test_a_mistake_in_one_group_is_told_and_the_clock_goes_on(hand: Hand) -> None:
    def fail(*_: Any) -> None:
        raise ZeroDivisionError

    right, hand.beat._serve = hand.beat._serve, fail
    hand.go_to(PERIOD_US)
    assert [type(problem) for problem in hand.problems] == [ZeroDivisionError]
    hand.beat._serve = right
    hand.go_to(2 * PERIOD_US)
    assert hand.served == [(200_000, "one")]


def test_stopped_it_serves_nobody_and_hears_of_no_tick(hand: Hand) -> None:
    hand.beat.stop()
    assert not hand.ticks.done
    hand.go_to(10 * PERIOD_US)
    assert not hand.served


@given(st.lists(st.tuples(st.integers(0, 30_000), st.integers(0, 60_000)), min_size=1, max_size=30))
def test_each_tick_is_served_once_whatever_it_takes(ticks: list[tuple[int, int]]) -> None:
    """(late, took) of one tick per period in us: as long as a tick is whole within ``PATIENCE_S`` of its moment, each is told.
    The timer counts in whole ms, up."""
    hand = Hand()
    hand.beat.add("one", PERIOD_US, 1)
    hand.beat.start(hand)  # type: ignore[arg-type]
    for number, (late_us, took_us) in enumerate(ticks, start=1):
        moment_us = number * PERIOD_US
        hand.go_to(moment_us - 5_000)
        hand.ticks.is_due = True
        after_us = late_us + took_us - 5_000
        hand.go_to(moment_us + after_us)
        assert len(hand.served) == number - 1 or after_us >= round(PATIENCE_S * 1e6)
        hand.tick_is_done()
        assert len(hand.served) == number, "once per period, with the tick or, too late for it, without"


def test_a_tick_is_due_from_the_end_of_the_pause_until_it_is_whole() -> None:
    async def paused() -> Ticks:
        ticks = Ticks()
        assert not ticks.is_due
        pause = asyncio.create_task(ticks.pause(60.0))
        await asyncio.sleep(0)
        assert not ticks.is_due
        pause.cancel()
        await asyncio.gather(pause, return_exceptions=True)
        assert not ticks.is_due
        await ticks.pause(0.0)
        return ticks

    ticks, told = asyncio.run(paused()), []
    ticks.done.append(lambda: told.append(ticks.is_due))
    assert ticks.is_due
    with ticks.one():
        assert ticks.is_due
    assert told == [False]
    with pytest.raises(ZeroDivisionError), ticks.one():
        raise ZeroDivisionError
    assert told == [False, False]
