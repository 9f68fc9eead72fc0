"""One OPC UA session, from the socket to the activated user, on asyncua's client without its supervisor.

    discover endpoints (None) -> pin the server's certificate -> channel Basic256Sha256 SignAndEncrypt -> session -> user

The server's certificate is trusted on first use and recorded in <data>/pki/<application>/servers.json; another one later is
refused (ServerChanged), because it may be another server. Policy None is used only with ``insecure`` and only when the server
offers nothing better.

What goes wrong is of two kinds: the server is away (OSError, TimeoutError: try again soon), or it refuses us (Refused: a
setting must change, so try again slowly and say why).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from asyncua import Client, ua
from asyncua.crypto import security_policies, uacrypto
from cryptography import x509

from certs.application import load_certificate, load_key
from certs.pki import CertificateProblem, application_uri, ensure_application
from certs.servers import RECORD, CertificateChanged, pin
from cnctwin import PRODUCT_URI
from cnctwin.link.bounds import bounded

REQUEST_TIMEOUT: Final = 4.0
PROBE_TIMEOUT: Final = 2.0
"""The first word to a server decides soon: while it is cut off, a long wait here would outlast its return."""
SESSION_TIMEOUT_MS: Final = 30_000
CLOCK_OFF_S: Final = 30.0
"""From here on trends, histories and alarms of two machines can no longer be laid side by side."""
CHANNEL_LIFETIME_MS: Final = 3_600_000
_POLICY: Final = security_policies.SecurityPolicyBasic256Sha256
_NONE: Final = security_policies.SecurityPolicyNone

REFUSALS: Final = {
    ua.StatusCodes.BadCertificateUntrusted: "our certificate is not trusted by the server; trust it there",
    ua.StatusCodes.BadSecurityChecksFailed: "our certificate was refused by the server; trust it there",
    ua.StatusCodes.BadCertificateUriInvalid: "our certificate was refused by the server: wrong application URI",
    ua.StatusCodes.BadCertificateTimeInvalid: "our certificate has expired or is not valid yet",
    ua.StatusCodes.BadCertificateUseNotAllowed: "our certificate was refused by the server: wrong use",
    ua.StatusCodes.BadCertificateHostNameInvalid: "our certificate was refused by the server: wrong host name",
    ua.StatusCodes.BadCertificateRevoked: "our certificate has been revoked",
    ua.StatusCodes.BadTooManySessions: "the server has too many sessions; analytics and gateway need one each",
    ua.StatusCodes.BadSecurityPolicyRejected: "the server refused security policy Basic256Sha256",
    ua.StatusCodes.BadSecurityModeRejected: "the server refused signed and encrypted messages",
}


_NO_LOGIN: Final = frozenset(
    (ua.StatusCodes.BadUserAccessDenied, ua.StatusCodes.BadIdentityTokenRejected, ua.StatusCodes.BadIdentityTokenInvalid)
)


@dataclass(frozen=True, slots=True)
class Login:
    """Who logs in; nobody: anonymous. ``is_own``: at our own server; no other is told the password."""

    user: str | None = None
    password: str | None = field(default=None, repr=False)
    is_own: bool = False

    def at(self, product_uri: str | None) -> Login:
        """What of it the server gets to know that says it is this product."""
        return Login() if self.is_own and product_uri != PRODUCT_URI else self

    @property
    def refused(self) -> str:
        """What to tell who is refused with it."""
        if self.is_own:
            return f"the login of {self.user} is refused: the server is of another data folder"
        who = "anonymous users are refused" if self.user is None else f"user {self.user} or the password is refused"
        return f"{who}; give opcua_user and opcua_password (CNCTWIN_OPCUA_USER, CNCTWIN_OPCUA_PASSWORD)"


class Refused(Exception):
    """The server is there and does not want us as we are, or we not it; waiting alone will not help."""


class ServerChanged(Refused):
    """The server's certificate is not the one recorded."""


@contextlib.asynccontextmanager
async def session(url: str, application: str, data: Path, login: Login, *, insecure: bool) -> AsyncIterator[Client]:
    """An activated session; closed at the end, within a second even if the server no longer answers."""
    client = bounded(url, REQUEST_TIMEOUT)
    client.name = client.description = f"cnctwin {application}"
    folder = data / "pki" / application
    client.application_uri = application_uri(application, folder)
    client.product_uri = "urn:cnctwin"
    client.session_timeout = SESSION_TIMEOUT_MS
    client.secure_channel_timeout = CHANNEL_LIFETIME_MS
    # The publish loop of asyncua's session would answer notifications beside ours.
    client.uaclient.session.ensure_publish_loop = lambda: None
    try:
        try:
            login = login.at(await secure(client, url, application, data, insecure=insecure))
            if login.user is not None:
                client.set_user(login.user)
                client.set_password(login.password or "")
            await client.connect_socket()
            await client.send_hello()
            await _open(client, url, folder)
            await client.create_session()
            await client.activate_session(username=login.user, password=login.password)
        except ua.UaStatusCodeError as error:
            if error.code in _NO_LOGIN:
                raise Refused(f"{url}: {login.refused} ({ua.StatusCode(error.code).name})") from error
            if error.code in REFUSALS:
                what = REFUSALS[error.code].replace("trust it there", f"trust it there: {_certificate(folder)}")
                raise Refused(f"{url}: {what} ({ua.StatusCode(error.code).name})") from error
            raise
        yield client
    finally:
        await _close(client)


async def _open(client: Client, url: str, folder: Path) -> None:
    """The channel. A fault in place of an answer, as node-opcua gives to certificates it does not trust, fails within asyncua
    without its status."""
    try:
        await client.open_secure_channel()
    except AssertionError as error:
        raise Refused(f"{url}: the server opens no channel to us; trust our certificate there: {_certificate(folder)}") from error


def _certificate(folder: Path) -> Path:
    return folder / "own" / "cert.der"


async def keep_channel(client: Client) -> None:
    """Renew the channel's keys after three quarters of their lifetime (OPC 10000-4, 5.5.2), until cancelled."""
    while True:
        await asyncio.sleep(client.secure_channel_timeout * 0.75 / 1000)
        await client.open_secure_channel(renew=True)
        client.uaclient.revolve_security_token()


async def clock_ahead_s(client: Client) -> float | None:
    """By how much the server's clock is ahead of ours; None where it is not told."""
    try:
        told = await client.get_node(ua.NodeId(ua.ObjectIds.Server_ServerStatus_CurrentTime)).read_value()
    except ua.UaStatusCodeError:
        return None
    return (told.replace(tzinfo=UTC) - datetime.now(UTC)).total_seconds() if isinstance(told, datetime) else None


def clock_off(ahead_s: float) -> str:
    """In words, such as "3600 s behind ours"; empty where clocks agree."""
    return "" if abs(ahead_s) < CLOCK_OFF_S else f"{abs(ahead_s):.0f} s {'ahead of' if ahead_s > 0.0 else 'behind'} ours"


async def _close(client: Client) -> None:
    with contextlib.suppress(Exception):
        async with asyncio.timeout(1.0):
            if client.uaclient.protocol is not None and not client.uaclient.protocol.is_closed:
                await client.uaclient.close_session(True)
                await client.close_secure_channel()
    with contextlib.suppress(Exception):
        client.disconnect_socket()


async def secure(client: Client, url: str, application: str, data: Path, *, insecure: bool) -> str | None:
    """Give a client the security of its next channel: our certificate, and the server's, pinned. Returns the server's product URI.
    Raises Refused, OSError."""
    probe = bounded(url, PROBE_TIMEOUT)
    endpoints = await probe.connect_and_get_server_endpoints()
    mode = ua.MessageSecurityMode.SignAndEncrypt
    offered = [e for e in endpoints if e.SecurityPolicyUri == _POLICY.URI and e.SecurityMode == mode and e.ServerCertificate]
    if not offered:
        open_ones = [e for e in endpoints if e.SecurityPolicyUri == _NONE.URI]
        if insecure and open_ones:
            return _product(open_ones[0])
        way_out = "; --insecure takes it without encryption" if open_ones else ""
        raise Refused(f"{url}: the server offers no endpoint with Basic256Sha256, signed and encrypted{way_out}")
    server = uacrypto.x509_from_der(_first_certificate(offered[0].ServerCertificate))
    folder = data / "pki" / application
    try:
        await asyncio.to_thread(pin, folder / RECORD, url, server)
    except CertificateChanged as problem:
        raise ServerChanged(f"{url}: {problem}") from problem
    except CertificateProblem as problem:
        raise Refused(str(problem)) from problem
    certificate, key = await asyncio.to_thread(own_certificate, folder, application)
    policy = _POLICY(server, certificate, key, mode)
    client.security_policy = policy
    client.uaclient.set_security(policy)
    return _product(offered[0])


def _product(endpoint: ua.EndpointDescription) -> str | None:
    return endpoint.Server.ProductUri if endpoint.Server is not None else None


def _first_certificate(der: bytes) -> bytes:
    """The leading certificate of a chain sent as one blob: its outer SEQUENCE says how long it is."""
    if len(der) > 4 and der[1] == 0x82:
        return der[: int.from_bytes(der[2:4], "big") + 4]
    return der


def own_certificate(folder: Path, application: str) -> tuple[x509.Certificate, Any]:
    """This client's certificate and private key, made on first use. Raises Refused when what is there cannot be used."""
    try:
        certificate, key = ensure_application(folder, application, application_uri(application, folder), ())
        return load_certificate(certificate), load_key(key)
    except CertificateProblem as problem:
        raise Refused(str(problem)) from problem
