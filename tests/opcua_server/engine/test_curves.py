"""Policies of keys on curves, against a client that was made from the standard; what it does wrong is refused.

open62541's client judges the same at the socket (test_o6.py).
"""

from __future__ import annotations

import asyncio
import os
import struct
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from asyncua import ua
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certs.application import ensure_application, load_own
from certs.kinds import CURVES, RSA, Kind
from cnctwin.wire import decode
from opcua_server.engine.channel import Channel, Own
from opcua_server.engine.contract import ServiceFault
from opcua_server.engine.frames import ProtocolError, follows, next_sequence
from opcua_server.engine.policies import POLICIES, CurvePolicy, Ephemeral, secret
from opcua_server.engine.sessions import OpenSession, Sessions
from opcua_server.security.users import NotThem
from tests.opcua_server.engine.curve_client import CurveClient, point

C = ua.StatusCodes
AUTHENTICATED = ["nistP256_AesGcm", "nistP256_ChaChaPoly"]
NAMES = [*CURVES, *AUTHENTICATED]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certified(tmp_path_factory.mktemp("curves"), *CURVES.values())


def certified(folder: Path, *kinds: Kind) -> Path:
    """A server and a client, each with a certificate of RSA and of every kind."""
    for name in ("server", "client"):
        for kind in (RSA, *kinds):
            ensure_application(folder / name, name, f"urn:test:{name}", ["127.0.0.1"], kind=kind)
    return folder


def own(folder: Path, *kinds: Kind) -> Own:
    first, *others = [Own(pair[0].public_bytes(Encoding.DER), pair[1]) for pair in (load_own(folder / "server", k) for k in kinds)]
    return Own(first.certificate, first.key, others=tuple(others))


def client(folder: Path, name: str, *, encrypts: bool = True) -> CurveClient:
    curve, _, cipher = name.partition("_")
    kind, der = CURVES[curve], Encoding.DER
    certificate, key = load_own(folder / "client", kind)
    server, _ = load_own(folder / "server", kind)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    certificates = certificate.public_bytes(der), key, server.public_bytes(der), server.public_key()
    return CurveClient(kind, *certificates, encrypts, cipher)


def answered(channel: Channel, frame: bytes) -> bytes:
    return channel.open(channel.examine(frame), 3_600_000, 0.0, datetime.now(UTC))


def refused(channel: Channel, frame: bytes) -> int:
    with pytest.raises(ProtocolError) as problem:
        answered(channel, frame)
    return problem.value.status


@pytest.mark.parametrize("encrypts", [False, True])
@pytest.mark.parametrize("name", NAMES)
def test_a_channel_opens_carries_messages_and_is_renewed(folder: Path, name: str, encrypts: bool) -> None:
    channel, peer = Channel(own(folder, RSA, *CURVES.values())), client(folder, name, encrypts=encrypts)
    peer.opened(answered(channel, peer.open()))
    before = peer.theirs
    for body in (b"", b"x", b"request" * 500):
        assert channel.receive(peer.message(body), 1.0) == (2, body)
        (frame,) = channel.seal(2, body, 8_192)
        assert peer.body(frame) == body
    chunks = channel.seal(2, bytes(20_000), 8_192)
    assert len(chunks) == 3
    assert all(len(one) <= 8_192 for one in chunks)
    assert b"".join(peer.body(one) for one in chunks) == bytes(20_000)
    peer.opened(answered(channel, peer.open(renew=True, trailer=b"\x00")))
    assert peer.theirs[0] != before[0]
    assert channel.receive(peer.message(b"with the new token"), 1.0)[1] == b"with the new token"
    assert peer.body(channel.seal(2, b"answer", 8_192)[0]) == b"answer"


def wrong(folder: Path) -> dict[str, tuple[dict[str, Any], int]]:
    other, _ = load_own(folder / "client", CURVES["nistP384"])
    rsa, _ = load_own(folder / "client", RSA)
    good = point(ec.generate_private_key(ec.SECP256R1()))
    return {
        "a nonce that is no point of the curve": ({"nonce": good[:-1] + bytes((good[-1] ^ 1,))}, C.BadNonceInvalid),
        "the point at zero": ({"nonce": bytes(64)}, C.BadNonceInvalid),
        "a nonce that is too short": ({"nonce": good[:32]}, C.BadNonceInvalid),
        "a point of another curve": ({"nonce": point(ec.generate_private_key(ec.SECP384R1()))}, C.BadNonceInvalid),
        "a signature of somebody else": ({"signature": bytes(63) + b"\x01"}, C.BadSecurityChecksFailed),
        "a signature of nothing": ({"signature": bytes(64)}, C.BadSecurityChecksFailed),
        "a signature that is too short": ({"signature": b"\x01" * 10}, C.BadSecurityChecksFailed),
        "a certificate of another curve": ({"certificate": other.public_bytes(Encoding.DER)}, C.BadSecurityChecksFailed),
        "a certificate of RSA": ({"certificate": rsa.public_bytes(Encoding.DER)}, C.BadSecurityChecksFailed),
        "for somebody else": ({"thumbprint": bytes(20)}, C.BadCertificateInvalid),
        "bytes behind the request": ({"trailer": b"\x01"}, C.BadDecodingError),
        "two bytes behind the request": ({"trailer": b"\x00\x00"}, C.BadDecodingError),
        "a policy for which the server has nothing": (
            {"uri": "http://opcfoundation.org/UA/SecurityPolicy#ECC_brainpoolP256r1"}, C.BadSecurityPolicyRejected,
        ),
    }  # fmt: skip


def test_what_is_wrong_with_an_opening_is_refused(folder: Path) -> None:
    for name, (changed, status) in wrong(folder).items():
        channel = Channel(own(folder, RSA, CURVES["nistP256"], CURVES["nistP384"]))
        assert refused(channel, client(folder, "nistP256").open(**changed)) == status, name
        assert not channel.is_open


def test_a_replayed_opening_opens_nothing_that_can_be_used(folder: Path) -> None:
    """On a connection of his own he gets an answer, whose keys he cannot know; on the same one its number has been."""
    channel, peer = Channel(own(folder, CURVES["nistP256"])), client(folder, "nistP256")
    recorded = peer.open()
    peer.opened(answered(channel, recorded))
    assert refused(channel, recorded) in (C.BadTcpSecureChannelUnknown, C.BadSequenceNumberInvalid)
    again = Channel(own(folder, CURVES["nistP256"]))
    answered(again, recorded)
    thief = client(folder, "nistP256")
    thief.keys(point(ec.generate_private_key(ec.SECP256R1())))
    thief.channel, thief.token, thief.sequence = again.number, 1, peer.sequence
    with pytest.raises(ProtocolError, match="wrong signature"):
        again.receive(thief.message(b"x"), 1.0)


@pytest.mark.parametrize("name", ["nistP256", *AUTHENTICATED])
def test_a_renewal_is_judged_as_the_opening_was_and_ends_the_token_before(folder: Path, name: str) -> None:
    channel, peer = Channel(own(folder, RSA, *CURVES.values())), client(folder, name)
    peer.opened(answered(channel, peer.open()))
    before = peer.ours, peer.token
    for nonce in (b"", os.urandom(32), b"\x01" * 64, bytes(64)):
        peer.sequence = 0
        assert refused(channel, peer.open(renew=True, nonce=nonce)) == C.BadNonceInvalid
    for sequence in (0, 2):
        assert refused(channel, peer.open(renew=True, sequence=sequence)) == C.BadSequenceNumberInvalid
    peer.sequence = 0
    assert refused(channel, peer.open()) == C.BadRequestTypeInvalid
    peer.sequence, peer.encrypts = 0, False
    assert refused(channel, peer.open(renew=True)) == C.BadRequestTypeInvalid
    peer.sequence, peer.encrypts = 0, True
    renewal = peer.open(renew=True)
    peer.opened(answered(channel, renewal))
    assert refused(channel, renewal) == C.BadSequenceNumberInvalid
    after = peer.ours, peer.token
    for (peer.ours, peer.token), body in ((before, b"still"), (after, b"new")):
        assert channel.receive(peer.message(body), 1.0)[1] == body
    peer.ours, peer.token = before
    with pytest.raises(ProtocolError) as problem:
        channel.receive(peer.message(b"no longer"), 1.0)
    assert problem.value.status == C.BadSecureChannelTokenUnknown


def test_an_open_channel_keeps_its_policy_and_its_certificate(folder: Path) -> None:
    channel, peer = Channel(own(folder, RSA, *CURVES.values())), client(folder, "nistP256")
    peer.opened(answered(channel, peer.open()))
    another = client(folder, "nistP384")
    another.channel, another.sequence = channel.number, peer.sequence
    assert refused(channel, another.open(renew=True)) == C.BadSecurityPolicyRejected


def test_numbers_begin_at_zero_use_all_and_are_checked(folder: Path) -> None:
    assert next_sequence(0xFFFFFFFF, from_zero=True) == 0
    assert follows(0xFFFFFFFF, 0, from_zero=True)
    assert not follows(0xFFFFFBFF, 0, from_zero=True)
    assert not follows(0xFFFFFFFE, 0, from_zero=True)
    channel, peer = Channel(own(folder, CURVES["nistP256"])), client(folder, "nistP256")
    peer.opened(answered(channel, peer.open()))
    frame = peer.message(b"x")
    channel.receive(frame, 1.0)
    for again in (frame, peer.message(b"x", sequence=7), peer.message(b"x", sequence=0)):
        with pytest.raises(ProtocolError) as problem:
            channel.receive(again, 1.0)
        assert problem.value.status == C.BadSequenceNumberInvalid


@pytest.mark.parametrize("name", NAMES)
def test_a_password_comes_out_as_it_went_in_and_only_for_this_session(folder: Path, name: str) -> None:
    policy = POLICIES[f"http://opcfoundation.org/UA/SecurityPolicy#ECC_{name}"]
    assert isinstance(policy, CurvePolicy)
    peer, ephemeral, nonce = client(folder, name), Ephemeral(policy.curve), os.urandom(32)

    def opened(sealed: bytes) -> bytes:
        return secret.open_secret(policy, sealed, ephemeral, peer.key.public_key(), peer.certificate, nonce)

    for value in (b"", b"secret", "пароль".encode(), b"x" * 400):
        assert opened(peer.secret(value, nonce, ephemeral.public)) == value
    assert opened(peer.secret(b"secret", nonce, ephemeral.public, certificate=b"")) == b"secret"
    good = peer.secret(b"secret", nonce, ephemeral.public)
    other = Ephemeral(policy.curve).public
    bad = {
        "the nonce of another session": peer.secret(b"secret", os.urandom(32), ephemeral.public),
        "no nonce": peer.secret(b"secret", b"", ephemeral.public),
        "for another key": peer.secret(b"secret", nonce, other),
        "another key that says it is ours": peer.secret(b"secret", nonce, other, receiver=ephemeral.public),
        "another policy": peer.secret(b"secret", nonce, ephemeral.public, uri="http://opcfoundation.org/UA/SecurityPolicy#None"),
        "somebody else's certificate": peer.secret(b"secret", nonce, ephemeral.public, certificate=peer.server),
        "a secret of RSA": peer.secret(b"secret", nonce, ephemeral.public, type=b"\x01\x00" + struct.pack("<H", 17545)),
        "somebody else's signature": peer.secret(b"secret", nonce, ephemeral.public, signature=bytes(2 * peer.size)),
        "cut": good[:-1],
        "nothing": b"",
        "longer": good + b"\x00",
        "changed": good[:100] + bytes((good[100] ^ 1,)) + good[101:],
    }
    for what, sealed in bad.items():
        print(what)  # shown where it is not refused
        with pytest.raises(ValueError):
            opened(sealed)
    whole = len(good) - 2 * peer.size
    for end in {*range(0, len(good), 7)} - {whole}:  # signed as it is cut: the parser alone stands between
        cut = good[:end]
        with pytest.raises(ValueError):
            opened(cut + peer.sign(cut))


def test_a_key_is_given_only_where_one_is_asked_for_and_is_signed(folder: Path) -> None:
    policy = POLICIES["http://opcfoundation.org/UA/SecurityPolicy#ECC_nistP256"]
    assert isinstance(policy, CurvePolicy)
    asked = ua.AdditionalParametersType([ua.KeyValuePair(ua.QualifiedName("ECDHPolicyUri", 0), ua.Variant(policy.uri))])
    assert secret.wanted_policy(asked) == policy.uri
    odd = ua.AdditionalParametersType([ua.KeyValuePair(ua.QualifiedName("ECDHPolicyUri", 0), ua.Variant(7))])
    for nothing in (None, ua.AdditionalParametersType([]), odd, ua.ExtensionObject()):
        assert secret.wanted_policy(nothing) is None
    ephemeral = Ephemeral(policy.curve)
    given = decode(ua.ExtensionObject, secret.key_header(policy, ephemeral, own(folder, CURVES["nistP256"]).key))
    (pair,) = given.Parameters
    assert (pair.Key.Name, pair.Value.Value.PublicKey) == ("ECDHKey", ephemeral.public)
    client(folder, "nistP256").verify(pair.Value.Value.Signature, pair.Value.Value.PublicKey)
    (pair,) = decode(ua.ExtensionObject, secret.key_header(None, None, None)).Parameters
    assert pair.Value.Value.value == C.BadSecurityPolicyRejected


def test_a_key_is_for_one_secret_and_who_is_refused_gets_another(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that was wrong once cannot be tried with the same key again, and whoever mistyped his own may go on."""
    policy = POLICIES["http://opcfoundation.org/UA/SecurityPolicy#ECC_nistP256"]
    assert isinstance(policy, CurvePolicy)
    peer, session = client(folder, "nistP256"), OpenSession(1, "s", None, None, None, 1e5)
    session.nonce, session.ephemeral = os.urandom(32), Ephemeral(policy.curve)
    first, server = session.ephemeral, own(folder, CURVES["nistP256"])
    channel: Any = SimpleNamespace(policy=policy, own=server, key=peer.key.public_key(), certificate=peer.certificate)
    sealed = peer.secret(b"secret", session.nonce, first.public)
    sessions: Any = Sessions.__new__(Sessions)
    assert sessions._secret(sealed, None, channel, session, 64)() == b"secret"
    assert session.ephemeral is None
    with pytest.raises(NotThem):
        sessions._secret(sealed, None, channel, session, 64)()

    sessions.by_token, sessions._audit = {b"token": session}, SimpleNamespace(session_activated=lambda *_: None)

    async def refuses(*_: Any) -> None:
        raise ServiceFault(C.BadUserAccessDenied)

    monkeypatch.setattr(sessions, "_activate", refuses)
    asked = ua.AdditionalParametersType([ua.KeyValuePair(ua.QualifiedName("ECDHPolicyUri", 0), ua.Variant(policy.uri))])
    answer = SimpleNamespace(connection=SimpleNamespace(channel=channel), more=b"")
    request: Any = SimpleNamespace(answer=answer, header=SimpleNamespace(token=b"token", more=asked))
    for _ in range(2):  # the second time no key was used, and the one there is stays
        with pytest.raises(ServiceFault):
            asyncio.run(sessions.activate(request, SimpleNamespace(UserIdentityToken=None)))
        second: Any = session.ephemeral
        (pair,) = decode(ua.ExtensionObject, answer.more).Parameters
        assert pair.Value.Value.PublicKey == second.public != first.public
    assert sessions._secret(peer.secret(b"again", session.nonce, second.public), None, channel, session, 64)() == b"again"
