"""One server for all tests of conformance."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.opcua_server.engine.conformance.foreign import NodeOpcua, node_opcua
from tests.opcua_server.engine.conformance.plant import VALUES, Plant, Planted, planted


@pytest.fixture(scope="package")
def plant() -> Iterator[Planted]:
    with planted() as made:
        yield made


@pytest.fixture(scope="module")
def node(plant: Plant, modules: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeOpcua]:
    """node-opcua's client, connected to it."""
    with node_opcua(plant.url, modules, tmp_path_factory.mktemp("node-opcua")) as started:
        yield started


@pytest.fixture(autouse=True)
def _as_at_first(request: pytest.FixtureRequest) -> None:
    """Each test finds the values as they were made, whatever came before it."""
    if "plant" in request.fixturenames:
        shared: Plant = request.getfixturevalue("plant")
        shared.reset(*VALUES)
