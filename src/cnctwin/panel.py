"""What `cnctwin up` shows when everything runs: where it is, who may do what, and what others can see."""

from __future__ import annotations

from typing import Any

from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from cnctwin import __version__
from cnctwin.secrets import FirstSecrets
from cnctwin.settings import Settings, in_url


def panel(settings: Settings, first: FirstSecrets | None, took_s: float) -> Panel:
    """``first``: the secrets of a first start, which are shown this once. Cells are Text, as brackets are those of addresses."""
    host, scheme = settings.shown_host, settings.http_scheme
    many = settings.machines > 1
    machines = f"{settings.machine_ids[0]} ... {settings.machine_ids[-1]}" if many else settings.machine_ids[0]
    simulated = ("Machines" if many else "Machine", f"{machines}, speed {settings.speed:g}, seed {settings.seed}")
    mqtt = f"{settings.mqtt_scheme}://{in_url(settings.mqtt_broker) if settings.mqtt_broker else host}:{settings.mqtt_port}"
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for heading, text in (
        ("Web page", f"{scheme}://{host}:{settings.http_port}"),
        ("OPC UA", settings.opcua_url or f"opc.tcp://{host}:{settings.opcua_port}"),
        ("MQTT", mqtt if settings.has_broker else "off"),
        ("REST", f"{scheme}://{host}:{settings.http_port}/docs"),
        *(() if settings.opcua_url else [simulated]),
        ("Data", str(settings.data.resolve())),
    ):
        table.add_row(heading, Text(text))
    parts: list[Any] = [table, Text(), *logins(settings, first)]
    for warning in open_on_a_network(settings):
        parts += [Text(warning, style="bold yellow"), Text()]
    parts += [Text(f"Ready in {took_s:.1f} s. Ctrl-C stops everything.", style="dim")]
    return Panel(Group(*parts), title=f"cnctwin {__version__}", border_style="green", expand=False, padding=(1, 2))


def logins(settings: Settings, first: FirstSecrets | None) -> list[Any]:
    """The secrets of a first start, else what became of them."""
    if first is None:
        how = "Users operator, engineer and admin: passwords as shown on the first start (lost: cnctwin init --new-passwords)."
        return [Text(how), Text()]
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for login in first.logins:
        table.add_row(login.user, Text(login.password, style="cyan"))
    if settings.starts_broker:
        table.add_row("reader (MQTT)", Text(first.reader.password, style="cyan"))
    table.add_row("API key", Text(first.api_key, style="cyan"))
    note = "Log in with these to command the machine. They are shown this once:"
    if settings.is_strict:
        note = "Only trusted certificates and these users get in. They are shown this once:"
    return [Text(note, style="bold"), table, Text()]


def open_on_a_network(settings: Settings) -> list[str]:
    """What others on the network can see or read that they may not expect; nothing on loopback."""
    if settings.is_loopback:
        return []
    warnings = []
    if settings.http_cert_path is None:
        warnings.append("The web page is not encrypted: passwords and keys can be read on the way. Give http_cert_path.")
    if settings.starts_broker and settings.broker_cert_path is None:
        warnings.append("MQTT is not encrypted: reader's password can be read on the way. Give broker_cert_path.")
    return warnings


def insecure_banner() -> Panel:
    text = "INSECURE: OPC UA without encryption, and commands without a login. For tests on this machine only."
    return Panel(Text(text, style="bold red"), border_style="red", expand=False)
