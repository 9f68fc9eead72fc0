"""The states of a condition, without a server: OPC 10000-9, clause by clause, and what must hold whatever happens."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.alarms.branch import Branch, Comment, Refused
from opcua_server.alarms.condition import MOST_BRANCHES, Condition
from opcua_server.alarms.memory import restored, saved

MINUTE = 60_000_000_000
SAID = Comment("seen", "en")


def ids() -> Callable[[], bytes]:
    numbers = itertools.count(1)
    return lambda: next(numbers).to_bytes(16, "big")


def make(**more: Any) -> Condition:
    made = Condition.new("Temperature", ids(), 1)
    for name, value in more.items():
        setattr(made, name, value)
    return made


def refused(act: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(Refused) as caught:
        act(*arguments)
    return caught.value.status


def flags(branch: Branch) -> tuple[int, bool, bool, bool]:
    """(branch, active, acknowledged, confirmed)."""
    return branch.number, branch.level is not None, branch.acked, branch.confirmed


def test_the_history_of_annex_b_acknowledged_while_active() -> None:
    condition = make()
    (active,) = condition.observe("High", 500, "too high", 10)
    assert (flags(active), condition.retains(active)) == ((0, True, False, True), True)
    (acked,) = condition.acknowledge(active.event_id, SAID, "operator", 20)
    assert flags(acked) == (0, True, True, False)
    (normal,) = condition.observe(None, 500, "normal", 30)
    assert (flags(normal), condition.retains(normal)) == ((0, False, True, False), True)
    (over,) = condition.confirm(normal.event_id, SAID, "operator", 40)
    assert (flags(over), condition.retains(over)) == ((0, False, True, True), False)
    assert condition.retained() == []


def test_an_unacknowledged_state_becomes_a_branch_when_it_goes_active_again() -> None:
    condition = make()
    (first,) = condition.observe("High", 500, "first", 10)
    first_id = first.event_id
    condition.observe(None, 500, "normal", 20)
    branch, again = condition.observe("High", 500, "second", 30)
    assert (flags(branch), flags(again)) == ((1, False, False, True), (0, True, False, True))
    assert (branch.message, again.message) == ("normal", "second")
    assert condition.retained() == [branch, again]
    # What a client was told of the first time acknowledges the first time, not the second.
    (acked,) = condition.acknowledge(first_id, SAID, "operator", 40)
    assert flags(acked) == (1, False, True, False)
    assert again.acked is False
    (confirmed,) = condition.confirm(branch.event_id, SAID, "operator", 50)
    assert condition.retains(confirmed) is False
    assert condition.branches == {}
    assert refused(condition.acknowledge, first_id, SAID, "operator", 60) == "BadEventIdUnknown"


def test_branches_that_nobody_looks_at_are_given_up_and_told_so() -> None:
    condition = make()
    told: list[tuple[int, bool]] = []
    for number in range(MOST_BRANCHES + 3):
        told += [(one.number, condition.retains(one)) for one in condition.observe("High", 500, str(number), number)]
        condition.observe(None, 500, "normal", number)
    assert len(condition.branches) == MOST_BRANCHES
    assert [number for number, retained in told if number and not retained] == [1, 2]


def test_a_rise_in_severity_wants_a_new_acknowledgement_and_a_fall_does_not() -> None:
    condition = make()
    (high,) = condition.observe("High", 500, "high", 10)
    condition.acknowledge(high.event_id, SAID, "operator", 20)
    branch, much = condition.observe("HighHigh", 800, "much", 30)
    assert (flags(branch), flags(much)) == ((1, False, True, False), (0, True, False, True))
    assert much.last_severity == 500
    condition.acknowledge(much.event_id, SAID, "operator", 40)
    (less,) = condition.observe("High", 500, "high", 50)
    assert (less.acked, less.last_severity) == (True, 800)


def test_comments_stay_unless_something_is_said() -> None:
    condition = make()
    (active,) = condition.observe("High", 500, "high", 10)
    condition.add_comment(active.event_id, Comment("look at it", "en"), "anna", 20)
    for nothing in (Comment(None, None), Comment("", "")):
        assert refused(condition.add_comment, active.event_id, nothing, "ben", 30) == "BadInvalidArgument"
    assert (active.comment, active.comment_ns, active.user) == ("look at it", 20, "anna")
    condition.acknowledge(active.event_id, Comment(None, None), "ben", 40)
    assert (active.comment, active.comment_ns, active.user, active.acked) == ("look at it", 20, "ben", True)
    condition.add_comment(active.event_id, Comment("", "en"), "ben", 50)
    assert (active.comment, active.comment_ns) == ("", 50)


@pytest.mark.parametrize("name", ["acknowledge", "confirm", "add_comment"])
def test_a_comment_that_is_too_long_is_refused_and_nothing_is_done(name: str) -> None:
    condition = make()
    (active,) = condition.observe("High", 500, "high", 10)
    before = saved(condition)
    for long in (Comment("x" * 1001, "en"), Comment("x", "l" * 65)):
        assert refused(getattr(condition, name), active.event_id, long, "ben", 50) == "BadInvalidArgument"
    assert refused(condition.remark, lambda: condition.suppress(True, 50), long, "ben", 50) == "BadInvalidArgument"
    assert saved(condition) == before
    condition.add_comment(active.event_id, Comment("x" * 1000, "l" * 64), "ben", 60)
    assert active.comment == "x" * 1000


def test_confirm_wants_an_acknowledgement_first() -> None:
    condition = make()
    (active,) = condition.observe("High", 500, "high", 10)
    assert refused(condition.confirm, active.event_id, SAID, "operator", 20) == "BadConditionBranchAlreadyConfirmed"
    condition.acknowledge(active.event_id, SAID, "operator", 30)
    assert refused(condition.acknowledge, active.event_id, SAID, "operator", 40) == "BadConditionBranchAlreadyAcked"
    (confirmed,) = condition.confirm(active.event_id, SAID, "operator", 50)
    assert (flags(confirmed), condition.retains(confirmed)) == ((0, True, True, True), True), "it is still active"
    condition.observe(None, 500, "normal", 60)
    assert condition.retained() == [], "it was acknowledged and confirmed, and is over"


def test_the_last_severity_is_the_one_before_with_the_moment_of_the_change() -> None:
    condition = make()
    condition.observe("High", 500, "high", 10)
    (much,) = condition.observe("HighHigh", 800, "much", 20)
    assert (much.last_severity, much.severity_ns) == (500, 20)
    condition.observe(None, 800, "normal", 30)
    (normal_to_high,) = condition.observe("High", 500, "high", 40)[-1:]
    assert (normal_to_high.severity, normal_to_high.last_severity, normal_to_high.severity_ns) == (500, 800, 40)


def test_suppressed_or_out_of_service_is_put_aside_and_goes_on_telling() -> None:
    condition = make()
    for act, name in ((condition.suppress, "suppressed"), (condition.take_out, "out_of_service")):
        assert act(False, 10) == []
        (told,) = act(True, 20)
        assert (getattr(condition, name), getattr(condition, f"{name}_ns"), condition.is_put_aside) == (True, 20, True)
        assert act(True, 30) == [], "what is so already is no change"
        (active,) = condition.observe("High", 500, "high", 40)
        assert condition.retains(active)
        condition.observe(None, 500, "normal", 50)
        assert condition.is_put_aside, "unlike a one-shot shelf it does not end with the alarm"
        again = restored("Temperature", json.loads(json.dumps(saved(condition))), ids(), 55)
        assert (getattr(again, name), getattr(again, f"{name}_ns")) == (True, 20)
        act(False, 60)
        assert not condition.is_put_aside
        told = condition.present
        condition.acknowledge(told.event_id, SAID, "operator", 70)
        condition.confirm(told.event_id, SAID, "operator", 80)
    condition.disable(90)
    assert {refused(act, True, 91) for act in (condition.suppress, condition.take_out)} == {"BadConditionDisabled"}


def test_what_is_said_with_an_act_is_said_of_the_present_state() -> None:
    condition = make()
    (told,) = condition.remark(lambda: condition.timed_shelve(1000.0, 10), Comment("nuisance", "en"), "anna", 10)
    assert (told.comment, told.comment_ns, told.user) == ("nuisance", 10, "anna")
    (told,) = condition.remark(lambda: condition.unshelve(20), Comment(None), "ben", 20)
    assert (told.comment, told.comment_ns, told.user) == ("nuisance", 10, "anna"), "nothing said changes nothing"
    assert condition.remark(lambda: condition.suppress(False, 30), Comment(None), "ben", 30) == []
    (told,) = condition.remark(lambda: condition.suppress(False, 40), Comment("it was not", "en"), "ben", 40)
    assert told.comment == "it was not"
    assert refused(condition.remark, lambda: condition.unshelve(50), Comment("again", "en"), "anna", 50) == "BadConditionNotShelved"
    assert condition.present.comment == "it was not"


def test_a_memory_of_before_there_was_suppression_is_read() -> None:
    content = saved(make())
    for name in ("suppressed", "suppressed_ns", "out_of_service", "out_of_service_ns"):
        del content[name]
    again = restored("Temperature", content, ids(), 7)
    assert (again.suppressed, again.suppressed_ns, again.out_of_service, again.out_of_service_ns) == (False, 7, False, 7)


def test_a_disabled_condition_is_silent_and_knows_better_when_enabled() -> None:
    condition = make()
    (active,) = condition.observe("High", 500, "high", 10)
    assert refused(condition.enable, 11) == "BadConditionAlreadyEnabled"
    (told,) = condition.disable(20)
    assert condition.retains(told) is False
    assert refused(condition.disable, 21) == "BadConditionAlreadyDisabled"
    for act, arguments in (
        (condition.acknowledge, (active.event_id, SAID, "operator", 22)),
        (condition.add_comment, (active.event_id, SAID, "operator", 22)),
        (condition.confirm, (active.event_id, SAID, "operator", 22)),
        (condition.timed_shelve, (1000.0, 22)),
        (condition.one_shot_shelve, (22,)),
        (condition.unshelve, (22,)),
        (condition.suppress, (True, 22)),
        (condition.take_out, (True, 22)),
    ):
        assert refused(act, *arguments) == "BadConditionDisabled"
    assert condition.observe(None, 500, "normal", 30) == []
    assert condition.judge(0x80000000, 31) == []
    (enabled,) = condition.enable(40)
    assert (flags(enabled), condition.retains(enabled)) == ((0, False, False, True), True)


def test_shelving_ends_by_itself_by_time_or_by_the_end_of_the_alarm() -> None:
    condition = make(max_shelved_ms=60_000.0)
    for time_ms in (0.0, -1.0, 60_001.0, float("nan"), float("inf")):
        assert refused(condition.timed_shelve, time_ms, 0) == "BadShelvingTimeOutOfRange"
    assert refused(condition.unshelve, 0) == "BadConditionNotShelved"
    condition.timed_shelve(30_000.0, 0)
    assert refused(condition.timed_shelve, 1000.0, 1) == "BadConditionAlreadyShelved"
    assert (condition.unshelve_ms(0), condition.unshelve_ms(MINUTE // 4), condition.unshelve_ms(MINUTE)) == (
        30_000.0,
        15_000.0,
        0.0,
    )
    assert condition.pass_time(MINUTE // 2 - 1) == []
    assert len(condition.pass_time(MINUTE // 2)) == 1
    assert condition.shelving == "Unshelved"
    condition.observe("High", 500, "high", MINUTE)
    condition.one_shot_shelve(MINUTE)
    assert refused(condition.one_shot_shelve, MINUTE) == "BadConditionAlreadyShelved"
    assert condition.unshelve_ms(MINUTE) == 60_000.0
    condition.observe(None, 500, "normal", MINUTE + 1)
    assert condition.shelving == "Unshelved"
    condition.one_shot_shelve(0)
    condition.timed_shelve(1000.0, 0)
    assert condition.shelving == "TimedShelved"
    condition.one_shot_shelve(0)
    assert len(condition.pass_time(MINUTE)) == 1, "a one-shot ends after MaxTimeShelved too"


ACTS = st.lists(
    st.one_of(
        st.tuples(st.just("observe"), st.sampled_from([None, "High", "HighHigh"])),
        st.tuples(st.sampled_from(["acknowledge", "confirm", "add_comment"]), st.integers(0, 30)),
        st.tuples(st.sampled_from(["enable", "disable", "one_shot_shelve", "timed_shelve", "unshelve", "judge", "restart", "wait",
                                   "suppress", "take_out"]),
                  st.integers(0, 3)),
    ),
    max_size=40,
)  # fmt: skip


def act_on(condition: Condition, name: str, choice: Any, known: list[bytes], now: int) -> list[Branch]:
    if name == "observe":
        return condition.observe(choice, 800 if choice == "HighHigh" else 500, f"{choice} at {now}", now)
    if name in ("acknowledge", "confirm", "add_comment"):
        event_id = known[-1 - choice % len(known)] if known else b"none"
        return list(getattr(condition, name)(event_id, SAID, "operator", now))
    if name == "timed_shelve":
        return condition.timed_shelve(choice * 2.0, now)
    if name in ("suppress", "take_out"):
        return list(getattr(condition, name)(choice > 1, now))
    if name == "judge":
        return condition.judge(choice << 30, now)
    if name == "wait":
        return condition.pass_time(now + choice * MINUTE)
    return list(getattr(condition, name)(now))


@given(ACTS)
def test_whatever_happens_what_is_told_is_true(acts: list[tuple[str, Any]]) -> None:
    condition, known, screen = make(), [], {}
    seen: set[bytes] = set()
    for now, (name, choice) in enumerate(acts, start=10):
        if name == "restart":
            condition = restored("Temperature", json.loads(json.dumps(saved(condition))), condition.new_id, now)
            continue
        try:
            told = act_on(condition, name, choice, known, now)
        except Refused:
            continue
        for branch in told:
            assert branch.event_id not in seen, "each event has an EventId of its own"
            seen.add(branch.event_id)
            known.append(branch.event_id)
            screen[branch.number] = branch.event_id
            if not condition.retains(branch):
                del screen[branch.number]
        for branch in [*condition.branches.values(), condition.present]:
            assert branch.acked or branch.confirmed, "what is not acknowledged has nothing to confirm"
            assert condition.retains(branch) is (
                condition.enabled and (branch.level is not None or not (branch.acked and branch.confirmed))
            )
        assert all(branch.level is None and branch.wants_somebody for branch in condition.branches.values())
        assert len(condition.branches) <= MOST_BRANCHES
        # A client that keeps what is retained and drops what is not has what a refresh would tell it.
        assert screen == {branch.number: branch.event_id for branch in condition.retained()}


@pytest.mark.parametrize(
    ("where", "value"),
    [
        ("shelving", "Forever"),
        ("enabled", 1),
        ("present", []),
        ("branches", [{}]),
        ("present", {"level": 3}),
        ("unshelve_ns", "soon"),
    ],
)
def test_a_damaged_memory_is_refused(where: str, value: Any) -> None:
    content = saved(make())
    content[where] = {**content[where], **value} if isinstance(value, dict) else value
    with pytest.raises((ValueError, KeyError, TypeError)):
        restored("Temperature", content, ids(), 1)


def test_what_is_shelved_stays_so_as_long_as_was_said_whatever_the_clock_is_set_to() -> None:
    condition = make(max_shelved_ms=60_000.0)
    hour_ns = 3_600_000_000_000
    condition.timed_shelve(30_000.0, 2 * hour_ns)
    condition.clock_set(-hour_ns)
    condition.pass_time(hour_ns + 29_999_999_999)
    assert condition.is_shelved
    condition.pass_time(hour_ns + 30_000_000_000)
    assert not condition.is_shelved
    condition.clock_set(hour_ns)
    assert condition.unshelve_ms(0) == 0.0
