"""One server with one machine for all socket tests of alarms."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.opcua_server.alarms.bench import Bench, running


@pytest.fixture(scope="package")
def bench() -> Iterator[Bench]:
    with running() as made:
        yield made
