"""What the command says to somebody who gives it the wrong thing: one line, an exit code, no traceback."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from cnctwin import __version__, cli
from cnctwin.check.check import Result
from cnctwin.check.run import show
from cnctwin.panel import open_on_a_network, panel
from cnctwin.secrets import Login, Vault
from cnctwin.settings import Settings

Typed = Callable[..., tuple[int, str]]


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Runs the command in this process: its exit code, and what it said on both streams."""

    def run(*arguments: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["cnctwin", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        told = capfd.readouterr()
        code = ended.value.code
        return (code if isinstance(code, int) else 0), told.out + told.err

    return run


def test_the_command_is_called_by_its_name_and_knows_its_version(typed: Typed) -> None:
    assert typed("--version") == (0, f"{__version__}\n")
    told = typed("up", "--help")[1]
    assert "Usage: cnctwin up " in told
    for option in ("--http-port", "--mqtt-port", "--opcua-port", "--opcua-url", "--opcua-map", "--opcua-user"):
        assert option in told


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("init", "--data", "FILE/x"), "FILE/x: cannot be written: Not a directory; give another folder with --data\n"),
        (("init", "--data", "OK", "--broker-folder", "FILE/x"), "FILE/x: Not a directory\n"),
        (("gateway", "--data", "FILE/x"), "FILE/x: cannot be written: Not a directory; give another folder with --data\n"),
        (("certs", "trust", "FILE.der", "--data", "OK"), "FILE.der: there is no such file\n"),
        (("check-server", "http://x\x1b[2J", "--data", "OK"), "http://x\\x1b[2J: must look like opc.tcp://host:4840\n"),
        (("check-server", "http://x", "--data", "OK"), "http://x: must look like opc.tcp://host:4840\n"),
        (
            ("up", "--data", "OK", "--opcua-map", "x.toml"),
            "opcua_map: is of a server that is watched instead of the simulated one; give opcua_url too\n",
        ),
        (("up", "--data", "OK", "--speed", "0"), "speed: Input should be greater than 0 (given: 0.0)\n"),
    ],
)
def test_a_mistake_is_one_line_that_names_it(typed: Typed, tmp_path: Path, arguments: tuple[str, ...], line: str) -> None:
    (tmp_path / "file").write_text("")
    places = {"FILE": str(tmp_path / "file"), "OK": str(tmp_path / "ok")}
    if "--broker-folder" in arguments:
        Vault(tmp_path / "ok").ensure()  # else it would tell the passwords of a first start

    def placed(text: str) -> str:
        for name, place in places.items():
            text = text.replace(name, place)
        return text

    code, told = typed(*map(placed, arguments))
    assert code in (2, 3)
    assert told == "cnctwin: " + placed(line)


def test_new_passwords_are_shown_once_in_place_of_lost_ones(typed: Typed, tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.ensure()
    code, told = typed("init", "--new-passwords", "--data", str(tmp_path))
    shown = dict(line.split() for line in told.splitlines() if not line.startswith("API key"))
    assert code == 0
    assert Login("reader", shown.pop("reader")) == vault.login("reader")
    assert {user: vault.authenticate(user, password) for user, password in shown.items()} == {
        "operator": "Operator", "engineer": "Engineer", "admin": "Admin",
    }  # fmt: skip
    assert "new ones in place of lost ones" in typed("init", "--data", str(tmp_path))[1]


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({}, []),
        ({"host": "0.0.0.0"}, ["The web page is not encrypted", "MQTT is not encrypted"]),
        ({"host": "0.0.0.0", "mqtt_broker": "mq.example"}, ["The web page is not encrypted"]),
        (
            {"host": "0.0.0.0", "broker_cert_path": Path("c"), "broker_key_path": Path("k")},
            ["The web page is not encrypted"],
        ),
        ({"host": "0.0.0.0", "embedded_broker": "none", "http_cert_path": Path("c"), "http_key_path": Path("k")}, []),
    ],
)
def test_what_a_network_can_read_is_said(given: dict[str, Any], warned: list[str]) -> None:
    found = open_on_a_network(Settings(**given))
    assert [next((start for start in warned if text.startswith(start)), text) for text in found] == warned


@pytest.mark.parametrize("host", ["::1", "2001:db8::7"])
def test_the_panel_shows_an_ipv6_address_in_its_brackets(host: str) -> None:
    settings = Settings(host=host)
    out = io.StringIO()
    Console(file=out, width=120).print(panel(settings, None, 1.0))
    for address in (f"http://{settings.shown_host}:8000", f"opc.tcp://{settings.shown_host}:4840", f"mqtt://{settings.shown_host}"):
        assert address in out.getvalue()
    assert "CNC-001" in out.getvalue()
    assert settings.shown_host == ("localhost" if host == "::1" else f"[{host}]")


def test_the_panel_shows_no_simulated_machine_where_a_server_is_watched() -> None:
    out = io.StringIO()
    Console(file=out, width=120).print(panel(Settings(opcua_url="opc.tcp://mill:4840"), None, 1.0))
    assert "opc.tcp://mill:4840" in out.getvalue()
    assert "CNC-001" not in out.getvalue()


def test_a_terminal_that_is_not_utf_8_gets_no_traceback() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "cnctwin", "nodesets", "show", "Structure"],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "Structure/" in done.stdout


@pytest.mark.parametrize("width", [30, 40, 80])
def test_a_narrow_terminal_loses_no_address_and_no_password(tmp_path: Path, width: int) -> None:
    settings = Settings(http_port=21400, mqtt_port=21401, opcua_port=21402)
    first = Vault(tmp_path).ensure()
    out = io.StringIO()
    Console(file=out, width=width).print(panel(settings, first, 1.0))
    shown = "".join(char for char in out.getvalue() if not char.isspace() and char not in "│╭╮╰╯─")
    assert first is not None
    addresses = ("http://localhost:21400/docs", "opc.tcp://localhost:21402", "mqtt://localhost:21401")
    for text in (*addresses, first.api_key, first.reader.password, *(login.password for login in first.logins)):
        assert text in shown


def test_ctrl_c_before_the_command_listens_is_no_traceback(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "_add_rooms", interrupted)
    assert typed("version") == (130, "")


def test_ctrl_c_while_it_still_reads_its_modules_is_no_traceback() -> None:
    """Whoever sees a mistake in what they typed is quicker than the first second."""
    code = (
        "import os, signal, sys, importlib.abc\n"
        "class Early(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.meta_path.insert(0, Early())\n"
        "sys.argv = ['cnctwin', 'version']\n"
        "import runpy; runpy.run_module('cnctwin', run_name='__main__')\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("", "")
    assert done.returncode == -signal.SIGINT


@pytest.mark.parametrize(
    "arguments", [("init",), ("init", "--broker-folder", "BROKER"), ("certs", "create", "client"), ("certs", "create", "server")]
)
def test_what_a_command_makes_is_not_for_others_whatever_the_shell_says(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Who may write below pki says who is trusted, also before a program starts there."""
    given = [str(tmp_path / "broker") if one == "BROKER" else one for one in arguments]
    command = [sys.executable, "-m", "cnctwin", *given, "--data", str(tmp_path / "data")]
    subprocess.run(command, umask=0, check=True, stdout=subprocess.DEVNULL, timeout=60)
    made = [
        path
        for folder in ("data", "broker")
        if (tmp_path / folder).exists()
        for path in [tmp_path / folder, *(tmp_path / folder).rglob("*")]
    ]
    assert len(made) > 1
    assert [path for path in made if path.stat().st_mode & 0o027] == []


def test_what_a_server_shows_writes_nothing_else_on_the_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    show([Result("space", "names", "5.2.5", "fail", "a node is called \x1b[2J")], "opc.tcp://host:4840")
    told = capfd.readouterr().out
    assert "called \\x1b[2J" in told
    assert "\x1b[2J" not in told
