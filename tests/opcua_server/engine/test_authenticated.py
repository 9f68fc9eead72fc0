"""Policies with authenticated encryption: chunks that were changed, replayed or left out, and what binds a session to its channel.

The client is made from the standard (curve_client.py); open62541's client judges the same at the socket (test_o6.py).
"""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua
from cryptography.exceptions import InvalidSignature
from hypothesis import given, settings
from hypothesis import strategies as st

from certs.kinds import CURVES, RSA
from opcua_server.engine import bound
from opcua_server.engine.channel import Channel
from opcua_server.engine.frames import ProtocolError
from opcua_server.engine.policies.authenticated import AuthenticatedKeys
from tests.opcua_server.engine.curve_client import AUTHENTICATED as CIPHERS
from tests.opcua_server.engine.curve_client import CurveClient, nonce
from tests.opcua_server.engine.test_curves import AUTHENTICATED, answered, certified, client, own, refused

C = ua.StatusCodes
P256 = CURVES["nistP256"]
WAYS = [(name, encrypts) for name in AUTHENTICATED for encrypts in (False, True)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return certified(tmp_path_factory.mktemp("authenticated"), P256)


def pair(folder: Path, name: str, encrypts: bool = True) -> tuple[Channel, CurveClient]:
    """A channel that is open, and its client."""
    channel, peer = Channel(own(folder, RSA, P256)), client(folder, name, encrypts=encrypts)
    peer.opened(answered(channel, peer.open()))
    return channel, peer


def refusal(channel: Channel, frame: bytes) -> int:
    with pytest.raises(ProtocolError) as problem:
        channel.receive(frame, 1.0)
    return problem.value.status


@pytest.mark.parametrize(("name", "encrypts"), WAYS)
def test_whatever_is_changed_in_a_chunk_is_refused_and_changes_nothing(folder: Path, name: str, encrypts: bool) -> None:
    channel, peer = pair(folder, name, encrypts)
    frame = peer.message(b"a request of some bytes")
    for place in range(8, len(frame)):  # what is before says how long it is and where it ends: the connection's to judge
        changed = frame[:place] + bytes((frame[place] ^ 1 << place % 8,)) + frame[place + 1 :]
        known = (C.BadTcpSecureChannelUnknown, C.BadSecureChannelTokenUnknown) if place < 16 else (C.BadSecurityChecksFailed,)
        assert refusal(channel, changed) in known, place
    assert refusal(channel, frame[:3] + b"C" + frame[4:]) == C.BadSecurityChecksFailed
    for cut in (frame[:-1], frame[:40], frame[:24], frame + b"\x00"):
        assert refusal(channel, cut) == C.BadSecurityChecksFailed
    assert channel.receive(frame, 1.0) == (2, b"a request of some bytes")


@pytest.mark.parametrize(("name", "encrypts"), WAYS)
def test_chunks_come_once_and_in_their_order(folder: Path, name: str, encrypts: bool) -> None:
    """What is replayed or left out has a nonce that the receiver does not expect: its tag is wrong before its number is read."""
    channel, peer = pair(folder, name, encrypts)
    first, second, third = (peer.message(b"%d" % number) for number in range(3))
    assert refusal(channel, second) == C.BadSecurityChecksFailed
    assert channel.receive(first, 1.0)[1] == b"0"
    assert refusal(channel, first) == C.BadSecurityChecksFailed
    assert refusal(channel, third) == C.BadSecurityChecksFailed
    assert [channel.receive(one, 1.0)[1] for one in (second, third)] == [b"1", b"2"]
    assert refusal(channel, peer.message(b"another number", sequence=77)) == C.BadSequenceNumberInvalid


@pytest.mark.parametrize(("name", "encrypts"), WAYS)
def test_keys_of_another_channel_of_the_other_side_or_of_the_token_before_are_refused(
    folder: Path, name: str, encrypts: bool
) -> None:
    channel, peer = pair(folder, name, encrypts)
    _, stranger = pair(folder, name, encrypts)
    stranger.channel = channel.number
    assert refusal(channel, stranger.message(b"x")) == C.BadSecurityChecksFailed
    before = peer.ours
    peer.opened(answered(channel, peer.open(renew=True)))
    peer.ours, after = before, peer.ours
    assert refusal(channel, peer.message(b"new token, old keys")) == C.BadSecurityChecksFailed
    peer.ours, peer.sequence = after, peer.sequence - 1
    assert channel.receive(peer.message(b"both new"), 1.0)[1] == b"both new"
    (echo,) = channel.seal(2, b"our own answer", 8_192)
    assert refusal(channel, echo) == C.BadSecurityChecksFailed


@pytest.mark.parametrize(("name", "encrypts"), WAYS)
def test_numbers_go_on_at_zero_when_all_were_used(folder: Path, name: str, encrypts: bool) -> None:
    channel, peer = pair(folder, name, encrypts)
    channel._heard = channel._sent = peer.sequence = peer.heard = 0xFFFFFFFE
    for number in (0xFFFFFFFF, 0, 1):
        assert channel.receive(peer.message(b"x", sequence=number), 1.0)[1] == b"x"
        assert peer.body(channel.seal(2, b"y", 8_192)[0]) == b"y"
    assert (channel._heard, channel._sent, peer.heard) == (1, 1, 1)


@pytest.mark.parametrize("name", AUTHENTICATED)
def test_the_old_token_goes_on_until_the_new_one_is_used(folder: Path, name: str) -> None:
    channel, peer = pair(folder, name)
    old_ours, old_theirs, old_token = peer.ours, peer.theirs, peer.token
    peer.opened(answered(channel, peer.open(renew=True)))
    new = peer.ours, peer.theirs, peer.token
    peer.ours, peer.theirs, peer.token = old_ours, old_theirs, old_token
    assert channel.receive(peer.message(b"with the old one"), 1.0)[1] == b"with the old one"
    assert peer.body(channel.seal(2, b"so is the answer", 8_192)[0]) == b"so is the answer"
    peer.ours, peer.theirs, peer.token = new
    assert channel.receive(peer.message(b"with the new one"), 1.0)[1] == b"with the new one"
    assert peer.body(channel.seal(2, b"as well", 8_192)[0]) == b"as well"
    peer.ours, peer.token = old_ours, old_token
    assert refusal(channel, peer.message(b"the old one again")) == C.BadSecureChannelTokenUnknown


@pytest.mark.parametrize("name", AUTHENTICATED)
def test_keys_of_a_renewal_build_on_those_before(folder: Path, name: str) -> None:
    """Who takes over a channel at a renewal, with both certificates' keys, still does not have what it began with."""
    channel, peer = pair(folder, name)
    peer.secret_before = bytes(peer.size)
    peer.opened(answered(channel, peer.open(renew=True)))
    assert refusal(channel, peer.message(b"x")) == C.BadSecurityChecksFailed


@pytest.mark.parametrize("name", AUTHENTICATED)
def test_the_first_answer_is_signed_with_the_signature_of_its_request(folder: Path, name: str) -> None:
    channel, peer = Channel(own(folder, RSA, P256)), client(folder, name)
    answer = answered(channel, peer.open())
    size = 2 * peer.size
    with pytest.raises(InvalidSignature):
        peer.verify(answer[-size:], answer[:-size])
    peer.opened(answer)
    assert channel.thumbprint == peer.thumbprint == answer[-size:]
    renewal = answered(channel, peer.open(renew=True))
    peer.verify(renewal[-size:], renewal[:-size])
    assert channel.thumbprint == answer[-size:]


@pytest.mark.parametrize("name", AUTHENTICATED)
def test_signatures_of_a_session_are_for_one_channel_only(folder: Path, name: str) -> None:
    channel, peer = pair(folder, name)
    other, _ = pair(folder, name)
    server, mine = (hashlib.sha256(der).digest() for der in (peer.server, peer.certificate))
    ours, theirs = b"s" * 32, b"c" * 32
    assert bound.by_server(channel, peer.certificate, theirs, ours) == peer.thumbprint + theirs + server + mine + ours
    assert bound.by_client(channel, theirs, ours) == peer.thumbprint + ours + server + server + mine + theirs
    assert bound.by_user(channel, theirs, ours) == peer.thumbprint + ours + server + server + mine + mine + theirs
    assert bound.by_client(other, theirs, ours) != bound.by_client(channel, theirs, ours)
    before = Channel(own(folder, P256))
    old = client(folder, "nistP256")
    old.opened(answered(before, old.open()))
    assert bound.by_server(before, old.certificate, theirs, ours) == old.certificate + theirs
    assert bound.by_client(before, theirs, ours) == bound.by_user(before, theirs, ours) == old.server + ours


@pytest.mark.parametrize("name", AUTHENTICATED)
def test_a_policy_of_the_same_certificate_is_another_policy(folder: Path, name: str) -> None:
    channel, peer = pair(folder, name)
    another = client(folder, "nistP256")
    another.channel, another.sequence = channel.number, peer.sequence
    assert refused(channel, another.open(renew=True)) == C.BadSecurityPolicyRejected


@settings(max_examples=60, deadline=None)
@given(
    cipher=st.sampled_from(sorted(CIPHERS)),
    body=st.binary(max_size=300),
    last=st.integers(0, 2**32 - 1) | st.just(-1),
    token=st.integers(0, 2**32 - 1),
    vector=st.binary(min_size=12, max_size=12),
    encrypts=st.booleans(),
)
def test_a_chunk_is_what_the_cipher_alone_makes_of_it(
    cipher: str, body: bytes, last: int, token: int, vector: bytes, encrypts: bool
) -> None:
    key = b"k" * (16 if cipher == "AesGcm" else 32)
    keys, plain = AuthenticatedKeys(CIPHERS[cipher], key, vector), struct.pack("<II", 5, 6) + body
    frame = keys.seal(b"F", (7, token, 5, 6), (body[:3], body[3:]), len(body), last, encrypts=encrypts)
    alone: Any = CIPHERS[cipher](key)
    secret, signed = (frame[16:], frame[:16]) if encrypts else (frame[-16:], frame[:-16])
    assert alone.decrypt(nonce(vector, token, last), secret, signed) == (plain if encrypts else b"")
    assert keys.open(frame, last, encrypts=encrypts) == plain
    assert len(frame) == int.from_bytes(frame[4:8], "little") == 16 + len(plain) + 16
    assert keys.capacity(len(frame), encrypts=encrypts) == len(body)
    for wrong in (last + 1, last ^ 1 << 31):
        with pytest.raises(ValueError):
            keys.open(frame, wrong, encrypts=encrypts)
