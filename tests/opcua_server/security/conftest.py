"""One friendly server for the tests of this room that leave it as it was."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from unittest import mock

import pytest

from opcua_server import program
from opcua_server.engine.engine import Engine
from tests.opcua_server.bench import Bench, running


@pytest.fixture(scope="package")
def engines() -> list[Engine]:
    """That of ``served``, once it is there."""
    return []


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    make = program.make_front

    def front(*given: Any) -> Engine:
        engines.append(make(*given))
        return engines[-1]

    with mock.patch.object(program, "make_front", front), running(tmp_path_factory.mktemp("served")) as made:
        yield made
