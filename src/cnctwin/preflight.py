"""What must be true before anything is started. A check that fails says what, where and what to do; all are reported at once."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any, Final

from cnctwin import tls
from cnctwin.errors import ConfigurationError, StartError
from cnctwin.settings import Settings

NEEDED_BYTES: Final = 300_000_000
"""What a first hour writes at most: stores, logs, keys."""
LOCK: Final = "up.lock"
"""File of a data folder that the `up` which has the folder keeps locked."""
_OPTIONS: Final = {"OPC UA": "--opcua-port", "HTTP": "--http-port", "MQTT": "--mqtt-port"}


def ports(settings: Settings) -> dict[str, int]:
    """The ports an installation listens on, by what they are for."""
    wanted = {"OPC UA": settings.opcua_port, "HTTP": settings.http_port}
    if settings.opcua_url is not None:
        del wanted["OPC UA"]
    if settings.starts_broker:
        wanted["MQTT"] = settings.mqtt_port
    if settings.compat_ports:
        first, _, last = settings.compat_ports.partition("-")
        wanted.update({f"compatibility {port}": port for port in range(int(first), int(last) + 1)})
    return wanted


OTHERS: Final = stat.S_IWGRP | stat.S_IRWXO


def keep_others_out() -> None:
    """What this process makes from now on its group may read at most, and others not at all, whatever the shell's mask is: a data
    folder may have been there before us, open to others, and who could write below ``pki`` would say who is trusted."""
    os.umask(os.umask(OTHERS) | OTHERS)


def check(settings: Settings) -> None:
    """Raises StartError that lists everything that stands in the way."""
    problems = [
        *_python(),
        *_folder(settings.data, NEEDED_BYTES),
        *_program(settings.program),
        *_replay(settings.replay),
        *_model(settings.model),
        *_map(settings.opcua_map),
        *_certificates(settings),
    ]
    if (settings.data / LOCK).exists() and (in_use := _in_use(settings.data)):
        problems.append(in_use)  # and its ports are taken: no others would help
    else:
        problems += _ports(settings)
    if problems:
        raise StartError("\n".join(problems))


def folder(data: Path) -> None:
    """Raises StartError when the data folder cannot be made or written."""
    problems = [*_folder(data, 0)]
    if problems:
        raise StartError("\n".join(problems))


def _in_use(data: Path) -> str | None:
    """Who has the data folder, and what to do; None where nobody has."""
    try:
        claim(data).close()
    except StartError as error:
        return str(error)
    except OSError:  # it cannot be written, which is said already
        pass
    return None


def claim(data: Path) -> IO[bytes]:
    """Hold the data folder for this process while the returned file is open. Raises StartError when another `up` has it."""
    import fcntl

    file = (data / LOCK).open("a+b")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        owner = file.read(32).decode("ascii", "replace").strip() or "another process"
        file.close()
        raise StartError(
            f"{data}: in use by a running cnctwin (process {owner}); stop it, or give another folder with --data, and other ports "
            "with --port-base"
        ) from None
    file.truncate(0)
    file.write(str(os.getpid()).encode())
    file.flush()
    return file


def _python() -> Iterator[str]:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        yield f"Python {sys.version_info[0]}.{sys.version_info[1]} runs this; Python 3.11, 3.12 or 3.13 is needed"


def _folder(data: Path, needed_bytes: int) -> Iterator[str]:
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        probe = data / f".write-{os.getpid()}"
        probe.write_bytes(b"x")
        probe.unlink()
    except OSError as error:
        yield f"{data}: cannot be written: {error.strerror}; give another folder with --data"
        return
    if open_to_others := _tighten(data):
        yield (
            f"{open_to_others}: everybody may write there, and say who is trusted and what the passwords are; it is not ours to "
            f"change: `chmod -R o-w {data}`, or give another folder with --data"
        )
    free = shutil.disk_usage(data).free
    if free < needed_bytes:
        have, need = free // 1_000_000, needed_bytes // 1_000_000
        yield f"{data}: {have} MB free and {need} MB are needed; make room or give another folder with --data"


def _tighten(data: Path) -> Path | None:
    """Take from others what they may do in a data folder that was there before us. What everybody may write and is not ours to
    change, or None; a group that may write is how volumes and trust lists are shared."""
    secrets = data / "secrets"
    inside = [path for name in ("secrets", "pki") for path in sorted((data / name).rglob("*"))]
    for path in [data, *sorted(data.iterdir()), *inside]:
        with contextlib.suppress(OSError):  # it is gone by now
            found = path.lstat()
            if stat.S_ISLNK(found.st_mode):
                continue
            too_much = stat.S_IRWXG | stat.S_IRWXO if secrets in (path, *path.parents) else stat.S_IWOTH
            if found.st_mode & too_much and found.st_uid == os.geteuid():
                path.chmod(stat.S_IMODE(found.st_mode) & ~too_much)
            elif found.st_mode & stat.S_IWOTH:
                return path
    return None


def _program(program: Path | None) -> Iterator[str]:
    if program is not None:
        try:
            program.read_bytes()
        except OSError as error:
            yield f"{program}: cannot be read: {error.strerror}; name an NC program with --program"


def _replay(recording: Path | None) -> Iterator[str]:
    if recording is not None and not recording.is_file():
        yield f"{recording}: there is no such recording; make one with `cnctwin machine record`"


def _model(model: Path | None) -> Iterator[str]:
    if model is not None and not model.is_file():
        yield f"{model}: there is no such file; name a NodeSet2 file with --model"


def _map(path: Path | None) -> Iterator[str]:
    if path is not None and not path.is_file():
        yield f"{path}: there is no such file; name a map of the server with --opcua-map"


def _certificates(settings: Settings) -> Iterator[str]:
    """Of what listens, and of the broker that is asked."""
    makers: list[Callable[[], object]] = []
    certificate, key = settings.http_cert_path, settings.http_key_path
    if certificate is not None and key is not None:
        makers.append(lambda: tls.context("http", certificate, key))
    if settings.starts_broker:
        makers.append(lambda: tls.of_broker(settings))
    elif settings.mqtt_use_tls:
        makers.append(lambda: tls.client(settings.mqtt_ca_path, settings.mqtt_cert_path, settings.mqtt_key_path))
    for make in makers:
        try:
            make()
        except ConfigurationError as error:
            yield from error.problems


def _ports(settings: Settings) -> Iterator[str]:
    try:
        infos = socket.getaddrinfo(settings.host, 0, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        with contextlib.closing(socket.socket(*infos[0][:3])) as probe:
            probe.bind(infos[0][4])
    except OSError as error:
        yield f"{settings.host}: is no address of this machine ({error.strerror}); give one with --host"
        return
    wanted = ports(settings)
    for use, port in wanted.items():
        option = _OPTIONS.get(use, "--compat-ports")
        same = [other for other, number in wanted.items() if number == port and other != use]
        if same and use < same[0]:
            yield f"port {port}: given to {use} and {same[0]}; give one of them another with {option}"
        elif reason := _refused(infos, port):
            yield f"port {port} ({use}): {reason}; give another with {option}"


def _refused(infos: Sequence[Any], port: int) -> str | None:
    """Why none can listen on the port at one of these addresses; None where it is free."""
    for family, kind, protocol, _name, address in infos:
        with contextlib.closing(socket.socket(family, kind, protocol)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            try:
                probe.bind((address[0], port, *address[2:]))
            except OSError as error:
                return "is in use" if error.errno == errno.EADDRINUSE else f"cannot be opened ({error.strerror})"
    return None
