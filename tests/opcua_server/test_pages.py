"""The pages of security, of features and of the model name a test for each thing that holds, and the tests are there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

NAMED = re.compile(r"`((?:(?:\w+|\.\.)/)*test_\w+\.py)::(test_\w+)`")
PAGES = {
    "security.md": ("## What shows it", 50),
    "opcua-features.md": ("# What the OPC UA server offers", 20),
    "model.md": ("## What is there", 30),
}
"""Page -> the heading of its table, and how many tests it names at least."""


@pytest.mark.parametrize("name", PAGES)
def test_every_test_that_the_page_names_exists(clone: Path, name: str) -> None:
    named = NAMED.findall((clone / "docs" / name).read_text("utf-8"))
    assert len(named) > PAGES[name][1]
    for file, test in named:
        text = (clone / "tests" / "opcua_server" / file).read_text("utf-8")
        assert re.search(rf"^def {test}\(", text, re.MULTILINE), f"{file}::{test}"


@pytest.mark.parametrize("name", PAGES)
def test_every_row_names_a_test_or_says_that_there_is_nothing(clone: Path, name: str) -> None:
    page = (clone / "docs" / name).read_text("utf-8")
    table = page.partition(PAGES[name][0])[2].partition("\n## ")[0]
    rows = [line for line in table.splitlines() if line.startswith("|")][2:]
    assert len(rows) > 20
    assert [row for row in rows if not NAMED.search(row) and row.split("|")[2].strip() != "-"] == []
