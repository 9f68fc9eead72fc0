"""What strangers' names can do to the log."""

from __future__ import annotations

import io
import logging

from cnctwin.program import OneLine


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
