"""What the command says to somebody who gives it the wrong thing: one line, an exit code, no traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cnctwin import __version__, cli
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from cnctwin.up import open_on_a_network

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
    assert "Usage: cnctwin up " in typed("up", "--help")[1]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("init", "--data", "FILE/x"), "FILE/x: cannot be written: Not a directory; give another folder with --data\n"),
        (("init", "--data", "OK", "--broker-folder", "FILE/x"), "FILE/x: Not a directory\n"),
        (("gateway", "--data", "FILE/x"), "FILE/x: cannot be written: Not a directory; give another folder with --data\n"),
        (("certs", "trust", "FILE.der", "--data", "OK"), "FILE.der: there is no such file\n"),
        (("check-server", "http://x", "--data", "OK"), "http://x: must look like opc.tcp://host:4840\n"),
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
    assert {user: vault.authenticate(user, password) for user, password in shown.items()} == {
        "operator": "Operator", "engineer": "Engineer", "admin": "Admin",
    }  # fmt: skip
    assert "new ones in place of lost ones" in typed("init", "--data", str(tmp_path))[1]


@pytest.mark.parametrize(
    ("given", "warned"),
    [
        ({}, []),
        ({"host": "0.0.0.0"}, ["The web page is not encrypted", "Whoever reaches the MQTT broker"]),
        ({"host": "0.0.0.0", "mqtt_broker": "mq.example"}, ["The web page is not encrypted"]),
        ({"host": "0.0.0.0", "embedded_broker": "none", "http_cert_path": Path("c"), "http_key_path": Path("k")}, []),
    ],
)
def test_what_a_network_can_read_is_said(given: dict[str, Any], warned: list[str]) -> None:
    found = open_on_a_network(Settings(**given))
    assert [next((start for start in warned if text.startswith(start)), text) for text in found] == warned
