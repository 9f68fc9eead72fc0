"""/api/v1/.../history?source=server: what the OPC UA server itself has recorded, which the gateway keeps nothing of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from fake_link import FakeLink
from gate import Gate, opened, until

from cnctwin.link import MethodFailed
from cnctwin.reading import Reading

PATH = "/api/v1/machines/CNC-001/history/Spindle/ActSpeed"
START_NS = 1_780_000_000_000_000_000
ASKED = {"source": "server", "start": "2026-05-28T20:26:40Z", "end": "2026-05-28T20:26:50Z"}


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    link = FakeLink(period_s=None)
    link.recorded["CNC-001", "Spindle/ActSpeed"] = [
        Reading("Spindle/ActSpeed", None if n == 3 else float(n), 0x80310000 if n == 3 else 0, START_NS + n * 10**9, 1)
        for n in range(20)
    ]
    with opened(tmp_path_factory.mktemp("gate"), link) as gate:
        gate.play({"Spindle/ActSpeed": 1.0})
        until(lambda: gate.http.get("/machines/CNC-001").status_code == 200)
        yield gate


@pytest.fixture(autouse=True)
def obliging(gate: Gate) -> Iterator[None]:
    yield
    gate.link.refusal = None
    gate.link.return_()


def test_it_comes_with_status_and_says_whose_memory_it_is(gate: Gate) -> None:
    told = gate.http.get(PATH, params=ASKED).json()
    assert (told["source"], told["signal"], "next_end" in told) == ("server", "Spindle/ActSpeed", False)
    assert told["points"][:2] == [["2026-05-28T20:26:40.000000Z", 0.0, 0], ["2026-05-28T20:26:41.000000Z", 1.0, 0]]
    assert told["points"][3] == ["2026-05-28T20:26:43.000000Z", None, 0x80310000]
    assert len(told["points"]) == 10
    assert gate.http.get(PATH).json()["source"] == "gateway"


def test_a_long_one_is_read_backwards_page_by_page(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.v1.history.POINTS", 4)
    seen: list[float | None] = []
    asked = dict(ASKED)
    while True:
        told = gate.http.get(PATH, params=asked).json()
        seen = [value for _, value, _ in told["points"]] + seen
        if "next_end" not in told:
            break
        asked["end"] = told["next_end"]
    assert seen == [None if n == 3 else float(n) for n in range(10)]


@pytest.mark.parametrize(
    ("refusal", "status", "said"),
    [
        (MethodFailed(0x80720000, "BadHistoryOperationUnsupported", "unsupported"), 404, "keeps no history of Spindle"),
        (MethodFailed(0x801F0000, "BadUserAccessDenied", "not you"), 403, "not you"),
        (MethodFailed(0x80020000, "BadInternalError", "a bug"), 502, "a bug"),
        (KeyError("Spindle/ActSpeed"), 404, "shows no Spindle/ActSpeed"),
        (ConnectionError("nobody listens there"), 503, "nobody listens there"),
        (TimeoutError(), 504, "no answer"),
    ],
)
def test_what_keeps_the_server_from_it_is_told(gate: Gate, refusal: Exception, status: int, said: str) -> None:
    gate.link.refusal = refusal
    answer = gate.http.get(PATH, params=ASKED)
    assert answer.status_code == status
    assert said in answer.json()["detail"]
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_server_that_is_away_has_no_history_meanwhile(gate: Gate) -> None:
    gate.do(gate.link.lose)
    assert gate.http.get(PATH, params=ASKED).status_code == 503
    assert gate.http.get(PATH).status_code == 200


@pytest.mark.parametrize("more", [{"interval": "1min"}, {"source": "nobody"}])
def test_what_makes_no_sense_is_refused(gate: Gate, more: dict[str, str]) -> None:
    assert gate.http.get(PATH, params={**ASKED, **more}).status_code == 422
