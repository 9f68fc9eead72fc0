"""Who may do what, and what the HTTP side refuses before any route sees it."""

from __future__ import annotations

import contextlib
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fake_link import FakeLink
from gate import SETTINGS_KEY, Gate, opened, until
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from cnctwin.secrets import Role, Vault
from cnctwin.settings import Settings
from gateway.api import access, guard
from gateway.api.access import COOKIE, Access, Doorkeeper
from gateway.api.limits import Buckets
from gateway.api.v1 import login
from gateway.commands import kept
from nodesets import methods
from nodesets.states import MachineState

COMMANDS = "/api/v1/machines/CNC-001/commands"
PROBLEM = {"type", "title", "status", "detail", "instance"}


@pytest.fixture(scope="module")
def sessions(gate: Gate) -> Iterator[dict[str, httpx.Client]]:
    """A logged-in browser for each user."""
    clients = {user: httpx.Client(base_url=gate.base, headers={"origin": gate.base}, timeout=10.0) for user in gate.password}
    for user, client in clients.items():
        answer = client.post("/api/v1/login", json={"user": user, "password": gate.password[user]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["user"] == user
    yield clients
    for client in clients.values():
        client.close()


def test_on_loopback_everybody_here_may_read_and_nobody_may_command(gate: Gate) -> None:
    assert gate.bare.get("/api/v1/session").json() == {"user": None, "role": "Viewer"}
    assert gate.bare.get("/api/v1/machines").status_code == 200
    answer = gate.bare.post(f"{COMMANDS}/Stop")
    assert answer.status_code == 401
    assert answer.headers["content-type"] == "application/problem+json"
    assert set(answer.json()) >= PROBLEM


def test_a_login_is_a_cookie_that_scripts_cannot_read(gate: Gate) -> None:
    answer = gate.bare.post("/api/v1/login", json={"user": "operator", "password": gate.password["operator"]})
    gate.bare.cookies.clear()
    assert answer.json() == {"user": "operator", "role": "Operator"}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_only_a_program_may_be_large_and_its_text_is_not_kept(gate: Gate, sessions: dict[str, httpx.Client]) -> None:
    text = "G1 X1 F100\n" * 10_000
    gate.link.states["CNC-001"] = MachineState.IDLE
    body = {"arguments": {"Name": "large.nc", "Text": text}}
    assert sessions["engineer"].post(f"{COMMANDS}/LoadProgramText", json=body).status_code == 202
    assert gate.link.calls[-1] == ("CNC-001", "LoadProgramText", ("large.nc", text))
    remembered = kept({"Name": "large.nc", "Text": text})
    assert remembered["Name"] == "large.nc"
    assert remembered["Text"].startswith("110000 characters, SHA-256 ")


@pytest.mark.parametrize(
    ("role", "path", "limit"),
    [
        ("Engineer", f"{COMMANDS}/LoadProgramText", guard.PROGRAM_LIMIT),
        ("Operator", f"{COMMANDS}/LoadProgramText", guard.BODY_LIMIT),
        (None, f"{COMMANDS}/LoadProgramText", guard.BODY_LIMIT),
        ("Engineer", f"{COMMANDS}/LoadProgram", guard.BODY_LIMIT),
        ("Engineer", f"{COMMANDS}/LoadProgramText/x", guard.BODY_LIMIT),
    ],
)
def test_how_much_a_request_may_carry(role: Role | None, path: str, limit: int) -> None:
    access = Access("somebody", role, "key", "key:x") if role is not None else None
    assert guard._limit({"state": {"access": access}}, path) == limit


def test_another_password_ends_the_sessions_of_the_old_one(tmp_path: Path) -> None:
    vault = Vault(tmp_path)
    vault.ensure()
    doorkeeper = Doorkeeper(Settings(data=tmp_path), vault)
    headers = {"cookie": f"{COOKIE}={doorkeeper.open('operator', 'Operator')}"}
    access = doorkeeper.identify(headers, "127.0.0.1")
    assert access is not None
    assert access.user == "operator"
    vault.renew()
    assert doorkeeper.identify(headers, "127.0.0.1") is None


def test_who_logs_in_without_end_ends_his_own_sessions_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "SESSIONS", 4)
    vault = Vault(tmp_path)
    vault.ensure()
    doorkeeper = Doorkeeper(Settings(data=tmp_path), vault)

    def is_there(token: str) -> bool:
        return doorkeeper.identify({"cookie": f"{COOKIE}={token}"}, "127.0.0.1") is not None

    admin = doorkeeper.open("admin", "Admin")
    operators = [doorkeeper.open("operator", "Operator") for _ in range(10)]
    assert is_there(admin)
    assert [is_there(token) for token in operators] == [False] * 7 + [True] * 3


def test_logging_out_ends_the_session(gate: Gate) -> None:
    with httpx.Client(base_url=gate.base, timeout=10.0) as client:
        client.post("/api/v1/login", json={"user": "operator", "password": gate.password["operator"]})
        token = client.cookies["cnctwin_session"]
        assert client.get("/api/v1/session").json() == {"user": "operator", "role": "Operator"}
        assert client.post("/api/v1/logout").status_code == 200
    stolen = gate.bare.get("/api/v1/session", headers={"cookie": f"cnctwin_session={token}"})
    assert stolen.json() == {"user": None, "role": "Viewer"}


@pytest.mark.parametrize("user", ["operator", "engineer", "admin"])
@pytest.mark.parametrize("method", methods.METHODS, ids=lambda method: method.name)
def test_roles_may_call_what_the_table_says(
    gate: Gate, sessions: dict[str, httpx.Client], user: str, method: methods.Method
) -> None:
    given = {"String": "pocket.nc", "Boolean": True}
    arguments = {a.name: given.get(a.type, a.low if a.low is not None else 1) for a in method.inputs}
    gate.link.states["CNC-001"] = MachineState.IDLE
    answer = sessions[user].post(f"{COMMANDS}/{method.name}", json={"arguments": arguments})
    may = method.role == "Operator" or user != "operator"
    assert answer.status_code == (202 if may else 403), answer.text
    if may:
        assert gate.link.calls[-1][1] == method.name
        assert answer.json()["state"] == "done"
        told = gate.http.get(f"/api/v1/commands/{answer.json()['id']}").json()
        assert {"id", "method", "state", "reason"} <= set(told)


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://127.0.0.1"])
def test_a_write_with_a_cookie_needs_the_own_origin(gate: Gate, sessions: dict[str, httpx.Client], origin: str) -> None:
    client = sessions["operator"]
    before = len(gate.link.calls)
    assert client.post(f"{COMMANDS}/Stop", headers={"origin": origin}).status_code == 403
    assert len(gate.link.calls) == before


def test_a_refusal_by_the_machine_names_its_state(gate: Gate) -> None:
    gate.link.states["CNC-001"] = MachineState.RUNNING
    gate.play({"Machine/State": int(MachineState.RUNNING)})
    answer = gate.http.post(f"{COMMANDS}/ChangeTool", json={"arguments": {"Number": 3}})
    assert answer.status_code == 409
    assert answer.json()["status_name"] == "BadInvalidState"
    assert answer.json()["machine_state"]["value"] == int(MachineState.RUNNING)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/api/v1/machines/nobody/commands/Start", {}, 404),
        (f"{COMMANDS}/Dance", {}, 404),
        (f"{COMMANDS}/ChangeTool", {}, 422),
        (f"{COMMANDS}/ChangeTool", {"arguments": {"Number": 99}}, 422),
        (f"{COMMANDS}/ChangeTool", {"arguments": {"Number": 1, "More": 1}}, 422),
        (f"{COMMANDS}/Start", {"more": 1}, 422),
    ],
)
def test_commands_that_make_no_sense_are_problems(gate: Gate, path: str, body: dict, status: int) -> None:
    answer = gate.http.post(path, json=body)
    assert answer.status_code == status
    assert set(answer.json()) >= PROBLEM


def test_the_same_idempotency_key_gives_the_command_once(gate: Gate) -> None:
    before = len(gate.link.calls)
    ids = {gate.http.post(f"{COMMANDS}/Stop", headers={"idempotency-key": "k1"}).json()["id"] for _ in range(3)}
    assert len(ids) == 1
    assert len(gate.link.calls) == before + 1
    other = gate.http.post(f"{COMMANDS}/Hold", headers={"idempotency-key": "k1"})
    assert (other.status_code, len(gate.link.calls)) == (422, before + 1)


def test_the_first_surface_takes_an_idempotency_key_too(gate: Gate) -> None:
    before = len(gate.link.calls)
    ask = {"url": "/machines/CNC-001/commands", "headers": {"idempotency-key": "k2"}}
    ids = {gate.http.post(**ask, json={"command": "pause"}).json()["data"]["id"] for _ in range(3)}
    assert len(ids) == 1
    assert len(gate.link.calls) == before + 1
    assert gate.http.post(**ask, json={"command": "stop"}).status_code == 422


def test_every_command_is_in_the_audit(gate: Gate) -> None:
    given = gate.http.post(f"{COMMANDS}/Hold").json()["id"]

    def lines() -> list:
        with contextlib.closing(sqlite3.connect(gate.settings.data / "store" / "gateway.sqlite")) as connection:
            return connection.execute("SELECT state FROM command WHERE command = ? ORDER BY id", (given,)).fetchall()

    until(lambda: lines() == [("pending",), ("done",)])
    with contextlib.closing(sqlite3.connect(gate.settings.data / "store" / "gateway.sqlite")) as connection:
        for change in ("DELETE FROM command", "UPDATE command SET user = 'x'"):
            with pytest.raises(sqlite3.IntegrityError):
                connection.execute(change)


def test_wrong_passwords_cost_the_caller_time(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(login, "time", SimpleNamespace(monotonic=lambda: 1_000.0))  # a slow computer must not sit the wait out
    with opened(tmp_path, FakeLink(period_s=None)) as gate:
        answers = [gate.bare.post("/api/v1/login", json={"user": "operator", "password": "wrong"}) for _ in range(6)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429]
        assert int(answers[-1].headers["retry-after"]) >= 1
        right = gate.bare.post("/api/v1/login", json={"user": "operator", "password": gate.password["operator"]})
        assert right.status_code == 429
        assert "wrong" not in answers[0].text.replace("wrong user or password", "")


def test_a_strict_gateway_shows_nothing_without_login(tmp_path) -> None:
    with opened(tmp_path, FakeLink(period_s=None), host="0.0.0.0", api_keys=()) as gate:
        for path in ("/api/v1/machines", "/api/v1/catalogue", "/metrics", "/api/v1/session"):
            assert gate.bare.get(path).status_code == 401
        assert gate.bare.get("/health").status_code == 200
        assert gate.http.get("/machines").status_code == 401


@pytest.mark.parametrize("path", ["/machines/E1/telemetry", "/api/v1/login"])
def test_large_bodies_are_refused_declared_or_not(gate: Gate, path: str) -> None:
    large = b" " * (64 * 1024 + 1)
    assert gate.http.post(path, content=large).status_code == 413
    assert gate.http.post(path, content=iter([large[:40_000], large[:40_000]])).status_code == 413


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "", None])
@pytest.mark.parametrize("path", ["/machines/CNC-001/commands", "/api/v1/machines/CNC-001/commands/Hold", "/api/v1/login"])
def test_a_body_that_is_not_called_json_is_told_what_to_call_it(gate: Gate, path: str, kind: str | None) -> None:
    headers = {} if kind is None else {"content-type": kind}
    answer = gate.http.post(path, content=b'{"command": "pause", "params": {}}', headers=headers)
    assert answer.status_code == 422
    told = answer.json()
    (problem,) = told["errors"] if "errors" in told else told["detail"]
    assert (problem["loc"], problem["msg"]) == (["header", "content-type"], "Must be application/json")


def test_deeply_nested_bodies_are_refused(gate: Gate) -> None:
    nested = '{"timestamp": "2026-02-04T10:00:00Z", "machine_id": "E1", "data": ' + '{"a":' * 200 + "1" + "}" * 201
    assert gate.http.post("/machines/E1/telemetry", content=nested).status_code == 422


def test_every_answer_carries_the_security_headers(gate: Gate) -> None:
    for path in ("/health", "/", "/machines", "/nowhere", "/api/v1/machines/nobody/signals"):
        headers = gate.bare.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert "server" not in headers
        assert headers["cache-control"] == ("no-cache" if path == "/" else "no-store")


@pytest.mark.parametrize("request_line", ["GET /health", "POST /api/v1/login", "GET /ws/machines/CNC-001/telemetry"])
def test_headers_that_come_in_one_piece_are_counted_too(gate: Gate, request_line: str) -> None:
    upgrade = "Upgrade: websocket\r\nConnection: Upgrade\r\n" if "/ws/" in request_line else ""
    whole = f"{request_line} HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n{upgrade}X-Long: {'a' * 66_000}\r\n\r\n{{}}"
    with socket.create_connection(("127.0.0.1", gate.port), 5) as client:
        client.settimeout(10)
        client.sendall(whole.encode())
        assert client.recv(1000).startswith(b"HTTP/1.1 431 ")
    assert gate.bare.get("/health").status_code == 200


def test_half_a_request_is_not_waited_for_for_ever(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.server.HEADER_S", 0.2)
    with socket.create_connection(("127.0.0.1", gate.port), 5) as half:
        half.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        half.settimeout(10)
        assert half.recv(100) == b""
    with socket.create_connection(("127.0.0.1", gate.port), 5) as silent:
        silent.settimeout(10)
        assert silent.recv(100) == b""


ENDLESS = {
    "header": (b"GET /health HTTP/1.1\r\nHost: x\r\n", b"X-Line: " + b"a" * 1000 + b"\r\n"),
    "address": (b"GET /health?", b"a" * 1024),
    "trailer": (
        b"POST /detect HTTP/1.1\r\nHost: x\r\nx-api-key: " + SETTINGS_KEY.encode() + b"\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
        b"X-Line: " + b"a" * 1000 + b"\r\n",
    ),
}


@pytest.mark.parametrize("part", ENDLESS)
def test_a_request_without_end_is_cut_off(gate: Gate, part: str) -> None:
    begins, goes_on = ENDLESS[part]
    sent = 0
    with socket.create_connection(("127.0.0.1", gate.port), 30) as endless, contextlib.suppress(ConnectionError):
        endless.sendall(begins)
        while sent < 100_000_000:
            endless.sendall(goes_on)
            sent += len(goes_on)
    # What the kernel's buffers hold was sent too; the gateway itself has taken half a megabyte at most.
    assert sent < 20_000_000
    assert gate.bare.get("/health").status_code == 200


def test_a_key_in_the_address_opens_nothing(gate: Gate) -> None:
    for query in (f"?x-api-key={SETTINGS_KEY}", f"?api_key={SETTINGS_KEY}", f"?key={SETTINGS_KEY}"):
        assert gate.bare.get(f"/machines{query}").status_code == 401
        with pytest.raises(InvalidStatus):
            connect(f"ws://127.0.0.1:{gate.port}/ws/machines/CNC-001/telemetry{query}", proxy=None)


def test_half_a_body_is_not_waited_for_for_ever(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.guard.BODY_S", 0.2)
    with socket.create_connection(("127.0.0.1", gate.port), 5) as half:
        half.sendall(
            b"POST /detect HTTP/1.1\r\nHost: x\r\nx-api-key: " + SETTINGS_KEY.encode() + b"\r\nContent-Length: 100\r\n\r\n{"
        )
        half.settimeout(10)
        assert b"408" in half.recv(1000)


def test_the_openapi_document_describes_both_surfaces(gate: Gate) -> None:
    paths = gate.bare.get("/openapi.json").json()["paths"]
    assert {"/machines/{machine_id}/telemetry", "/api/v1/machines/{machine_id}/commands/{method}", "/detect"} <= set(paths)
    for path, operations in paths.items():
        for operation in operations.values():
            assert operation["summary"], path


def test_the_page_of_docs_names_every_path(gate: Gate) -> None:
    answer = gate.bare.get("/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert "<script" not in answer.text
    for path in gate.bare.get("/openapi.json").json()["paths"]:
        assert f" {path}</code>" in answer.text


def test_a_bucket_fills_again_with_time() -> None:
    now = [0.0]
    buckets = Buckets(60.0, lambda: now[0])
    assert all(buckets.take("a") == 0.0 for _ in range(60))
    assert buckets.take("a") == pytest.approx(1.0)
    now[0] += 1.0
    assert buckets.take("a") == 0.0
    assert buckets.take("a") > 0.0


def test_it_ends_within_two_seconds_with_clients_on_it(tmp_path) -> None:
    with opened(tmp_path, FakeLink()) as gate, connect(f"ws://127.0.0.1:{gate.port}/api/v1/stream", proxy=None) as client:
        client.send("{}")
        client.recv(5)
        began = time.monotonic()
        gate.stop()
        assert time.monotonic() - began < 2.0


def test_every_path_that_is_read_answers_head_and_says_what_else_it_takes(gate: Gate) -> None:
    paths = gate.http.get("/openapi.json").json()["paths"]
    for path, taken in paths.items():
        here = path.replace("{machine_id}", "CNC-001").replace("{name}", "Spindle/ActSpeed")
        allowed = {method.upper() for method in taken} | ({"HEAD"} if "get" in taken else set())
        if "get" in taken:
            told, asked = gate.http.get(here), gate.http.head(here)
            assert (asked.status_code, asked.headers["content-type"]) == (told.status_code, told.headers["content-type"]), here
            assert asked.content == b""
        refused = gate.http.delete(here)
        assert refused.status_code == 405, here
        assert set(refused.headers["allow"].split(", ")) == allowed, here
        if "get" not in taken:
            assert gate.http.get(here).status_code == 405, here
    assert gate.http.head("/nothing").status_code == 404
    assert gate.http.head("/").status_code == 200
