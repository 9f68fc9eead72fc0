"""What makes a token of an authority right, without a server; and how failures are counted."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import jwt
import pytest
from asyncua import ua
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.application import ensure_application
from cnctwin.errors import ConfigurationError
from cnctwin.secrets import Role, Vault
from cnctwin.settings import Settings
from opcua_server.security.audit import without_secret
from opcua_server.security.lockout import FREE_FAILURES
from opcua_server.security.tokens import Issuer, read_keys
from opcua_server.security.users import NotThem, Person, Users
from tests.opcua_server.security import authority as a

ROLES = cast("dict[str, Role]", a.ROLES)


@pytest.fixture
def issuer(tmp_path: Path) -> Issuer:
    (tmp_path / "key.pem").write_bytes(a.pem())
    return Issuer(a.URL, a.AUDIENCE, tmp_path / "key.pem", ROLES)


def refusal(issuer: Issuer, token: bytes) -> tuple[str, str]:
    with pytest.raises(NotThem) as problem:
        issuer.vouch(token)
    return problem.value.status, str(problem.value)


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(a.RSA_KEY, "RS256"), (a.RSA_KEY, "PS512"), (a.EC_KEY, "ES256"), (a.ED_KEY, "EdDSA")],
    ids=["RS256", "PS512", "ES256", "EdDSA"],
)
def test_a_right_token_says_who_it_is_and_until_when(tmp_path: Path, key: Any, algorithm: str) -> None:
    (tmp_path / "key.pem").write_bytes(a.pem(key))
    by_pem = Issuer(a.URL, a.AUDIENCE, tmp_path / "key.pem", ROLES, skew_s=10.0)
    by_set = Issuer(a.URL, a.AUDIENCE, a.key_set(tmp_path / "keys.json", a.jwk(key, "one")), ROLES, skew_s=10.0)
    end = a.claims()["exp"]
    for known, headers in ((by_pem, None), (by_pem, {"kid": "any"}), (by_set, {"kid": "one"}), (by_set, None)):
        vouched = known.vouch(a.token(key, algorithm, headers, exp=end))
        assert (vouched.person, vouched.ends_s) == (Person("alice@sso.example", "Operator"), end + 10.0)
    assert refusal(by_set, a.token(key, algorithm, {"kid": "two"}))[0] == "BadIdentityTokenRejected"


def test_dates_count_with_the_skew_of_clocks_and_not_beyond(tmp_path: Path) -> None:
    (tmp_path / "key.pem").write_bytes(a.pem())
    now = [1_000_000.0]
    issuer = Issuer(a.URL, a.AUDIENCE, tmp_path / "key.pem", ROLES, skew_s=60.0, now=lambda: now[0])
    token = a.token(iat=1_000_000, nbf=1_000_000, exp=1_000_600)
    for moment_s, is_right in ((999_939.0, False), (999_940.0, True), (1_000_659.0, True), (1_000_660.0, False)):
        now[0] = moment_s
        if is_right:
            assert issuer.left_s(issuer.vouch(token)) == 1_000_660.0 - moment_s
        else:
            assert refusal(issuer, token)[0] == "BadIdentityTokenRejected"


def test_a_token_is_refused_for_whatever_is_wrong_with_it(issuer: Issuer) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    good = a.token()
    head, body, signature = good.split(b".")

    def with_head(**fields: Any) -> bytes:
        return base64.urlsafe_b64encode(json.dumps(fields).encode()).rstrip(b"=") + b"." + body + b"." + signature

    shared = base64.urlsafe_b64encode(json.dumps({"alg": "HS256"}).encode()).rstrip(b"=") + b"." + body
    confused = shared + b"." + base64.urlsafe_b64encode(hmac.digest(a.pem(), shared, "sha256")).rstrip(b"=")
    rejected = {
        "over": a.token(exp=1), "not yet": a.token(nbf=2**40), "from the future": a.token(iat=2**40),
        "another audience": a.token(aud=["urn:test:lathe"]), "no audience": a.token(aud=None),
        "another issuer": a.token(iss="https://sso.example/realms/other"), "no issuer": a.token(iss=None),
        "no end": a.token(exp=None), "an end that is none": a.token(exp="tomorrow"), "endless": a.token(exp=float("inf")),
        "nobody": a.token(sub=None), "an empty name": a.token(sub=""), "a name without end": a.token(sub="x" * 200),
        "another key": a.token(other), "another kind of key": a.token(a.EC_KEY, "ES256"),
        "the public key as a shared secret": confused,
        "no algorithm": with_head(alg="none"), "an algorithm that is none of ours": with_head(alg="HS512"),
        "another algorithm of the same key": with_head(alg="RS512"), "none in another spelling": with_head(alg="NoNe"),
        "somebody else's claims": head + b"." + a.token(sub="eve").split(b".")[1] + b"." + signature,
        "no signature": head + b"." + body + b".", "a signature of zeros": head + b"." + body + b"." + b"A" * 342,
    }  # fmt: skip
    for name, token in rejected.items():
        assert refusal(issuer, token)[0] == "BadIdentityTokenRejected", name
    critical = with_head(alg="RS256", crit=["b64"], b64=False)
    nested = base64.urlsafe_b64encode(b"[" * 6_000) + b".x.y"
    for token in (b"", b"x", b"a.b", b"a.b.c", b"." * 100, b"{}", good.replace(b".", b""), b"\xff" * 50, nested, critical):
        assert refusal(issuer, token)[0] == "BadIdentityTokenInvalid", token[:20]
    for roles in (None, [], ["lathe-operators"], {"mill-operators": True}, 7, [["mill-operators"]], "mill-operators-of-old"):
        assert refusal(issuer, a.token(roles=roles))[0] == "BadUserAccessDenied"
    issuer.vouch(good)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=400) | st.text(alphabet='aA0._-{}[]"', max_size=200).map(str.encode))
def test_bytes_of_a_stranger_are_no_token(issuer_of_all: Issuer, data: bytes) -> None:
    assert issuer_of_all.claimed(data) == "issued token"
    refusal(issuer_of_all, data)


@pytest.fixture(scope="module")
def issuer_of_all(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    path = tmp_path_factory.mktemp("issuer") / "key.pem"
    path.write_bytes(a.pem())
    return Issuer(a.URL, a.AUDIENCE, path, ROLES)


@pytest.mark.parametrize(
    ("claim", "said", "role"),
    [
        ("roles", {"roles": ["mill-operators", "mill-leads"]}, "Engineer"),
        ("scope", {"scope": "openid mill-operators"}, "Operator"),
        ("realm_access.roles", {"realm_access": {"roles": ["mill-leads"]}}, "Engineer"),
        ("https://x.example/roles", {"https://x.example/roles": ["mill-leads"]}, "Engineer"),
    ],
)
def test_roles_are_where_the_authority_puts_them_and_the_first_of_ours_counts(
    tmp_path: Path, claim: str, said: dict[str, Any], role: str
) -> None:
    (tmp_path / "key.pem").write_bytes(a.pem())
    issuer = Issuer(a.URL, a.AUDIENCE, tmp_path / "key.pem", ROLES, claim=claim)
    assert issuer.vouch(a.token(**{"roles": None, **said})).person.role == role


def test_keys_are_public_ones_that_sign_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024)
    private = a.RSA_KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    secret_row = json.loads(jwt.get_algorithm_by_name("RS256").to_jwk(a.RSA_KEY))
    shared = {"kty": "oct", "k": base64.urlsafe_b64encode(b"x" * 32).decode()}
    wrong: dict[str, bytes] = {
        "nothing": b"", "no keys": b"{}", "an empty set": b'{"keys": []}', "no list": b'{"keys": {"a": 1}}', "text": b"key",
        "a private key": private, "a private row": json.dumps({"keys": [secret_row]}).encode(),
        "a short key": a.pem(weak), "a broken key": b"-----BEGIN PUBLIC KEY-----\nxx\n-----END PUBLIC KEY-----\n",
        "a shared secret": json.dumps({"keys": [shared]}).encode(),
        "a key to encrypt": json.dumps({"keys": [a.jwk(a.RSA_KEY, use="enc")]}).encode(),
        "a shared secret's algorithm": json.dumps({"keys": [a.jwk(a.RSA_KEY, alg="HS256")]}).encode(),
        "a curve of others": a.pem(ec.generate_private_key(ec.SECP256K1())), "nesting": b"[" * 100_000,
        "more than anybody has": json.dumps({"keys": [a.jwk(a.EC_KEY)] * 30}).encode(), "no end": b" " * (2 << 20),
    }  # fmt: skip
    for name, content in wrong.items():
        path.write_bytes(content)
        print(name)  # shown where it is not refused
        with pytest.raises(ValueError):
            read_keys(path)
    others = [
        shared, a.jwk(a.RSA_KEY, "x", alg="RSA-OAEP"), a.jwk(a.RSA_KEY, "y", use="enc"),
        a.jwk(ec.generate_private_key(ec.SECP256K1())), {"kty": "OKP", "crv": "X448", "x": "AAAA"}, {"kty": "new"}, 7,
    ]  # fmt: skip
    a.key_set(path, a.jwk(a.RSA_KEY, "r", alg="PS256"), a.jwk(a.EC_KEY, "e"), *others)
    assert [(key.name, key.algorithms) for key in read_keys(path)] == [("r", ("PS256",)), ("e", ("ES256",))]
    certificate, _ = ensure_application(tmp_path, "issuer", "urn:test:issuer", ["127.0.0.1"])
    path.write_text(certificate_pem(certificate))
    assert read_keys(path)[0].algorithms[0] == "RS256"


def certificate_pem(der: Path) -> str:
    text = base64.encodebytes(der.read_bytes()).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"


def test_new_keys_count_at_once_and_broken_ones_change_nothing(tmp_path: Path) -> None:
    path = a.key_set(tmp_path / "keys.json", a.jwk(a.RSA_KEY, "old"))
    issuer = Issuer(a.URL, a.AUDIENCE, path, ROLES)
    old, new = a.token(headers={"kid": "old"}), a.token(a.EC_KEY, "ES256", {"kid": "new"})
    issuer.vouch(old)
    assert refusal(issuer, new)[0] == "BadIdentityTokenRejected"
    a.key_set(path, a.jwk(a.EC_KEY, "new"))
    issuer.vouch(new)
    assert refusal(issuer, old)[0] == "BadIdentityTokenRejected"
    path.write_text("half a fi")
    issuer.vouch(new)
    path.unlink()
    issuer.vouch(new)


def test_settings_say_all_that_is_wrong_and_nothing_is_taken_without_them(tmp_path: Path) -> None:
    assert Issuer.of(Settings(data=tmp_path), "urn:test:server") is None
    (tmp_path / "key.pem").write_bytes(a.pem())
    given_: dict[str, Any] = {"token_issuer": a.URL, "token_keys": tmp_path / "key.pem", "token_roles": "x=y=Viewer,z=Admin"}
    made = Issuer.of(Settings(data=tmp_path, **given_), "urn:test:server")
    assert made is not None
    assert (made.audience, made.roles) == ("urn:test:server", {"x=y": "Viewer", "z": "Admin"})
    for broken in ({"token_roles": "x=Boss"}, {"token_roles": "Viewer"}, {"token_keys": None}, {"token_roles": ""}):
        with pytest.raises(ValueError):
            Settings(data=tmp_path, **{**given_, **broken})
    with pytest.raises(ConfigurationError, match="No such file"):
        Issuer.of(Settings(data=tmp_path, **{**given_, "token_keys": tmp_path / "none"}), "urn:test:server")


def test_wrong_tokens_are_counted_and_lock_out_as_wrong_passwords_do(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    sleep, own = asyncio.sleep, threading.get_ident()

    async def counted(delay_s: float) -> None:
        if threading.get_ident() != own:  # a server of other tests, in a thread of its own
            await sleep(delay_s)
            return
        waited.append(delay_s)

    monkeypatch.setattr("opcua_server.security.users.asyncio.sleep", counted)

    def sealed(token: bytes) -> Callable[[], bytes]:
        return lambda: token

    def unreadable() -> bytes:
        raise NotThem("BadIdentityTokenInvalid", "not encrypted for this session")

    async def status(users: Users, token: Callable[[], bytes], peer: str = "a") -> str:
        try:
            await users.with_token(token, peer)
        except NotThem as problem:
            return problem.status
        return ""

    async def logins() -> None:
        users = Users(cast(Vault, None), None, lambda: 0.0, issuer=issuer)
        wrong, right = sealed(a.token(exp=1)), sealed(a.token())
        assert [await status(users, right) for _ in range(10)] == [""] * 10
        refused = [await status(users, wrong) for _ in range(FREE_FAILURES + 2)]
        assert refused == ["BadIdentityTokenRejected"] * FREE_FAILURES + ["BadUserAccessDenied"] * 2
        assert waited == [0.25, 0.5, 1.0, 2.0]
        assert await status(users, right) == "BadUserAccessDenied", "even a right one, from that address"
        assert await status(users, right, "b") == ""
        assert await status(users, sealed(a.token(sub="bob"))) == ""
        clear = [await status(users, unreadable, "c") for _ in range(FREE_FAILURES + 1)]
        assert clear == ["BadIdentityTokenInvalid"] * FREE_FAILURES + ["BadUserAccessDenied"]
        assert await status(Users(cast(Vault, None), None), right) == "BadIdentityTokenRejected"

    asyncio.run(logins())


def test_an_audit_event_tells_no_token() -> None:
    shown = without_secret(ua.IssuedIdentityToken("issued_Basic256Sha256", a.token(), "http://x"))
    assert shown == ua.IssuedIdentityToken("issued_Basic256Sha256", b"", "")
