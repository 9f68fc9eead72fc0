"""Strict, insecure: the two ways that differ from a friendly start on loopback."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from typer.testing import CliRunner

from certs.application import load_certificate
from certs.commands import app
from certs.pki import thumbprint
from cnctwin.errors import ConfigurationError
from cnctwin.settings import load
from tests.opcua_server.bench import machine, running


def run(coroutine: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine(), 60))  # type: ignore[arg-type]


def test_strict_server_refuses_unknown_certificates_until_an_operator_trusts_them(tmp_path: Path) -> None:
    with running(tmp_path, require_trust=True) as bench:

        async def session(user: str | None = "operator") -> Any:
            async with bench.client(user) as client:
                return await client.nodes.server_state.read_value()

        with pytest.raises((TimeoutError, ua.UaError, ConnectionError)):
            run(session)
        name = thumbprint(load_certificate(tmp_path / "client" / "own" / "cert.der"))
        rejected = bench.settings.data / "pki" / "server" / "rejected"
        assert json.loads((rejected / f"{name}.json").read_text("utf-8"))["status"] == "BadCertificateUntrusted"

        assert CliRunner().invoke(app, ["trust", name, "--data", str(bench.settings.data)]).exit_code == 0
        assert run(session) == ua.ServerState.Running, "without a restart"
        endpoints = run(lambda: Client(bench.settings.endpoint).connect_and_get_server_endpoints())
        assert {token.TokenType for e in endpoints for token in e.UserIdentityTokens} == {ua.UserTokenType.UserName}
        with pytest.raises(ua.UaError):
            run(lambda: session(None))

        assert CliRunner().invoke(app, ["reject", name, "--data", str(bench.settings.data)]).exit_code == 0
        with pytest.raises((TimeoutError, ua.UaError, ConnectionError)):
            run(session)


def test_friendly_server_records_whom_it_trusts_on_first_use(tmp_path: Path) -> None:
    with running(tmp_path) as bench:

        async def session() -> None:
            async with bench.client():
                pass

        run(session)
        name = thumbprint(load_certificate(tmp_path / "client" / "own" / "cert.der"))
        note = json.loads((bench.settings.data / "pki" / "server" / "trusted" / f"{name}.json").read_text("utf-8"))
        assert (note["how"], note["peer"]) == ("first use", "127.0.0.1")


def test_insecure_server_takes_commands_of_anybody_without_encryption(tmp_path: Path) -> None:
    with running(tmp_path, insecure=True) as bench:

        async def session() -> None:
            async with bench.client(policy=None) as client:
                await (await machine(client)).call("InjectFault", "coolant", 0.5, 10.0)
            async with bench.client("analytics") as client:
                await (await (await machine(client)).own("Analytics/AnomalyScore")).write_value(0.5)

        run(session)
        assert bench.sources["CNC-001"].calls == [("InjectFault", ["coolant", 0.5, 10.0])]


def test_insecure_is_for_loopback_only(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="loopback"):
        load({"data": tmp_path, "host": "0.0.0.0", "insecure": True})
