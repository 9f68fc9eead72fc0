"""A client of another house, node-opcua, with every policy and mode."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import free_ports
from tests.opcua_server.bench import Bench
from tests.opcua_server.engine.bench import running
from tests.opcua_server.engine.node import answer

PROGRAM = Path(__file__).with_name("node_opcua.js")


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with running(tmp_path_factory.mktemp("engine")) as made:
        yield made


@pytest.mark.parametrize("mode", ["Sign", "SignAndEncrypt"])
@pytest.mark.parametrize("policy", ["Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss"])
def test_node_opcua_connects_reads_and_browses(bench: Bench, modules: Path, tmp_path: Path, policy: str, mode: str) -> None:
    for user in ("", "operator"):
        found = foreign(bench, modules, tmp_path, policy, mode, user)
        assert found["namespaces"][0] == "http://opcfoundation.org/UA/"
        assert found["many"] == 1000
        assert found["references"] > 2
        assert found["target"] == "ns=0;i=2253"
        assert found["missing"] == "BadNodeIdUnknown"


def test_node_opcua_waits_for_the_server_to_connect(modules: Path, tmp_path: Path) -> None:
    """Reverse connect: the client listens where the server is told to connect."""
    url = f"opc.tcp://127.0.0.1:{free_ports(1)[0]}"
    with running(tmp_path / "reverse", reverse_connect=(url,)) as bench:
        found = foreign(bench, modules, tmp_path, "Basic256Sha256", "SignAndEncrypt", "operator", url)
        assert (found["namespaces"][0], found["many"]) == ("http://opcfoundation.org/UA/", 1000)  # type: ignore[index]


def foreign(bench: Bench, modules: Path, folder: Path, policy: str, mode: str, user: str, reverse: str = "") -> dict[str, object]:
    """What node-opcua found; fails with what it said otherwise."""
    password = bench.password(user) if user else ""
    return answer(
        modules, folder, [str(PROGRAM), bench.settings.endpoint, str(folder / "pki"), policy, mode, user, password, reverse]
    )
