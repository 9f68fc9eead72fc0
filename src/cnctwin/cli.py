"""The `cnctwin` command. It finds programs and sub-commands by entry point, so that it imports none of the rooms."""

from __future__ import annotations

import importlib.metadata
import inspect
import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from certs.words import shown
from cnctwin import __version__, preflight, program
from cnctwin.errors import CnctwinError, ConfigurationError, StartError
from cnctwin.settings import LOOPBACK, Settings, load, misspelt

COMMANDS: Final = "cnctwin.commands"
PRIVATE: Final = ("init", "certs", "check-server")
"""Commands that write keys and who is trusted into a data folder; programs keep others out themselves."""

app = typer.Typer(
    name="cnctwin",
    help="A simulated CNC mill over OPC UA, with analytics and a gateway to MQTT, REST, WebSocket and a web page.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)

_TYPES: Final[dict[str, Any]] = {
    "data": Path, "host": str, "port_base": int, "machines": int, "speed": float, "program": Path, "replay": Path, "model": Path,
    "seed": int, "insecure": bool, "opcua_url": str, "opcua_map": Path, "opcua_user": str, "opcua_port": int, "http_port": int,
    "mqtt_broker": str, "mqtt_port": int, "period": float, "compat_ports": str, "embedded_broker": str, "log_level": str,
}  # fmt: skip
_MACHINE: Final = ("machines", "speed", "program", "replay", "model", "seed", "period")
_COMMON: Final = ("data", "host", "insecure", "log_level")
_EXTRA_HELP: Final = {
    "opcua_map": "file that says which nodes of that server show which signals (docs/foreign.md)",
    "opcua_user": "user at that server, with CNCTWIN_OPCUA_PASSWORD; none: anonymous",
    "opcua_port": "port of the OPC UA server",
    "http_port": "port of REST, WebSocket and web page",
    "mqtt_port": "port of the MQTT broker",
    "embedded_broker": "auto, mosquitto, nats or none",
    "log_level": "debug, info, warning or error",
    "program": "NC program to run instead of the three that are included",
    "seed": "seed of everything random in the simulation",
    "speed": "simulated seconds per second",
    "machines": "number of simulated machines",
}


def _takes(*names: str) -> Callable[[Callable[[Settings], None]], Callable[..., None]]:
    """Give a command the options of these settings; it receives the whole, checked settings."""

    def decorate(command: Callable[[Settings], None]) -> Callable[..., None]:
        def run(**options: Any) -> None:
            _complain(misspelt(os.environ))
            command(load({name: value for name, value in options.items() if value is not None and value is not False}))

        parameters = []
        for name in names:
            text = _EXTRA_HELP.get(name) or Settings.model_fields[name].description or ""
            kind = _TYPES[name]
            flag = "--" + name.replace("_", "-")
            option = Annotated[kind | None, typer.Option(flag, help=text, show_default=False)]  # type: ignore[valid-type]
            parameters.append(inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option))
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__name__, run.__doc__ = command.__name__, command.__doc__
        return run

    return decorate


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _every_command(
    shown: Annotated[bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")] = False,
) -> None:
    """A simulated CNC mill over OPC UA, with analytics and a gateway to MQTT, REST, WebSocket and a web page."""


@app.command()
@_takes(
    "port_base", "http_port", "mqtt_port", "opcua_port", "data", *_MACHINE, "host", "insecure", "opcua_url", "opcua_map",
    "opcua_user", "mqtt_broker", "embedded_broker", "compat_ports", "log_level",
)  # fmt: skip
def up(settings: Settings) -> None:
    """Start the machine, its OPC UA server, the analytics, the gateway and a broker; Ctrl-C stops all of it."""
    from cnctwin.up import run

    run(settings)


@app.command()
@_takes("opcua_port", *_COMMON, *_MACHINE)
def server(settings: Settings) -> None:
    """Run the machine and its OPC UA server alone."""
    raise typer.Exit(program.run("server", settings))


@app.command()
@_takes("opcua_url", "opcua_map", "opcua_user", *_COMMON)
def analytics(settings: Settings) -> None:
    """Run the analytics alone, against the OPC UA server at --opcua-url."""
    raise typer.Exit(program.run("analytics", settings))


@app.command()
@_takes("http_port", "opcua_url", "opcua_map", "opcua_user", "mqtt_broker", "mqtt_port", "compat_ports", *_COMMON)
def gateway(settings: Settings) -> None:
    """Run the gateway alone, against the OPC UA server at --opcua-url and the broker at --mqtt-broker."""
    raise typer.Exit(program.run("gateway", settings))


@app.command()
def init(
    data: Annotated[Path | None, typer.Option(help="folder of all state, keys and stores", show_default=False)] = None,
    broker_folder: Annotated[Path | None, typer.Option(help="write the configuration of a mosquitto there")] = None,
    broker_port: Annotated[int, typer.Option(help="port that mosquitto listens on")] = 1883,
    broker_bind: Annotated[
        str, typer.Option(help="address at which others reach that mosquitto; on any but loopback readers need a login")
    ] = "127.0.0.1",
    new_passwords: Annotated[
        bool, typer.Option("--new-passwords", help="new passwords and API key in place of lost ones; what runs takes them at once")
    ] = False,
) -> None:
    """Make users, passwords and keys without starting anything; for containers. They are shown this once."""
    from cnctwin import broker
    from cnctwin.secrets import Vault

    settings = load({"data": data} if data else {})
    folder = settings.data
    preflight.folder(folder)
    vault = Vault(folder)
    first = vault.ensure() or (vault.renew() if new_passwords else None)
    if broker_folder is not None:
        broker.for_container(settings, broker_folder, broker_port, is_open=broker_bind in LOOPBACK)
    if first is None:
        typer.echo("users and keys are there already; new ones in place of lost ones: cnctwin init --new-passwords")
        return
    for known in (*first.logins, first.reader):
        typer.echo(f"{known.user:<10} {known.password}")
    typer.echo(f"{'API key':<10} {first.api_key}")


@app.command("program", hidden=True)
def supervised(name: str, settings: Annotated[Path, typer.Option(help="settings as the supervisor wrote them")]) -> None:
    """Run one program with settings from a file; how `up` starts its children."""
    raise typer.Exit(program.run(name, Settings.model_validate(json.loads(settings.read_text("utf-8")))))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Install what the tests need and run them; further arguments go to pytest."""
    from cnctwin.testing import run

    raise typer.Exit(run(context.args))


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=1.0, help="how long to run")] = 60.0,
    machines: Annotated[int, typer.Option(help="number of machines")] = 1,
    speed: Annotated[float, typer.Option(help="simulated seconds per second")] = 1.0,
    port_base: Annotated[int, typer.Option(help="first of three ports")] = 18600,
    every: Annotated[float, typer.Option(help="seconds between two lines")] = 60.0,
) -> None:
    """Run everything with clients on it for a while; print memory, sockets and tasks, and judge whether any of them grows."""
    from cnctwin.soak import run

    raise typer.Exit(run(minutes * 60.0, machines=machines, speed=speed, port_base=port_base, every_s=every))


@app.command("check-server")
def check_server(
    url: Annotated[str, typer.Argument(help="address of the server, opc.tcp://host:port")],
    user: Annotated[str | None, typer.Option(help="user to log in; none: anonymous")] = None,
    password: Annotated[str | None, typer.Option(envvar="CNCTWIN_CHECK_PASSWORD", help="better given in the environment")] = None,
    only: Annotated[list[str] | None, typer.Option(help="checks whose group or name contains this")] = None,
    insecure: Annotated[bool, typer.Option("--insecure", help="use policy None where nothing better is offered")] = False,
    data: Annotated[Path | None, typer.Option(help="folder of our certificate, and of the servers' that are known")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the report to this file too")] = None,
) -> None:
    """Check any OPC UA server clause by clause and print a report; nothing of it is changed. Exit code 1 when a check fails."""
    from cnctwin.check.run import report

    folder = load({"data": data} if data else {}).data
    login = (user, password)
    raise typer.Exit(report(url, folder, only or [], json_file, login=login, insecure=insecure))


@app.command()
def settings() -> None:
    """Print every setting with its environment variable and default, as Markdown."""
    from cnctwin.settings_page import page

    typer.echo(page(), nl=False)


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(__version__)


def _add_rooms() -> None:
    """Add the rooms' own sub-commands; only the one that is called is imported."""
    called = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if called in PRIVATE:
        preflight.keep_others_out()
    for entry in importlib.metadata.entry_points(group=COMMANDS):
        if called != entry.name and called not in ("--help", "-h"):
            continue
        try:
            app.add_typer(entry.load(), name=entry.name)
        except ModuleNotFoundError as error:
            if called == entry.name:
                raise StartError(f"`cnctwin {called}` needs a clone of the project: {error}") from error


def main() -> None:
    """Run the command: one line for each thing that is wrong and an exit code that says whose fault it is; no traceback."""
    if len(sys.argv) == 1:
        sys.argv.append("--help")
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 shows ? for a degree sign, and no traceback
            stream.reconfigure(errors="replace")
    try:
        _add_rooms()
        app(prog_name="cnctwin")
    except ConfigurationError as error:
        _complain(error.problems)
        sys.exit(error.exit_code)
    except CnctwinError as error:
        _complain(str(error).splitlines())
        sys.exit(error.exit_code)
    except KeyboardInterrupt:  # before the command itself listens for it
        sys.exit(130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        if error.filename is None:  # not about a file that somebody named: a bug, which shows where it is
            raise
        _complain([f"{os.fsdecode(error.filename)}: {error.strerror}"])
        sys.exit(StartError.exit_code)


def _complain(problems: Any) -> None:
    for problem in problems:
        print(f"cnctwin: {shown(problem)}", file=sys.stderr)  # a server that was asked may have written some of it
