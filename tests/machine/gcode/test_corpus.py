"""Real programs, judged by LinuxCNC's interpreter: README.md of the corpus says how.

CNCTWIN_FULL=1 runs 10,000 mutated programs instead of a few hundred.
"""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from opcua_server.machine.gcode import Budget, interpret_steps
from opcua_server.machine.gcode.trace import TRAVEL, record, trace_tools
from opcua_server.machine.moves import NcAlarm

Record = dict[str, object]
ACCEPTED = ("accept", "accept_noend")
MUTATED = 10_000 if os.environ.get("CNCTWIN_FULL") else 400
LINUXCNC_SHARE = 0.95
FEED_ZERO_IN_FANUC = frozenset(
    ("linuxcnc__tests__interp__bad__no-feed-rate.ngc", "Universal-G-Code-Sender__test_files__line_skip_test.gcode")
)
"""Programs without an end that cut with a feed never given: LinuxCNC moves at F0, a FANUC raises PS0011."""


@pytest.fixture
def corpus(shared_data: Path) -> Path:
    return shared_data / "gcode"


def manifest(corpus: Path) -> list[dict[str, str]]:
    entries: list[dict[str, str]] = json.loads((corpus / "MANIFEST.json").read_text())
    return entries


def stored_moves(file: Path) -> list[Record]:
    text, decoder = file.read_text(), json.JSONDecoder()
    moves: list[Record] = []
    at = 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        move, at = decoder.raw_decode(text, at)
        moves.append(move)
    return moves


def traced(text: str, dialect: str, budget: Budget | None = None) -> tuple[list[Record], NcAlarm | None]:
    moves: list[Record] = []
    try:
        for move in interpret_steps(text, dialect=dialect, tools=trace_tools(), limits=TRAVEL, budget=budget):
            entry = record(move) if move is not None else None
            if entry is not None:
                moves.append(entry)
    except NcAlarm as alarm:
        return moves, alarm
    return moves, None


def read(file: Path) -> str:
    return file.read_bytes().decode("utf-8", errors="replace")


def difference(expected: Record, got: Record, *, lines: bool = True) -> str:
    """What differs between two moves; empty when nothing does."""
    for key in ("t", "n", "nrm", "rot", "tool"):
        # LinuxCNC gives -1 where it does not know the line: in its contour cycles.
        if expected.get(key) != got.get(key) and (key != "n" or (lines and expected["n"] != -1)):
            return f"{key}: {expected.get(key)} expected, {got.get(key)} found"
    for key in ("m", "w", "c"):
        one, other = expected.get(key), got.get(key)
        if (one is None) != (other is None):
            return key
        if isinstance(one, list) and isinstance(other, list) and any(abs(a - b) > 1e-6 for a, b in zip(one, other, strict=True)):
            return f"{key}: {one} expected, {other} found"
    return ""


def judged(corpus: Path, name: str, dialect: str) -> str:
    """What is wrong with one program's moves; empty when nothing is."""
    summary = json.loads((corpus / "expected" / f"{name}.json").read_text())
    moves, alarm = traced(read(corpus / "programs" / name), dialect)
    count = sum(move["t"] not in ("dwell", "toolchange") for move in moves)
    if alarm is not None and alarm.number != "PS5010":
        return str(alarm)
    if (alarm is None) != summary["ok"]:
        return f"ends with {alarm}, expected {summary['error']}"
    if count != summary["n_moves"]:
        return f"{count} moves, expected {summary['n_moves']}"
    for place, expected in enumerate(stored_moves(corpus / "expected" / f"{name}.moves.jsonl")):
        index = expected.pop("i", place)
        assert isinstance(index, int)
        found = difference(expected, moves[index]) if index < len(moves) else "missing"
        if found:
            return f"move {index}: {found}"
    return ""


@pytest.mark.parametrize("dialect", ["fanuc", "linuxcnc"])
def test_common_programs_move_as_linuxcnc_moves_them(corpus: Path, dialect: str) -> None:
    names = [e["program"] for e in manifest(corpus) if e["class"] in ACCEPTED and e["dialect"] == "common"]
    if dialect == "fanuc":
        names = [name for name in names if name not in FEED_ZERO_IN_FANUC]
    wrong = {name: why for name in names if (why := judged(corpus, name, dialect))}
    assert names
    assert not wrong


def test_linuxcnc_programs_move_as_linuxcnc_moves_them(corpus: Path) -> None:
    names = [e["program"] for e in manifest(corpus) if e["class"] in ACCEPTED and e["dialect"] == "linuxcnc"]
    wrong = {name: why for name in names if (why := judged(corpus, name, "linuxcnc"))}
    print(f"{len(names) - len(wrong)} of {len(names)}; not: {wrong}")
    assert len(names) - len(wrong) >= LINUXCNC_SHARE * len(names), wrong


def test_programs_without_motion_make_none(corpus: Path) -> None:
    names = [e["program"] for e in manifest(corpus) if e["class"] == "noend_nomotion"]
    assert not [name for name in names if traced(read(corpus / "programs" / name), "linuxcnc")[0]]


def test_fanuc_programs_move_as_their_linuxcnc_equivalents(corpus: Path) -> None:
    wrong = {}
    for file in sorted((corpus / "fanuc_pairs").glob("*.nc")):
        expected = json.loads(file.with_suffix(".expected.json").read_text())["moves"]
        moves, alarm = traced(read(file), "fanuc")
        found = [difference(one, other, lines=False) for one, other in zip(expected, moves, strict=False)]
        if alarm is not None or len(expected) != len(moves) or any(found):
            wrong[file.name] = (alarm, len(expected), len(moves), [each for each in found if each])
    assert not wrong


def test_bad_programs_raise_an_acceptable_alarm_at_their_line(corpus: Path) -> None:
    wrong = {}
    for name, expected in json.loads((corpus / "bad" / "EXPECT.json").read_text()).items():
        _, alarm = traced(read(corpus / "bad" / name), "fanuc")
        acceptable = tuple(expected["expect_any_of"])
        if alarm is None or not alarm.number.startswith(acceptable) or alarm.line != expected["line"]:
            wrong[name] = alarm
    assert not wrong


def test_endless_programs_end_with_their_budget(corpus: Path) -> None:
    for entry in manifest(corpus):
        if entry["class"] == "endless_or_slow":
            dialect = "linuxcnc" if entry["dialect"] == "linuxcnc" else "fanuc"
            moves, _ = traced(read(corpus / "programs" / entry["program"]), dialect, Budget(blocks=100_000))
            assert len(moves) <= 100_000


TOKENS = ("G41 D1 ", "G40", "G2 ", "G3 R5 ", "X", "#1=", "#2", "[", "]", "G91 ", "WHILE[1]DO1", "END1", "GOTO1", "M98P1", "M99")
TOKENS += (
    "%",
    "(",
    ")",
    "G81 Z-1 R1 ",
    "L9999",
    "G18 ",
    "G68 R30 ",
    "G16 ",
    "99999999",
    "-",
    "/",
    "\0",
    "O1",
    "o1 while [1]",
    "G93 ",
    "G71.2 Q100 D0.3 ",
    "G70 Q100 P2 D1 ",
    "M73",
)


def mutated(text: str, chance: random.Random) -> str:
    """The text, or a stretch of a long one, with a few lines lost, doubled, or damaged."""
    lines = text.split("\n")
    if len(lines) > 400:
        at = chance.randrange(len(lines) - 300)
        lines = lines[:20] + lines[at : at + 280]
    for _ in range(chance.randint(1, 3)):
        index = chance.randrange(len(lines))
        line, place, kind = lines[index], chance.randint(0, len(lines[index])), chance.random()
        if kind < 0.2 and len(lines) > 1:
            del lines[index]
        elif kind < 0.4:
            lines.insert(index, chance.choice(lines))
        elif kind < 0.7:
            lines[index] = line[:place] + chance.choice(TOKENS) + line[place:]
        else:
            lines[index] = line[:place] + chr(chance.randint(32, 126)) + line[place + 1 :]
    return "\n".join(lines)


def test_mutated_programs_neither_hang_nor_crash(corpus: Path) -> None:
    files = [file for folder in ("programs", "fanuc_pairs", "bad") for file in sorted((corpus / folder).iterdir())]
    texts = [read(file) for file in files if file.suffix != ".json"]
    chance = random.Random(20261124)  # noqa: S311
    for _ in range(MUTATED):
        text, dialect = mutated(chance.choice(texts), chance), chance.choice(("fanuc", "linuxcnc"))
        begin = time.process_time()
        traced(text, dialect, Budget(blocks=20_000))
        # Not a speed test: only something that hangs takes this long for 20,000 blocks.
        assert time.process_time() - begin < 30.0, text
