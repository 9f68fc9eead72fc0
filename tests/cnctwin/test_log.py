"""What strangers' names can do to the log."""

from __future__ import annotations

import io
import logging
import time

import pytest

from cnctwin.program import OneLine, Status


def test_a_record_is_one_line_whatever_is_in_it_and_a_trace_follows_as_it_is() -> None:
    out = io.StringIO()
    handler = logging.StreamHandler(out)
    handler.setFormatter(OneLine("%(levelname)s %(message)s"))
    logger = logging.Logger("test")
    logger.addHandler(handler)
    logger.warning("refused %s", "x\r\n12:00 admin logged in\x1b[2J\u2028")
    assert out.getvalue() == "WARNING refused x\\r\\n12:00 admin logged in\\x1b[2J\\u2028\n"
    out.truncate(out.seek(0))
    try:
        raise ValueError("bug")
    except ValueError:
        logger.exception("a service failed: %s", "Drehzahl 1/min größer")
    first, *trace = out.getvalue().splitlines()
    assert first == "ERROR a service failed: Drehzahl 1/min größer"
    assert trace[-1] == "ValueError: bug"


def test_a_line_of_the_log_has_its_moment_with_date_in_utc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/St_Johns")
    time.tzset()
    try:
        record = logging.makeLogRecord({"msg": "ready", "created": 1_795_740_078.25, "msecs": 250.0})
        assert OneLine("%(asctime)s %(message)s").format(record) == "2026-11-27T00:41:18.250Z ready"
    finally:
        monkeypatch.undo()
        time.tzset()


def test_a_program_that_nobody_supervises_says_in_its_log_how_it_goes(caplog: pytest.LogCaptureFixture) -> None:
    status = Status("server")
    with caplog.at_level(logging.INFO, "cnctwin.server"):
        status.ready(url="opc.tcp://localhost:4840", machines=1, ticks=5)
        status.ready(ticks=6)
        status.degraded("the disk is full")
    assert [record.getMessage() for record in caplog.records] == [
        "ready: url opc.tcp://localhost:4840, machines 1",
        "degraded: the disk is full",
    ]
