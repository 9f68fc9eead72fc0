"""The keeper of the address space, with what the doors need to know: certificate, trust list, users, rights.

server = await make(settings, vault, uri, secrets)            # nothing listens, now or later
spaces = space.build(server, identities); server.rights.add_machine(...)
await server.guard()                                          # secrets that a first start makes are there
engine = Engine.of(server, rooms=[...]); await engine.start() # the port is the engine's
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

from asyncua import Server, ua
from cryptography.hazmat.primitives.serialization import Encoding

from certs.application import has_own, load_certificate, load_key, load_own
from certs.kinds import CURVES, Kind
from certs.pki import Trust
from certs.users import UserCertificates
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from nodesets.typed import TypedServer
from opcua_server.alarms.registry import Registry
from opcua_server.engine.channel import Own
from opcua_server.engine.subscriptions.columns import Columns
from opcua_server.files.register import Files
from opcua_server.security.access import ANONYMOUS, ANONYMOUS_INSECURE
from opcua_server.security.rights import Rights
from opcua_server.security.tokens import Issuer
from opcua_server.security.users import Users

BYTES_FOR_A_MACHINE: Final = 3 << 19
"""More for each further machine: a dozen clients that watch all signals of all machines are no attack."""


class SecureServer(Server):
    """asyncua's server for its address space, its nodes and its events; the sockets are the engine's.

    ``own``: certificate and key. ``address``: host and port to listen on. ``columns``: live variables. ``files``: NC programs.
    ``conditions``: alarms by ConditionId. ``strict``: trusted certificates and named users only.
    ``session_bytes``: that all sessions may hold together. ``guard``: waits for certificate,
    key, trust and users, once; raises CertificateProblem, ConfigurationError or StartError.
    """

    own: Own
    trust: Trust
    users: Users
    rights: Rights
    columns: Columns
    files: Files
    conditions: Registry
    strict: bool
    session_bytes: int
    address: tuple[str, int]
    guard: Callable[[], Awaitable[None]]

    @property
    def application_uri(self) -> str:
        return str(self._application_uri)

    async def start(self) -> None:
        """Say that the server runs, and keep its clock. Opens nothing."""
        await self.iserver.start()

    async def stop(self) -> None:
        """End the clock and the threads of methods."""
        if self.iserver.time_task is not None:
            self.iserver.time_task.cancel()  # asyncua waits for it, up to a second
            await asyncio.wait([self.iserver.time_task])
            self.iserver.time_task = None
        await self.iserver.stop()


def _own(folder: Path, kind: Kind) -> Own:
    certificate, key = load_own(folder, kind)
    return Own(certificate.public_bytes(Encoding.DER), key)


async def make(settings: Settings, vault: Vault, uri: str, secrets: Awaitable[tuple[Path, Path]]) -> SecureServer:
    """An initialised server that has no doors before its ``guard`` was awaited. Trust, users, and certificates for curves are those
    of the data folder of ``settings``.

    ``secrets``: waits until all of these are there, and has the paths of certificate and key. On a first start they are made
    while the address space is. Raises NodesetError or OfficialNodesetMissing.
    """
    server = SecureServer(iserver=TypedServer())
    try:
        await server.init()
    except BaseException:
        server.iserver.method_service.stop()
        raise
    server.application_type = ua.ApplicationType.Server
    await server.set_application_uri(uri)
    server.rights = Rights()
    server.columns = Columns()
    server.files = Files()
    server.conditions = Registry()
    server.strict = settings.is_strict
    server.session_bytes = (settings.session_memory_mb << 20) + (settings.machines - 1) * BYTES_FOR_A_MACHINE
    server.address = (settings.host, settings.opcua_port)

    async def guard() -> None:
        certificate, key = await secrets
        if not hasattr(server, "own"):
            _guard(server, settings, vault, certificate, key, uri)

    server.guard = guard
    return server


def _guard(server: SecureServer, settings: Settings, vault: Vault, certificate: Path, key: Path, uri: str) -> None:
    """Give a server what its doors need."""
    pki = settings.data / "pki"
    others = tuple(_own(pki / "server", CURVES[name]) for name in settings.curves if has_own(pki / "server", CURVES[name]))
    server.own = Own(load_certificate(certificate).public_bytes(Encoding.DER), load_key(key), settings.insecure, others)
    server.trust = Trust(pki / "server", first_use=not settings.is_strict, own_applications=pki)
    anonymous = ANONYMOUS_INSECURE if settings.insecure else None if settings.is_strict else ANONYMOUS
    certificates, issuer = UserCertificates(pki / "server" / "users"), Issuer.of(settings, uri)
    server.users = Users(vault, anonymous, certificates=certificates, issuer=issuer)
