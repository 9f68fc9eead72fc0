"""The certificate by which one of our applications proves who it is (application instance certificate, OPC 10000-6, 6.2.2).

    <folder>/own/cert.der      X.509 v3, RSA, SHA-256, self-signed, or signed by a CA that an operator chose
    <folder>/own/key.pem       PKCS #8, mode 0600
    <folder>/own/cert-nistP256.der, key-nistP256.pem ...   the same for a curve (certs.kinds)
    <folder>/own/previous/     what a renewal replaced, by thumbprint

A certificate of ours is renewed before it ends, and where it is not valid yet as the clock that it was made by was ahead, with the
same key, so that peers who compare keys still know it. One that a CA signed is never replaced: only its issuer can renew it. A file
that cannot be read is reported and left where it is.
"""

from __future__ import annotations

import contextlib
import functools
import ipaddress
import os
import socket
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from certs.errors import CertificateProblem
from certs.files import write_atomically
from certs.kinds import RSA, Kind, PrivateKey, kind_of

VALID_FOR: Final = timedelta(days=5 * 365)
RENEW_BEFORE: Final = timedelta(days=30)
CLOCK_SKEW: Final = timedelta(hours=1)
"""A new certificate is valid from a little before now, so that a peer whose clock is behind accepts it."""


def application_uri(name: str, folder: Path | None = None) -> str:
    """ApplicationUri of one of our applications: that of its certificate in ``folder``, else ``urn:<host>:cnctwin:<name>``.

    It is kept for good once it is made: a container gets a new host name at each start, but is the same application.
    """
    if folder is not None:
        with contextlib.suppress(CertificateProblem, OSError):
            known = uris(load_certificate(_paths(folder)[0]))
            if known:
                return known[0]
    host = "".join(c if c.isalnum() or c in "-." else "-" for c in socket.gethostname()) or "localhost"
    return f"urn:{host}:cnctwin:{name}"


def thumbprint(certificate: x509.Certificate) -> str:
    """SHA-1 of the DER form, upper-case hex: how OPC UA names a certificate (a name, not a proof)."""
    return certificate.fingerprint(hashes.SHA1()).hex().upper()  # noqa: S303 - OPC 10000-4 defines the thumbprint as SHA-1


def ensure_application(
    folder: Path, name: str, uri: str, hosts: Iterable[str], *, now: datetime | None = None, kind: Kind = RSA
) -> tuple[Path, Path]:
    """Paths of certificate (DER) and key (PEM) of an application; made or renewed where that is needed.

    ``folder`` is the application's own, such as ``<data>/pki/server``; ``name`` its ApplicationName; ``uri`` its
    ApplicationUri; ``hosts`` names or addresses it is reached at (the host's own name is added). Raises CertificateProblem
    when what is there cannot be used, and OSError when the folder cannot be written.
    """
    now, hosts = now or datetime.now(UTC), tuple(hosts)
    certificate_path, key_path = _paths(folder, kind)
    certificate = load_certificate(certificate_path) if certificate_path.exists() else None
    if certificate is not None and not key_path.exists():
        raise CertificateProblem(
            f"{key_path}: is missing, and {certificate_path.name} is worth nothing without it; restore it, or make a new pair:"
            f" cnctwin certs renew {folder.name} --new-key"
        )
    key = _load_any_key(key_path, kind) if key_path.exists() else None
    if certificate is not None and key is not None:
        if certificate.public_key() != key.public_key():
            raise CertificateProblem(
                f"{certificate_path}: does not belong to {key_path.name}; restore the pair, or make a new one:"
                f" cnctwin certs renew {folder.name} --new-key"
            )
        if not _is_due(certificate, certificate_path, uri, hosts, now):
            os.chmod(key_path, 0o600)
            return certificate_path, key_path
    wanted = dict.fromkeys([*hosts, *(_hosts(certificate) if certificate is not None else ())])
    return _issue(folder, name, uri, wanted, key, now, kind)


def renew_application(
    folder: Path,
    name: str,
    uri: str,
    hosts: Iterable[str],
    *,
    new_key: bool = False,
    now: datetime | None = None,
    kind: Kind = RSA,
) -> tuple[Path, Path]:
    """A new self-signed certificate now, whatever is there; the old files go to ``own/previous``. Raises CertificateProblem."""
    certificate_path, key_path = _paths(folder, kind)
    key = None if new_key or not key_path.exists() else _load_any_key(key_path, kind)
    known: list[str] = list(hosts)
    with contextlib.suppress(CertificateProblem, OSError):
        known += _hosts(load_certificate(certificate_path))
    if new_key and key_path.exists():
        _keep(key_path)
    return _issue(folder, name, uri, dict.fromkeys(known), key, now or datetime.now(UTC), kind)


def install_application(folder: Path, certificate: x509.Certificate, key: PrivateKey) -> None:
    """Put a certificate that somebody else signed, and its key, in the place of ours of the same kind; the old files go to
    ``own/previous``. Raises CertificateProblem."""
    kind = kind_of(key)
    if kind is None:
        raise CertificateProblem(f"{folder}: a key of a kind that no security policy of ours uses")
    certificate_path, key_path = _paths(folder, kind)
    if not key_path.exists() or _load_any_key(key_path, kind).public_key() != key.public_key():
        if key_path.exists():
            _keep(key_path)
        write_atomically(key_path, key_pem(key))
    if certificate_path.exists():
        _keep(certificate_path)
    write_atomically(certificate_path, certificate.public_bytes(serialization.Encoding.DER))


def key_pem(key: PrivateKey) -> bytes:
    """PKCS #8 without a passphrase."""
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())


def signing_request(certificate: x509.Certificate, key: PrivateKey, subject: str = "") -> bytes:
    """A PKCS #10 request (DER) for a certificate like ``certificate``: its names and its subject, or another one (RFC 4514).

    Raises CertificateProblem when ``subject`` cannot be read.
    """
    try:
        name = x509.Name.from_rfc4514_string(subject.strip("/").replace("/", ",")) if subject else certificate.subject
        builder = x509.CertificateSigningRequestBuilder().subject_name(name)
        names = _alternative_names(certificate)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        kind = kind_of(key) or RSA
        return builder.sign(key, kind.hash).public_bytes(serialization.Encoding.DER)
    except ValueError as error:
        raise CertificateProblem(f"{subject!r}: is no subject of a certificate: {error}") from error


def load_certificate(path: Path) -> x509.Certificate:
    """The certificate of a DER or PEM file. Raises CertificateProblem."""
    try:
        content = path.read_bytes()
        if content.lstrip().startswith(b"-----BEGIN"):
            return x509.load_pem_x509_certificate(content)
        return x509.load_der_x509_certificate(content)
    except (OSError, ValueError, x509.InvalidVersion) as error:
        raise CertificateProblem(
            f"{path}: is no certificate that can be read ({error}); restore it, or make a new one: cnctwin certs renew"
        ) from error


def load_key(path: Path) -> rsa.RSAPrivateKey:
    """The RSA private key of a PEM file without a passphrase. Raises CertificateProblem."""
    key = _load_any_key(path, RSA)
    assert isinstance(key, rsa.RSAPrivateKey)  # noqa: S101 - that is what the kind says
    return key


def has_own(folder: Path, kind: Kind) -> bool:
    """Whether an application has a certificate of a kind."""
    return _paths(folder, kind)[0].exists()


def load_own(folder: Path, kind: Kind) -> tuple[x509.Certificate, PrivateKey]:
    """Certificate and key of an application. Raises CertificateProblem."""
    certificate, key = _paths(folder, kind)
    return load_certificate(certificate), _load_any_key(key, kind)


def _load_any_key(path: Path, kind: Kind) -> PrivateKey:
    try:
        key = _parsed_key(path.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise CertificateProblem(
            f"{path}: is no private key that can be read ({error}); restore it, or make a new pair: cnctwin certs renew --new-key"
        ) from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) or not kind.fits(key):
        what = "an RSA key" if kind is RSA else f"a key on the curve {kind.name}"
        raise CertificateProblem(f"{path}: is not {what}; the offered security policies need one")
    return key


@functools.lru_cache(maxsize=8)
def _parsed_key(content: bytes) -> object:
    """Whether an RSA key is sound takes 40 ms to find out, and a start asks more than once."""
    return serialization.load_pem_private_key(content, password=None)


def uris(certificate: x509.Certificate) -> list[str]:
    """The URIs in the subject's alternative names; the first is the ApplicationUri."""
    names = _alternative_names(certificate)
    return list(names.get_values_for_type(x509.UniformResourceIdentifier)) if names is not None else []


def _hosts(certificate: x509.Certificate) -> list[str]:
    names = _alternative_names(certificate)
    if names is None:
        return []
    return [*names.get_values_for_type(x509.DNSName), *(str(ip) for ip in names.get_values_for_type(x509.IPAddress))]


def _alternative_names(certificate: x509.Certificate) -> x509.SubjectAlternativeName | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None


def _paths(folder: Path, kind: Kind = RSA) -> tuple[Path, Path]:
    return folder / "own" / f"cert{kind.suffix}.der", folder / "own" / f"key{kind.suffix}.pem"


def _is_due(certificate: x509.Certificate, path: Path, uri: str, hosts: Iterable[str], now: datetime) -> bool:
    """Whether our own certificate must be made anew; what is wrong with a CA's certificate is for a person."""
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    reasons = []
    if now < begins:  # the clock that it was made by was ahead
        reasons.append(f"is not valid before {begins:%Y-%m-%d %H:%M} UTC")
    if now >= ends - RENEW_BEFORE:
        reasons.append(f"{'ends' if now < ends else 'ended'} on {ends:%Y-%m-%d %H:%M} UTC")
    if uri not in uris(certificate):
        reasons.append(f"is not for {uri}")
    known = _hosts(certificate)
    missing = [host for host in _reachable(hosts) if host not in known]
    if certificate.issuer == certificate.subject:
        return bool(reasons or missing)
    if now >= ends or now < begins or uri not in uris(certificate):
        raise CertificateProblem(
            f"{path}: {' and '.join(reasons)}; its issuer must sign a new one, where the clock of this computer is right"
        )
    return False


def _reachable(hosts: Iterable[str]) -> list[str]:
    """Names and addresses without those that mean "all addresses"."""
    return [host.strip("[]") for host in hosts if host not in ("0.0.0.0", "::", "")]  # noqa: S104 - compared, not bound


def _issue(
    folder: Path, name: str, uri: str, hosts: Iterable[str], key: PrivateKey | None, now: datetime, kind: Kind
) -> tuple[Path, Path]:
    certificate_path, key_path = _paths(folder, kind)
    certificate_path.parent.mkdir(parents=True, exist_ok=True)
    os.chmod(certificate_path.parent, 0o700)
    if key is None:
        key = kind.new_key()
        # The key first: a crash between the two leaves a key without a certificate, for which one is made at the next start.
        write_atomically(key_path, key_pem(key))
    certificate = _self_signed(name, uri, _reachable((*hosts, socket.gethostname())), key, now, kind)
    if certificate_path.exists():
        _keep(certificate_path)
    write_atomically(certificate_path, certificate.public_bytes(serialization.Encoding.DER))
    return certificate_path, key_path


def _self_signed(name: str, uri: str, hosts: Iterable[str], key: PrivateKey, now: datetime, kind: Kind) -> x509.Certificate:
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "cnctwin"),
            x509.NameAttribute(NameOID.DOMAIN_COMPONENT, socket.gethostname() or "localhost"),
        ]
    )
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri)]
    for host in dict.fromkeys(hosts):
        try:
            names.append(x509.IPAddress(ipaddress.ip_address(host)))
        except ValueError:
            names.append(x509.DNSName(host))
    public = key.public_key()
    encrypts = kind is RSA  # keys on a curve only sign (OPC 10000-6, 6.2.2)
    usage = x509.KeyUsage(
        digital_signature=True, content_commitment=True, key_encipherment=encrypts, data_encipherment=encrypts,
        key_agreement=False, key_cert_sign=True, crl_sign=False, encipher_only=False, decipher_only=False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - CLOCK_SKEW)
        .not_valid_after(now + VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, kind.hash)
    )


def _keep(path: Path) -> None:
    """Move a file that is about to be replaced to ``previous``; the name says what it was, and never overwrites another."""
    folder = path.parent / "previous"
    folder.mkdir(exist_ok=True, mode=0o700)
    try:
        label = thumbprint(load_certificate(path)) if path.suffix == ".der" else "key"
    except CertificateProblem:
        label = "unreadable"
    number = 0
    while (target := folder / f"{label}-{number}{path.suffix}").exists():
        number += 1
    os.replace(path, target)
