"""Users, passwords and API keys of one installation: made on first start, kept with mode 0600 in the data folder, shown once.

    <data>/secrets/users.json       who may log in: role and argon2id hash of the password    read by server and gateway
    <data>/secrets/api-keys.json    SHA-256 of each REST key and its role                     read by the gateway
    <data>/secrets/<program>.json   the program's own OPC UA login                            read by that program
    <data>/secrets/broker.json      the gateway's login at the embedded MQTT broker           read by gateway and supervisor
    <data>/secrets/reader.json      the login of those who only read there                    read by supervisor

Only the programs' own logins are kept in clear: a program cannot be asked for a password. The operator's are printed once. So is
the reader's, but it is kept in clear too: the two brokers have no form of a hash in common, and it opens nothing that is not in
this folder.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Literal, cast

import argon2

from cnctwin.errors import ConfigurationError
from cnctwin.files import write_atomically

Role = Literal["Viewer", "Operator", "Engineer", "Analytics", "Gateway", "Admin"]
"""Viewer reads. Operator runs the machine, Engineer also loads programs and injects faults, Admin also manages trust.
Analytics writes result nodes only. Gateway carries out what its own users were allowed to."""

PEOPLE: Final[Mapping[str, Role]] = {"operator": "Operator", "engineer": "Engineer", "admin": "Admin"}
PROGRAMS: Final[Mapping[str, Role]] = {"analytics": "Analytics", "gateway": "Gateway"}

_HASHER = argon2.PasswordHasher(time_cost=4, memory_cost=19 << 10, parallelism=1)
"""19 MiB a guess, twice the passes that OWASP asks for with them; guesses are counted and slowed down besides."""


def _hashes(passwords: Sequence[str]) -> list[str]:
    """Two at a time: each takes as long as a guess does, and whoever starts for the first time waits for all of them."""
    with ThreadPoolExecutor(2) as hashing:
        return list(hashing.map(_HASHER.hash, passwords))


@functools.cache
def _nobody() -> str:
    """The hash that is compared with where there is no such user."""
    return _HASHER.hash(secrets.token_hex(16))


@dataclass(frozen=True, slots=True)
class Login:
    user: str
    password: str


@dataclass(frozen=True, slots=True)
class FirstSecrets:
    """What is shown once: the people's passwords, the reader's at the embedded MQTT broker, and one REST key of role Engineer."""

    logins: tuple[Login, ...]
    reader: Login
    api_key: str


class Vault:
    """The secrets folder of a data folder."""

    def __init__(self, data: Path) -> None:
        self.folder = data / "secrets"

    def ensure(self) -> FirstSecrets | None:
        """Make what is missing. Returns the new secrets on the first start, None when they were there."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if (self.folder / "users.json").exists():
            self._read("users")
            if not (self.folder / "reader.json").exists():  # made by a version that let everybody read
                self._write_reader()
            return None
        people = tuple(Login(user, secrets.token_urlsafe(12)) for user in PEOPLE)
        programs = tuple(Login(user, secrets.token_urlsafe(32)) for user in PROGRAMS)
        roles = {**PEOPLE, **PROGRAMS}
        key = secrets.token_urlsafe(24)
        for login in programs:
            self._write(login.user, {"user": login.user, "password": login.password})
        self._write("broker", {"user": "gateway", "password": secrets.token_urlsafe(32)})
        self._write("api-keys", {_digest(key): "Engineer"})
        hashes = _hashes([login.password for login in people + programs])
        users = {
            login.user: {"role": roles[login.user], "hash": made} for login, made in zip(people + programs, hashes, strict=True)
        }
        reader = self._write_reader()
        self._write("users", users)
        return FirstSecrets(people, reader, key)

    def renew(self) -> FirstSecrets:
        """New passwords for the people who have one and for MQTT's reader, and one new REST key; the old ones hold no longer.
        Certificates and the programs' logins stay. Programs that run take the new ones at once: files are read as they change."""
        users = self._read("users")
        people = tuple(Login(user, secrets.token_urlsafe(12)) for user in PEOPLE if user in users)
        key = secrets.token_urlsafe(24)
        hashes = _hashes([login.password for login in people])
        changed = {login.user: {**users[login.user], "hash": made} for login, made in zip(people, hashes, strict=True)}
        self._write("users", {**users, **changed})
        self._write("api-keys", {_digest(key): "Engineer"})
        return FirstSecrets(people, self._write_reader(), key)

    def login(self, program: str) -> Login | None:
        """The OPC UA login of a program; None where the folder has none (a foreign server is watched)."""
        try:
            content = self._read(program)
        except FileNotFoundError:
            return None
        return Login(str(content["user"]), str(content["password"]))

    def _write_reader(self) -> Login:
        login = Login("reader", secrets.token_urlsafe(12))
        self._write(login.user, {"user": login.user, "password": login.password})
        return login

    def authenticate(self, user: str, password: str) -> Role | None:
        """The role of a user whose password is right, else None; takes as long for an unknown user as for a known one.

        Costs tens of milliseconds by design: call it in a thread, and count failures before calling it.
        """
        nobody, entry = _nobody(), self._read("users").get(user)
        try:
            _HASHER.verify(entry["hash"] if entry else nobody, password)
        except argon2.exceptions.VerificationError:
            return None
        return cast(Role, entry["role"]) if entry else None

    def stamp(self, user: str) -> str | None:
        """What changes when the user gets another password or role; None where there is no such user."""
        entry = self._read("users").get(user)
        return None if entry is None else f"{entry['role']} {entry['hash']}"

    def users(self) -> dict[str, Role]:
        """Who has a password, and with which role."""
        return {user: cast(Role, entry["role"]) for user, entry in self._read("users").items()}

    def key_role(self, key: str) -> Role | None:
        """The role of a REST key, else None."""
        digest = _digest(key)
        found: Role | None = None
        for known, role in self._read("api-keys").items():
            if hmac.compare_digest(known, digest):
                found = cast(Role, role)
        return found

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        write_atomically(self.folder / f"{name}.json", json.dumps(content, indent=1).encode())

    def _read(self, name: str) -> dict[str, Any]:
        path = self.folder / f"{name}.json"
        return _parse(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _parse(path: Path, _mtime_ns: int) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            [f"{path}: cannot be read: {error}; restore it, or delete the folder to make new secrets"]
        ) from error
    if not isinstance(content, dict):
        raise ConfigurationError([f"{path}: is not a JSON object; restore it, or delete the folder to make new secrets"])
    return content


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8")).hexdigest()
