"""Users who log in with a certificate: an operator says whose it is (``cnctwin certs user``).

    <folder>/trusted/     THUMBPRINT.der and THUMBPRINT.json {"user": name, "role": role}, or authorities that sign users
    <folder>/rejected/    those that were tried and turned away, with the reason
    <folder>/issuers/     authorities that complete a chain, and revocation lists (*.crl)

A user's certificate is judged as an application's is: chain, signatures, times, revocation; it needs no ApplicationUri. It is a
user only when it is known itself: an authority that is trusted says who somebody is, not what he may do.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

from certs.errors import CertificateProblem
from certs.trust import Entry, Trust
from certs.verdict import Refused

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


class Role(StrEnum):
    """Roles of people, as those who have a password may have them."""

    Viewer = "Viewer"
    Operator = "Operator"
    Engineer = "Engineer"
    Admin = "Admin"


class UserCertificates:
    """The stores in ``folder`` (``<data>/pki/server/users``), read at each login: what an operator changes counts at once."""

    def __init__(self, folder: Path) -> None:
        self.trust = Trust(folder, people=True)

    def give(self, name: str, role: Role, wanted: str) -> Entry:
        """A certificate is ``name``'s from now on; ``wanted``: a file, or the thumbprint of a rejected one.

        Raises CertificateProblem.
        """
        if not _NAME.fullmatch(name):
            raise CertificateProblem(f"{name}: is no name for a user: letters, digits, and . _ @ - are")
        return self.trust.trust(wanted, user=name, role=role.value)

    def take(self, wanted: str) -> Entry:
        """Nobody logs in with it any longer. Raises CertificateProblem."""
        return self.trust.reject(wanted)

    def entries(self) -> list[Entry]:
        """Certificates of users, and those that were turned away."""
        return self.trust.entries()

    def known(self) -> list[Entry]:
        """Certificates that are somebody's."""
        return [entry for entry in self.entries() if entry.store == "trusted" and entry.note.get("user")]

    def has_any(self) -> bool:
        """Whether logging in with a certificate can succeed at all; cheap."""
        return any(self.trust.trusted.glob("*.json"))

    def owner(self, certificate_der: bytes, *, peer: str = "", now: datetime | None = None) -> tuple[str, Role]:
        """Whose certificate it is, and with which role. Its key must be proved by then. Raises Refused."""
        verdict = self.trust.check(certificate_der, peer=peer, now=now)
        if not verdict.accepted:
            raise Refused(verdict.status, verdict.text)
        note = next((entry.note for entry in self.known() if entry.thumbprint == verdict.thumbprint), None)
        if note is None:
            raise Refused("BadCertificateUntrusted", "it is trusted, but nobody's; to change that: cnctwin certs user")
        try:
            return str(note["user"]), Role(str(note.get("role")))
        except ValueError:
            raise Refused("BadCertificateUntrusted", f"its owner has no role of ours: {note.get('role')!r}") from None
