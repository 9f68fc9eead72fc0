"""A user who logs in with a certificate."""

from __future__ import annotations

import asyncio
from datetime import datetime
from pathlib import Path

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256

from certs.application import load_certificate, uris
from certs.pki import ensure_application
from cnctwin.secrets import Role
from opcua_server.engine.engine import Engine
from opcua_server.security.users import NotThem, Person
from tests.opcua_server.bench import Bench
from tests.opcua_server.engine.bench import running


def test_a_certificate_is_a_user_only_when_it_is_known_and_its_key_is_there(tmp_path: Path) -> None:
    made = {name: ensure_application(tmp_path / name, name, f"urn:test:{name}", ["127.0.0.1"]) for name in ("known", "other")}
    role: Role = "Operator"

    def certificate_user(der: bytes, _peer: str) -> Person:
        path = tmp_path / "seen.der"
        path.write_bytes(der)
        if "urn:test:known" not in list(uris(load_certificate(path))):
            raise NotThem("BadUserAccessDenied", "unknown")
        return Person("known", role)

    async def connect(bench: Bench, name: str, key: str) -> None:
        client = Client(bench.settings.endpoint, timeout=20)
        client.application_uri = "urn:test:client"
        certificate, own_key = ensure_application(tmp_path / "client", "client", client.application_uri, ["127.0.0.1"])
        await client.set_security(SecurityPolicyBasic256Sha256, str(certificate), str(own_key))
        await client.load_client_certificate(str(made[name][0]))
        await client.load_private_key(str(made[key][1]))
        async with client:
            assert isinstance(await client.get_node(ua.NodeId(2258)).read_value(), datetime)

    async def run(bench: Bench) -> None:
        await connect(bench, "known", "known")
        assert engines[0].sessions == {}
        with pytest.raises(ua.uaerrors.BadUserAccessDenied):
            await connect(bench, "other", "other")
        with pytest.raises(ua.uaerrors.BadUserSignatureInvalid):
            await connect(bench, "known", "other")

    engines: list[Engine] = []
    with running(tmp_path / "server", engines, engine_options={"certificate_user": certificate_user}) as bench:
        asyncio.run(run(bench))
