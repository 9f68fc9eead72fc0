"""TLS of what listens here over HTTP and MQTT: by a certificate and its key in PEM files that the settings name.

http_cert_path, http_key_path      --> context()   --> REST, WebSocket, page
broker_cert_path, broker_key_path  --> of_broker() --> the broker that is started
                 '-------------------> pinned()    --> the gateway's connection to it
mqtt_ca_path, mqtt_cert_path, ...  --> client()    --> the gateway's connection to a broker of somebody's own
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from cnctwin.errors import ConfigurationError
from cnctwin.settings import Settings

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2, all with forward secrecy; TLS 1.3 has no others."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate (with its chain) and its key, PEM files."""

    certificate: Path
    key: Path


def context(what: str, certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's side of TLS 1.2 and later, with forward secrecy. ``what``: how the names of both settings begin, such as http.

    Raises ConfigurationError.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.minimum_version = ssl.TLSVersion.TLSv1_2
    made.set_ciphers(CIPHERS)
    _load_pair(made, what, certificate, key)
    return made


def _load_pair(made: ssl.SSLContext, what: str, certificate: Path, key: Path) -> None:
    names = f"{what}_cert_path {certificate}, {what}_key_path {key}"
    _read(f"{what}_cert_path", certificate)
    if b"ENCRYPTED" in _read(f"{what}_key_path", key):  # OpenSSL would ask for the word at the terminal, and wait
        raise ConfigurationError(
            [f"{what}_key_path {key}: is locked by a passphrase; give it without one, to be read by its user alone"]
        )
    try:
        made.load_cert_chain(certificate, key)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigurationError([f"{names}: the key is of another certificate"]) from error
        raise ConfigurationError([f"{names}: not a certificate and its key in PEM ({error.reason or error})"]) from error


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigurationError([f"{name} {path}: cannot be read: {error.strerror}"]) from error


def of_broker(settings: Settings) -> Pair | None:
    """What the broker that is started serves with; None: in clear. Raises ConfigurationError where nobody could come in."""
    certificate, key = settings.broker_cert_path, settings.broker_key_path
    if certificate is None or key is None:
        if settings.mqtt_use_tls:
            raise ConfigurationError(["mqtt_use_tls: the broker that is started needs broker_cert_path and broker_key_path for it"])
        return None
    context("broker", certificate, key)
    ended = x509.load_pem_x509_certificates(certificate.read_bytes())[0].not_valid_after_utc
    if ended < datetime.now(UTC):
        raise ConfigurationError([f"broker_cert_path {certificate}: ended on {ended:%Y-%m-%d}, and nobody takes it: renew it"])
    return Pair(certificate.resolve(), key.resolve())


class _Handshake(ssl.SSLSocket):
    """Closed where the handshake fails: paho drops it open, one more with each try."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


def client(authority: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """A client's side: the server's certificate is of this authority (None: one the system knows) and has the name we come by.

    ``certificate`` and ``key`` are the client's own, where the server wants one. Raises ConfigurationError.
    """
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.sslsocket_class = _Handshake
    if authority is None:
        made.load_default_certs()
    else:
        _read("mqtt_ca_path", authority)
        try:
            made.load_verify_locations(authority)
        except ssl.SSLError as error:
            raise ConfigurationError([f"mqtt_ca_path {authority}: not a certificate in PEM ({error.reason or error})"]) from error
    if certificate is not None and key is not None:
        _load_pair(made, "mqtt", certificate, key)
    return made


def pinned(certificate: Path) -> ssl.SSLContext:
    """A client's side that takes a server with this very certificate, whatever names it has and whoever signed it, and no other.

    Raises OSError, ssl.SSLError, ValueError.
    """
    first = x509.load_pem_x509_certificates(certificate.read_bytes())[0]
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.sslsocket_class = _Handshake
    made.check_hostname = False  # we come by an address of this machine, its certificate has the name that others know
    made.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    made.load_verify_locations(cadata=first.public_bytes(Encoding.PEM).decode())
    return made
