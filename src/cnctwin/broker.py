"""The MQTT broker that `up` starts when none is configured: mosquitto where it is installed, else the NATS server's MQTT.

Both listen on the given address only, keep their state in the data folder, and let only the gateway write. On loopback everybody
reads; on any other address, and where trust is required, those who log in as ``reader``. With a certificate they speak TLS alone.
The choice and the brokers that were refused: docs/decisions/0004-embedded-broker.md.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
import shutil
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cnctwin.errors import StartError
from cnctwin.files import set_database_aside
from cnctwin.secrets import Login, Vault
from cnctwin.settings import Settings, in_url, variables
from cnctwin.supervisor import Command
from cnctwin.tls import CIPHERS, Pair, of_broker

_MOSQUITTO_PLACES: Final = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")
_PBKDF2_ROUNDS: Final = 20_000
"""The passwords are random, so the rounds guard nothing but the format; mosquitto's own default is 101."""
_CLEAR_PORT: Final = 11883
"""On a container's own loopback, where its healthcheck asks a broker whose other port speaks TLS alone."""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where a broker listens, and who may come in: ``gateway`` writes, ``reader`` reads, and everybody does with ``is_open``.

    With ``tls`` nobody is heard who does not speak it, but on the loopback's ``clear_port``: a container asks there how it is.
    ``rebirths``: the topic where hosts may ask an edge node of Sparkplug to be born again.
    """

    host: str
    port: int
    gateway: Login
    reader: Login
    is_open: bool
    tls: Pair | None = None
    clear_port: int | None = None
    rebirths: str | None = None


def doors(
    settings: Settings, host: str, port: int, *, is_open: bool, tls: Pair | None = None, clear_port: int | None = None
) -> Doors:
    """The logins of the data folder. Raises StartError where one is missing."""
    vault = Vault(settings.data)
    gateway, reader = vault.login("broker"), vault.login("reader")
    if gateway is None or reader is None:
        missing = "broker" if gateway is None else "reader"
        raise StartError(f"{vault.folder / missing}.json is missing: delete {vault.folder} to make new secrets")
    rebirths = None if settings.sparkplug_group is None else f"spBv1.0/{settings.sparkplug_group}/NCMD/{settings.sparkplug_node}"
    return Doors(host, port, gateway, reader, is_open, tls, clear_port, rebirths)


def command(settings: Settings) -> Command | None:
    """How to start the broker; None when one is configured or none is wanted. Writes its configuration (mode 0600)."""
    if not settings.starts_broker:
        return None
    who = doors(settings, settings.host, settings.mqtt_port, is_open=not settings.is_strict, tls=of_broker(settings))
    found: dict[str, str | None] = {"mosquitto": _mosquitto(), "nats": _nats()}
    wanted = ("mosquitto", "nats") if settings.embedded_broker == "auto" else (settings.embedded_broker,)
    for kind in wanted:
        program = found[kind]
        if program is not None:
            configuration = _WRITERS[kind](settings.data / "broker", who)
            return Command(
                "broker",
                (program, "-c", str(configuration)),
                ready=lambda: _accepts(settings.broker_host, settings.mqtt_port),
                mend=lambda words: _set_aside(settings.data / "broker", words),
                is_deaf=True,
                kept_back=frozenset(variable for name in Settings.model_fields for variable in variables(name)),  # passwords, keys
            )
    raise StartError(
        f"no MQTT broker found ({', '.join(wanted)}): install mosquitto, or give one with MQTT_BROKER, or set embedded_broker none"
    )


def _mosquitto() -> str | None:
    return shutil.which("mosquitto") or next((place for place in _MOSQUITTO_PLACES if os.access(place, os.X_OK)), None)


def _nats() -> str | None:
    beside = Path(sys.prefix) / "bin" / "nats-server"  # where the wheel puts it, whether or not the environment is activated
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")


def write_mosquitto(folder: Path, who: Doors) -> Path:
    """Configuration, passwords and access list of a mosquitto in ``folder``; returns the configuration's path."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    hashes = (f"{login.user}:{_mosquitto_hash(login.password)}\n" for login in (who.gateway, who.reader))
    _private(folder / "passwords", "".join(hashes))
    # mosquitto_sub reads this where XDG_CONFIG_HOME names the folder: how a container asks whether its broker is well.
    asks = "" if who.clear_port is None else f"-p {who.clear_port}\n"
    _private(folder / "mosquitto_sub", f"{asks}-u {who.reader.user}\n-P {who.reader.password}\n")
    # A host may ask our edge node of Sparkplug to be born again; no other words are taken: what is retained is kept for good.
    reads = "topic read #\ntopic read $SYS/#\n" + ("" if who.rebirths is None else f"topic write {who.rebirths}\n")
    everybody = reads if who.is_open else ""
    _private(folder / "acl", f"{everybody}\nuser {who.reader.user}\n{reads}\nuser {who.gateway.user}\ntopic readwrite #\n")
    lines = (
        *(() if who.clear_port is None else (f"listener {who.clear_port} 127.0.0.1",)),
        f"listener {who.port} {who.host}",
        *(() if who.tls is None else _mosquitto_tls(who.tls)),
        f"allow_anonymous {'true' if who.is_open else 'false'}",
        f"password_file {folder / 'passwords'}",
        f"acl_file {folder / 'acl'}",
        "persistence true",
        f"persistence_location {folder}/",
        "autosave_interval 60",
        "max_queued_messages 10000",
        "max_packet_size 1048576",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        *(("user root",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()),
    )
    return _private(folder / "mosquitto.conf", "\n".join(lines) + "\n")


def for_container(settings: Settings, folder: Path, port: int, *, is_open: bool) -> None:
    """Configuration of a mosquitto that sees ``folder`` alone and listens on all addresses of its container."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    given, seen = of_broker(settings), None
    if given is not None:
        certificate = _private(folder / "cert.pem", given.certificate.read_text("ascii"))
        seen = Pair(certificate, _private(folder / "key.pem", given.key.read_text("ascii")))
    clear_port = None if seen is None else _CLEAR_PORT
    who = doors(settings, "0.0.0.0", port, is_open=is_open, tls=seen, clear_port=clear_port)  # noqa: S104
    write_mosquitto(folder, who)


def _mosquitto_tls(pair: Pair) -> tuple[str, ...]:
    return f"certfile {pair.certificate}", f"keyfile {pair.key}", "tls_version tlsv1.2", f"ciphers {CIPHERS}"


def _write_nats(folder: Path, who: Doors) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    everybody = f", no_auth_user: {who.reader.user}" if who.is_open else ""
    secured = "" if who.tls is None else f', tls {{ cert_file: "{who.tls.certificate}", key_file: "{who.tls.key}" }}'
    rights = 'permissions: { subscribe: ">", publish: { deny: ">" } }'
    text = f"""\
server_name: cnctwin
listen: "127.0.0.1:-1"
jetstream {{ store_dir: "{folder / "nats"}", max_mem: 64M, max_file: 512M }}
mqtt {{ listen: "{in_url(who.host)}:{who.port}"{everybody}{secured} }}
authorization {{
  users: [
    {{ user: "{who.reader.user}", password: "{who.reader.password}", {rights} }}
    {{ user: "{who.gateway.user}", password: "{who.gateway.password}" }}
  ]
}}
"""
    return _private(folder / "nats.conf", text)


_WRITERS: Final = {"mosquitto": write_mosquitto, "nats": _write_nats}


def _mosquitto_hash(password: str) -> str:
    """mosquitto's ``$7$`` form: PBKDF2 with HMAC-SHA512, rounds, salt and hash in base64."""
    salt = secrets.token_bytes(12)
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _PBKDF2_ROUNDS, 64)
    return f"$7${_PBKDF2_ROUNDS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _private(path: Path, text: str) -> Path:
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    return path.resolve()


def _set_aside(folder: Path, words: str) -> str:
    """mosquitto does not start with a damaged memory. What it retains the gateway tells it anew; readers' sessions are lost."""
    path = folder / "mosquitto.db"
    if "open database" not in words or not path.exists():
        return ""
    try:
        return f"{path}: damaged; set aside as {set_database_aside(path).name}, a new one is begun"
    except OSError:
        return ""


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 0.5):
            return True
    except OSError:
        return False
