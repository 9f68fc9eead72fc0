"""Certificates of a server that runs on while they end."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certs.application import load_certificate, load_own
from certs.kinds import CURVES, RSA
from certs.pki import ensure_application
from opcua_server.engine.channel import Own
from opcua_server.run.certificates import OwnCertificates, ensure_own
from tests.certs.authority import NOW, certificate, key

URI = "urn:test:server"
HOSTS = ("localhost", "127.0.0.1")
CURVE = "nistP256"


class Engine:
    """As far as it is known by its certificates."""

    def __init__(self, folder: Path, *curves: str) -> None:
        pairs = [load_own(folder, kind) for kind in (RSA, *(CURVES[name] for name in curves))]
        first, *others = [Own(one.public_bytes(Encoding.DER), its_key) for one, its_key in pairs]
        self.own = first.with_pair(others[0]) if others else first

    def use(self, own: Own) -> None:
        self.own = own

    def ends(self, kind: object = RSA) -> datetime:
        own = self.own.of(kind)  # type: ignore[arg-type]
        assert own is not None
        return x509.load_der_x509_certificate(own.certificate).not_valid_after_utc


def test_a_certificate_that_ends_under_a_running_server_is_made_anew_and_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for kind in (RSA, CURVES[CURVE]):
        path, _ = ensure_own(tmp_path, URI, HOSTS, kind, now=NOW)
    ends = load_certificate(path).not_valid_after_utc
    engine = Engine(tmp_path, CURVE)
    keys = [engine.own.key, engine.own.others[0].key]
    own = OwnCertificates(engine, tmp_path, URI, HOSTS, [CURVE])
    asyncio.run(own.look(ends - timedelta(days=40)))
    assert engine.ends() == engine.ends(CURVES[CURVE]) == ends
    assert not caplog.records
    asyncio.run(own.look(ends - timedelta(days=20)))
    assert engine.ends() > ends
    assert engine.ends(CURVES[CURVE]) > ends
    assert [engine.own.key.public_key(), engine.own.others[0].key.public_key()] == [one.public_key() for one in keys]
    assert (own.problem, len(caplog.records)) == ("", 2)
    asyncio.run(own.look(ends - timedelta(days=20)))
    assert len(caplog.records) == 2


def test_a_certificate_that_somebody_makes_anew_is_used_without_a_restart(tmp_path: Path) -> None:
    path, _ = ensure_own(tmp_path, URI, HOSTS, now=NOW)
    engine = Engine(tmp_path)
    ensure_application(tmp_path, "cnctwin server", URI, (*HOSTS, "mill.example"), now=NOW + timedelta(days=1))
    asyncio.run(OwnCertificates(engine, tmp_path, URI, HOSTS, []).look(NOW + timedelta(days=1)))
    assert engine.own.certificate == path.read_bytes()


def test_one_that_an_authority_signed_is_told_before_it_ends_and_when_it_has(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    signed = certificate("server", issuer="authority", uri=URI, ends=NOW + timedelta(days=90))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "cert.der").write_bytes(signed.public_bytes(Encoding.DER))
    pem = key("server").private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "own" / "key.pem").write_bytes(pem)
    engine = Engine(tmp_path)
    own = OwnCertificates(engine, tmp_path, URI, HOSTS, [])
    for day in (10, 61, 62):
        asyncio.run(own.look(NOW + timedelta(days=day)))
    assert own.problem == ""
    asyncio.run(own.look(NOW + timedelta(days=91)))
    asyncio.run(own.look(NOW + timedelta(days=92)))
    assert " ended on 2026-08-30 12:00 UTC; its issuer" in own.problem
    assert own.problem.endswith("; its issuer must sign a new one, where the clock of this computer is right")
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.ERROR]
    assert caplog.records[0].message.endswith("and no client comes in after that; let its issuer sign a new one")
    assert engine.own.certificate == signed.public_bytes(Encoding.DER)


def test_a_pair_that_is_gone_is_told_and_no_other_put_in_its_place(tmp_path: Path) -> None:
    path, key_path = ensure_own(tmp_path, URI, HOSTS, now=NOW)
    engine = Engine(tmp_path)
    before = engine.own
    path.unlink()
    key_path.unlink()
    own = OwnCertificates(engine, tmp_path, URI, HOSTS, [])
    asyncio.run(own.look(NOW))
    assert "the RSA pair is gone; restore it" in own.problem
    assert engine.own is before
    assert not path.exists()
