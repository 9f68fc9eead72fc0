"""Issued tokens: who an authority says somebody is (OPC 10000-6, 6.5.2: JSON Web Token; RFC 7519, 8725).

    token --signature by a key of the issuer, issuer, audience, dates--> claims --roles of the claim, mapped--> name, role, end

Keys are the issuer's public ones, from a file: PEM (key or certificate) or a set of them (JWKS, RFC 7517). Only signatures of key
pairs count, with the algorithms that fit the key: ``none`` and shared secrets (HS256 ...) are none, whatever a token says of
itself. The file is read anew when it changes, so that an authority can change its keys.
"""

from __future__ import annotations

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args
from urllib.parse import urlsplit

import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from cnctwin.errors import ConfigurationError
from cnctwin.secrets import Role
from cnctwin.settings import Settings
from opcua_server.security.users import MAX_USER, NotThem, Person

MAX_TOKEN: Final = 8_192
"""Bytes of a token."""
MAX_KEYS: Final = 20
MAX_KEY_FILE: Final = 1 << 20
MIN_RSA_BITS: Final = 2_048
_RSA: Final = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_CURVES: Final[Mapping[str, str]] = {"secp256r1": "ES256", "secp384r1": "ES384", "secp521r1": "ES512"}
_REQUIRED: Final = ("iss", "aud", "exp", "sub")
_log = logging.getLogger(__name__)


class _NotForTokens(ValueError):
    """A key with which no token is signed."""


@dataclass(frozen=True, slots=True)
class Key:
    """A public key of the issuer. ``name``: its ``kid``, None where it has none. ``algorithms``: what it may have signed with."""

    name: str | None
    public: Any
    algorithms: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Vouched:
    """Who a token is for. ``ends_s``: until when it counts, seconds since 1970, the skew of clocks included."""

    person: Person
    ends_s: float


def read_keys(path: Path) -> list[Key]:
    """The keys in a file of the issuer's. Raises ValueError for what is none, OSError."""
    content = path.read_bytes()
    if len(content) > MAX_KEY_FILE:
        raise ValueError("is too large for a file of keys")
    if b"PRIVATE KEY" in content:
        raise ValueError("has a private key; give the issuer's public one")
    if content.lstrip().startswith(b"-----BEGIN"):
        return [_key(None, _from_pem(content), None)]
    try:
        found = json.loads(content)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise ValueError("is neither a PEM file nor a set of keys (JWKS)") from None
    keys = [key for entry in found if (key := _from_jwk(entry)) is not None] if isinstance(found, list) else []
    if not 0 < len(keys) <= MAX_KEYS:
        raise ValueError(f"has {len(keys)} public keys to verify signatures with; 1 to {MAX_KEYS} are needed")
    return keys


def _from_pem(content: bytes) -> Any:
    try:
        if b"BEGIN CERTIFICATE" in content:
            return x509.load_pem_x509_certificate(content).public_key()
        return load_pem_public_key(content)
    except Exception:  # the crypto library's own errors have no common base
        raise ValueError("cannot be read as a public key") from None


def _from_jwk(entry: Any) -> Key | None:
    """None for an entry that signs no tokens: one to encrypt, a shared secret, a kind of key or an algorithm that is not known.
    Raises ValueError for one that is private or too short."""
    if not isinstance(entry, dict) or entry.get("kty") not in ("RSA", "EC", "OKP") or entry.get("use", "sig") != "sig":
        return None
    if "d" in entry:
        raise ValueError("has a private key; give the issuer's public ones")
    name, algorithm = entry.get("kid"), entry.get("alg")
    try:
        public = jwt.PyJWK(entry, algorithm if isinstance(algorithm, str) else None).key
        return _key(name if isinstance(name, str) else None, public, algorithm)
    except (jwt.PyJWTError, _NotForTokens, TypeError):
        return None


def _key(name: str | None, public: Any, only: str | None) -> Key:
    """``only``: the one algorithm that the issuer says it uses the key for."""
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size < MIN_RSA_BITS:
            raise ValueError(f"has a key of {public.key_size} bits; {MIN_RSA_BITS} are needed")
        fitting = _RSA
    elif isinstance(public, ec.EllipticCurvePublicKey) and public.curve.name in _CURVES:
        fitting = (_CURVES[public.curve.name],)
    elif isinstance(public, ed25519.Ed25519PublicKey):
        fitting = ("EdDSA",)
    else:
        raise _NotForTokens("has a key of a kind that is not used for tokens")
    if only is not None and only not in fitting:
        raise _NotForTokens(f"has a key for {only}, which does not fit it")
    return Key(name, public, fitting if only is None else (only,))


class Issuer:
    """The authority whose tokens are taken. ``roles``: value of the claim -> role, the first that a token has counts."""

    def __init__(
        self,
        url: str,
        audience: str,
        path: Path,
        roles: Mapping[str, Role],
        *,
        claim: str = "roles",
        skew_s: float = 60.0,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.url = url
        self.audience = audience
        self.roles = dict(roles)
        self._path = path
        self._claim = claim
        self._skew_s = skew_s
        self._now = now
        self._host = urlsplit(url).hostname or url
        self._reading = threading.Lock()
        self._read_as = self._state()
        self._keys = read_keys(path)

    @classmethod
    def of(cls, settings: Settings, application_uri: str) -> Issuer | None:
        """The one of the settings; None where there is none. Raises ConfigurationError."""
        if settings.token_issuer is None or settings.token_keys is None:
            return None
        known = {role: role for role in get_args(Role)}
        roles = {value: known[role] for value, _, role in (row.rpartition("=") for row in settings.token_roles)}
        audience = settings.token_audience or application_uri
        claim, skew_s = settings.token_roles_claim, settings.token_clock_skew
        try:
            return cls(settings.token_issuer, audience, settings.token_keys, roles, claim=claim, skew_s=skew_s)
        except (OSError, ValueError) as error:
            raise ConfigurationError([f"token_keys: {settings.token_keys}: {getattr(error, 'strerror', None) or error}"]) from error

    def endpoint(self) -> str:
        """IssuerEndpointUrl of the UserTokenPolicy: what a client needs to get a token."""
        profile = "http://opcfoundation.org/UA/Authorization#OAuth2"
        said = {"ua:resourceId": self.audience, "ua:authorityUrl": self.url, "ua:authorityProfileUri": profile}
        return json.dumps(said)

    def claimed(self, token: bytes) -> str:
        """Whose the token says it is, without a look at anything that proves it: failures are counted by it."""
        try:
            claims = jwt.decode(token, options={"verify_signature": False})
            return self._name(claims["sub"]) if isinstance(claims["sub"], str) else "issued token"
        except (jwt.PyJWTError, ValueError, TypeError, KeyError, RecursionError):
            return "issued token"

    def vouch(self, token: bytes) -> Vouched:
        """Whom the token is for. Raises NotThem; the text says what is wrong, for the log. Reads files: call it in a thread."""
        claims = self._verified(token)
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= MAX_USER:
            raise NotThem("BadIdentityTokenRejected", "token names nobody, or with a name without end")
        ends_s = float(claims["exp"]) + self._skew_s
        role = next((role for value, role in self.roles.items() if value in self._values(claims)), None)
        if role is None:
            raise NotThem("BadUserAccessDenied", f"token gives no role of ours in {self._claim!r}")
        return Vouched(Person(self._name(subject), role), ends_s)

    def left_s(self, vouched: Vouched) -> float:
        """Seconds that a token still counts."""
        return vouched.ends_s - self._now()

    def _name(self, subject: str) -> str:
        """Not that of a user with a password, whoever is called the same."""
        return f"{subject[:MAX_USER]}@{self._host}"

    def _verified(self, token: bytes) -> dict[str, Any]:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError) as error:
            raise NotThem("BadIdentityTokenInvalid", f"no token that can be read: {error}"[:200]) from None
        algorithm, name = header.get("alg"), header.get("kid")
        fitting = [key for key in self._current() if algorithm in key.algorithms and key.name in (None, name or key.name)]
        if not fitting:
            raise NotThem("BadIdentityTokenRejected", f"no key of the issuer's for {str(algorithm)[:40]!r}")
        problem = ""
        for key in fitting:
            try:
                return self._checked(token, key)
            except jwt.InvalidSignatureError:
                problem = "signed by no key of the issuer's"
            except (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError) as error:
                raise NotThem("BadIdentityTokenRejected", f"token: {error}"[:200]) from None
        raise NotThem("BadIdentityTokenRejected", problem)

    def _checked(self, token: bytes, key: Key) -> dict[str, Any]:
        """Claims of a token that ``key`` signed, whose issuer, audience and dates are right."""
        claims = jwt.decode(
            token,
            key.public,
            algorithms=list(key.algorithms),
            issuer=self.url,
            audience=self.audience,
            options={"require": list(_REQUIRED), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
        now_s = self._now()
        times = {name: float(claims[name]) for name in ("exp", "nbf", "iat") if name in claims}
        if not all(math.isfinite(moment_s) for moment_s in times.values()):
            raise ValueError("dates that are none")
        if now_s >= times["exp"] + self._skew_s:
            raise ValueError("is over")
        if any(now_s < times[name] - self._skew_s for name in ("nbf", "iat") if name in times):
            raise ValueError("does not count yet")
        return claims

    def _values(self, claims: Mapping[str, Any]) -> frozenset[str]:
        """What the claim of roles says: a list, or words of a text. ``realm_access.roles`` is ``roles`` in ``realm_access``."""
        found: Any = claims.get(self._claim)
        if found is None:
            found = claims
            for part in self._claim.split("."):
                found = found.get(part) if isinstance(found, dict) else None
        if isinstance(found, str):
            found = found.split()
        return frozenset(value for value in found if isinstance(value, str)) if isinstance(found, list) else frozenset()

    def _state(self) -> tuple[int, int, int]:
        status = self._path.stat()
        return status.st_mtime_ns, status.st_size, status.st_ino

    def _current(self) -> list[Key]:
        """The keys as the file has them now; those that it had where it cannot be read."""
        with self._reading:
            try:
                state = self._state()
                if state != self._read_as:
                    self._read_as = state
                    self._keys = read_keys(self._path)
            except (OSError, ValueError) as error:
                _log.warning("keys of the issuer of tokens: %s: %s; those of before still count", self._path, error)
            return self._keys
