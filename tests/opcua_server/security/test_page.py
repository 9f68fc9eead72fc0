"""The page of security names a test for each thing that holds, and the tests are there."""

from __future__ import annotations

import re
from pathlib import Path

NAMED = re.compile(r"`((?:engine|security)/test_\w+\.py)::(test_\w+)`")


def test_every_test_that_the_page_names_exists(clone: Path) -> None:
    page = (clone / "docs" / "security.md").read_text("utf-8")
    named = NAMED.findall(page)
    assert len(named) > 50
    for file, test in named:
        text = (clone / "tests" / "opcua_server" / file).read_text("utf-8")
        assert re.search(rf"^def {test}\(", text, re.MULTILINE), f"{file}::{test}"


def test_every_row_names_a_test(clone: Path) -> None:
    page = (clone / "docs" / "security.md").read_text("utf-8")
    table = page.partition("## What shows it")[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 25
    assert [row for row in rows if not NAMED.search(row)] == []
