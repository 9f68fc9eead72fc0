"""Users with tokens of an authority (IssuedIdentityToken with a JWT), through real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import struct
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from asyncua import Client, ua
from asyncua.crypto.security_policies import SecurityPolicyBasic256Sha256
from asyncua.crypto.uacrypto import encrypt_rsa_oaep, x509_from_der
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA1, Hash
from cryptography.hazmat.primitives.serialization import Encoding

from certs.application import ensure_application, load_own
from certs.kinds import RSA
from opcua_server.engine.channel import Own
from opcua_server.engine.engine import Engine
from opcua_server.engine.policies import RSA_POLICIES, rsa_secret
from opcua_server.engine.subscriptions import service as subscriptions
from opcua_server.security.lockout import Lockout
from tests.harness import wait_for
from tests.opcua_server.bench import Bench, machine
from tests.opcua_server.engine.bench import running
from tests.opcua_server.security import authority as a

C = ua.StatusCodes
POLICY = SecurityPolicyBasic256Sha256
WRAPPED = struct.pack("<BBH", 1, 0, 17545) + b"\x01"
"""How an RsaEncryptedSecret begins."""


@pytest.fixture(scope="module")
def engines() -> list[Engine]:
    return []


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, engines: list[Engine]) -> Iterator[Bench]:
    """It offers policy None too, where a token must be encrypted all the same."""
    folder = tmp_path_factory.mktemp("tokens")
    (folder / "issuer.pem").write_bytes(a.pem())
    given = {
        "token_issuer": a.URL, "token_keys": folder / "issuer.pem", "token_audience": a.AUDIENCE,
        "token_roles": [f"{value}={role}" for value, role in a.ROLES.items()],
    }  # fmt: skip
    with running(folder, engines, rooms=[subscriptions.services], insecure=True, **given) as made:
        yield made


@pytest.fixture(autouse=True)
def nobody_has_failed_yet(bench: Bench, engines: list[Engine]) -> None:
    engines[0]._sessions._users._lockout = Lockout()


@contextlib.asynccontextmanager
async def session(bench: Bench, *, secure: bool = True) -> AsyncIterator[Client]:
    """A client whose session is not activated yet."""
    async with bench.channel(secure=secure) as client:
        await client.create_session()
        yield client
        with contextlib.suppress(ua.uaerrors.BadSessionIdInvalid):  # it may have ended
            await client.close_session()


async def activate(client: Client, data: bytes, algorithm: str | None) -> None:
    """ActivateSession with a token as it is on the wire."""
    await activate_as(client, ua.IssuedIdentityToken("issued_Basic256Sha256", data, algorithm))


async def activate_as(client: Client, identity: Any) -> None:
    params = ua.ActivateSessionParameters()
    challenge = (client.security_policy.peer_certificate or b"") + (client._server_nonce or b"")
    params.ClientSignature.Algorithm = POLICY.AsymmetricSignatureURI
    params.ClientSignature.Signature = client.security_policy.asymmetric_cryptography.signature(challenge)
    params.UserIdentityToken = identity
    client._server_nonce = (await client.uaclient.activate_session(params)).ServerNonce


def server_key(client: Client, bench: Bench) -> Any:
    der = client.security_policy.peer_certificate
    path = bench.settings.data / "pki" / "server" / "own" / "cert.der"
    return x509_from_der(der if der is not None else path.read_bytes()).public_key()


async def log_in(client: Client, bench: Bench, token: bytes) -> None:
    """With the token in RSA blocks, as clients send passwords."""
    plain = block(token + (client._server_nonce or b""))
    key = server_key(client, bench)
    sealed = b"".join(encrypt_rsa_oaep(key, plain[start : start + 200]) for start in range(0, len(plain), 200))
    await activate(client, sealed, POLICY.AsymmetricEncryptionURI)


def wrapped(certificate: bytes, nonce: bytes, secret: bytes, **changed: Any) -> bytes:
    """An RsaEncryptedSecret, made from the standard. ``changed``: uri, thumbprint, sizes, signature that are wrong."""
    key: Any = x509_from_der(certificate).public_key()
    signing, encrypting, vector = (os.urandom(size) for size in changed.get("sizes", (32, 32, 16)))
    oaep = padding.OAEP(mgf=padding.MGF1(algorithm=SHA1()), algorithm=SHA1(), label=None)  # noqa: S303 - of the policy
    keys = key.encrypt(b"".join(block(one) for one in (signing, encrypting, vector)), oaep)
    digest = Hash(SHA1())  # noqa: S303 - an identifier
    digest.update(certificate)
    payload = block(nonce) + block(secret)
    padded = -(len(payload) + 2) % 16
    payload += bytes((padded,)) * padded + struct.pack("<H", padded)
    rest = block(changed.get("uri", POLICY.URI).encode()) + block(changed.get("thumbprint", digest.finalize()))
    rest += struct.pack("<qH", 0, len(keys)) + keys
    rest += Cipher(algorithms.AES(encrypting), modes.CBC(vector)).encryptor().update(payload)
    signed = WRAPPED + struct.pack("<I", len(rest) + 32) + rest
    return signed + bytes(changed.get("signature", hmac.digest(signing, signed, "sha256")))


def block(data: bytes) -> bytes:
    return struct.pack("<i", len(data)) + data


def run(coroutine: Any) -> Any:
    return asyncio.run(asyncio.wait_for(coroutine, 90))


def test_it_is_announced_with_where_to_get_one(bench: Bench) -> None:
    endpoints = asyncio.run(Client(bench.settings.endpoint).connect_and_get_server_endpoints())
    for endpoint in endpoints:
        (found,) = (one for one in endpoint.UserIdentityTokens if one.TokenType == ua.UserTokenType.IssuedToken)
        assert found.IssuedTokenType == "http://opcfoundation.org/UA/UserToken#JWT"
        said = json.loads(found.IssuerEndpointUrl)
        assert (said["ua:authorityUrl"], said["ua:resourceId"]) == (a.URL, a.AUDIENCE)
        encrypts = endpoint.SecurityPolicyUri if endpoint.SecurityMode != ua.MessageSecurityMode.None_ else POLICY.URI
        assert found.SecurityPolicyUri == encrypts


def test_a_token_gives_the_role_that_its_claim_says(bench: Bench, engines: list[Engine]) -> None:
    async def operator() -> None:
        async with session(bench) as client:
            await log_in(client, bench, a.token())
            mill = await machine(client)
            await mill.call("Hold")
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await mill.call("InjectFault", "chatter", 1.0, 1.0)
            (found,) = (one for one in engines[0].sessions.values() if one.user is not None)
            assert (found.user, found.role) == ("alice@sso.example", "Operator")
            await log_in(client, bench, a.token(roles="mill-operators mill-leads", sub="bob"))
            assert (found.user, found.role) == ("bob@sso.example", "Engineer")

    run(operator())


def test_what_is_wrong_with_a_token_is_refused_and_changes_nothing(bench: Bench) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = a.claims()["iat"]
    rejected = {
        "is over": a.token(exp=now - 3_600, sub="u1"), "does not count yet": a.token(nbf=now + 3_600, sub="u2"),
        "for somebody else": a.token(aud="urn:test:lathe", sub="u3"), "of another authority": a.token(iss="https://x", sub="u4"),
        "of another key": a.token(other, sub="u5"), "another algorithm": a.token("x" * 64, "HS256", sub="u6"),
        "of another kind of key": a.token(ec.generate_private_key(ec.SECP256R1()), "ES256", sub="u7"),
        "by nobody": a.token("", "none", sub="u8"),
    }  # fmt: skip
    invalid = {"no token": b"not a token", "nothing": b"", "without end": a.token(sub="u9", more="x" * 9_000)}

    async def attempts() -> None:
        async with session(bench) as client:
            for name, token in rejected.items():
                with pytest.raises(ua.uaerrors.BadIdentityTokenRejected):
                    await log_in(client, bench, token)
                print(name, "is refused")
            for name, token in invalid.items():
                with pytest.raises(ua.uaerrors.BadIdentityTokenInvalid):
                    await log_in(client, bench, token)
                print(name, "is refused")
            with pytest.raises(ua.uaerrors.BadUserAccessDenied):
                await log_in(client, bench, a.token(roles=["lathe-operators"], sub="u10"))
            with pytest.raises(ua.uaerrors.BadSessionNotActivated):
                await client.get_node(ua.NodeId(2258)).read_value()
            await log_in(client, bench, a.token())
            await client.get_node(ua.NodeId(2258)).read_value()

    run(attempts())


def test_a_token_in_clear_is_refused_on_every_channel(bench: Bench) -> None:
    async def attempts() -> None:
        for secure in (True, False):
            async with session(bench, secure=secure) as client:
                with pytest.raises(ua.uaerrors.BadIdentityTokenInvalid):
                    await activate(client, a.token(), None)
                await log_in(client, bench, a.token())
                await (await machine(client)).call("Hold")

    run(attempts())


def test_a_token_or_a_password_may_come_as_an_encrypted_secret(bench: Bench) -> None:
    async def logins() -> None:
        async with session(bench) as client:
            certificate = client.security_policy.peer_certificate
            assert certificate is not None
            await activate(client, wrapped(certificate, client._server_nonce or b"", a.token()), None)
            await client.get_node(ua.NodeId(2258)).read_value()
            sealed = wrapped(certificate, client._server_nonce or b"", bench.password("operator").encode())
            await activate_as(client, ua.UserNameIdentityToken("username_Basic256Sha256", "operator", sealed, None))
            await (await machine(client)).call("Hold")

    run(logins())


def test_an_encrypted_secret_is_for_one_session_and_one_certificate_only(tmp_path: Path) -> None:
    ensure_application(tmp_path, "server", "urn:test:server", ["127.0.0.1"])
    found, key = load_own(tmp_path, RSA)
    certificate, nonce = found.public_bytes(Encoding.DER), os.urandom(32)
    own = Own(certificate, key)

    def opened(sealed: bytes) -> bytes:
        assert rsa_secret.is_one(sealed) or len(sealed) < 5
        return rsa_secret.open_secret(RSA_POLICIES[0], sealed, own.key, own.thumbprint, nonce)

    for value in (b"", b"secret", b"x" * 8_000):
        assert opened(wrapped(certificate, nonce, value)) == value
    good = wrapped(certificate, nonce, b"secret")
    wrong = {
        "the nonce of another session": wrapped(certificate, os.urandom(32), b"secret"),
        "no nonce": wrapped(certificate, b"", b"secret"),
        "another policy": wrapped(certificate, nonce, b"secret", uri="http://opcfoundation.org/UA/SecurityPolicy#None"),
        "for another certificate": wrapped(certificate, nonce, b"secret", thumbprint=bytes(20)),
        "keys of other sizes": wrapped(certificate, nonce, b"secret", sizes=(32, 16, 16)),
        "a key that signs nothing": wrapped(certificate, nonce, b"secret", sizes=(0, 32, 16)),
        "somebody else's signature": wrapped(certificate, nonce, b"secret", signature=bytes(32)),
        "longer": good + b"\x00",
    }
    for name, sealed in wrong.items():
        print(name)  # shown where it is not refused
        with pytest.raises(ValueError):
            opened(sealed)
    for end in range(0, len(good), 3):
        with pytest.raises(ValueError):
            opened(good[:end])
    for place in range(5, len(good)):
        with pytest.raises(ValueError):
            opened(good[:place] + bytes((good[place] ^ 1,)) + good[place + 1 :])


def test_a_session_ends_with_its_token_and_goes_on_with_a_new_one(bench: Bench, engines: list[Engine]) -> None:
    async def sessions() -> None:
        async with session(bench) as client, session(bench) as other:
            await log_in(client, bench, a.token(sub="carol"))
            await log_in(other, bench, a.token(sub="dave"))
            mine, theirs = (
                next(one for one in engines[0].sessions.values() if one.user == f"{name}@sso.example") for name in ("carol", "dave")
            )
            assert 3_500 < mine.person_ends_s - engines[0].clock() <= 3_660  # type: ignore[attr-defined]
            mine.person_ends_s = engines[0].clock() + 1_000  # type: ignore[attr-defined]
            await log_in(client, bench, a.token(sub="carol"))
            assert mine.person_ends_s - engines[0].clock() > 3_500  # type: ignore[attr-defined]
            theirs.person_ends_s = engines[0].clock()  # type: ignore[attr-defined]
            await asyncio.to_thread(wait_for, lambda: theirs.is_closed, "the session has ended")
            with pytest.raises(ua.uaerrors.BadSessionIdInvalid):
                await other.get_node(ua.NodeId(2258)).read_value()
            await client.get_node(ua.NodeId(2258)).read_value()
            assert not mine.is_closed

    run(sessions())
