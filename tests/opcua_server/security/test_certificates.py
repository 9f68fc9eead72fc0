"""Certificates that must not open a channel, at the real socket: the client proves its key, and is refused for what is wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from certs.application import key_pem
from certs.pki import thumbprint
from certs.trust import Trust
from tests.certs import authority as a
from tests.opcua_server.bench import Bench, closed_sockets, running

NOW = datetime.now(UTC)
NAME = "at the door"
VALID: dict[str, Any] = {"uri": "urn:test:door", "starts": NOW - timedelta(days=1), "ends": NOW + timedelta(days=30)}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    """A server that trusts an authority, with its revocation list, and nobody else."""
    with running(tmp_path_factory.mktemp("strict"), require_trust=True) as bench:
        folder = bench.settings.data / "pki" / "server"
        lasting = {"starts": NOW - timedelta(days=1), "ends": NOW + timedelta(days=30)}
        (folder / "trusted" / "ca.der").write_bytes(a.der(a.certificate("door ca", ca=True, **lasting)))
        (folder / "issuers" / "other.der").write_bytes(a.der(a.certificate("silent ca", ca=True, **lasting)))
        revoked = a.revocation_list("door ca", REVOKED, ends=NOW + timedelta(days=30))
        (folder / "trusted" / "ca.crl").write_bytes(a.der(revoked))
        yield bench


def made(**changed: Any) -> x509.Certificate:
    return a.certificate(NAME, **{**VALID, "issuer": "door ca", **changed})


REVOKED = made()
WRONG: dict[str, tuple[x509.Certificate, str]] = {
    "nobody trusts it": (made(issuer=None), "BadCertificateUntrusted"),
    "its authority is unknown": (made(issuer="nowhere"), "BadCertificateChainIncomplete"),
    "its authority has no revocation list": (made(issuer="silent ca"), "BadCertificateRevocationUnknown"),
    "it was signed by somebody else": (made(signed_with=a.key("impostor")), "BadCertificateChainIncomplete"),
    "it ended": (made(ends=NOW - timedelta(hours=1)), "BadCertificateTimeInvalid"),
    "it begins tomorrow": (made(starts=NOW + timedelta(days=1)), "BadCertificateTimeInvalid"),
    "its key is short": (made(bits=1024), "BadCertificatePolicyCheckFailed"),
    "it is signed with too short a hash": (made(hash_=hashes.SHA224()), "BadCertificatePolicyCheckFailed"),
    "its key may not sign": (made(signs=False), "BadCertificateUseNotAllowed"),
    "it names no application": (made(uri=None), "BadCertificateUriInvalid"),
    "it was revoked": (REVOKED, "BadCertificateRevoked"),
}


async def connect(bench: Bench, certificate: x509.Certificate, uri: str = "urn:test:door") -> Any:
    folder = bench.folder / "door"
    folder.mkdir(exist_ok=True)
    (folder / "cert.der").write_bytes(a.der(certificate))
    bits = certificate.public_key().key_size  # type: ignore[union-attr]
    (folder / "key.pem").write_bytes(key_pem(a.key(NAME, bits)))
    client = Client(bench.settings.endpoint, timeout=20)
    client.application_uri = uri
    await client.set_security(SecurityPolicyBasic256Sha256, str(folder / "cert.der"), str(folder / "key.pem"))
    client.set_user("operator")
    client.set_password(bench.password("operator"))
    with closed_sockets(client):
        async with client:
            return await client.nodes.server_state.read_value()


@pytest.mark.parametrize("name", WRONG)
def test_a_certificate_that_is_wrong_opens_no_channel_and_is_kept_with_the_reason(strict: Bench, name: str) -> None:
    certificate, status = WRONG[name]
    with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
        asyncio.run(connect(strict, certificate))
    note = _rejected(strict) / f"{thumbprint(certificate)}.json"
    assert json.loads(note.read_text("utf-8"))["status"] == status


def test_one_that_its_authority_vouches_for_does(strict: Bench) -> None:
    assert asyncio.run(connect(strict, made())) == ua.ServerState.Running


def test_a_strict_server_refuses_an_application_that_says_it_is_another(strict: Bench) -> None:
    with pytest.raises(ua.uaerrors.BadCertificateUriInvalid):
        asyncio.run(connect(strict, made(), uri="urn:test:somebody:else"))


def test_an_operator_trusts_what_was_turned_away(strict: Bench) -> None:
    certificate = made(issuer=None, serial=4711)
    with pytest.raises((ua.UaError, ConnectionError, TimeoutError)):
        asyncio.run(connect(strict, certificate))
    Trust(_rejected(strict).parent).trust(thumbprint(certificate))
    assert asyncio.run(connect(strict, certificate)) == ua.ServerState.Running


def _rejected(bench: Bench) -> Path:
    return bench.settings.data / "pki" / "server" / "rejected"
