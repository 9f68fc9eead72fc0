"""The book of job orders: each method in each state, what comes next, and what survives."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from opcua_server.jobs import book as books
from opcua_server.jobs.book import JobBook
from opcua_server.jobs.orders import TRANSITIONS, Job, JobState, Order, ReturnStatus

R = ReturnStatus
S = JobState
WAYS = {
    S.NOT_ALLOWED_TO_START: (), S.ALLOWED_TO_START: (S.ALLOWED_TO_START,), S.RUNNING: (S.ALLOWED_TO_START, S.RUNNING),
    S.INTERRUPTED: (S.ALLOWED_TO_START, S.RUNNING, S.INTERRUPTED), S.ENDED: (S.ALLOWED_TO_START, S.RUNNING, S.ENDED),
    S.ABORTED: (S.ABORTED,),
}  # fmt: skip


def order(order_id: str = "A", *programs: str, **more: int) -> Order:
    return Order(order_id, b"content", programs or ("part.nc",), **more)


def made() -> JobBook:
    return JobBook(lambda: {"part.nc", "other.nc"})


def with_job(state: JobState) -> tuple[JobBook, Job]:
    book = made()
    assert book.store(order(), allowed=False) == R.NO_ERROR
    for step in WAYS[state]:
        book.enter(book.jobs["A"], step, 1)
    return book, book.jobs["A"]


def test_what_changed_is_told_as_it_was_then_and_an_order_that_starts_at_once_was_never_anything_else() -> None:
    book, job = with_job(S.RUNNING)
    assert [one.state for one in book.changed] == [S.NOT_ALLOWED_TO_START, S.ALLOWED_TO_START, S.RUNNING]
    book.began_allowed("A")
    assert [one.state for one in book.changed] == [S.ALLOWED_TO_START, S.RUNNING]
    job.runs_completed = 3
    assert book.changed[-1].runs_completed == 0
    assert book.store(order("B"), allowed=False) == R.NO_ERROR
    book.withdraw("B")
    assert [one.order.order_id for one in book.changed] == ["A", "A"]


@pytest.mark.parametrize(
    ("method", "allowed_in", "leads_to"),
    [
        (lambda book: book.allow("A"), {S.NOT_ALLOWED_TO_START}, S.ALLOWED_TO_START),
        (lambda book: book.revoke("A"), {S.ALLOWED_TO_START}, S.NOT_ALLOWED_TO_START),
        (lambda book: book.update(order()), {S.NOT_ALLOWED_TO_START, S.ALLOWED_TO_START}, "same"),
        (lambda book: book.cancel("A"), {S.NOT_ALLOWED_TO_START, S.ALLOWED_TO_START}, "gone"),
        (lambda book: book.clear("A"), {S.ENDED, S.ABORTED}, "gone"),
    ],
    ids=["Start", "RevokeStart", "Update", "Cancel", "Clear"],
)
def test_each_method_acts_in_its_states_and_is_refused_in_the_others(
    method: Callable[[JobBook], int], allowed_in: set[JobState], leads_to: object
) -> None:
    for state in S:
        book, job = with_job(state)
        status = method(book)
        if state not in allowed_in:
            assert (status, job.state) == (R.INVALID_STATE, state)
        else:
            assert status == R.NO_ERROR
            assert ("A" not in book.jobs) if leads_to == "gone" else job.state is (state if leads_to == "same" else leads_to)
    empty = made()
    assert method(empty) == R.UNKNOWN_ORDER


def test_only_transitions_of_the_official_state_machine_are_possible() -> None:
    for state in S:
        for to in S:
            book, job = with_job(state)
            if to in TRANSITIONS[state]:
                book.enter(job, to, 2)
                assert job.state is to
            else:
                with pytest.raises(ValueError, match="no transition"):
                    book.enter(job, to, 2)


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (order("A"), R.NOT_ACCEPTED),
        (order("B", "unknown.nc"), R.NOT_ACCEPTED),
        (order("C", "unknown.nc", "other.nc"), R.NO_ERROR),
        (order(""), R.INVALID_REQUEST),
        (order("x" * (books.LONGEST_ID + 1)), R.INVALID_REQUEST),
        (order("D", runs=0), R.INVALID_REQUEST),
        (Order("E", b"x" * (books.LONGEST_CONTENT + 1), ("part.nc",)), R.INVALID_REQUEST),
    ],
)
def test_what_cannot_be_carried_out_is_not_stored(given: Order, status: int) -> None:
    book, _ = with_job(S.NOT_ALLOWED_TO_START)
    assert book.store(given, allowed=False) == status
    assert set(book.jobs) == ({"A", given.order_id} if status == R.NO_ERROR else {"A"})


def test_the_list_has_a_bound() -> None:
    book = made()
    for number in range(books.MOST):
        assert book.store(order(str(number)), allowed=True) == R.NO_ERROR
    assert book.store(order("one more"), allowed=True) == R.NOT_ACCEPTED


def test_priority_then_start_time_then_arrival_decide_what_comes_next() -> None:
    book = made()
    for name, more in (("late", {"not_before_ns": 50}), ("first", {}), ("second", {}), ("urgent", {"priority": 3})):
        book.store(order(name, **more), allowed=True)
    book.store(order("not allowed", priority=9), allowed=False)
    came = []
    for now_ns in (10, 10, 10, 10, 60):
        job = book.due(now_ns)
        came.append(job.order.order_id if job else None)
        if job:
            book.enter(job, S.RUNNING, now_ns)
            assert book.begun is job
            book.enter(job, S.ENDED, now_ns)
    assert came == ["urgent", "first", "second", None, "late"]


def test_orders_survive_a_restart_but_for_the_one_at_work() -> None:
    book, job = with_job(S.INTERRUPTED)
    book.store(order("B", "other.nc", runs=7, priority=-2, not_before_ns=9), allowed=True)
    again = made()
    again.restore(json.loads(json.dumps(book.save())), 77)
    assert again.jobs["B"] == book.jobs["B"]
    restored = again.jobs["A"]
    assert (restored.state, restored.ended_ns, restored.order) == (S.ABORTED, 77, job.order)
    assert "server ended" in restored.reason
    assert again.store(order("C"), allowed=False) == R.NO_ERROR
    assert again.jobs["C"].number == 3
