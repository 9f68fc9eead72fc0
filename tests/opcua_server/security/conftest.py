"""One friendly server for the tests of this room that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.opcua_server.bench import Bench, running


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with running(tmp_path_factory.mktemp("served")) as made:
        yield made
