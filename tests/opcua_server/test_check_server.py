"""`cnctwin check-server`: our own server passes, and the checks find in another what is known to be wrong with it."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from cnctwin.check import run
from cnctwin.check.run import report
from cnctwin.errors import StartError
from tests.harness import free_ports
from tests.opcua_server.bench import running
from tests.opcua_server.run.test_registration import discovery_server


def outcomes(
    url: str,
    folder: Path,
    only: list[str] | None = None,
    *,
    insecure: bool = False,
    login: tuple[str | None, str | None] = (None, None),
) -> Any:
    """Exit code and name -> result."""
    file = folder / "report.json"
    code = report(url, folder / "checking", only or [], file, login=login, insecure=insecure)
    return code, {one["name"]: one for one in json.loads(file.read_text("utf-8"))["results"]}


def test_our_own_server_passes_for_everybody(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        code, found = outcomes(bench.settings.endpoint, tmp_path)
        assert (code, failed(found)) == (0, {})
        assert len(found) > 45
        optional = ("sessions are shown with what they asked for", "aggregates are worked out interval by interval, or refused")
        assert [found[name]["outcome"] for name in optional] == ["pass", "pass"]
        login = ("admin", bench.password("admin"))  # who sees more
        code, found = outcomes(bench.settings.endpoint, tmp_path, ["address space"], login=login)
        assert (code, failed(found)) == (0, {})
        assert len(found) > 5
        # Who is connected is told to administrators only, in a structure asyncua cannot decode: this session looked itself.
        assert "SessionSecurityDiagnosticsArray" in found["every readable variable can be read"]["seen"]


def failed(found: Any) -> dict[str, str]:
    return {name: one["seen"] for name, one in found.items() if one["outcome"] == "fail"}


def test_what_plain_asyncua_does_not_do_is_found(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with discovery_server(tmp_path, port, [ua.SecurityPolicyType.NoSecurity]) as url:
        code, found = outcomes(url, tmp_path, insecure=True)
    assert code == 1
    known = [
        "a bounded answer goes on at its continuation point", "index ranges", "no value is Null with a Good status",
        "nothing to read, a negative age, timestamps that are none", "intervals and counts that cannot be are revised",
        "more values than a message may hold come in several", "what clients read first has a value",
        "endpoints say how users log in",
    ]  # fmt: skip
    assert {name: found[name]["outcome"] for name in known} == dict.fromkeys(known, "fail")
    right = ["a value comes with status and both timestamps", "values that change arrive, with the handle asked for"]
    assert {name: found[name]["outcome"] for name in right} == dict.fromkeys(right, "pass")


def test_a_server_that_is_not_there_or_says_nothing_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "PROBE_S", 0.5)
    with pytest.raises(StartError, match="cannot be reached"):
        report(f"opc.tcp://127.0.0.1:{free_ports(1)[0]}", tmp_path, [], None, login=(None, None), insecure=False)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"opc.tcp://127.0.0.1:{listener.getsockname()[1]}"
        listener.listen()
        with pytest.raises(StartError, match="cannot be reached"):
            report(url, tmp_path, [], None, login=(None, None), insecure=False)
