"""A server's trust list as one thing, as OPC 10000-12 moves it about: read, replaced, added to. The folders are ``Trust``'s.

What is taken out of the trusted ones is rejected as an operator would: first use does not bring it back. Everything that is
given is read before anything is changed.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.application import load_certificate, thumbprint
from certs.errors import CertificateProblem
from certs.files import write_atomically
from certs.trust import Trust, certificates, files, keep, remove, revocation_lists
from certs.verdict import UNREADABLE, Refused, parse_chain

MAX_ENTRIES: Final = 1_000
"""Certificates and revocation lists of one list."""


@dataclass(slots=True)
class Lists:
    """DER of each; None leaves that list as it is when the whole is replaced."""

    trusted: list[bytes] | None = field(default_factory=list)
    trusted_crls: list[bytes] | None = field(default_factory=list)
    issuers: list[bytes] | None = field(default_factory=list)
    issuer_crls: list[bytes] | None = field(default_factory=list)


def read_lists(trust: Trust) -> Lists:
    """What the folders hold now."""
    return Lists(
        [_der(one) for one in certificates(trust.trusted)],
        [_der(one) for one in revocation_lists(trust.trusted)],
        [_der(one) for one in certificates(trust.issuers)],
        [_der(one) for one in revocation_lists(trust.issuers)],
    )


def rejected(trust: Trust) -> list[bytes]:
    """The certificates that were turned away, the last ones first."""
    found = sorted(files(trust.rejected), key=lambda path: -path.stat().st_mtime_ns)
    made = []
    for path in found:
        with contextlib.suppress(CertificateProblem):
            made.append(_der(load_certificate(path)))
    return made


def replace_lists(trust: Trust, lists: Lists, *, how: str = "operator") -> None:
    """Make the folders hold what is given. Raises Refused (BadCertificateInvalid) before anything is changed."""
    trusted = _all(lists.trusted)
    issuers = _all(lists.issuers)
    crls = [(trust.trusted, _all_crls(lists.trusted_crls)), (trust.issuers, _all_crls(lists.issuer_crls))]
    if trusted is not None:
        wanted = {thumbprint(one) for one in trusted}
        for old in [thumbprint(one) for one in certificates(trust.trusted)]:
            if old not in wanted:
                trust.reject(old)
        known = {thumbprint(one) for one in certificates(trust.trusted)}
        for one in trusted:
            if thumbprint(one) not in known:
                _add(trust.trusted, one, how)
            remove(trust.rejected / f"{thumbprint(one)}.der")
    if issuers is not None:
        _replace_issuers(trust, issuers, how)
    for folder, given in crls:
        if given is not None:
            _replace_crls(folder, given)


def add_certificate(trust: Trust, der: bytes, *, is_trusted: bool, how: str = "operator") -> None:
    """Trust one more certificate, or know one more issuer. Raises Refused."""
    one = _one(der)
    if not is_trusted and not _is_authority(one):
        raise Refused("BadCertificateInvalid", "an issuer must be a certificate authority")
    folder = trust.trusted if is_trusted else trust.issuers
    if sum(1 for _ in files(folder)) >= MAX_ENTRIES:
        raise Refused("BadTooManyOperations", f"{MAX_ENTRIES} certificates are there already")
    _add(folder, one, how)
    if is_trusted:
        remove(trust.rejected / f"{thumbprint(one)}.der")


def remove_certificate(trust: Trust, name: str, *, is_trusted: bool) -> None:
    """Take one out, by its whole thumbprint; with an issuer go its revocation lists. Raises CertificateProblem."""
    if is_trusted:
        if len(name) != 40:
            raise CertificateProblem(f"{name[:80]}: is no thumbprint")
        trust.reject(name)
        return
    gone = [path for path in files(trust.issuers) if thumbprint(load_certificate(path)) == name.upper()]
    if not gone:
        raise CertificateProblem(f"{name[:80]}: no issuer of that thumbprint")
    subjects = [load_certificate(path).subject for path in gone]
    for path in gone:
        remove(path)
    left = [crl for crl in revocation_lists(trust.issuers) if crl.issuer not in subjects]
    _replace_crls(trust.issuers, left)


def _add(folder: Path, certificate: x509.Certificate, how: str) -> None:
    keep(folder, certificate, {"how": how, "since": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")})


def _replace_issuers(trust: Trust, wanted: list[x509.Certificate], how: str) -> None:
    for path in list(files(trust.issuers)):
        with contextlib.suppress(CertificateProblem):
            if load_certificate(path) not in wanted:
                remove(path)
    known = list(certificates(trust.issuers))
    for one in wanted:
        if one not in known:
            _add(trust.issuers, one, how)


def _replace_crls(folder: Path, wanted: Iterable[x509.CertificateRevocationList]) -> None:
    names = {}
    for crl in wanted:
        content = _der(crl)
        names[f"{hashlib.sha256(content).hexdigest()[:40].upper()}.crl"] = content
    for name, content in names.items():
        if not (folder / name).exists():
            write_atomically(folder / name, content)
    for path in list(folder.glob("*.crl")):
        if path.name not in names:
            path.unlink(missing_ok=True)


def _all(given: list[bytes] | None) -> list[x509.Certificate] | None:
    if given is None:
        return None
    _bounded(given)
    return [_one(der) for der in given]


def _one(der: bytes) -> x509.Certificate:
    chain = parse_chain(der)
    if len(chain) != 1:
        raise Refused("BadCertificateInvalid", "more than one certificate in an entry")
    return chain[0]


def _all_crls(given: list[bytes] | None) -> list[x509.CertificateRevocationList] | None:
    if given is None:
        return None
    _bounded(given)
    try:
        return [x509.load_der_x509_crl(der) for der in given]
    except UNREADABLE as error:
        raise Refused("BadCertificateInvalid", f"is no revocation list that can be read ({error})") from error


def _bounded(given: list[bytes]) -> None:
    if len(given) > MAX_ENTRIES:
        raise Refused("BadTooManyOperations", f"{len(given)} entries; at most {MAX_ENTRIES}")


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _der(item: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return item.public_bytes(Encoding.DER)
