"""Our own certificates while the server runs: one that nears its end is made anew as at a start, and used from then on.

    every EVERY_S   made by us, or anew in its file --> used by whoever connects next; channels that are open go on
                    signed by an authority          --> said WARN_BEFORE its end, and a problem when it has ended

A server that runs for years would otherwise show one that has ended, and every client would turn away without a word here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certs.application import RENEW_BEFORE, has_own, load_own
from certs.kinds import CURVES, RSA, Kind
from certs.pki import CertificateProblem, ensure_application
from opcua_server.engine.channel import Own

_logger = logging.getLogger(__name__)
NAME: Final = "cnctwin server"
EVERY_S: Final = 600.0
AGAIN_S: Final = 10.0
"""The same while something is wrong: a person is at it, or has a pair half exchanged."""
WARN_BEFORE: Final = RENEW_BEFORE


class Core(Protocol):
    """What it needs of the engine."""

    own: Own

    def use(self, own: Own) -> None: ...


def ensure_own(folder: Path, uri: str, hosts: Sequence[str], kind: Kind = RSA, *, now: datetime | None = None) -> tuple[Path, Path]:
    """Paths of the server's certificate of a kind and of its key, as ``ensure_application``."""
    return ensure_application(folder, NAME, uri, hosts, now=now, kind=kind)


class OwnCertificates:
    """``folder``: the server's own of the PKI; ``uri``, ``hosts``: what its certificates are for; ``curves``: beside RSA."""

    def __init__(self, core: Core, folder: Path, uri: str, hosts: Sequence[str], curves: Sequence[str]) -> None:
        self.problem = ""
        """What is wrong now, and what to do, one line; empty when nothing is."""
        self._core = core
        self._folder, self._uri, self._hosts = folder, uri, tuple(hosts)
        self._kinds = (RSA, *(CURVES[name] for name in curves))
        self._told = ""
        self._first_end = datetime.max.replace(tzinfo=UTC)

    async def run(self) -> None:
        """Look after them for ever."""
        while True:
            now = datetime.now(UTC)
            await self.look(now)
            await asyncio.sleep(AGAIN_S if self.problem else min(EVERY_S, max((self._first_end - now).total_seconds(), 0.0) + 1.0))

    async def look(self, now: datetime) -> None:
        """Renew what is due at ``now``, and use what is new. What is wrong is told, not raised."""
        problems, soon = [], []
        self._first_end = datetime.max.replace(tzinfo=UTC)
        for kind in self._kinds:
            try:
                found, told = await asyncio.to_thread(self._look, kind, now)
            except CertificateProblem as problem:
                problems.append(str(problem))
                continue
            except OSError as error:
                problems.append(f"{self._folder}: own certificate cannot be looked after: {error.strerror or error}")
                continue
            soon += told
            if found is not None:
                self._core.use(self._core.own.with_pair(found))
        self.problem = "; ".join(problems)
        text = "; ".join(problems + soon)
        if text and text != self._told:
            _logger.log(logging.ERROR if problems else logging.WARNING, "%s", text)
        self._told = text

    def _look(self, kind: Kind, now: datetime) -> tuple[Own | None, list[str]]:
        """The pair of a kind where it is another than we use, and what is to be said of it. Raises CertificateProblem, OSError."""
        if not has_own(self._folder, kind):  # another key would be refused by all who know this one
            raise CertificateProblem(
                f"{self._folder / 'own'}: the {kind.name} pair is gone; restore it, it is in use until this stops"
            )
        path, _ = ensure_own(self._folder, self._uri, self._hosts, kind, now=now)
        certificate, key = load_own(self._folder, kind)
        ends = certificate.not_valid_after_utc
        self._first_end = min(self._first_end, ends)
        soon = []
        if ends - now < WARN_BEFORE:  # one of ours would have been made anew
            soon.append(
                f"{path}: ends on {ends:%Y-%m-%d %H:%M} UTC, and no client comes in after that; let its issuer sign a new one"
            )
        used = self._core.own.of(kind)
        if used is None or used.certificate == certificate.public_bytes(Encoding.DER):
            return None, soon
        before = x509.load_der_x509_certificate(used.certificate).not_valid_after_utc
        _logger.warning(
            "own certificate (%s) is another one from now on: ends on %s, the one before on %s",
            path.name, f"{ends:%Y-%m-%d}", f"{before:%Y-%m-%d}",
        )  # fmt: skip
        return Own(certificate.public_bytes(Encoding.DER), key), soon
