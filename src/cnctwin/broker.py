"""The MQTT broker that `up` starts when none is configured: mosquitto where it is installed, else the NATS server's MQTT.

Both listen on the given address only, keep their state in the data folder, let everybody read and only the gateway write.
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
from pathlib import Path
from typing import Final

from cnctwin.errors import StartError
from cnctwin.secrets import Login, Vault
from cnctwin.settings import Settings
from cnctwin.supervisor import Command

_MOSQUITTO_PLACES: Final = ("/usr/sbin/mosquitto", "/usr/local/sbin/mosquitto", "/opt/homebrew/sbin/mosquitto")
_PBKDF2_ROUNDS: Final = 20_000
"""The password is 32 random bytes, so the rounds guard nothing but the format; mosquitto's own default is 101."""


def command(settings: Settings) -> Command | None:
    """How to start the broker; None when one is configured or none is wanted. Writes its configuration (mode 0600)."""
    if settings.mqtt_broker is not None or settings.embedded_broker == "none":
        return None
    login = Vault(settings.data).login("broker")
    if login is None:
        raise StartError(f"{settings.data}/secrets/broker.json is missing: delete {settings.data}/secrets to make new secrets")
    found: dict[str, str | None] = {"mosquitto": _mosquitto(), "nats": _nats()}
    wanted = ("mosquitto", "nats") if settings.embedded_broker == "auto" else (settings.embedded_broker,)
    for kind in wanted:
        program = found[kind]
        if program is not None:
            configuration = _WRITERS[kind](settings.data / "broker", settings.host, settings.mqtt_port, login)
            return Command("broker", (program, "-c", str(configuration)), ready=lambda: _accepts(settings.host, settings.mqtt_port))
    raise StartError(
        f"no MQTT broker found ({', '.join(wanted)}): install mosquitto, or give one with MQTT_BROKER, or set embedded_broker none"
    )


def _mosquitto() -> str | None:
    return shutil.which("mosquitto") or next((place for place in _MOSQUITTO_PLACES if os.access(place, os.X_OK)), None)


def _nats() -> str | None:
    beside = Path(sys.prefix) / "bin" / "nats-server"  # where the wheel puts it, whether or not the environment is activated
    return str(beside) if os.access(beside, os.X_OK) else shutil.which("nats-server")


def write_mosquitto(folder: Path, host: str, port: int, login: Login) -> Path:
    """Configuration, passwords and access list of a mosquitto in ``folder``; returns the configuration's path."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    _private(folder / "passwords", f"{login.user}:{_mosquitto_hash(login.password)}\n")
    # A host may ask an edge node of Sparkplug to be born again; nobody else's words are taken.
    everybody = "topic read #\ntopic read $SYS/#\ntopic write spBv1.0/+/NCMD/+\n"
    _private(folder / "acl", f"{everybody}\nuser {login.user}\ntopic readwrite #\n")
    lines = (
        f"listener {port} {host}",
        "allow_anonymous true",
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


def _write_nats(folder: Path, host: str, port: int, login: Login) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    text = f"""\
server_name: cnctwin
listen: "127.0.0.1:-1"
jetstream {{ store_dir: "{folder / "nats"}", max_mem: 64M, max_file: 512M }}
mqtt {{ listen: "{host}:{port}", no_auth_user: reader }}
authorization {{
  users: [
    {{ user: reader, password: "{secrets.token_urlsafe(16)}", permissions: {{ subscribe: ">", publish: {{ deny: ">" }} }} }}
    {{ user: "{login.user}", password: "{login.password}" }}
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


def _accepts(host: str, port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1" if host == "0.0.0.0" else host, port), 0.5):  # noqa: S104 - compared, not bound
            return True
    except OSError:
        return False
