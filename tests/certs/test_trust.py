"""Who gets in: trusted, first use, rejected; and everything that makes a certificate worthless."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from certs.commands import app
from certs.pki import CertificateProblem, Trust, thumbprint
from certs.trust import MAX_REJECTED
from tests.certs import authority as a

NOW = a.NOW
SERIAL = "ignore:Parsed a serial number"
"""What cryptography says beside a certificate that we refuse; it goes on reading it."""


def test_unknown_certificate_is_refused_and_kept_until_an_operator_trusts_it(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    client = a.certificate()
    refused = trust.check(a.der(client), now=NOW, peer="10.0.0.7")
    assert (refused.accepted, refused.status) == (False, "BadCertificateUntrusted")
    (entry,) = trust.entries()
    assert (entry.store, entry.thumbprint, entry.uri, entry.note["peer"]) == ("rejected", thumbprint(client), a.URI, "10.0.0.7")

    trust.trust(thumbprint(client)[:8].lower())
    assert trust.check(a.der(client), now=NOW).accepted
    assert [entry.store for entry in trust.entries()] == ["trusted"]

    trust.reject(thumbprint(client))
    assert trust.check(a.der(client), now=NOW).status == "BadCertificateUntrusted"


def test_first_use_trusts_and_records_who_and_when(tmp_path: Path) -> None:
    trust = Trust(tmp_path, first_use=True)
    client = a.certificate()
    first = trust.check(a.der(client), now=NOW, peer="127.0.0.1")
    assert first.accepted
    assert first.newly_trusted
    assert not trust.check(a.der(client), now=NOW).newly_trusted
    (entry,) = trust.entries()
    assert entry.note == {"how": "first use", "since": "2026-06-01T12:00:00Z", "peer": "127.0.0.1"}
    assert Trust(tmp_path).check(a.der(client), now=NOW).accepted, "what first use trusted stays trusted"


def test_first_use_does_not_bring_back_what_an_operator_rejected(tmp_path: Path) -> None:
    trust = Trust(tmp_path, first_use=True)
    client = a.certificate()
    trust.check(a.der(client), now=NOW)
    trust.reject(thumbprint(client))
    assert trust.check(a.der(client), now=NOW).status == "BadCertificateUntrusted"
    trust.trust(thumbprint(client))
    assert trust.check(a.der(client), now=NOW).accepted


@pytest.mark.parametrize(
    ("faults", "status"),
    [
        ({"ends": NOW - timedelta(hours=1)}, "BadCertificateTimeInvalid"),
        ({"starts": NOW + timedelta(hours=1)}, "BadCertificateTimeInvalid"),
        ({"bits": 1024}, "BadCertificatePolicyCheckFailed"),
        ({"usage": False}, "BadCertificateUseNotAllowed"),
        ({"signs": False}, "BadCertificateUseNotAllowed"),
        ({"purposes": (ExtendedKeyUsageOID.CODE_SIGNING,)}, "BadCertificateUseNotAllowed"),
        ({"uri": None}, "BadCertificateUriInvalid"),
        ({"signed_with": "other"}, "BadCertificateInvalid"),
        ({"issuer": "nobody"}, "BadCertificateChainIncomplete"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else value,
)
@pytest.mark.parametrize("in_trusted", [False, True])
def test_worthless_certificate_is_refused_even_on_first_use_or_when_trusted(
    tmp_path: Path, faults: dict[str, object], status: str, in_trusted: bool
) -> None:
    if "signed_with" in faults:
        faults = {"signed_with": a.key("other")}
    bad = a.certificate(**faults)
    trust = Trust(tmp_path, first_use=True)
    if in_trusted:
        (trust.trusted / "by-hand.der").write_bytes(a.der(bad))
    verdict = trust.check(a.der(bad), now=NOW)
    assert (verdict.accepted, verdict.status) == (False, status), verdict.text
    assert [entry.store for entry in trust.entries() if entry.store == "rejected"] == ["rejected"]


def test_hash_below_sha256_is_refused(tmp_path: Path) -> None:
    weak = a.certificate(hash_=hashes.SHA224())  # the libraries of today do not even sign with SHA-1; the check is the same
    assert Trust(tmp_path, first_use=True).check(a.der(weak), now=NOW).status == "BadCertificatePolicyCheckFailed"


def test_certificate_of_another_application_is_refused(tmp_path: Path) -> None:
    trust = Trust(tmp_path, first_use=True)
    assert trust.check(a.der(a.certificate()), application_uri="urn:somebody:else", now=NOW).status == "BadCertificateUriInvalid"


def test_trusted_authority_lets_in_whom_it_signed_until_it_revokes_them(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    ca, client = a.certificate("plant CA", ca=True), a.certificate(issuer="plant CA")
    (trust.trusted / "ca.der").write_bytes(a.der(ca))
    assert trust.check(a.der(client), now=NOW).status == "BadCertificateRevocationUnknown"

    crl = trust.issuers / "plant.crl"
    crl.write_bytes(a.der(a.revocation_list("plant CA", signed_with="other")))
    assert trust.check(a.der(client), now=NOW).status == "BadCertificateRevocationUnknown", "signed by somebody else"
    crl.write_bytes(a.der(a.revocation_list("plant CA", ends=NOW - timedelta(days=1))))
    assert trust.check(a.der(client), now=NOW).status == "BadCertificateRevocationUnknown", "out of date"
    crl.write_bytes(a.der(a.revocation_list("plant CA")))
    assert trust.check(a.der(client), now=NOW).accepted
    crl.write_bytes(a.der(a.revocation_list("plant CA", client)))
    assert trust.check(a.der(client), now=NOW).status == "BadCertificateRevoked"


ROOT = a.certificate("root CA", ca=True)
CELL = a.certificate("cell CA", ca=True, issuer="root CA")
TWO: dict[str, tuple[x509.Certificate, x509.Certificate, list[x509.CertificateRevocationList], str]] = {
    "all of it is right": (ROOT, CELL, [a.revocation_list("root CA"), a.revocation_list("cell CA")], "Good"),
    "one between was revoked": (
        ROOT, CELL, [a.revocation_list("root CA", CELL), a.revocation_list("cell CA")], "BadCertificateIssuerRevoked",
    ),
    "nobody says whether one between was revoked": (
        ROOT, CELL, [a.revocation_list("cell CA")], "BadCertificateIssuerRevocationUnknown",
    ),
    "one between revokes itself from the list": (
        ROOT, CELL, [a.revocation_list("root CA", signed_with="cell CA"), a.revocation_list("cell CA")],
        "BadCertificateIssuerRevocationUnknown",
    ),
    "a list that begins tomorrow": (
        ROOT, CELL, [a.revocation_list("root CA", starts=NOW + timedelta(days=1)), a.revocation_list("cell CA")],
        "BadCertificateIssuerRevocationUnknown",
    ),
    "a list of changes only": (
        ROOT, CELL, [a.revocation_list("root CA"), a.revocation_list("cell CA", changes_only=True)],
        "BadCertificateRevocationUnknown",
    ),
    "one between ended": (
        ROOT, a.certificate("cell CA", ca=True, issuer="root CA", ends=NOW - timedelta(hours=1)),
        [a.revocation_list("root CA"), a.revocation_list("cell CA")], "BadCertificateIssuerTimeInvalid",
    ),
    "the root allows none between": (
        a.certificate("root CA", ca=True, path_length=0), CELL, [a.revocation_list("root CA"), a.revocation_list("cell CA")],
        "BadCertificateIssuerUseNotAllowed",
    ),
    "one between is no authority": (
        ROOT, a.certificate("cell CA", issuer="root CA"), [a.revocation_list("root CA"), a.revocation_list("cell CA")],
        "BadCertificateIssuerUseNotAllowed",
    ),
    "one between is for some names only": (
        ROOT,
        a.certificate("cell CA", ca=True, issuer="root CA", critical=x509.NameConstraints([x509.DNSName("cell.example")], None)),
        [a.revocation_list("root CA"), a.revocation_list("cell CA")], "BadCertificateInvalid",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", TWO)
def test_every_certificate_of_a_chain_must_be_right(tmp_path: Path, name: str) -> None:
    root, cell, lists, status = TWO[name]
    trust = Trust(tmp_path)
    (trust.trusted / "root.der").write_bytes(a.der(root))
    for number, crl in enumerate(lists):
        (trust.issuers / f"{number}.crl").write_bytes(a.der(crl))
    assert trust.check(a.der(a.certificate(issuer="cell CA"), cell), now=NOW).status == status


def test_a_chain_has_an_end(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    chain = [a.certificate(issuer="CA 0"), *(a.certificate(f"CA {n}", ca=True, issuer=f"CA {n + 1}") for n in range(5))]
    for number, authority in enumerate(chain[1:]):
        (trust.issuers / f"{number}.der").write_bytes(a.der(authority))
    assert trust.check(a.der(chain[0]), now=NOW).status == "BadCertificateChainIncomplete"
    ring = [a.certificate(issuer="A"), a.certificate("A", ca=True, issuer="B"), a.certificate("B", ca=True, issuer="A")]
    assert trust.check(a.der(*ring), now=NOW).status == "BadCertificateChainIncomplete", "two authorities that sign each other"
    assert trust.check(a.der(*chain), now=NOW).status == "BadCertificateInvalid", "more than five sent"


def test_a_critical_extension_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    odd = a.certificate(critical=x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"))
    verdict = Trust(tmp_path, first_use=True).check(a.der(odd), now=NOW)
    assert (verdict.status, "1.2.3.4" in verdict.text) == ("BadCertificateInvalid", True)


def test_names_in_certificates_write_no_lines_of_their_own(tmp_path: Path) -> None:
    """Neither in the log nor on an operator's terminal."""
    trust = Trust(tmp_path / "pki" / "server", first_use=True)
    evil = "urn:x\n12:00:00 INFO admin logged in\x1b[2J"
    refused = trust.check(a.der(a.certificate("client\n\x1b[31m", issuer="nobody\nknows")), now=NOW)
    assert refused.text.isprintable()
    assert trust.check(a.der(a.certificate(uri=evil)), now=NOW).newly_trusted
    shown = CliRunner().invoke(app, ["list", "--data", str(tmp_path)])
    assert shown.exit_code == 0
    assert len(shown.output.splitlines()) == 2
    assert all(line.isprintable() for line in shown.output.splitlines())


def test_authority_in_issuers_completes_a_chain_without_trusting_it(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    (trust.issuers / "ca.der").write_bytes(a.der(a.certificate("plant CA", ca=True)))
    (trust.issuers / "ca.crl").write_bytes(a.der(a.revocation_list("plant CA")))
    client = a.certificate(issuer="plant CA")
    assert trust.check(a.der(client), now=NOW).status == "BadCertificateUntrusted"
    trust.trust(thumbprint(client))
    assert trust.check(a.der(client), now=NOW).accepted


def test_client_certificate_cannot_sign_for_others(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    honest = a.certificate("honest")
    (trust.trusted / "honest.der").write_bytes(a.der(honest))
    forged = a.certificate("forged", issuer="honest")
    assert trust.check(a.der(forged, honest), now=NOW).status == "BadCertificateIssuerUseNotAllowed"


def test_our_own_applications_are_trusted(tmp_path: Path) -> None:
    own = tmp_path / "analytics" / "own"
    own.mkdir(parents=True)
    (own / "cert.der").write_bytes(a.der(a.certificate("analytics")))
    trust = Trust(tmp_path / "server", own_applications=tmp_path)
    assert trust.check(a.der(a.certificate("analytics"))).status == "BadCertificateUntrusted", "same name, another certificate"
    assert trust.check((own / "cert.der").read_bytes(), now=NOW).accepted


def test_rejected_certificates_are_bounded(tmp_path: Path) -> None:
    trust = Trust(tmp_path)
    for number in range(MAX_REJECTED + 5):
        trust.check(a.der(a.certificate(serial=number + 1)), now=NOW)
    assert len([entry for entry in trust.entries() if entry.store == "rejected"]) == MAX_REJECTED


def test_broken_file_in_a_store_stops_nobody(tmp_path: Path) -> None:
    trust = Trust(tmp_path, first_use=True)
    (trust.trusted / "broken.der").write_bytes(b"\x30\x82nonsense")
    (trust.issuers / "broken.crl").write_bytes(b"nonsense")
    client = a.certificate()
    assert trust.check(a.der(client), now=NOW).accepted
    (trust.trusted / f"{thumbprint(client)}.json").write_text("{half", "utf-8")
    assert trust.check(a.der(client), now=NOW).accepted
    assert (trust.trusted / "broken.der").exists()


def test_thumbprint_that_is_unknown_or_short_is_one_clear_problem(tmp_path: Path) -> None:
    with pytest.raises(CertificateProblem, match="at least 8"):
        Trust(tmp_path).trust("AB")
    with pytest.raises(CertificateProblem, match="no certificate of that thumbprint"):
        Trust(tmp_path).trust("AB" * 20)


def test_certificate_in_a_file_can_be_trusted_before_its_owner_comes(tmp_path: Path) -> None:
    trust = Trust(tmp_path / "server")
    client = a.certificate()
    (tmp_path / "client.der").write_bytes(a.der(client))
    entry = trust.trust(str(tmp_path / "client.der"))
    assert entry.store == "trusted"
    assert (tmp_path / "client.der").exists()
    assert trust.check(a.der(client), now=NOW).accepted
    assert json.loads((trust.trusted / f"{thumbprint(client)}.json").read_text("utf-8"))["how"] == "operator"


@pytest.mark.filterwarnings(SERIAL)
@pytest.mark.parametrize("serial", [b"\x00", b"\x87"], ids=["zero", "negative"])
def test_a_serial_number_that_is_not_positive_is_refused_though_signed(tmp_path: Path, serial: bytes) -> None:
    good = a.certificate(serial=7)
    content = good.tbs_certificate_bytes.replace(b"\x02\x01\x07", b"\x02\x01" + serial, 1)
    signature = a.key("client").sign(content, padding.PKCS1v15(), hashes.SHA256())
    sent = a.der(good).replace(good.tbs_certificate_bytes, content).replace(good.signature, signature)
    trust = Trust(tmp_path, first_use=True)
    assert trust.check(a.der(good), now=NOW).accepted
    refused = trust.check(sent, now=NOW)
    assert (refused.accepted, refused.status) == (False, "BadCertificateInvalid")
    assert "serial number" in refused.text


@pytest.mark.filterwarnings(SERIAL)
@settings(max_examples=200, deadline=None)
@given(st.data())
def test_garbage_is_refused_and_never_raises(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    good = a.der(a.certificate(serial=7))
    trust = Trust(tmp_path_factory.getbasetemp() / "garbage", first_use=True)
    kind = data.draw(st.sampled_from(["random", "cut", "flipped"]))
    if kind == "random":
        sent = data.draw(st.binary(max_size=300))
    elif kind == "cut":
        sent = good[: data.draw(st.integers(0, len(good) - 1))]
    else:
        place = data.draw(st.integers(0, len(good) - 1))
        sent = good[:place] + bytes([good[place] ^ data.draw(st.integers(1, 255))]) + good[place + 1 :]
    assert not trust.check(sent, now=NOW).accepted


@pytest.mark.parametrize("known", [(), ("A",), ("A", "B")], ids=["neither known", "one known", "both known"])
def test_issuers_that_sign_each_other_lead_to_nobody(tmp_path: Path, known: tuple[str, ...]) -> None:
    """A chain in a circle: no issuer of it is trusted, also where the folder of issuers has them."""
    issuers = {
        "A": a.certificate("A", issuer="B", ca=True, signed_with=a.key("B")),
        "B": a.certificate("B", issuer="A", ca=True, signed_with=a.key("A")),
    }
    client = a.certificate(issuer="A", signed_with=a.key("A"))
    trust = Trust(tmp_path, first_use=True)
    for name in known:
        (trust.issuers / f"{name}.der").write_bytes(a.der(issuers[name]))
    verdict = trust.check(a.der(client, issuers["A"], issuers["B"], issuers["A"]), now=NOW)
    assert not verdict.accepted
    assert verdict.status == "BadCertificateChainIncomplete"
