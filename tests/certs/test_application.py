"""The certificate of an application: made once, renewed in time, never lost."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from typer.testing import CliRunner

from certs.application import load_certificate, load_key, uris
from certs.commands import app
from certs.pki import CertificateProblem, Trust, application_uri, ensure_application, renew_application, thumbprint

NOW = datetime(2026, 6, 1, tzinfo=UTC)
URI = "urn:test:cnctwin:server"
HOSTS = ("localhost", "127.0.0.1", "0.0.0.0")


def test_certificate_has_what_opc_ua_asks_for(tmp_path: Path) -> None:
    path, key_path = ensure_application(tmp_path / "server", "cnctwin server", URI, HOSTS, now=NOW)
    certificate = load_certificate(path)
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    usage = certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert uris(certificate) == [URI]
    assert "localhost" in names.get_values_for_type(x509.DNSName)
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1"]
    assert usage.digital_signature
    assert usage.content_commitment
    assert usage.key_encipherment
    assert usage.data_encipherment
    assert {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH} == set(purposes)
    assert load_key(key_path).key_size >= 2048
    assert stat.S_IMODE(key_path.stat().st_mode) == 0o600
    assert Trust(tmp_path / "peer", first_use=True).check(path.read_bytes(), now=NOW).accepted


def test_second_start_keeps_the_certificate(tmp_path: Path) -> None:
    path, key_path = ensure_application(tmp_path, "a", URI, HOSTS, now=NOW)
    before = path.read_bytes(), key_path.read_bytes()
    ensure_application(tmp_path, "a", URI, iter(HOSTS), now=NOW + timedelta(days=100))
    assert (path.read_bytes(), key_path.read_bytes()) == before


def test_certificate_is_renewed_before_it_ends_and_the_old_one_kept(tmp_path: Path) -> None:
    path, key_path = ensure_application(tmp_path, "a", URI, HOSTS, now=NOW)
    old, key = load_certificate(path), key_path.read_bytes()
    ensure_application(tmp_path, "a", URI, HOSTS, now=old.not_valid_after_utc - timedelta(days=20))
    new = load_certificate(path)
    assert new.not_valid_after_utc > old.not_valid_after_utc
    assert key_path.read_bytes() == key
    assert [thumbprint(load_certificate(kept)) for kept in (tmp_path / "own" / "previous").iterdir()] == [thumbprint(old)]


def test_a_certificate_that_was_made_by_a_clock_ahead_is_made_anew_when_that_is_set_right(tmp_path: Path) -> None:
    """Everybody would refuse it until then, for years it may be."""
    path, key_path = ensure_application(tmp_path, "a", URI, HOSTS, now=NOW + timedelta(days=400))
    key = key_path.read_bytes()
    ensure_application(tmp_path, "a", URI, HOSTS, now=NOW)
    assert load_certificate(path).not_valid_before_utc < NOW
    assert key_path.read_bytes() == key
    # A clock that is a little behind is no reason.
    before = path.read_bytes()
    ensure_application(tmp_path, "a", URI, HOSTS, now=NOW - timedelta(minutes=50))
    assert path.read_bytes() == before


def test_new_address_gets_into_the_certificate_beside_the_old_ones(tmp_path: Path) -> None:
    path, _ = ensure_application(tmp_path, "a", URI, ["mill.example"], now=NOW)
    ensure_application(tmp_path, "a", URI, ["10.1.2.3"], now=NOW)
    names = load_certificate(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "mill.example" in names.get_values_for_type(x509.DNSName)
    assert "10.1.2.3" in [str(ip) for ip in names.get_values_for_type(x509.IPAddress)]


def test_application_keeps_its_uri_and_certificate_on_a_host_of_another_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certs.application.socket.gethostname", lambda: "container-1")
    path, _ = ensure_application(tmp_path, "a", application_uri("a", tmp_path), HOSTS, now=NOW)
    before = path.read_bytes()
    monkeypatch.setattr("certs.application.socket.gethostname", lambda: "container-2")
    assert application_uri("a", tmp_path) == "urn:container-1:cnctwin:a"
    ensure_application(tmp_path, "a", application_uri("a", tmp_path), HOSTS, now=NOW)
    assert path.read_bytes() == before


def test_key_without_certificate_gets_one(tmp_path: Path) -> None:
    path, key_path = ensure_application(tmp_path, "a", URI, HOSTS, now=NOW)
    key = key_path.read_bytes()
    path.unlink()
    ensure_application(tmp_path, "a", URI, HOSTS, now=NOW)
    assert key_path.read_bytes() == key
    assert load_certificate(path).public_key() == load_key(key_path).public_key()


@pytest.mark.parametrize("broken", ["cert.der", "key.pem"])
def test_broken_file_is_one_clear_problem_and_nothing_is_lost(tmp_path: Path, broken: str) -> None:
    ensure_application(tmp_path, "a", URI, HOSTS, now=NOW)
    (tmp_path / "own" / broken).write_bytes(b"torn")
    files = {path: path.read_bytes() for path in (tmp_path / "own").iterdir()}
    with pytest.raises(CertificateProblem, match=broken):
        ensure_application(tmp_path, "a", URI, HOSTS, now=NOW)
    assert {path: path.read_bytes() for path in (tmp_path / "own").iterdir()} == files
    renew_application(tmp_path, "a", URI, HOSTS, new_key=True, now=NOW)
    ensure_application(tmp_path, "a", URI, HOSTS, now=NOW)
    assert b"torn" in [path.read_bytes() for path in (tmp_path / "own" / "previous").iterdir()]


def test_key_of_another_certificate_and_missing_key_are_clear_problems(tmp_path: Path) -> None:
    _, key_path = ensure_application(tmp_path / "a", "a", URI, HOSTS, now=NOW)
    _, other = ensure_application(tmp_path / "b", "b", URI, HOSTS, now=NOW)
    key_path.write_bytes(other.read_bytes())
    with pytest.raises(CertificateProblem, match="does not belong"):
        ensure_application(tmp_path / "a", "a", URI, HOSTS, now=NOW)
    key_path.unlink()
    with pytest.raises(CertificateProblem, match="is missing"):
        ensure_application(tmp_path / "a", "a", URI, HOSTS, now=NOW)


def test_commands_make_list_trust_and_reject(tmp_path: Path) -> None:
    run = CliRunner()
    data = ["--data", str(tmp_path)]
    assert "there is no certificate" in run.invoke(app, ["list", *data]).output
    assert run.invoke(app, ["create", "hmi", *data]).exit_code == 0
    own = tmp_path / "pki" / "hmi" / "own" / "cert.der"
    name = thumbprint(load_certificate(own))
    assert f"own       {name}" in run.invoke(app, ["list", *data]).output

    assert run.invoke(app, ["create", "me", "--uri", "urn:me", *data]).exit_code == 0
    mine = tmp_path / "pki" / "me" / "own" / "cert.der"
    assert uris(load_certificate(mine)) == ["urn:me"]
    before = mine.read_bytes()
    assert "urn:me" in run.invoke(app, ["create", "me", *data]).output
    assert mine.read_bytes() == before

    elsewhere = tmp_path / "elsewhere"
    stranger, _ = ensure_application(elsewhere, "stranger", "urn:stranger", ["localhost"])
    trust = Trust(tmp_path / "pki" / "server", own_applications=tmp_path / "pki")
    assert trust.check(own.read_bytes()).accepted
    assert not trust.check(stranger.read_bytes()).accepted
    name = thumbprint(load_certificate(stranger))
    assert f"rejected  {name}" in run.invoke(app, ["list", *data]).output
    assert run.invoke(app, ["trust", name, *data]).exit_code == 0
    assert trust.check(stranger.read_bytes()).accepted
    assert run.invoke(app, ["reject", name, *data]).exit_code == 0
    assert not trust.check(stranger.read_bytes()).accepted

    assert run.invoke(app, ["renew", "hmi", *data]).exit_code == 0
    assert thumbprint(load_certificate(own)) != name
    for wrong in (["trust", "ABCDEF0123"], ["renew", "nobody"], ["create", "../escape"]):
        result = run.invoke(app, [*wrong, *data])
        assert result.exit_code == 2
        assert len(result.output.strip().splitlines()) == 1
