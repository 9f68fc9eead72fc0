"""A client on open62541 (pip ``o6``), with every policy and mode. Its package is put beside, into a folder of the test's own."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from certs.kinds import CURVES, RSA, Kind
from certs.pki import ensure_application
from opcua_server.engine import reverse
from tests.harness import free_ports
from tests.opcua_server.bench import Bench, machine, running
from tests.opcua_server.security import authority

PROGRAM = Path(__file__).with_name("o6_client.py")
PACKAGE = "o6==2.2.0"
URI = "urn:test:o6"
POLICIES = ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
SECURE = [(policy, mode) for policy in POLICIES for mode in ("Sign", "SignAndEncrypt")]

AUTHENTICATED = [
    ("ECC_nistP256_AesGcm", "Sign", "operator"),
    ("ECC_nistP256_AesGcm", "SignAndEncrypt", "token"),
    ("ECC_nistP256_ChaChaPoly", "Sign", ""),
    ("ECC_nistP256_ChaChaPoly", "SignAndEncrypt", "operator"),
]
"""Policies for a curve that o6 offers by itself."""
WAYS = {
    "nistP256": [("Sign", ""), ("Sign", "operator"), ("SignAndEncrypt", "operator")],
    "nistP384": [("SignAndEncrypt", "operator")],
}
"""Curve -> modes, and as whom. o6 brings a crypto library without the Brainpool curves."""


@pytest.fixture(scope="module")
def o6(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where o6 is: O6_PACKAGES, or a temporary folder."""
    given = os.environ.get("O6_PACKAGES")
    if given:
        return Path(given)
    folder = tmp_path_factory.mktemp("o6")
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--only-binary",
        ":all:",
        "--target",
        str(folder),
        PACKAGE,
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        pytest.skip(f"o6 is not tried: pip cannot install {PACKAGE}: {done.stderr.strip()[-200:]}")
    return folder


@pytest.fixture(scope="module")
def listens() -> int:
    """The port at which the server looks for clients that wait for it."""
    return free_ports(1)[0]


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, listens: int) -> Iterator[Bench]:
    folder = tmp_path_factory.mktemp("engine")
    (folder / "issuer.pem").write_bytes(authority.pem())
    given: dict[str, Any] = {
        "token_issuer": authority.URL, "token_keys": folder / "issuer.pem", "token_audience": authority.AUDIENCE,
        "token_roles": "mill-operators=Operator", "reverse_connect": (f"opc.tcp://127.0.0.1:{listens}",),
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(reverse, "LONGEST_WAIT_S", 0.5)
        with running(folder, **given) as made:
            yield made


def foreign(
    bench: Bench,
    o6: Path,
    folder: Path,
    connections: list[list[str]],
    hold: tuple[str, str],
    kind: Kind = RSA,
    listen: int = 0,
) -> list[dict[str, Any]]:
    """What o6 found on each connection; fails with what it said otherwise."""
    certificate, key = ensure_application(folder, "o6", URI, ["127.0.0.1"], kind=kind)
    given = {
        "endpoint": bench.settings.endpoint, "certificate": str(certificate), "key": str(key), "uri": URI,
        "server": str(bench.settings.data / "pki" / "server" / "own" / f"cert{kind.suffix}.der"), "connections": connections,
        "object": hold[0], "method": hold[1], "listen": listen,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, str(PROGRAM)], input=json.dumps(given), env={**os.environ, "PYTHONPATH": str(o6), "HOME": str(folder)},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:] + done.stdout[-1000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def found_as_it_is(found: list[dict[str, Any]], connections: list[list[str]]) -> None:
    assert [one["connection"] for one in found] == [one[:3] for one in connections]
    assert found[0]["heard"] >= 3
    for one in found:
        assert one["browsed"] > 2
        assert one["namespaces"][0] == "http://opcfoundation.org/UA/"
        assert one["range"] == one["namespaces"][:2]
        assert one["many"] == 100
        assert one["heard"] >= 1
        assert "BadNodeIdUnknown".lower() in one["missing"].replace("_", "").lower()
        wanted = "good" if one["connection"][2] else "baduseraccessdenied"
        assert wanted in one["called"].replace("_", "").lower()


def as_whom(bench: Bench, ways: Iterable[tuple[str, str, str]]) -> list[list[str]]:
    """Connections: policy, mode, and as whom: nobody, a user with a password, or ``token`` with an issued one."""
    passwords = {"": "", "token": authority.token().decode()}
    return [[*one, passwords[one[2]] if one[2] in passwords else bench.password(one[2])] for one in ways]


def find_hold(bench: Bench) -> tuple[str, str]:
    async def find() -> tuple[str, str]:
        async with bench.client() as client:
            commands = await (await machine(client))._at("Commands")
            for method in await commands.get_methods():
                if (await method.read_browse_name()).Name == "Hold":
                    return commands.nodeid.to_string(), method.nodeid.to_string()
        raise AssertionError("no Hold")

    return asyncio.run(find())


def test_o6_connects_browses_reads_subscribes_and_calls_with_every_policy_and_mode(bench: Bench, o6: Path, tmp_path: Path) -> None:
    ways = [(*one, user) for one in SECURE for user in ("", "operator")]
    connections = as_whom(bench, [*ways, ("Basic256Sha256", "Sign", "token"), ("Aes256_Sha256_RsaPss", "SignAndEncrypt", "token")])
    found_as_it_is(foreign(bench, o6, tmp_path, connections, find_hold(bench)), connections)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the policy is put into o6's client by code of that processor")
@pytest.mark.parametrize("curve", WAYS)
def test_o6_does_the_same_with_keys_on_a_curve(bench: Bench, o6: Path, tmp_path: Path, curve: str) -> None:
    """Also logging in: o6 encrypts the password with the session's ephemeral key."""
    connections = as_whom(bench, [(f"ECC_{curve}", mode, user) for mode, user in WAYS[curve]])
    found_as_it_is(foreign(bench, o6, tmp_path, connections, find_hold(bench), CURVES[curve]), connections)


def test_o6_does_the_same_with_authenticated_encryption(bench: Bench, o6: Path, tmp_path: Path) -> None:
    connections = as_whom(bench, AUTHENTICATED)
    found_as_it_is(foreign(bench, o6, tmp_path, connections, find_hold(bench), CURVES["nistP256"]), connections)


def test_o6_does_the_same_where_it_listens_and_the_server_connects(bench: Bench, o6: Path, tmp_path: Path, listens: int) -> None:
    connections = as_whom(bench, [("Basic256Sha256", "SignAndEncrypt", "operator")])
    found_as_it_is(foreign(bench, o6, tmp_path, connections, find_hold(bench), listen=listens), connections)
