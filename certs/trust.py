"""Whose certificates a server trusts: three folders that an operator can look into and change while the server runs.

trusted/    THUMBPRINT.der  certificates (or authorities) whose owners get in
            THUMBPRINT.json who trusted it and when: "first use" or "operator"
rejected/   THUMBPRINT.der  the last ones that were turned away, with the reason beside them
issuers/    *.der, *.crl    authorities that complete a chain but are not trusted themselves; revocation lists

presented --valid, in trusted--> accepted
    |------valid, unknown------> first use allowed? trusted, recorded, accepted : rejected, refused
    '------not valid-----------> rejected, refused; never trusted on first use
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.application import load_certificate, thumbprint, uris
from certs.errors import CertificateProblem
from certs.files import write_atomically
from certs.verdict import UNREADABLE, Refused, Verdict, build_chain, judge, parse_chain

MAX_REJECTED: Final = 50
MAX_FIRST_USE: Final = 200
"""Certificates that first use may add; a stranger on the loopback address cannot fill the disk."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """One certificate of a store. ``note`` is the record beside it: since, how, reason, peer."""

    thumbprint: str
    store: Literal["trusted", "rejected"]
    subject: str
    uri: str
    ends: datetime
    note: dict[str, Any]


class Trust:
    """The stores in ``folder`` (``<data>/pki/server``), read at each check: what an operator changes counts at once.

    ``first_use``: an unknown certificate that is valid becomes trusted and is recorded. ``own_applications`` is the folder of
    all our applications (``<data>/pki``): who can write there owns the keys anyway, so their certificates are trusted.
    ``people``: the certificates are those of users, not of applications.
    """

    def __init__(
        self, folder: Path, *, first_use: bool = False, own_applications: Path | None = None, people: bool = False
    ) -> None:
        self.trusted = folder / "trusted"
        self.rejected = folder / "rejected"
        self.issuers = folder / "issuers"
        self.first_use = first_use
        self._people = people
        self._own_applications = own_applications
        for store in (self.trusted, self.rejected, self.issuers):
            store.mkdir(parents=True, exist_ok=True)

    def check(
        self, certificate_der: bytes, *, application_uri: str | None = None, peer: str = "", now: datetime | None = None
    ) -> Verdict:
        """Whether the owner of a certificate (with its issuers, one after another in DER) gets in. Never raises for what was sent.

        ``peer`` is the address it came from, for the record. Reads the folders: some milliseconds.
        """
        now = now or datetime.now(UTC)
        leaf: x509.Certificate | None = None
        try:
            sent = parse_chain(certificate_der)
            leaf = sent[0]
            trusted = list(certificates(self.trusted))
            chain = build_chain(sent, [*certificates(self.issuers), *trusted])
            revoked = [*revocation_lists(self.issuers), *revocation_lists(self.trusted)]
            judge(chain, revoked, now, application_uri, person=self._people)
            if any(certificate in trusted for certificate in chain) or leaf in self._own():
                return Verdict(True, "Good", "trusted", thumbprint(leaf))
            if not self.first_use:
                command = f"user NAME {thumbprint(leaf)} --role ROLE" if self._people else f"trust {thumbprint(leaf)}"
                raise Refused("BadCertificateUntrusted", f"is not trusted; to trust it: cnctwin certs {command}")
            return self._trust_first_use(leaf, peer, now)
        except (Refused, OSError, *UNREADABLE) as problem:
            if isinstance(problem, Refused):
                refusal = problem
            elif isinstance(problem, OSError):
                refusal = Refused("BadCertificateUntrusted", f"could not be recorded: {problem}")
            else:
                refusal = Refused("BadCertificateInvalid", f"is no certificate that can be read ({problem})")
            if leaf is None:
                return Verdict(False, refusal.status, str(refusal))
            self._keep_rejected(leaf, str(refusal), refusal.status, peer, now)
            return Verdict(False, refusal.status, str(refusal), thumbprint(leaf))

    def changed_ns(self) -> tuple[int, ...]:
        """Another one when certificates or revocation lists came, went or changed; cheap. First use changes it too."""
        found = []
        for folder in (self.trusted, self.issuers):
            for path in (folder, *sorted(folder.glob("*.crl"))):
                with contextlib.suppress(OSError):
                    found.append(path.stat().st_mtime_ns)
        return tuple(found)

    def entries(self) -> list[Entry]:
        """All trusted and rejected certificates. A file that is none is left out and logged."""
        found: list[Entry] = []
        for store, folder in (("trusted", self.trusted), ("rejected", self.rejected)):
            for path in files(folder):
                try:
                    found.append(_entry(path, "trusted" if store == "trusted" else "rejected"))
                except (CertificateProblem, *UNREADABLE) as problem:
                    _logger.warning("%s", problem)
        return found

    def trust(self, wanted: str, *, now: datetime | None = None, **note: str) -> Entry:
        """Trust a rejected certificate (``wanted``: its thumbprint, or its first 8 characters or more) or one in a file.

        ``note`` is kept in the record beside it. Raises CertificateProblem.
        """
        return self._decide(wanted, self.rejected, self.trusted, {"how": "operator", **note}, now)

    def reject(self, wanted: str, *, now: datetime | None = None) -> Entry:
        """Trust a certificate no longer; first use does not bring it back. Raises CertificateProblem."""
        return self._decide(wanted, self.trusted, self.rejected, {"how": "operator", "reason": "rejected by an operator"}, now)

    def _decide(self, wanted: str, source: Path, target: Path, note: dict[str, Any], now: datetime | None) -> Entry:
        path = self._find(wanted, source)
        certificate = load_certificate(path)
        keep(target, certificate, {**note, "since": _stamp(now or datetime.now(UTC))})
        # The new place first: a crash in between leaves the certificate in both, never in none. A rejection by an operator wins.
        for folder in {self.trusted, self.rejected} - {target}:
            for other in list(files(folder)):
                with contextlib.suppress(CertificateProblem):
                    if load_certificate(other) == certificate:
                        remove(other)
        name = thumbprint(certificate)
        return next(entry for entry in self.entries() if entry.thumbprint == name and (target.name == entry.store))

    def _find(self, wanted: str, folder: Path) -> Path:
        if folder == self.rejected and Path(wanted).suffix in (".der", ".pem", ".crt", ".cer"):
            if not Path(wanted).is_file():
                raise CertificateProblem(f"{wanted}: there is no such file")
            return Path(wanted)
        name = wanted.replace(":", "").replace(" ", "").upper()
        if len(name) < 8:
            raise CertificateProblem(f"{wanted}: give at least 8 characters of the thumbprint; cnctwin certs list shows them")
        matches = []
        for path in files(folder):
            with contextlib.suppress(CertificateProblem):
                if thumbprint(load_certificate(path)).startswith(name):
                    matches.append(path)
        if len(matches) != 1:
            many = "more than one certificate" if matches else "no certificate"
            raise CertificateProblem(f"{wanted}: {many} of that thumbprint in {folder}; cnctwin certs list shows them")
        return matches[0]

    def _own(self) -> Iterator[x509.Certificate]:
        if self._own_applications is None:
            return
        for path in self._own_applications.glob("*/own/cert.der"):
            with contextlib.suppress(CertificateProblem):
                yield load_certificate(path)

    def _trust_first_use(self, leaf: x509.Certificate, peer: str, now: datetime) -> Verdict:
        name = thumbprint(leaf)
        if _note(self.rejected / f"{name}.der").get("how") == "operator":
            raise Refused("BadCertificateUntrusted", f"was rejected by an operator; to undo: cnctwin certs trust {name}")
        if sum(1 for _ in self.trusted.glob("*.der")) >= MAX_FIRST_USE:
            raise Refused(
                "BadCertificateUntrusted", f"{MAX_FIRST_USE} are trusted already; to trust it: cnctwin certs trust {name}"
            )
        keep(self.trusted, leaf, {"how": "first use", "since": _stamp(now), "peer": peer})
        remove(self.rejected / f"{name}.der")
        return Verdict(True, "Good", "trusted on first use", name, newly_trusted=True)

    def _keep_rejected(self, leaf: x509.Certificate, reason: str, status: str, peer: str, now: datetime) -> None:
        path = self.rejected / f"{thumbprint(leaf)}.der"
        note = _note(path)
        if path.exists() and (note.get("how") == "operator" or note.get("reason") == reason):
            with contextlib.suppress(OSError):
                os.utime(path)
            return
        try:
            # Not durable: a stranger with a new certificate each time would make everybody wait for the disk.
            note = {"since": _stamp(now), "reason": reason, "status": status, "peer": peer}
            keep(self.rejected, leaf, note, durable=False)
            self._drop_oldest()
        except OSError as error:
            _logger.warning("rejected certificate %s could not be kept: %s", path.stem, error)

    def _drop_oldest(self) -> None:
        """Bound what strangers leave; what an operator rejected stays, or it could come back by first use."""
        strangers = [path for path in self.rejected.glob("*.der") if _note(path).get("how") != "operator"]
        strangers.sort(key=lambda path: path.stat().st_mtime_ns)
        for path in strangers[: max(0, len(strangers) - MAX_REJECTED)]:
            remove(path)


def _entry(path: Path, store: Literal["trusted", "rejected"]) -> Entry:
    certificate = load_certificate(path)
    uri = next(iter(uris(certificate)), "")
    ends = certificate.not_valid_after_utc
    return Entry(thumbprint(certificate), store, certificate.subject.rfc4514_string(), uri, ends, _note(path))


def files(folder: Path) -> Iterator[Path]:
    yield from (path for path in sorted(folder.glob("*")) if path.suffix in (".der", ".pem", ".crt", ".cer"))


def certificates(folder: Path) -> Iterator[x509.Certificate]:
    for path in files(folder):
        try:
            yield load_certificate(path)
        except CertificateProblem as problem:
            _logger.warning("%s", problem)


def revocation_lists(folder: Path) -> Iterator[x509.CertificateRevocationList]:
    for path in sorted(folder.glob("*.crl")):
        try:
            content = path.read_bytes()
            pem = content.lstrip().startswith(b"-----BEGIN")
            yield x509.load_pem_x509_crl(content) if pem else x509.load_der_x509_crl(content)
        except (OSError, ValueError) as error:
            _logger.warning("%s: is no revocation list that can be read: %s", path, error)


def keep(folder: Path, certificate: x509.Certificate, note: dict[str, Any], *, durable: bool = True) -> None:
    path = folder / f"{thumbprint(certificate)}.der"
    write_atomically(path.with_suffix(".json"), json.dumps(note, indent=1).encode(), durable=durable)
    write_atomically(path, certificate.public_bytes(Encoding.DER), durable=durable)


def _note(path: Path) -> dict[str, Any]:
    try:
        note = json.loads(path.with_suffix(".json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def remove(path: Path) -> None:
    for gone in (path, path.with_suffix(".json")):
        with contextlib.suppress(FileNotFoundError):
            gone.unlink()


def _stamp(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
