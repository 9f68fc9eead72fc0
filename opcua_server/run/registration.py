"""Registration with a discovery server (OPC 10000-4, 5.5.5), so that clients find this server where they look for all of a plant.

every few minutes: endpoints of the discovery server --the best with a signature--> RegisterServer2, or the older RegisterServer
at the end:        once more, not online

What it cannot do is logged once, and tried again: nothing of the server waits for it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from typing import Any, Final

from asyncua import Client, ua
from asyncua.crypto import security_policies
from cryptography import x509

from certs.pki import Trust
from certs.verdict import parse_chain
from cnctwin.link.bounds import bounded
from opcua_server.engine.channel import Own
from opcua_server.engine.discovery import CAPABILITIES

_logger = logging.getLogger(__name__)
EVERY_S: Final = 300.0
"""A discovery server forgets who has not registered for ten minutes."""
FIRST_WAIT_S: Final = 5.0
TIMEOUT_S: Final = 4.0
GOODBYE_S: Final = 0.5
_LONGEST_NAME: Final = 63
"""Bytes of a name in mDNS."""
_POLICIES: Final = (
    security_policies.SecurityPolicyAes256Sha256RsaPss,
    security_policies.SecurityPolicyAes128Sha256RsaOaep,
    security_policies.SecurityPolicyBasic256Sha256,
)
_UNKNOWN: Final = (ua.StatusCodes.BadServiceUnsupported, ua.StatusCodes.BadNotImplemented, ua.StatusCodes.BadNotSupported)
"""What a discovery server says to RegisterServer2 that has only RegisterServer."""


class RegistrationRefused(Exception):
    """The discovery server is there, but it or we are not trusted, or it does not offer what it takes."""


class Registration:
    """``url``: of the discovery server. ``server``: a SecureServer. ``announced``: its address, as clients shall use it."""

    def __init__(self, url: str, server: Any, announced: str, trust: Trust) -> None:
        self._url = url
        self._server = server
        self._announced = announced
        self._trust = trust
        self._is_known = False

    async def run(self) -> None:
        """Register again and again, until cancelled; then say that we go, if that can be said at once."""
        wait_s, told = FIRST_WAIT_S, ""
        try:
            while True:
                try:
                    await self.tell(online=True)
                except (OSError, TimeoutError, RegistrationRefused, ua.UaError) as error:
                    problem = str(error) or type(error).__name__
                    if problem != told:
                        _logger.warning("not registered with %s: %s; trying again", self._url, problem)
                        told = problem
                    await asyncio.sleep(wait_s)
                    wait_s = min(2 * wait_s, EVERY_S)
                else:
                    if not self._is_known or told:
                        _logger.info("registered with %s as %s", self._url, self._announced)
                    self._is_known, wait_s, told = True, FIRST_WAIT_S, ""
                    await asyncio.sleep(EVERY_S)
        finally:
            if self._is_known:
                with contextlib.suppress(Exception):
                    async with asyncio.timeout(GOODBYE_S):
                        await self.tell(online=False)

    async def tell(self, *, online: bool) -> None:
        """One registration. Raises OSError, TimeoutError, RegistrationRefused or UaError."""
        server = ua.RegisteredServer(
            ServerUri=self._server.application_uri,
            ProductUri=self._server.product_uri,
            ServerNames=[ua.LocalizedText(self._server.name, "en")],
            ServerType=ua.ApplicationType.Server,
            DiscoveryUrls=[self._announced],
            IsOnline=online,
        )
        async with self._channel() as client:
            try:
                await client.uaclient.register_server2(ua.RegisterServer2Parameters(server, [_announcement(self._server.name)]))
            except ua.UaStatusCodeError as error:
                if error.code not in _UNKNOWN:
                    raise
                await client.uaclient.register_server(server)

    @contextlib.asynccontextmanager
    async def _channel(self) -> AsyncIterator[Client]:
        """A signed channel without a session: registration asks for no more."""
        async with asyncio.timeout(2 * TIMEOUT_S):
            endpoints = await bounded(self._url, TIMEOUT_S).connect_and_get_server_endpoints()
        client = bounded(self._url, TIMEOUT_S)
        client.application_uri = self._server.application_uri
        policy = await self._policy(endpoints)
        client.security_policy = policy
        client.uaclient.set_security(policy)
        try:
            async with asyncio.timeout(2 * TIMEOUT_S):
                await client.connect_socket()
                await client.send_hello()
                await client.open_secure_channel()
            yield client
        finally:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(GOODBYE_S):
                    await client.close_secure_channel()
            with contextlib.suppress(Exception):
                client.disconnect_socket()

    async def _policy(self, endpoints: list[Any]) -> Any:
        """The security of the best endpoint with a signature. Raises RegistrationRefused."""
        for kind in _POLICIES:
            for endpoint in endpoints:
                secured = endpoint.SecurityMode in (ua.MessageSecurityMode.Sign, ua.MessageSecurityMode.SignAndEncrypt)
                if endpoint.SecurityPolicyUri == kind.URI and secured and endpoint.ServerCertificate:
                    chain = bytes(endpoint.ServerCertificate)
                    verdict = await asyncio.to_thread(self._trust.check, chain, peer=self._url)
                    if not verdict.accepted:
                        raise RegistrationRefused(f"its certificate is not trusted: {verdict.text}")
                    own: Own = self._server.own
                    ours = x509.load_der_x509_certificate(own.certificate)
                    return kind(parse_chain(chain)[0], ours, own.key, endpoint.SecurityMode)
        raise RegistrationRefused("it offers no signed endpoint of a policy that we use")


def _announcement(name: str) -> Any:
    """What a discovery server with multicast (LDS-ME) tells of us in its network, where FindServersOnNetwork looks."""
    text = name.encode()[:_LONGEST_NAME].decode(errors="ignore")
    return ua.MdnsDiscoveryConfiguration(text, list(CAPABILITIES))
