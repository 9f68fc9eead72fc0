"""One server for all tests of conformance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.opcua_server.engine.conformance.plant import Plant, planted


@pytest.fixture(scope="package")
def plant() -> Iterator[Plant]:
    with planted() as made:
        yield made
