"""`cnctwin certs`: make, list, trust, reject and renew certificates in the data folder; the server sees changes at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from certs.application import (
    application_uri,
    ensure_application,
    load_certificate,
    renew_application,
    thumbprint,
    uris,
)
from certs.errors import CertificateProblem
from certs.servers import accept
from certs.trust import Trust
from certs.users import Role, UserCertificates
from certs.words import shown

app = typer.Typer(help="Certificates of this installation, and whose certificates its server trusts.", no_args_is_help=True)

Data = Annotated[Path, typer.Option("--data", envvar="CNCTWIN_DATA", help="folder of all state, keys and stores")]
Name = Annotated[str, typer.Argument(help="application: server, analytics, gateway, or a client of yours")]
Hosts = Annotated[list[str] | None, typer.Option("--host", help="a name or address it is reached at; may be repeated")]
Uri = Annotated[str | None, typer.Option("--uri", help="ApplicationUri; default: the one it has, or one made of host and name")]
Wanted = Annotated[str, typer.Argument(help="thumbprint, or its first 8 characters or more")]
DEFAULT_HOSTS = ("localhost", "127.0.0.1")


def _one_line_problems(command: Callable[..., None]) -> Callable[..., None]:
    @wraps(command)
    def run(*args: Any, **options: Any) -> None:
        try:
            command(*args, **options)
        except CertificateProblem as problem:
            typer.echo(f"cnctwin: {problem}", err=True)
            raise typer.Exit(2) from None
        except OSError as error:
            typer.echo(f"cnctwin: {error.filename}: {error.strerror}", err=True)
            raise typer.Exit(2) from None

    return run


def _folder(data: Path, name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}", name):
        raise CertificateProblem(f"{name}: is no name for an application: letters, digits, - and _ are")
    return data / "pki" / name


def _show(path: Path, key: Path) -> None:
    certificate = load_certificate(path)
    typer.echo(f"certificate  {path}\nkey          {key}\nthumbprint   {thumbprint(certificate)}")
    typer.echo(f"uri          {', '.join(uris(certificate))}")
    typer.echo(f"valid until  {certificate.not_valid_after_utc:%Y-%m-%d}")


@app.command()
@_one_line_problems
def create(name: Name, uri: Uri = None, hosts: Hosts = None, data: Data = Path(".data")) -> None:
    """Make the certificate and key of an application, or show the ones it has. The server trusts them."""
    folder = _folder(data, name)
    _show(*ensure_application(folder, f"cnctwin {name}", uri or application_uri(name, folder), hosts or DEFAULT_HOSTS))


@app.command()
@_one_line_problems
def renew(
    name: Name,
    uri: Uri = None,
    hosts: Hosts = None,
    new_key: Annotated[bool, typer.Option("--new-key", help="make a new key too")] = False,
    data: Data = Path(".data"),
) -> None:
    """Make a new certificate now; the old one is kept in own/previous. A running program uses it after a restart."""
    folder = _folder(data, name)
    if not folder.exists():
        raise CertificateProblem(f"{folder}: there is no such application; to make it: cnctwin certs create {name}")
    uri = uri or application_uri(name, folder)
    _show(*renew_application(folder, f"cnctwin {name}", uri, hosts or DEFAULT_HOSTS, new_key=new_key))


@app.command("list")
@_one_line_problems
def show_all(data: Data = Path(".data")) -> None:
    """List our own, the trusted and the rejected certificates."""
    for path in sorted((data / "pki").glob("*/own/cert.der")):
        try:
            certificate = load_certificate(path)
        except CertificateProblem as problem:
            typer.echo(f"own       {problem}")
            continue
        ends = f"{certificate.not_valid_after_utc:%Y-%m-%d}"
        typer.echo(f"own       {thumbprint(certificate)}  until {ends}  {path.parent.parent.name}")
    for entry in _trust(data).entries():
        why = ", ".join(str(entry.note[key]) for key in ("how", "reason", "since", "peer") if entry.note.get(key))
        line = f"{entry.store:8}  {entry.thumbprint}  until {entry.ends:%Y-%m-%d}  {entry.uri or entry.subject}  ({why})"
        typer.echo(shown(line))
    for entry in _users(data).entries():
        who = " ".join(str(entry.note[key]) for key in ("user", "role") if entry.note.get(key)) or "nobody"
        why = f"{who}, {entry.note.get('reason') or entry.store}"
        typer.echo(shown(f"{'user':8}  {entry.thumbprint}  until {entry.ends:%Y-%m-%d}  {entry.subject}  ({why})"))
    if not any((data / "pki").glob("*/*/*.der")):
        typer.echo(
            f"there is no certificate in {data / 'pki'} yet: cnctwin up makes its own, cnctwin certs create NAME one for you"
        )


@app.command()
@_one_line_problems
def trust(thumbprint_or_file: Wanted, data: Data = Path(".data")) -> None:
    """Let the owner of a rejected certificate in, or of one in a file (.der, .pem)."""
    entry = _trust(data).trust(thumbprint_or_file)
    typer.echo(shown(f"trusted   {entry.thumbprint}  {entry.uri or entry.subject}"))


@app.command()
@_one_line_problems
def reject(thumbprint_: Annotated[str, typer.Argument(metavar="THUMBPRINT")], data: Data = Path(".data")) -> None:
    """Let the owner of a trusted certificate in no longer."""
    entry = _trust(data).reject(thumbprint_)
    typer.echo(shown(f"rejected  {entry.thumbprint}  {entry.uri or entry.subject}"))


@app.command()
@_one_line_problems
def user(
    name: Annotated[str, typer.Argument(help="whose certificate it is")],
    thumbprint_or_file: Wanted,
    role: Annotated[Role, typer.Option(help="what the user may do, as for passwords")],
    data: Data = Path(".data"),
) -> None:
    """Let a user log in with a certificate: one in a file (.der, .pem), or one that was tried and turned away."""
    entry = _users(data).give(name, role, thumbprint_or_file)
    typer.echo(shown(f"user      {entry.thumbprint}  {name} is {role.value}  {entry.subject}"))


@app.command("no-user")
@_one_line_problems
def no_user(thumbprint_: Annotated[str, typer.Argument(metavar="THUMBPRINT")], data: Data = Path(".data")) -> None:
    """Let nobody log in with a user's certificate any longer."""
    entry = _users(data).take(thumbprint_)
    typer.echo(shown(f"rejected  {entry.thumbprint}  {entry.subject}"))


@app.command()
@_one_line_problems
def server(
    url: Annotated[str, typer.Argument(help="address of the server, opc.tcp://host:port, as the programs were given it")],
    sha256: Annotated[str, typer.Argument(help="SHA-256 of the certificate that it shows now")],
    data: Data = Path(".data"),
) -> None:
    """Let analytics and gateway talk to a server that has another certificate now; what runs goes on by itself."""
    typer.echo(f"accepted  {url}  by {', '.join(accept(data, url, sha256))}")


def _users(data: Path) -> UserCertificates:
    return UserCertificates(data / "pki" / "server" / "users")


def _trust(data: Path) -> Trust:
    return Trust(data / "pki" / "server", own_applications=data / "pki")
