"""One server for all tests of conformance."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.opcua_server.engine.conformance.plant import VALUES, Plant, planted


@pytest.fixture(scope="package")
def plant() -> Iterator[Plant]:
    with planted() as made:
        yield made


@pytest.fixture(autouse=True)
def _as_at_first(request: pytest.FixtureRequest) -> None:
    """Each test finds the values as they were made, whatever came before it."""
    if "plant" in request.fixturenames:
        shared: Plant = request.getfixturevalue("plant")
        shared.reset(*VALUES)
