"""Judges a peer's certificate and its issuers: everything that OPC 10000-4, 6.1.3 asks for, but whether it is trusted.

    structure -> chain and signatures -> algorithms and key -> validity times -> usage -> ApplicationUri -> revocation

Pure: certificates, revocation lists and the time come in. A verdict names the OPC UA status code that the standard asks for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from certs.application import uris
from certs.kinds import RSA, kind_of
from certs.words import shown

MIN_KEY_BITS: Final = 2048
MAX_KEY_BITS: Final = 4096
"""Limits of Basic256Sha256, Aes128_Sha256_RsaOaep and Aes256_Sha256_RsaPss (OPC 10000-7)."""
MAX_CHAIN: Final = 5
UNREADABLE: Final = (
    ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, x509.DuplicateExtension, x509.UnsupportedGeneralNameType,
)  # fmt: skip
"""What the parser raises for a certificate that is none; parts of it are parsed only when they are asked for."""
_HASHES: Final = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_UNDERSTOOD: Final = (
    x509.BasicConstraints, x509.KeyUsage, x509.ExtendedKeyUsage, x509.SubjectAlternativeName, x509.SubjectKeyIdentifier,
    x509.AuthorityKeyIdentifier, x509.CRLDistributionPoints, x509.AuthorityInformationAccess, x509.CertificatePolicies,
)  # fmt: skip
"""Extensions that may be critical. Others, such as name constraints, say that a certificate is worth less than it seems."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """``status`` is the name of an OPC UA status code, "Good" when accepted; ``text`` says why, for a person."""

    accepted: bool
    status: str
    text: str
    thumbprint: str = ""
    newly_trusted: bool = False


class Refused(Exception):
    """``status`` is the name of the OPC UA status code."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


def parse_chain(der: bytes) -> list[x509.Certificate]:
    """The certificates of a SenderCertificate: the application's, then those of its issuers as far as they were sent.

    Raises Refused (BadCertificateInvalid).
    """
    chain: list[x509.Certificate] = []
    rest = der
    while rest:
        if len(chain) == MAX_CHAIN:
            raise Refused("BadCertificateInvalid", f"more than {MAX_CHAIN} certificates in a chain")
        size = _der_size(rest)
        try:
            chain.append(x509.load_der_x509_certificate(rest[:size]))
            _ = chain[-1].extensions
        except UNREADABLE as error:
            raise Refused("BadCertificateInvalid", f"is no certificate that can be read ({error})") from error
        if chain[-1].serial_number <= 0:  # RFC 5280, 4.1.2.2; a revocation list could not name it
            raise Refused("BadCertificateInvalid", "its serial number is not positive")
        rest = rest[size:]
    if not chain:
        raise Refused("BadCertificateInvalid", "no certificate was sent")
    return chain


def build_chain(sent: Sequence[x509.Certificate], known: Iterable[x509.Certificate]) -> list[x509.Certificate]:
    """From the application's certificate to a self-signed one, each signed by the next. Raises Refused."""
    candidates = [*sent[1:], *known]
    chain = [sent[0]]
    while chain[-1].issuer != chain[-1].subject:
        issuer = next((c for c in candidates if c.subject == chain[-1].issuer and _signed_by(chain[-1], c)), None)
        if issuer is None:
            raise Refused("BadCertificateChainIncomplete", f"its issuer is not known: {_named(chain[-1].issuer)}")
        if len(chain) == MAX_CHAIN:
            raise Refused("BadCertificateChainIncomplete", f"its chain has more than {MAX_CHAIN} certificates")
        chain.append(issuer)
    if not _signed_by(chain[-1], chain[-1]):
        raise Refused("BadCertificateInvalid", "its signature is wrong")
    return chain


def judge(
    chain: Sequence[x509.Certificate],
    revocation_lists: Iterable[x509.CertificateRevocationList],
    now: datetime,
    application_uri: str | None = None,
    *,
    person: bool = False,
) -> None:
    """Raise Refused for the first thing that is wrong with a whole chain; ``application_uri`` is what the peer says it is.

    ``person``: the certificate of a user, who has no ApplicationUri and only signs (OPC 10000-4, 7.40.5).
    """
    leaf = chain[0]
    for depth, certificate in enumerate(chain):
        _check_algorithms(certificate, depth)
        _check_extensions(certificate, depth)
    for depth, certificate in enumerate(chain):
        _check_times(certificate, depth, now)
    _check_usage(leaf, person)
    names = uris(leaf)
    if not names and not person:
        raise Refused("BadCertificateUriInvalid", "it carries no ApplicationUri")
    if application_uri is not None and application_uri not in names[:1]:
        raise Refused(
            "BadCertificateUriInvalid",
            f"it is for {shown(', '.join(names[:1]))}, but its owner says it is {shown(application_uri)}",
        )
    for depth, issuer in enumerate(chain[1:]):
        _check_issuer(issuer, depth)
    lists = list(revocation_lists)
    for depth, (certificate, issuer) in enumerate(itertools.pairwise(chain)):
        _check_revocation(certificate, issuer, lists, now, depth)


def judge_own(chain: Sequence[x509.Certificate], now: datetime, application_uri: str) -> None:
    """Raise Refused for what makes a certificate useless for us as a server. Revocation lists are the clients' matter."""
    for depth, certificate in enumerate(chain):
        _check_algorithms(certificate, depth)
        _check_extensions(certificate, depth)
        _check_times(certificate, depth, now)
    if application_uri not in uris(chain[0]):
        raise Refused("BadCertificateUriInvalid", f"it is not for {application_uri}")
    _check_usage(chain[0], False, ExtendedKeyUsageOID.SERVER_AUTH)
    for depth, issuer in enumerate(chain[1:]):
        _check_issuer(issuer, depth)


def _der_size(content: bytes) -> int:
    """Length of the first DER object: tag, length, contents (X.690, 8.1)."""
    if len(content) < 2 or content[0] != 0x30:
        raise Refused("BadCertificateInvalid", "is not DER")
    if content[1] < 0x80:
        return 2 + content[1]
    count = content[1] & 0x7F
    if not 1 <= count <= 3 or len(content) < 2 + count:
        raise Refused("BadCertificateInvalid", "is not DER")
    size = 2 + count + int.from_bytes(content[2 : 2 + count], "big")
    if size > len(content):
        raise Refused("BadCertificateInvalid", "is cut off")
    return size


def _named(name: x509.Name) -> str:
    return shown(name.rfc4514_string())[:200]


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _check_algorithms(certificate: x509.Certificate, depth: int) -> None:
    whose = "it" if depth == 0 else "its issuer's certificate"
    if not isinstance(certificate.signature_hash_algorithm, _HASHES):
        name = certificate.signature_hash_algorithm.name if certificate.signature_hash_algorithm else "an unknown hash"
        raise Refused("BadCertificatePolicyCheckFailed", f"{whose} is signed with {name}; SHA-256 or better is needed")
    key = certificate.public_key()
    if kind_of(key) is None:
        raise Refused("BadCertificatePolicyCheckFailed", f"{whose} has a key of a kind that no security policy of ours uses")
    if isinstance(key, rsa.RSAPublicKey) and not MIN_KEY_BITS <= key.key_size <= MAX_KEY_BITS:
        raise Refused(
            "BadCertificatePolicyCheckFailed",
            f"{whose} has a key of {key.key_size} bits; {MIN_KEY_BITS} to {MAX_KEY_BITS} are accepted",
        )


def _check_extensions(certificate: x509.Certificate, depth: int) -> None:
    whose = "it" if depth == 0 else "its issuer's certificate"
    for extension in certificate.extensions:
        if extension.critical and not isinstance(extension.value, _UNDERSTOOD):
            name = extension.oid.dotted_string
            raise Refused("BadCertificateInvalid", f"{whose} has a critical extension that is not understood: {name}")


def _check_times(certificate: x509.Certificate, depth: int, now: datetime) -> None:
    status = "BadCertificateTimeInvalid" if depth == 0 else "BadCertificateIssuerTimeInvalid"
    whose = "it" if depth == 0 else "its issuer's certificate"
    if now < certificate.not_valid_before_utc:
        raise Refused(status, f"{whose} is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC")
    if now > certificate.not_valid_after_utc:
        raise Refused(status, f"{whose} ended on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")


def _check_usage(leaf: x509.Certificate, person: bool, purpose: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH) -> None:
    try:
        usage = leaf.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise Refused("BadCertificateUseNotAllowed", "it does not say what its key may be used for") from None
    if person and not usage.digital_signature:
        raise Refused("BadCertificateUseNotAllowed", "its key may not sign")
    encrypts = usage.key_encipherment or usage.data_encipherment or not RSA.fits(leaf.public_key())
    if not person and not (usage.digital_signature and encrypts):
        raise Refused("BadCertificateUseNotAllowed", "its key may not sign and encrypt")
    try:
        purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return
    if not {purpose, ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE} & set(purposes):
        raise Refused(
            "BadCertificateUseNotAllowed",
            "it is not for clients" if purpose == ExtendedKeyUsageOID.CLIENT_AUTH else "it is not for servers",
        )


def _check_issuer(issuer: x509.Certificate, depth: int) -> None:
    try:
        constraints = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
        usage = issuer.extensions.get_extension_for_class(x509.KeyUsage).value
    except x509.ExtensionNotFound:
        raise Refused("BadCertificateIssuerUseNotAllowed", "its issuer is no certificate authority") from None
    if not constraints.ca or not usage.key_cert_sign:
        raise Refused("BadCertificateIssuerUseNotAllowed", "its issuer is no certificate authority")
    if constraints.path_length is not None and constraints.path_length < depth:
        raise Refused("BadCertificateIssuerUseNotAllowed", "its issuer may not have authorities below itself")


def _check_revocation(
    certificate: x509.Certificate,
    issuer: x509.Certificate,
    lists: Sequence[x509.CertificateRevocationList],
    now: datetime,
    depth: int,
) -> None:
    key = issuer.public_key()
    assert isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey)  # noqa: S101 - _check_algorithms refused everything else
    unknown = "BadCertificateRevocationUnknown" if depth == 0 else "BadCertificateIssuerRevocationUnknown"
    revoked = "BadCertificateRevoked" if depth == 0 else "BadCertificateIssuerRevoked"
    in_date = [
        crl
        for crl in lists
        if crl.issuer == issuer.subject
        and crl.is_signature_valid(key)
        and crl.last_update_utc <= now
        and crl.next_update_utc is not None
        and now <= crl.next_update_utc
        and not any(extension.critical for extension in crl.extensions)  # a part of a list, or a list of changes
    ]
    if not in_date:
        raise Refused(unknown, f"no revocation list of {_named(issuer.subject)} that is in date")
    if any(crl.get_revoked_certificate_by_serial_number(certificate.serial_number) is not None for crl in in_date):
        raise Refused(revoked, "it was revoked by its issuer")
