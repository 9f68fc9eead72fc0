from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fake_link import FakeLink
from gate import Gate, opened, until


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """One gateway for a module, whose machine CNC-001 has shown all its signals once."""
    with opened(tmp_path_factory.mktemp("gateway"), FakeLink(period_s=None)) as running:
        running.play(running.link.moment("CNC-001"))
        until(lambda: running.http.get("/machines").json()["data"])
        yield running
