"""From a user identity token to a role: passwords are decrypted, counted, and verified in a thread.

    token --encrypted with our key, with the session's nonce--> password --counted, delayed--> argon2id --> role

    token --certificate, whose key has signed our nonce--> whose an operator says it is --> role

    token --encrypted as a password--> issued by an authority (tokens.py) --counted, delayed, verified--> role, until it is over

A password in clear is refused on every channel: the endpoints ask for it encrypted (OPC 10000-4, 7.36.2.2).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from certs.users import UserCertificates
from certs.verdict import Refused
from cnctwin.errors import ConfigurationError
from cnctwin.peers import counted_as
from cnctwin.secrets import Role, Vault
from opcua_server.security.lockout import LockedOut, Lockout

if TYPE_CHECKING:
    from opcua_server.security.tokens import Issuer

_RSA_OAEP: Final = "http://www.w3.org/2001/04/xmlenc#rsa-oaep"
_RSA_OAEP_SHA256: Final = "http://opcfoundation.org/UA/security/rsa-oaep-sha2-256"
MAX_PASSWORD: Final = 512
MAX_USER: Final = 128
_NO_NAME: Final = "issued token"
"""By what the failures of tokens are counted that name nobody."""
_audit = logging.getLogger("opcua_server.audit")


@dataclass(frozen=True, slots=True)
class Person:
    """Who a session belongs to. ``name`` is None for anonymous. ``stamp``: of the password that was right, Vault.stamp."""

    name: str | None
    role: Role
    stamp: str | None = field(default=None, compare=False, repr=False)


class NotThem(Exception):
    """``status`` is the name of the OPC UA status code the client gets; the text is for the log."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


def open_password(secret: bytes, algorithm: str | None, key: object, nonce: bytes) -> str:
    """The password in a UserNameIdentityToken. Raises NotThem."""
    return as_text(open_secret(secret, algorithm, key, nonce, MAX_PASSWORD))


def as_text(password: bytes) -> str:
    """Raises NotThem."""
    try:
        return password.decode("utf-8")
    except UnicodeDecodeError:
        raise NotThem("BadIdentityTokenInvalid", "password is no text") from None


def open_secret(secret: bytes, algorithm: str | None, key: object, nonce: bytes, most: int) -> bytes:
    """The secret of an identity token, of ``most`` bytes: length, secret, server nonce, RSA-OAEP in blocks of the key's size.

    Raises NotThem: in clear, another algorithm, the nonce of another session, or not encrypted for us.
    """
    if not algorithm:
        raise NotThem("BadIdentityTokenInvalid", "password or token in clear")
    oaep_hash: hashes.HashAlgorithm
    if algorithm == _RSA_OAEP:
        oaep_hash = hashes.SHA1()  # noqa: S303 - OPC 10000-7: Basic256Sha256 encrypts with OAEP over SHA-1; no collision helps
    elif algorithm == _RSA_OAEP_SHA256:
        oaep_hash = hashes.SHA256()
    else:
        raise NotThem("BadIdentityTokenInvalid", f"encrypted with {algorithm[:80]}")
    if not isinstance(key, rsa.RSAPrivateKey):
        raise NotThem("BadIdentityTokenInvalid", "encrypted for another kind of key")
    size = key.key_size // 8
    block = size - 2 * oaep_hash.digest_size - 2
    if not secret or len(secret) % size or len(secret) // size > -(-(4 + most + len(nonce)) // block):
        raise NotThem("BadIdentityTokenInvalid", "no RSA ciphertext of our key, or one that is too long")
    oaep = padding.OAEP(mgf=padding.MGF1(algorithm=oaep_hash), algorithm=oaep_hash, label=None)
    try:
        plain = b"".join(key.decrypt(secret[i : i + size], oaep) for i in range(0, len(secret), size))
        (length,) = struct.unpack_from("<I", plain)
        opened, sent_nonce = plain[4 : 4 + length - len(nonce)], plain[4 + length - len(nonce) : 4 + length]
        if not nonce or len(nonce) > length or not hmac.compare_digest(sent_nonce, nonce) or len(opened) > most:
            raise ValueError
        return opened
    except (ValueError, struct.error):
        raise NotThem("BadIdentityTokenInvalid", "not encrypted for this session") from None


class Users:
    """Everybody who may log in. ``anonymous`` is the role without a login, None where there is none. ``issuer``: whose tokens are
    taken."""

    def __init__(
        self,
        vault: Vault,
        anonymous: Role | None,
        clock: Callable[[], float] = time.monotonic,
        certificates: UserCertificates | None = None,
        issuer: Issuer | None = None,
    ) -> None:
        self.certificates = certificates
        self.issuer = issuer
        self.anonymous = anonymous
        self._vault = vault
        self._clock = clock
        self._lockout = Lockout()
        self._verifying = asyncio.Semaphore(2)  # each takes 19 MiB and tens of milliseconds by design
        self._addresses: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._lines: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    def passwords(self) -> dict[str, Role]:
        """Who logs in with a password, and with which role."""
        return self._vault.users()

    def is_still(self, person: Person) -> bool:
        """Whether somebody who logged in with a password still has that password, and that role."""
        if person.stamp is None or person.name is None:
            return True
        try:
            return self._vault.stamp(person.name) == person.stamp
        except (OSError, ConfigurationError):  # who there is cannot be read: that changes nobody's password
            return True

    def without_login(self, peer: str) -> Person:
        """The person of an anonymous token. Raises NotThem where a login is needed."""
        if self.anonymous is None:
            _audit.warning("anonymous from %s: refused, a login is needed", peer)
            raise NotThem("BadIdentityTokenRejected", "a login is needed")
        return Person(None, self.anonymous)

    def with_certificate(self, der: bytes, peer: str) -> Person:
        """The person of a certificate (DER) whose key is proved. Raises NotThem. Reads files: call it in a thread."""
        try:
            if self.certificates is None:
                raise Refused("BadCertificateUntrusted", "no user has a certificate")
            name, role = self.certificates.owner(der, peer=peer)
        except Refused as problem:
            _audit.warning("login by certificate from %s: refused, %s", peer, problem)
            raise NotThem("BadIdentityTokenRejected", str(problem)) from None
        return Person(name, role.value)

    async def with_password(self, user: str | None, password: Callable[[], str], peer: str) -> Person:
        """The person of a name and password. Raises NotThem; what was wrong is only in the log.

        ``password`` decrypts it, raises NotThem, and is called in a thread.
        """
        user = (user or "")[:MAX_USER]
        # One after another for each user and address: tries at the same time would all be counted as failures until they are
        # verified, and ten right ones at once would lock out their owner.
        line = self._lines.setdefault((user, counted_as(peer)), asyncio.Lock())
        try:
            async with line:
                return await self._verify(user, password, peer)
        except NotThem as problem:
            _audit.warning("login %r from %s: refused, %s", user, peer, problem)
            raise

    async def _verify(self, user: str, password: Callable[[], str], peer: str) -> Person:
        await self._count(user, peer)

        def verify() -> tuple[Role | None, str | None]:
            opened, stamp = password(), self._vault.stamp(user)
            return self._vault.authenticate(user, opened), stamp

        # One at a time for each address: who guesses takes one of two places, and others still get in.
        async with self._addresses.setdefault(counted_as(peer), asyncio.Lock()), self._verifying:
            role, stamp = await asyncio.to_thread(verify)
        if role is None:
            raise NotThem("BadUserAccessDenied", "wrong user or password")
        self._lockout.succeeded(user, counted_as(peer))
        _audit.info("login %r from %s: %s", user, peer, role)
        return Person(user, role, stamp)

    async def with_token(self, token: Callable[[], bytes], peer: str) -> tuple[Person, float]:
        """The person of an issued token, and for how many seconds it still counts. Raises NotThem; failures are counted by the
        name in the token, whether it is right or not.

        ``token`` decrypts it, raises NotThem, and is called in a thread.
        """
        issuer, name = self.issuer, _NO_NAME
        if issuer is None:
            raise NotThem("BadIdentityTokenRejected", "issued tokens are not taken")
        address = counted_as(peer)
        one_of_peer = self._addresses.setdefault(address, asyncio.Lock())
        try:
            async with one_of_peer, self._verifying:
                opened, problem = await asyncio.to_thread(_tried, token)
            name = issuer.claimed(opened) if opened else _NO_NAME
            async with self._lines.setdefault((name, address), asyncio.Lock()):
                await self._count(name, peer)
                if problem is not None:
                    raise problem
                async with one_of_peer, self._verifying:
                    vouched = await asyncio.to_thread(issuer.vouch, opened)
        except NotThem as problem:
            _audit.warning("login %r by token from %s: refused, %s", name, peer, problem)
            raise
        self._lockout.succeeded(name, address)
        _audit.info("login %r by token from %s: %s", vouched.person.name, peer, vouched.person.role)
        return vouched.person, issuer.left_s(vouched)

    async def _count(self, user: str, peer: str) -> None:
        """Count a try as failed and wait as long as it must. Raises NotThem where it is locked out."""
        try:
            delay_s = self._lockout.begin(user, counted_as(peer), self._clock())
        except LockedOut as locked:
            raise NotThem("BadUserAccessDenied", str(locked)) from None
        if delay_s:
            await asyncio.sleep(delay_s)


def _tried(token: Callable[[], bytes]) -> tuple[bytes, NotThem | None]:
    """A token in clear, or why it is none: that counts as a failure too."""
    try:
        return token(), None
    except NotThem as problem:
        return b"", problem
