"""What a browser of another house finds in the whole server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.opcua_server.bench import running
from tests.opcua_server.engine.node import answer

PROGRAM = Path(__file__).with_name("node_crawl.js")


def test_node_opcua_walks_the_whole_server_and_trips_over_nothing(modules: Path, tmp_path: Path) -> None:
    """As UaExpert does it: every attribute of every node, for an administrator, who sees most."""
    with running(tmp_path / "crawl") as bench:
        program = [str(PROGRAM), bench.settings.endpoint, str(tmp_path / "pki")]
        found: Any = answer(modules, tmp_path, [*program, "admin", bench.password("admin")])
    bad = [one for one in found["bad"] if not one.endswith("BadWaitingForInitialData")]  # results, while nobody analyses
    assert (bad, found["untyped"], found["nulls"], found["analogs"]) == ([], [], [], [])
    assert found["nodes"] > 5_000
    assert found["below"] > 1_000
    assert found["analog"] > 50
