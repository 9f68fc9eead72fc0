"""A user who logs in with a certificate."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from typer.testing import CliRunner

from certs.application import load_certificate
from certs.commands import app
from certs.pki import ensure_application, thumbprint
from certs.users import UserCertificates
from tests.opcua_server.bench import Bench, machine, running


async def log_in(bench: Bench, folder: Path, name: str, key: str | None = None, *, call: bool = False) -> None:
    """As the owner of ``name``'s certificate, with ``key``'s key."""
    client = Client(bench.settings.endpoint, timeout=20)
    client.application_uri = "urn:test:client"
    certificate, own_key = ensure_application(folder / "client", "client", client.application_uri, ["127.0.0.1"])
    await client.set_security(SecurityPolicyBasic256Sha256, str(certificate), str(own_key))
    await client.load_client_certificate(str(folder / name / "own" / "cert.der"))
    await client.load_private_key(str(folder / (key or name) / "own" / "key.pem"))
    async with client:
        assert isinstance(await client.get_node(ua.NodeId(2258)).read_value(), datetime)
        if call:
            await (await machine(client)).call("Hold")


async def log_in_until_it_is_gone(bench: Bench, folder: Path, name: str) -> None:
    """A session of ``name``, whose certificate is taken away meanwhile: it ends without a request of anybody."""
    client = Client(bench.settings.endpoint, timeout=20)
    client.application_uri = "urn:test:client"
    certificate, own_key = ensure_application(folder / "client", "client", client.application_uri, ["127.0.0.1"])
    await client.set_security(SecurityPolicyBasic256Sha256, str(certificate), str(own_key))
    await client.load_client_certificate(str(folder / name / "own" / "cert.der"))
    await client.load_private_key(str(folder / name / "own" / "key.pem"))
    async with client:
        UserCertificates(bench.settings.data / "pki" / "server" / "users").take(
            thumbprint(load_certificate(folder / name / "own" / "cert.der"))
        )
        with pytest.raises((ua.uaerrors.BadSessionIdInvalid, ConnectionError)):
            await _read_for_ever(client)


async def _read_for_ever(client: Client) -> None:
    while True:
        await client.get_node(ua.NodeId(2258)).read_value()
        await asyncio.sleep(0.05)


def kinds_of_tokens(bench: Bench) -> set[ua.UserTokenType]:
    endpoints = asyncio.run(Client(bench.settings.endpoint).connect_and_get_server_endpoints())
    return {token.TokenType for endpoint in endpoints for token in endpoint.UserIdentityTokens}


def test_a_certificate_is_a_user_only_when_an_operator_says_whose_it_is_and_its_key_is_there(tmp_path: Path) -> None:
    made = {name: ensure_application(tmp_path / name, name, f"urn:test:{name}", ["127.0.0.1"]) for name in ("alice", "bob")}
    with running(tmp_path / "server") as bench:
        data = ["--data", str(bench.settings.data)]
        assert ua.UserTokenType.Certificate not in kinds_of_tokens(bench)
        for name, role in (("alice", "Operator"), ("bob", "Viewer")):
            given = CliRunner().invoke(app, ["user", name, str(made[name][0]), "--role", role, *data])
            assert given.exit_code == 0, given.output
        assert ua.UserTokenType.Certificate in kinds_of_tokens(bench), "without a restart"
        asyncio.run(log_in(bench, tmp_path, "alice", call=True))
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            asyncio.run(log_in(bench, tmp_path, "bob", call=True))
        with pytest.raises(ua.uaerrors.BadUserSignatureInvalid):
            asyncio.run(log_in(bench, tmp_path, "alice", "bob"))
        asyncio.run(log_in_until_it_is_gone(bench, tmp_path, "bob"))
        name = thumbprint(load_certificate(made["alice"][0]))
        assert CliRunner().invoke(app, ["no-user", name, *data]).exit_code == 0
        for gone in ("alice", "bob"):
            with pytest.raises(ua.uaerrors.BadIdentityTokenRejected):
                asyncio.run(log_in(bench, tmp_path, gone))
