"""Servers that the programs of this installation talk to, and the certificate each showed first.

<data>/pki/<application>/servers.json    URL of the server -> {sha256, subject, valid_from} of its certificate

A program records the certificate on first contact; another one later may be another server, and is refused until somebody says that
it is right (``accept``), for all programs at once. That of the server in the same data folder is right as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certs.errors import CertificateProblem
from certs.files import write_atomically

RECORD: Final = "servers.json"


class CertificateChanged(CertificateProblem):
    """The server shows another certificate than the one recorded."""


def pin(record: Path, url: str, certificate: x509.Certificate) -> None:
    """Record a server's certificate on first use. Raises CertificateChanged when it is another one later, CertificateProblem when
    the record cannot be read, OSError when it cannot be written."""
    known = _read(record)
    sha256 = hashlib.sha256(certificate.public_bytes(serialization.Encoding.DER)).hexdigest()
    entry = known.get(url)
    if entry is None or (entry.get("sha256") != sha256 and _is_ours(record, certificate)):
        since = certificate.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ")
        known[url] = {"sha256": sha256, "subject": certificate.subject.rfc4514_string(), "valid_from": since}
        _write(record, known)
    elif entry.get("sha256") != sha256:
        data = record.parent.parent.parent
        raise CertificateChanged(
            f"the server's certificate has changed, recorded is {str(entry.get('sha256'))[:16]}...; "
            f"if that is right: cnctwin certs server {url} {sha256} --data {data}"
        )


def _is_ours(record: Path, certificate: x509.Certificate) -> bool:
    """Whether it is that of the server in the data folder of ``record``, renewed or made for another address since."""
    try:
        ours = (record.parent.parent / "server" / "own" / "cert.der").read_bytes()
    except OSError:
        return False
    return ours == certificate.public_bytes(serialization.Encoding.DER)


def accept(data: Path, url: str, sha256: str) -> list[str]:
    """Let the programs talk to a server that shows the certificate of this SHA-256 from now on; their names. Raises
    CertificateProblem, OSError."""
    sha256 = sha256.replace(":", "").lower()
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise CertificateProblem(
            f"{sha256}: is no SHA-256 of a certificate: 64 hexadecimal digits, as the program that refuses it says"
        )
    names = []
    for record in sorted((data / "pki").glob(f"*/{RECORD}")):
        known = _read(record)
        if url in known:
            known[url] = {"sha256": sha256, "accepted": True}
            _write(record, known)
            names.append(record.parent.name)
    if not names:
        raise CertificateProblem(
            f"{url}: no program of {data} has talked to a server there; the first certificate is taken as it is"
        )
    return names


def _read(record: Path) -> dict[str, Any]:
    try:
        known = json.loads(record.read_text("utf-8"))
        if not isinstance(known, dict) or not all(isinstance(entry, dict) for entry in known.values()):
            raise TypeError("not an object of objects")
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError) as error:
        raise CertificateProblem(f"{record}: cannot be read ({error}); remove it to trust the servers in it anew") from error
    return known


def _write(record: Path, content: dict[str, Any]) -> None:
    record.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(record, json.dumps(content, indent=1, sort_keys=True).encode())
