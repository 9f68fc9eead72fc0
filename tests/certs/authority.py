"""Certificates for tests, right or wrong on purpose: each argument changes one thing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
URI = "urn:test:client"
_KEYS: dict[tuple[str, int], rsa.RSAPrivateKey] = {}


def key(name: str = "client", bits: int = 2048) -> rsa.RSAPrivateKey:
    """One key for each name: making them is what costs time."""
    if (name, bits) not in _KEYS:
        _KEYS[name, bits] = rsa.generate_private_key(public_exponent=65537, key_size=bits)
    return _KEYS[name, bits]


def certificate(
    name: str = "client",
    *,
    issuer: str | None = None,
    ca: bool = False,
    uri: str | None = URI,
    starts: datetime = NOW - timedelta(days=1),
    ends: datetime = NOW + timedelta(days=365),
    bits: int = 2048,
    hash_: hashes.HashAlgorithm | None = None,
    signs: bool = True,
    usage: bool = True,
    purposes: tuple[x509.ObjectIdentifier, ...] | None = (ExtendedKeyUsageOID.CLIENT_AUTH,),
    signed_with: rsa.RSAPrivateKey | None = None,
    serial: int | None = None,
    path_length: int | None = None,
    critical: x509.ExtensionType | None = None,
) -> x509.Certificate:
    def named(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    own = key(name, bits)
    builder = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer or name))
        .public_key(own.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=ca, path_length=path_length if ca else None), critical=True)
    )
    if usage:
        allowed = x509.KeyUsage(
            digital_signature=signs, content_commitment=False, key_encipherment=not ca, data_encipherment=not ca,
            key_agreement=False, key_cert_sign=ca, crl_sign=ca, encipher_only=False, decipher_only=False,
        )  # fmt: skip
        builder = builder.add_extension(allowed, critical=True)
    if uri is not None and not ca:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)]), critical=False)
    if purposes and not ca:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if critical is not None:
        builder = builder.add_extension(critical, critical=True)
    return builder.sign(signed_with or key(issuer or name, 2048 if issuer else bits), hash_ or hashes.SHA256())


def revocation_list(
    issuer: str,
    *revoked: x509.Certificate,
    starts: datetime = NOW - timedelta(days=60),
    ends: datetime = NOW + timedelta(days=30),
    signed_with: str | None = None,
    changes_only: bool = False,
) -> x509.CertificateRevocationList:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .last_update(starts)
        .next_update(ends)
    )
    if changes_only:
        builder = builder.add_extension(x509.DeltaCRLIndicator(1), critical=True)
    for gone in revoked:
        entry = x509.RevokedCertificateBuilder().serial_number(gone.serial_number).revocation_date(NOW - timedelta(days=2)).build()
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(key(signed_with or issuer), hashes.SHA256())


def der(*certificates: x509.Certificate | x509.CertificateRevocationList) -> bytes:
    return b"".join(item.public_bytes(Encoding.DER) for item in certificates)
