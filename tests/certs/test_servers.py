"""Certificates of servers: the first one is taken, another one refused until somebody says that it is right."""

from __future__ import annotations

from pathlib import Path

import pytest

from certs.application import load_certificate
from certs.errors import CertificateProblem
from certs.pki import ensure_application
from certs.servers import RECORD, CertificateChanged, accept, pin

URL = "opc.tcp://mill:4840"


def test_another_certificate_is_refused_with_the_command_that_takes_it_for_all_programs(tmp_path: Path) -> None:
    one, two = (load_certificate(ensure_application(tmp_path / name, name, f"urn:{name}", ())[0]) for name in ("one", "two"))
    records = [tmp_path / "pki" / name / RECORD for name in ("analytics", "gateway")]
    for record in records:
        pin(record, URL, one)
        pin(record, URL, one)
        with pytest.raises(CertificateChanged) as refused:
            pin(record, URL, two)
    *_, url, sha256, option, data = str(refused.value).split()
    assert (url, option, data) == (URL, "--data", str(tmp_path))
    spelt = ":".join(sha256[i : i + 2].upper() for i in range(0, 64, 2))
    assert accept(tmp_path, url, spelt) == ["analytics", "gateway"]
    for record in records:
        pin(record, URL, two)
        with pytest.raises(CertificateChanged):
            pin(record, URL, one)
        pin(record, "opc.tcp://other:4840", one)


def test_what_cannot_be_accepted_says_why(tmp_path: Path) -> None:
    with pytest.raises(CertificateProblem, match="no program of .* has talked to a server there"):
        accept(tmp_path, URL, "0" * 64)
    with pytest.raises(CertificateProblem, match="is no SHA-256"):
        accept(tmp_path, URL, "359c630e1f616b82")
    record = tmp_path / "pki" / "gateway" / RECORD
    record.parent.mkdir(parents=True)
    for damaged in ("[]", "{", '{"opc.tcp://mill:4840": 3}'):
        record.write_text(damaged)
        with pytest.raises(CertificateProblem, match="cannot be read"):
            accept(tmp_path, URL, "0" * 64)


def test_the_server_of_this_installation_may_show_a_new_certificate(tmp_path: Path) -> None:
    """It was renewed, or got another address: whoever reads it in the data folder need not be asked."""
    record = tmp_path / "pki" / "gateway" / RECORD
    place, foreign = tmp_path / "pki" / "server", tmp_path / "foreign"
    pin(record, URL, load_certificate(ensure_application(place, "server", "urn:server", ())[0]))
    new = load_certificate(ensure_application(place, "server", "urn:server", ("192.0.2.7",))[0])
    other = load_certificate(ensure_application(foreign, "server", "urn:server", ())[0])
    with pytest.raises(CertificateChanged):
        pin(record, URL, other)
    pin(record, URL, new)
    (place / "own" / "cert.der").unlink()
    pin(record, URL, new)  # it is the recorded one now
    with pytest.raises(CertificateChanged):
        pin(record, URL, other)
