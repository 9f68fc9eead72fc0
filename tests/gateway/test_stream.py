"""The WebSockets: snapshot, updates, resume, alarms, rates, and clients that are slow or unwelcome."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from fake_link import FakeLink
from gate import SETTINGS_KEY, Gate, opened, until
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from cnctwin.link import LinkAlarm
from cnctwin.reading import Reading
from cnctwin.results_file import ResultsFile
from gateway.api.server import TimedProtocol
from gateway.feed import OUTBOX, Outbox


@contextmanager
def stream(gate: Gate, wish: dict | None = None, **headers: str) -> Iterator[ClientConnection]:
    url = f"ws://127.0.0.1:{gate.port}/api/v1/stream"
    with connect(url, additional_headers=headers, proxy=None, close_timeout=1) as ws:
        if wish is not None:
            ws.send(json.dumps(wish))
        yield ws


def receive(ws: ClientConnection, timeout_s: float = 10.0) -> dict:
    return json.loads(ws.recv(timeout_s))


def test_first_comes_a_snapshot_then_what_changes(gate: Gate) -> None:
    with stream(gate, {"machines": ["CNC-001"], "signals": None, "max_hz": 20, "resume": None}) as ws:
        first = receive(ws)
        assert (first["type"], first["machine"]) == ("snapshot", "CNC-001")
        assert len(first["values"]) > 100
        now = time.time_ns() // 1000 * 1000
        gate.play({"Spindle/ActSpeed": 4321.5, "Axes/X/ActPos": -10.25}, time_ns=now)
        update = receive(ws)
        assert update["type"] == "update"
        assert update["seq"] > first["seq"]
        assert {name: entry[:2] for name, entry in update["values"].items()} == {
            "Spindle/ActSpeed": [4321.5, 0],
            "Axes/X/ActPos": [-10.25, 0],
        }
        source_time = gate.http.get("/api/v1/machines/CNC-001/signals/Spindle/ActSpeed").json()["source_time"]
        assert update["values"]["Spindle/ActSpeed"][2] == update["time"] == source_time


def test_only_the_signals_that_were_asked_for_come(gate: Gate) -> None:
    with stream(gate, {"signals": ["Spindle/Temperature"]}) as ws:
        assert set(receive(ws)["values"]) == {"Spindle/Temperature"}
        gate.play({"Spindle/ActSpeed": time.monotonic()})
        gate.play({"Spindle/Temperature": 41.0 + time.monotonic() % 1})
        assert set(receive(ws)["values"]) == {"Spindle/Temperature"}


def test_a_wish_can_be_replaced(gate: Gate) -> None:
    with stream(gate, {"signals": ["Spindle/Temperature"]}) as ws:
        receive(ws)
        ws.send('{"signals": ["Spindle/ActSpeed"]}')
        assert set(receive(ws)["values"]) == {"Spindle/ActSpeed"}


def test_what_comes_faster_than_max_hz_is_merged_into_the_newest(gate: Gate) -> None:
    with stream(gate, {"signals": ["Spindle/ActSpeed"], "max_hz": 1}) as ws:
        receive(ws)
        gate.play({"Spindle/ActSpeed": 1.0 + time.monotonic()})
        receive(ws)
        for number in range(50):
            gate.play({"Spindle/ActSpeed": 100.0 + number})
        assert receive(ws)["values"]["Spindle/ActSpeed"][0] == 149.0


def test_a_client_that_was_away_gets_what_changed_since(gate: Gate) -> None:
    with stream(gate, {}) as ws:
        seq = receive(ws)["seq"]
    gate.play({"Spindle/Temperature": 55.5})
    gate.play({"Spindle/Temperature": 56.5})
    with stream(gate, {"resume": seq}) as ws:
        update = receive(ws)
        assert update["type"] == "update"
        assert update["values"]["Spindle/Temperature"][0] == 56.5
        assert "Spindle/ActSpeed" not in update["values"]
    for unknown in (seq - 10_000_000, seq + 10_000_000):
        with stream(gate, {"resume": unknown}) as ws:
            assert receive(ws)["type"] == "snapshot"


def test_a_break_between_the_messages_of_two_machines_loses_neither(tmp_path: Path) -> None:
    with opened(tmp_path, FakeLink(("A", "B"), period_s=None)) as gate:

        def known() -> dict[str, float]:
            shown = {name: gate.http.get(f"/api/v1/machines/{name}/signals/Spindle/ActSpeed") for name in "AB"}
            return {name: answer.json()["value"] for name, answer in shown.items() if answer.status_code == 200}

        def speeds(ws: ClientConnection, *, until: dict[str, float]) -> tuple[dict[str, float], int]:
            seen: dict[str, float] = {}
            while True:
                message = receive(ws)
                entry = message["values"].get("Spindle/ActSpeed")
                seen |= {message["machine"]: entry[0]} if entry else {}
                if seen == until:
                    return seen, message["seq"]

        for name, speed in (("A", 1.0), ("B", 2.0)):
            gate.play({"Spindle/ActSpeed": speed}, name)
        until(lambda: known() == {"A": 1.0, "B": 2.0})
        with stream(gate, {"max_hz": 0.5}) as ws:
            seq = receive(ws)["seq"]  # of one machine's snapshot alone
        with stream(gate, {"max_hz": 0.5, "resume": seq}) as ws:
            _, seq = speeds(ws, until={"A": 1.0, "B": 2.0})
            gate.play({"Spindle/ActSpeed": 3.0}, "A")  # goes at once; what comes after it waits for its turn
            _, seq = speeds(ws, until={"A": 3.0})
            for name, speed in (("A", 4.0), ("B", 5.0)):
                gate.play({"Spindle/ActSpeed": speed}, name)
            message = receive(ws)
            assert message["values"]["Spindle/ActSpeed"][0] in (4.0, 5.0)
        with stream(gate, {"resume": message["seq"]}) as ws:
            first, second = receive(ws), receive(ws)
            assert {"A": first, "B": second} == {first["machine"]: first, second["machine"]: second}
            assert second["values"]["Spindle/ActSpeed"][0] == 5.0
        # And of what was told again, one part alone.
        with stream(gate, {"resume": first["seq"]}) as ws:
            _, told = receive(ws), receive(ws)
            assert told["values"]["Spindle/ActSpeed"][0] == 5.0


def test_alarms_come_on_the_stream_and_are_listed_newest_first(gate: Gate) -> None:
    with stream(gate, {}) as ws:
        receive(ws)
        gate.do(lambda: gate.link.raise_alarm(LinkAlarm("CNC-001", 1_000_000_000, 700, "PS0020", "over travel", True)))
        alarm = receive(ws)
        assert {name: alarm[name] for name in ("type", "machine", "severity", "code", "text", "active", "time")} == {
            "type": "alarm",
            "machine": "CNC-001",
            "severity": 700,
            "code": "PS0020",
            "text": "over travel",
            "active": True,
            "time": "1970-01-01T00:00:01.000000Z",
        }
    gate.do(lambda: gate.link.raise_alarm(LinkAlarm("CNC-001", 2_000_000_000, 700, "PS0020", "over travel", False)))
    listed = until(lambda: len(shown := gate.http.get("/api/v1/machines/CNC-001/alarms").json()) >= 2 and shown)
    assert [entry["active"] for entry in listed[:2]] == [False, True]
    assert set(listed[0]) == {"time", "severity", "code", "text", "active"}


def test_names_that_nothing_has_are_told_and_the_rest_comes(gate: Gate) -> None:
    with stream(gate) as ws:
        ws.send(json.dumps({"machines": ["CNC-001", "CNC-01"], "signals": ["Spindle/ActSpeed", "Spindel/ActSpeed"]}))
        assert receive(ws) == {"type": "unknown", "machines": ["CNC-01"], "signals": ["Spindel/ActSpeed"]}
        assert set(receive(ws)["values"]) == {"Spindle/ActSpeed"}


@pytest.mark.parametrize("wish", ["no json", "[]", '{"max_hz": 1000}', '{"more": 1}', '{"max_hz": NaN}', '{"machines": "CNC-001"}'])
def test_a_wish_that_does_not_fit_is_answered_and_the_socket_stays(gate: Gate, wish: str) -> None:
    with stream(gate) as ws:
        ws.send(wish)
        assert receive(ws)["type"] == "error"
        ws.send("{}")
        assert receive(ws)["type"] == "snapshot"


@pytest.mark.parametrize("path", ["/api/v1/stream", "/ws/machines/CNC-001/telemetry"])
def test_a_page_of_another_origin_opens_no_socket_even_with_a_key(gate: Gate, path: str) -> None:
    for origin in ("http://evil.example", f"http://127.0.0.1:{gate.port + 1}", "null"):
        headers = {"x-api-key": SETTINGS_KEY, "Origin": origin}
        with (
            pytest.raises(InvalidStatus) as refused,
            connect(f"ws://127.0.0.1:{gate.port}{path}", additional_headers=headers, proxy=None),
        ):
            pass
        assert refused.value.response.status_code == 403


def test_a_host_name_that_only_points_here_reads_nothing(gate: Gate) -> None:
    assert gate.bare.get("/api/v1/machines", headers={"host": "evil.example"}).status_code == 401
    assert gate.bare.get("/api/v1/machines", headers={"host": "127.0.0.1.evil.example"}).status_code == 401
    assert gate.bare.get("/api/v1/machines", headers={"host": f"localhost:{gate.port}"}).status_code == 200


def old_stream(gate: Gate, query: str = "", key: str = SETTINGS_KEY):
    url = f"ws://127.0.0.1:{gate.port}/ws/machines/CNC-001/telemetry{query}"
    return connect(url, additional_headers={"x-api-key": key} if key else {}, proxy=None, close_timeout=1)


def test_the_old_socket_sends_the_latest_at_once_and_then_the_live_stream(gate: Gate) -> None:
    with old_stream(gate) as ws:
        assert set(receive(ws)) == {"timestamp", "machine_id", "data"}
        gate.play({"Spindle/ActSpeed": 777.0})
        assert receive(ws)["data"]["spindle"]["rpm"] == 777.0


def test_the_old_socket_closes_after_the_first_when_asked_to(gate: Gate) -> None:
    with old_stream(gate, "?once=1") as ws:
        receive(ws)
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(10)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000


@pytest.mark.parametrize(("query", "key"), [("", ""), ("", "wrong"), (f"?x-api-key={SETTINGS_KEY}&api_key={SETTINGS_KEY}", "")])
def test_the_old_socket_needs_a_key_in_the_header(gate: Gate, query: str, key: str) -> None:
    with pytest.raises(InvalidStatus) as refused, old_stream(gate, query, key):
        pass
    assert refused.value.response.status_code == 401


def test_clients_that_leave_are_forgotten(gate: Gate) -> None:
    for _ in range(20):
        with stream(gate, {"max_hz": 5}) as ws:
            receive(ws)
        with old_stream(gate) as ws:
            receive(ws)
    until(lambda: gate.http.get("/metrics").text.count("cnctwin_websocket_clients 0.0") == 1)


def test_sockets_and_connections_that_end_are_not_counted_any_more(gate: Gate) -> None:
    for _ in range(5):
        with stream(gate, {}) as ws:
            receive(ws)
        with pytest.raises(InvalidStatus), old_stream(gate, "", "wrong"):
            pass
    gate.bare.close()
    gate.bare = httpx.Client(base_url=gate.base, timeout=10.0)
    # Left are the connections that the fixture's own two clients keep open.
    until(lambda: TimedProtocol._counts.get("127.0.0.1", 0) <= 2)


def test_a_client_that_never_reads_costs_a_bounded_buffer(tmp_path) -> None:
    link = FakeLink([f"M{number}" for number in range(20)], period_s=0.02)
    with opened(tmp_path, link) as gate, socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.connect(("127.0.0.1", gate.port))
        deaf.sendall(
            f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{gate.port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        assert b"101" in deaf.recv(4096)
        deaf.sendall(b"\x81\x8e\x00\x00\x00\x00" + b'{"max_hz": 50}')
        until(lambda: gate.metric("cnctwin_websocket_skipped_total") > 0, 60)
        assert gate.http.get("/machines/M1/telemetry").status_code == 200


def test_a_slow_client_loses_messages_and_not_the_gateway_its_memory() -> None:
    skipped: list[int] = []
    outbox = Outbox(skipped.append)
    for number in range(10 * OUTBOX):
        outbox.put(b"%d" % number)
    assert outbox.take_overflow()
    assert not outbox.take_overflow()
    assert len(outbox._waiting) <= OUTBOX
    assert sum(skipped) + len(outbox._waiting) == 10 * OUTBOX
    assert outbox._waiting[-1] == b"%d" % (10 * OUTBOX - 1)


def test_a_lost_link_makes_everything_uncertain_and_its_return_makes_it_good(tmp_path) -> None:
    link = FakeLink(period_s=0.05)
    with opened(tmp_path, link) as gate, stream(gate, {"signals": ["Axes/X/ActPos"]}) as ws:
        until(lambda: receive(ws)["values"].get("Axes/X/ActPos", [0, 1])[1] == 0)
        gate.do(link.lose)
        lost = until(lambda: (entry := receive(ws)["values"].get("Axes/X/ActPos")) and entry[1] >> 30 == 1 and entry)
        shown = gate.http.get("/api/v1/machines/CNC-001/signals/Axes/X/ActPos").json()
        assert (shown["value"], shown["quality"], shown["source_time"]) == (lost[0], "Uncertain", lost[2])
        assert gate.http.get("/machines/CNC-001/telemetry").json()["metadata"]["quality"] == "Uncertain"
        assert gate.http.get("/api/v1/machines").json()[0]["quality"] == "Uncertain"
        until(lambda: "OPC UA" in gate.bare.get("/ready").json()["reasons"])
        gate.do(link.return_)
        until(lambda: receive(ws)["values"].get("Axes/X/ActPos", [0, 1])[1] == 0)
        until(lambda: gate.http.get("/api/v1/machines").json()[0]["quality"] == "Good")


def test_results_that_the_server_has_no_place_for_are_shown_nevertheless(tmp_path) -> None:
    link = FakeLink(period_s=None)
    link.machines = {name: replace(machine, signals=frozenset({"Spindle/ActSpeed"})) for name, machine in link.machines.items()}
    now_ns = time.time_ns()
    found = Reading("Analytics/Explanation", "the flow is low", 0, now_ns, now_ns)
    ResultsFile(tmp_path, "CNC-001").write([found])
    with opened(tmp_path, link) as gate:
        shown = f"/api/v1/machines/CNC-001/signals/{found.signal}"
        until(lambda: gate.http.get(shown).status_code == 200)
        answer = gate.http.get(shown).json()
        assert (answer["value"], answer["quality"]) == (found.value, "Good")
