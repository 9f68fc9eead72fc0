"""What strangers may write into the audit log, and that it takes nobody else's lines away."""

from __future__ import annotations

import asyncio
import logging

import pytest
from asyncua import ua

from opcua_server.security.refusals import PER_SECOND, Refusals
from tests.opcua_server.bench import Bench

REFUSED = "%s on %s by %s: refused"
DONE = "%s on %s by %s: %s"


def record(at_s: float, text: str, *args: object, level: int = logging.INFO) -> logging.LogRecord:
    made = logging.LogRecord("opcua_server.audit", level, "", 0, text, args, None)
    made.created = at_s
    return made


def test_refusals_are_a_few_a_second_and_the_others_are_counted() -> None:
    refusals = Refusals()
    lines = [record(100.0 + number / 10_000, REFUSED, "Start", "M1", "x", level=logging.WARNING) for number in range(5_000)]
    assert sum(refusals.filter(line) for line in lines) == PER_SECOND
    after = record(101.5, REFUSED, "Start", "%s", "x", level=logging.WARNING)
    assert refusals.filter(after)
    assert after.getMessage() == f"Start on %s by x: refused (and {5_000 - PER_SECOND} more like it)"
    last = record(101.6, REFUSED, "Start", "M1", "x", level=logging.WARNING)
    assert refusals.filter(last)
    assert last.getMessage() == "Start on M1 by x: refused"


def test_what_was_done_is_told_whatever_is_refused_meanwhile() -> None:
    refusals = Refusals()
    for number in range(1_000):
        refusals.filter(record(100.0 + number / 10_000, DONE, "Start", "M1", "x", "BadUserAccessDenied: no"))
    assert not refusals.filter(record(100.2, DONE, "Start", "M1", "x", "BadInvalidState"))
    assert all(refusals.filter(record(100.2, DONE, "Start", "M1", "operator", "Good")) for _ in range(1_000))
    assert refusals.filter(record(100.2, "login %r from %s: refused, %s", "x", "y", "z", level=logging.WARNING))


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    refusals = Refusals()
    for _ in range(100):
        refusals.filter(record(1_000.0, REFUSED, "Start", "M1", "x", level=logging.WARNING))
    assert refusals.filter(record(10.0, REFUSED, "Start", "M1", "x", level=logging.WARNING))


def test_who_calls_what_he_may_not_without_end_does_not_fill_the_log(served: Bench, caplog: pytest.LogCaptureFixture) -> None:
    count = 300

    async def calls() -> list[ua.CallMethodResult]:
        async with served.client() as client:
            one = ua.CallMethodRequest(ua.NodeId(12637, 0), ua.NodeId(12740, 0), [])  # ApplyChanges: administrators only
            return list(await client.uaclient.call([one] * count))

    caplog.set_level(logging.INFO, "opcua_server.audit")
    results = asyncio.run(calls())
    assert {result.StatusCode.name for result in results} == {"BadUserAccessDenied"}
    told = [line for line in caplog.messages if line.startswith("i=12740")]
    assert 1 <= len(told) < count / 2
