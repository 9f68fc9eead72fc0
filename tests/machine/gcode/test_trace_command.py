"""cnctwin nc trace."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from opcua_server.machine.commands import app

PROGRAM = "%\nO1\nG21 G90 F100\nT2 M6\nG43 H2 Z5.\nG2 X10. I5.\nG4 P500\nM98 P2\nM30\n%\n"
SUB = "O2\nG1 X0\nM99\n"


def trace(*arguments: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, ["trace", *map(str, arguments)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def program(tmp_path: Path) -> Path:
    file = tmp_path / "part.nc"
    file.write_text(PROGRAM)
    (tmp_path / "O0002.nc").write_text(SUB)
    return file


def test_json_lines_have_the_corpus_form(program: Path) -> None:
    code, out, _ = trace(program, "--json")
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"n": 4, "t": "toolchange", "tool": 2},
        {"n": 5, "t": "rapid", "m": [0.0, 0.0, 57.0], "w": [0.0, 0.0, 5.0]},
        {
            "n": 6, "t": "arc", "m": [10.0, 0.0, 57.0], "w": [10.0, 0.0, 5.0], "F": 100.0,
            "c": [5.0, 0.0, 57.0], "nrm": [0, 0, 1], "rot": -1,
        },
        {"n": 7, "t": "dwell", "s": 0.5},
        {"n": 2, "t": "feed", "m": [0.0, 0.0, 57.0], "w": [0.0, 0.0, 5.0], "F": 100.0},
    ]  # fmt: skip


def test_table_is_for_reading(program: Path) -> None:
    code, out, _ = trace(program)
    assert code == 0
    assert "toolchange" in out
    assert "-0.5000 turns" in out


def test_alarm_is_the_last_line_and_exit_code_3(tmp_path: Path) -> None:
    file = tmp_path / "bad.nc"
    file.write_text("%\nO9\nG0 X1\nG200\nM30\n%")
    code, out, _ = trace(file, "--json")
    assert code == 3
    last = json.loads(out.splitlines()[-1])
    assert (last["alarm"], last["line"], last["o"]) == ("PS0010", 4, "O0009")
    assert set(last) == {"alarm", "text", "line", "o"}


def test_unreadable_file_is_one_clear_line_and_exit_code_2(tmp_path: Path) -> None:
    for target in (tmp_path / "absent.nc", tmp_path):
        code, _, err = trace(target)
        assert code == 2
        assert len(err.strip().splitlines()) == 1


def test_endless_program_ends_with_its_budget(tmp_path: Path) -> None:
    file = tmp_path / "endless.nc"
    file.write_text("N1 G0 X1\nGOTO1\nM30\n")
    code, out, _ = trace(file, "--json", "--max-blocks", 500)
    assert code == 3
    assert json.loads(out.splitlines()[-1])["text"] == "BLOCK LIMIT REACHED: 500 blocks"


def test_block_delete_skips_marked_blocks(tmp_path: Path) -> None:
    file = tmp_path / "skip.nc"
    file.write_text("/G0 X1\nG0 X2\nM30\n")
    assert len(trace(file, "--json")[1].splitlines()) == 2
    assert len(trace(file, "--json", "--block-delete")[1].splitlines()) == 1


def test_what_is_no_text_is_one_clear_line(tmp_path: Path) -> None:
    file = tmp_path / "picture.nc"
    file.write_bytes(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\1\0")
    code, out, err = trace(file, "--json")
    assert (code, out) == (2, "")
    assert err.strip() == f"cnctwin nc trace: cannot read {file}: is a binary file and no NC program"


def test_a_long_run_says_how_far_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("opcua_server.machine.commands.PROGRESS_S", 0.0)
    file = tmp_path / "long.nc"
    file.write_text("G0 X0\n" + "X1\nX0\n" * 3000 + "M30\n")
    code, out, err = trace(file, "--json")
    assert code == 0
    assert len(out.splitlines()) == 6001
    assert "moves, at line" in err


def test_the_dialect_can_be_told_from_the_program(tmp_path: Path) -> None:
    file = tmp_path / "own.ngc"
    file.write_text("#<_far> = 7\no1 sub\nG0 X#<_far>\no1 endsub\no1 call\nM2\n")
    assert trace(file)[0] == 3
    code, out, _ = trace(file, "--json", "--dialect", "auto")
    assert code == 0
    assert json.loads(out)["m"] == [7.0, 0.0, 0.0]


def test_a_path_can_be_drawn_up_to_its_alarm(tmp_path: Path) -> None:
    file, picture = tmp_path / "a<b>.nc", tmp_path / "path.svg"
    file.write_text("G0 X10 Y5\nG1 Z-5 F100\nG2 X10 I10\nG19 G3 Y15 J5 Z-5\nG200\n")
    code, out, _ = trace(file, "--draw", picture)
    assert code == 3
    assert out.splitlines()[-1].startswith("ALARM PS0010")
    text = picture.read_text()
    ways = {(kind, len(way.split())) for kind, way in re.findall(r'<path class="(\w+)" d="M([^"]*)"/>', text)}
    assert ways == {("rapid", 2), ("cut", 1 + 1 + 72 + 36)}
    assert "<title>a&lt;b&gt;.nc</title>" in text
    assert "X 0.000 to 30.000, Y -5.000 to 15.000 mm" in text
    assert "Z -10.000 to 0.000 mm" in text


def test_a_drawing_that_cannot_be_written_is_one_line_and_exit_code_2(program: Path, tmp_path: Path) -> None:
    code, _, errors = trace(program, "--draw", tmp_path / "none" / "path.svg")
    assert code == 2
    assert "cannot write" in errors
